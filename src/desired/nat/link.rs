//! The veth pair between the host and the lab's switch.

use super::{Nat, names, nat_uplink};
use crate::desired::backends::Backends;
use crate::desired::links::{Links, filtering_switches};
use crate::desired::ovs::{Egress, OvsPortPlan, PortKind, PortLimits};
use crate::desired::{forwarding, ports};
use crate::model::{
    self, Identity, IfName, Interface, MacAddress, NetnsName, PortFwdMask, PortVlans, Veth, VethEnd, VlanId, VlanMode,
};
use crate::spec::Spec;

/// Adds it to the lab's links: one end is a port like any other, the other one is the host's, whatever the switch is made of.
pub(in crate::desired) fn add_link(
    spec: &Spec,
    identity: &Identity,
    backends: &Backends,
    nat: &Nat,
    links: &mut Links,
) {
    let switch = nat_uplink(spec).and_then(|uplink| spec.switches.iter().find(|switch| switch.name == uplink.switch));
    let Some(switch) = switch else { return };
    let super::Names { gateway, port } = names(spec);
    let marked = |what: &str| Some(model::mark(&spec.name, what, identity.instance.as_ref()));
    let vlan = filtering_switches(spec).contains(&switch.name).then_some(VlanMode::Access(VlanId::DEFAULT));
    let end = |interface: Interface, of: &str| VethEnd {
        mac: MacAddress::derived_from(&format!("{}/{of}", spec.name)),
        interface,
        mtu: switch.mtu,
        master: None,
        mark: None,
        software_checksums: false,
        ignores_routers: false,
        up: true,
    };
    // The same at whatever switch it is: so an end that moves to another one is known for the lab's while it does.
    let of_port = "nat:port";
    let port_end = if backends.is_linux(&switch.name) {
        let port = Interface { netns: NetnsName::of_fabric(&spec.name), name: port };
        links.port_vlans.extend(vlan.map(|mode| PortVlans { port: port.clone(), mode }));
        let mask = forwarding::of_port(switch);
        links.port_fwd_masks.extend((!mask.is_empty()).then(|| PortFwdMask { port: port.clone(), mask }));
        VethEnd { master: Some(IfName::from(&switch.name)), ..end(port, of_port) }
    } else {
        let on_host = Interface { netns: NetnsName::Host, name: ports::host_name(&spec.name, &port) };
        let mark = marked("nat");
        let limits = PortLimits { ingress: None, egress: Egress::Free };
        let (switch, kind) = (switch.name.clone(), PortKind::Device);
        links.ovs_ports.push(OvsPortPlan { link: None, switch, port, kind, vlan, limits });
        VethEnd { mark, ..end(on_host, of_port) }
    };
    // A program takes frames off the other end, to which a checksum that a card would put in is missing.
    let software_checksums = backends.is_netdev(&switch.name);
    let on_host = Interface { netns: NetnsName::Host, name: gateway };
    let ignores_routers = nat.gateways.iter().any(ipnetwork::IpNetwork::is_ipv6);
    let gateway_end = VethEnd { mark: marked("gw"), software_checksums, ignores_routers, ..end(on_host, "nat:gw") };
    links.veths.push(Veth { a: port_end, b: gateway_end });
}
