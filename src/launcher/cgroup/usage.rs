//! What the processes in a cgroup use, and have used, for who looks again and again.
//!
//! Time of processors is counted by every cgroup of version 2 (`cpu.stat`), whatever its controllers; in version 1, by those that
//! are in a hierarchy with the controller `cpuacct`. What went from and to block devices is counted where the controller `io`,
//! or `blkio`, is used: in all scopes of systemd's, and where nslab limits it. Elsewhere it is told what the processes themselves
//! have used, with those that they have waited for (proc_pid_stat(5), proc_pid_io(5)); what a process has written is then what
//! it gave the kernel to write.

use super::error::CgroupError;
use super::{Cgroup, Machine, Usage, group, hierarchy, members};
use crate::model::container::MemorySize;
use crate::model::{IoBytes, ResourceUsage};
use nix::unistd::{SysconfVar, sysconf};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Ticks of /proc/PID/stat in a second, where the kernel does not say it: they are this on all of Linux's machines that matter.
const USUAL_TICKS: u64 = 100;

/// Looks at cgroups, and has looked at the machine once for all of them.
pub struct UsageReader(Machine);

impl UsageReader {
    /// Looks at the machine.
    ///
    /// # Errors
    /// When its hierarchies can't be seen.
    pub fn new() -> Result<Self, CgroupError> {
        Ok(Self(Machine(hierarchy::look()?)))
    }

    /// What is used in a container's cgroup of this name; `None` where there is none. What vanishes meanwhile is not known.
    ///
    /// # Errors
    /// [`CgroupError::Name`]
    pub fn container(&self, name: &Path) -> Result<Option<ResourceUsage>, CgroupError> {
        super::check(name)?;
        Ok(Cgroup::find_on(&self.0, name).map(|cgroup| Self::of(&cgroup)))
    }

    /// The same of a node's that is no container.
    ///
    /// # Errors
    /// [`CgroupError::Name`]
    pub fn group(&self, name: &Path) -> Result<Option<ResourceUsage>, CgroupError> {
        super::check(name)?;
        Ok(group::find_on(&self.0, name).map(|cgroup| Self::of(&cgroup)))
    }

    fn of(cgroup: &Cgroup) -> ResourceUsage {
        let places = cgroup.directories();
        let read = |file: &str| places.iter().find_map(|place| fs::read_to_string(place.join(file)).ok());
        let Usage { memory_bytes, pids } = cgroup.usage().unwrap_or_default();
        let limits = cgroup.limits();
        let mut processes = Processes::new(&places);
        ResourceUsage {
            memory_bytes,
            memory_limit_bytes: limits.memory.map(MemorySize::bytes),
            pids,
            pids_limit: limits.pids.map(u64::from),
            cpu_us: cpu_us(&places).or_else(|| processes.cpu_us()),
            io: io(read).or_else(|| processes.io()),
        }
    }
}

/// The file `cpu.stat` is in version 1, too, and has other lines there.
fn cpu_us(places: &[PathBuf]) -> Option<u64> {
    let read = |file: &str| places.iter().filter_map(|place| fs::read_to_string(place.join(file)).ok()).collect();
    let texts: Vec<String> = read("cpu.stat");
    texts.iter().find_map(|text| line_of(text, "usage_usec")).or_else(|| {
        let nanoseconds: Vec<String> = read("cpuacct.usage");
        Some(nanoseconds.first()?.trim().parse::<u64>().ok()? / 1000)
    })
}

fn io(read: impl Fn(&str) -> Option<String>) -> Option<IoBytes> {
    match read("io.stat") {
        Some(text) => Some(in_io_stat(&text)),
        None => read("blkio.throttle.io_service_bytes_recursive")
            .or_else(|| read("blkio.throttle.io_service_bytes"))
            .map(|text| in_service_bytes(&text)),
    }
}

/// The number of the line `NAME NUMBER`.
fn line_of(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Lines like `8:0 rbytes=90430464 wbytes=299008000 rios=8950 …`, one a device.
fn in_io_stat(text: &str) -> IoBytes {
    let sum = |key: &str| {
        let words = text.split_whitespace();
        let numbers = words.filter_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse::<u64>().ok());
        numbers.fold(0, u64::saturating_add)
    };
    IoBytes { read: sum("rbytes"), written: sum("wbytes") }
}

/// Lines like `8:0 Read 4096`, several a device, and `Total 8192`.
fn in_service_bytes(text: &str) -> IoBytes {
    let sum = |kind: &str| {
        let of_kind = text.lines().filter_map(|line| {
            let (device, rest) = line.split_once(' ')?;
            let (word, number) = rest.split_once(' ')?;
            (device.contains(':') && word == kind).then(|| number.trim().parse::<u64>().ok()).flatten()
        });
        of_kind.fold(0, u64::saturating_add)
    };
    IoBytes { read: sum("Read"), written: sum("Write") }
}

/// The processes in a cgroup, which are looked for when somebody wants to know of them.
struct Processes<'a> {
    places: &'a [PathBuf],
    found: Option<BTreeSet<i32>>,
}

impl<'a> Processes<'a> {
    fn new(places: &'a [PathBuf]) -> Self {
        Self { places, found: None }
    }

    /// They are the same in every hierarchy.
    fn all(&mut self) -> &BTreeSet<i32> {
        let place = self.places.iter().find(|place| place.is_dir());
        self.found.get_or_insert_with(|| place.and_then(|place| members::of_all(place).ok()).unwrap_or_default())
    }

    fn cpu_us(&mut self) -> Option<u64> {
        let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok());
        let per_second = per_second.filter(|ticks| *ticks > 0).unwrap_or(USUAL_TICKS);
        let texts = self.all().iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
        let ticks = texts.filter_map(|text| ticks_in(&text)).reduce(u64::saturating_add)?;
        Some(ticks.saturating_mul(1_000_000) / per_second)
    }

    fn io(&mut self) -> Option<IoBytes> {
        let texts = self.all().iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/io")).ok());
        texts.filter_map(|text| in_proc_io(&text)).reduce(|one, other| IoBytes {
            read: one.read.saturating_add(other.read),
            written: one.written.saturating_add(other.written),
        })
    }
}

/// The fields utime, stime, cutime and cstime: the 14th to the 17th of all, of which the second may hold anything.
fn ticks_in(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // The kernel writes the last two as signed numbers.
    let ticks: Option<Vec<u64>> = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).collect();
    Some(ticks?.into_iter().fold(0, u64::saturating_add))
}

/// What was given up before it was written, because a file was removed, stays counted: a counter is not to go backwards.
fn in_proc_io(text: &str) -> Option<IoBytes> {
    Some(IoBytes { read: line_of(text, "read_bytes:")?, written: line_of(text, "write_bytes:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_tells_of_every_device() {
        let text =
            "8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n8:0 rbytes=90 wbytes=10\n7:0 \n";
        assert_eq!(in_io_stat(text), IoBytes { read: 1_459_290, written: 314_773_514 });
        assert_eq!(in_io_stat(""), IoBytes::default());
        assert_eq!(in_io_stat("8:0 rbytes=x wbytes=18446744073709551615\n8:1 wbytes=5\n").written, u64::MAX);
    }

    #[test]
    fn version_1_tells_of_every_device_and_kind() {
        let text = "254:0 Read 4096\n254:0 Write 100\n254:0 Sync 4000\n254:0 Async 196\n254:0 Total 4196\n\
                    253:0 Read 4\n253:0 Write 0\nTotal 4200\n";
        assert_eq!(in_service_bytes(text), IoBytes { read: 4100, written: 100 });
        assert_eq!(in_service_bytes("Total 0\n"), IoBytes::default());
    }

    #[test]
    fn lines_are_found_by_their_whole_name() {
        let text = "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n";
        assert_eq!((line_of(text, "usage_usec"), line_of(text, "usage")), (Some(1500), None));
        assert_eq!(line_of("nr_periods 0\nnr_throttled 0\nthrottled_time 0\n", "usage_usec"), None, "version 1");
    }

    #[test]
    fn processes_tell_of_themselves_and_of_those_that_they_waited_for() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 10 20 300 4000 20 0 1 0 5 6 7";
        assert_eq!(ticks_in(stat), Some(4330));
        assert_eq!(ticks_in("7 (a) S 1"), None);
        let io = "rchar: 1\nwchar: 2\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 192\n";
        assert_eq!(in_proc_io(io), Some(IoBytes { read: 4096, written: 8192 }));
        assert_eq!(in_proc_io(""), None);
    }
}
