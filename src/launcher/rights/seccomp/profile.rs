//! What the filter says of each system call: the facts of Docker's default profile (moby/profiles, seccomp/default.json),
//! and nothing of how a filter is made of them.
//!
//! Podman's profile allows more, and leaves it to capabilities to refuse that; where the two differ, this is Docker's. It
//! says less than Docker's in two points, each with its reason beside it: ioctl(2), and the upper half of arguments.

use super::always::ALWAYS;
use crate::model::container::Capability;

/// How system calls are numbered: the architectures' own calling conventions, and those of the 32-bit programs that their
/// kernels run as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Abi {
    /// 64-bit x86. The x32 convention has the same architecture in seccomp_data and a high bit in its numbers: to the filter
    /// they are calls newer than any that it knows, answered with ENOSYS, as does every kernel that was built without x32.
    X86_64,
    /// 32-bit x86.
    I386,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM (EABI).
    Arm,
}

/// A system call and its numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    #[cfg(test)]
    pub(super) name: &'static str,
    pub(super) numbers: [Option<u32>; 4],
}

impl Call {
    /// Its number, where the architecture has it.
    pub(super) fn number(self, abi: Abi) -> Option<u32> {
        self.numbers[abi as usize]
    }
}

/// A list of calls: `name: x86_64, i386, aarch64, arm;`, the numbers in the order of [`Abi`].
macro_rules! calls {
    (@number -) => { None };
    (@number $number:literal) => { Some($number) };
    ($visible:vis $list:ident: $($name:ident: $x86_64:tt, $i386:tt, $aarch64:tt, $arm:tt;)*) => {
        $visible const $list: &[$crate::launcher::rights::seccomp::profile::Call] = &[
            $($crate::launcher::rights::seccomp::profile::Call {
                #[cfg(test)]
                name: stringify!($name),
                numbers: [calls!(@number $x86_64), calls!(@number $i386), calls!(@number $aarch64), calls!(@number $arm)],
            },)*
        ];
    };
}
pub(super) use calls;

/// What is done with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The kernel does it.
    Allow,
    /// It fails with this errno, and nothing is done.
    Fail(u16),
    /// It is done if this argument (from 0) passes the check, and fails with EPERM otherwise. Only the lower 32 bits are
    /// looked at, since the kernel itself takes no more of these arguments: Docker's filter compares all 64, and lets
    /// through a socket(2) of the address family 2^32 + 40, which the kernel then takes for 40.
    Check(usize, Check),
}

/// A condition on an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// It is one of these.
    OneOf(&'static [u32]),
    /// It is none of these.
    NoneOf(&'static [u32]),
    /// It has none of these bits.
    NoneOfBits(u32),
}

const EPERM: u16 = nix::errno::Errno::EPERM as u16;
const ENOSYS: u16 = nix::errno::Errno::ENOSYS as u16;

/// What becomes of a call that no list has, but that was there when the lists were made.
pub(super) const UNLISTED: Verdict = Verdict::Fail(EPERM);

/// What becomes of a call that is newer than the lists: programs take this for an older kernel, and do without the call. (So
/// runc does: libcontainer/seccomp/patchbpf.)
pub(super) const UNKNOWN: Verdict = Verdict::Fail(ENOSYS);

/// The newest call when the lists were made, of those that all architectures number alike: removexattrat(2).
pub(super) const NEWEST: u32 = 466;

/// Everything that makes a namespace, but for CLONE_NEWTIME, which clone(2) takes for a part of the signal.
const CLONE_NEW: u32 = 0x7e02_0000;

/// The address families AF_ALG and AF_VSOCK: the former has had too many holes, the latter speaks to the machine's hypervisor.
const FAMILIES: &[u32] = &[38, 40];

/// PER_LINUX and PER_LINUX32, both of them also with UNAME26; and to ask only.
const PERSONALITIES: &[u32] = &[0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// TIOCSTI and TIOCLINUX put characters into a terminal's input. Where it is the caller's, who has a shell there, that is
/// a way out (CVE-2017-5226). Docker allows both, but gives every container a terminal of its own.
const TERMINAL_INPUT: &[u32] = &[0x5412, 0x541c];

calls! { PERSONALITY: personality: 135, 136, 92, 136; }
calls! { SOCKET: socket: 41, 359, 198, 281; }
calls! { IOCTL: ioctl: 16, 54, 29, 54; }
calls! { CLONE: clone: 56, 120, 220, 120; }
calls! { CLONE3: clone3: 435, 435, 435, 435; }

/// What holds whatever a container may.
const WITHOUT_CAPABILITY: &[(Verdict, &[Call])] = &[
    (Verdict::Allow, ALWAYS),
    (Verdict::Check(0, Check::OneOf(PERSONALITIES)), PERSONALITY),
    (Verdict::Check(0, Check::NoneOf(FAMILIES)), SOCKET),
    (Verdict::Check(1, Check::NoneOf(TERMINAL_INPUT)), IOCTL),
    (Verdict::Check(0, Check::NoneOfBits(CLONE_NEW)), CLONE),
    // Its flags are in memory, where no filter looks. The C library then takes clone(2).
    (Verdict::Fail(ENOSYS), CLONE3),
];

/// What is allowed to who has one of these capabilities.
const WITH_CAPABILITY: &[(Capability, &[Call])] = &[
    (Capability::DacReadSearch, DAC_READ_SEARCH),
    (Capability::SysAdmin, SYS_ADMIN),
    (Capability::SysAdmin, CLONE),
    (Capability::SysAdmin, CLONE3),
    (Capability::SysAdmin, BPF),
    (Capability::SysAdmin, PERFMON),
    (Capability::SysAdmin, SYSLOG),
    (Capability::SysBoot, SYS_BOOT),
    (Capability::SysChroot, SYS_CHROOT),
    (Capability::SysModule, SYS_MODULE),
    (Capability::SysPacct, SYS_PACCT),
    (Capability::SysPtrace, SYS_PTRACE),
    (Capability::SysRawio, SYS_RAWIO),
    (Capability::SysTime, SYS_TIME),
    (Capability::SysTtyConfig, SYS_TTY_CONFIG),
    (Capability::SysNice, SYS_NICE),
    (Capability::Syslog, SYSLOG),
    (Capability::Bpf, BPF),
    (Capability::Perfmon, PERFMON),
];

calls! { DAC_READ_SEARCH:
    open_by_handle_at: 304, 342, 265, 371;
}
calls! { SYS_ADMIN:
    fanotify_init: 300, 338, 262, 367;
    fsconfig: 431, 431, 431, 431;
    fsmount: 432, 432, 432, 432;
    fsopen: 430, 430, 430, 430;
    fspick: 433, 433, 433, 433;
    lookup_dcookie: 212, 253, 18, 249;
    lsm_get_self_attr: 459, 459, 459, 459;
    lsm_list_modules: 461, 461, 461, 461;
    lsm_set_self_attr: 460, 460, 460, 460;
    mount: 165, 21, 40, 21;
    mount_setattr: 442, 442, 442, 442;
    move_mount: 429, 429, 429, 429;
    open_tree: 428, 428, 428, 428;
    quotactl: 179, 131, 60, 131;
    quotactl_fd: 443, 443, 443, 443;
    setdomainname: 171, 121, 162, 121;
    sethostname: 170, 74, 161, 74;
    setns: 308, 346, 268, 375;
    umount: -, 22, -, -;
    umount2: 166, 52, 39, 52;
    unshare: 272, 310, 97, 337;
}
calls! { SYS_BOOT:
    reboot: 169, 88, 142, 88;
}
calls! { SYS_CHROOT:
    chroot: 161, 61, 51, 61;
}
calls! { SYS_MODULE:
    delete_module: 176, 129, 106, 129;
    finit_module: 313, 350, 273, 379;
    init_module: 175, 128, 105, 128;
}
calls! { SYS_PACCT:
    acct: 163, 51, 89, 51;
}
calls! { SYS_PTRACE:
    kcmp: 312, 349, 272, 378;
    pidfd_getfd: 438, 438, 438, 438;
    process_madvise: 440, 440, 440, 440;
}
calls! { SYS_RAWIO:
    ioperm: 173, 101, -, -;
    iopl: 172, 110, -, -;
}
calls! { SYS_TIME:
    clock_settime: 227, 264, 112, 262;
    clock_settime64: -, 404, -, 404;
    settimeofday: 164, 79, 170, 79;
    stime: -, 25, -, -;
}
calls! { SYS_TTY_CONFIG:
    vhangup: 153, 111, 58, 111;
}
calls! { SYS_NICE:
    get_mempolicy: 239, 275, 236, 320;
    mbind: 237, 274, 235, 319;
    set_mempolicy: 238, 276, 237, 321;
    set_mempolicy_home_node: 450, 450, 450, 450;
}
calls! { SYSLOG:
    syslog: 103, 103, 116, 103;
}
calls! { BPF:
    bpf: 321, 357, 280, 386;
}
calls! { PERFMON:
    perf_event_open: 298, 336, 241, 364;
}

/// What is said of calls, to a container with these capabilities. What comes later counts, where a call comes twice.
pub(super) fn verdicts(has: impl Fn(Capability) -> bool) -> impl Iterator<Item = (Verdict, &'static [Call])> {
    let allowed = WITH_CAPABILITY.iter().filter(move |(capability, _)| has(*capability));
    WITHOUT_CAPABILITY.iter().copied().chain(allowed.map(|(_, calls)| (Verdict::Allow, *calls)))
}
