//! What a DHCP lease puts on an interface: an address that the kernel itself takes away when the lease is over, and routes
//! that go with it.
//!
//! Both carry the mark of DHCP (IFA_PROTO and RTM's protocol, both RTPROT_DHCP), so that whoever comes after a client that
//! was killed knows them.

use super::connection::Connection;
use super::errno::{Forgive, NetlinkError};
use super::{addresses, routes};
use ipnetwork::{IpNetwork, Ipv4Network};
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, CacheInfo};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RouteProtocol, RouteScope,
    RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use std::net::{Ipv4Addr, Ipv6Addr};

/// RTPROT_DHCP (linux/rtnetlink.h). An address's protocol has no number for it, and its numbers from 4 on are anybody's.
const RTPROT_DHCP: u8 = 16;

/// A lifetime that does not end (INFINITY_LIFE_TIME, linux/if_addr.h), and the lease time that says so (RFC 2131 section 3.3).
pub(crate) const FOREVER: u32 = u32::MAX;

/// An address for as long as a lease lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeasedAddress {
    /// With its prefix length.
    pub(crate) address: Ipv4Network,
    /// Where broadcasts go.
    pub(crate) broadcast: Option<Ipv4Addr>,
    /// How long it lasts, in seconds; [`FOREVER`].
    pub(crate) lifetime_s: u32,
}

/// A route that a lease brings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LeasedRoute {
    /// Where to.
    pub(crate) to: Ipv4Network,
    /// The router; `None` where the destination is on the link.
    pub(crate) via: Option<Ipv4Addr>,
    /// Whether the router is on the link whatever the address's network says: servers give addresses with a prefix of 32
    /// bits, and a router beyond it.
    pub(crate) onlink: bool,
    /// The leased address. The kernel removes the route together with it.
    pub(crate) source: Ipv4Addr,
    /// Which one of several to the same place is taken: that with the lowest.
    pub(crate) metric: u32,
    /// The largest packets that are sent this way, where those are smaller than the interface's.
    pub(crate) mtu_bytes: Option<u32>,
}

/// Gives an interface an address, or the one that it has another lifetime. The kernel makes no route to its network: that
/// would have neither the metric nor the MTU.
pub(crate) fn ensure_address(
    connection: &mut Connection,
    index: u32,
    leased: &LeasedAddress,
) -> Result<(), NetlinkError> {
    let mut message = address_message(index, leased.address);
    if let Some(broadcast) = leased.broadcast {
        message.attributes.push(AddressAttribute::Broadcast(broadcast));
    }
    message.attributes.push(AddressAttribute::Flags(AddressFlags::Noprefixroute));
    let mut lifetime = CacheInfo::default();
    (lifetime.ifa_valid, lifetime.ifa_preferred) = (leased.lifetime_s, leased.lifetime_s);
    message.attributes.push(AddressAttribute::CacheInfo(lifetime));
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(RTPROT_DHCP)));
    connection.execute(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
}

/// Gives an interface an address of DHCPv6, or the one that it has other lifetimes, in seconds. What else is on the link is the
/// routers' to say (RFC 8415 section 18.2.10.1): no route comes with it.
pub(crate) fn ensure_address_six(
    connection: &mut Connection,
    index: u32,
    address: Ipv6Addr,
    preferred_s: u32,
    valid_s: u32,
) -> Result<(), NetlinkError> {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = 128;
    message.header.family = AddressFamily::Inet6;
    let mut lifetime = CacheInfo::default();
    (lifetime.ifa_preferred, lifetime.ifa_valid) = (preferred_s, valid_s);
    message.attributes = vec![
        AddressAttribute::Local(address.into()),
        AddressAttribute::Address(address.into()),
        AddressAttribute::Flags(AddressFlags::Noprefixroute),
        AddressAttribute::CacheInfo(lifetime),
    ];
    connection.execute(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
}

/// The link-local address of an interface, where it is known to be nobody else's.
pub(crate) fn link_local(connection: &mut Connection, index: u32) -> Result<Option<Ipv6Addr>, NetlinkError> {
    let all = addresses::dump(connection)?;
    let mut its = all.iter().filter(|message| message.header.index == index && !is_tentative(message));
    Ok(its.find_map(|message| match addresses::address_in(message)? {
        IpNetwork::V6(network) if network.ip().is_unicast_link_local() => Some(network.ip()),
        _ => None,
    }))
}

fn is_tentative(message: &AddressMessage) -> bool {
    let tentative = AddressFlags::Tentative.union(AddressFlags::Dadfailed);
    let is = |attribute: &AddressAttribute| matches!(attribute, AddressAttribute::Flags(flags) if flags.intersects(tentative));
    message.attributes.iter().any(is)
}

/// The addresses that an interface has by leases.
pub(crate) fn addresses(connection: &mut Connection, index: u32) -> Result<Vec<Ipv4Network>, NetlinkError> {
    let all = addresses::dump(connection)?;
    let its = all.iter().filter(|message| message.header.index == index && is_leased(message));
    Ok(its.filter_map(addresses::address_in).filter_map(only_ipv4).collect())
}

/// Whether an address is of a lease.
pub(super) fn is_leased(message: &AddressMessage) -> bool {
    message.attributes.contains(&AddressAttribute::Protocol(AddressProtocol::Other(RTPROT_DHCP)))
}

/// Takes an address from an interface, where they are there.
pub(crate) fn remove_address(
    connection: &mut Connection,
    index: u32,
    address: Ipv4Network,
) -> Result<(), NetlinkError> {
    let message = RouteNetlinkMessage::DelAddress(address_message(index, address));
    connection.execute(message, 0).forgive(&[Errno::EADDRNOTAVAIL, Errno::ENODEV])
}

/// Adds a route, behind any that is there to the same place with the same metric: that may be somebody else's, and where it
/// is of a former lease it is about to go.
pub(crate) fn ensure_route(connection: &mut Connection, index: u32, route: &LeasedRoute) -> Result<(), NetlinkError> {
    let mut message = route_message(index, route);
    if let Some(mtu_bytes) = route.mtu_bytes {
        message.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu_bytes)]));
    }
    let message = RouteNetlinkMessage::NewRoute(message);
    connection.execute(message, NLM_F_CREATE | NLM_F_APPEND).forgive(&[Errno::EEXIST])
}

/// The routes through an interface that leases brought.
pub(crate) fn routes(connection: &mut Connection, index: u32) -> Result<Vec<LeasedRoute>, NetlinkError> {
    let mut all = Vec::new();
    for message in routes::dump_messages(connection, AddressFamily::Inet)? {
        if message.header.protocol == RouteProtocol::Dhcp && message.attributes.contains(&RouteAttribute::Oif(index)) {
            all.extend(leased_route(&message));
        }
    }
    Ok(all)
}

/// Removes a route, where it is there.
pub(crate) fn remove_route(connection: &mut Connection, index: u32, route: &LeasedRoute) -> Result<(), NetlinkError> {
    let message = RouteNetlinkMessage::DelRoute(route_message(index, route));
    connection.execute(message, 0).forgive(&[Errno::ESRCH, Errno::ENODEV])
}

/// Removes the route to its network that the kernel made for an address which was there before it was a lease's, whatever its
/// metric.
pub(crate) fn remove_kernels_route(
    connection: &mut Connection,
    index: u32,
    address: Ipv4Network,
) -> Result<(), NetlinkError> {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Kernel;
    message.header.kind = RouteType::Unicast;
    message.header.scope = RouteScope::Link;
    message.header.destination_prefix_length = address.prefix();
    message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(address.network())));
    message.attributes.push(RouteAttribute::Oif(index));
    message.attributes.push(RouteAttribute::PrefSource(RouteAddress::Inet(address.ip())));
    connection.execute(RouteNetlinkMessage::DelRoute(message), 0).forgive(&[Errno::ESRCH, Errno::ENODEV])
}

fn address_message(index: u32, address: Ipv4Network) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = address.prefix();
    message.header.family = AddressFamily::Inet;
    message.attributes.push(AddressAttribute::Local(address.ip().into()));
    message.attributes.push(AddressAttribute::Address(address.ip().into()));
    message
}

fn route_message(index: u32, route: &LeasedRoute) -> RouteMessage {
    let LeasedRoute { to, via, onlink, source, metric, mtu_bytes: _ } = route;
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Dhcp;
    message.header.kind = RouteType::Unicast;
    message.header.destination_prefix_length = to.prefix();
    if to.prefix() > 0 {
        message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(to.network())));
    }
    message.header.scope = RouteScope::Link;
    if let Some(via) = via {
        message.header.scope = RouteScope::Universe;
        if *onlink {
            message.header.flags = RouteFlags::Onlink;
        }
        message.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(*via)));
    }
    message.attributes.push(RouteAttribute::Oif(index));
    message.attributes.push(RouteAttribute::PrefSource(RouteAddress::Inet(*source)));
    message.attributes.push(RouteAttribute::Priority(*metric));
    message
}

fn leased_route(message: &RouteMessage) -> Option<LeasedRoute> {
    let (mut to, mut via, mut source, mut metric, mut mtu_bytes) = (Ipv4Addr::UNSPECIFIED, None, None, 0, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => to = *address,
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => via = Some(*address),
            RouteAttribute::PrefSource(RouteAddress::Inet(address)) => source = Some(*address),
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::Metrics(all) => {
                mtu_bytes = all.iter().find_map(|m| if let RouteMetric::Mtu(mtu) = m { Some(*mtu) } else { None });
            }
            _ => {}
        }
    }
    let to = Ipv4Network::new(to, message.header.destination_prefix_length).ok()?;
    let onlink = message.header.flags.contains(RouteFlags::Onlink);
    Some(LeasedRoute { to, via, onlink, source: source?, metric, mtu_bytes })
}

fn only_ipv4(address: IpNetwork) -> Option<Ipv4Network> {
    if let IpNetwork::V4(address) = address { Some(address) } else { None }
}
