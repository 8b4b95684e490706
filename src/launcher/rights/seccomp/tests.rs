//! The filter, run over every system call there is, against what Docker's profile says of it.

use super::profile::{Abi, Check, NEWEST, Verdict, verdicts};
use super::program::{Range, compile, program};
use crate::model::container::Capability;
use seccompiler::sock_filter;
use std::collections::{BTreeMap, BTreeSet};

/// To whom Docker's default profile allows which call.
const DOCKER: &str = include_str!("docker.table");

const ALL: [Abi; 4] = [Abi::X86_64, Abi::I386, Abi::Aarch64, Abi::Arm];
const X86: &[Abi] = &[Abi::X86_64, Abi::I386];
const ARM: &[Abi] = &[Abi::Aarch64, Abi::Arm];

/// What the kernel is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Allow,
    Errno(u32),
    Kill,
}

const EPERM: Action = Action::Errno(1);
const ENOSYS: Action = Action::Errno(38);

/// A call, as the filter sees it.
#[derive(Debug, Clone, Copy)]
struct Data {
    architecture: u32,
    number: u32,
    arguments: [u64; 6],
}

impl Data {
    fn of(abi: Abi, number: u32, arguments: [u64; 6]) -> Self {
        Self { architecture: abi.architecture(), number, arguments }
    }

    /// The 32 bits at this place of struct seccomp_data.
    fn word(&self, at: u32) -> u32 {
        let mut bytes = Vec::new();
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.architecture.to_le_bytes());
        bytes.extend(0x0040_0000_u64.to_le_bytes());
        bytes.extend(self.arguments.iter().flat_map(|argument| argument.to_le_bytes()));
        let at = at as usize;
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }
}

/// Runs a program as linux/Documentation/networking/filter.rst says of each instruction. Also says how many it took.
fn run(program: &[sock_filter], data: Data) -> (Action, usize) {
    let (mut at, mut accumulator, mut steps) = (0, 0, 0);
    loop {
        let sock_filter { code, jt, jf, k } = program[at].clone();
        at += 1;
        steps += 1;
        let mut branch = |holds: bool| at += usize::from(if holds { jt } else { jf });
        match code {
            0x20 => accumulator = data.word(k),
            0x15 => branch(accumulator == k),
            0x35 => branch(accumulator >= k),
            0x45 => branch(accumulator & k != 0),
            0x05 => at += k as usize,
            0x06 => {
                let action = match k & 0xffff_0000 {
                    0x7fff_0000 => Action::Allow,
                    0x0005_0000 => Action::Errno(k & 0xffff),
                    0x8000_0000 => Action::Kill,
                    other => panic!("{other:#x} is no action"),
                };
                return (action, steps);
            }
            other => panic!("{other:#x} is no instruction that the kernel's own look at filters knows"),
        }
    }
}

fn with(abis: &[Abi], capabilities: &BTreeSet<Capability>) -> Vec<sock_filter> {
    compile(abis, |capability| capabilities.contains(&capability))
}

/// A call's number, by its name, and what the table says of it.
fn docker(abi: Abi) -> BTreeMap<u32, (&'static str, &'static str)> {
    let lines = DOCKER.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [name, numbers @ .., whom] = &words[..] else { panic!("{line}") };
            let number = numbers[abi as usize];
            (number != "-").then(|| (number.parse().unwrap(), (*name, *whom)))
        })
        .collect()
}

fn number(abi: Abi, name: &str) -> u32 {
    *docker(abi).iter().find(|(_, (known, _))| *known == name).unwrap().0
}

/// The sets of capabilities that all is tried with: none, those that Docker gives, all, and each one alone.
fn sets() -> Vec<BTreeSet<Capability>> {
    let alone = Capability::ALL.iter().map(|one| [*one].into());
    [BTreeSet::new(), Capability::default_set(), Capability::ALL.iter().copied().collect()]
        .into_iter()
        .chain(alone)
        .collect()
}

#[test]
fn every_call_is_allowed_to_those_to_whom_docker_allows_it() {
    let mut tried = 0;
    for capabilities in sets() {
        for (abis, abi) in [(X86, Abi::X86_64), (X86, Abi::I386), (ARM, Abi::Aarch64), (ARM, Abi::Arm)] {
            let program = with(abis, &capabilities);
            let docker = docker(abi);
            let beyond = docker.keys().copied().filter(|number| *number > 0xf_0000);
            for number in (0..NEWEST + 100).chain(beyond) {
                let (name, whom) = docker.get(&number).copied().unwrap_or(("nothing", "never"));
                let has_one = |names: &str| names.split(',').any(|name| capabilities.contains(&name.parse().unwrap()));
                let expected = match whom {
                    "special" => continue, // see below
                    "always" => Action::Allow,
                    _ if number > NEWEST => ENOSYS,
                    "never" => EPERM,
                    names if has_one(names) => Action::Allow,
                    _ => EPERM,
                };
                let found = run(&program, Data::of(abi, number, [u64::MAX; 6])).0;
                assert_eq!(found, expected, "{abi:?}: {name} ({number}), to {capabilities:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 90_000, "only {tried}");
}

#[test]
fn arguments_decide_as_in_docker() {
    const VSOCK: u64 = 40;
    const NEWUSER: u64 = 0x1000_0000;
    const SIGCHLD: u64 = 17;
    let none = BTreeSet::new();
    let admin = BTreeSet::from([Capability::SysAdmin]);
    let cases: &[(&str, [u64; 2], &BTreeSet<Capability>, Action)] = &[
        ("personality", [0, 0], &none, Action::Allow),
        ("personality", [8, 0], &none, Action::Allow),
        ("personality", [0x2_0000, 0], &none, Action::Allow),
        ("personality", [0x2_0008, 0], &none, Action::Allow),
        ("personality", [0xffff_ffff, 0], &none, Action::Allow),
        ("personality", [0x0040_0000, 0], &none, EPERM), // READ_IMPLIES_EXEC
        ("personality", [0x0004_0000, 0], &admin, EPERM), // ADDR_NO_RANDOMIZE
        ("personality", [1, 0], &none, EPERM),
        ("socket", [1, 1], &none, Action::Allow),
        ("socket", [2, 3], &none, Action::Allow),
        ("socket", [16, 3], &none, Action::Allow),
        ("socket", [17, 3], &none, Action::Allow),
        ("socket", [37, 3], &none, Action::Allow),
        ("socket", [38, 5], &none, EPERM), // AF_ALG
        ("socket", [39, 5], &none, Action::Allow),
        ("socket", [VSOCK, 1], &none, EPERM),
        ("socket", [41, 1], &none, Action::Allow),
        ("clone", [SIGCHLD, 0], &none, Action::Allow),
        ("clone", [0x003d_0f00, 0], &none, Action::Allow), // a thread, as the C library makes it
        ("clone", [0x0002_0000 | SIGCHLD, 0], &none, EPERM), // mount
        ("clone", [0x0200_0000 | SIGCHLD, 0], &none, EPERM), // cgroup
        ("clone", [0x0400_0000 | SIGCHLD, 0], &none, EPERM), // uts
        ("clone", [0x0800_0000 | SIGCHLD, 0], &none, EPERM), // ipc
        ("clone", [NEWUSER | SIGCHLD, 0], &none, EPERM),
        ("clone", [0x2000_0000 | SIGCHLD, 0], &none, EPERM), // pid
        ("clone", [0x4000_0000 | SIGCHLD, 0], &none, EPERM), // net
        ("clone", [NEWUSER | SIGCHLD, 0], &admin, Action::Allow),
        ("clone3", [NEWUSER, 0], &none, ENOSYS),
        ("clone3", [NEWUSER, 0], &admin, Action::Allow),
        ("ioctl", [0, 0x5401], &none, Action::Allow),
        // Not as in Docker, and for good.
        ("ioctl", [0, 0x5412], &none, EPERM),  // TIOCSTI
        ("ioctl", [0, 0x541c], &admin, EPERM), // TIOCLINUX
    ];
    for (name, [first, second], capabilities, expected) in cases {
        for (abis, abi) in [(X86, Abi::X86_64), (X86, Abi::I386), (ARM, Abi::Aarch64), (ARM, Abi::Arm)] {
            let program = with(abis, capabilities);
            let call = number(abi, name);
            let arguments = [*first, *second, 0, 0, 0, 0];
            assert_eq!(run(&program, Data::of(abi, call, arguments)).0, *expected, "{abi:?}: {name} {arguments:x?}");
            // The kernel looks at 32 bits of them.
            let high = arguments.map(|argument| argument | 7 << 32);
            assert_eq!(run(&program, Data::of(abi, call, high)).0, *expected, "{abi:?}: {name} {high:x?}");
        }
    }
}

#[test]
fn no_call_comes_in_by_another_way() {
    let all: BTreeSet<Capability> = Capability::ALL.iter().copied().collect();
    let (x86, arm) = (with(X86, &all), with(ARM, &all));
    let read = [0; 6];
    for number in 0..NEWEST {
        // x32, where the kernel has it: read(2) with a bit that says how.
        assert_eq!(run(&x86, Data::of(Abi::X86_64, number | 0x4000_0000, read)).0, ENOSYS, "{number}");
        assert_eq!(run(&x86, Data::of(Abi::Aarch64, number, read)).0, Action::Kill);
        assert_eq!(run(&x86, Data::of(Abi::Arm, number, read)).0, Action::Kill);
        assert_eq!(run(&arm, Data::of(Abi::X86_64, number, read)).0, Action::Kill);
    }
    // A tracer that wants the call left out makes it -1.
    assert_eq!(run(&x86, Data::of(Abi::X86_64, u32::MAX, read)).0, ENOSYS);
    assert_eq!(run(&x86, Data { architecture: 0, number: 0, arguments: read }).0, Action::Kill);
}

#[test]
fn the_lists_have_the_kernels_numbers() {
    let mut seen = BTreeSet::new();
    for (_, calls) in verdicts(|_| true) {
        for call in calls {
            for abi in ALL {
                let Some(number) = call.number(abi) else { continue };
                let known = docker(abi).get(&number).copied();
                assert_eq!(known.map(|(name, _)| name), Some(call.name), "{abi:?} {number}");
            }
            seen.insert(call.name);
        }
    }
    assert!(seen.len() > 400, "{}", seen.len());
}

#[test]
fn a_filter_is_short_and_every_way_through_it_is_shorter() {
    for capabilities in sets() {
        for abis in [X86, ARM] {
            let program = with(abis, &capabilities);
            assert!(program.len() < 300, "{} instructions", program.len());
            for abi in abis {
                let calls = (0..600).flat_map(|number| [0, u64::MAX].map(|any| Data::of(*abi, number, [any; 6])));
                let longest = calls.map(|call| run(&program, call).1).max().unwrap();
                assert!(longest < 20, "{longest} of {} instructions", program.len());
            }
        }
    }
}

#[test]
fn a_longer_filter_than_a_jump_is_decides_as_its_ranges_say() {
    let verdicts = [
        Verdict::Allow,
        Verdict::Fail(1),
        Verdict::Check(0, Check::OneOf(&[3, 5])),
        Verdict::Fail(38),
        Verdict::Check(1, Check::NoneOf(&[7])),
        Verdict::Check(0, Check::NoneOfBits(4)),
        Verdict::Check(0, Check::OneOf(&[])),
    ];
    // Ranges of different lengths, in which each verdict comes again at different distances.
    let ranges = |shift: usize| -> Vec<Range> {
        let verdict = |place: usize| verdicts[(place * (place + shift)) % verdicts.len()];
        let ranges = (0..900)
            .map(|place| Range { from: u32::try_from(place * 2 + place % 2).unwrap(), verdict: verdict(place) });
        ranges.collect()
    };
    let parts: Vec<_> = ALL[..3].iter().zip(1..).map(|(abi, shift)| (abi.architecture(), ranges(shift))).collect();
    let program = program(&parts);
    assert!((1000..4096).contains(&program.len()), "{} instructions", program.len());
    for (abi, (_, ranges)) in ALL.iter().zip(&parts) {
        for number in 0..2000 {
            let verdict = ranges.iter().rfind(|range| range.from <= number).unwrap().verdict;
            for arguments in [[3, 7, 0, 0, 0, 0], [4, 8, 0, 0, 0, 0], [5, 0, 0, 0, 0, 0]] {
                let first = arguments[0];
                let expected = match verdict {
                    Verdict::Allow => Action::Allow,
                    Verdict::Fail(errno) => Action::Errno(errno.into()),
                    Verdict::Check(0, Check::OneOf(values)) if values.contains(&u32::try_from(first).unwrap()) => {
                        Action::Allow
                    }
                    Verdict::Check(1, _) if arguments[1] != 7 => Action::Allow,
                    Verdict::Check(0, Check::NoneOfBits(_)) if first & 4 == 0 => Action::Allow,
                    Verdict::Check(..) => EPERM,
                };
                let found = run(&program, Data::of(*abi, number, arguments)).0;
                assert_eq!(found, expected, "{abi:?} {number} {arguments:?}: {verdict:?}");
            }
        }
    }
}
