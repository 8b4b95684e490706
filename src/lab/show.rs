//! A lab as it is, beside what it should be. Pure.

use super::{show_links, show_switch, show_uplink};
use crate::desired::Resources;
use crate::model::{LabName, NetnsName};
use crate::observed::{Observed, ObservedLink, ObservedRoute, Pin};
use crate::report::{AdvertisementReport, InterfaceReport, LabCondition, LabReport, LinkState, NodeReport};
use crate::spec::{LinkEnd, Node, Spec};
use std::collections::BTreeMap;

/// What `show` tells, but for what is not as it should be.
pub(super) fn report(spec: &Spec, state: LabCondition, desired: &Resources, observed: &Observed) -> LabReport {
    let Spec { name, description, switches, nodes, links: _, uplink: _, limits: _, volumes: _, expect: _ } = spec;
    let peers = peers(spec);
    LabReport {
        lab: name.clone(),
        state,
        description: description.clone(),
        nodes: nodes.iter().map(|node| node_report(name, node, &peers, observed)).collect(),
        switches: switches.iter().map(|switch| show_switch::report(name, switch, desired, observed)).collect(),
        links: show_links::report(spec, desired, observed),
        uplink: show_uplink::report(spec, desired, observed),
        drift: Vec::new(),
    }
}

/// What each node's interface, as (node, interface), is linked to.
fn peers(spec: &Spec) -> BTreeMap<(&str, &str), String> {
    let mut peers = BTreeMap::new();
    for link in &spec.links {
        let [a, b] = &link.ends;
        for (end, other) in [(a, b), (b, a)] {
            if let LinkEnd::Node { node, interface } = end {
                peers.insert((node.as_str(), interface.as_str()), other.to_string());
            }
        }
    }
    peers
}

pub(super) fn link<'a>(observed: &'a Observed, netns: &NetnsName, name: &str) -> Option<&'a ObservedLink> {
    match observed.namespaces.get(netns)? {
        Pin::Namespace(inside) => inside.links.get(name),
        Pin::Closed | Pin::Empty | Pin::Other => None,
    }
}

pub(super) fn link_state(link: Option<&ObservedLink>) -> LinkState {
    match link {
        None => LinkState::Missing,
        Some(link) if !link.up => LinkState::Down,
        Some(link) if !link.carrier => LinkState::NoCarrier,
        Some(_) => LinkState::Up,
    }
}

fn node_report(lab: &LabName, node: &Node, peers: &BTreeMap<(&str, &str), String>, observed: &Observed) -> NodeReport {
    let netns = NetnsName::of_node(lab, &node.name);
    let interfaces = node
        .interfaces
        .iter()
        .map(|interface| {
            let link = link(observed, &netns, interface.name.as_str());
            InterfaceReport {
                name: interface.name.to_string(),
                state: link_state(link),
                mac: link.and_then(|link| link.mac).map(|mac| mac.to_string()),
                mtu: link.map(|link| link.mtu_bytes),
                addresses: link
                    .map(|link| {
                        link.addresses
                            .iter()
                            .chain(&link.autoconfigured)
                            .chain(&link.leased)
                            .map(ToString::to_string)
                            .collect()
                    })
                    .unwrap_or_default(),
                peer: peers.get(&(node.name.as_str(), interface.name.as_str())).cloned().unwrap_or_default(),
            }
        })
        .collect();
    let routes = match observed.namespaces.get(&netns) {
        Some(Pin::Namespace(inside)) => {
            let in_words = |route: &ObservedRoute| format!("{} via {} dev {}", route.to, route.via, route.dev);
            let routes = inside.routes.iter().map(in_words);
            let leased = inside
                .links
                .values()
                .flat_map(|link| &link.leased_routes)
                .map(|route| format!("{} proto dhcp", in_words(route)));
            let advertised = inside.routers.iter().map(|(dev, router)| format!("::/0 via {router} dev {dev} proto ra"));
            routes.chain(advertised).chain(leased).collect()
        }
        _ => Vec::new(),
    };
    let advertises = node.interfaces.iter().filter(|interface| !interface.advertises.is_empty());
    let advertises = advertises.map(|interface| AdvertisementReport {
        interface: interface.name.to_string(),
        prefixes: interface.advertises.iter().map(ToString::to_string).collect(),
    });
    NodeReport {
        node: node.name.clone(),
        netns: netns.to_string(),
        forwarding: node.forwarding,
        interfaces,
        routes,
        advertises: advertises.collect(),
    }
}
