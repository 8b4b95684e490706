//! A lab as a program sees it: made from a topology, or found by its name.

use super::{Node, Nslab, Options};
use crate::Error;
use crate::check::{self, CheckOptions, CheckReport};
use crate::host::Look;
use crate::model::{LabName, PinName};
use crate::observed::{OvsView, Pin, PortState};
use crate::report::{DownReport, UpReport};
use crate::spec::{self, Spec};
use crate::state::StateRoot;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a spanning tree may take: twice the longest forward delay that the kernel takes, and some.
const SETTLE_DEADLINE: Duration = Duration::from_secs(75);

/// A lab.
///
/// ```no_run
/// # async fn example() -> Result<(), nslab::Error> {
/// let lab = nslab::Lab::from_yaml(
///     "
///     name: pair
///     nodes: {a: , b: }
///     links:
///       - {endpoints: [a, b], subnets: [10.0.0.0/30]}
///     ",
/// )?;
/// lab.up().await?;
/// let output = lab.node("a")?.run("ping", ["-c1", "b"]).await?;
/// assert!(output.status.success());
/// lab.down().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Lab {
    nslab: Nslab,
    spec: Spec,
}

impl Lab {
    /// The lab that a topology describes, its state in /run/nslab, its relative paths from the current directory on. Nothing is
    /// made yet.
    ///
    /// # Errors
    /// Everything that is wrong with the text, at once.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        Self::from_yaml_in(text, StateRoot::default())
    }

    /// As [`Lab::from_yaml`], with another state directory.
    ///
    /// # Errors
    /// As [`Lab::from_yaml`].
    pub fn from_yaml_in(text: &str, root: StateRoot) -> Result<Self, Error> {
        let current = std::env::current_dir()
            .map_err(|source| Error::Io { action: "find the current directory".into(), source })?;
        let spec = spec::parse(text, "topology")?.with_files_below(&current);
        Ok(Self { nslab: Nslab::new(root), spec })
    }

    /// A lab that is up, by its name.
    ///
    /// # Errors
    /// When there is no such lab, or it is half-made.
    pub fn open(nslab: &Nslab, name: &LabName) -> Result<Self, Error> {
        let spec = nslab.record(name)?.spec;
        Ok(Self { nslab: nslab.clone(), spec })
    }

    /// The labs that it is one of.
    pub fn nslab(&self) -> &Nslab {
        &self.nslab
    }

    /// Its topology.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Brings it up; if it is up, to what its topology says. On failure all is as it was.
    ///
    /// # Errors
    /// As [`Nslab::up`].
    ///
    /// # Cancel safety
    /// As [`Nslab::up`].
    pub async fn up(&self) -> Result<UpReport, Error> {
        self.nslab.up(&self.spec, &Options::default()).await
    }

    /// Takes it away.
    ///
    /// # Errors
    /// As [`Nslab::down`].
    ///
    /// # Cancel safety
    /// As [`Nslab::down`].
    pub async fn down(&self) -> Result<DownReport, Error> {
        self.nslab.down(&self.spec.name, &Options::default()).await
    }

    /// One of its nodes.
    ///
    /// # Errors
    /// When it has no node of that name.
    pub fn node(&self, name: &str) -> Result<Node, Error> {
        match self.spec.nodes.iter().find(|node| node.name.as_str() == name) {
            Some(node) => Ok(Node::new(self.nslab.clone(), &self.spec.name, &node.name)),
            None => Err(Error::NoSuchNode {
                lab: self.spec.name.clone(),
                node: name.to_owned(),
                nodes: self.spec.nodes.iter().map(|node| node.name.clone()).collect(),
            }),
        }
    }

    /// Waits until no switch port of a spanning tree is on its way to forwarding or blocking.
    ///
    /// # Errors
    /// When the switches can't be looked at, or don't settle in time.
    async fn settle(&self) -> Result<(), Error> {
        if self.spec.switches.iter().all(|switch| switch.stp.is_none() && switch.ovs.rstp.is_none()) {
            return Ok(());
        }
        let started = Instant::now();
        while !self.is_settled().await? {
            if started.elapsed() > SETTLE_DEADLINE {
                return Err(Error::Unsettled { waited_s: SETTLE_DEADLINE.as_secs() });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn is_settled(&self) -> Result<bool, Error> {
        let host = self.nslab.host();
        let fabric = PinName::of_fabric(&self.spec.name);
        if let Some(Pin::Namespace(inside)) = host.observe_pin(&fabric, &Look::default()).await? {
            let mut ports = inside.links.values().filter_map(|link| link.port.as_ref());
            if ports.any(|port| matches!(port.state, PortState::Listening | PortState::Learning)) {
                return Ok(false);
            }
        }
        let made = self.nslab.state(&self.spec.name)?.made();
        let Some(rows) = made.resources.ovs else { return Ok(true) };
        let OvsView::Seen(seen) = host.observe_ovs(&rows.server, &rows.lab).await else { return Ok(true) };
        let mut states = seen.rows.values().filter_map(|row| row.status.stp_state.as_deref());
        Ok(!states.any(|state| matches!(state, "listening" | "learning")))
    }

    /// Probes what its topology expects: that every node reaches every other one, where it says nothing.
    ///
    /// # Errors
    /// When a probe can't be made. That one does not hold is no error: the report says so.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn check(&self, options: &CheckOptions) -> Result<CheckReport, Error> {
        let host = self.nslab.host();
        self.settle().await?;
        let spec = self.spec_with_leases().await?;
        let mut namespaces = BTreeMap::new();
        for node in &self.spec.nodes {
            let netns = self.nslab.netns_of(&self.spec.name, &node.name)?;
            namespaces.insert(node.name.clone(), host.open_netns(&netns).await?);
        }
        Ok(check::run(&spec, &namespaces, host, options).await?)
    }

    /// Its topology with the addresses that interfaces have by DHCP right now, which nobody knows beforehand.
    ///
    /// # Errors
    /// When the kernel refuses to tell.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub(crate) async fn spec_with_leases(&self) -> Result<Spec, Error> {
        let mut spec = self.spec.clone();
        for node in spec.nodes.iter_mut().filter(|node| node.interfaces.iter().any(|interface| interface.dhcp)) {
            let netns = PinName::of_node(&self.spec.name, &node.name);
            let there = self.nslab.host().observe_pin(&netns, &Look::default()).await?;
            let Some(Pin::Namespace(inside)) = there else { continue };
            for interface in &mut node.interfaces {
                let link = inside.links.get(interface.name.as_str());
                interface.addresses.extend(link.into_iter().flat_map(|link| &link.leased));
            }
        }
        Ok(spec)
    }
}
