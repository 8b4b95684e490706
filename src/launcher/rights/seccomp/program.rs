//! A filter as the kernel takes it: a classic BPF program over struct seccomp_data (seccomp(2), linux/filter.h).
//!
//! The calls' numbers are searched by halves. A list that is gone through from its beginning, as seccompiler's own compiler
//! makes it, is longer by ten times: the kernel translates it, and runs it once for every call that there is, whenever it is
//! set.

use super::profile::{Abi, Check, NEWEST, UNKNOWN, UNLISTED, Verdict, verdicts};
use crate::model::container::Capability;
use seccompiler::{BpfProgram, sock_filter};

// linux/bpf_common.h.
const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const IF_ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

// linux/seccomp.h.
const ALLOW: u32 = 0x7fff_0000; // SECCOMP_RET_ALLOW
const ERRNO: u32 = 0x0005_0000; // SECCOMP_RET_ERRNO, with the errno in it
const KILL: u32 = 0x8000_0000; // SECCOMP_RET_KILL_PROCESS

// struct seccomp_data.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// Where the lower half of an argument is. All machines that nslab runs on have it first.
const fn argument(index: usize) -> u32 {
    16 + 8 * (index as u32)
}

impl Abi {
    /// The AUDIT_ARCH_ number (linux/audit.h) that the kernel calls it by.
    pub(super) fn architecture(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::I386 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }
}

/// All numbers from this one on, up to the next range.
#[derive(Clone, Copy)]
struct Range {
    from: u32,
    verdict: Verdict,
}

/// The filter for a machine on which programs of these sorts run, and a container with these capabilities. Whatever comes by
/// another way is killed.
pub(super) fn compile(abis: &[Abi], has: impl Fn(Capability) -> bool) -> BpfProgram {
    let mut program = vec![statement(LOAD, ARCHITECTURE)];
    for abi in abis {
        let mut part = vec![statement(LOAD, NUMBER)];
        part.append(&mut search(&ranges(*abi, &has)));
        program.push(branch(IF_EQUAL, abi.architecture(), 1, 0));
        program.push(jump(part.len()));
        program.append(&mut part);
    }
    program.push(statement(RETURN, KILL));
    program
}

/// What is done with each number there is.
fn ranges(abi: Abi, has: impl Fn(Capability) -> bool) -> Vec<Range> {
    let known = NEWEST as usize + 1;
    let mut all = vec![UNLISTED; known];
    // 32-bit ARM has a few calls of its own that are far away from all others.
    let mut far = Vec::new();
    for (verdict, calls) in verdicts(has) {
        for number in calls.iter().filter_map(|call| call.number(abi)) {
            match all.get_mut(number as usize) {
                Some(place) => *place = verdict,
                None => far.push((number, verdict)),
            }
        }
    }
    far.sort_unstable_by_key(|(number, _)| *number);
    let far = far.into_iter().flat_map(|(number, verdict)| [(number, verdict), (number + 1, UNKNOWN)]);
    let beyond = std::iter::once((NEWEST + 1, UNKNOWN)).chain(far);

    let mut ranges: Vec<Range> = Vec::with_capacity(128);
    for (from, verdict) in (0..).zip(all).chain(beyond) {
        match ranges.last_mut() {
            Some(last) if last.verdict == verdict => {}
            // One that ended where the next one begins.
            Some(last) if last.from == from => last.verdict = verdict,
            _ => ranges.push(Range { from, verdict }),
        }
    }
    ranges
}

/// Finds the range that the loaded number is in. It is in one of these.
fn search(ranges: &[Range]) -> BpfProgram {
    if let [only] = ranges {
        return decide(only.verdict);
    }
    let (lower, higher) = ranges.split_at(ranges.len() / 2);
    let (mut below, mut above) = (search(lower), search(higher));
    let from = higher[0].from;
    // A conditional jump goes 255 instructions far; an unconditional one, anywhere.
    let mut program = match u8::try_from(below.len()) {
        Ok(over) => vec![branch(IF_AT_LEAST, from, over, 0)],
        Err(_) => vec![branch(IF_AT_LEAST, from, 0, 1), jump(below.len())],
    };
    program.append(&mut below);
    program.append(&mut above);
    program
}

/// What comes of a verdict, when the number is known.
fn decide(verdict: Verdict) -> BpfProgram {
    let (index, check) = match verdict {
        Verdict::Allow => return vec![statement(RETURN, ALLOW)],
        Verdict::Fail(errno) => return vec![statement(RETURN, ERRNO | u32::from(errno))],
        Verdict::Check(index, check) => (index, check),
    };
    let mut program = vec![statement(LOAD, argument(index))];
    let (comparison, values) = match &check {
        Check::OneOf(values) | Check::NoneOf(values) => (IF_EQUAL, *values),
        Check::NoneOfBits(bits) => (IF_ANY_BIT, std::slice::from_ref(bits)),
    };
    // What holds goes to the last instruction, over the comparisons that are left and the last but one.
    let left = (0..=values.len()).rev().filter_map(|left| u8::try_from(left).ok());
    program.extend(values.iter().zip(left).map(|(value, left)| branch(comparison, *value, left, 0)));
    let (otherwise, held) = match check {
        Check::OneOf(_) => (UNLISTED, Verdict::Allow),
        Check::NoneOf(_) | Check::NoneOfBits(_) => (Verdict::Allow, UNLISTED),
    };
    program.append(&mut decide(otherwise));
    program.append(&mut decide(held));
    program
}

/// An instruction that does not branch.
fn statement(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

/// Goes on after as many more instructions.
fn jump(over: usize) -> sock_filter {
    // A filter has at most 4096 (BPF_MAXINSNS); the kernel takes no longer one.
    statement(JUMP, u32::try_from(over).unwrap_or(u32::MAX))
}

/// Goes on after so many more instructions where it holds, and after so many where it does not.
fn branch(code: u16, k: u32, holds: u8, otherwise: u8) -> sock_filter {
    sock_filter { code, jt: holds, jf: otherwise, k }
}
