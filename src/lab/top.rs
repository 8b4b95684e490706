//! Looking at what nodes use. Nothing is locked, and nothing written: what comes, goes or changes meanwhile is seen in the next look.

use super::Nslab;
use super::container::state;
use crate::Error;
use crate::host;
use crate::launcher::{Failure, Record, UsageReader};
use crate::model::container::NetworkOf;
use crate::model::{self, LabName, Netns, PinName};
use crate::report::{NodeSample, UsageSample};
use futures_util::stream::{self, StreamExt};
use std::path::PathBuf;
use std::time::Instant;

/// How many namespaces are looked into at once.
const AT_ONCE: usize = 16;

/// Whom there is to look at.
struct Subject {
    lab: Option<LabName>,
    name: String,
    uses: Uses,
    netns: Option<Netns>,
}

/// Where it is seen what it uses.
enum Uses {
    /// A container, by the directory of its record.
    Container(PathBuf),
    /// A node that is none, by its cgroup, where it is limited.
    Bare(Option<PathBuf>),
}

/// Whose interfaces are to be looked at.
enum Network {
    Pinned(Netns),
    OfProcess(i32),
}

impl Nslab {
    /// Looks at what the nodes of a lab use, or those of all labs and the containers of none. A lab that is not there has no nodes.
    ///
    /// # Errors
    /// When the state directory, or the machine's cgroups, can't be read.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn sample_usage(&self, lab: Option<&LabName>) -> Result<UsageSample, Error> {
        let this = self.clone();
        let lab = lab.cloned();
        let looked = tokio::task::spawn_blocking(move || {
            let subjects = this.subjects(lab.as_ref())?;
            let reader = UsageReader::new().map_err(Failure::from)?;
            subjects.into_iter().map(|subject| look(&reader, subject)).collect::<Result<Vec<_>, Error>>()
        });
        let looked =
            looked.await.map_err(|error| Error::Io { action: "look at cgroups".into(), source: error.into() })??;
        let nodes = stream::iter(looked).map(async |(node, network)| self.with_traffic(node, network).await);
        Ok(UsageSample { nodes: nodes.buffered(AT_ONCE).collect().await })
    }

    fn subjects(&self, lab: Option<&LabName>) -> Result<Vec<Subject>, Error> {
        let labs = match lab {
            Some(lab) => vec![lab.clone()],
            None => self.root().lab_names()?,
        };
        let mut all = Vec::new();
        for lab in labs {
            match self.subjects_of(&lab) {
                Err(Error::NoSuchLab { .. }) => {} // it has just gone
                result => all.append(&mut result?),
            }
        }
        if lab.is_none() {
            all.extend(self.root().launched_names()?.into_iter().map(|name| Subject {
                lab: None,
                name: name.to_string(),
                uses: Uses::Container(self.root().launched(&name)),
                netns: None,
            }));
        }
        Ok(all)
    }

    fn subjects_of(&self, lab: &LabName) -> Result<Vec<Subject>, Error> {
        let state = self.state(lab)?;
        let Some(spec) = state.spec() else { return Ok(Vec::new()) };
        let made = state.made().resources;
        let of = |node: &crate::spec::Node| {
            let container = made.containers.iter().find(|one| one.node == node.name);
            let group = made.groups.iter().find(|one| one.node.as_ref() == Some(&node.name));
            let uses = match (container, &node.container) {
                (Some(container), _) => Uses::Container(container.directory.clone()),
                (None, Some(_)) => Uses::Container(self.root().lab(lab).container(&node.name)),
                (None, None) => Uses::Bare(group.map(|group| group.cgroup.clone())),
            };
            let mark = model::mark(lab, node.name.as_str(), state.instance.as_ref());
            let netns = Netns { name: PinName::of_node(lab, &node.name), mark };
            Subject { lab: Some(lab.clone()), name: node.name.to_string(), uses, netns: Some(netns) }
        };
        Ok(spec.nodes.iter().map(of).collect())
    }

    async fn with_traffic(&self, node: NodeSample, network: Option<Network>) -> NodeSample {
        let traffic = match &network {
            Some(Network::Pinned(netns)) => self.host().traffic(netns).await,
            Some(Network::OfProcess(pid)) => self.host().traffic_of_process(*pid).await,
            None => Ok(None),
        };
        let traffic = traffic.unwrap_or_else(|error| {
            // It comes, goes or changes at this moment, or is not the caller's.
            tracing::debug!(node = node.name, "can't look at its interfaces: {error}");
            None
        });
        NodeSample { traffic: traffic.map(|traffic| (Instant::now(), traffic)), ..node }
    }
}

fn look(reader: &UsageReader, subject: Subject) -> Result<(NodeSample, Option<Network>), Error> {
    let Subject { lab, name, uses, netns } = subject;
    // Others would be refused at each node.
    let pinned = netns.filter(|_| host::is_privileged()).map(Network::Pinned);
    let node = NodeSample { lab, name, state: None, process: None, used: None, traffic: None };
    let directory = match uses {
        Uses::Container(directory) => directory,
        Uses::Bare(cgroup) => {
            let used = cgroup.map(|cgroup| reader.group(&cgroup)).transpose().map_err(Failure::from)?.flatten();
            return Ok((NodeSample { used: used.map(|used| (Instant::now(), used)), ..node }, pinned));
        }
    };
    let record = Record::read(&directory)?;
    let node = NodeSample { state: Some(state(record.as_ref())), ..node };
    let Some(record) = record.filter(Record::is_alive) else { return Ok((node, pinned)) };
    let network = match record.launch.container.namespaces.network {
        NetworkOf::Caller => None,
        NetworkOf::Own | NetworkOf::File(_) => record.running.as_ref().map(|running| Network::OfProcess(running.pid)),
    };
    let cgroup = record.launch.cgroup.as_deref();
    let used = cgroup.map(|cgroup| reader.container(cgroup)).transpose().map_err(Failure::from)?.flatten();
    let node = NodeSample {
        process: record.running.map(|running| (running.pid, running.started_ticks)),
        used: used.map(|used| (Instant::now(), used)),
        ..node
    };
    Ok((node, pinned.or(network)))
}
