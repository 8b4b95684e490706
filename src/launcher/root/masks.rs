//! What of the kernel's own files a container does not see, or can't write (runtime-spec, config-linux.md: masked paths,
//! read-only paths; the lists are Docker's).
//!
//! Names are looked up below file systems that were just mounted and checked to be the kernel's, and what is put over them is a
//! null device that was checked to be one: neither can be swapped by what is in the root (CVE-2025-31133, CVE-2025-52881).

use super::kernel::{HARMLESS, change_to};
use super::tree;
use crate::launcher::failure::{During, Failure, Step};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use std::path::Path;

/// Files of /proc that are empty inside.
const FILES: [&str; 7] = ["interrupts", "kcore", "keys", "latency_stats", "sched_debug", "timer_list", "timer_stats"];
/// Directories of /proc that are empty inside.
const DIRECTORIES: [&str; 3] = ["acpi", "asound", "scsi"];
/// Directories of /sys that are empty inside.
const OF_SYS: [&str; 2] = ["firmware", "devices/virtual/powercap"];
/// What of /proc is read-only.
const READ_ONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// Hides what is not for a container. What this kernel does not have needs no hiding.
pub(super) fn hide(proc: &OwnedFd, sys: &OwnedFd, null: &OwnedFd) -> Result<(), Failure> {
    change_to(proc)?;
    let null = tree::by_descriptor(null);
    for name in FILES {
        unless_absent(mount(&null, name, "", MountFlags::BIND, None)).during(|| masked("/proc", name))?;
    }
    for name in DIRECTORIES {
        empty(name).during(|| masked("/proc", name))?;
    }
    change_to(sys)?;
    for name in OF_SYS {
        empty(name).during(|| masked("/sys", name))?;
    }
    Ok(())
}

/// Makes read-only what every process could set for the whole machine.
pub(super) fn protect(proc: &OwnedFd) -> Result<(), Failure> {
    change_to(proc)?;
    for name in READ_ONLY {
        let step = || Step::of(format!("make /proc/{name} read-only"));
        match mount(name, name, "", MountFlags::BIND | MountFlags::REC, None) {
            Err(Errno::NOENT) => continue,
            answer => answer.during(step)?,
        }
        let flags = MountFlags::BIND | MountFlags::RDONLY | HARMLESS;
        rustix::mount::mount_remount(name, flags, c"").during(step)?;
    }
    Ok(())
}

/// Puts an empty directory over one.
fn empty(name: &str) -> Result<(), Errno> {
    unless_absent(mount("tmpfs", name, "tmpfs", HARMLESS | MountFlags::RDONLY, c"size=0,nr_inodes=1,mode=755"))
}

fn unless_absent(answer: Result<(), Errno>) -> Result<(), Errno> {
    match answer {
        Err(Errno::NOENT) => Ok(()),
        answer => answer,
    }
}

fn masked(directory: &str, name: &str) -> Step {
    Step::of(format!("hide {}", Path::new(directory).join(name).display()))
}
