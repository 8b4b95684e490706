//! What a container may use (cgroups(7)).

use super::io::IoRate;
use serde::{Deserialize, Serialize};

/// Limits; what is `None` is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory (memory.max; memory.limit_in_bytes).
    pub memory: Option<MemorySize>,
    /// Swap beside it (memory.swap.max; the difference to memory.memsw.limit_in_bytes).
    pub swap: Option<MemorySize>,
    /// Processors (cpu.max; cpu.cfs_quota_us).
    pub cpus: Option<Cpus>,
    /// Processes and threads (pids.max).
    pub pids: Option<u32>,
    /// What is read of each disk (io.max; blkio.throttle.read_bps_device).
    pub io_read: Option<IoRate>,
    /// What is written to each disk (io.max; blkio.throttle.write_bps_device).
    pub io_write: Option<IoRate>,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for Limits {
    /// As people say it: `memory 100 MB, swap 0 B, 0.5 processors, 64 processes, reading 10 MB/s, writing 5 MB/s`, or
    /// `no limit`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { memory, swap, cpus, pids, io_read, io_write } = self;
        let words = [
            memory.map(|memory| format!("memory {memory}")),
            swap.map(|swap| format!("swap {swap}")),
            cpus.map(|cpus| format!("{cpus} processors")),
            pids.map(|pids| format!("{pids} processes")),
            io_read.map(|rate| format!("reading {rate}")),
            io_write.map(|rate| format!("writing {rate}")),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        f.write_str(if words.is_empty() { "no limit" } else { "" })?;
        f.write_str(&words.join(", "))
    }
}

/// What is to change of limits: `None` leaves one as it is, and `Some(None)` lifts it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitsChange {
    /// Memory.
    pub memory: Option<Option<MemorySize>>,
    /// Swap.
    pub swap: Option<Option<MemorySize>>,
    /// Processors.
    pub cpus: Option<Option<Cpus>>,
    /// Processes and threads.
    pub pids: Option<Option<u32>>,
    /// What is read of each disk.
    pub io_read: Option<Option<IoRate>>,
    /// What is written to each disk.
    pub io_write: Option<Option<IoRate>>,
}

impl LimitsChange {
    /// Whether nothing is to change.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What the limits are then.
    #[must_use]
    pub fn apply(&self, to: &Limits) -> Limits {
        let Self { memory, swap, cpus, pids, io_read, io_write } = self;
        Limits {
            memory: memory.unwrap_or(to.memory),
            swap: swap.unwrap_or(to.swap),
            cpus: cpus.unwrap_or(to.cpus),
            pids: pids.unwrap_or(to.pids),
            io_read: io_read.unwrap_or(to.io_read),
            io_write: io_write.unwrap_or(to.io_write),
        }
    }
}

/// An amount of memory in bytes: `100M`, `100MB` and `100MiB` are all 100 times 1024 times 1024, as memory is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MemorySize(u64);

/// A text that is no amount of memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no amount of memory: write a whole number with its unit, as in 512K, 100M or 2G")]
pub struct MemorySizeError(String);

/// The units, from the biggest, by their first letter.
const UNITS: [(char, u64); 4] = [('t', 1 << 40), ('g', 1 << 30), ('m', 1 << 20), ('k', 1 << 10)];

impl MemorySize {
    /// So many bytes; `None` where the kernel could not count them.
    pub fn from_bytes(bytes: u64) -> Option<Self> {
        i64::try_from(bytes).is_ok().then_some(Self(bytes))
    }

    /// The amount in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl std::str::FromStr for MemorySize {
    type Err = MemorySizeError;
    fn from_str(text: &str) -> Result<Self, MemorySizeError> {
        let wrong = || MemorySizeError(text.to_owned());
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
        let (number, unit) = lower.split_at(digits);
        let unit = unit.trim_start();
        let factor = match unit.chars().next() {
            None => 1,
            Some('b') if unit == "b" => 1,
            Some(letter) if ["", "b", "ib"].contains(&&unit[letter.len_utf8()..]) => {
                UNITS.iter().find(|(unit, _)| *unit == letter).ok_or_else(wrong)?.1
            }
            Some(_) => return Err(wrong()),
        };
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        bytes.and_then(Self::from_bytes).ok_or_else(wrong)
    }
}

impl TryFrom<String> for MemorySize {
    type Error = MemorySizeError;
    fn try_from(text: String) -> Result<Self, MemorySizeError> {
        text.parse()
    }
}

impl From<MemorySize> for String {
    fn from(size: MemorySize) -> String {
        size.to_string()
    }
}

impl std::fmt::Display for MemorySize {
    /// As people say it, exact: `100 MB`, `1 KB`, `1500 B`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match UNITS.iter().find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{} {}B", self.0 / factor, unit.to_ascii_uppercase()),
            None => write!(f, "{} B", self.0),
        }
    }
}

/// A share of processors' time in thousandths of one processor, from 0.01 on: `0.5`, `2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cpus(u32);

/// A text that is no number of processors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no number of processors: write one from 0.01 on with at most three decimals, as in 0.5 or 2")]
pub struct CpusError(String);

impl Cpus {
    /// The least that the kernel can hold somebody to: 1 ms in 100 ms (min_cfs_quota_period, kernel/sched/core.c).
    const LEAST: u32 = 10;

    /// The most: more processors than a machine can have (NR_CPUS).
    const MOST: u32 = 8192 * 1000;

    /// So many thousandths; `None` where the kernel can't hold anybody to it.
    pub fn from_thousandths(share: u64) -> Option<Self> {
        u32::try_from(share).ok().filter(|share| (Self::LEAST..=Self::MOST).contains(share)).map(Self)
    }

    /// The share in thousandths of a processor.
    pub fn thousandths(self) -> u32 {
        self.0
    }
}

impl std::str::FromStr for Cpus {
    type Err = CpusError;
    fn from_str(text: &str) -> Result<Self, CpusError> {
        let wrong = || CpusError(text.to_owned());
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if decimals.len() > 3 || !are_digits(whole) || !are_digits(decimals) || text.trim_matches('.').is_empty() {
            return Err(wrong());
        }
        let number = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u32>().ok() };
        let thousandths = number(&format!("{decimals:0<3}"));
        let share = number(whole).and_then(|whole| whole.checked_mul(1000)?.checked_add(thousandths?));
        share.filter(|share| (Self::LEAST..=Self::MOST).contains(share)).map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Cpus {
    type Error = CpusError;
    fn try_from(text: String) -> Result<Self, CpusError> {
        text.parse()
    }
}

impl From<Cpus> for String {
    fn from(cpus: Cpus) -> String {
        cpus.to_string()
    }
}

impl std::fmt::Display for Cpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_as_people_write_it() {
        for (text, bytes) in
            [("100M", 100 << 20), ("100MB", 100 << 20), ("100 MiB", 100 << 20), ("2g", 2 << 30), ("0", 0), ("17b", 17)]
        {
            assert_eq!(text.parse::<MemorySize>().unwrap().bytes(), bytes, "{text}");
        }
        for text in ["", "M", "1.5G", "-1", "100X", "100MM", "100bb", "99999999T", "1é"] {
            assert!(text.parse::<MemorySize>().is_err(), "{text}");
        }
        let written = "104857600".parse::<MemorySize>().unwrap().to_string();
        assert_eq!(written, "100 MB");
        assert_eq!(written.parse::<MemorySize>().unwrap().bytes(), 100 << 20);
    }

    #[test]
    fn limits_that_were_written_down_before_there_were_these_can_be_read() {
        let before = r#"{"memory": "100 MB", "swap": null, "cpus": "0.5", "pids": 64}"#;
        let limits: Limits = serde_json::from_str(before).unwrap();
        assert_eq!((limits.pids, limits.io_read, limits.io_write), (Some(64), None, None));
        let change = LimitsChange { io_write: Some("5MB/s".parse().ok()), pids: Some(None), ..LimitsChange::default() };
        let changed = change.apply(&limits);
        assert_eq!(changed.to_string(), "memory 100 MB, 0.5 processors, writing 5 MB/s");
        let again: Limits = serde_json::from_str(&serde_json::to_string(&changed).unwrap()).unwrap();
        assert_eq!(again, changed);
    }

    #[test]
    fn processors_are_counted_in_thousandths() {
        for (text, share) in [("0.5", 500), ("2", 2000), (".25", 250), ("1.", 1000), ("0.01", 10), ("1.125", 1125)] {
            assert_eq!(text.parse::<Cpus>().unwrap().thousandths(), share, "{text}");
        }
        for text in ["", ".", "0", "0.001", "0.0005", "-1", "1e3", "9999999", "1.2.3"] {
            assert!(text.parse::<Cpus>().is_err(), "{text}");
        }
        assert_eq!("1.50".parse::<Cpus>().unwrap().to_string(), "1.5");
        assert_eq!("2".parse::<Cpus>().unwrap().to_string(), "2");
    }
}
