//! Which MTU is whose: the interface's own, else the link's, the switch's, the lab's, else Ethernet's.

use super::addresses::{AddressProblem, Addresses};
use super::links::{Interface, Joined, Wire, Wiring};
use super::names::Things;
use crate::model::Mtu;
use crate::spec::Position;
use crate::spec::error::Problems;
use crate::spec::field::Field;
use crate::spec::raw::RawTopology;
use ipnetwork::IpNetwork;
use std::collections::HashSet;

/// An MTU and where the text says it, if it does.
#[derive(Clone, Copy)]
pub(super) struct Sized {
    pub(super) mtu: Mtu,
    pub(super) at: Option<Position>,
}

pub(super) struct Mtus<'a, 'r> {
    pub(super) raw: &'r RawTopology,
    pub(super) things: &'a Things<'r>,
    pub(super) wiring: &'a Wiring<'r>,
}

fn said(field: Option<&Field<Mtu>>) -> Option<Sized> {
    field.and_then(|f| Some(Sized { mtu: f.value?, at: Some(f.at) }))
}

impl Mtus<'_, '_> {
    fn of_lab(&self) -> Sized {
        said(self.raw.mtu.as_ref()).unwrap_or(Sized { mtu: Mtu::ETHERNET, at: None })
    }

    pub(super) fn of_switch(&self, switch: usize) -> Sized {
        said(self.things.switches[switch].raw.mtu.as_ref()).unwrap_or_else(|| self.of_lab())
    }

    pub(super) fn of_link(&self, link: &Wire<'_>) -> Sized {
        if let Some((mtu, at)) = link.mtu {
            return Sized { mtu, at: Some(at) };
        }
        let switches = link.ends.iter().filter_map(|end| match end {
            Joined::Switch(switch) => Some(self.of_switch(*switch)),
            Joined::Node { .. } => None,
        });
        // Between two switches, what both of them carry.
        switches.min_by_key(|sized| sized.mtu).unwrap_or_else(|| self.of_lab())
    }

    pub(super) fn of_interface(&self, interface: &Interface<'_>) -> Sized {
        let own = said(interface.raw.and_then(|raw| raw.mtu.as_ref()));
        own.unwrap_or_else(|| self.of_link(&self.wiring.links[interface.link]))
    }
}

/// IPv6 does not run over less than 1280 bytes (RFC 8200 section 5): the kernel takes the address away. One report for
/// each place that says so.
pub(super) fn check(mtus: &Mtus<'_, '_>, addresses: &Addresses, problems: &mut Problems) {
    let mut reported = HashSet::new();
    for (node, of_node) in addresses.iter().enumerate() {
        for (interface, given) in mtus.wiring.interfaces[node].iter().zip(of_node) {
            let Sized { mtu, at } = mtus.of_interface(interface);
            let at = at.unwrap_or(interface.at);
            if mtu < Mtu::IPV6_MINIMUM && given.iter().any(IpNetwork::is_ipv6) && reported.insert(at) {
                let interface = format!("{}:{}", mtus.things.nodes[node].name, interface.name);
                problems.add(at, AddressProblem::Ipv6Mtu { interface, mtu });
            }
        }
    }
}
