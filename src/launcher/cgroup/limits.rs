//! What limits are in the files of a cgroup (Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst in the kernel).

use super::error::CgroupError;
use super::hierarchy::{Controller, Version};
use crate::model::container::Limits;

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

/// The files to write, in this order. `versions` says which version a controller is in.
///
/// # Errors
/// [`CgroupError::SwapAlone`]
pub(super) fn settings(limits: &Limits, version: impl Fn(Controller) -> Version) -> Result<Vec<Setting>, CgroupError> {
    let Limits { memory, swap, cpus, pids } = limits;
    let mut settings = Vec::new();
    let mut set = |controller, limit, file, value: String| settings.push(Setting { controller, limit, file, value });
    let is_two = |controller| version(controller) == Version::Two;

    if let Some(memory) = memory {
        let file = if is_two(Controller::Memory) { "memory.max" } else { "memory.limit_in_bytes" };
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
    Ok(settings)
}

const SWAP_TWO: &str = "memory.swap.max";
const SWAP_ONE: &str = "memory.memsw.limit_in_bytes";

impl Setting {
    /// Whether a kernel may do without the file, although it has the controller: it has it where it counts swap.
    pub(super) fn is_of_swap(&self) -> bool {
        [SWAP_ONE, SWAP_TWO].contains(&self.file)
    }

    /// Whether the kernel has this value when a file says so: it counts memory in whole pages, which have at most 64 KiB.
    pub(super) fn is_met_by(&self, found: &str) -> bool {
        match (self.controller, self.value.parse::<u64>(), found.trim().parse::<u64>()) {
            (Controller::Memory, Ok(wanted), Ok(found)) => (wanted.saturating_sub(0xffff)..=wanted).contains(&found),
            _ => found.trim() == self.value,
        }
    }
}

/// Whether the machine has swap at the moment, by the text of /proc/swaps, whose first line is a heading.
pub(super) fn has_swap(swaps: &str) -> bool {
    swaps.lines().count() > 1
}

/// A limit as a property of a unit of systemd's (org.freedesktop.systemd1(5)); all numbers of 64 bits.
pub(super) fn properties(limits: &Limits) -> Vec<(&'static str, u64)> {
    let Limits { memory, swap, cpus, pids } = limits;
    let mut properties = vec![("TasksMax", pids.map_or(u64::MAX, u64::from))];
    properties.extend(memory.map(|memory| ("MemoryMax", memory.bytes())));
    properties.extend(swap.map(|swap| ("MemorySwapMax", swap.bytes())));
    properties.extend(cpus.map(|cpus| ("CPUQuotaPerSecUSec", u64::from(cpus.thousandths()) * 1000)));
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
        }
    }

    fn lines(limits: &Limits, version: Version) -> Vec<String> {
        let settings = settings(limits, |_| version).unwrap();
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
        assert!(matches!(settings(&limits(None, Some("0")), |_| Version::One), Err(CgroupError::SwapAlone)));
    }

    #[test]
    fn memory_is_met_to_the_page() {
        let setting = &settings(&limits(Some("100001"), None), |_| Version::Two).unwrap()[0];
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

    #[test]
    fn swap_is_seen() {
        assert!(!has_swap("Filename\tType\n"));
        assert!(has_swap("Filename\tType\n/dev/vda2 partition\n"));
    }
}
