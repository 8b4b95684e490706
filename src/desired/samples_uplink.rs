//! NICs of a machine's for tests: what it has on them, of both families, and who manages them.

use super::samples::any_spec;
use super::uplink::FoundNic;
use crate::model::{
    AddressMode, Answer, Gateway, Holder, Lifetime, Nic, NicAddress, NicRoute, NicRule, RawMessage, SwitchName,
};
use crate::spec::{NicUplink, Spec, Uplink};
use ipnetwork::IpNetwork;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The NIC by which the machine reaches everything, and one behind which nobody answers.
pub(crate) const NICS: [&str; 2] = ["eth0", "eth1"];

/// How a lab is to be joined to the network by a NIC: a mode of its address, and the place of a switch.
pub(crate) fn any_nic_uplink() -> impl Strategy<Value = (AddressMode, usize)> {
    let modes = [AddressMode::Auto, AddressMode::Keep, AddressMode::Dhcp, AddressMode::None];
    (prop::sample::select(modes.to_vec()), 0..3_usize)
}

/// Two topologies of one lab, of which the second has the first one's uplink more often than by chance: otherwise there is no
/// way from one to the other.
pub(crate) fn any_two_specs() -> impl Strategy<Value = (Spec, Spec)> {
    (any_spec(), any_spec(), any::<bool>()).prop_map(|(a, mut b, is_same)| {
        if let (Some(Uplink::Nic(of_a)), Some(Uplink::Nic(of_b)), true) = (&a.uplink, &mut b.uplink, is_same) {
            (of_b.nic, of_b.address) = (of_a.nic.clone(), of_a.address);
            if b.switches.iter().any(|switch| switch.name == of_a.switch) {
                of_b.switch = of_a.switch.clone();
            }
        }
        (a, b)
    })
}

/// A NIC as an uplink in a topology. Where the address is to stay behind, it is the one that nobody is
/// cut off by.
pub(crate) fn nic_uplink(address: AddressMode, switch: &SwitchName) -> Uplink {
    let nic = NICS[usize::from(address == AddressMode::None)].parse().unwrap();
    Uplink::Nic(NicUplink { nic, switch: switch.clone(), address, confirm_s: None })
}

/// The NIC that a topology names, as it would be found.
pub(crate) fn found_nic(spec: &Spec) -> Option<FoundNic> {
    let Some(Uplink::Nic(wanted)) = &spec.uplink else { return None };
    let is_first = wanted.nic.as_str() == NICS[0];
    let all: &[_] = if is_first {
        &[("192.0.2.10/24", true), ("192.0.2.11/24", false), ("2001:db8::10/64", true), ("fd00:5::10/64", false)]
    } else {
        &[("198.51.100.10/24", true), ("2001:db8:1::10/64", true)]
    };
    let mut found = found(wanted.nic.as_str(), all);
    if !is_first {
        found.nic.gateways.clear();
        found.holders.clear();
    }
    Some(found)
}

/// Any NIC of the name of the first: with addresses of either family, of both or none, for good or for a while.
pub(crate) fn any_found_nic() -> impl Strategy<Value = FoundNic> {
    let addresses = vec!["192.0.2.10/24", "192.0.2.11/24", "10.9.0.1/16", "2001:db8::10/64", "fd00:5::10/64"];
    let addresses = prop::sample::subsequence(addresses, 0..=5);
    (addresses, any::<[bool; 5]>(), any::<bool>()).prop_map(|(addresses, lasting, held)| {
        let mut found = found(NICS[0], &addresses.into_iter().zip(lasting).collect::<Vec<_>>());
        if !held {
            found.holders.clear();
        }
        found
    })
}

/// A NIC with these addresses, each for good or not, and a default route of each family that it has an address of.
fn found(name: &str, addresses: &[(&str, bool)]) -> FoundNic {
    let addresses: Vec<NicAddress> = addresses.iter().map(|(text, lasts)| address(text, *lasts)).collect();
    let families = [("192.0.2.1", 2_u8), ("2001:db8::1", 10)];
    let mut gateways = Vec::new();
    let mut routes = Vec::new();
    for (gateway, family) in families {
        let is_of = |address: &NicAddress| address.address.is_ipv6() == (family == 10);
        if addresses.iter().any(is_of) {
            let text = format!("default via {gateway} proto static metric 100");
            routes.push(NicRoute {
                message: RawMessage(vec![family, 0]),
                text,
                is_advertised: false,
                is_behind: false,
            });
            gateways.push(Gateway { address: gateway.parse().unwrap(), answers: Some(Answer::Echo) });
        }
    }
    let nic = Nic {
        promiscuous: false,
        name: name.parse().unwrap(),
        index: 2,
        mac: "02:00:00:00:01:10".parse().unwrap(),
        mtu: 1500.try_into().unwrap(),
        addresses,
        routes,
        rules: vec![NicRule { message: RawMessage(vec![2, 0]), text: format!("iif {name} priority 500 lookup 77") }],
        sysctls: BTreeMap::new(),
        gateways,
        seen_at_ms: 0,
    };
    FoundNic { nic, holders: vec![Holder::Networkd { had_runtime_directory: true }], client_id: None }
}

fn address(text: &str, lasts: bool) -> NicAddress {
    let address: IpNetwork = text.parse().unwrap();
    NicAddress {
        address,
        peer: None,
        broadcast: None,
        label: None,
        scope: 0,
        flags: 0,
        metric: None,
        protocol: None,
        lifetime: (!lasts).then_some(Lifetime { preferred_s: 1800, valid_s: 3600 }),
    }
}
