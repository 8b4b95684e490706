//! Which flags a container's namespaces are.

use super::failure::{During, Failure, Step};
use super::refusal;
use crate::model::container::{Namespaces, NetworkOf};
use nix::libc;
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::path::Path;

/// CLONE_NEWTIME (linux/sched.h): one of clone3(2) alone, since clone(2) takes it for a part of a signal.
pub(super) const CLONE_NEWTIME: i32 = 0x80;

/// The flags of clone3(2) for all namespaces that are new, but for that of cgroups: its root is the cgroup that the process is
/// in when it is made, which is the parent's at the time of the clone (copy_cgroup_ns, kernel/cgroup/namespace.c).
pub(super) fn clone_flags(namespaces: &Namespaces) -> u64 {
    let Namespaces { ipc, mount, pid, uts, cgroup: _, time, network, user } = namespaces;
    let is_own_network = *network == NetworkOf::Own;
    let flags = [
        (*ipc, libc::CLONE_NEWIPC as u64),
        (*mount, libc::CLONE_NEWNS as u64),
        (*pid, libc::CLONE_NEWPID as u64),
        (*uts, libc::CLONE_NEWUTS as u64),
        (*time, CLONE_NEWTIME as u64),
        (is_own_network, libc::CLONE_NEWNET as u64),
        (user.is_some(), libc::CLONE_NEWUSER as u64),
    ];
    flags.into_iter().filter(|(is_new, _)| *is_new).map(|(_, flag)| flag).sum()
}

/// What the new namespaces are called, for people.
pub(super) fn words(namespaces: &Namespaces) -> String {
    let Namespaces { ipc, mount, pid, uts, cgroup, time, network, user } = namespaces;
    let all = [
        (user.is_some(), "user"),
        (*mount, "mount"),
        (*network == NetworkOf::Own, "network"),
        (*pid, "pid"),
        (*ipc, "ipc"),
        (*uts, "uts"),
        (*cgroup, "cgroup"),
        (*time, "time"),
    ];
    let new: Vec<&str> = all.into_iter().filter(|(is_new, _)| *is_new).map(|(_, name)| name).collect();
    if new.is_empty() { "no new namespaces".to_owned() } else { format!("new namespaces: {}", new.join(", ")) }
}

/// Takes the calling process into a network namespace, before it clones: afterwards it may be in a user namespace that has
/// nothing to say there.
pub(super) fn join_network(path: &Path) -> Result<(), Failure> {
    let file = File::open(path).during(|| Step::Open { path: path.to_owned() })?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|errno| refusal::of_network(path, errno).failed()(errno))
}

/// Makes the cgroup that the process is in by now the root of those that it sees.
pub(super) fn leave_cgroups() -> Result<(), Failure> {
    unshare(CloneFlags::CLONE_NEWCGROUP).map_err(|errno| refusal::of_cgroup_namespace(errno).failed()(errno))
}
