//! /dev: a file system in memory, with the devices that everybody may have.
//!
//! The devices are the machine's, bound one by one: the file system itself opens none, so that a device made in it is of no use.

use super::inside::Inside;
use super::kernel::{self, HARMLESS};
use crate::launcher::failure::{During, Failure, Step};
use nix::errno::Errno;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, makedev, mkdirat, mknodat, openat, statat, symlinkat};
use rustix::mount::MountFlags;

/// The devices: name, major and minor number (kernel documentation, admin-guide/devices.txt).
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Symbolic links, and what they say.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Mounts /dev with all that is in it, and opens its null device, which `masks` puts over files.
pub(super) fn mount(inside: &mut Inside, is_confined: bool, has_own_queues: bool) -> Result<OwnedFd, Failure> {
    let place = inside.directory("dev", "a file system for devices")?;
    let mut flags = MountFlags::NOSUID;
    flags.set(MountFlags::NODEV, is_confined);
    kernel::file_system("tmpfs", flags | MountFlags::STRICTATIME, Some(c"mode=755,size=64k"), &place)
        .during(|| Step::Mount { what: "tmpfs".into(), at: "/dev".into() })?;
    let dev = inside.mounted("dev")?;
    inside.owns(&dev).during(|| Step::of("look at /dev"))?;
    // From here on all names are in this file system, where nobody else is.
    kernel::change_to(&dev)?;
    for (name, major, minor) in DEVICES {
        device(name, makedev(major, minor))?;
    }
    for (name, says) in LINKS {
        symlinkat(says, CWD, name).during(|| Step::Make { path: in_dev(name) })?;
    }
    terminals()?;
    below("shm", "tmpfs", HARMLESS, Some(c"mode=1777,size=65536k"))?;
    if has_own_queues {
        below("mqueue", "mqueue", HARMLESS, None)?;
    }
    openat(CWD, "null", OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .during(|| Step::Open { path: in_dev("null") })
}

/// One of the machine's devices. What was bound is looked at afterwards, so that it does not matter what the name meant.
fn device(name: &str, number: u64) -> Result<(), Failure> {
    let path = in_dev(name);
    let step = || Step::Mount { what: path.display().to_string(), at: path.clone() };
    mknodat(CWD, name, FileType::RegularFile, Mode::from_raw_mode(0o666), 0).during(step)?;
    rustix::mount::mount(&path, name, "", MountFlags::BIND, None).during(step)?;
    let bound = statat(CWD, name, AtFlags::SYMLINK_NOFOLLOW).during(step)?;
    if FileType::from_raw_mode(bound.st_mode) != FileType::CharacterDevice || bound.st_rdev != number {
        return Err(Errno::ENODEV).during(|| Step::of(format!("take {} for what it is called", path.display())));
    }
    Ok(())
}

/// Terminals of the container's own. They are the group `tty`'s (5 with Debian, Fedora, Alpine and others) where it has that.
fn terminals() -> Result<(), Failure> {
    let step = || Step::Mount { what: "devpts".into(), at: in_dev("pts") };
    mkdirat(CWD, "pts", Mode::from_raw_mode(0o755)).during(step)?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    let with = |options| rustix::mount::mount("devpts", "pts", "devpts", flags, Some(options));
    match with(c"newinstance,ptmxmode=0666,mode=0620,gid=5") {
        Err(rustix::io::Errno::INVAL) => with(c"newinstance,ptmxmode=0666,mode=0620").during(step),
        answer => answer.during(step),
    }
}

fn below(name: &str, kind: &str, flags: MountFlags, options: Option<&std::ffi::CStr>) -> Result<(), Failure> {
    let step = || Step::Mount { what: kind.to_owned(), at: in_dev(name) };
    mkdirat(CWD, name, Mode::from_raw_mode(0o755)).during(step)?;
    rustix::mount::mount(kind, name, kind, flags, options).during(step)
}

fn in_dev(name: &str) -> std::path::PathBuf {
    std::path::Path::new("/dev").join(name)
}
