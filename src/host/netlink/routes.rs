//! Static unicast routes of the main table.

use super::connection::Connection;
use super::errno::{Forgive, NetlinkError};
use super::links;
use crate::model::Route;
use ipnetwork::{IpNetwork, Ipv6Network};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A route with a next hop, as the kernel keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NextHopRoute {
    pub(super) to: IpNetwork,
    pub(super) via: IpAddr,
    pub(super) dev_index: u32,
    /// 0 where the kernel names none.
    pub(super) metric: u32,
    /// Whether a router's advertisement made it (RTPROT_RA).
    pub(super) is_advertised: bool,
    /// Whether a DHCP lease brought it (RTPROT_DHCP).
    pub(super) is_leased: bool,
}

/// Adds a route in the calling thread's namespace.
///
/// # Errors
/// EEXIST where there is another route to the same place with the same metric.
pub(crate) fn ensure(connection: &mut Connection, route: &Route) -> Result<(), NetlinkError> {
    let dev_index = links::index_of(route.dev.as_str())?;
    let mut add = message(route, dev_index);
    add.header.protocol = RouteProtocol::Static;
    add.header.scope = RouteScope::Universe;
    add.header.kind = RouteType::Unicast;
    let exists = match connection.execute(RouteNetlinkMessage::NewRoute(add), NLM_F_CREATE | NLM_F_EXCL) {
        Err(error) if error.is(&[Errno::EEXIST]) => error,
        result => return result,
    };
    let same = |r: &NextHopRoute| {
        r.to == route.to
            && r.via == route.via
            && r.dev_index == dev_index
            && route.metric.is_none_or(|metric| metric == r.metric)
    };
    if dump(connection, family_of(route.to))?.iter().any(same) { Ok(()) } else { Err(exists) }
}

/// Removes a route of the calling thread's namespace, where it is there.
pub(crate) fn remove(connection: &mut Connection, route: &Route) -> Result<(), NetlinkError> {
    let dev_index = match links::index_of(route.dev.as_str()) {
        Err(error) if error.is(&[Errno::ENODEV]) => return Ok(()),
        result => result?,
    };
    let mut message = message(route, dev_index);
    message.header.scope = RouteScope::NoWhere; // any
    connection.execute(RouteNetlinkMessage::DelRoute(message), 0).forgive(&[Errno::ESRCH])
}

/// Removes what routers' advertisements made of an interface's routes in the calling thread's namespace: the default
/// routes to these routers, and the routes to these prefixes as networks on the link.
pub(crate) fn remove_advertised(
    connection: &mut Connection,
    dev_index: u32,
    routers: &[Ipv6Addr],
    prefixes: &[Ipv6Network],
) -> Result<(), NetlinkError> {
    let by_default = routers.iter().map(|router| {
        let mut message = of_interface(dev_index, Ipv6Addr::UNSPECIFIED, 0);
        message.header.protocol = RouteProtocol::Ra;
        message.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet6(*router)));
        message
    });
    let on_link = prefixes.iter().map(|prefix| of_interface(dev_index, prefix.network(), prefix.prefix()));
    let requests = by_default.chain(on_link).map(|message| (RouteNetlinkMessage::DelRoute(message), 0)).collect();
    for result in connection.execute_all(requests)? {
        result.forgive(&[Errno::ESRCH])?;
    }
    Ok(())
}

fn of_interface(dev_index: u32, to: Ipv6Addr, prefix: u8) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet6;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.scope = RouteScope::NoWhere; // any
    message.header.destination_prefix_length = prefix;
    if prefix > 0 {
        message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet6(to)));
    }
    message.attributes.push(RouteAttribute::Oif(dev_index));
    message
}

fn message(route: &Route, dev_index: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family_of(route.to);
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.destination_prefix_length = route.to.prefix();
    if route.to.prefix() > 0 {
        message.attributes.push(RouteAttribute::Destination(route.to.network().into()));
    }
    message.attributes.push(RouteAttribute::Gateway(route.via.into()));
    message.attributes.push(RouteAttribute::Oif(dev_index));
    if let Some(metric) = route.metric {
        message.attributes.push(RouteAttribute::Priority(metric));
    }
    message
}

fn family_of(to: IpNetwork) -> AddressFamily {
    if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

/// The unicast routes of the main table that have a next hop.
pub(super) fn dump(connection: &mut Connection, family: AddressFamily) -> Result<Vec<NextHopRoute>, NetlinkError> {
    Ok(dump_messages(connection, family)?.iter().filter_map(next_hop_route).collect())
}

/// What the kernel tells of the main table.
pub(super) fn dump_messages(
    connection: &mut Connection,
    family: AddressFamily,
) -> Result<Vec<RouteMessage>, NetlinkError> {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    match connection.dump(&RouteNetlinkMessage::GetRoute(message)) {
        Ok(messages) => Ok(messages
            .into_iter()
            .filter_map(|m| if let RouteNetlinkMessage::NewRoute(m) = m { Some(m) } else { None })
            .collect()),
        // The table is made with its first route.
        Err(error) if error.is(&[Errno::ENOENT]) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn next_hop_route(message: &RouteMessage) -> Option<NextHopRoute> {
    let header = &message.header;
    if header.table != RouteHeader::RT_TABLE_MAIN || header.kind != RouteType::Unicast {
        return None;
    }
    let unspecified = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let (mut to, mut via, mut dev_index, mut metric) = (unspecified, None, None, 0);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => to = ip_in(address)?,
            RouteAttribute::Gateway(address) => via = ip_in(address),
            RouteAttribute::Oif(index) => dev_index = Some(*index),
            RouteAttribute::Priority(priority) => metric = *priority,
            _ => {}
        }
    }
    let to = IpNetwork::new(to, header.destination_prefix_length).ok()?;
    let is_advertised = header.protocol == RouteProtocol::Ra;
    let is_leased = header.protocol == RouteProtocol::Dhcp;
    Some(NextHopRoute { to, via: via?, dev_index: dev_index?, metric, is_advertised, is_leased })
}

fn ip_in(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}
