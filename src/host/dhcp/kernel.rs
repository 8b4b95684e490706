//! A lease on its interface: which address and routes it means there, and putting them there in place of a former one's.

use super::error::DhcpError;
use super::lease::Lease;
use super::six::Lease6;
use crate::host::NetlinkError;
use crate::host::netlink::lease::{self, LeasedAddress, LeasedRoute};
use crate::host::netlink::{self, Connection};
use crate::model::IfName;
use ipnetwork::Ipv4Network;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The addresses that leases gave an interface, and that it still has.
///
/// # Errors
/// [`DhcpError::NoInterface`]; when the kernel does not answer.
pub(super) fn leased(interface: &IfName) -> Result<Vec<Ipv4Addr>, DhcpError> {
    let index = index_of(interface)?;
    let found = Connection::open().and_then(|mut connection| lease::addresses(&mut connection, index));
    let found = found.map_err(failed("look at the addresses of", interface))?;
    Ok(found.into_iter().map(Ipv4Network::ip).collect())
}

/// The index of an interface.
///
/// # Errors
/// [`DhcpError::NoInterface`].
pub(super) fn index_of(interface: &IfName) -> Result<u32, DhcpError> {
    netlink::link_index(interface.as_str())
        .map_err(|source| DhcpError::NoInterface { interface: interface.clone(), source })
}

/// Gives an interface what a lease says, and takes from it what a former lease said: in this order, so that it is never
/// without an address.
///
/// # Errors
/// [`DhcpError::NoInterface`]; what the kernel refuses.
pub(super) fn apply(interface: &IfName, lease: &Lease, metric: u32) -> Result<(), DhcpError> {
    let index = index_of(interface)?;
    let apply = || {
        let mut connection = Connection::open()?;
        let link_mtu_bytes = netlink::link_mtu_bytes(&mut connection, interface.as_str())?;
        let routes = routes_of(lease, metric, link_mtu_bytes);
        let Lease { address, broadcast, .. } = *lease;
        let leased = LeasedAddress { address, broadcast, lifetime_s: lease.lifetime_s() };
        lease::ensure_address(&mut connection, index, &leased)?;
        let there = lease::routes(&mut connection, index)?;
        for route in routes.iter().filter(|route| !there.contains(route)) {
            lease::ensure_route(&mut connection, index, route)?;
        }
        // An address that was moved here brought a route of the kernel's, which has neither the metric nor the MTU.
        let is_own =
            |route: &LeasedRoute| route.to.network() == address.network() && route.to.prefix() == address.prefix();
        if routes.iter().any(is_own) {
            lease::remove_kernels_route(&mut connection, index, address)?;
        }
        remove_all_but(&mut connection, index, Some(address), &routes)
    };
    apply().map_err(failed("give its lease to", interface))
}

/// Gives an interface the address of a lease of DHCPv6, or the one that it has another lifetime. One of a former lease stays
/// until that ends.
///
/// # Errors
/// [`DhcpError::NoInterface`]; what the kernel refuses.
pub(super) fn apply_six(interface: &IfName, lease: &Lease6) -> Result<(), DhcpError> {
    let index = index_of(interface)?;
    let Lease6 { address, preferred_s, valid_s, .. } = *lease;
    let apply = Connection::open()
        .and_then(|mut connection| lease::ensure_address_six(&mut connection, index, address, preferred_s, valid_s));
    apply.map_err(failed("give its lease to", interface))
}

/// The link-local address of an interface, once it is known to be nobody else's.
///
/// # Errors
/// [`DhcpError::NoInterface`]; when the kernel does not answer.
pub(super) fn link_local(interface: &IfName) -> Result<Option<Ipv6Addr>, DhcpError> {
    let index = index_of(interface)?;
    let found = Connection::open().and_then(|mut connection| lease::link_local(&mut connection, index));
    found.map_err(failed("look at the addresses of", interface))
}

/// Takes from an interface what leases gave it. That there is no such interface is fine.
///
/// # Errors
/// What the kernel refuses.
pub(crate) fn let_go(interface: &IfName) -> Result<(), DhcpError> {
    let Ok(index) = index_of(interface) else { return Ok(()) };
    let all = Connection::open().and_then(|mut connection| remove_all_but(&mut connection, index, None, &[]));
    all.map_err(failed("take its lease from", interface))
}

pub(super) fn failed(action: &'static str, interface: &IfName) -> impl Fn(NetlinkError) -> DhcpError {
    move |source| DhcpError::Kernel { action, interface: interface.clone(), source }
}

fn remove_all_but(
    connection: &mut Connection,
    index: u32,
    address: Option<Ipv4Network>,
    routes: &[LeasedRoute],
) -> Result<(), NetlinkError> {
    for route in lease::routes(connection, index)?.iter().filter(|route| !routes.contains(route)) {
        lease::remove_route(connection, index, route)?;
    }
    for former in lease::addresses(connection, index)?.into_iter().filter(|there| Some(*there) != address) {
        lease::remove_address(connection, index, former)?;
    }
    Ok(())
}

/// The routes that a lease means on an interface: to the address's network first, because the others' routers are there.
fn routes_of(lease: &Lease, metric: u32, link_mtu_bytes: u32) -> Vec<LeasedRoute> {
    let network = lease.address;
    // Packets that are larger than the interface's would never leave it.
    let mtu_bytes = lease.mtu_bytes.map(u32::from).filter(|mtu| *mtu < link_mtu_bytes);
    let source = network.ip();
    let own = Ipv4Network::new(network.network(), network.prefix()).ok().filter(|own| own.prefix() < 32);
    let own = own.map(|to| LeasedRoute { to, via: None, onlink: false, source, metric, mtu_bytes });
    let mut others: Vec<LeasedRoute> = lease
        .effective_routes()
        .into_iter()
        .map(|route| {
            let onlink = route.via.is_some_and(|via| !network.contains(via));
            LeasedRoute { to: route.to, via: route.via, onlink, source, metric, mtu_bytes }
        })
        .filter(|route| own.as_ref().is_none_or(|own| route.to != own.to))
        .collect();
    // A destination on the link may hold the routers of others.
    others.sort_by_key(|route| route.via.is_some());
    own.into_iter().chain(others).collect()
}
