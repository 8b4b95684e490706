//! The interfaces of a namespace with their addresses, and where its routes lead: those without a next hop, too.

use super::connection::Connection;
use super::errno::{Forgive, NetlinkError};
use super::links::LOOPBACK;
use super::{addresses, collect};
use ipnetwork::IpNetwork;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses of each interface but `lo`, and the networks that the unicast routes of the main table lead to, with the
/// interface; none of which is of a link alone.
type Survey = (BTreeMap<String, BTreeSet<IpNetwork>>, BTreeSet<(IpNetwork, String)>);

/// Looks at the connection's namespace.
pub(crate) fn survey(connection: &mut Connection) -> Result<Survey, NetlinkError> {
    let links = collect::dump_links(connection, false)?;
    let names: HashMap<u32, &String> = links.iter().map(|(name, message)| (message.header.index, name)).collect();
    let mut interfaces: BTreeMap<String, BTreeSet<IpNetwork>> =
        names.values().filter(|name| **name != LOOPBACK).map(|name| ((*name).clone(), BTreeSet::new())).collect();
    for message in addresses::dump(connection)? {
        let interface = names.get(&message.header.index).and_then(|name| interfaces.get_mut(*name));
        if let (Some(interface), Some(address)) = (interface, addresses::address_in(&message)) {
            interface.extend((!is_of_link(address.ip())).then_some(address));
        }
    }
    let mut found = BTreeSet::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        for (network, indices) in dump(connection, family)? {
            let names = indices.into_iter().filter_map(|index| names.get(&index));
            found.extend(names.map(|name| (network, (*name).clone())));
        }
    }
    Ok((interfaces, found))
}

fn is_of_link(address: IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    is_link_local || address.is_multicast()
}

fn dump(connection: &mut Connection, family: AddressFamily) -> Result<Vec<(IpNetwork, Vec<u32>)>, NetlinkError> {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    // The table is made with its first route; a kernel without IPv6 has none of it.
    let mut messages = Vec::new();
    connection.dump(&RouteNetlinkMessage::GetRoute(message)).map(|found| messages = found).forgive(&[
        Errno::ENOENT,
        Errno::EAFNOSUPPORT,
        Errno::EOPNOTSUPP,
    ])?;
    Ok(messages
        .iter()
        .filter_map(|m| if let RouteNetlinkMessage::NewRoute(m) = m { leads_to(m) } else { None })
        .collect())
}

/// The network that a route leads to, and the indices of its interfaces: several where it has several ways.
fn leads_to(message: &RouteMessage) -> Option<(IpNetwork, Vec<u32>)> {
    let header = &message.header;
    if header.table != RouteHeader::RT_TABLE_MAIN || header.kind != RouteType::Unicast {
        return None;
    }
    let mut to = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let mut indices = Vec::new();
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => to = (*address).into(),
            RouteAttribute::Destination(RouteAddress::Inet6(address)) => to = (*address).into(),
            RouteAttribute::Oif(index) => indices.push(*index),
            RouteAttribute::MultiPath(hops) => indices.extend(hops.iter().map(|hop| hop.interface_index)),
            _ => {}
        }
    }
    let network = IpNetwork::new(to, header.destination_prefix_length).ok()?;
    (!is_of_link(to)).then_some((network, indices))
}
