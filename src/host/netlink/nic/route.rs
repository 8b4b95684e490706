//! The routes out of a NIC, as the kernel tells them, and the same out of another interface.

use super::super::connection::Connection;
use super::super::errno::{Forgive, NetlinkError};
use super::address::has_no_prefix_route;
use super::words;
use crate::model::{NicAddress, NicRoute, RawMessage};
use ipnetwork::IpNetwork;
use netlink_packet_core::{Emitable, NLM_F_APPEND, NLM_F_CREATE, Parseable};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop, RouteNextHopFlags,
    RouteProtocol, RouteScope, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The flags of a route that may be asked for; the others say how it is (linux/rtnetlink.h).
const SETTABLE: RouteFlags = RouteFlags::Onlink;
const HOP_SETTABLE: RouteNextHopFlags = RouteNextHopFlags::Onlink;

/// The table of the machine's own addresses (linux/rtnetlink.h).
const RT_TABLE_LOCAL: u32 = 255;

/// The kernel tells a route's lifetime in hundredths of a second (jiffies_to_clock_t).
const USER_HZ: u32 = 100;

/// How much later than the kernel's own a copy of an advertised route comes: once the kernel has made its own, that counts.
const LATER: u32 = 1;

/// The metric of the kernel's routes of IPv6 to subnets (IP6_RT_PRIO_ADDRCONF, net/ipv6_route.h).
const SUBNET_METRIC_V6: u32 = 256;

/// The routes out of an interface that do not come with one of its addresses, or stand beside one that does not.
pub(super) fn of(
    connection: &mut Connection,
    index: u32,
    addresses: &[NicAddress],
) -> Result<Vec<NicRoute>, NetlinkError> {
    let mut found = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        let answers = match connection.dump(&RouteNetlinkMessage::GetRoute(message)) {
            Err(error) if error.is(&[Errno::ENOENT, Errno::EAFNOSUPPORT, Errno::EOPNOTSUPP]) => continue,
            answers => answers?,
        };
        let all: Vec<RouteMessage> = answers
            .into_iter()
            .filter_map(|answer| match answer {
                RouteNetlinkMessage::NewRoute(message) => Some(message),
                _ => None,
            })
            .collect();
        let is_own = |route: &RouteMessage| leaves_by(route, index) && !comes_with_address(route, addresses);
        let own: Vec<Place> = all.iter().filter(|route| is_own(route)).map(place).collect();
        for (position, route) in all.iter().enumerate() {
            let here = place(route);
            if leaves_by(route, index) && own.contains(&here) {
                let is_behind = all[..position].iter().any(|other| place(other) == here && !leaves_by(other, index));
                found.push((route.clone(), is_behind));
            }
        }
    }
    // What is on the link first: routers have to be reachable before routes lead to them.
    found.sort_by_key(|(route, _)| has_next_hop(route));
    Ok(found.into_iter().map(|(route, is_behind)| described(route, is_behind)).collect())
}

/// What routes have in common among which the kernel takes the first: table, destination, type of service, metric.
type Place = (u32, Option<IpNetwork>, u8, u32);

fn place(route: &RouteMessage) -> Place {
    (table(route), destination(route), route.header.tos, metric(route))
}

fn metric(route: &RouteMessage) -> u32 {
    let named = route.attributes.iter().find_map(|a| if let RouteAttribute::Priority(m) = a { Some(*m) } else { None });
    named.unwrap_or_default()
}

fn described(mut route: RouteMessage, is_behind: bool) -> NicRoute {
    let is_advertised = route.header.protocol == RouteProtocol::Ra;
    let lifetime =
        route.attributes.iter().find_map(|a| if let RouteAttribute::CacheInfo(i) = a { Some(i.expires) } else { None });
    if let Some(ticks) = lifetime.filter(|ticks| is_advertised && *ticks > 0) {
        route.attributes.push(RouteAttribute::Expires(ticks / USER_HZ));
    }
    let text = words::of_route(&route);
    let mut bytes = vec![0; route.buffer_len()];
    route.emit(&mut bytes);
    NicRoute { message: RawMessage(bytes), text, is_advertised, is_behind }
}

/// A route as it was told.
pub(super) fn parsed(route: &NicRoute) -> Result<RouteMessage, NetlinkError> {
    RouteMessage::parse(&route.message.0).map_err(NetlinkError::Decode)
}

/// The same routes out of the interface with the index `to`, in the order in which they are to be added, with the flags that do
/// so. None takes the place of another: to the same destination with the same metric, there may be routes that are not the
/// NIC's. Of IPv4, the first of them counts; those that were before the others are added before them, the last one first.
pub(super) fn coming(told: &[NicRoute], nic: u32, to: u32) -> Result<Vec<(RouteMessage, u16)>, NetlinkError> {
    let (mut all, mut with_next_hop) = (Vec::new(), Vec::new());
    let is_before = |told: &&NicRoute| !told.is_ipv6() && !told.is_behind;
    let before = told.iter().rev().filter(is_before).map(|told| (told, NLM_F_CREATE));
    let after = told.iter().filter(|told| !is_before(told)).map(|told| (told, NLM_F_CREATE | NLM_F_APPEND));
    for (told, flags) in before.chain(after) {
        for message in by_hop(arriving(told, nic, to)?) {
            let which = if has_next_hop(&message) { &mut with_next_hop } else { &mut all };
            which.push((message, flags));
        }
    }
    all.append(&mut with_next_hop);
    Ok(all)
}

/// Of IPv6, each hop is added by itself: the kernel joins those to the same destination, and of many at once it takes none where
/// one is there.
fn by_hop(route: RouteMessage) -> Vec<RouteMessage> {
    let hops = match route.attributes.iter().find(|a| matches!(a, RouteAttribute::MultiPath(_))) {
        Some(RouteAttribute::MultiPath(hops)) if route.header.address_family == AddressFamily::Inet6 => hops.clone(),
        _ => return vec![route],
    };
    let with = |hop: RouteNextHop| {
        let mut one = route.clone();
        one.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::MultiPath(_)));
        one.attributes.push(RouteAttribute::MultiPath(vec![hop]));
        one
    };
    hops.into_iter().map(with).collect()
}

/// The kernel's route to the subnet of one of these addresses, out of the interface with the index `to`, where one that was told
/// has its place: if the kernel's was there too, it was told as well.
pub(super) fn superseded(
    told: &NicRoute,
    addresses: &[NicAddress],
    to: u32,
) -> Result<Option<RouteMessage>, NetlinkError> {
    let told = parsed(told)?;
    let comes_with = |address: &NicAddress| {
        let (ip, prefix) = (address.peer.unwrap_or(address.address.ip()), address.address.prefix());
        let usual = if ip.is_ipv4() { 0 } else { SUBNET_METRIC_V6 };
        address.metric.unwrap_or(usual) == metric(&told)
            && destination(&told).is_some_and(|to| to.prefix() == prefix && to.contains(ip))
    };
    if has_next_hop(&told) || told.header.tos != 0 || !addresses.iter().any(comes_with) {
        return Ok(None);
    }
    let mut message = RouteMessage::default();
    message.header.address_family = told.header.address_family;
    message.header.destination_prefix_length = told.header.destination_prefix_length;
    message.header.table = told.header.table;
    message.header.protocol = RouteProtocol::Kernel;
    message.header.kind = RouteType::Unicast;
    message.header.scope = RouteScope::Link;
    let is_where = |attribute: &&RouteAttribute| {
        matches!(attribute, RouteAttribute::Destination(_) | RouteAttribute::Table(_) | RouteAttribute::Priority(_))
    };
    message.attributes = told.attributes.iter().filter(is_where).cloned().collect();
    message.attributes.push(RouteAttribute::Oif(to));
    Ok(Some(message))
}

/// The same route out of the interface with the index `to`, where it was told of `nic`.
pub(super) fn arriving(route: &NicRoute, nic: u32, to: u32) -> Result<RouteMessage, NetlinkError> {
    let mut message = out_of(parsed(route)?, nic, to);
    if route.is_advertised {
        come_later(&mut message);
    }
    Ok(message)
}

/// The same routes out of the interface with the index `from`: the kernel's own of an advertisement, and its copy.
pub(super) fn leaving(route: &NicRoute, nic: u32, from: u32) -> Result<Vec<RouteMessage>, NetlinkError> {
    let mut messages = vec![out_of(parsed(route)?, nic, from)];
    if route.is_advertised {
        messages.push(arriving(route, nic, from)?);
    }
    Ok(messages)
}

/// The same with its router taken for one on the link, whatever the addresses there.
pub(super) fn on_link(mut route: RouteMessage) -> RouteMessage {
    route.header.flags |= RouteFlags::Onlink;
    route
}

/// Of IPv6, without the hops by other interfaces: they are where they were, and the kernel deletes each that it is told.
pub(super) fn out_of(mut route: RouteMessage, nic: u32, to: u32) -> RouteMessage {
    route.header.flags &= SETTABLE;
    // What the kernel only tells.
    route.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::CacheInfo(_) | RouteAttribute::Uid(_)));
    let is_ipv6 = route.header.address_family == AddressFamily::Inet6;
    for attribute in &mut route.attributes {
        match attribute {
            RouteAttribute::Oif(index) if *index == nic => *index = to,
            RouteAttribute::MultiPath(hops) => {
                hops.retain(|hop| !is_ipv6 || hop.interface_index == nic);
                for hop in hops.iter_mut() {
                    hop.flags &= HOP_SETTABLE;
                    if hop.interface_index == nic {
                        hop.interface_index = to;
                    }
                }
            }
            _ => {}
        }
    }
    route
}

fn come_later(route: &mut RouteMessage) {
    for attribute in &mut route.attributes {
        if let RouteAttribute::Priority(metric) = attribute {
            *metric = metric.saturating_add(LATER);
        }
    }
}

/// Whether a route goes with the interface. That of any type does: with its last address of IPv4, an interface loses all
/// (fib_disable_ip, net/ipv4/fib_frontend.c). What the kernel has in the local table comes with addresses.
fn leaves_by(route: &RouteMessage, index: u32) -> bool {
    let is_kernels_local = table(route) == RT_TABLE_LOCAL && route.header.protocol == RouteProtocol::Kernel;
    let is_cached = route.header.flags.contains(RouteFlags::Cloned);
    !is_kernels_local
        && !is_cached
        && route.attributes.iter().any(|attribute| match attribute {
            RouteAttribute::Oif(oif) => *oif == index,
            RouteAttribute::MultiPath(hops) => hops.iter().any(|hop| hop.interface_index == index),
            _ => false,
        })
}

/// The kernel's routes to the subnets of addresses, and to the link-local one; those come and go with the addresses.
fn comes_with_address(route: &RouteMessage, addresses: &[NicAddress]) -> bool {
    let is_kernels = route.header.protocol == RouteProtocol::Kernel && !has_next_hop(route);
    let to = destination(route);
    let is_own = |address: &NicAddress| {
        has_no_prefix_route(address)
            && Some(address.address.prefix()) == to.map(|to| to.prefix())
            && to.is_some_and(|to| to.contains(address.address.ip()))
    };
    is_kernels && !addresses.iter().any(is_own)
}

fn has_next_hop(route: &RouteMessage) -> bool {
    route.attributes.iter().any(|attribute| {
        matches!(
            attribute,
            RouteAttribute::Gateway(_)
                | RouteAttribute::Via(_)
                | RouteAttribute::MultiPath(_)
                | RouteAttribute::NhId(_)
        )
    })
}

/// Whether its next hop is an object of its own (linux/nexthop.h), which is of an interface whatever the route says.
pub(crate) fn has_next_hop_object(route: &NicRoute) -> bool {
    parsed(route).is_ok_and(|route| route.attributes.iter().any(|a| matches!(a, RouteAttribute::NhId(_))))
}

pub(super) fn table(route: &RouteMessage) -> u32 {
    let named = route.attributes.iter().find_map(|a| if let RouteAttribute::Table(t) = a { Some(*t) } else { None });
    named.unwrap_or(u32::from(route.header.table))
}

pub(super) fn destination(route: &RouteMessage) -> Option<IpNetwork> {
    let unspecified: IpAddr = match route.header.address_family {
        AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let named = route.attributes.iter().find_map(|a| if let RouteAttribute::Destination(d) = a { ip(d) } else { None });
    IpNetwork::new(named.unwrap_or(unspecified), route.header.destination_prefix_length).ok()
}

pub(super) fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}

/// Where a default route of the main table leads by the interface with the index `nic`.
pub(crate) fn gateways(route: &NicRoute, nic: u32) -> Vec<IpAddr> {
    let Ok(route) = parsed(route) else { return Vec::new() };
    if !is_main_default(&route) {
        return Vec::new();
    }
    let of_hops = hops(&route).filter(|hop| hop.interface_index == nic).flat_map(|hop| &hop.attributes);
    route.attributes.iter().chain(of_hops).filter_map(router).collect()
}

fn is_main_default(route: &RouteMessage) -> bool {
    route.header.destination_prefix_length == 0 && table(route) == u32::from(RouteHeader::RT_TABLE_MAIN)
}

fn hops(route: &RouteMessage) -> impl Iterator<Item = &RouteNextHop> {
    let several =
        route.attributes.iter().filter_map(|a| if let RouteAttribute::MultiPath(h) = a { Some(h) } else { None });
    several.flatten()
}

fn router(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(RouteVia::Inet(address)) => Some((*address).into()),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some((*address).into()),
        _ => None,
    }
}

/// Takes the default routes of IPv4 that were moved to an interface from there, but for those that are a lease's own: a lease
/// has brought its own by then, and one to a former router would stay in its way. One that leads by other interfaces too is
/// not the lease's to replace.
pub(crate) fn drop_moved_defaults(
    connection: &mut Connection,
    routes: &[NicRoute],
    nic: u32,
    to: u32,
) -> Result<(), NetlinkError> {
    for told in routes.iter().filter(|route| !route.is_ipv6() && !gateways(route, nic).is_empty()) {
        let told = parsed(told)?;
        let is_shared = hops(&told).any(|hop| hop.interface_index != nic);
        let message = out_of(told, nic, to);
        if message.header.protocol != RouteProtocol::Dhcp && !is_shared {
            let result = connection.execute(RouteNetlinkMessage::DelRoute(message), 0);
            result.forgive(&[Errno::ESRCH])?;
        }
    }
    Ok(())
}
