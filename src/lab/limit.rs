//! Limits of containers that run: shown, and changed until the next `up` or for good.

use super::container::not_running;
use super::{Nslab, Options};
use crate::Error;
use crate::apply;
use crate::launcher::{self, Cgroup, Failure, Record, Usage};
use crate::model::container::{IoRate, Limits, LimitsChange, MemorySize};
use crate::model::{ContainerName, GroupState, LabName, NodeName};
use crate::report::{LimitsReport, UsageReport};
use crate::spec::Spec;
use std::path::PathBuf;

impl Nslab {
    /// What a node's container may use, and uses.
    ///
    /// # Errors
    /// When there is no such container, or it can't be looked at.
    pub fn limits(&self, lab: &LabName, node: &NodeName) -> Result<LimitsReport, Error> {
        let state = self.state(lab)?;
        let is_bare = |spec: &Spec| spec.nodes.iter().any(|one| one.name == *node && one.container.is_none());
        let made = state.made();
        if state.spec().is_some_and(is_bare) {
            return self.group_limits(lab, Some(node));
        }
        let of = super::container::among(lab, node, made.resources.containers)?;
        let record = Record::read(&of.directory)?;
        report(Some(lab), node.as_str(), &of.container.limits, record.as_ref())
    }

    /// Changes what a node's container may use. One that has ended has it when it is started; the next `up` gives it what the
    /// topology says.
    ///
    /// # Errors
    /// When there is no such container, more is in use than is to be, or the kernel refuses. Nothing has changed then.
    ///
    /// # Cancel safety
    /// What was begun is done to its end; where it is not written down of the lab, the next `up` takes it back.
    pub async fn change_limits(
        &self,
        lab: &LabName,
        node: &NodeName,
        change: &LimitsChange,
        options: &Options,
    ) -> Result<LimitsReport, Error> {
        super::context::require_privilege()?;
        let record = self.record(lab)?;
        if record.spec.nodes.iter().any(|one| one.name == *node && one.container.is_none()) {
            return self.change_group_limits(lab, Some(node), change, options).await;
        }
        let (locked, mut of) = self.container(lab, node, options).await?;
        let running = Record::read(&of.directory)?.filter(Record::is_alive);
        let now = running.as_ref().map(launcher::limits_now).transpose()?;
        of.container.limits = change.apply(&now.unwrap_or(of.container.limits));
        if running.is_some() {
            apply::limit_container(&of).await?;
        }
        let state = locked.read()?;
        if let (Some(mut kept), None) = (state.record, &state.pending) {
            let limits = &of.container.limits;
            let containers = kept.made.resources.containers.iter_mut().filter(|one| one.node == *node);
            containers.for_each(|one| one.container.limits = limits.clone());
            let nodes = kept.spec.nodes.iter_mut().filter(|one| one.name == *node);
            nodes.filter_map(|one| one.container.as_mut()).for_each(|one| one.limits = limits.clone());
            locked.commit(&kept)?;
        }
        let record = Record::read(&of.directory)?;
        report(Some(lab), node.as_str(), &of.container.limits, record.as_ref())
    }

    /// What a lab as a whole, or a node of it that is no container, may use.
    ///
    /// # Errors
    /// When there is no such lab, or it can't be looked at.
    pub fn group_limits(&self, lab: &LabName, node: Option<&NodeName>) -> Result<LimitsReport, Error> {
        let groups = self.state(lab)?.made().resources.groups;
        let group = groups.into_iter().find(|group| group.node.as_ref() == node);
        let state = group.as_ref().map(|group| launcher::group_limits(&group.cgroup, &group.limits));
        let limits = match state.transpose().map_err(Failure::from)?.flatten() {
            Some(GroupState::Limited(limits)) => limits,
            Some(GroupState::Begun) | None => Limits::default(),
        };
        let name = node.map(ToString::to_string);
        let found = group.as_ref().map(|group| launcher::find_group(&group.cgroup));
        let found = found.transpose().map_err(Failure::from)?.flatten();
        let usage = found.as_ref().map(Cgroup::usage).transpose().map_err(Failure::from)?;
        let places = found.as_ref().map(Cgroup::directories).unwrap_or_default();
        Ok(told(Some(lab), name, true, &limits, places, usage))
    }

    /// Changes that, until it is changed again or the lab is brought up anew: as [`Nslab::up`] with the lab's topology, in
    /// which just this is otherwise. So what has ended of the lab is started again.
    ///
    /// # Errors
    /// When there is no such lab or node, more is in use than is to be, or what [`Nslab::up`] says.
    ///
    /// # Cancel safety
    /// As [`Nslab::up`].
    pub async fn change_group_limits(
        &self,
        lab: &LabName,
        node: Option<&NodeName>,
        change: &LimitsChange,
        options: &Options,
    ) -> Result<LimitsReport, Error> {
        self.edit(lab, options, |spec| {
            let limits = match node {
                None => Some(&mut spec.limits),
                Some(node) => spec.nodes.iter_mut().find(|one| one.name == *node).map(|node| &mut node.limits),
            };
            if let Some(limits) = limits {
                *limits = change.apply(limits);
            }
            Ok(())
        })
        .await?;
        self.group_limits(lab, node)
    }

    /// What a container of no lab may use, and uses.
    ///
    /// # Errors
    /// When there is no such container, or it can't be looked at.
    pub fn launched_limits(&self, name: &ContainerName) -> Result<LimitsReport, Error> {
        let record = Record::read(&self.root().launched(name))?;
        report(None, name.as_str(), &Limits::default(), record.as_ref())
    }

    /// Changes what a container of no lab may use.
    ///
    /// # Errors
    /// As [`Nslab::change_limits`]; and when it has ended.
    ///
    /// # Cancel safety
    /// What was begun is done to its end.
    pub async fn change_launched_limits(
        &self,
        name: &ContainerName,
        change: &LimitsChange,
    ) -> Result<LimitsReport, Error> {
        let _locked = self.root().launched_home().lock().await?;
        let directory = self.root().launched(name);
        let running = Record::read(&directory)?.filter(Record::is_alive);
        let record = running.ok_or_else(|| Error::Usage(not_running(name)))?;
        let limits = change.apply(&launcher::limits_now(&record)?);
        apply::limit_launched(directory, limits).await?;
        self.launched_limits(name)
    }
}

fn report(
    lab: Option<&LabName>,
    name: &str,
    otherwise: &Limits,
    record: Option<&Record>,
) -> Result<LimitsReport, Error> {
    // One of a lab that has ended is started again as the lab has it.
    let record = record.filter(|record| lab.is_none() || record.is_alive());
    let runs = record.is_some_and(Record::is_alive);
    let limits = record.map(launcher::limits_now).transpose()?.unwrap_or_else(|| otherwise.clone());
    let cgroup = record.filter(|_| runs).and_then(|record| record.launch.cgroup.as_deref());
    let found = cgroup.map(Cgroup::find).transpose().map_err(Failure::from)?.flatten();
    let usage = found.as_ref().map(Cgroup::usage).transpose().map_err(Failure::from)?;
    let places = found.as_ref().map(Cgroup::directories).unwrap_or_default();
    Ok(told(lab, Some(name.to_owned()), runs, &limits, places, usage))
}

fn told(
    lab: Option<&LabName>,
    name: Option<String>,
    runs: bool,
    limits: &Limits,
    cgroup: Vec<PathBuf>,
    usage: Option<Usage>,
) -> LimitsReport {
    LimitsReport {
        lab: lab.cloned(),
        name,
        runs,
        cgroup,
        memory_bytes: limits.memory.map(MemorySize::bytes),
        swap_bytes: limits.swap.map(MemorySize::bytes),
        cpus: limits.cpus.map(|cpus| f64::from(cpus.thousandths()) / 1000.0),
        pids: limits.pids,
        io_read_bytes_per_s: limits.io_read.map(IoRate::bytes),
        io_write_bytes_per_s: limits.io_write.map(IoRate::bytes),
        used: UsageReport {
            memory_bytes: usage.and_then(|usage| usage.memory_bytes),
            pids: usage.and_then(|usage| usage.pids),
        },
    }
}
