//! What of a router's advertisements does not move by itself: the kernel's routes that outlive the address that they came with,
//! and the copies that stand in for its own until it has heard the router.

use super::super::connection::Connection;
use super::super::errno::{Forgive, NetlinkError};
use super::super::routes;
use super::route;
use crate::model::NicRoute;
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteProtocol};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;

/// The kernel's routes out of an interface to networks that are on its link for a time: they stay when their address goes
/// (check_cleanup_prefix_route, net/ipv6/addrconf.c), and would be in the way of the same out of another interface.
pub(super) fn prefixes(connection: &mut Connection, index: u32) -> Result<Vec<RouteMessage>, NetlinkError> {
    let mut all = of_ipv6(connection, index)?;
    all.retain(|message| {
        let expires =
            |attribute: &RouteAttribute| matches!(attribute, RouteAttribute::CacheInfo(info) if info.expires != 0);
        message.header.protocol == RouteProtocol::Kernel && message.attributes.iter().any(expires)
    });
    Ok(all.into_iter().map(|message| route::out_of(message, index, index)).collect())
}

fn of_ipv6(connection: &mut Connection, index: u32) -> Result<Vec<RouteMessage>, NetlinkError> {
    let mut all = match routes::dump_messages(connection, AddressFamily::Inet6) {
        // A kernel without IPv6.
        Err(error) if error.is(&[Errno::EAFNOSUPPORT, Errno::EOPNOTSUPP]) => return Ok(Vec::new()),
        all => all?,
    };
    all.retain(|message| message.attributes.contains(&RouteAttribute::Oif(index)));
    Ok(all)
}

/// Takes the copies of advertised routes from an interface whose own the kernel has made by now; says whether none is left.
pub(crate) fn drop_copies(
    connection: &mut Connection,
    told: &[NicRoute],
    nic: u32,
    to: u32,
) -> Result<bool, NetlinkError> {
    let there = of_ipv6(connection, to)?;
    let mut is_none_left = true;
    for told in told.iter().filter(|route| route.is_advertised) {
        let own = route::out_of(route::parsed(told)?, nic, to);
        if there.iter().any(|there| is_same(there, &own)) {
            let copy = RouteNetlinkMessage::DelRoute(route::arriving(told, nic, to)?);
            connection.execute(copy, 0).forgive(&[Errno::ESRCH])?;
        } else {
            is_none_left = false;
        }
    }
    Ok(is_none_left)
}

/// Whether two routes of an interface lead to the same place by the same way, at the same price.
fn is_same(one: &RouteMessage, other: &RouteMessage) -> bool {
    let known = |message: &RouteMessage| {
        let counts = |attribute: &&RouteAttribute| {
            matches!(
                attribute,
                RouteAttribute::Destination(_)
                    | RouteAttribute::Gateway(_)
                    | RouteAttribute::Priority(_)
                    | RouteAttribute::Table(_)
            )
        };
        let mut known: Vec<RouteAttribute> = message.attributes.iter().filter(counts).cloned().collect();
        known.sort_by_key(|attribute| format!("{attribute:?}"));
        (message.header.destination_prefix_length, message.header.protocol, known)
    };
    known(one) == known(other)
}
