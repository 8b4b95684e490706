//! When a helper is to end: its namespace has lost its name, or an interface that it is for is gone.
//!
//! A process keeps its namespace alive, and with that the veth pairs into it. Whoever deletes a node by hand is not to find
//! it still advertising.

use crate::host::error::{FileContext, NetlinkContext};
use crate::host::netlink::{self, Hearing};
use crate::host::netns::{self, PinFile};
use crate::host::{HostError, readiness};
use crate::model::{IfName, PinName};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{MsgFlags, recv};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use tokio::io::Interest;

/// How often is looked whether it is time to end, at most: whatever is mounted on the machine wakes every helper.
pub(in crate::host) const LOOKING: Duration = Duration::from_secs(1);

/// What a helper depends on.
pub(in crate::host) struct Ending {
    netns: PinName,
    inode: u64,
    interfaces: Vec<(IfName, u32)>,
    /// Hears of interfaces that come and go.
    links: OwnedFd,
    /// Tells by poll(2) that something was mounted or unmounted (proc_pid_mounts(5)): the name is a mount.
    mounts: File,
}

impl Ending {
    /// Begins to watch, in the namespace that the calling thread is in.
    pub(in crate::host) fn watch(netns: PinName, interfaces: Vec<(IfName, u32)>) -> Result<Self, HostError> {
        let links = netlink::listen(Hearing::Links).when("listen in", &netns)?;
        let path = Path::new("/proc/self/mountinfo");
        let mounts = File::open(path).on_file("open", path)?;
        let path = Path::new("/proc/self/ns/net");
        let inode = path.metadata().on_file("look at", path)?.ino();
        Ok(Self { netns, inode, interfaces, links, mounts })
    }

    /// What to wait for.
    pub(in crate::host) fn poll_fds(&self) -> [PollFd<'_>; 2] {
        [PollFd::new(self.links.as_fd(), PollFlags::POLLIN), PollFd::new(self.mounts.as_fd(), PollFlags::POLLPRI)]
    }

    /// Whether it is time to end.
    pub(in crate::host) fn is_due(&self) -> bool {
        let mut message = [0; 16]; // the rest of a datagram is dropped, and so is what one would say: it is looked
        while !matches!(recv(self.links.as_raw_fd(), &mut message, MsgFlags::empty()), Err(Errno::EAGAIN)) {}
        let is_gone = |(name, index): &(IfName, u32)| nix::net::if_::if_nametoindex(name.as_str()) != Ok(*index);
        let is_named = matches!(netns::look(&self.netns), Ok(PinFile::Netns { inode, .. }) if inode == self.inode);
        !is_named || self.interfaces.iter().any(is_gone)
    }
    /// Waits until it is time to end.
    ///
    /// # Errors
    /// When the runtime does not take the files.
    pub(in crate::host) async fn wait(&self) -> io::Result<()> {
        let links = readiness::watch(self.links.try_clone()?)?;
        let mounts = readiness::watch_for(self.mounts.try_clone()?.into(), Interest::PRIORITY)?;
        // Once before waiting: what came to pass before the watch began is not told.
        while !self.is_due() {
            tokio::select! {
                ready = links.readable() => ready?.clear_ready(),
                ready = mounts.ready(Interest::PRIORITY) => ready?.clear_ready(),
            }
            tokio::time::sleep(LOOKING).await;
        }
        Ok(())
    }
}
