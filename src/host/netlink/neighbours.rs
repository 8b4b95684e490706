//! The neighbour cache (arp(7)) of a namespace.

use super::connection::Connection;
use super::errno::{Forgive, NetlinkError};
use super::links;
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A neighbour, by interface index and address.
pub(crate) type Neighbour = (u32, IpAddr);

/// The neighbours that the kernel resolved, or tries to; those that somebody set for good are not among them.
pub(crate) fn resolved(connection: &mut Connection) -> Result<BTreeSet<Neighbour>, NetlinkError> {
    let answers = connection.dump(&RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()))?;
    Ok(answers
        .into_iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewNeighbour(message) => Some(message),
            _ => None,
        })
        .filter(|message| !matches!(message.header.state, NeighbourState::Permanent | NeighbourState::Noarp))
        .filter_map(|message| {
            let index = message.header.ifindex;
            Some((index, address_in(&message)?))
        })
        .collect())
}

fn address_in(message: &NeighbourMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some((*address).into()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some((*address).into()),
        _ => None,
    })
}

/// Removes neighbours from the cache; those that went by themselves meanwhile are fine.
pub(crate) fn forget(connection: &mut Connection, neighbours: &BTreeSet<Neighbour>) -> Result<(), NetlinkError> {
    let requests = neighbours
        .iter()
        .map(|(index, address)| {
            let mut message = NeighbourMessage::default();
            message.header.ifindex = *index;
            message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
            message.attributes.push(NeighbourAttribute::Destination((*address).into()));
            (RouteNetlinkMessage::DelNeighbour(message), 0)
        })
        .collect();
    for result in connection.execute_all(requests)? {
        result.forgive(&[Errno::ENOENT, Errno::ENODEV])?;
    }
    Ok(())
}

/// The MAC addresses that are known of these neighbours of an interface.
pub(super) fn known(
    connection: &mut Connection,
    index: u32,
    addresses: &[IpAddr],
) -> Result<Vec<(IpAddr, Vec<u8>)>, NetlinkError> {
    let answers = connection.dump(&RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()))?;
    let of = |answer: RouteNetlinkMessage| {
        let RouteNetlinkMessage::NewNeighbour(message) = answer else { return None };
        let address = address_in(&message)?;
        let mac = message.attributes.iter().find_map(|attribute| match attribute {
            NeighbourAttribute::LinkLayerAddress(mac) => Some(mac.clone()),
            _ => None,
        })?;
        let is_wanted = message.header.ifindex == index
            && addresses.contains(&address)
            && !matches!(message.header.state, NeighbourState::Failed | NeighbourState::Incomplete);
        is_wanted.then_some((address, mac))
    };
    Ok(answers.into_iter().filter_map(of).collect())
}

/// The message by which an interface knows a neighbour that was reached just now.
pub(super) fn reachable(index: u32, address: IpAddr, mac: Vec<u8>) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = index;
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.state = NeighbourState::Reachable;
    message.attributes.push(NeighbourAttribute::Destination(address.into()));
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac));
    message
}

/// Whether a neighbour of an interface has said its MAC address not long ago.
pub(crate) fn is_reached(connection: &mut Connection, interface: &str, address: IpAddr) -> Result<bool, NetlinkError> {
    let index = links::index_of(interface)?;
    let answers = connection.dump(&RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()))?;
    Ok(answers.into_iter().any(|answer| match answer {
        RouteNetlinkMessage::NewNeighbour(message) => {
            message.header.ifindex == index
                && matches!(message.header.state, NeighbourState::Reachable | NeighbourState::Permanent)
                && address_in(&message) == Some(address)
        }
        _ => false,
    }))
}
