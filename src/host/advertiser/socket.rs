//! A raw ICMPv6 socket for router discovery (RFC 3542), in the namespace that the calling thread is in.

use super::message::{self, HOP_LIMIT, ROUTER_SOLICITATION};
use crate::model::MacAddress;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn6,
    recvmsg, sendmsg, setsockopt, socket, sockopt,
};
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Every node, and every router, on a link (RFC 4291 section 2.7.1).
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// More than a solicitation with any options that there are takes, in bytes.
const MOST_BYTES: usize = 1500;

/// ICMPV6_FILTER (linux/icmpv6.h): which types the kernel keeps from a raw socket, a bit each.
const ICMPV6_FILTER: libc::c_int = 1;
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Icmp6Filter;
nix::setsockopt_impl!(Icmp6Filter, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, [u32; 8], sockopt::SetStruct<'_, [u32; 8]>);

/// Which types a socket hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hears {
    /// Router solicitations.
    Solicitations,
    /// None.
    Nothing,
}

/// A socket that sends messages of router discovery and hears solicitations.
pub(crate) struct IcmpSocket(OwnedFd);

/// A message that came in.
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    pub(super) hop_limit: i32,
    pub(super) source: Ipv6Addr,
    /// The index of the interface that it came by.
    pub(super) interface: u32,
}

impl IcmpSocket {
    /// Opens one. It hears what is sent to all routers because the kernel is a member of that group on every interface of
    /// a node that forwards, and hands on what it gets (IPV6_MULTICAST_ALL).
    ///
    /// # Errors
    /// Without CAP_NET_RAW, or where the kernel has no IPv6.
    pub(crate) fn open(hears: Hears) -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Inet6, SockType::Raw, flags, SockProtocol::IcmpV6)?;
        let mut blocked = [u32::MAX; 8];
        if hears == Hears::Solicitations {
            blocked[usize::from(ROUTER_SOLICITATION / 32)] &= !(1 << (ROUTER_SOLICITATION % 32));
        }
        setsockopt(&fd, Icmp6Filter, &blocked)?;
        setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true)?;
        setsockopt(&fd, sockopt::Ipv6RecvHopLimit, &true)?;
        Ok(Self(fd))
    }

    /// Sends a message out of an interface. Without a `source` the kernel chooses one.
    pub(super) fn send(
        &self,
        message: &[u8],
        interface: u32,
        source: Option<Ipv6Addr>,
        to: Ipv6Addr,
    ) -> Result<(), Errno> {
        let to = SockaddrIn6::from(SocketAddrV6::new(to, 0, 0, interface));
        let source = source.unwrap_or(Ipv6Addr::UNSPECIFIED);
        let from =
            libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: source.octets() }, ipi6_ifindex: interface };
        let hop_limit = libc::c_int::from(HOP_LIMIT);
        let control = [ControlMessage::Ipv6PacketInfo(&from), ControlMessage::Ipv6HopLimit(&hop_limit)];
        sendmsg(self.0.as_raw_fd(), &[IoSlice::new(message)], &control, MsgFlags::empty(), Some(&to)).map(drop)
    }

    /// The next message that has come in; `None` where there is none.
    pub(super) fn receive(&self) -> Result<Option<Received>, Errno> {
        let mut bytes = vec![0; MOST_BYTES];
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let mut control = nix::cmsg_space!(libc::in6_pktinfo, libc::c_int);
        let fd = self.0.as_raw_fd();
        let received = match recvmsg::<SockaddrIn6>(fd, &mut parts, Some(&mut control), MsgFlags::empty()) {
            Err(Errno::EAGAIN) => return Ok(None),
            result => result?,
        };
        let (mut interface, mut hop_limit) = (0, 0);
        for message in received.cmsgs()? {
            match message {
                ControlMessageOwned::Ipv6PacketInfo(info) => interface = info.ipi6_ifindex,
                ControlMessageOwned::Ipv6HopLimit(limit) => hop_limit = limit,
                _ => {}
            }
        }
        let (length, source) = (received.bytes, received.address.map_or(Ipv6Addr::UNSPECIFIED, |from| from.ip()));
        bytes.truncate(length);
        Ok(Some(Received { bytes, hop_limit, source, interface }))
    }
}

impl AsFd for IcmpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Asks the routers of an interface's link to advertise themselves.
///
/// # Errors
/// EADDRNOTAVAIL where the interface has no link-local address yet; ENETDOWN where it is down.
pub(crate) fn solicit(interface: u32, mac: Option<MacAddress>) -> Result<(), Errno> {
    let socket = IcmpSocket::open(Hears::Nothing)?;
    socket.send(&message::router_solicitation(mac), interface, None, ALL_ROUTERS)
}
