//! How to know that the kernel has removed namespaces: by one that was given up after them.
//!
//! The kernel removes namespaces in the background, in the order in which they were given up (cleanup_net,
//! net/core/net_namespace.c), and says nothing of it. But it does say when an interface goes: so a veth pair is laid
//! between two namespaces without a name, and one of them given up. When the other one's end goes away, all that was
//! given up before is gone.

use super::connection::Connection;
use super::errno::NetlinkError;
use super::listen::LINKS;
use crate::host::readiness;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth};
use nix::sys::socket::{MsgFlags, recv};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

const WATCHED: &str = "watched";
const SENTINEL: &str = "sentinel";

/// The end that is left behind, seen by a socket in its namespace, which lives just as long.
pub(crate) struct Sentinel(OwnedFd);

/// Lays a veth pair between the calling thread's namespace, which is to be given up next, and `watcher`, which a
/// connection is open in.
pub(crate) fn plant(watcher: Connection, watcher_netns: BorrowedFd<'_>) -> Result<Sentinel, NetlinkError> {
    let peer = LinkUnspec::new_with_name(WATCHED).setns_by_fd(watcher_netns.as_raw_fd()).build();
    let pair = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
        .name(SENTINEL)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build();
    Connection::open()?.execute(RouteNetlinkMessage::NewLink(pair), NLM_F_CREATE | NLM_F_EXCL)?;
    // The pair is there: all that can still be told of it is that it goes.
    watcher.subscribe(&[LINKS]).map(Sentinel)
}

impl Sentinel {
    /// Waits for the other end's namespace to be gone.
    ///
    /// # Cancel safety
    /// Nothing is lost by not waiting.
    pub(crate) async fn wait(self) -> Result<(), NetlinkError> {
        let socket = readiness::watch(self.0).map_err(NetlinkError::Socket)?;
        let mut received = [0; 64]; // the header is enough; the rest of the datagram is dropped
        loop {
            let mut ready = socket.readable().await.map_err(NetlinkError::Socket)?;
            match ready.try_io(|socket| Ok(recv(socket.as_raw_fd(), &mut received, MsgFlags::empty())?)) {
                Ok(Ok(length)) if is_removal(&received[..length]) => return Ok(()),
                Ok(Ok(_)) | Err(_) => {}
                Ok(Err(error)) => return Err(NetlinkError::Socket(error)),
            }
        }
    }
}

/// RTM_DELLINK (linux/rtnetlink.h), of whatever: there is nothing but the watched end that could go.
fn is_removal(datagram: &[u8]) -> bool {
    const RTM_DELLINK: u16 = 17;
    datagram.get(4..6) == Some(&RTM_DELLINK.to_ne_bytes())
}
