//! The springboard's instructions.
//!
//! They find on the stack what the kernel leaves there for a new program (System V ABI, "Process Initialization"): how many
//! arguments there are, the arguments, a null, the environment, a null. The first argument is the path of the program to
//! execute, the others are that program's own.

#![allow(unsafe_code, reason = "instructions, and where they begin and end")]

use nix::libc;
use std::ffi::c_int;

/// Before the instructions, and for them to read: the number of the open file for the report.
pub(super) const REPORT: usize = 0;

/// Where the instructions begin.
pub(super) const START: usize = 8;

/// The processor that they are for (EM_X86_64, EM_AARCH64).
pub(super) const MACHINE: u16 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".pushsection .rodata.nslab_springboard, \"a\"",
    ".balign 8",
    ".hidden nslab_springboard",
    ".globl nslab_springboard",
    "nslab_springboard:",
    "2: .quad 0",
    // fcntl(report, F_SETFD, FD_CLOEXEC)
    "mov edi, dword ptr [rip + 2b]",
    "mov esi, {f_setfd}",
    "mov edx, {fd_cloexec}",
    "mov eax, {fcntl}",
    "syscall",
    // Where that is not open, nobody has executed this to be reported to.
    "test eax, eax",
    "jnz 3f",
    // execve(argv[0], argv + 1, environment)
    "mov rax, [rsp]",
    "mov rdi, [rsp + 8]",
    "lea rsi, [rsp + 16]",
    "lea rdx, [rsp + 8 * rax + 16]",
    "mov eax, {execve}",
    "syscall",
    // It has returned: write(report, &answer, 8)
    "push rax",
    "mov edi, dword ptr [rip + 2b]",
    "mov rsi, rsp",
    "mov edx, 8",
    "mov eax, {write}",
    "syscall",
    "3: mov edi, 127",
    "mov eax, {exit_group}",
    "syscall",
    ".hidden nslab_springboard_end",
    ".globl nslab_springboard_end",
    "nslab_springboard_end:",
    ".popsection",
    f_setfd = const libc::F_SETFD,
    fd_cloexec = const libc::FD_CLOEXEC,
    fcntl = const libc::SYS_fcntl,
    execve = const libc::SYS_execve,
    write = const libc::SYS_write,
    exit_group = const libc::SYS_exit_group,
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".pushsection .rodata.nslab_springboard, \"a\"",
    ".balign 8",
    ".hidden nslab_springboard",
    ".globl nslab_springboard",
    "nslab_springboard:",
    "2: .quad 0",
    // fcntl(report, F_SETFD, FD_CLOEXEC)
    "ldr w0, 2b",
    "mov x1, {f_setfd}",
    "mov x2, {fd_cloexec}",
    "mov x8, {fcntl}",
    "svc 0",
    // Where that is not open, nobody has executed this to be reported to.
    "cbnz w0, 3f",
    // execve(argv[0], argv + 1, environment)
    "ldr x3, [sp]",
    "ldr x0, [sp, 8]",
    "add x1, sp, 16",
    "add x2, x1, x3, lsl 3",
    "mov x8, {execve}",
    "svc 0",
    // It has returned: write(report, &answer, 8)
    "str x0, [sp, -16]!",
    "ldr w0, 2b",
    "mov x1, sp",
    "mov x2, 8",
    "mov x8, {write}",
    "svc 0",
    "3: mov x0, 127",
    "mov x8, {exit_group}",
    "svc 0",
    ".hidden nslab_springboard_end",
    ".globl nslab_springboard_end",
    "nslab_springboard_end:",
    ".popsection",
    f_setfd = const libc::F_SETFD,
    fd_cloexec = const libc::FD_CLOEXEC,
    fcntl = const libc::SYS_fcntl,
    execve = const libc::SYS_execve,
    write = const libc::SYS_write,
    exit_group = const libc::SYS_exit_group,
);

/// The number, and the instructions; nothing where there are none for this machine's processor.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) fn bytes() -> &'static [u8] {
    unsafe extern "C" {
        static nslab_springboard: u8;
        static nslab_springboard_end: u8;
    }
    let (start, end) = (&raw const nslab_springboard, &raw const nslab_springboard_end);
    // SAFETY: both are in one section, with nothing but the bytes above between them, which nobody writes to.
    unsafe { std::slice::from_raw_parts(start, end.offset_from_unsigned(start)) }
}

/// The same for all others.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn bytes() -> &'static [u8] {
    &[]
}

// The number that is written and the one that is read are of one size.
const _: () = assert!(size_of::<c_int>() == 4);
