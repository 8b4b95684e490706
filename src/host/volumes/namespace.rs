//! A mount namespace with nothing in it but volumes, and the file that keeps it.
//!
//! Its root is a file system of its own: nothing of the machine's is held by it. The file is not in a place that others look at,
//! and what is mounted in there appears in no other table of mounts.

use crate::host::HostError;
use crate::host::error::FileContext;
use crate::{directory, fault};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, setns, unshare};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};
use nix::unistd::Pid;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What is there to pin a namespace.
pub(super) enum Pinned {
    /// Nothing.
    Nothing,
    /// A file, on which nothing is mounted.
    Empty,
    /// A namespace.
    Namespace(File),
}

pub(super) fn look(pin: &Path) -> Result<Pinned, HostError> {
    let file = match File::open(pin) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Pinned::Nothing),
        result => result.on_file("open", pin)?,
    };
    let is_nsfs = fstatfs(&file).map_err(io::Error::from).on_file("look at", pin)?.filesystem_type() == NSFS_MAGIC;
    Ok(if is_nsfs { Pinned::Namespace(file) } else { Pinned::Empty })
}

/// The namespace of this pin, made where there is none.
pub(super) fn ensure(pin: &Path) -> Result<File, HostError> {
    if let Pinned::Namespace(file) = look(pin)? {
        return Ok(file);
    }
    let parent = pin.parent().unwrap_or(Path::new("/"));
    directory::make_all(parent).on_file("make", parent)?;
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o444).open(pin).on_file("make", pin)?;
    fault::point(|| "before pinning the volumes' namespace".into());
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    let processors = (0..CpuSet::count()).filter(|at| allowed.is_set(*at).unwrap_or_default());
    for processor in std::iter::once(None).chain(processors.map(Some)) {
        let made = on_a_thread(|| {
            make_on(processor, parent).map_err(|source| refused("make a mount namespace for", pin, source))
        });
        let namespace = made?;
        let source = format!("/proc/self/fd/{}", namespace.as_raw_fd());
        match mount(Some(source.as_str()), pin, None::<&str>, MsFlags::MS_BIND, None::<&str>) {
            Ok(()) => return Ok(namespace),
            // A namespace can be pinned in an older one alone. Linux 6.18 takes that for older which has the smaller number, and
            // each processor hands out numbers of its own: that on which ours was made has greater ones.
            Err(Errno::EINVAL) => {}
            Err(source) => return Err(refused("pin a mount namespace at", pin, source)),
        }
    }
    Err(refused("pin a mount namespace at", pin, Errno::EINVAL))
}

/// As [`make`], on one of the processors.
fn make_on(processor: Option<usize>, place: &Path) -> Result<File, Errno> {
    if let Some(processor) = processor {
        let mut only = CpuSet::new();
        only.set(processor)?;
        sched_setaffinity(Pid::from_raw(0), &only)?;
    }
    make(place)
}

/// Makes one, and takes the calling thread there; `place` is any directory.
fn make(place: &Path) -> Result<File, Errno> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let file = File::open("/proc/thread-self/ns/mnt").map_err(|error| errno(&error))?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("nslab"), place, Some("tmpfs"), flags, Some("mode=700,size=1m"))?;
    nix::unistd::chdir(place)?;
    // The old root comes to lie above the new one (pivot_root(2), NOTES).
    nix::unistd::pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    Ok(file)
}

/// Does something in a namespace, on a thread that is there and nowhere else.
pub(super) fn inside<T: Send>(
    namespace: &File,
    work: impl FnOnce() -> Result<T, HostError> + Send,
) -> Result<T, HostError> {
    on_a_thread(|| {
        let enter = |source| refused("enter the mount namespace of", Path::new("the volumes"), source);
        // What a thread shares with others by default, it could not have in another namespace.
        unshare(CloneFlags::CLONE_FS).map_err(enter)?;
        setns(namespace, CloneFlags::CLONE_NEWNS).map_err(enter)?;
        work()
    })
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> Result<T, HostError> + Send) -> Result<T, HostError> {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Takes the pin away.
pub(super) fn unpin(pin: &Path) -> Result<(), HostError> {
    match umount2(pin, MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(source) => return Err(refused("unmount", pin, source)),
    }
    fault::point(|| "after unpinning the volumes' namespace".into());
    match std::fs::remove_file(pin) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.on_file("remove", pin),
    }
}

pub(super) fn refused(action: &'static str, path: &Path, source: Errno) -> HostError {
    HostError::Mount { action, path: path.to_owned(), source }
}

pub(super) fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw)
}
