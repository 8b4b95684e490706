//! The containers of a lab that is up.

use super::context::condition;
use super::{Nslab, Options};
use crate::Error;
use crate::apply;
use crate::launcher::{self, Cgroup, EndRecord, Ended, Record};
use crate::model::container::MemorySize;
use crate::model::{LabName, NodeContainer, NodeName};
use crate::report::{ContainerReport, ContainerState, LabCondition};
use crate::state::LockedLab;
use nix::sys::signal::Signal;

impl Nslab {
    /// A lab's containers, in the order of their nodes.
    ///
    /// # Errors
    /// When there is no such lab, or what is written down of a container can't be read.
    pub fn containers(&self, lab: &LabName) -> Result<Vec<ContainerReport>, Error> {
        let made = self.state(lab)?.made();
        let of_lab = |of: &NodeContainer| Ok(report(Some(lab), of.node.as_str(), &of.container.command, record(of)?));
        made.resources.containers.iter().map(of_lab).collect()
    }

    /// Starts a container that has ended, and then runs its node's commands in it; one that runs stays as it is.
    ///
    /// # Errors
    /// When there is no such container, or it can't be started.
    ///
    /// # Cancel safety
    /// What was begun goes on; `down`, and the next start, find it.
    pub async fn start_container(&self, lab: &LabName, node: &NodeName, options: &Options) -> Result<(), Error> {
        super::context::require_place()?;
        let (locked, _) = self.container(lab, node, options).await?;
        Ok(apply::start_container(&self.context(options), &locked, node).await?)
    }

    /// Stops a container: it is asked to end, and killed after ten seconds. The next `up` starts it again.
    ///
    /// # Errors
    /// When there is no such container, or it can't be ended.
    ///
    /// # Cancel safety
    /// A signal that was sent stays sent.
    pub async fn stop_container(&self, lab: &LabName, node: &NodeName, options: &Options) -> Result<(), Error> {
        super::context::require_privilege()?;
        let (_locked, of) = self.container(lab, node, options).await?;
        let Some(running) = record(&of)?.and_then(|record| record.running) else { return Ok(()) };
        apply::end_container(running, of.cgroup.clone()).await?;
        Ok(apply::remove_cgroup(of.cgroup).await?)
    }

    /// The nodes of a lab whose containers have ended and have a cgroup yet, each with the lab's name.
    ///
    /// # Errors
    /// When what is written down can't be read.
    pub(super) fn nodes_with_left_cgroups(&self, lab: &LabName) -> Result<Vec<String>, Error> {
        let mut all = Vec::new();
        for of in self.state(lab)?.made().resources.containers {
            if has_left_cgroup(record(&of)?.as_ref())? {
                all.push(format!("{lab}/{}", of.node));
            }
        }
        Ok(all)
    }

    /// Removes the cgroups of a lab's containers that have ended by themselves: nobody was there to do so then. Gives back
    /// whose they were.
    ///
    /// # Errors
    /// When one can't be removed, or what is written down can't be read.
    ///
    /// # Cancel safety
    /// What was begun is done to its end.
    pub(super) async fn remove_cgroups_of_ended(&self, lab: &LabName) -> Result<Vec<String>, Error> {
        let mut removed = Vec::new();
        if self.nodes_with_left_cgroups(lab)?.is_empty() {
            return Ok(removed); // nobody's command is waited for
        }
        let locked = self.lock_existing(lab, &Options::default()).await?;
        for of in locked.read()?.made().resources.containers {
            if has_left_cgroup(record(&of)?.as_ref())? {
                apply::remove_cgroup(of.cgroup.clone()).await?;
                removed.push(format!("{lab}/{}", of.node));
            }
        }
        Ok(removed)
    }

    /// Sends a container's command a signal; SIGKILL ends all of the container, and is waited for.
    ///
    /// # Errors
    /// When there is no such container, or it does not run.
    ///
    /// # Cancel safety
    /// A signal that was sent stays sent.
    pub async fn kill_container(&self, lab: &LabName, node: &NodeName, signal: Signal) -> Result<(), Error> {
        super::context::require_privilege()?;
        let (_locked, of) = self.container(lab, node, &Options::default()).await?;
        let running = record(&of)?.and_then(|record| record.running);
        let is_sent = running.as_ref().map(|running| launcher::signal(running, signal)).transpose()?;
        if is_sent != Some(true) {
            return Err(Error::Usage(not_running(format!("{lab}/{node}"))));
        }
        if let Some(running) = running.filter(|_| signal == Signal::SIGKILL) {
            // It says how it ended; where it can't, it is ended.
            apply::end_container(running, of.cgroup.clone()).await?;
        }
        Ok(())
    }

    /// A node's container, its lab locked.
    pub(super) async fn container(
        &self,
        lab: &LabName,
        node: &NodeName,
        options: &Options,
    ) -> Result<(LockedLab, NodeContainer), Error> {
        let locked = self.lock_existing(lab, options).await?;
        let state = locked.read()?;
        if condition(&state) == LabCondition::HalfMade {
            return Err(Error::HalfMade { lab: lab.clone() });
        }
        let found = among(lab, node, state.made().resources.containers)?;
        Ok((locked, found))
    }
}

/// A node's container, where it is among these.
pub(super) fn among(lab: &LabName, node: &NodeName, containers: Vec<NodeContainer>) -> Result<NodeContainer, Error> {
    let names: Vec<&str> = containers.iter().map(|of| of.node.as_str()).collect();
    let text = match names[..] {
        [] => {
            format!("{lab}/{node} is no container, and no node of {lab} is one: `nslab ps` lists those that there are")
        }
        _ => format!("{lab}/{node} is no container: those of {lab} are {}", names.join(", ")),
    };
    containers.into_iter().find(|of| of.node == *node).ok_or(Error::Usage(text))
}

/// What a shell adds to a signal's number.
const SIGNALLED: i32 = 128;

/// What the kernel sends for want of memory.
const KILLED: i32 = Signal::SIGKILL as i32;

/// What to tell who wants something of a container that has ended.
pub(crate) fn not_running(container: impl std::fmt::Display) -> String {
    format!("the container {container} does not run: `nslab ps` tells why; `nslab start` starts one of a lab again")
}

/// Whether a container has ended and has a cgroup. One that is being started has no process that is known.
pub(super) fn has_left_cgroup(record: Option<&Record>) -> Result<bool, Error> {
    let Some(record) = record.filter(|record| record.running.is_some() && !record.is_alive()) else { return Ok(false) };
    let Some(cgroup) = &record.launch.cgroup else { return Ok(false) };
    let has_cgroup = Cgroup::find(cgroup).map_err(launcher::Failure::from)?.is_some();
    Ok(has_cgroup || launcher::has_left_slice(cgroup).map_err(launcher::Failure::from)?)
}

fn record(of: &NodeContainer) -> Result<Option<Record>, Error> {
    Ok(Record::read(&of.directory)?)
}

/// What there is to say of a container with this record.
pub(super) fn report(lab: Option<&LabName>, name: &str, command: &[String], record: Option<Record>) -> ContainerReport {
    let new = ContainerReport {
        lab: lab.cloned(),
        name: name.to_owned(),
        state: ContainerState::New,
        pid: None,
        memory_bytes: None,
        exit_code: None,
        reason: None,
        since_unix_s: None,
        command: command.to_owned(),
    };
    let Some(record) = record else { return new };
    let command = record.launch.container.command.clone();
    let with = |state| ContainerReport { state, command, ..new };
    let state = state(Some(&record));
    match (state, &record.running, &record.ended) {
        (ContainerState::Running, Some(running), _) => ContainerReport {
            pid: Some(running.pid),
            memory_bytes: memory_bytes(&record),
            since_unix_s: Some(running.started_at_unix_s),
            ..with(state)
        },
        (ContainerState::Exited | ContainerState::Killed, _, Some(ended)) => {
            let (exit_code, reason) = (Some(ended.ended.code()), why(&record, ended));
            ContainerReport { exit_code, reason, since_unix_s: Some(ended.ended_at_unix_s), ..with(state) }
        }
        _ => with(state),
    }
}

/// Whether a container with this record runs.
pub(super) fn state(record: Option<&Record>) -> ContainerState {
    let Some(record) = record else { return ContainerState::New };
    match (&record.running, &record.ended) {
        (Some(running), _) if running.is_alive() => ContainerState::Running,
        (_, Some(ended)) => {
            // A shell that waits for what is killed returns what it would be itself.
            let is_killed = match ended.ended {
                Ended::Signal(_) => true,
                Ended::Code(code) => ended.out_of_memory && i32::from(code) == SIGNALLED + KILLED,
            };
            if is_killed { ContainerState::Killed } else { ContainerState::Exited }
        }
        (Some(_), None) => ContainerState::Gone,
        (None, None) => ContainerState::New,
    }
}

/// How much memory a container uses, where it has a cgroup that counts it.
fn memory_bytes(record: &Record) -> Option<u64> {
    let cgroup = Cgroup::find(record.launch.cgroup.as_deref()?).ok()??;
    cgroup.usage().ok()?.memory_bytes
}

/// How much memory the lab of a container may have as a whole.
fn limit_of_lab(record: &Record) -> Option<MemorySize> {
    let lab = record.launch.cgroup.as_deref()?.parent()?;
    launcher::find_group(lab).ok()??.limits().memory
}

/// Why a container ended, where that was not by itself; that something in it was killed for want of memory is told anyway, since
/// a command that waits for it may end by itself.
fn why(record: &Record, ended: &EndRecord) -> Option<String> {
    let for_want_of_memory = ended.out_of_memory.then(|| {
        let why = if ended.for_others_limit {
            match limit_of_lab(record) {
                Some(limit) => format!(" (limit {limit} of the lab as a whole)"),
                None => " (not for a limit of its own)".to_owned(),
            }
        } else {
            record.launch.container.limits.memory.map(|limit| format!(" (limit {limit})")).unwrap_or_default()
        };
        format!("killed, out of memory{why}")
    });
    match (ended.ended, for_want_of_memory) {
        (Ended::Code(_) | Ended::Signal(KILLED), Some(why)) => Some(why),
        (Ended::Code(_), None) => None,
        (Ended::Signal(signal), why) => {
            let name = Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |named| named.to_string());
            let before = why.map(|why| format!("; something in it before: {why}")).unwrap_or_default();
            Some(format!("killed by {name}{before}"))
        }
    }
}
