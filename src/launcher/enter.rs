//! Running another command in a container that runs: in all of its namespaces, its cgroup and its root, with its rights.

use super::cgroup::{Deaths, Entrance};
use super::command::Prepared;
use super::failure::{During, Failure, Step};
use super::handshake;
use super::inside;
use super::known::Known;
use super::launch::{Launch, Output};
use super::outside::{self, Child};
use super::record::{self, Record, Running};
use super::root::Volumes;
use super::sys::{self, Doubled};
use super::{maps, namespaces, rights};
use crate::launcher::handshake::Ended;
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
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
const NAMESPACES: [(&str, CloneFlags); 8] = [
    ("user", CloneFlags::CLONE_NEWUSER),
    ("mnt", CloneFlags::CLONE_NEWNS),
    ("net", CloneFlags::CLONE_NEWNET),
    ("pid", CloneFlags::CLONE_NEWPID),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("cgroup", CloneFlags::CLONE_NEWCGROUP),
    ("time", CloneFlags::from_bits_retain(namespaces::CLONE_NEWTIME)),
];

/// Runs the command to its end.
///
/// # Errors
/// When the container has ended, or the kernel does not let its namespaces be entered.
pub(super) fn run(entry: &Entry) -> Result<Ended, Failure> {
    let launch = &entry.launch;
    let deaths = Deaths::watch(launch);
    let ended = attended(entry, launch)?;
    // A shell says it of one of its own.
    if ended.code() == Ended::Signal(nix::libc::SIGKILL).code()
        && let Some(words) = deaths.and_then(|deaths| deaths.words(launch.container.command.first()?, ended))
    {
        outside::say(&words);
    }
    Ok(ended)
}

fn attended(entry: &Entry, launch: &Launch) -> Result<Ended, Failure> {
    let has_terminal = outside::wants_terminal(launch);
    outside::attended(has_terminal, |mask| {
        let command = Prepared::new(&launch.container, has_terminal)?;
        let rights = rights::Prepared::new(&launch.container)?;
        let (root, volumes) = (None, Volumes::default());
        let known = Known { launch, command, root, volumes, rights, has_terminal, oom: None, mask, springboard: None };
        let entrance = Entrance::of(launch)?;
        if launch.container.namespaces.user.is_some() && nix::unistd::geteuid().is_root() {
            // Inside it may be forbidden to give them up, and they are groups of the machine's.
            nix::unistd::setgroups(&[]).during(|| Step::of("give up supplementary groups"))?;
        }
        join(&entry.running, &NAMESPACES)?;
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
                let entered = entrance.map_or(Ok(()), Entrance::enter);
                sys::exit(inside::run_entered(&known, &other, entered));
            }
            Doubled::Parent((pid, handle)) => Ok(Child { pid, handle, channel, cgroup: None, has_reaper: None }),
        }
    })
}

/// The ones that say which files there are, and who may do what with them.
const OF_FILES: [(&str, CloneFlags); 2] = [NAMESPACES[0], NAMESPACES[1]];

/// Takes the calling process to where the container's files are, as root inside, and nowhere else: nobody inside sees it.
pub(super) fn join_files(running: &Running, has_user_namespace: bool) -> Result<(), Failure> {
    if has_user_namespace && nix::unistd::geteuid().is_root() {
        // As in `run`.
        nix::unistd::setgroups(&[]).during(|| Step::of("give up supplementary groups"))?;
    }
    join(running, &OF_FILES)?;
    if has_user_namespace {
        maps::become_root()?;
    }
    nix::sys::prctl::set_dumpable(false).during(|| Step::of("keep this process from being looked into"))
}

/// Takes the calling process to where the container's mounts are, and nowhere else.
pub(super) fn join_mounts(running: &Running) -> Result<(), Failure> {
    join(running, &NAMESPACES[1..2])
}

/// Takes the calling process into those namespaces of the container that are not its own; into that of PIDs, its children alone.
fn join(running: &Running, which: &[(&str, CloneFlags)]) -> Result<(), Failure> {
    let ended = || Step::of("enter the container: it has ended");
    let process = hold(running.pid).during(ended)?;
    // Seen after it is held: what is held can't become somebody else.
    if !running.is_alive() {
        return Err(ended().failed()(Errno::ESRCH));
    }
    match enter_by(&process, running.pid, which) {
        Err(Errno::EPERM) => by_a_child(running, which),
        answer => answer.during(entered),
    }
}

fn entered() -> Step {
    Step::of("enter the container's namespaces")
}

fn hold(pid: i32) -> Result<OwnedFd, Errno> {
    let pid = Pid::from_raw(pid).ok_or(Errno::ESRCH)?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| Errno::from_raw(errno.raw_os_error()))
}

/// The same by a child of process 1, for who is not root: nobody but root may look into process 1, and so nobody enters by it,
/// while the command is the user's own. The eldest child is the command; the others have lost their parents inside.
fn by_a_child(running: &Running, which: &[(&str, CloneFlags)]) -> Result<(), Failure> {
    let pid = running.pid;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).during(entered)?;
    for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
        let Ok(process) = hold(child) else { continue };
        // Seen after it is held, and before what comes: no other process has got the number.
        if !record::is_child(child, pid) {
            continue;
        }
        match enter_by(&process, child, which) {
            Err(Errno::EPERM | Errno::ESRCH) => {}
            answer => return answer.during(entered),
        }
    }
    let step =
        "enter the container's namespaces: none of its processes is this user's to look into; root can, by `sudo`";
    Err(Step::of(step).failed()(Errno::EPERM))
}

/// Enters the namespaces of a process that is held, in which the caller isn't.
fn enter_by(process: &OwnedFd, pid: i32, which: &[(&str, CloneFlags)]) -> Result<(), Errno> {
    let inode = |of: &str, name: &str| std::fs::metadata(format!("/proc/{of}/ns/{name}")).map(|file| file.ino());
    let theirs = pid.to_string();
    let is_other = |name: &str| match (inode(&theirs, name), inode("self", name)) {
        (Ok(there), Ok(here)) => Ok(there != here),
        // A kernel that does not know the sort.
        (Err(error), _) if error.kind() == ErrorKind::NotFound => Ok(false),
        (Err(error), _) if error.kind() == ErrorKind::PermissionDenied => Err(Errno::EPERM),
        (Err(error), _) | (_, Err(error)) => Err(error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw)),
    };
    let mut flags = CloneFlags::empty();
    for (name, flag) in which {
        flags.set(*flag, is_other(name)?);
    }
    if !flags.is_empty() {
        return setns(process, flags);
    }
    // One that has just ended has no namespaces that could be others. The command must not run where the caller is.
    inode(&theirs, "mnt").map(drop).map_err(|_| Errno::ESRCH)
}
