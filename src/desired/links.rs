//! The switches' bridges, the links' veth pairs, and the ports of the switches with their VLANs.
//!
//! A link is a veth pair, but for one between two switches of Open vSwitch: that is a pair of patch ports, unless one of
//! them runs rapid spanning tree.

use super::backends::Backends;
use super::ovs::{Egress, OvsPortPlan, PortKind, PortLimits};
use super::{forwarding, ports, shaping};
use crate::model::qdisc::Qdiscs;
use crate::model::{
    self, Bridge, GroupFwdMask, Identity, IfName, Interface, MacAddress, NetnsName, NodeName, PortFwdMask, PortVlans,
    SwitchName, Veth, VethEnd, VlanId, VlanMode,
};
use crate::spec::{Link, LinkBehaviour, LinkEnd, NodeInterface, Spec};
use std::collections::{HashMap, HashSet};

/// What the links of a lab are made of.
pub(super) struct Links {
    pub(super) bridges: Vec<Bridge>,
    pub(super) veths: Vec<Veth>,
    pub(super) port_vlans: Vec<PortVlans>,
    pub(super) qdiscs: Vec<Qdiscs>,
    pub(super) port_fwd_masks: Vec<PortFwdMask>,
    /// The ports of Open vSwitch's switches.
    pub(super) ovs_ports: Vec<OvsPortPlan>,
}

pub(super) fn links(spec: &Spec, identity: &Identity, backends: &Backends) -> Links {
    let fabric = NetnsName::of_fabric(&spec.name);
    let filtering = filtering_switches(spec);
    let bridges = spec
        .switches
        .iter()
        .filter(|switch| backends.is_linux(&switch.name))
        .map(|switch| Bridge {
            interface: Interface { netns: fabric.clone(), name: IfName::from(&switch.name) },
            mac: MacAddress::derived_from(&format!("{}/{}", spec.name, switch.name)),
            mtu: switch.mtu,
            stp: switch.stp,
            vlan_filtering: filtering.contains(&switch.name),
            mcast_snooping: switch.mcast_snooping,
            group_fwd_mask: forwarding::of_bridge(switch),
        })
        .collect();

    let interfaces: HashMap<(&NodeName, &IfName), &NodeInterface> = spec
        .nodes
        .iter()
        .flat_map(|node| node.interfaces.iter().map(move |interface| ((&node.name, &interface.name), interface)))
        .collect();
    let rapid: HashSet<&SwitchName> =
        spec.switches.iter().filter(|switch| switch.ovs.rstp.is_some()).map(|switch| &switch.name).collect();
    let port_masks: HashMap<&SwitchName, GroupFwdMask> =
        spec.switches.iter().map(|switch| (&switch.name, forwarding::of_port(switch))).collect();
    let mut veths = Vec::with_capacity(spec.links.len());
    let (mut port_vlans, mut port_fwd_masks, mut qdiscs) = (Vec::new(), Vec::new(), Vec::new());
    let mut ovs_ports = Vec::new();
    for (index, (link, ports)) in spec.links.iter().zip(ports::names(spec)).enumerate() {
        // A switch's end always has a port name: `ports` gives one to each.
        let port = |side: usize, switch| ports[side].clone().unwrap_or_else(|| IfName::from(switch));
        let vlan = |switch| filtering.contains(switch).then(|| vlan_mode(link));
        // Rapid spanning tree over patch ports kills ovs-vswitchd (3.1): a message there is an answer before it is sent.
        // And what happens to frames, or that they don't get through, happens at a device.
        let is_plain = link.current() == LinkBehaviour::default();
        let is_patch = is_plain
            && link
                .ends
                .iter()
                .all(|end| matches!(end, LinkEnd::Switch(s) if !backends.is_linux(s) && !rapid.contains(s)));
        let ends = [0, 1].map(|side| match &link.ends[side] {
            LinkEnd::Node { node, interface } => {
                Some(node_end(spec, link, node, interface, interfaces.get(&(node, interface)).copied()))
            }
            LinkEnd::Switch(switch) if backends.is_linux(switch) => {
                let port = Interface { netns: fabric.clone(), name: port(side, switch) };
                port_vlans.extend(vlan(switch).map(|mode| PortVlans { port: port.clone(), mode }));
                let mask = port_masks.get(switch).copied().filter(|mask| !mask.is_empty());
                port_fwd_masks.extend(mask.map(|mask| PortFwdMask { port: port.clone(), mask }));
                Some(switch_end(spec, link, switch, port))
            }
            LinkEnd::Switch(switch) => {
                let (name, vlan) = (port(side, switch), vlan(switch));
                let end = ovs_end(spec, identity, link, switch, &name);
                let kind = match &link.ends[1 - side] {
                    LinkEnd::Switch(other) if is_patch => PortKind::Patch(port(1 - side, other)),
                    _ => PortKind::Device,
                };
                let egress = match link.egress_qos {
                    Some(limit) => Egress::Limited(limit),
                    None if link.current().conditions[side].is_none() => Egress::Free,
                    None => Egress::Shaped,
                };
                let limits = PortLimits { ingress: link.ingress_policing, egress };
                let link = Some(index);
                ovs_ports.push(OvsPortPlan { link, switch: switch.clone(), port: name, kind, vlan, limits });
                (!is_patch).then_some(end)
            }
        });
        if let [Some(a), Some(b)] = ends {
            for (end, conditions) in [&a, &b].into_iter().zip(&link.current().conditions) {
                let shaping = shaping::shaping(conditions, end.mtu);
                if !shaping.is_none() {
                    qdiscs.push(Qdiscs { interface: end.interface.clone(), shaping });
                }
            }
            veths.push(pair(a, b, link, backends));
        }
    }
    Links { bridges, veths, port_vlans, qdiscs, port_fwd_masks, ovs_ports }
}

/// Two ends as a pair. One netlink message can set the master of the end it is about, not of the peer, and is not about
/// an end in the host's namespace, which has to be marked in any case.
fn pair(mut a: VethEnd, mut b: VethEnd, link: &Link, backends: &Backends) -> Veth {
    if a.interface.netns == NetnsName::Host || a.master.is_none() && b.master.is_some() {
        std::mem::swap(&mut a, &mut b);
    }
    // Who takes frames off the other end is a program then, to which a checksum that a card would put in is missing.
    let is_read = link.ends.iter().any(|end| matches!(end, LinkEnd::Switch(s) if backends.is_netdev(s)));
    a.software_checksums = is_read && a.interface.netns != NetnsName::Host;
    Veth { a, b }
}

fn ovs_end(spec: &Spec, identity: &Identity, link: &Link, switch: &SwitchName, port: &IfName) -> VethEnd {
    let interface = Interface { netns: NetnsName::Host, name: ports::host_name(&spec.name, port) };
    let mark = Some(model::mark(&spec.name, &format!("{switch}/{port}"), identity.instance.as_ref()));
    VethEnd { master: None, mark, ..switch_end(spec, link, switch, interface) }
}

/// The switches that keep VLANs apart: those with a port that has a VLAN mode.
pub(super) fn filtering_switches(spec: &Spec) -> HashSet<&SwitchName> {
    spec.links
        .iter()
        .filter(|link| link.vlan.is_some())
        .flat_map(|link| &link.ends)
        .filter_map(|end| match end {
            LinkEnd::Switch(switch) => Some(switch),
            LinkEnd::Node { .. } => None,
        })
        .collect()
}

/// The mode of a link's ports on a switch that keeps VLANs apart: ports that do not say are all in VLAN 1, so that they
/// still reach one another.
fn vlan_mode(link: &Link) -> VlanMode {
    link.vlan.clone().unwrap_or(VlanMode::Access(VlanId::DEFAULT))
}

fn node_end(spec: &Spec, link: &Link, node: &NodeName, name: &IfName, interface: Option<&NodeInterface>) -> VethEnd {
    VethEnd {
        interface: Interface { netns: NetnsName::of_node(&spec.name, node), name: name.clone() },
        mac: interface
            .and_then(|interface| interface.mac)
            .unwrap_or_else(|| MacAddress::of_interface(&spec.name, node, name)),
        mtu: interface.map_or(link.mtu, |interface| interface.mtu),
        master: None,
        mark: None,
        software_checksums: false,
        ignores_routers: false,
        up: link.current().up,
    }
}

fn switch_end(spec: &Spec, link: &Link, switch: &SwitchName, port: Interface) -> VethEnd {
    VethEnd {
        mac: MacAddress::derived_from(&format!("{}/{switch}:{}", spec.name, port.name)),
        interface: port,
        mtu: link.mtu,
        master: Some(IfName::from(switch)),
        mark: None,
        software_checksums: false,
        ignores_routers: false,
        up: link.current().up,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::samples::{identity, link, node, spec, switch, two_node};

    #[test]
    fn a_port_is_the_first_end_and_macs_are_derived() {
        let Links { bridges, veths, port_vlans, .. } = links(&two_node(), &identity(), &Backends::linux(&two_node()));
        assert_eq!((bridges.len(), bridges[0].vlan_filtering, port_vlans.len()), (1, false, 0));
        let Veth { a, b } = &veths[0];
        assert_eq!(a.interface.to_string(), "two-node-fabric:net1");
        assert_eq!(a.master.as_ref().unwrap().as_str(), "br0");
        assert_eq!(b.interface.to_string(), "two-node-net1:eth0");
        assert_eq!(b.mac, MacAddress::derived_from("two-node/net1:eth0"));
        assert_eq!(a.mac, MacAddress::derived_from("two-node/br0:net1"));
    }

    #[test]
    fn one_port_with_a_vlan_puts_the_others_into_vlan_1() {
        let mut spec = spec("lab");
        spec.switches = vec![switch("br0"), switch("br1")];
        spec.nodes = vec![node("a"), node("b"), node("c")];
        for (node, switch) in [("a", "br0"), ("b", "br0"), ("c", "br1")] {
            link(&mut spec, (node, &[]), (switch, &[]));
        }
        let ten = VlanMode::Access(VlanId::try_from(10).unwrap());
        spec.links[0].vlan = Some(ten.clone());
        let Links { bridges, port_vlans, .. } = links(&spec, &identity(), &Backends::linux(&spec));
        assert_eq!(bridges.iter().map(|bridge| bridge.vlan_filtering).collect::<Vec<_>>(), [true, false]);
        let modes: Vec<_> = port_vlans.iter().map(|vlans| (vlans.port.name.as_str(), vlans.mode.clone())).collect();
        assert_eq!(modes, [("a", ten), ("b", VlanMode::Access(VlanId::DEFAULT))]);
    }
}
