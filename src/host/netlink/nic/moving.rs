//! Moving what the machine has on one interface to another one: all of it is said in one system call, however much there is, so
//! that a SIGKILL does not divide it. A route to a router that no address leads to is said again afterwards, as one on the link.
//!
//! The order is what keeps connections alive: an address is on both interfaces before it is on one, so that it is the
//! machine's at every moment; and the routes come last, since the kernel takes away those that prefer an address as
//! their source when that leaves an interface (fib_sync_down_addr, net/ipv4/fib_semantics.c).

use super::super::connection::{Connection, Request};
use super::super::errno::{Forgive, NetlinkError};
use super::super::{links, neighbours};
use super::address::{self, Known};
use super::{advertised, route, rule};
use crate::model::{IfName, NicAddress, NicRoute, NicRule};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;
use rtnetlink::LinkUnspec;
use std::net::IpAddr;

/// What is to be where.
pub(crate) struct Move<'a> {
    /// The interface that it leaves; it need not be there any more.
    pub(crate) from: &'a IfName,
    /// The interface that it comes to.
    pub(crate) to: &'a IfName,
    /// The addresses that it has then.
    pub(crate) addresses: &'a [NicAddress],
    /// Those that leave the other one.
    pub(crate) leaving: &'a [NicAddress],
    /// The routes, as they were told of the NIC.
    pub(crate) routes: &'a [NicRoute],
    /// The rules, which name the NIC.
    pub(crate) rules: &'a [NicRule],
    /// The NIC.
    pub(crate) nic: &'a IfName,
    /// The index that it had when they were told.
    pub(crate) told_index: u32,
    /// What the NIC is a port of then.
    pub(crate) master: Master<'a>,
    /// The routers, whose MAC addresses are known already.
    pub(crate) routers: &'a [IpAddr],
}

/// What becomes of a NIC's being a port.
#[derive(Clone, Copy)]
pub(crate) enum Master<'a> {
    /// It is left as it is: somebody else sees to it.
    Left,
    /// It is none any more.
    None,
    /// It is one of this bridge.
    Bridge(&'a IfName),
}

/// Does it. Done twice, or on top of a half-done one, it ends the same.
pub(crate) fn carry_out(connection: &mut Connection, plan: &Move<'_>) -> Result<(), NetlinkError> {
    let to = links::index_of(plan.to.as_str())?;
    let from = links::index_of(plan.from.as_str()).ok();
    let is_home = plan.to == plan.nic;

    let mut requests = Vec::new();
    let arriving =
        |address: &NicAddress, known| RouteNetlinkMessage::NewAddress(address::message(address, to, known, is_home));
    requests.extend(
        in_order_of_coming(plan.addresses)
            .map(|address| (arriving(address, Known::Yes), NLM_F_CREATE | NLM_F_REPLACE, Forgiven::Nothing)),
    );
    let master = match plan.master {
        Master::Left => None,
        Master::None => Some(0),
        Master::Bridge(bridge) => Some(links::index_of(bridge.as_str())?),
    };
    if let Some(master) = master {
        let message = LinkUnspec::new_with_name(plan.nic.as_str()).controller(master).build();
        requests.push((RouteNetlinkMessage::SetLink(message), 0, Forgiven::Nothing));
    }
    if let Some(from) = from {
        // From behind: with a first address, those that are secondary to it would go.
        requests.extend(plan.leaving.iter().rev().map(|there| {
            let message = address::removal(there.address, there.peer, from);
            (RouteNetlinkMessage::DelAddress(message), 0, Forgiven::Absence)
        }));
        for prefix in advertised::prefixes(connection, from)? {
            requests.push((RouteNetlinkMessage::DelRoute(prefix), 0, Forgiven::Absence));
        }
        for (address, mac) in neighbours::known(connection, from, plan.routers)? {
            let message = neighbours::reachable(to, address, mac);
            requests.push((RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE, Forgiven::All));
        }
    }
    for told in plan.routes {
        let superseded = route::superseded(told, plan.addresses, to)?;
        requests.extend(superseded.map(|kernels| (RouteNetlinkMessage::DelRoute(kernels), 0, Forgiven::Absence)));
    }
    for (message, flags) in route::coming(plan.routes, plan.told_index, to)? {
        requests.push((RouteNetlinkMessage::NewRoute(message), flags, Forgiven::Existence));
    }
    for told in plan.routes {
        for message in from.map(|from| route::leaving(told, plan.told_index, from)).transpose()?.into_iter().flatten() {
            requests.push((RouteNetlinkMessage::DelRoute(message), 0, Forgiven::Absence));
        }
    }
    for told in plan.rules {
        let [here, there] = [plan.to, plan.from].map(|name| rule::naming(told, plan.nic, name));
        requests.push((RouteNetlinkMessage::NewRule(here?), NLM_F_CREATE | NLM_F_EXCL, Forgiven::Existence));
        requests.push((RouteNetlinkMessage::DelRule(there?), 0, Forgiven::Absence));
    }
    // That nobody else has them was known; that they were said to need no looking is not what they were.
    let unsaid = plan.addresses.iter().filter(|address| is_home && address.address.is_ipv6());
    requests.extend(unsaid.map(|address| (arriving(address, Known::Unsaid), NLM_F_REPLACE, Forgiven::Nothing)));

    let (messages, forgiven): (Vec<Request>, Vec<Forgiven>) =
        requests.into_iter().map(|(message, flags, forgiven)| ((message, flags), forgiven)).unzip();
    let results = connection.execute_at_once(messages.clone())?;
    for ((result, request), forgiven) in results.into_iter().zip(messages).zip(forgiven) {
        match (result, request) {
            // A route may outlive the address by which its router was reached.
            (Err(error), (RouteNetlinkMessage::NewRoute(message), flags)) if error.is(&UNREACHABLE) => {
                let result = connection.execute(RouteNetlinkMessage::NewRoute(route::on_link(message)), flags);
                // What the NIC had it may not get back, where the source that it prefers is nobody's any more; the rest is.
                result.forgive(&[Errno::EEXIST]).forgive(if is_home { &UNREACHABLE } else { &[] })?;
            }
            (result, _) => result.forgive(forgiven.errnos())?,
        }
    }
    Ok(())
}

/// In the order in which they are to be given for the kernel to tell them in the order that they have: of IPv4 it puts the latest
/// behind the others, so that secondary addresses come after the one that they are secondary to; of IPv6 it puts the latest
/// first (ipv6_link_dev_addr, net/ipv6/addrconf.c).
fn in_order_of_coming(addresses: &[NicAddress]) -> impl Iterator<Item = &NicAddress> {
    let of_ipv4 = addresses.iter().filter(|address| address.address.is_ipv4());
    of_ipv4.chain(addresses.iter().rev().filter(|address| address.address.is_ipv6()))
}

/// What the kernel says of a route whose router it finds no way to.
const UNREACHABLE: [Errno; 3] = [Errno::ENETUNREACH, Errno::EHOSTUNREACH, Errno::EINVAL];

/// What a request may be answered with, and all is well.
#[derive(Clone, Copy)]
enum Forgiven {
    Nothing,
    Absence,
    Existence,
    /// It only saves time.
    All,
}

impl Forgiven {
    fn errnos(self) -> &'static [Errno] {
        match self {
            Self::Nothing => &[],
            Self::Absence => &[Errno::EADDRNOTAVAIL, Errno::ESRCH, Errno::ENOENT, Errno::ENODEV],
            Self::Existence => &[Errno::EEXIST],
            Self::All => &[Errno::EINVAL, Errno::ENOENT, Errno::EEXIST, Errno::ENETDOWN, Errno::EOPNOTSUPP],
        }
    }
}
