//! Which interfaces take their IPv4 address by DHCP, and what does not go with that.

use super::links::{Interface, Wiring};
use super::names::Things;
use super::{items, value};
use crate::spec::Position;
use crate::spec::error::Problems;
use crate::spec::field::Field;
use crate::spec::values::InterfaceAddress;
use std::collections::HashSet;
use std::net::IpAddr;

/// What is wrong with an interface that takes its address by DHCP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DhcpProblem {
    /// It has an IPv4 address already.
    #[error(
        "`{interface}` takes its IPv4 address by DHCP, so it can't have {address} too: remove one of the two, or have the \
         server give it this one"
    )]
    Static {
        /// The interface.
        interface: String,
        /// Its address.
        address: IpAddr,
    },
    /// `dhcp` in a list twice.
    #[error("`dhcp` is in the list already: remove one")]
    Twice,
    /// The one key is short for the other.
    #[error("`address` is `addresses` with just one in it: write it into the list")]
    BothKeys,
    /// Nobody answers there.
    #[error("`{interface}` hears just the copies of a mirror, and no DHCP server: remove `dhcp`")]
    MirrorOutput {
        /// The interface.
        interface: String,
    },
}

/// The addresses that the text gives an interface, by either of its keys.
pub(super) fn given<'i>(interface: &Interface<'i>) -> impl Iterator<Item = &'i Field<InterfaceAddress>> + use<'i> {
    let list = interface.raw.and_then(|raw| raw.addresses.as_ref());
    let one = interface.raw.and_then(|raw| raw.address.as_ref());
    items(list).iter().chain(one)
}

/// Whether an interface takes its IPv4 address by DHCP.
pub(super) fn is_wanted(interface: &Interface<'_>) -> bool {
    wishes(interface).next().is_some()
}

fn wishes(interface: &Interface<'_>) -> impl Iterator<Item = Position> {
    given(interface).filter(|field| matches!(field.value, Some(InterfaceAddress::Dhcp))).map(|field| field.at)
}

/// Checks all; `outputs` are the links to mirrors' output ports.
pub(super) fn check(things: &Things<'_>, wiring: &Wiring<'_>, outputs: &HashSet<usize>, problems: &mut Problems) {
    for (node, interfaces) in wiring.interfaces.iter().enumerate() {
        for interface in interfaces {
            let label = || format!("{}:{}", things.nodes[node].name, interface.name);
            if let Some(raw) = interface.raw
                && let (Some(one), Some(_)) = (&raw.address, &raw.addresses)
            {
                problems.add(one.at, DhcpProblem::BothKeys);
            }
            let mut wishes = wishes(interface);
            let Some(at) = wishes.next() else { continue };
            for again in wishes {
                problems.add(again, DhcpProblem::Twice);
            }
            for field in given(interface) {
                if let Some(InterfaceAddress::Given(given)) = value(Some(field))
                    && given.address.is_ipv4()
                {
                    problems.add(field.at, DhcpProblem::Static { interface: label(), address: given.address });
                }
            }
            if outputs.contains(&interface.link) {
                problems.add(at, DhcpProblem::MirrorOutput { interface: label() });
            }
        }
    }
}
