//! The parameters of the host's network stack by which it forwards the lab's packets, and nobody else's if it can be.

use super::{Nat, gateway_interface};
use crate::model::nat::IpFamily;
use crate::model::{IfName, NetnsName, Sysctl, SysctlKey};
use crate::spec::Spec;
use std::collections::BTreeSet;

/// Where IPv6 can't be forwarded by single interfaces.
const ALL_IPV6: &str = "net.ipv6.conf.all.forwarding";

/// To be told by routers though one is a router oneself (ip-sysctl.rst).
const ACCEPT_RA_ALWAYS: &str = "2";

/// The parameters, and that the host is not told by the lab's routers. What is forwarded is decided by where it comes in:
/// the lab's packets by the host's end, the answers by the NICs.
pub(in crate::desired) fn sysctls(spec: &Spec, nat: &Nat) -> Vec<Sysctl> {
    let gateway = gateway_interface(spec).name;
    let mut all = Vec::new();
    let mut set = |key: Option<SysctlKey>, value: &str| {
        all.extend(key.map(|key| Sysctl { netns: NetnsName::Host, key, value: value.to_owned() }));
    };
    let ways = |family: IpFamily| -> BTreeSet<&IfName> {
        let nics = nat.nics.get(&family).into_iter().flatten();
        if nat.nics.contains_key(&family) { nics.chain([&gateway]).collect() } else { BTreeSet::new() }
    };
    if nat.gateways.iter().any(ipnetwork::IpNetwork::is_ipv6) {
        set(SysctlKey::of_ipv6(&gateway, "accept_ra"), "0");
    }
    for name in ways(IpFamily::Ip) {
        set(SysctlKey::of_ipv4(name, "forwarding"), "1");
    }
    let ways = ways(IpFamily::Ip6);
    match &nat.listening {
        _ if ways.is_empty() => {}
        None => ways.into_iter().for_each(|name| set(SysctlKey::of_ipv6(name, "force_forwarding"), "1")),
        Some(listening) => {
            for name in listening.iter().filter(|name| **name != gateway) {
                set(SysctlKey::of_ipv6(name, "accept_ra"), ACCEPT_RA_ALWAYS);
            }
            set(ALL_IPV6.parse().ok(), "1");
        }
    }
    all
}
