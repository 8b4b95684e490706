//! A filter as the kernel takes it: a classic BPF program over struct seccomp_data (seccomp(2), linux/filter.h).
//!
//! The calls' numbers are searched by halves, neighbours of the same fate are one range, and ranges of the same fate share the
//! instructions that decide it: some 220 for two architectures, of which a call takes 18 at most. seccompiler's own compiler makes
//! a list of 1500 for x86-64 alone, of which a call takes 700: the kernel translates all of it when it is set, and runs it once
//! for each call that there is, and again for each call that is not allowed whatever its arguments.

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
const fn argument(index: u32) -> u32 {
    16 + 8 * index
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
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) from: u32,
    pub(super) verdict: Verdict,
}

/// The filter for a machine on which programs of these sorts run, and a container with these capabilities. Whatever comes by
/// another way is killed.
pub(super) fn compile(abis: &[Abi], has: impl Fn(Capability) -> bool) -> BpfProgram {
    let parts: Vec<_> = abis.iter().map(|abi| (abi.architecture(), ranges(*abi, &has))).collect();
    program(&parts)
}

/// The filter that does with the calls of each architecture what its ranges say, the first of which begins with 0.
pub(super) fn program(parts: &[(u32, Vec<Range>)]) -> BpfProgram {
    let mut program = Backwards::default();
    let mut otherwise = program.push(statement(RETURN, KILL));
    for (architecture, ranges) in parts.iter().rev() {
        let first = program.search(ranges);
        let known = program.before(first, statement(LOAD, NUMBER));
        otherwise = program.branch(IF_EQUAL, *architecture, known, otherwise);
    }
    program.before(otherwise, statement(LOAD, ARCHITECTURE));
    program.turned_round()
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

/// How many instructions a conditional jump leaves out at most.
const FAR: usize = u8::MAX as usize;

/// A program that is written from its end: jumps go forward only, so that where they lead is there already, and may be shared.
#[derive(Default)]
struct Backwards {
    program: BpfProgram,
    /// Where what comes of a verdict was written last.
    decided: Vec<(Verdict, Place)>,
}

/// An instruction, by how many come behind it.
type Place = usize;

impl Backwards {
    fn turned_round(mut self) -> BpfProgram {
        self.program.reverse();
        self.program
    }

    fn push(&mut self, instruction: sock_filter) -> Place {
        self.program.push(instruction);
        self.program.len() - 1
    }

    /// An instruction, and then those from that place on.
    fn before(&mut self, next: Place, instruction: sock_filter) -> Place {
        if self.between(next) > 0 {
            self.push(jump(self.between(next)));
        }
        self.push(instruction)
    }

    /// Goes on at one place where it holds, and at another one where it does not.
    fn branch(&mut self, code: u16, k: u32, holds: Place, otherwise: Place) -> Place {
        let [otherwise, holds] = [otherwise, holds].map(|place| self.near(place));
        let [jt, jf] = [holds, otherwise].map(|place| u8::try_from(self.between(place)).unwrap_or(u8::MAX));
        self.push(sock_filter { code, jt, jf, k })
    }

    /// That place, or an instruction that leads there where a branch would not reach that far, also after one more of these.
    fn near(&mut self, place: Place) -> Place {
        match self.between(place) {
            near if near < FAR => place,
            far => self.push(jump(far)),
        }
    }

    /// How many instructions come between the next one that is written and this one.
    fn between(&self, place: Place) -> usize {
        self.program.len() - 1 - place
    }

    /// Finds the range that the loaded number is in. It is in one of these.
    fn search(&mut self, ranges: &[Range]) -> Place {
        if let [only] = ranges {
            return self.decide(only.verdict);
        }
        let (lower, higher) = ranges.split_at(ranges.len() / 2);
        let above = self.search(higher);
        let below = self.search(lower);
        self.branch(IF_AT_LEAST, higher[0].from, above, below)
    }

    /// What comes of a verdict, when the number is known.
    fn decide(&mut self, verdict: Verdict) -> Place {
        let known = self.decided.iter().find(|(known, _)| *known == verdict).map(|(_, place)| *place);
        if let Some(place) = known.filter(|place| self.between(*place) < FAR) {
            return place;
        }
        let place = match verdict {
            Verdict::Allow => self.push(statement(RETURN, ALLOW)),
            Verdict::Fail(errno) => self.push(statement(RETURN, ERRNO | u32::from(errno))),
            Verdict::Check(index, check) => self.check(index, check),
        };
        self.decided.retain(|(known, _)| *known != verdict);
        self.decided.push((verdict, place));
        place
    }

    fn check(&mut self, index: u32, check: Check) -> Place {
        let (allowed, refused) = (self.decide(Verdict::Allow), self.decide(UNLISTED));
        let (comparison, values, holds, otherwise) = match &check {
            Check::OneOf(values) => (IF_EQUAL, *values, allowed, refused),
            Check::NoneOf(values) => (IF_EQUAL, *values, refused, allowed),
            Check::NoneOfBits(bits) => (IF_ANY_BIT, std::slice::from_ref(bits), refused, allowed),
        };
        let mut next = otherwise;
        for value in values.iter().rev() {
            next = self.branch(comparison, *value, holds, next);
        }
        self.before(next, statement(LOAD, argument(index)))
    }
}

/// An instruction that does not branch.
fn statement(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

/// Leaves out so many instructions.
fn jump(over: usize) -> sock_filter {
    // The kernel takes no program of more than 4096 (BPF_MAXINSNS).
    statement(JUMP, u32::try_from(over).unwrap_or(u32::MAX))
}
