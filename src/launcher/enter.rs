//! Running another command in a container that runs: in all of its namespaces, its cgroup and its root, with its rights.

use super::cgroup::Entrance;
use super::command::Prepared;
use super::failure::{During, Failure, Step};
use super::handshake;
use super::inside;
use super::launch::{Launch, Output};
use super::outside::{self, Child, Known};
use super::record::{Record, Running};
use super::sys::{self, Doubled};
use super::{maps, namespaces, rights};
use crate::launcher::handshake::Ended;
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::MetadataExt;

/// A command that is to be run in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The container's process 1.
    running: Running,
    /// The container, but with this command.
    launch: Launch,
}

impl Entry {
    /// A command for the container of a record, with these variables besides its own; `None` where it does not run.
    pub fn new(record: &Record, command: Vec<String>, variables: &[(&str, &str)]) -> Option<Self> {
        let running = record.running.clone().filter(Running::is_alive)?;
        let mut launch = record.launch.clone();
        launch.container.command = command;
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        launch.container.environment.variables.extend(variables);
        launch.output = Output::Callers;
        Some(Self { running, launch })
    }
}

/// The namespaces that a process can enter by another one, as their files in /proc/PID/ns are called.
const NAMESPACES: [(&str, CloneFlags); 7] = [
    ("user", CloneFlags::CLONE_NEWUSER),
    ("mnt", CloneFlags::CLONE_NEWNS),
    ("net", CloneFlags::CLONE_NEWNET),
    ("pid", CloneFlags::CLONE_NEWPID),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("cgroup", CloneFlags::CLONE_NEWCGROUP),
];

/// Runs the command to its end.
///
/// # Errors
/// When the container has ended, or the kernel does not let its namespaces be entered.
pub(super) fn run(entry: &Entry) -> Result<Ended, Failure> {
    let launch = &entry.launch;
    let has_terminal = outside::wants_terminal(launch);
    outside::attended(has_terminal, |mask| {
        let command = Prepared::new(&launch.container, has_terminal)?;
        let rights = rights::Prepared::new(&launch.container)?;
        let known = Known { launch, command, rights, has_terminal, oom: None, mask };
        let entrance = Entrance::of(launch)?;
        join(&entry.running)?;
        if launch.container.namespaces.user.is_some() {
            maps::become_root()?;
        }
        // Until the command is executed, somebody in there could look into this process.
        nix::sys::prctl::set_dumpable(false).during(|| Step::of("keep this process from being looked into"))?;
        let (channel, other) = handshake::pair()?;
        match sys::clone(0, entrance.as_ref().and_then(Entrance::fd))
            .during(|| Step::of("make a process in the container"))?
        {
            Doubled::Child => {
                drop(channel);
                let entered = entrance.map_or(Ok(()), |entrance| entrance.enter());
                sys::exit(inside::run_entered(&known, &other, entered));
            }
            Doubled::Parent((pid, handle)) => Ok(Child { pid, handle, channel, cgroup: None, has_reaper: None }),
        }
    })
}

/// Takes the calling process into all namespaces of the container's process 1 that are not its own; into that of PIDs, its
/// children alone.
fn join(running: &Running) -> Result<(), Failure> {
    let ended = || Step::of("enter the container: it has ended");
    let pid = Pid::from_raw(running.pid).ok_or(Errno::ESRCH).during(ended)?;
    let process = pidfd_open(pid, PidfdFlags::empty()).during(ended)?;
    // Seen after it is held: what is held can't become somebody else.
    if !running.is_alive() {
        return Err(ended().failed()(Errno::ESRCH));
    }
    let inode = |of: &str, name: &str| std::fs::metadata(format!("/proc/{of}/ns/{name}")).map(|file| file.ino()).ok();
    let theirs = running.pid.to_string();
    let is_other = |name: &str| inode(&theirs, name).is_some_and(|there| inode("self", name) != Some(there));
    let mut flags: CloneFlags = NAMESPACES.iter().filter(|(name, _)| is_other(name)).map(|(_, flag)| *flag).collect();
    if is_other("time") {
        flags |= CloneFlags::from_bits_retain(namespaces::CLONE_NEWTIME);
    }
    if flags.is_empty() {
        return Ok(());
    }
    setns(&process, flags).during(|| Step::of("enter the container's namespaces"))
}
