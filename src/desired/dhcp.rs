//! Who takes an address by DHCP.

use super::autoconfiguration::mac_of;
use super::netns::node_netns;
use crate::model::{DhcpClient, Identity, Leased, NameDirectory};
use crate::spec::{Node, Spec};

/// How long a server may take to give a lease, in seconds: some see first whether anybody has the address already.
const PATIENCE_S: u32 = 20;

/// A process for each interface that takes its address by DHCP and whose link is up: where it is down, so is the address.
pub(super) fn clients(spec: &Spec, identity: &Identity, directories: &[NameDirectory]) -> Vec<DhcpClient> {
    let down = spec.interfaces_down();
    // Ports that a spanning tree begins with listen, and learn, before they let anything pass.
    let trees = spec.switches.iter().filter_map(|switch| switch.stp.as_ref());
    let listening_s = trees.map(|stp| 2 * u32::from(stp.forward_delay_s)).max().unwrap_or_default();
    let mut all = Vec::new();
    for (node, directory) in spec.nodes.iter().zip(directories) {
        let mut directory = Some(directory.directory.clone());
        for interface in node.interfaces.iter().filter(|interface| interface.dhcp) {
            // The first has it, also where its link is down: two that write it would take turns.
            let resolver = directory.take();
            if down.contains(&(&node.name, &interface.name)) {
                continue;
            }
            let leased = Leased {
                interface: interface.name.clone(),
                mac: mac_of(spec, node, interface),
                host_name: node.name.clone(),
                patience_s: PATIENCE_S + listening_s,
                resolver,
            };
            all.push(DhcpClient { netns: node_netns(spec, node, identity), leased });
        }
    }
    all
}

/// Whether a node takes an address by DHCP, and the servers of names with it.
pub(super) fn has_client(node: &Node) -> bool {
    node.interfaces.iter().any(|interface| interface.dhcp)
}
