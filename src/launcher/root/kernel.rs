//! /proc, /sys and /sys/fs/cgroup.

use super::inside::{DIRECTORY, Inside, open_directory};
use super::tree;
use crate::launcher::failure::{During, Failure, Step};
use nix::errno::Errno;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, fstatfs, openat, statfs};
use rustix::mount::{MountFlags, mount};
use std::path::Path;

/// What is true of the kernel's own file systems anywhere.
pub(super) const HARMLESS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// The number by which statfs(2) calls a file system (linux/magic.h).
const PROC: i64 = 0x9fa0;
const SYSFS: i64 = 0x6265_6572;
const CGROUP2: i64 = 0x6367_7270;

/// Mounts /proc and opens it. Where processes are the caller's, so is what is told about them.
pub(super) fn mount_proc(inside: &Inside, has_own_processes: bool) -> Result<OwnedFd, Failure> {
    let place = inside.directory("proc", "proc")?;
    let step = || Step::Mount { what: "proc".into(), at: "/proc".into() };
    if has_own_processes {
        file_system("proc", HARMLESS, None, &place).during(step)?;
    } else {
        tree::bind(open_directory(Path::new("/proc"))?, tree::Extent::WithBelow, &place).during(step)?;
    }
    let proc = inside.mounted("proc")?;
    // Masks and the rights of the container are set by what is found here.
    is_of(&proc, PROC).during(step)?;
    Ok(proc)
}

/// Mounts /sys and opens it. In a user namespace that the network is not of, the kernel mounts none: then it is the machine's.
pub(super) fn mount_sys(inside: &Inside, is_confined: bool) -> Result<OwnedFd, Failure> {
    let place = inside.directory("sys", "sysfs")?;
    let step = || Step::Mount { what: "sysfs".into(), at: "/sys".into() };
    let flags = if is_confined { HARMLESS | MountFlags::RDONLY } else { HARMLESS };
    match file_system("sysfs", flags, None, &place) {
        Err(Errno::EPERM) => {
            tree::bind(open_directory(Path::new("/sys"))?, tree::Extent::WithBelow, &place).during(step)?;
            let sys = inside.mounted("sys")?;
            tree::limit(&sys, tree::Limits { read_only: true, no_devices: true }).during(step)?;
        }
        answer => answer.during(step)?,
    }
    let sys = inside.mounted("sys")?;
    is_of(&sys, SYSFS).during(step)?;
    Ok(sys)
}

/// Mounts cgroup version 2 where the machine has it at the usual place: inside a cgroup namespace, the container's own part of
/// it. The hierarchies of version 1 are left out: each would be a mount of its own, and nothing new reads them.
pub(super) fn mount_cgroup(sys: &OwnedFd, is_confined: bool) -> Result<(), Failure> {
    if !statfs("/sys/fs/cgroup").is_ok_and(|about| about.f_type == CGROUP2) {
        return Ok(());
    }
    let step = || Step::Mount { what: "cgroup2".into(), at: "/sys/fs/cgroup".into() };
    let place = openat(sys, "fs/cgroup", DIRECTORY, Mode::empty()).during(step)?;
    if fstatfs(&place).is_ok_and(|about| about.f_type == CGROUP2) {
        return Ok(()); // it came with the machine's /sys
    }
    let flags = if is_confined { HARMLESS | MountFlags::RDONLY } else { HARMLESS };
    match file_system("cgroup2", flags, None, &place) {
        // A user namespace without a cgroup namespace of its own.
        Err(Errno::EPERM) => Ok(()),
        answer => answer.during(step),
    }
}

/// Mounts a new file system on a directory, which may not be reachable by any name.
pub(super) fn file_system(
    kind: &str,
    flags: MountFlags,
    options: Option<&std::ffi::CStr>,
    place: &OwnedFd,
) -> Result<(), Errno> {
    rustix::process::fchdir(place).map_err(tree::errno)?;
    mount(kind, ".", kind, flags, options).map_err(tree::errno)
}

/// Whether a directory is the kernel's own, and nothing that was put in its place.
fn is_of(directory: &OwnedFd, magic: i64) -> Result<(), Errno> {
    let about = fstatfs(directory).map_err(tree::errno)?;
    if about.f_type == magic { Ok(()) } else { Err(Errno::ENODEV) }
}

/// Whether something is in /proc, where nothing may take the kernel's place.
pub(super) fn is_in_proc(file: &OwnedFd) -> Result<bool, Errno> {
    Ok(fstatfs(file).map_err(tree::errno)?.f_type == PROC)
}

/// The directory in which this process is, for what is mounted by a name below it.
pub(super) fn change_to(directory: &OwnedFd) -> Result<(), Failure> {
    rustix::process::fchdir(directory).during(|| Step::of("change to a directory of the root"))
}
