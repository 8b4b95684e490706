//! The parameters of the namespaces' network stacks: what nslab sets itself, and what the nodes ask for.

use super::backends::Backends;
use super::nat::{self, Nat};
use crate::model::{NetnsName, Sysctl, SysctlKey, Veth, VethEnd, accept_ra};
use crate::spec::{Node, Spec};
use std::collections::BTreeMap;

/// IPv6 off: without it every interface that comes up costs a link-local address and a multicast flood.
const IPV6_OFF: [(&str, &str); 2] =
    [("net.ipv6.conf.all.disable_ipv6", "1"), ("net.ipv6.conf.default.disable_ipv6", "1")];
/// No duplicate address detection: addresses are checked with the topology, those too that interfaces make of their MAC
/// addresses, and none has to wait a second.
const NO_DAD: [(&str, &str); 2] = [("net.ipv6.conf.all.accept_dad", "0"), ("net.ipv6.conf.default.accept_dad", "0")];
/// Where routers advertise themselves: who is not to listen does not, from the first moment on, and who does makes the
/// address of the interface's MAC address (EUI-64), and no further ones (RFC 8981).
const KNOWN_ADDRESSES: [(&str, &str); 3] = [
    ("net.ipv6.conf.default.accept_ra", "0"),
    ("net.ipv6.conf.default.addr_gen_mode", "0"),
    ("net.ipv6.conf.default.use_tempaddr", "0"),
];
const IPV4_FORWARDING: [(&str, &str); 1] = [("net.ipv4.ip_forward", "1")];
const IPV6_FORWARDING: [(&str, &str); 1] = [("net.ipv6.conf.all.forwarding", "1")];

/// Answer nobody who looks for an address of the host's (ip-sysctl.rst, arp_ignore).
const NO_ARP: &str = "8";

/// The fabric's sysctls, then the nodes', each namespace's by key, then those of the interfaces in the host's namespace.
///
/// `nat` is how the lab reaches the world by NAT, where it does.
pub(super) fn sysctls(spec: &Spec, backends: &Backends, veths: &[Veth], nat: Option<&Nat>) -> Vec<Sysctl> {
    let has_ipv6 = spec
        .nodes
        .iter()
        .flat_map(|node| &node.interfaces)
        .flat_map(|interface| &interface.addresses)
        .any(ipnetwork::IpNetwork::is_ipv6);
    let ipv6_off = keys(&IPV6_OFF);
    let mut everywhere = if has_ipv6 { keys(&NO_DAD) } else { ipv6_off.clone() };
    let advertises = |node: &Node| node.interfaces.iter().any(|interface| !interface.advertises.is_empty());
    let has_advertisers = spec.nodes.iter().any(advertises);
    if has_advertisers {
        everywhere.extend(keys(&KNOWN_ADDRESSES));
    }
    let mut forwarding = keys(&IPV4_FORWARDING);
    if has_ipv6 {
        forwarding.extend(keys(&IPV6_FORWARDING));
    }

    let mut all = Vec::new();
    if backends.has_linux() {
        // A bridge forwards frames and has no addresses itself, whatever the nodes talk.
        extend(&mut all, &NetnsName::of_fabric(&spec.name), ipv6_off);
    }
    for node in &spec.nodes {
        let mut values = everywhere.clone();
        if node.forwarding {
            values.extend(forwarding.clone());
        }
        if has_advertisers {
            // One by one too: an interface that was there before has its own value.
            values.extend(node.interfaces.iter().filter_map(|interface| {
                let value = if interface.slaac.is_some() { accept_ra(node.forwarding) } else { "0" };
                Some((SysctlKey::of_ipv6(&interface.name, "accept_ra")?, value.to_owned()))
            }));
        }
        values.extend(node.sysctls.clone()); // last: what the topology says outweighs what nslab would set
        extend(&mut all, &NetnsName::of_node(&spec.name, &node.name), values);
    }
    // A port in the host's namespace is a switch's, and the host itself has no business in the lab, but as its gateway.
    let is_gateway = |end: &VethEnd| nat.is_some() && end.interface == nat::gateway_interface(spec);
    let gateway_has_ipv6 = nat.is_some_and(|nat| nat.gateways.iter().any(ipnetwork::IpNetwork::is_ipv6));
    let on_host = veths.iter().flat_map(|veth| [&veth.a, &veth.b]).filter(|end| end.interface.netns == NetnsName::Host);
    for end in on_host.filter(|end| !(gateway_has_ipv6 && is_gateway(end))) {
        let key = SysctlKey::of_ipv6(&end.interface.name, "disable_ipv6");
        let mut off: BTreeMap<_, _> = key.map(|key| (key, "1".to_owned())).into_iter().collect();
        if nat.is_some() && !is_gateway(end) {
            // Where Open vSwitch reads frames as a program, the host hears them, too, and would answer a node that looks for
            // its gateway with the address of the port.
            off.extend(SysctlKey::of_ipv4(&end.interface.name, "arp_ignore").map(|key| (key, NO_ARP.to_owned())));
        }
        extend(&mut all, &NetnsName::Host, off);
    }
    all.extend(nat.into_iter().flat_map(|nat| nat::sysctls(spec, nat)));
    all
}

/// Whether a parameter is set for the sake of IPv6 alone, so that a kernel without that does without it.
pub(super) fn is_moot_without_ipv6(sysctl: &Sysctl) -> bool {
    let key = sysctl.key.to_string();
    key.starts_with("net.ipv6.conf.")
        && [".disable_ipv6", ".accept_dad", ".forwarding"].iter().any(|parameter| key.ends_with(parameter))
}

fn keys(values: &[(&str, &str)]) -> BTreeMap<SysctlKey, String> {
    // A key of ours that does not parse is a mistake in this file, which its test finds.
    values.iter().filter_map(|(key, value)| Some((key.parse().ok()?, (*value).to_owned()))).collect()
}

fn extend(all: &mut Vec<Sysctl>, netns: &NetnsName, values: BTreeMap<SysctlKey, String>) {
    all.extend(values.into_iter().map(|(key, value)| Sysctl { netns: netns.clone(), key, value }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_ours_parses() {
        for (values, count) in
            [(&IPV6_OFF[..], 2), (&NO_DAD, 2), (&KNOWN_ADDRESSES, 3), (&IPV4_FORWARDING, 1), (&IPV6_FORWARDING, 1)]
        {
            assert_eq!(keys(values).len(), count);
        }
    }

    fn of(spec: &Spec, netns: &str) -> Vec<String> {
        let here = sysctls(spec, &Backends::linux(spec), &[], None)
            .into_iter()
            .filter(|sysctl| sysctl.netns.to_string() == netns);
        here.map(|sysctl| format!("{}={}", sysctl.key, sysctl.value)).collect()
    }

    #[test]
    fn ipv6_is_off_where_nobody_has_an_address_of_it() {
        let mut spec = crate::desired::samples::two_node();
        let off = ["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"];
        assert_eq!(of(&spec, "two-node-fabric"), off);
        assert_eq!(of(&spec, "two-node-net1"), off);
        spec.nodes[1].interfaces[0].addresses.push("fd00::1/64".parse().unwrap());
        spec.nodes[0].forwarding = true;
        spec.nodes[0].sysctls.insert("net.ipv4.ip_forward".parse().unwrap(), "0".into());
        assert_eq!(of(&spec, "two-node-fabric"), off);
        assert_eq!(
            of(&spec, "two-node-net1"),
            [
                "net.ipv4.ip_forward=0", // what the topology says
                "net.ipv6.conf.all.accept_dad=0",
                "net.ipv6.conf.all.forwarding=1",
                "net.ipv6.conf.default.accept_dad=0",
            ]
        );
    }

    #[test]
    fn who_is_not_told_to_listen_to_routers_does_not() {
        let mut spec = crate::desired::samples::two_node();
        spec.nodes[0].interfaces[0].advertises.push("fd00::/64".parse().unwrap());
        spec.nodes[1].interfaces[0].slaac = Some(crate::spec::Slaac::default());
        let accept = |node: &str, spec: &Spec| {
            let all = of(spec, node).into_iter();
            all.filter(|line| line.contains("accept_ra")).collect::<Vec<_>>().join(" ")
        };
        let [of_router, of_host] = ["two-node-net1", "two-node-net2"].map(|netns| accept(netns, &spec));
        assert_eq!(of_router, "net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.eth0.accept_ra=0");
        assert_eq!(of_host, "net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.eth0.accept_ra=1");
        spec.nodes[1].forwarding = true;
        assert!(accept("two-node-net2", &spec).ends_with("eth0.accept_ra=2"));
    }
}
