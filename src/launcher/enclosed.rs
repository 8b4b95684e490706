//! Directories of the machine that a container's process 1 keeps open. Who may look into it (CAP_SYS_PTRACE) finds them by /proc/1/fd:
//! he is not to get any further from there.

use rustix::mount::{OpenTreeFlags, open_tree};
use std::os::fd::{AsFd, OwnedFd};

/// The same directory as a mount of its own, attached nowhere, above which there is nothing (open_tree(2)): `..` leads to itself.
/// Where the kernel or the caller can't have that, the directory as it is. What is given back is for names below it alone, as
/// after O_PATH.
pub(super) fn enclosed(directory: impl AsFd + Into<OwnedFd>) -> OwnedFd {
    let flags = OpenTreeFlags::AT_EMPTY_PATH | OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(&directory, "", flags).unwrap_or_else(|_| directory.into())
}
