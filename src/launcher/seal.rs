//! Executing nslab once more in such a way that nobody can write to its file through /proc/PID/exe (CVE-2019-5736).
//!
//! Process 1 of a container is nslab. Who is root inside could open its executable and, once no process runs it, overwrite
//! it: the machine's own program. So it is executed out of a read-only mount that is nowhere in the file tree, which costs
//! two system calls; or, where a mount can't be made, out of a sealed copy in memory. Where the caller could not write to
//! the file anyway, neither could who is root in a container of his.

use super::failure::{During, Failure, Step};
use super::launch::{Launch, Output};
use super::springboard::Springboard;
use super::sys::{MountAttributes, set_mount_attributes};
use crate::model::container::{Capability, Rights};
use nix::fcntl::{AtFlags, FcntlArg, FdFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use rustix::mount::{OpenTreeFlags, open_tree};
use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;

/// What keeps nslab's file out of reach of a container.
#[derive(Debug)]
pub(super) enum Guard {
    /// The calling process was executed out of what [`executable`] gives, which may still be open.
    Sealed(Option<OwnedFd>),
    /// Nobody can look into process 1, and the command is executed by way of this.
    Springboard(Springboard),
}

impl Guard {
    /// That of a container whose launcher is the calling process, as it is; `None` where that must be executed anew.
    pub(super) fn without_execution(launch: &Launch) -> Option<Self> {
        let container = &launch.container;
        if launch.output != Output::Callers {
            return None; // that process 1 is to stay, and to be small
        }
        // Who may look into process 1 finds its executable; without it, there is nobody between the command and nslab.
        let is_out_of_reach = match &container.rights {
            Rights::Callers | Rights::Privileged => false,
            Rights::Confined { capabilities } => {
                !capabilities.contains(&Capability::SysPtrace) && container.namespaces.pid
            }
        };
        if is_out_of_reach { Springboard::new().map(Self::Springboard) } else { None }
    }
}

/// nslab's own executable, whatever is at its path by now.
const SELF: &str = "/proc/self/exe";

/// MOUNT_ATTR_RDONLY (linux/mount.h).
const READ_ONLY: u64 = 1;

/// nslab's executable, open such that what is executed from it can't be written to.
///
/// # Errors
/// When the kernel has neither such mounts nor memory.
pub(super) fn executable() -> Result<OwnedFd, Failure> {
    if let Some(mounted) = mounted_read_only() {
        return Ok(mounted);
    }
    let file = File::open(SELF).during(|| Step::Open { path: SELF.into() })?;
    if is_out_of_reach(&file) { Ok(file.into()) } else { copied(file) }
}

/// `None` where the caller may not mount, or the kernel can't do it this way (5.12).
fn mounted_read_only() -> Option<OwnedFd> {
    if crate::fault::lacks("mount-api") {
        return None;
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(rustix::fs::CWD, SELF, flags).ok()?;
    let read_only = MountAttributes { set: READ_ONLY, ..MountAttributes::default() };
    set_mount_attributes(mount.as_fd(), false, read_only).ok()?;
    Some(mount)
}

/// Whether neither the caller nor root in a user namespace of his can write to the file.
fn is_out_of_reach(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    let is_root = nix::unistd::geteuid().is_root();
    let is_owner = file.metadata().is_ok_and(|metadata| metadata.uid() == nix::unistd::geteuid().as_raw());
    let is_writable = nix::unistd::access(SELF, nix::unistd::AccessFlags::W_OK).is_ok();
    !(is_root || is_owner || is_writable)
}

fn copied(mut file: File) -> Result<OwnedFd, Failure> {
    let copy = || Step::of("copy nslab's own executable, so that no container can write to it");
    let sealed = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut memory = File::from(memfd_create("nslab", sealed).during(copy)?);
    std::io::copy(&mut file, &mut memory).during(copy)?;
    let seals = SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl(&memory, FcntlArg::F_ADD_SEALS(seals)).during(copy)?;
    Ok(memory.into())
}

/// Has the executable stay open in what is executed, and gives back its number. Closed, it takes its mount with it, for which the
/// kernel waits until all processors have seen it (a grace period of RCU): that is for a moment when nobody waits.
pub(super) fn stay_open(executable: &OwnedFd) -> Result<RawFd, Failure> {
    let keep = || Step::of("keep nslab's own executable open");
    fcntl(executable, FcntlArg::F_SETFD(FdFlag::empty())).during(keep)?;
    Ok(executable.as_raw_fd())
}

/// Has it closed in whatever is executed next.
pub(super) fn close_on_execution(executable: &OwnedFd) -> Result<(), Failure> {
    let close = || Step::of("have nslab's own executable closed");
    fcntl(executable, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).during(close).map(drop)
}

/// Executes nslab anew in place of the calling process, out of what [`executable`] has given, with these arguments and this
/// environment.
///
/// # Errors
/// Always when it returns.
pub(super) fn execute(executable: &OwnedFd, arguments: &[String], environment: Vec<(OsString, OsString)>) -> Failure {
    match try_execute(executable, arguments, environment) {
        Ok(never) => match never {},
        Err(failure) => failure,
    }
}

fn try_execute(
    executable: &OwnedFd,
    arguments: &[String],
    environment: Vec<(OsString, OsString)>,
) -> Result<Infallible, Failure> {
    let words = std::iter::once("nslab".to_owned()).chain(arguments.iter().cloned()).map(String::into_bytes);
    let environment = environment.into_iter().map(|(name, value)| {
        let mut entry = name;
        entry.push("=");
        entry.push(value);
        OsString::into_vec(entry)
    });
    let execute = || Step::Execute { program: "nslab".into() };
    // Neither has a NUL in it: the arguments are nslab's own, and the kernel has handed over the environment.
    let strings = |all: Vec<Vec<u8>>| all.into_iter().filter_map(|text| CString::new(text).ok()).collect::<Vec<_>>();
    let (words, environment) = (strings(words.collect()), strings(environment.collect()));
    nix::unistd::execveat(executable, c"", &words, &environment, AtFlags::AT_EMPTY_PATH).during(execute)
}
