//! Trees of mounts by file descriptor: taking one from the machine, attaching it, limiting it.

use super::remount;
use crate::fault;
use crate::launcher::sys::{self, MountAttributes};
use nix::errno::Errno;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::mount::{MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

/// What can't be done in a mount, whoever tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Write (MOUNT_ATTR_RDONLY).
    pub(super) read_only: bool,
    /// Open devices (MOUNT_ATTR_NODEV).
    pub(super) no_devices: bool,
}

/// What is taken of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// One mount.
    One,
    /// That and what is mounted below.
    WithBelow,
}

/// Mounts what one descriptor refers to on what the other one refers to. Gives the new mount's root back, where the kernel tells.
pub(super) fn bind(source: impl AsFd, extent: Extent, target: impl AsFd) -> Result<Option<OwnedFd>, Errno> {
    let (source, target) = (source.as_fd(), target.as_fd());
    if !fault::lacks("open_tree") {
        let mut flags =
            OpenTreeFlags::AT_EMPTY_PATH | OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        flags.set(OpenTreeFlags::AT_RECURSIVE, extent == Extent::WithBelow);
        match open_tree(source, "", flags) {
            Err(rustix::io::Errno::NOSYS) => {}
            answer => {
                let tree = answer.map_err(errno)?;
                attach(&tree, target)?;
                return Ok(Some(tree));
            }
        }
    }
    let mut flags = MountFlags::BIND;
    flags.set(MountFlags::REC, extent == Extent::WithBelow);
    rustix::mount::mount(by_descriptor(source), by_descriptor(target), "", flags, None).map_err(errno)?;
    Ok(None)
}

/// Attaches a detached mount.
pub(super) fn attach(tree: impl AsFd, target: impl AsFd) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", target, "", flags).map_err(errno)
}

/// Limits a mount that is attached, and all below it.
pub(super) fn limit(tree: &OwnedFd, limits: Limits) -> Result<(), Errno> {
    let Limits { read_only, no_devices } = limits;
    if !read_only && !no_devices {
        return Ok(());
    }
    if fault::lacks("mount_setattr") {
        return remount::limit(tree, limits);
    }
    let mut set = MountAttrFlags::empty();
    set.set(MountAttrFlags::MOUNT_ATTR_RDONLY, read_only);
    set.set(MountAttrFlags::MOUNT_ATTR_NODEV, no_devices);
    let attributes = MountAttributes { set: set.bits().into(), ..MountAttributes::default() };
    match sys::set_mount_attributes(tree.as_fd(), true, attributes) {
        Err(Errno::ENOSYS) => remount::limit(tree, limits),
        answer => answer,
    }
}

/// A path that leads to what a descriptor refers to.
pub(super) fn by_descriptor(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

pub(super) fn errno(errno: rustix::io::Errno) -> Errno {
    Errno::from_raw(errno.raw_os_error())
}
