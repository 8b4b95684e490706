//! A layer above the files of a root, in memory or on a disk (overlayfs; kernel documentation, filesystems/overlayfs.rst).
//!
//! The mounts are made without a place in the tree, and the directories are given by their descriptors. Before Linux 6.15
//! overlayfs wants its layers attached and by name: then the tmpfs lies above the machine's root, and goes with it in `pivot`.

use super::inside::open_directory;
use super::{apart, base, tree};
use crate::launcher::failure::{During, Failure, Step};
use crate::model::container::{Namespaces, Root, RootFileSystem, RootSource, Writes};
use crate::{directory, fault};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, mount,
};
use rustix::process::{chdir, fchdir};
use std::fs::DirBuilder;
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

const MEMORY: &str = "tmpfs";
const OVERLAY: &str = "overlay";

/// What the kernel copies of a mount's options, in bytes with the one that ends them; it says nothing of the rest that it leaves out
/// (copy_mount_options, fs/namespace.c).
const LONGEST_OPTIONS: usize = 4096;

/// A root that is made outside, for who could not make it inside.
#[derive(Debug)]
pub(in crate::launcher) struct Prepared(OwnedFd);

/// Makes a root with a layer above it, attached nowhere, where a container with a user namespace of its own is to have the
/// machine's own root: the kernel does not let such a one leave out what is mounted in that. Or layers of files: those may be
/// where nobody of its user namespace gets. Nothing where it is not wanted.
///
/// # Errors
/// When a root of layers can't be made. Where the machine's own can't, there is nothing: inside it is known what to do about that.
pub(in crate::launcher) fn prepare(root: &Root, namespaces: &Namespaces) -> Result<Option<Prepared>, Failure> {
    let Root::Own(RootFileSystem { source, writes, .. }) = root else { return Ok(None) };
    let is_wanted = match source {
        RootSource::Directory(_) => false,
        RootSource::Host => *writes == Writes::Layer,
        RootSource::Layers(_) => rustix::process::geteuid().is_root(),
    };
    if namespaces.user.is_none() || !is_wanted || fault::lacks("open_tree") {
        return Ok(None);
    }
    let layers = Layers::open(&base::files_of(source).0, writes)?;
    let root = match by_descriptor(&layers, false) {
        Err(errno) if wants_names(errno) => apart::layered(source, writes),
        root => root.during(overlay),
    };
    match root {
        Err(_) if *source == RootSource::Host => Ok(None),
        root => root.map(|root| Some(Prepared(root))),
    }
}

fn overlay() -> Step {
    Step::Mount { what: "a layer above the root's files (overlayfs)".into(), at: "/".into() }
}

/// The directories of a root with a layer above it, open.
pub(super) struct Layers {
    /// Those for files, the uppermost first.
    lower: Vec<OwnedFd>,
    /// That for what is written; a new one in memory where there is none.
    above: Option<OwnedFd>,
}

impl Layers {
    pub(super) fn open(lower: &[&Path], writes: &Writes) -> Result<Self, Failure> {
        let lower = lower.iter().map(|path| open_directory(path)).collect::<Result<_, _>>()?;
        let above = match writes {
            Writes::Above(upper) => {
                let make = || Step::Make { path: upper.directory.clone() };
                DirBuilder::new().mode(0o700).recursive(true).create(&upper.directory).during(make)?;
                Some(open_directory(&upper.directory)?)
            }
            Writes::Layer | Writes::Through => None,
        };
        Ok(Self { lower, above })
    }

    fn uppermost(&self) -> Result<&OwnedFd, Errno> {
        self.lower.first().ok_or(Errno::INVAL)
    }
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

/// Removes what goes with a container that has ended: the layer that it has written to, where that is not kept.
///
/// # Errors
/// When something can't be removed.
pub fn remove(root: &Root) -> Result<(), Failure> {
    let Root::Own(RootFileSystem { writes: Writes::Above(upper), .. }) = root else { return Ok(()) };
    for path in &upper.goes {
        match directory::remove_all(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed.during(|| Step::of(format!("remove {}", path.display())))?,
        }
    }
    Ok(())
}

/// Attaches directories with a layer above them.
pub(super) fn attach(layers: &Layers, machine: &OwnedFd, in_user_namespace: bool) -> Result<OwnedFd, Failure> {
    match by_descriptor(layers, in_user_namespace) {
        Ok(root) => {
            tree::attach(&root, machine).during(overlay)?;
            Ok(root)
        }
        Err(errno) if wants_names(errno) => by_name(layers, in_user_namespace).during(overlay),
        Err(errno) => Err(errno).during(overlay),
    }
}

/// Whether that is what an older kernel answers: it lacks the calls, or the parameters, or overlayfs does not take what is not
/// attached. Before 6.5, where it has no such parameters at all, it is EOPNOTSUPP.
fn wants_names(errno: Errno) -> bool {
    matches!(errno, Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP)
}

/// Makes it attached nowhere.
fn by_descriptor(layers: &Layers, in_user_namespace: bool) -> Result<OwnedFd, Errno> {
    if fault::lacks("open_tree") || fault::lacks("overlay_by_descriptor") {
        return Err(Errno::NOSYS);
    }
    // There until the overlay is: a mount that is attached nowhere goes with its last descriptor.
    let memory;
    let above = if let Some(above) = &layers.above {
        above
    } else {
        let context = fsopen(MEMORY, FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&context, "mode", "700")?;
        fsconfig_create(&context)?;
        memory = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        &memory
    };
    let [upper, work] = directories(above, layers.uppermost()?)?;
    let overlay = fsopen(OVERLAY, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&overlay, "source", OVERLAY)?;
    for lower in &layers.lower {
        fsconfig_set_fd(&overlay, "lowerdir+", lower)?;
    }
    fsconfig_set_fd(&overlay, "upperdir", &upper)?;
    fsconfig_set_fd(&overlay, "workdir", &work)?;
    if in_user_namespace {
        fsconfig_set_flag(&overlay, "userxattr")?;
    }
    fsconfig_create(&overlay)?;
    fsmount(&overlay, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

/// Makes it above the root that this process has.
pub(super) fn by_name(layers: &Layers, in_user_namespace: bool) -> Result<OwnedFd, Errno> {
    let [upper, work] = if let Some(above) = &layers.above {
        directories(above, layers.uppermost()?)?
    } else {
        mount(MEMORY, "/", MEMORY, MountFlags::empty(), c"mode=700")?;
        directories(&base::uppermost()?, layers.uppermost()?)?
    };
    let number = |file: &OwnedFd| file.as_raw_fd().to_string();
    let lower: Vec<String> = layers.lower.iter().map(number).collect();
    let [upper, work] = [&upper, &work].map(number);
    let mut options = format!("lowerdir={},upperdir={upper},workdir={work}", lower.join(":"));
    if in_user_namespace {
        options.push_str(",userxattr");
    }
    if options.len() >= LONGEST_OPTIONS {
        return Err(Errno::TOOBIG);
    }
    let options = std::ffi::CString::new(options).map_err(|_| Errno::INVAL)?;
    // By numbers in the directory of descriptors: by their whole paths, no more than about 220 layers can be named.
    let here = openat(CWD, ".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    chdir("/proc/self/fd")?;
    let mounted = mount(OVERLAY, "/", OVERLAY, MountFlags::empty(), Some(options.as_c_str()));
    fchdir(&here)?;
    mounted?;
    base::uppermost()
}

/// The directories for what is written and for overlayfs itself. The layer's is the root that is seen, and so has the mode and
/// the owner of the one below.
fn directories(memory: &OwnedFd, lower: &OwnedFd) -> Result<[OwnedFd; 2], Errno> {
    let below = fstat(lower)?;
    let at = |name, mode| match mkdirat(memory, name, Mode::from_raw_mode(mode)) {
        Err(Errno::EXIST) => Ok(false), // of a container that was there before, and has kept it
        made => made.map(|()| true),
    };
    let is_new = at("upper", below.st_mode)?;
    at("work", 0o700)?;
    let open = |name| openat(memory, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let directories = [open("upper")?, open("work")?];
    if is_new {
        // Whatever the umask has made of it.
        fchmod(&directories[0], Mode::from_raw_mode(below.st_mode))?;
    }
    let made = fstat(&directories[0])?;
    if is_new && (made.st_uid, made.st_gid) != (below.st_uid, below.st_gid) {
        match fchown(directories[0].as_fd(), Some(Uid::from_raw(below.st_uid)), Some(Gid::from_raw(below.st_gid))) {
            // Nobody in this user namespace: then it is root's inside.
            Err(Errno::INVAL | Errno::PERM) => {}
            answer => answer?,
        }
    }
    Ok(directories)
}
