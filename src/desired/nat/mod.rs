//! Masquerading: the way of a lab's nodes to the world through the machine, under its address.
//!
//! [`choose()`] decides what depends on the machine: by which of its NICs packets leave, how they are forwarded, whom nodes ask
//! for names. What all that means in resources is pure arithmetic from there on: a veth pair whose one end is the host's
//! (`link`), addresses for that end (`gateways`), routes and a resolver for the nodes, forwarding, and rules.

mod choose;
mod forwarding;
mod gateways;
mod link;
mod resolver;
mod rules;

pub use choose::{Missing, Nat, NatError, choose};
pub(super) use forwarding::sysctls;
pub(super) use gateways::{addresses, with_routes};
pub(super) use link::add_link;
pub(super) use resolver::Resolver;
pub(super) use rules::{passes, table};

use super::ports;
use crate::model::{IfName, Interface, NetnsName};
use crate::spec::{NatUplink, Spec, Uplink};

/// The uplink, where it is by NAT.
pub fn nat_uplink(spec: &Spec) -> Option<&NatUplink> {
    match &spec.uplink {
        Some(Uplink::Nat(uplink)) => Some(uplink),
        Some(Uplink::Nic(_)) | None => None,
    }
}

/// The host's end of the pair that joins it to the lab's switch.
pub fn gateway_interface(spec: &Spec) -> Interface {
    Interface { netns: NetnsName::Host, name: names(spec).gateway }
}

/// What the two ends of the pair are called.
struct Names {
    /// The host's end.
    gateway: IfName,
    /// The switch's port, as the lab calls it.
    port: IfName,
}

fn names(spec: &Spec) -> Names {
    const GATEWAY: &str = "gw";
    const PORT: &str = "nat";
    let mut taken = ports::taken(spec);
    let port = ports::choose(PORT, &spec.name, &mut taken);
    let mut taken_on_host = taken.iter().map(|name| ports::host_name(&spec.name, name)).collect();
    let gateway = ports::choose(&format!("{}-{GATEWAY}", spec.name), &spec.name, &mut taken_on_host);
    Names { gateway, port }
}
