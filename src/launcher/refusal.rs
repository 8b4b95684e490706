//! What to do where the kernel refuses namespaces to the caller, in words.

use super::failure::Step;
use crate::model::container::{Limits, Namespaces};
use nix::errno::Errno;
use std::path::Path;

/// Why new namespaces can't be made (clone(2), ERRORS; user_namespaces(7)).
pub(super) fn of_clone(namespaces: &Namespaces, errno: Errno) -> Step {
    let made = "clone a process into new namespaces";
    let has_own_users = namespaces.user.is_some();
    Step::of(match errno {
        Errno::EPERM if has_own_users => format!(
            "{made}: a user namespace is refused by the machine (`sysctl kernel.unprivileged_userns_clone` and the like), or to \
             a process in a chroot"
        ),
        Errno::EPERM => format!("{made}: {}", without_root("add -U, for a user namespace in which the caller is root")),
        Errno::ENOSPC => format!("{made}: there are as many as the machine allows (`sysctl user | grep namespaces`)"),
        _ => made.to_owned(),
    })
}

/// Why a cgroup namespace can't be made.
pub(super) fn of_cgroup_namespace(errno: Errno) -> Step {
    let made = "make a cgroup namespace";
    Step::of(if errno == Errno::EPERM {
        format!("{made}: {}", without_root("add -U, for a user namespace in which the caller is root"))
    } else {
        made.to_owned()
    })
}

/// Why a network namespace can't be entered.
pub(super) fn of_network(path: &Path, errno: Errno) -> Step {
    let entered = format!("enter the network namespace {}", path.display());
    Step::of(if errno == Errno::EPERM {
        format!("{entered}: {}", without_root("ask for a new one in place of it, by -U and -n"))
    } else {
        entered
    })
}

/// Why there can't be a second process in a container.
pub(super) fn of_fork(limits: &Limits, errno: Errno) -> Step {
    Step::of(if errno == Errno::EAGAIN && limits.pids == Some(1) {
        "start the command beside process 1: a limit of 1 process leaves no room for both; allow 2 or more"
    } else {
        "start the command beside process 1"
    })
}

fn without_root(otherwise: &str) -> String {
    format!("that takes root's rights (CAP_SYS_ADMIN): run nslab by `sudo`, or {otherwise}")
}
