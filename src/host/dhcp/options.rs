//! What is wanted of a lease's holder, and what it tells.

use super::lease::Lease;
use crate::model::{ClientId, IfName, MacAddress};
use std::net::Ipv4Addr;
use std::time::Duration;

/// For what a lease is taken, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaseOptions {
    /// The interface, which is up.
    pub(crate) interface: IfName,
    /// The port by which it is on its link, where it is a bridge.
    pub(crate) port: Option<IfName>,
    /// Its MAC address.
    pub(crate) mac: MacAddress,
    /// By what the server knows the client; the MAC address where none is given. A server gives the same client the same
    /// address.
    pub(crate) client_id: Option<ClientId>,
    /// The host's name, which servers tell their name servers.
    pub(crate) host_name: Option<String>,
    /// The address that is asked for first. Without one, it is that of a former lease that the interface still has.
    pub(crate) wanted: Option<Ipv4Addr>,
    /// The metric of the lease's routes; 0 is the kernel's own.
    pub(crate) metric: u32,
    /// How long the first lease may take; forever where there is no limit. Once there was a lease, there is none.
    pub(crate) deadline: Option<Duration>,
}

impl LeaseOptions {
    /// A lease for an interface, without any wishes and without a limit.
    pub(crate) fn new(interface: IfName, mac: MacAddress) -> Self {
        Self { interface, port: None, mac, client_id: None, host_name: None, wanted: None, metric: 0, deadline: None }
    }
}

/// What becomes of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LeaseEvent {
    /// There is a lease, the first one or one of another address, and it is on the interface.
    Obtained(Lease),
    /// The lease was prolonged, maybe with other routers and servers; what is on the interface follows.
    Renewed(Lease),
    /// No server answers the wish to prolong the lease. It goes on until its end, and so does asking.
    Unanswered(Lease),
    /// A server takes the lease back. Its address stays until there is another, or the lease ends.
    Refused(Lease),
    /// The lease is over. Its address and routes are gone, and another is asked for.
    Expired(Lease),
}
