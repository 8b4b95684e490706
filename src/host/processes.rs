//! The processes in a namespace: finding them and ending them.

use super::helper::is_helper;
use super::{HostError, readiness};
use crate::model::{PinName, Shown};
use crate::process::own_line;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// How many processes of one namespace are ended at once; each is held open meanwhile.
const AT_ONCE: usize = 64;

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(2);

/// How long a thread may take to leave a namespace that its process is not in.
const VISIT: Duration = Duration::from_millis(500);

/// How often it is seen whether it has.
const LOOK: Duration = Duration::from_millis(10);

/// How long the kernel may take to end one that was killed.
const KILL: Duration = Duration::from_secs(10);

/// A process that was ended because its namespace was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedProcess {
    /// Its process ID.
    pub pid: i32,
    /// Its name (/proc/PID/comm).
    pub name: String,
    /// Whether it took a SIGKILL.
    pub killed: bool,
}

impl std::fmt::Display for EndedProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pid, name, killed } = self;
        write!(f, "process {pid} ({}){}", Shown(name), if *killed { ", which had to be killed" } else { "" })
    }
}

/// Who was in which network namespace at one moment.
#[derive(Debug, Default)]
pub(super) struct Processes(HashMap<u64, Vec<i32>>);

impl Processes {
    /// Looks at every thread of every process there is: each may be in a namespace of its own, and the first may have ended.
    /// The calling process itself is left out: its threads step into namespaces and out again.
    pub(super) fn scan() -> io::Result<Self> {
        let mut by_inode: HashMap<u64, Vec<i32>> = HashMap::new();
        let own = std::process::id().cast_signed();
        for entry in std::fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if pid != own {
                for inode in netns_inodes(pid) {
                    by_inode.entry(inode).or_default().push(pid);
                }
            }
        }
        Ok(Self(by_inode))
    }

    /// The processes in the namespace with this inode.
    pub(super) fn in_netns(&self, inode: u64) -> &[i32] {
        self.0.get(&inode).map_or(&[], Vec::as_slice)
    }
}

/// The inodes of the network namespaces that a process's threads are in (nsfs has but one device). One that ends
/// meanwhile has none any more; one that may not be looked at is another user's.
fn netns_inodes(pid: i32) -> HashSet<u64> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return HashSet::new() };
    let inode =
        |thread: std::fs::DirEntry| std::fs::metadata(thread.path().join("ns/net")).ok().map(|metadata| metadata.ino());
    threads.filter_map(|thread| inode(thread.ok()?)).collect()
}

/// Whether a thread of a process is in the network namespace with this inode.
pub(super) fn is_in_netns(pid: i32, inode: u64) -> bool {
    netns_inodes(pid).contains(&inode)
}

/// Ends these processes as far as they are in the namespace with this inode: SIGTERM, and SIGKILL after two seconds. Gives
/// back those that were not nslab's own.
///
/// # Errors
/// [`HostError::CallerInside`], before anything is done, where nslab itself or one of its ancestors is among them.
///
/// # Cancel safety
/// Signals that were sent stay sent; no process is signalled twice for it.
pub(super) async fn end(netns: &PinName, inode: u64, pids: &[i32]) -> Result<Vec<EndedProcess>, HostError> {
    let own = own_line();
    if let Some(&pid) = pids.iter().find(|pid| own.contains(pid)) {
        return Err(HostError::CallerInside { netns: netns.clone(), pid });
    }
    let one = |pid: i32| async move {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned();
        let is_own = is_helper(pid);
        match end_one(pid, inode).await {
            Ok(Some(killed)) => Ok((!is_own).then_some(EndedProcess { pid, name, killed })),
            Ok(None) => Ok(None),
            Err(source) => Err(HostError::Process { netns: netns.clone(), pid, name, source }),
        }
    };
    stream::iter(pids.to_vec())
        .map(one)
        .buffer_unordered(AT_ONCE)
        .try_filter_map(async |ended| Ok(ended))
        .try_collect()
        .await
}

/// Ends one process; returns whether it took a SIGKILL, or `None` where it had ended, or left, before.
pub(super) async fn end_one(pid: i32, inode: u64) -> io::Result<Option<bool>> {
    let Some(held) = Held::of(pid)? else { return Ok(None) };
    // The number may have passed to another process since the scan.
    if !is_in_netns(pid, inode) || has_left(pid, inode).await {
        return Ok(None);
    }
    held.end().await.map(Some)
}

/// A process that is held on to: its number may pass to another one, this does not. Whether it is the one that was meant
/// is to be seen after.
pub(super) struct Held(AsyncFd<OwnedFd>);

impl Held {
    /// `None` where there is no such process.
    pub(super) fn of(pid: i32) -> io::Result<Option<Self>> {
        let Some(raw) = Pid::from_raw(pid) else { return Ok(None) };
        match pidfd_open(raw, PidfdFlags::NONBLOCK) {
            Err(rustix::io::Errno::SRCH) => Ok(None),
            result => Ok(Some(Self(readiness::watch(result?)?))),
        }
    }

    /// SIGTERM, and SIGKILL after two seconds; returns whether it took that.
    pub(super) async fn end(&self) -> io::Result<bool> {
        signal(&self.0, Signal::TERM)?;
        signal(&self.0, Signal::CONT)?; // one that was stopped would not see the other
        if has_ended(&self.0, GRACE).await? {
            return Ok(false);
        }
        self.kill()?;
        self.wait_killed().await.map(|()| true)
    }

    /// SIGKILL, without waiting for its end.
    pub(super) fn kill(&self) -> io::Result<()> {
        signal(&self.0, Signal::KILL)
    }

    /// Waits for the end of one that was killed.
    pub(super) async fn wait_killed(&self) -> io::Result<()> {
        if has_ended(&self.0, KILL).await? {
            return Ok(());
        }
        Err(io::Error::from_raw_os_error(nix::libc::ETIMEDOUT))
    }
}

/// Whether a process that is not in the namespace itself, but has a thread there, leaves it by itself: another nslab, that
/// is just looking what there is, is not to be ended for it.
async fn has_left(pid: i32, inode: u64) -> bool {
    // A first thread that has ended is nowhere.
    let first = std::fs::metadata(format!("/proc/{pid}/ns/net")).ok().map(|metadata| metadata.ino());
    if first.is_none_or(|first| first == inode) {
        return false;
    }
    let left = async {
        while is_in_netns(pid, inode) {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(VISIT, left).await.is_ok()
}

fn signal(handle: &AsyncFd<OwnedFd>, signal: Signal) -> io::Result<()> {
    match pidfd_send_signal(handle.get_ref(), signal) {
        Err(rustix::io::Errno::SRCH) => Ok(()), // it has just ended
        result => Ok(result?),
    }
}

/// A pidfd becomes readable when its process ends (pidfd_open(2)).
async fn has_ended(handle: &AsyncFd<OwnedFd>, within: Duration) -> io::Result<bool> {
    match tokio::time::timeout(within, handle.readable()).await {
        Ok(ready) => ready.map(|_| true),
        Err(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_in_a_namespace_is_found() {
        let parent = std::os::unix::process::parent_id().cast_signed();
        let inode = netns_inodes(parent).into_iter().next().unwrap();
        assert!(is_in_netns(parent, inode));
        assert!(Processes::scan().unwrap().in_netns(inode).contains(&parent));
    }
}
