//! Volumes: mounts of another mount namespace, of which the container gets copies.
//!
//! They are taken outside, before process 1 is cloned: root of a user namespace could not enter that namespace.

use super::{kernel, tree};
use crate::launcher::failure::{During, Failure, Step};
use crate::launcher::sys::{self, MountAttributes};
use crate::model::Propagation;
use crate::model::container::{MountKind, Root};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{MountAttrFlags, MountPropagationFlags, OpenTreeFlags, mount_change, open_tree};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;

/// Copies of mounts, in the order in which the container's mounts name them; each is taken once.
#[derive(Debug, Default)]
pub(in crate::launcher) struct Volumes(RefCell<VecDeque<OwnedFd>>);

impl Volumes {
    /// Those of a container. To be called by a process that never had a second thread.
    ///
    /// # Errors
    /// When there is no such namespace, or nothing at a path in it.
    pub(in crate::launcher) fn take(root: &Root) -> Result<Self, Failure> {
        let Root::Own(root) = root else { return Ok(Self::default()) };
        let named = root.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Volume { namespace, path, .. } => Some((namespace, path)),
            MountKind::Bind { .. } | MountKind::Tmpfs => None,
        });
        named.map(|(namespace, path)| copy(namespace, path)).collect::<Result<_, _>>().map(RefCell::new).map(Self)
    }

    /// The next one.
    pub(super) fn next(&self) -> Result<OwnedFd, Errno> {
        self.0.borrow_mut().pop_front().ok_or(Errno::ENOENT)
    }
}

/// A copy of the mount at a path in a mount namespace. The calling process goes there, and comes back.
pub(in crate::launcher) fn copy(namespace: &Path, path: &Path) -> Result<OwnedFd, Failure> {
    let open = || Step::Open { path: namespace.to_owned() };
    let there = File::open(namespace).during(open)?;
    let here = File::open("/proc/self/ns/mnt").during(open)?;
    let directory = |path| openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let (root, working) = (directory("/").during(open)?, directory(".").during(open)?);
    let enter = || Step::of(format!("enter the mount namespace {}", namespace.display()));
    setns(&there, CloneFlags::CLONE_NEWNS).during(enter)?;
    let copied = open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC);
    let back = || Step::of("come back from the mount namespace of the volumes");
    setns(&here, CloneFlags::CLONE_NEWNS).during(back)?;
    // Entered, a namespace's own root is the root; that of this process may have been another one.
    rustix::process::fchdir(&root).during(back)?;
    rustix::process::chroot(".").during(back)?;
    rustix::process::fchdir(&working).during(back)?;
    copied.during(|| Step::of(format!("take the volume {} from {}", path.display(), namespace.display())))
}

/// Attaches a copy, and limits what can be done in it.
pub(in crate::launcher) fn mount(
    tree: &OwnedFd,
    place: &OwnedFd,
    read_only: bool,
    is_confined: bool,
    propagation: Propagation,
) -> Result<(), Errno> {
    if is_confined && kernel::is_in_proc(place)? {
        return Err(Errno::EPERM);
    }
    let mut limits = MountAttrFlags::empty();
    limits.set(MountAttrFlags::MOUNT_ATTR_RDONLY, read_only);
    limits.set(MountAttrFlags::MOUNT_ATTR_NODEV, is_confined);
    // Before it is attached, where the kernel can: nobody is to find it without.
    if limits.is_empty() || sys::set_mount_attributes(tree.as_fd(), true, attributes(limits)).is_ok() {
        tree::attach(tree, place)?;
    } else {
        tree::attach(tree, place)?;
        tree::limit(tree, limits)?;
    }
    propagate(tree, propagation)
}

fn attributes(limits: MountAttrFlags) -> MountAttributes {
    MountAttributes { set: limits.bits().into(), ..MountAttributes::default() }
}

/// Sets who sees what is mounted in an attached copy.
fn propagate(mount: &OwnedFd, propagation: Propagation) -> Result<(), Errno> {
    let flags = match propagation {
        Propagation::Private => MountPropagationFlags::PRIVATE,
        // As the mount that it is a copy of.
        Propagation::Shared => return Ok(()),
        Propagation::Slave => MountPropagationFlags::DOWNSTREAM,
        Propagation::Unbindable => MountPropagationFlags::UNBINDABLE,
    };
    let set = MountAttributes { propagation: u64::from(flags.bits()), ..MountAttributes::default() };
    match sys::set_mount_attributes(mount.as_fd(), false, set) {
        Err(Errno::ENOSYS) => mount_change(tree::by_descriptor(mount), flags).map_err(tree::errno),
        answer => answer,
    }
}
