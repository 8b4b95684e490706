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

/// The files that count how often an own limit did not let memory be had. Version 2 counts in its one file how often that was the
/// end of somebody; version 1 counts what could be written back as well.
const REFUSALS_ONE: [&str; 2] = ["memory.failcnt", "memory.memsw.failcnt"];

/// How many processes of a cgroup the kernel has killed for want of memory, and by whose limit. It is opened where the cgroup can be
/// seen, and can be read wherever the open files get to.
#[derive(Debug)]
pub struct OomCounter {
    kills: File,
    version: Version,
    refusals: Vec<File>,
}

impl OomCounter {
    pub(super) fn open(cgroup: &Path, version: Version) -> io::Result<Self> {
        let refusals = match version {
            // A kernel that does not count swap lacks one.
            Version::One => REFUSALS_ONE.iter().filter_map(|name| File::open(cgroup.join(name)).ok()).collect(),
            Version::Two => Vec::new(),
        };
        Ok(Self { kills: File::open(cgroup.join(file(version)))?, version, refusals })
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
        let count = match self.version {
            Version::Two => read(&self.kills).ok().and_then(|text| line(&text, "oom")),
            Version::One => {
                let counts = self.refusals.iter().map(|file| read(file).ok()?.trim().parse::<u64>().ok());
                counts.reduce(|sum, count| Some(sum?.saturating_add(count?))).flatten()
            }
        };
        count == Some(0)
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
