//! The system calls that neither nix nor rustix has in a safe form: but for the springboard's, the only unsafe code of the launcher.

#![allow(unsafe_code, reason = "each call is stated with why it is sound; nobody else may")]

use nix::errno::Errno;
use nix::libc::{self, c_int, c_long};
use nix::sched::{self, CloneFlags};
use nix::unistd::Pid;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What a process is after it was doubled.
#[derive(Debug)]
pub(super) enum Doubled<P> {
    /// The new one.
    Child,
    /// The one that was there, with what it knows of the new one.
    Parent(P),
}

/// `struct clone_args` (linux/sched.h), as far as kernels from 5.7 on know it.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// clone3(2): a child in new namespaces and, where one is given, in a cgroup of version 2. It goes on where the parent is,
/// with memory of its own, as after fork(2).
///
/// To be called by processes that never had a second thread: what another one held, the child would wait for forever.
pub(super) fn clone(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Doubled<(Pid, OwnedFd)>, Errno> {
    let mut pidfd: c_int = -1;
    let mut arguments = CloneArgs {
        flags: flags | libc::CLONE_PIDFD as u64,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    // SAFETY: the structure is as long as is said and lives until the call is over; without CLONE_VM and with no stack given,
    // the child has a copy of all memory, so that nothing that it does is seen here. There is one thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<CloneArgs>()) };
    match Errno::result(pid)? {
        0 => Ok(Doubled::Child),
        pid => {
            // SAFETY: the kernel has just opened it, for this process alone.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Doubled::Parent((Pid::from_raw(i32::try_from(pid).unwrap_or_default()), pidfd)))
        }
    }
}

/// Not in libc for all architectures (linux/sched.h).
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// fork(2), for processes that never had a second thread.
pub(super) fn fork() -> Result<Doubled<Pid>, Errno> {
    // SAFETY: there is one thread, so that the child finds no lock held by another one.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Child => Ok(Doubled::Child),
        nix::unistd::ForkResult::Parent { child } => Ok(Doubled::Parent(child)),
    }
}

/// What a child does its work in until it executes something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// A copy of the caller's.
    Own,
    /// The caller's itself (CLONE_VM), which takes a third of the time.
    Borrowed,
}

/// How much of a stack a child gets: many times what it needs.
const STACK: usize = 256 * 1024;

/// Starts a child that is to execute something else, and goes on when it has, or has ended. What `child` returns, it ends with.
///
/// With borrowed memory it must be nobody else than the caller is: who may look into it, looks into both. What it keeps of the
/// memory that it has asked for is the caller's, who never gives that back.
///
/// To be called by processes that never had a second thread.
pub(super) fn spawn(memory: Memory, child: impl Fn() -> u8) -> Result<Pid, Errno> {
    let flags = match memory {
        Memory::Own => CloneFlags::CLONE_VFORK,
        Memory::Borrowed => CloneFlags::CLONE_VFORK | CloneFlags::CLONE_VM,
    };
    let mut stack = vec![0; STACK];
    let run = Box::new(|| exit(child()));
    // SAFETY: the caller does nothing until the child has memory of its own, or is no more (CLONE_VFORK), so that nobody else reads or
    // writes while it does. It leaves its stack by execve(2) or _exit(2) alone, and nothing is dropped twice. Who kills it while it
    // changes what the heap is made of may have the C library end the caller as well, which notices; signals other than SIGKILL are
    // blocked but for the moment before execve(2).
    let pid = unsafe { sched::clone(run, &mut stack, flags, Some(libc::SIGCHLD)) };
    debug_assert!(stack[..STACK / 2].iter().all(|byte| *byte == 0), "a stack of {STACK} bytes is too small");
    pid
}

/// Closes all files but the standard ones and these (close_range(2), from Linux 5.9 on).
///
/// To be called while this process has opened none besides that it still wants.
pub(super) fn close_all_but(kept: &[RawFd]) -> Result<(), Errno> {
    let close = |from: u32, to: u32| {
        // SAFETY: it touches no memory. Whoever still owned one of the files would find it closed, which fails, and harms nothing.
        Errno::result(unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) }).map(drop)
    };
    let mut kept: Vec<u32> = kept.iter().filter_map(|kept| u32::try_from(*kept).ok()).collect();
    kept.sort_unstable();
    let mut first = libc::STDERR_FILENO.cast_unsigned() + 1;
    for kept in kept {
        if kept > first {
            close(first, kept - 1)?;
        }
        first = first.max(kept + 1);
    }
    close(first, u32::MAX)
}

/// Has SIGPIPE end this process again, as it does where nobody says otherwise: Rust's runtime ignores it, and what is ignored
/// stays so in the program that is executed.
pub(super) fn default_sigpipe() -> Result<(), Errno> {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: no handler is set that could run.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.map(drop)
}

/// Has the kernel keep what becomes of children until they are waited for, whatever the caller did with SIGCHLD: where that is
/// ignored nothing is kept, and nothing said (waitpid(2), NOTES).
pub(super) fn default_sigchld() -> Result<(), Errno> {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: no handler is set that could run.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }.map(drop)
}

/// `struct mount_attr` (linux/mount.h).
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct MountAttributes {
    /// MOUNT_ATTR_*: what is set.
    pub(super) set: u64,
    /// MOUNT_ATTR_*: what is cleared before.
    pub(super) clear: u64,
    /// MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE, or nothing.
    pub(super) propagation: u64,
    /// With MOUNT_ATTR_IDMAP, the user namespace's open file.
    pub(super) user_namespace: u64,
}

/// mount_setattr(2) of the mount that a file was opened in (AT_EMPTY_PATH), and of those below where `recursive`.
pub(super) fn set_mount_attributes(
    mount: BorrowedFd<'_>,
    recursive: bool,
    attributes: MountAttributes,
) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let size = size_of::<MountAttributes>();
    // SAFETY: the path is a string that ends, the structure is as long as is said, and both outlive the call.
    let done: c_long = unsafe {
        libc::syscall(libc::SYS_mount_setattr, mount.as_raw_fd(), c"".as_ptr(), flags, &raw const attributes, size)
    };
    Errno::result(done).map(drop)
}

/// IFF_UP and IFF_RUNNING (netdevice(7)).
const UP_AND_RUNNING: libc::c_short = 0x1 | 0x40;

/// Brings the loopback interface of the calling process's network namespace up (SIOCSIFFLAGS, netdevice(7)).
pub(super) fn loopback_up() -> Result<(), Errno> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: all zeros is a request with an empty name and nothing asked.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (character, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *character = libc::c_char::from_ne_bytes([*byte]);
    }
    request.ifr_ifru.ifru_flags = UP_AND_RUNNING;
    // SAFETY: the request is what this call takes, and outlives it.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    Errno::result(done).map(drop)
}

/// Takes over a file that has just come with a message (SCM_RIGHTS, unix(7)), or from who has executed this program.
pub(super) fn own(received: RawFd) -> OwnedFd {
    // SAFETY: the kernel has opened it for this process with the message or before its start, and nobody else knows its number.
    unsafe { OwnedFd::from_raw_fd(received) }
}

/// Ends the calling process at once, with nothing of what it has from its parent run or written (_exit(2)).
pub(super) fn exit(code: u8) -> ! {
    // SAFETY: it does not return, and touches no memory.
    unsafe { libc::_exit(code.into()) }
}

/// Has what a command starts write `0` to these files before it is executed: so a process goes into cgroups by itself.
pub(super) fn enter_before_exec(command: &mut Command, files: Vec<File>) {
    let enter = move || files.iter().try_for_each(|mut file| file.write_all(b"0"));
    // SAFETY: between fork and exec, other threads may hold locks; this takes none and allocates nothing, it calls write(2).
    unsafe { command.pre_exec(enter) };
}
