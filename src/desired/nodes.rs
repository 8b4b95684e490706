//! What a node's own part of the topology says straight: its addresses, its routes, its commands.

use super::containers;
use crate::model::{Address, Autoconfigured, Exec, Interface, NetnsName, PinName, Route};
use crate::spec::{NodeRoute, Spec};
use ipnetwork::IpNetwork;
use std::path::Path;

pub(super) fn addresses(spec: &Spec) -> Vec<Address> {
    let down = spec.interfaces_down();
    let mut all = Vec::new();
    for node in &spec.nodes {
        let netns = NetnsName::of_node(&spec.name, &node.name);
        for interface in &node.interfaces {
            let place = Interface { netns: netns.clone(), name: interface.name.clone() };
            let is_down = down.contains(&(&node.name, &interface.name));
            let made_itself = interface.slaac.as_ref().map_or(&[][..], |slaac| &slaac.addresses);
            let given = interface.addresses.iter().filter(|address| !made_itself.contains(address));
            let given = given.filter(|address| !is_down || address.is_ipv4());
            all.extend(given.map(|&address| Address { interface: place.clone(), address }));
        }
    }
    all
}

/// The static routes, but for those over links that are down, and those whose next hop is in a subnet that an interface
/// knows of only from a router that can't be heard (`remembered`): it may not have it.
pub(super) fn routes(spec: &Spec, remembered: &[Autoconfigured]) -> Vec<Route> {
    let down = spec.interfaces_down();
    let mut all = Vec::new();
    for node in &spec.nodes {
        let netns = NetnsName::of_node(&spec.name, &node.name);
        let is_remembered = |route: &NodeRoute| {
            let of_dev = remembered.iter().filter(|of| of.interface.netns == netns && of.interface.name == route.dev);
            of_dev.flat_map(|of| &of.addresses).any(|address| address.contains(route.via))
        };
        let routes = node.routes.iter().filter(|route| !down.contains(&(&node.name, &route.dev)));
        let routes = routes.filter(|route| !is_remembered(route));
        all.extend(routes.map(|route| Route {
            netns: netns.clone(),
            to: network_of(route.to),
            via: route.via,
            dev: route.dev.clone(),
            metric: route.metric,
        }));
    }
    all
}

/// `directory` is the lab's.
pub(super) fn execs(spec: &Spec, directory: &Path) -> Vec<Exec> {
    let mut all = Vec::new();
    for node in &spec.nodes {
        let netns = PinName::of_node(&spec.name, &node.name);
        all.extend(node.exec.iter().enumerate().map(|(index, argv)| Exec {
            netns: netns.clone(),
            node: node.name.clone(),
            index,
            argv: argv.clone(),
            container: node.container.as_ref().map(|_| containers::record(directory, node)),
        }));
    }
    all
}

/// The network that an address is in: its host bits cleared, as the kernel writes it.
pub(super) fn network_of(address: IpNetwork) -> IpNetwork {
    IpNetwork::new(address.network(), address.prefix()).unwrap_or(address)
}
