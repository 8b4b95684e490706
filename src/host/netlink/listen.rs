//! Hearing that something of a namespace has changed: the multicast groups of rtnetlink(7).
//!
//! What has changed is not read from the messages. When there are more than the socket holds the kernel drops some, and
//! says so; whoever has to look again then may as well always do.

use super::connection::Connection;
use super::errno::NetlinkError;
use crate::host::readiness;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use std::os::fd::{AsRawFd, OwnedFd};
use tokio::io::unix::AsyncFd;

/// RTNLGRP_LINK (linux/rtnetlink.h).
pub(super) const LINKS: u32 = 1;

/// RTNLGRP_TC.
const QUEUEING_DISCIPLINES: u32 = 4;

/// RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR and RTNLGRP_IPV6_ROUTE.
const ADDRESSES_AND_ROUTES: [u32; 4] = [5, 7, 9, 11];

/// What is to be heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hearing {
    /// Interfaces alone.
    Links,
    /// Interfaces, their addresses and queueing disciplines, and routes.
    All,
}

/// A socket that hears of changes in the namespace that the calling thread is in.
pub(crate) fn listen(hearing: Hearing) -> Result<OwnedFd, NetlinkError> {
    let mut groups = vec![LINKS];
    if hearing == Hearing::All {
        groups.push(QUEUEING_DISCIPLINES);
        groups.extend(ADDRESSES_AND_ROUTES);
    }
    Connection::open()?.subscribe(&groups)
}

/// A socket that [`listen`] opened, registered with the runtime.
pub(crate) struct Listener(AsyncFd<OwnedFd>);

impl Listener {
    pub(crate) fn new(socket: OwnedFd) -> Result<Self, NetlinkError> {
        readiness::watch(socket).map(Self).map_err(NetlinkError::Socket)
    }

    /// Waits until something has changed. All that was heard until then is forgotten: who looks afterwards sees it.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn heard(&self) -> Result<(), NetlinkError> {
        let mut message = [0; 16]; // the rest of the datagram is dropped
        let mut heard = false;
        loop {
            let mut ready = self.0.readable().await.map_err(NetlinkError::Socket)?;
            loop {
                match ready.try_io(|socket| Ok(recv(socket.as_raw_fd(), &mut message, MsgFlags::empty())?)) {
                    Ok(Ok(_)) => heard = true,
                    Ok(Err(error)) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => heard = true,
                    Ok(Err(error)) => return Err(NetlinkError::Socket(error)),
                    Err(_would_block) => break,
                }
            }
            if heard {
                return Ok(());
            }
        }
    }
}
