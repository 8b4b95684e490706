//! Being killed for want of memory: counting it, and who is not to be.

use super::hierarchy::Version;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The file whose line `oom_kill` counts them, of a cgroup and all below it; in version 1, of the cgroup alone.
pub(super) fn file(version: Version) -> &'static str {
    match version {
        Version::One => "memory.oom_control",
        Version::Two => "memory.events",
    }
}

/// How many processes of a cgroup the kernel has killed for want of memory. It is opened where the cgroup can be seen, and can
/// be read wherever the open file gets to.
#[derive(Debug)]
pub struct OomCounter(File);

impl OomCounter {
    pub(super) fn open(cgroup: &Path, version: Version) -> io::Result<Self> {
        File::open(cgroup.join(file(version))).map(Self)
    }

    /// How many until now.
    ///
    /// # Errors
    /// When the cgroup has been removed (ENODEV), or the kernel does not count (before 4.13).
    pub fn kills(&self) -> io::Result<u64> {
        let mut text = [0; 1024];
        let bytes = self.0.read_at(&mut text, 0)?;
        parse(&text[..bytes]).ok_or_else(|| io::Error::from_raw_os_error(nix::libc::ENODATA))
    }
}

impl AsFd for OomCounter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for OomCounter {
    /// What was handed on as an open file.
    fn from(file: OwnedFd) -> Self {
        Self(file.into())
    }
}

impl From<OomCounter> for OwnedFd {
    fn from(counter: OomCounter) -> Self {
        counter.0.into()
    }
}

/// The line `oom_kill N`.
pub(super) fn parse(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
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
        assert_eq!(parse(b"low 0\nhigh 0\nmax 7\noom 2\noom_kill 3\noom_group_kill 1\n"), Some(3));
        assert_eq!(parse(b"oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"), Some(1));
        assert_eq!(parse(b"oom_kill_disable 0\nunder_oom 0\n"), None);
    }
}
