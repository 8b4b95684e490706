//! The host's addresses at the lab's switch, and the routes of its nodes that lead there.

use super::{Nat, gateway_interface};
use crate::desired::nodes::network_of;
use crate::model::nat::IpFamily;
use crate::model::{Address, SwitchName, VlanId, VlanMode};
use crate::spec::{Link, LinkEnd, Node, NodeInterface, NodeRoute, Spec};
use ipnetwork::IpNetwork;
use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

/// Why there is no address for the host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// Nobody on the switch has any.
    #[error("nobody on {switch} has an address, so that nobody could be reached there: give it `subnets`")]
    NoSubnet {
        /// The switch.
        switch: SwitchName,
    },
    /// All addresses of a subnet are taken.
    #[error("all addresses of {subnet} are taken, and the machine needs one there to be the nodes' gateway: widen it")]
    Full {
        /// The subnet.
        subnet: IpNetwork,
    },
}

/// In each subnet of the switch the last address that nobody has, with the subnet's prefix length.
pub(super) fn gateways(spec: &Spec, switch: &SwitchName) -> Result<Vec<IpNetwork>, GatewayError> {
    let subnets = subnets(spec, switch);
    if subnets.is_empty() {
        return Err(GatewayError::NoSubnet { switch: switch.clone() });
    }
    let addresses = spec.nodes.iter().flat_map(|node| &node.interfaces).flat_map(|on| &on.addresses);
    // A next hop may be of somebody whom the topology does not know.
    let next_hops = spec.nodes.iter().flat_map(|node| &node.routes).map(|route| route.via);
    let taken: HashSet<IpAddr> = addresses.map(IpNetwork::ip).chain(next_hops).collect();
    let gateway = |subnet: IpNetwork| {
        let free = from_last(subnet).find(|address| !taken.contains(address));
        let gateway = free.and_then(|address| IpNetwork::new(address, subnet.prefix()).ok());
        gateway.ok_or(GatewayError::Full { subnet })
    };
    subnets.into_iter().map(gateway).collect()
}

/// The addresses that hosts can have in a network, the last one first. IPv4 leaves out the network's and the broadcast
/// address, except in a /31 (RFC 3021); IPv6 the subnet-router anycast address, except in a /127 (RFC 6164).
fn from_last(network: IpNetwork) -> impl Iterator<Item = IpAddr> {
    let (bits, first) = match network.network() {
        IpAddr::V4(address) => (32, u128::from(u32::from(address))),
        IpAddr::V6(address) => (128, u128::from(address)),
    };
    let free = bits - u32::from(network.prefix());
    // Shifting by all 128 bits is no shift at all.
    let last = first | 1_u128.checked_shl(free).map_or(u128::MAX, |size| size - 1);
    let (first, last) = match free {
        0 | 1 => (first, last),
        _ if network.is_ipv4() => (first + 1, last - 1),
        _ => (first + 1, last),
    };
    (first..=last).rev().map(move |number| match u32::try_from(number) {
        Ok(number) if network.is_ipv4() => IpAddr::V4(number.into()),
        _ => IpAddr::V6(number.into()),
    })
}

/// The subnets of the switch and of those that it is joined to; those that the nodes there are in where these have none.
fn subnets(spec: &Spec, switch: &SwitchName) -> Vec<IpNetwork> {
    let segment = segment(spec, switch);
    let mut seen = BTreeSet::new();
    let of_switches = spec.switches.iter().filter(|switch| segment.contains(&switch.name));
    let given: Vec<IpNetwork> =
        of_switches.flat_map(|switch| &switch.subnets).map(|subnet| network_of(*subnet)).collect();
    let of_nodes = || members(spec, &segment).flat_map(|(_, on)| &on.addresses).map(|address| network_of(*address));
    let all: Vec<IpNetwork> = if given.is_empty() { of_nodes().collect() } else { given };
    all.into_iter().filter(|subnet| seen.insert(*subnet)).collect()
}

/// The switches that are joined to this one, and itself, be the links between them up or down: an address is not to change
/// with that.
fn segment<'a>(spec: &'a Spec, switch: &'a SwitchName) -> HashSet<&'a SwitchName> {
    let mut segment = HashSet::from([switch]);
    loop {
        let before = segment.len();
        for link in &spec.links {
            if let [LinkEnd::Switch(a), LinkEnd::Switch(b)] = &link.ends
                && (segment.contains(a) || segment.contains(b))
            {
                segment.extend([a, b]);
            }
        }
        if segment.len() == before {
            return segment;
        }
    }
}

/// The nodes' interfaces on a segment, in the VLAN of untagged frames.
fn members<'a>(spec: &'a Spec, segment: &HashSet<&SwitchName>) -> impl Iterator<Item = (&'a Node, &'a NodeInterface)> {
    let mut on_segment = HashSet::new();
    for link in &spec.links {
        if let [LinkEnd::Node { node, interface }, LinkEnd::Switch(switch)]
        | [LinkEnd::Switch(switch), LinkEnd::Node { node, interface }] = &link.ends
            && segment.contains(switch)
            && is_untagged(link)
        {
            on_segment.insert((node, interface));
        }
    }
    let all = spec.nodes.iter().flat_map(|node| node.interfaces.iter().map(move |on| (node, on)));
    all.filter(move |(node, on)| on_segment.contains(&(&node.name, &on.name)))
}

/// Whether the untagged frames of a link are in the VLAN that ports are in that don't say.
fn is_untagged(link: &Link) -> bool {
    match &link.vlan {
        None => true,
        Some(VlanMode::Access(vlan)) => *vlan == VlanId::DEFAULT,
        Some(VlanMode::Trunk { tagged: _, native }) => {
            native.is_some_and(|native| native.id == VlanId::DEFAULT && !native.is_tagged)
        }
    }
}

/// The addresses as resources.
pub(in crate::desired) fn addresses(spec: &Spec, nat: &Nat) -> Vec<Address> {
    let interface = gateway_interface(spec);
    nat.gateways.iter().map(|address| Address { interface: interface.clone(), address: *address }).collect()
}

/// The nodes that reach the world by NAT: those with an address in the subnet of a gateway.
pub(super) fn served<'a>(spec: &'a Spec, nat: &Nat) -> Vec<(&'a Node, &'a NodeInterface, IpNetwork)> {
    let Some(uplink) = super::nat_uplink(spec) else { return Vec::new() };
    let segment = segment(spec, &uplink.switch);
    let gateway_of = |on: &NodeInterface| -> Vec<IpNetwork> {
        let serves = |gateway: &&IpNetwork| {
            nat.nics.contains_key(&IpFamily::of(**gateway))
                && on.addresses.iter().any(|address| network_of(*address) == network_of(**gateway))
        };
        nat.gateways.iter().filter(serves).copied().collect()
    };
    let members = members(spec, &segment);
    members.flat_map(|(node, on)| gateway_of(on).into_iter().map(move |gateway| (node, on, gateway))).collect()
}

/// The topology with a default route by way of the host for each node that has none of the family: none of its own, and
/// none that a router tells it of.
pub(in crate::desired) fn with_routes(spec: &Spec, nat: &Nat) -> Spec {
    let mut with_routes = spec.clone();
    for (node, on, gateway) in served(spec, nat) {
        let family = IpFamily::of(gateway);
        let Some(node) = with_routes.nodes.iter_mut().find(|other| other.name == node.name) else { continue };
        let is_default = |route: &NodeRoute| route.to.prefix() == 0 && IpFamily::of(route.to) == family;
        let is_told = |on: &NodeInterface| on.slaac.as_ref().is_some_and(|slaac| !slaac.routers.is_empty());
        if node.routes.iter().any(is_default) || family == IpFamily::Ip6 && node.interfaces.iter().any(is_told) {
            continue;
        }
        let everything = IpNetwork::new(gateway.ip(), 0).map_or(gateway, network_of);
        let route = NodeRoute { to: everything, via: gateway.ip(), dev: on.name.clone(), metric: None };
        node.routes.push(route);
    }
    with_routes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::samples::{link, node, single, spec, switch};

    fn of(spec: &Spec) -> Result<Vec<String>, GatewayError> {
        let found = gateways(spec, &spec.switches[0].name)?;
        Ok(found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_host_has_the_last_address_that_nobody_has() {
        let mut lab = single("lab", "h", 2);
        assert_eq!(of(&lab).unwrap(), ["10.0.0.254/24"]);
        lab.nodes[0].interfaces[0].addresses = vec!["10.0.0.254/24".parse().unwrap()];
        lab.nodes[0].routes = vec![NodeRoute {
            to: "10.9.0.0/16".parse().unwrap(),
            via: "10.0.0.253".parse().unwrap(),
            dev: "eth0".parse().unwrap(),
            metric: None,
        }];
        lab.switches[0].subnets = vec!["10.0.0.0/24".parse().unwrap(), "fd00::/64".parse().unwrap()];
        assert_eq!(of(&lab).unwrap(), ["10.0.0.252/24", "fd00::ffff:ffff:ffff:ffff/64"]);
        lab.switches[0].subnets = vec!["10.0.0.252/30".parse().unwrap(), "fd00::/127".parse().unwrap()];
        assert_eq!(of(&lab), Err(GatewayError::Full { subnet: "10.0.0.252/30".parse().unwrap() }));
    }

    #[test]
    fn a_joined_switchs_subnet_counts_and_another_vlan_does_not() {
        let mut lab = spec("lab");
        lab.switches = vec![switch("a"), switch("b"), switch("c")];
        lab.nodes = vec![node("x"), node("y")];
        assert_eq!(of(&lab), Err(GatewayError::NoSubnet { switch: "a".parse().unwrap() }));
        link(&mut lab, ("a", &[]), ("b", &[]));
        link(&mut lab, ("x", &["10.1.0.1/24"]), ("b", &[]));
        link(&mut lab, ("y", &["10.2.0.1/24"]), ("b", &[]));
        lab.links[2].vlan = Some(VlanMode::Access(VlanId::try_from(10).unwrap()));
        assert_eq!(of(&lab).unwrap(), ["10.1.0.254/24"]);
        lab.switches[1].subnets = vec!["10.1.0.0/16".parse().unwrap()];
        lab.switches[2].subnets = vec!["10.3.0.0/16".parse().unwrap()];
        assert_eq!(of(&lab).unwrap(), ["10.1.255.254/16"]);
    }
}
