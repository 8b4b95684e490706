//! The routes out of a NIC, as the kernel tells them, and the same out of another interface.

use super::super::connection::Connection;
use super::super::errno::{Forgive, NetlinkError};
use super::address::has_no_prefix_route;
use super::words;
use crate::model::{NicAddress, NicRoute, RawMessage};
use ipnetwork::IpNetwork;
use netlink_packet_core::{Emitable, Parseable};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHopFlags, RouteProtocol,
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

/// The routes out of an interface that do not come with one of its addresses.
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
        let routes = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(message) => Some(message),
            _ => None,
        });
        found.extend(routes.filter(|route| leaves_by(route, index) && !comes_with_address(route, addresses)));
    }
    // What is on the link first: routers have to be reachable before routes lead to them.
    found.sort_by_key(has_next_hop);
    Ok(found.into_iter().map(described).collect())
}

fn described(mut route: RouteMessage) -> NicRoute {
    let is_advertised = route.header.protocol == RouteProtocol::Ra;
    let lifetime =
        route.attributes.iter().find_map(|a| if let RouteAttribute::CacheInfo(i) = a { Some(i.expires) } else { None });
    if let Some(ticks) = lifetime.filter(|ticks| is_advertised && *ticks > 0) {
        route.attributes.push(RouteAttribute::Expires(ticks / USER_HZ));
    }
    let text = words::of_route(&route);
    let mut bytes = vec![0; route.buffer_len()];
    route.emit(&mut bytes);
    NicRoute { message: RawMessage(bytes), text, is_advertised }
}

/// A route as it was told.
pub(super) fn parsed(route: &NicRoute) -> Result<RouteMessage, NetlinkError> {
    RouteMessage::parse(&route.message.0).map_err(NetlinkError::Decode)
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

pub(super) fn out_of(mut route: RouteMessage, nic: u32, to: u32) -> RouteMessage {
    route.header.flags &= SETTABLE;
    // What the kernel only tells.
    route.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::CacheInfo(_) | RouteAttribute::Uid(_)));
    for attribute in &mut route.attributes {
        match attribute {
            RouteAttribute::Oif(index) if *index == nic => *index = to,
            RouteAttribute::MultiPath(hops) => {
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

/// Where a default route of the main table leads.
pub(crate) fn gateway(route: &NicRoute) -> Option<IpAddr> {
    let route = parsed(route).ok()?;
    let is_default = route.header.destination_prefix_length == 0;
    let by = route.attributes.iter().find_map(|a| if let RouteAttribute::Gateway(g) = a { ip(g) } else { None });
    by.filter(|_| is_default && table(&route) == u32::from(RouteHeader::RT_TABLE_MAIN))
}

/// Takes the default routes of IPv4 that were moved to an interface from there, but for those that are a lease's own: a lease
/// has brought its own by then, and one to a former router would stay in its way.
pub(crate) fn drop_moved_defaults(
    connection: &mut Connection,
    routes: &[NicRoute],
    nic: u32,
    to: u32,
) -> Result<(), NetlinkError> {
    for told in routes.iter().filter(|route| !route.is_ipv6() && gateway(route).is_some()) {
        let message = out_of(parsed(told)?, nic, to);
        if message.header.protocol != RouteProtocol::Dhcp {
            let result = connection.execute(RouteNetlinkMessage::DelRoute(message), 0);
            result.forgive(&[Errno::ESRCH])?;
        }
    }
    Ok(())
}
