//! Being killed for want of memory: counting it, and who is not to be.

use super::hierarchy::Version;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The file whose line `oom_kill` counts them, of a cgroup and all below it; in version 1, of the cgroup alone.
pub(super) fn file(version: Version) -> &'static str {
    match version {
        Version::One => "memory.oom_control",
        Version::Two => "memory.events",
    }
}

/// The files of version 1 that say how much has been in use at most, and what the limit is. (Those that count how often it was met do
/// not count that of memory with swap: `track_failcnt` in the kernel. Version 2 counts in its one file how often that was the end of
/// somebody.)
const MOST_ONE: [[&str; 2]; 2] = [
    ["memory.max_usage_in_bytes", "memory.limit_in_bytes"],
    ["memory.memsw.max_usage_in_bytes", "memory.memsw.limit_in_bytes"],
];

/// As much more is wanted at once at most: 256 KiB, with pages of 4 KiB (MEMCG_CHARGE_BATCH), and some room.
const AT_ONCE: u64 = 1 << 20;

/// How many processes of a cgroup the kernel has killed for want of memory, and by whose limit. It is opened where the cgroup can be
/// seen, and can be read wherever the open files get to.
#[derive(Debug)]
pub struct OomCounter {
    kills: File,
    version: Version,
    /// In version 1, how much was in use at most, and the limit.
    most: Vec<[File; 2]>,
}

impl OomCounter {
    pub(super) fn open(cgroup: &Path, version: Version) -> io::Result<Self> {
        let open = |name: &str| File::open(cgroup.join(name)).ok();
        let most = match version {
            // A kernel that does not count swap lacks two.
            Version::One => MOST_ONE.iter().filter_map(|[most, limit]| Some([open(most)?, open(limit)?])).collect(),
            Version::Two => Vec::new(),
        };
        Ok(Self { kills: File::open(cgroup.join(file(version)))?, version, most })
    }

    /// How many until now.
    ///
    /// # Errors
    /// When the cgroup has been removed (ENODEV), or the kernel does not count (before 4.13).
    pub fn kills(&self) -> io::Result<u64> {
        line(&read(&self.kills)?, "oom_kill").ok_or_else(|| io::Error::from_raw_os_error(nix::libc::ENODATA))
    }

    /// Whether those can't have been killed for the cgroup's own limit, because that was never met: but for one that it is in,
    /// or for the machine's memory.
    pub fn is_for_others(&self) -> bool {
        let number = |file: &File| read(file).ok()?.trim().parse::<u64>().ok();
        let is_below = |most: Option<u64>, limit: Option<u64>| Some(most?.saturating_add(AT_ONCE) < limit?);
        match self.version {
            Version::Two => read(&self.kills).ok().and_then(|text| line(&text, "oom")) == Some(0),
            Version::One => {
                let is_far = |[most, limit]: &[File; 2]| is_below(number(most), number(limit)) == Some(true);
                !self.most.is_empty() && self.most.iter().all(is_far)
            }
        }
    }
}

fn read(file: &File) -> io::Result<String> {
    let mut text = [0; 1024];
    let bytes = file.read_at(&mut text, 0)?;
    Ok(String::from_utf8_lossy(&text[..bytes]).into_owned())
}

/// What a line `NAME N` says.
fn line(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Who was killed of a container for want of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::launcher) struct OutOfMemory {
    /// How many.
    pub(in crate::launcher) kills: u64,
    /// Whether not for its own limit.
    pub(in crate::launcher) is_for_others: bool,
}

impl OutOfMemory {
    /// What a counter says; `None` where nobody was killed.
    pub(in crate::launcher) fn told(counter: &OomCounter) -> Option<Self> {
        let kills = counter.kills().ok().filter(|kills| *kills > 0)?;
        Some(Self { kills, is_for_others: counter.is_for_others() })
    }
}

const SCORE: &str = "/proc/self/oom_score_adj";

/// The score at which the kernel kills others instead (proc_pid_oom_score_adj(5)).
const NEVER: &str = "-1000";

/// Has the kernel kill others than the calling process for want of memory: process 1 is to tell of its command's end. Returns
/// whether it does; in a user namespace that is not the caller's to say, and nothing is changed.
///
/// To be called when the command has been started: what process 1 starts later inherits it, and with it the right to set it
/// again (`oom_score_adj_min` in the kernel). A cgroup's own `memory.oom.group` stays off, as with Docker and Podman: a command
/// that starts others may see them killed and go on.
///
/// # Errors
/// When /proc can't be used.
pub fn protect_from_oom() -> io::Result<bool> {
    match std::fs::write(SCORE, NEVER) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(nix::libc::EACCES | nix::libc::EPERM)) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_count() {
        let two = "low 0\nhigh 0\nmax 7\noom 2\noom_kill 3\noom_group_kill 1\n";
        assert_eq!((line(two, "oom_kill"), line(two, "oom")), (Some(3), Some(2)));
        assert_eq!(line("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", "oom_kill"), Some(1));
        assert_eq!(line("oom_kill_disable 0\nunder_oom 0\n", "oom_kill"), None);
    }
}
