//! A layer in memory above the files of a root (overlayfs on tmpfs; kernel documentation, filesystems/overlayfs.rst).
//!
//! Both mounts are made without a place in the tree, and the lower directory is given by its descriptor. Before Linux 6.15
//! overlayfs wants its layers attached and by name: then the tmpfs lies above the machine's root, and goes with it in `pivot`.

use super::inside::open_directory;
use super::{apart, base, tree};
use crate::fault;
use crate::launcher::failure::{During, Failure, Step};
use crate::model::container::{Namespaces, Root, RootFileSystem, RootSource, Writes};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Gid, Mode, OFlags, Uid, fchown, fstat, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, mount,
};
use std::path::Path;

const MEMORY: &str = "tmpfs";
const OVERLAY: &str = "overlay";

/// A root that is made outside, for who could not make it inside.
#[derive(Debug)]
pub(in crate::launcher) struct Prepared(OwnedFd);

/// Makes the machine's own root with a layer above it, attached nowhere, where a container with a user namespace of its own is to
/// have that: the kernel does not let such a one leave out what is mounted in the machine's root. Nothing where it is not wanted,
/// or can't be had.
pub(in crate::launcher) fn prepare(root: &Root, namespaces: &Namespaces) -> Option<Prepared> {
    let Root::Own(RootFileSystem { source: RootSource::Host, writes: Writes::Layer, .. }) = root else { return None };
    if namespaces.user.is_none() || fault::lacks("open_tree") {
        return None;
    }
    let lower = open_directory(Path::new("/")).ok()?;
    let root = match by_descriptor(&lower, false) {
        Err(errno) if wants_names(errno) => apart::layered().ok(),
        root => root.ok(),
    };
    root.map(Prepared)
}

impl Prepared {
    /// Attaches it.
    pub(super) fn attach(&self, machine: &OwnedFd) -> Result<OwnedFd, Failure> {
        let what = || Step::Mount { what: "the machine's own root".into(), at: "/".into() };
        let root = self.0.try_clone().during(what)?;
        tree::attach(&root, machine).during(what)?;
        Ok(root)
    }
}

/// Attaches the lower directory with a layer above it.
pub(super) fn attach(lower: &OwnedFd, machine: &OwnedFd, in_user_namespace: bool) -> Result<OwnedFd, Failure> {
    let what = || Step::Mount { what: "a layer in memory (overlayfs)".into(), at: "/".into() };
    match by_descriptor(lower, in_user_namespace) {
        Ok(root) => {
            tree::attach(&root, machine).during(what)?;
            Ok(root)
        }
        Err(errno) if wants_names(errno) => by_name(lower, in_user_namespace).during(what),
        Err(errno) => Err(errno).during(what),
    }
}

/// Whether that is what an older kernel answers: it lacks the calls, or the parameters, or overlayfs does not take what is not
/// attached. Before 6.5, where it has no such parameters at all, it is EOPNOTSUPP.
fn wants_names(errno: Errno) -> bool {
    matches!(errno, Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP)
}

/// Makes it attached nowhere.
fn by_descriptor(lower: &OwnedFd, in_user_namespace: bool) -> Result<OwnedFd, Errno> {
    if fault::lacks("open_tree") || fault::lacks("overlay_by_descriptor") {
        return Err(Errno::NOSYS);
    }
    let memory = fsopen(MEMORY, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&memory, "mode", "700")?;
    fsconfig_create(&memory)?;
    let memory = fsmount(&memory, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    let [upper, work] = directories(&memory, lower)?;
    let overlay = fsopen(OVERLAY, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&overlay, "source", OVERLAY)?;
    fsconfig_set_fd(&overlay, "lowerdir+", lower)?;
    fsconfig_set_fd(&overlay, "upperdir", &upper)?;
    fsconfig_set_fd(&overlay, "workdir", &work)?;
    if in_user_namespace {
        fsconfig_set_flag(&overlay, "userxattr")?;
    }
    fsconfig_create(&overlay)?;
    fsmount(&overlay, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

/// Makes it above the root that this process has.
pub(super) fn by_name(lower: &OwnedFd, in_user_namespace: bool) -> Result<OwnedFd, Errno> {
    mount(MEMORY, "/", MEMORY, MountFlags::empty(), c"mode=700")?;
    let memory = base::uppermost()?;
    let [upper, work] = directories(&memory, lower)?;
    let [lower, upper, work] = [lower, &upper, &work].map(tree::by_descriptor);
    let mut options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    if in_user_namespace {
        options.push_str(",userxattr");
    }
    let options = std::ffi::CString::new(options).map_err(|_| Errno::INVAL)?;
    mount(OVERLAY, "/", OVERLAY, MountFlags::empty(), Some(options.as_c_str()))?;
    base::uppermost()
}

/// The directories for what is written and for overlayfs itself. The layer's is the root that is seen, and so has the mode and
/// the owner of the one below.
fn directories(memory: &OwnedFd, lower: &OwnedFd) -> Result<[OwnedFd; 2], Errno> {
    let below = fstat(lower)?;
    mkdirat(memory, "upper", Mode::from_raw_mode(below.st_mode))?;
    mkdirat(memory, "work", Mode::from_raw_mode(0o700))?;
    let open = |name| openat(memory, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let directories = [open("upper")?, open("work")?];
    let made = fstat(&directories[0])?;
    if (made.st_uid, made.st_gid) != (below.st_uid, below.st_gid) {
        match fchown(directories[0].as_fd(), Some(Uid::from_raw(below.st_uid)), Some(Gid::from_raw(below.st_gid))) {
            // Nobody in this user namespace: then it is root's inside.
            Err(Errno::INVAL | Errno::PERM) => {}
            answer => answer?,
        }
    }
    Ok(directories)
}
