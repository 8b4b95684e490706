//! Addresses of interfaces.

use super::connection::Connection;
use super::errno::{Forgive, NetlinkError};
use super::links;
use crate::model::Address;
use ipnetwork::IpNetwork;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;

/// Gives an interface of the calling thread's namespace an address.
///
/// IPv6 ones skip duplicate address detection (IFA_F_NODAD): they are given out once by the topology, and waiting for
/// an answer from nobody takes a second each.
pub(crate) fn ensure(connection: &mut Connection, address: &Address) -> Result<(), NetlinkError> {
    let index = links::index_of(address.interface.name.as_str())?;
    let add = |connection: &mut Connection| {
        let message = RouteNetlinkMessage::NewAddress(message(index, address.address));
        connection.execute(message, NLM_F_CREATE | NLM_F_EXCL)
    };
    match add(connection) {
        Err(error) if error.is(&[Errno::EEXIST]) => {}
        result => return result,
    }
    // To IPv4 this very address and prefix length are there. IPv6 says the same of an address with another prefix
    // length, which has to go first.
    for other in present(connection, index)? {
        if other.ip() == address.address.ip() && other.is_ipv6() && other != address.address {
            delete(connection, index, other)?;
            return add(connection);
        }
    }
    Ok(())
}

/// Takes an address from an interface of the calling thread's namespace, where they are there.
pub(crate) fn remove(connection: &mut Connection, address: &Address) -> Result<(), NetlinkError> {
    let index = match links::index_of(address.interface.name.as_str()) {
        Err(error) if error.is(&[Errno::ENODEV]) => return Ok(()),
        result => result?,
    };
    delete(connection, index, address.address)
}

fn delete(connection: &mut Connection, index: u32, address: IpNetwork) -> Result<(), NetlinkError> {
    let message = RouteNetlinkMessage::DelAddress(message(index, address));
    connection.execute(message, 0).forgive(&[Errno::EADDRNOTAVAIL, Errno::ENODEV])
}

fn message(index: u32, address: IpNetwork) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = address.prefix();
    message.header.family = AddressFamily::Inet;
    if address.is_ipv6() {
        message.header.family = AddressFamily::Inet6;
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    message.attributes.push(AddressAttribute::Local(address.ip()));
    message.attributes.push(AddressAttribute::Address(address.ip()));
    message
}

fn present(connection: &mut Connection, index: u32) -> Result<Vec<IpNetwork>, NetlinkError> {
    let all = dump(connection)?;
    Ok(all.iter().filter(|m| m.header.index == index).filter_map(address_in).collect())
}

/// All addresses of both families.
pub(super) fn dump(connection: &mut Connection) -> Result<Vec<AddressMessage>, NetlinkError> {
    let messages = connection.dump(&RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
    Ok(messages
        .into_iter()
        .filter_map(|m| if let RouteNetlinkMessage::NewAddress(m) = m { Some(m) } else { None })
        .collect())
}

/// The address that a message is about: IFA_LOCAL, which differs from IFA_ADDRESS where that is the other end's of a
/// point-to-point interface.
pub(super) fn address_in(message: &AddressMessage) -> Option<IpNetwork> {
    let local =
        message.attributes.iter().find_map(|a| if let AddressAttribute::Local(ip) = a { Some(*ip) } else { None });
    let address =
        message.attributes.iter().find_map(|a| if let AddressAttribute::Address(ip) = a { Some(*ip) } else { None });
    IpNetwork::new(local.or(address)?, message.header.prefix_len).ok()
}
