//! Who advertises what, and who configures itself by it.

use super::netns::node_netns;
use crate::model::{
    Advertised, Advertiser, Autoconfigured, Identity, IfName, Interface, MacAddress, NetnsName, NodeName, SwitchName,
};
use crate::spec::{LinkEnd, Node, NodeInterface, Slaac, Spec};
use ipnetwork::IpNetwork;
use std::collections::{BTreeMap, HashMap};
use std::net::Ipv6Addr;

/// A process for each router that advertises anything.
pub(super) fn advertisers(spec: &Spec, identity: &Identity) -> Vec<Advertiser> {
    let advertised = |node: &Node| -> Vec<Advertised> {
        let interfaces = node.interfaces.iter().filter(|interface| !interface.advertises.is_empty());
        let advertised = interfaces.map(|interface| Advertised {
            interface: interface.name.clone(),
            mac: mac_of(spec, node, interface),
            mtu: interface.mtu,
            prefixes: interface.advertises.clone(),
        });
        advertised.collect()
    };
    let all = spec.nodes.iter().map(|node| (node, advertised(node))).filter(|(_, interfaces)| !interfaces.is_empty());
    all.map(|(node, interfaces)| Advertiser { netns: node_netns(spec, node, identity), interfaces }).collect()
}

/// What interfaces configure themselves with, and what they may still have from routers that can't be heard.
pub(super) struct Autoconfiguration {
    pub(super) autoconfigured: Vec<Autoconfigured>,
    pub(super) remembered: Vec<Autoconfigured>,
}

/// That of every interface that configures itself and whose link is up.
pub(super) fn autoconfigured(spec: &Spec) -> Autoconfiguration {
    let segments = Segments::new(spec);
    let mut routers = BTreeMap::new();
    for node in &spec.nodes {
        for interface in node.interfaces.iter().filter(|interface| !interface.advertises.is_empty()) {
            let segment = segments.of(&node.name, &interface.name);
            routers.insert(mac_of(spec, node, interface).link_local(), (segment, interface.advertises.as_slice()));
        }
    }
    let mut all = Autoconfiguration { autoconfigured: Vec::new(), remembered: Vec::new() };
    for node in &spec.nodes {
        let netns = NetnsName::of_node(&spec.name, &node.name);
        for interface in &node.interfaces {
            let (Some(Slaac { addresses, routers: told }), Some(segment)) =
                (&interface.slaac, segments.of(&node.name, &interface.name))
            else {
                continue;
            };
            let prefixes_of = |router: &Ipv6Addr| {
                routers.get(router).filter(|(there, _)| *there == Some(segment)).map(|(_, prefixes)| *prefixes)
            };
            let is_heard = |address: &IpNetwork| {
                let prefixes = told.iter().filter_map(prefixes_of).flatten();
                prefixes.into_iter().any(|prefix| IpNetwork::V6(*prefix).contains(address.ip()))
            };
            let (heard_addresses, silent_addresses) = addresses.iter().copied().partition(is_heard);
            let (heard_routers, silent_routers): (Vec<_>, Vec<_>) =
                told.iter().copied().partition(|router| prefixes_of(router).is_some());
            let of = |addresses: Vec<IpNetwork>, routers: Vec<Ipv6Addr>| Autoconfigured {
                interface: Interface { netns: netns.clone(), name: interface.name.clone() },
                addresses,
                routers,
                forwards: node.forwarding,
            };
            if !silent_routers.is_empty() {
                all.remembered.push(of(silent_addresses, silent_routers));
            }
            all.autoconfigured.push(of(heard_addresses, heard_routers));
        }
    }
    all
}

/// Who is joined to whom by links that are up, as far as a switch forwards; VLANs are the topology's own matter.
struct Segments<'a>(HashMap<(&'a NodeName, &'a IfName), Segment<'a>>);

/// The links that are joined: by one of their switches, or the link of two nodes by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Segment<'a> {
    Of(&'a SwitchName),
    Link(usize),
}

impl<'a> Segments<'a> {
    fn new(spec: &'a Spec) -> Self {
        let up = || spec.links.iter().enumerate().filter(|(_, link)| link.current().up);
        // Each switch is known by one of those that it is joined to.
        let mut head: HashMap<&SwitchName, &SwitchName> = spec.switches.iter().map(|s| (&s.name, &s.name)).collect();
        for (_, link) in up() {
            if let [LinkEnd::Switch(a), LinkEnd::Switch(b)] = &link.ends
                && let (Some(&from), Some(&to)) = (head.get(a), head.get(b))
            {
                head.values_mut().filter(|head| **head == from).for_each(|head| *head = to);
            }
        }
        let mut segments = HashMap::new();
        for (number, link) in up() {
            let switch = link.ends.iter().find_map(|end| match end {
                LinkEnd::Switch(switch) => head.get(switch).copied(),
                LinkEnd::Node { .. } => None,
            });
            for end in &link.ends {
                if let LinkEnd::Node { node, interface } = end {
                    segments.insert((node, interface), switch.map_or(Segment::Link(number), Segment::Of));
                }
            }
        }
        Self(segments)
    }

    /// Where an interface is; nowhere where its link is down.
    fn of(&self, node: &NodeName, interface: &IfName) -> Option<Segment<'a>> {
        self.0.get(&(node, interface)).copied()
    }
}

pub(super) fn mac_of(spec: &Spec, node: &Node, interface: &NodeInterface) -> MacAddress {
    interface.mac.unwrap_or_else(|| MacAddress::of_interface(&spec.name, &node.name, &interface.name))
}
