//! The machine's addresses on a NIC, with all that the kernel says of them.

use super::super::addresses;
use super::super::connection::Connection;
use super::super::errno::NetlinkError;
use crate::model::{IfName, Lifetime, NicAddress};
use ipnetwork::IpNetwork;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
};
use std::net::IpAddr;

/// A lifetime without end (INFINITY_LIFE_TIME, net/addrconf.h).
const FOREVER: u32 = u32::MAX;

/// Flags that may be asked for; the others say what the kernel found (inet6_rtm_newaddr, net/ipv6/addrconf.c).
const SETTABLE: AddressFlags = AddressFlags::Nodad
    .union(AddressFlags::Homeaddress)
    .union(AddressFlags::Managetempaddr)
    .union(AddressFlags::Noprefixroute)
    .union(AddressFlags::Mcautojoin);

/// The addresses of an interface, in the kernel's order, but for the link-local ones that it makes itself.
pub(super) fn of(
    connection: &mut Connection,
    index: u32,
    name: &IfName,
    mac: &[u8],
) -> Result<Vec<NicAddress>, NetlinkError> {
    let all = addresses::dump(connection)?;
    // Since 5.18 the kernel does: then at least `::1` is said to be its own, where there is anything of IPv6.
    let tells = all.iter().any(|there| there.attributes.iter().any(|a| matches!(a, AddressAttribute::Protocol(_))));
    let is_kernels = |message: &AddressMessage| is_kernels_link_local(message, tells, mac);
    let its = all.iter().filter(|message| message.header.index == index && !is_kernels(message));
    Ok(its.filter_map(|message| read(message, name)).collect())
}

/// Whether the kernel has made a link-local address. Where it does not tell, by how it would make it: from the MAC address
/// (RFC 4291, appendix A), or from a secret (RFC 7217).
fn is_kernels_link_local(message: &AddressMessage, tells: bool, mac: &[u8]) -> bool {
    let Some(IpNetwork::V6(network)) = addresses::address_in(message) else { return false };
    if !network.ip().is_unicast_link_local() {
        return false;
    }
    if tells {
        return message.attributes.contains(&AddressAttribute::Protocol(AddressProtocol::LinkLocal));
    }
    let is_from_mac = matches!(mac, [a, b, c, d, e, f]
        if network.ip().octets()[8..] == [a ^ 2, *b, *c, 0xff, 0xfe, *d, *e, *f]);
    let is_from_secret = |attribute: &AddressAttribute| matches!(attribute, AddressAttribute::Flags(flags) if flags.contains(AddressFlags::StablePrivacy));
    is_from_mac || message.attributes.iter().any(is_from_secret)
}

fn read(message: &AddressMessage, name: &IfName) -> Option<NicAddress> {
    let address = addresses::address_in(message)?;
    let mut read = NicAddress {
        address,
        peer: None,
        broadcast: None,
        label: None,
        scope: message.header.scope.into(),
        flags: u32::from(message.header.flags.bits()),
        metric: None,
        protocol: None,
        lifetime: None,
    };
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(ip) if *ip != address.ip() => read.peer = Some(*ip),
            AddressAttribute::Broadcast(ip) => read.broadcast = Some(*ip),
            AddressAttribute::Label(label) if label != name.as_str() => read.label = Some(label.clone()),
            AddressAttribute::Flags(flags) => read.flags = flags.bits(),
            AddressAttribute::RoutePriority(metric) => read.metric = Some(*metric),
            AddressAttribute::Protocol(protocol) => read.protocol = Some((*protocol).into()),
            AddressAttribute::CacheInfo(info) if info.ifa_valid.min(info.ifa_preferred) != FOREVER => {
                read.lifetime = Some(Lifetime { preferred_s: info.ifa_preferred, valid_s: info.ifa_valid });
            }
            _ => {}
        }
    }
    Some(read)
}

/// Whether the route to its subnet does not come with an address, so that it is somebody's own.
pub(super) fn has_no_prefix_route(address: &NicAddress) -> bool {
    AddressFlags::from_bits_retain(address.flags).contains(AddressFlags::Noprefixroute)
}

/// Whether an address may be used at once; that it is nobody else's was found out where it comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// The kernel is told so.
    Yes,
    /// It is not; it takes a new address of IPv6 for nobody's only after a second.
    Unsaid,
}

/// The message that gives an interface this address; without a label it gets the interface's name for one.
pub(super) fn message(address: &NicAddress, index: u32, known: Known, with_label: bool) -> AddressMessage {
    let NicAddress { address: network, peer, broadcast, label, scope, flags, metric, protocol, lifetime } = address;
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.family = if network.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = network.prefix();
    message.header.scope = AddressScope::from(*scope);
    let mut flags = AddressFlags::from_bits_retain(*flags) & SETTABLE;
    if known == Known::Yes && network.is_ipv6() {
        flags |= AddressFlags::Nodad;
    }
    let attributes = &mut message.attributes;
    attributes.push(AddressAttribute::Local(network.ip()));
    attributes.push(AddressAttribute::Address(peer.unwrap_or(network.ip())));
    attributes.push(AddressAttribute::Flags(flags));
    attributes.extend(broadcast.map(AddressAttribute::Broadcast));
    attributes.extend(label.clone().filter(|_| with_label).map(AddressAttribute::Label));
    attributes.extend(metric.map(AddressAttribute::RoutePriority));
    attributes.extend(protocol.map(|protocol| AddressAttribute::Protocol(AddressProtocol::from(protocol))));
    if let Some(Lifetime { preferred_s, valid_s }) = lifetime {
        let mut info = CacheInfo::default();
        (info.ifa_preferred, info.ifa_valid) = (*preferred_s, *valid_s);
        attributes.push(AddressAttribute::CacheInfo(info));
    }
    message
}

/// The message that takes it away again.
pub(super) fn removal(address: IpNetwork, peer: Option<IpAddr>, index: u32) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = address.prefix();
    message.attributes.push(AddressAttribute::Local(address.ip()));
    message.attributes.push(AddressAttribute::Address(peer.unwrap_or(address.ip())));
    message
}
