//! What is probed: which node from which, at which of its addresses, and what is to come of it. Pure.

use crate::model::NodeName;
use crate::spec::{Node, Outcome, Spec};
use ipnetwork::IpNetwork;
use serde::Serialize;
use std::collections::HashMap;
use std::net::IpAddr;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// An ICMP echo request (RFC 792, RFC 4443).
    Icmp,
    /// A TCP connection over which 256 KiB go. There are networks in which small packets pass and these don't: wrong
    /// checksums, a path MTU that nobody tells of.
    Tcp,
}

/// What is expected of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// An answer, in at most so many milliseconds where a number is given.
    Reachable {
        /// The longest round trip.
        within_ms: Option<u64>,
    },
    /// No answer.
    Unreachable,
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// The place of the node that asks, in [`Spec::nodes`].
    pub from: usize,
    /// The place of the node that is asked.
    pub to: usize,
    /// The address at which it is asked; `None` where the two have no address family in common.
    pub address: Option<IpAddr>,
    /// What is sent.
    pub protocol: Protocol,
    /// What is to come of it.
    pub expected: Expected,
}

/// The address at which `from` asks `to`, in one family: one in a subnet that they share, where they share one, so
/// that a router's near side is asked; else the first. `None` where one of them has no address of that family.
pub fn destination(from: &Node, to: &Node, ipv6: bool) -> Option<IpAddr> {
    let of_family = |network: &&IpNetwork| network.is_ipv6() == ipv6;
    let addresses = |node: &'_ Node| -> Vec<IpNetwork> {
        node.interfaces.iter().flat_map(|interface| &interface.addresses).filter(of_family).copied().collect()
    };
    let (near, far) = (addresses(from), addresses(to));
    if near.is_empty() {
        return None;
    }
    far.iter().find(|address| near.iter().any(|own| own.contains(address.ip()))).or(far.first()).map(IpNetwork::ip)
}

/// Everything that is to be probed: what the topology expects, or every pair of nodes with addresses where it expects
/// nothing. A pair is pinged both ways, and connected to by TCP once: a connection goes both ways.
pub fn probes(spec: &Spec, protocols: &[Protocol]) -> Vec<Probe> {
    let mut probes = Vec::new();
    for (from, to, expected) in pairs(spec) {
        let at = |ipv6| destination(&spec.nodes[from], &spec.nodes[to], ipv6).map(Some);
        let mut addresses: Vec<Option<IpAddr>> = [false, true].into_iter().filter_map(at).collect();
        if addresses.is_empty() {
            // Still a probe: one that finds nothing, rather than a pair that nobody misses.
            addresses.push(None);
        }
        for address in addresses {
            for protocol in protocols {
                if *protocol == Protocol::Icmp || from < to {
                    probes.push(Probe { from, to, address, protocol: *protocol, expected });
                }
            }
        }
    }
    probes
}

fn pairs(spec: &Spec) -> Vec<(usize, usize, Expected)> {
    if spec.expect.is_empty() {
        // A node without any address, one that listens at a mirror perhaps, is not there to be reached.
        let has_address = |node: &Node| node.interfaces.iter().any(|interface| !interface.addresses.is_empty());
        let all: Vec<usize> = (0..spec.nodes.len()).filter(|&node| has_address(&spec.nodes[node])).collect();
        return all
            .iter()
            .flat_map(|&from| all.iter().map(move |&to| (from, to, Expected::Reachable { within_ms: None })))
            .filter(|(from, to, _)| from != to)
            .collect();
    }
    let places: HashMap<&NodeName, usize> = spec.nodes.iter().enumerate().map(|(n, node)| (&node.name, n)).collect();
    spec.expect
        .iter()
        .filter_map(|expectation| {
            let expected = match expectation.outcome {
                Outcome::Reachable { within_ms } => Expected::Reachable { within_ms },
                Outcome::Unreachable => Expected::Unreachable,
            };
            Some((*places.get(&expectation.from)?, *places.get(&expectation.to)?, expected))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    fn lab(rest: &str) -> Spec {
        spec::parse(&format!("name: lab\n{rest}"), "test").unwrap()
    }

    const MESH: &str = "
nodes: {a: , b: , c: }
links:
  - {endpoints: [a, b], subnets: [10.0.0.0/30]}
  - {endpoints: [b, c], subnets: [10.0.1.0/30]}
  - {endpoints: [a, c], subnets: [10.0.2.0/30]}
";

    #[test]
    fn a_node_is_asked_at_its_near_side() {
        let spec = lab(MESH);
        let [a, b, c] = spec.nodes.as_slice() else { panic!() };
        assert_eq!(destination(a, c, false).unwrap().to_string(), "10.0.2.2");
        assert_eq!(destination(b, c, false).unwrap().to_string(), "10.0.1.2");
        assert_eq!(destination(a, c, true), None);
    }

    #[test]
    fn without_expectations_every_pair_is_pinged_both_ways_and_connected_once() {
        let probes = probes(&lab(MESH), &[Protocol::Icmp, Protocol::Tcp]);
        assert_eq!(probes.iter().filter(|probe| probe.protocol == Protocol::Icmp).count(), 6);
        assert_eq!(probes.iter().filter(|probe| probe.protocol == Protocol::Tcp).count(), 3);
    }

    #[test]
    fn a_pair_without_a_common_family_is_no_pair_that_is_left_out() {
        let text = "
nodes: {a: , b: , c: }
links:
  - {endpoints: [a, b], subnets: [10.0.0.0/30]}
  - {endpoints: [b, c], subnets: ['fd00::/64']}
";
        let probes = probes(&lab(text), &[Protocol::Icmp]);
        let address = |from, to| probes.iter().find(|probe| (probe.from, probe.to) == (from, to)).unwrap().address;
        assert_eq!(probes.len(), 6);
        assert_eq!((address(0, 2), address(2, 0)), (None, None));
        assert!(address(0, 1).is_some() && address(2, 1).is_some());
    }

    #[test]
    fn a_node_without_addresses_is_not_asked_unless_it_is_named() {
        let probes = probes(
            &lab("nodes: {a: , b: , ear: }\nlinks: [{endpoints: [a, b], subnets: [10.0.0.0/30]}]"),
            &[Protocol::Icmp],
        );
        assert_eq!(probes.len(), 2);
    }

    #[test]
    fn with_expectations_only_those_are_probed() {
        let probes = probes(&lab(&format!("{MESH}expect:\n  - unreachable: [a, b]\n")), &[Protocol::Icmp]);
        assert_eq!(probes.len(), 2);
        assert!(probes.iter().all(|probe| probe.expected == Expected::Unreachable));
    }
}
