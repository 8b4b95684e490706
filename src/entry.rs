//! Where nslab begins, before the C library does: at `nslab_entry` (`build.rs` tells the linker).
//!
//! Of a program that can be placed anywhere, a hundred pages of addresses (.data.rel.ro) are written at each start. Each of them would
//! be copied at its first write, by a page fault of its own. Here they are copied by one call: that start takes two thirds of the time.

use core::arch::global_asm;

/// linux/mman.h; Linux 5.14 has it, and before that nothing comes of the call.
const MADV_POPULATE_WRITE: u32 = 23;

/// asm/unistd_64.h.
const MADVISE: u32 = 28;

global_asm!(
    ".globl nslab_entry",
    ".hidden nslab_entry",
    ".type nslab_entry, @function",
    "nslab_entry:",
    // madvise(the page where what is written begins, up to its end, MADV_POPULATE_WRITE). These are names that the linker gives.
    "lea rdi, [rip + __init_array_start]",
    "and rdi, -4096",
    "lea rsi, [rip + _end]",
    "sub rsi, rdi",
    // What the C library is to call at the end, if anything, is in rdx (System V ABI for AMD64, 3.4.1).
    "mov r8, rdx",
    "mov edx, {advice}",
    "mov eax, {madvise}",
    "syscall",
    "mov rdx, r8",
    "jmp _start",
    ".size nslab_entry, . - nslab_entry",
    madvise = const MADVISE,
    advice = const MADV_POPULATE_WRITE,
);
