//! What limits are in the files of a cgroup (Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst in the kernel).

use super::disks::{self, Disk};
use super::error::CgroupError;
use super::hierarchy::{Controller, Version};
use crate::model::container::{Cpus, Limits, MemorySize};
use std::path::Path;
use std::{fs, io};

/// In which time a share of processors is counted, in microseconds: the kernel's own default.
const PERIOD_US: u64 = 100_000;

/// A file of a cgroup and what is to be in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) controller: Controller,
    /// What it limits, in words.
    pub(super) limit: &'static str,
    pub(super) file: &'static str,
    pub(super) value: String,
}

/// The files to write, in this order. `version` says which version a controller is in.
///
/// # Errors
/// [`CgroupError::SwapAlone`]
pub(super) fn settings(
    limits: &Limits,
    version: impl Fn(Controller) -> Version,
    disks: &[Disk],
) -> Result<Vec<Setting>, CgroupError> {
    let Limits { memory, swap, cpus, pids, io_read: _, io_write: _ } = limits;
    let mut settings = Vec::new();
    let mut set = |controller, limit, file, value: String| settings.push(Setting { controller, limit, file, value });
    let is_two = |controller| version(controller) == Version::Two;

    if let Some(memory) = memory {
        let file = if is_two(Controller::Memory) { "memory.max" } else { MEMORY_ONE };
        set(Controller::Memory, "memory", file, memory.bytes().to_string());
    }
    match (swap, memory) {
        (None, _) => {}
        (Some(swap), _) if is_two(Controller::Memory) => {
            set(Controller::Memory, "swap", SWAP_TWO, swap.bytes().to_string());
        }
        // It can't be below what memory is limited to, so it comes after.
        (Some(swap), Some(memory)) => {
            let sum = memory.bytes().saturating_add(swap.bytes()).min(i64::MAX.cast_unsigned());
            set(Controller::Memory, "swap", SWAP_ONE, sum.to_string());
        }
        (Some(_), None) => return Err(CgroupError::SwapAlone),
    }
    if let Some(cpus) = cpus {
        let quota = u64::from(cpus.thousandths()) * PERIOD_US / 1000;
        if is_two(Controller::Cpu) {
            set(Controller::Cpu, "cpus", "cpu.max", format!("{quota} {PERIOD_US}"));
        } else {
            set(Controller::Cpu, "cpus", "cpu.cfs_period_us", PERIOD_US.to_string());
            set(Controller::Cpu, "cpus", "cpu.cfs_quota_us", quota.to_string());
        }
    }
    if let Some(pids) = pids {
        set(Controller::Pids, "pids", "pids.max", pids.to_string());
    }
    settings.extend(disks::settings(limits, version(Controller::Io), disks));
    Ok(settings)
}

/// The files that say what is not limited, and no limit is wanted of: all but those of [`settings`].
pub(super) fn lifted(limits: &Limits, version: impl Fn(Controller) -> Version, disks: &[Disk]) -> Vec<Setting> {
    let Limits { memory, swap, cpus, pids, io_read: _, io_write: _ } = limits;
    let is_two = |controller| version(controller) == Version::Two;
    let mut settings = Vec::new();
    let mut set = |controller, limit, (two, none_two), (one, none_one): (_, &str)| {
        let (file, value): (_, &str) = if is_two(controller) { (two, none_two) } else { (one, none_one) };
        settings.push(Setting { controller, limit, file, value: value.to_owned() });
    };
    if memory.is_none() {
        set(Controller::Memory, "memory", ("memory.max", "max"), ("memory.limit_in_bytes", "-1"));
    }
    if swap.is_none() {
        set(Controller::Memory, "swap", (SWAP_TWO, "max"), (SWAP_ONE, "-1"));
    }
    if cpus.is_none() {
        set(Controller::Cpu, "cpus", ("cpu.max", "max 100000"), ("cpu.cfs_quota_us", "-1"));
    }
    if pids.is_none() {
        set(Controller::Pids, "pids", ("pids.max", "max"), ("pids.max", "max"));
    }
    settings.extend(disks::lifted(limits, version(Controller::Io), disks));
    settings
}

/// The order in which to write them where there are limits already: in version 1, memory can't be above memory and swap together
/// at any moment, so that the sum comes first where there would be more memory than it is (`found`, as its file has it).
pub(super) fn in_order(mut settings: Vec<Setting>, sum_found: Option<u64>) -> Vec<Setting> {
    let memory = settings.iter().find(|one| one.file == MEMORY_ONE).map(Setting::number);
    let sum_is_first = memory.zip(sum_found).is_some_and(|(memory, sum)| memory > sum);
    settings.sort_by_key(|one| match one.file {
        SWAP_ONE => 1 - 2 * i8::from(sum_is_first),
        MEMORY_ONE => 0,
        _ => 2,
    });
    settings
}

/// The limits that files say; `read` gives what is in one, where there is that.
pub(super) fn told(
    version: impl Fn(Controller) -> Version,
    read: impl Fn(&str) -> Option<String>,
    disks: &[Disk],
) -> Limits {
    let is_two = |controller| version(controller) == Version::Two;
    let number = |file: &str| read(file)?.trim().parse::<u64>().ok().filter(|number| *number < UNLIMITED);
    let (memory, swap) = if is_two(Controller::Memory) {
        (number("memory.max"), number(SWAP_TWO))
    } else {
        let memory = number(MEMORY_ONE);
        (memory, memory.zip(number(SWAP_ONE)).map(|(memory, sum)| sum.saturating_sub(memory)))
    };
    let share = if is_two(Controller::Cpu) {
        read("cpu.max").and_then(|text| {
            let (quota, period) = text.trim().split_once(' ')?;
            Some((quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?))
        })
    } else {
        number("cpu.cfs_quota_us").zip(number("cpu.cfs_period_us"))
    };
    let [io_read, io_write] = disks::told(version(Controller::Io), disks, &read);
    Limits {
        memory: memory.and_then(MemorySize::from_bytes),
        swap: swap.and_then(MemorySize::from_bytes),
        cpus: share.and_then(|(quota, period)| Cpus::from_thousandths(quota.checked_mul(1000)?.checked_div(period)?)),
        pids: number("pids.max").map(|pids| u32::try_from(pids).unwrap_or(u32::MAX)),
        io_read,
        io_write,
    }
}

/// From here on, a number of version 1's is none: it counts to this in whole pages, which have at most 64 KiB.
const UNLIMITED: u64 = i64::MAX.cast_unsigned() - 0xffff;

const MEMORY_ONE: &str = "memory.limit_in_bytes";
const SWAP_TWO: &str = "memory.swap.max";
const SWAP_ONE: &str = "memory.memsw.limit_in_bytes";

impl Setting {
    /// Whether a kernel may do without the file, although it has the controller: it has it where it counts swap.
    pub(super) fn is_of_swap(&self) -> bool {
        [SWAP_ONE, SWAP_TWO].contains(&self.file)
    }

    /// Whether it takes a limit away.
    pub(super) fn is_none(&self) -> bool {
        if self.controller == Controller::Io {
            return disks::is_none(&self.value);
        }
        ["-1", "max", "max 100000"].contains(&self.value.as_str())
    }

    /// Whether it bounds memory that may be in use.
    pub(super) fn is_of_memory(&self) -> bool {
        [MEMORY_ONE, "memory.max"].contains(&self.file)
    }

    fn number(&self) -> u64 {
        self.value.parse().unwrap_or(u64::MAX)
    }

    /// Whether the kernel has this value when a file says so: it counts memory in whole pages, which have at most 64 KiB.
    pub(super) fn is_met_by(&self, found: &str) -> bool {
        match (self.controller, self.value.parse::<u64>(), found.trim().parse::<u64>()) {
            (Controller::Memory, Ok(wanted), Ok(found)) => (wanted.saturating_sub(0xffff)..=wanted).contains(&found),
            (Controller::Memory, Err(_), Ok(found)) => found >= UNLIMITED,
            (Controller::Cpu, ..) if self.is_none() => {
                ["-1", "max"].contains(&found.split_whitespace().next().unwrap_or(""))
            }
            (Controller::Io, ..) => disks::is_met_by(&self.value, found),
            _ => found.trim() == self.value,
        }
    }

    /// What is to be written to take it back, where the file said this before.
    pub(super) fn before(&self, found: &str) -> String {
        if self.controller == Controller::Io { disks::before(&self.value, found) } else { found.trim().to_owned() }
    }

    /// Whether it is nslab's to write in a unit of systemd's.
    pub(super) fn is_beside_systemd(&self) -> bool {
        self.controller == Controller::Io && disks::is_of_others(&self.value)
    }

    /// Writes it. A disk that has been taken away needs no limit.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn write_to(&self, file: &Path) -> io::Result<()> {
        let is_of_gone = || self.controller == Controller::Io && disks::is_gone(&self.value);
        match fs::write(file, &self.value) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ENODEV) && is_of_gone() => Ok(()),
            result => result,
        }
    }
}

/// Whether the machine has swap at the moment, by the text of /proc/swaps, whose first line is a heading.
pub(super) fn has_swap(swaps: &str) -> bool {
    swaps.lines().count() > 1
}

/// A limit as a property of a unit of systemd's (org.freedesktop.systemd1(5)); all numbers of 64 bits. Those of disks are in
/// [`disks::properties`].
pub(super) fn properties(limits: &Limits) -> Vec<(&'static str, u64)> {
    let Limits { memory, swap, cpus, pids, io_read: _, io_write: _ } = limits;
    let mut properties = vec![("TasksMax", pids.map_or(u64::MAX, u64::from))];
    properties.extend(memory.map(|memory| ("MemoryMax", memory.bytes())));
    properties.extend(swap.map(|swap| ("MemorySwapMax", swap.bytes())));
    properties.extend(cpus.map(|cpus| ("CPUQuotaPerSecUSec", u64::from(cpus.thousandths()) * 1000)));
    properties
}

/// The same of a unit that has limits already: what is not limited is told, too.
pub(super) fn all_properties(limits: &Limits) -> Vec<(&'static str, u64)> {
    let mut properties = properties(limits);
    for name in ["MemoryMax", "MemorySwapMax", "CPUQuotaPerSecUSec"] {
        if properties.iter().all(|(there, _)| *there != name) {
            properties.push((name, u64::MAX));
        }
    }
    properties
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(memory: Option<&str>, swap: Option<&str>) -> Limits {
        Limits {
            memory: memory.map(|text| text.parse().unwrap()),
            swap: swap.map(|text| text.parse().unwrap()),
            cpus: Some("0.5".parse().unwrap()),
            pids: Some(64),
            ..Limits::default()
        }
    }

    fn lines(limits: &Limits, version: Version) -> Vec<String> {
        let settings = settings(limits, |_| version, &[]).unwrap();
        settings.into_iter().map(|one| format!("{} {}", one.file, one.value)).collect()
    }

    #[test]
    fn version_2_has_a_file_for_each_limit() {
        let expected = ["memory.max 104857600", "memory.swap.max 0", "cpu.max 50000 100000", "pids.max 64"];
        assert_eq!(lines(&limits(Some("100M"), Some("0")), Version::Two), expected);
        assert_eq!(lines(&limits(None, Some("1k")), Version::Two)[0], "memory.swap.max 1024");
        assert_eq!(lines(&Limits::default(), Version::Two), [] as [&str; 0]);
    }

    #[test]
    fn version_1_counts_swap_with_memory() {
        let expected = [
            "memory.limit_in_bytes 104857600",
            "memory.memsw.limit_in_bytes 115343360",
            "cpu.cfs_period_us 100000",
            "cpu.cfs_quota_us 50000",
            "pids.max 64",
        ];
        assert_eq!(lines(&limits(Some("100M"), Some("10M")), Version::One), expected);
        assert!(!lines(&limits(Some("100M"), None), Version::One).join(" ").contains("memsw"));
        assert!(matches!(settings(&limits(None, Some("0")), |_| Version::One, &[]), Err(CgroupError::SwapAlone)));
    }

    #[test]
    fn memory_is_met_to_the_page() {
        let setting = &settings(&limits(Some("100001"), None), |_| Version::Two, &[]).unwrap()[0];
        assert!(setting.is_met_by("98304\n") && !setting.is_met_by("max\n") && !setting.is_met_by("104858"));
    }

    #[test]
    fn systemd_is_told_the_same() {
        let told = properties(&limits(Some("100M"), Some("0")));
        let expected =
            [("TasksMax", 64), ("MemoryMax", 100 << 20), ("MemorySwapMax", 0), ("CPUQuotaPerSecUSec", 500_000)];
        assert_eq!(told, expected);
        assert_eq!(properties(&Limits::default()), [("TasksMax", u64::MAX)], "systemd would have a limit of its own");
    }

    fn found(text: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |file| text.iter().find(|(name, _)| *name == file).map(|(_, value)| format!("{value}\n"))
    }

    #[test]
    fn limits_are_read_back_as_they_were_written() {
        let given = limits(Some("100M"), Some("10M"));
        for version in [Version::One, Version::Two] {
            let written = settings(&given, |_| version, &[]).unwrap();
            let read = |file: &str| written.iter().find(|one| one.file == file).map(|one| one.value.clone());
            assert_eq!(told(|_| version, read, &[]), given);
        }
        let one = [
            ("memory.limit_in_bytes", "9223372036854771712"),
            ("memory.memsw.limit_in_bytes", "9223372036854771712"),
            ("cpu.cfs_quota_us", "-1"),
            ("cpu.cfs_period_us", "100000"),
            ("pids.max", "max"),
        ];
        assert_eq!(told(|_| Version::One, found(Box::leak(Box::new(one))), &[]), Limits::default());
        let two = [("memory.max", "max"), ("memory.swap.max", "max"), ("cpu.max", "max 100000"), ("pids.max", "max")];
        assert_eq!(told(|_| Version::Two, found(Box::leak(Box::new(two))), &[]), Limits::default());
        assert_eq!(told(|_| Version::Two, |_| None, &[]), Limits::default());
    }

    #[test]
    fn what_is_lifted_is_what_is_not_limited() {
        let all = lifted(&Limits::default(), |_| Version::One, &[]);
        let lines: Vec<String> = all.iter().map(|one| format!("{} {}", one.file, one.value)).collect();
        let expected =
            ["memory.limit_in_bytes -1", "memory.memsw.limit_in_bytes -1", "cpu.cfs_quota_us -1", "pids.max max"];
        assert_eq!(lines, expected);
        assert!(all[0].is_met_by("9223372036854771712\n") && !all[0].is_met_by("104857600\n"));
        assert!(lifted(&limits(Some("1M"), Some("0")), |_| Version::Two, &[]).is_empty());
    }

    #[test]
    fn memory_is_never_above_memory_and_swap() {
        let files = |limits: &Limits, sum: u64| -> Vec<&str> {
            let all = settings(limits, |_| Version::One, &[]).unwrap();
            in_order(all, Some(sum)).into_iter().map(|one| one.file).take(2).collect()
        };
        let given = limits(Some("100M"), Some("0"));
        assert_eq!(files(&given, 50 << 20), ["memory.memsw.limit_in_bytes", "memory.limit_in_bytes"], "raised");
        assert_eq!(files(&given, 200 << 20), ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"], "lowered");
    }

    #[test]
    fn swap_is_seen() {
        assert!(!has_swap("Filename\tType\n"));
        assert!(has_swap("Filename\tType\n/dev/vda2 partition\n"));
    }
}
