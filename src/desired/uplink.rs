//! The NIC that is to be the lab's uplink: what it becomes a port of, and how the lab's switch is joined to that.

use super::backends::Backends;
use super::{ovs, ports};
use crate::model::{
    self, AddressMode, ClientId, Holder, HostBridge, Identity, IfName, Interface, MacAddress, NetnsName, Nic,
    OvsUplink, Uplink, UplinkAddress, UplinkPort, Veth, VethEnd,
};
use crate::spec::{self, NicUplink, Spec, Switch};
use std::path::Path;

/// What a NIC as an uplink takes.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) bridge: Option<HostBridge>,
    /// The lab's own bridge and the host's, joined.
    pub(super) trunk: Option<Veth>,
    pub(super) uplink: Option<Uplink>,
}

/// A NIC of the machine's that is to be an uplink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundNic {
    /// As it was before it was moved.
    pub nic: Nic,
    /// Who manages it.
    pub holders: Vec<Holder>,
    /// By what a DHCP server knows who has its lease; its MAC address where there is none.
    pub client_id: Option<ClientId>,
}

/// `found` is the NIC as it was before it was moved; `directory` is the lab's state directory.
pub(super) fn parts(
    spec: &Spec,
    identity: &Identity,
    backends: &Backends,
    found: Option<&FoundNic>,
    directory: &Path,
) -> Parts {
    let (Some(spec::Uplink::Nic(wanted)), Some(FoundNic { nic, holders, client_id })) = (&spec.uplink, found) else {
        return Parts::default();
    };
    let Some(switch) = spec.switches.iter().find(|switch| switch.name == wanted.switch) else {
        return Parts::default();
    };
    let of = |onto: IfName, port| Uplink {
        nic: nic.clone(),
        address: address(wanted, nic),
        onto,
        port,
        holders: holders.clone(),
        client_id: client_id.clone(),
        confirm_s: wanted.confirm_s,
        lab: spec.name.clone(),
        directory: directory.to_owned(),
    };
    if !backends.is_linux(&switch.name) {
        let onto = ports::host_name(&spec.name, &IfName::from(&switch.name));
        let rows = ovs::uplink_rows(spec, identity, backends, &switch.name, &nic.name);
        let (own_mac, own_mtu) = (ovs::own_mac(spec, &switch.name), switch.mtu);
        let copies = backends.is_netdev(&switch.name);
        let port = UplinkPort::OpenVswitch(OvsUplink { rows, own_mac, own_mtu, copies });
        return Parts { uplink: Some(of(onto, port)), ..Parts::default() };
    }
    // They stay when the NIC is to be at another switch, so that their marks say nothing of that.
    let mark = |of: &str| model::mark(&spec.name, of, identity.instance.as_ref());
    let bridge = HostBridge { name: host_name(spec, "uplink"), mac: nic.mac, mtu: nic.mtu, mark: mark("uplink") };
    Parts {
        trunk: Some(trunk(spec, switch, &bridge, nic, mark("trunk"))),
        uplink: Some(of(bridge.name.clone(), UplinkPort::Bridge)),
        bridge: Some(bridge),
    }
}

fn host_name(spec: &Spec, of: &str) -> IfName {
    // Both words are interface names.
    ports::host_name(&spec.name, &IfName::try_from(of).unwrap_or_else(|_| IfName::from(&spec.switches[0].name)))
}

/// The end at the lab's bridge is called after where it leads.
fn trunk(spec: &Spec, switch: &Switch, bridge: &HostBridge, nic: &Nic, mark: String) -> Veth {
    let fabric = NetnsName::of_fabric(&spec.name);
    let inside = Interface { netns: fabric, name: ports::uplink_name(spec) };
    let outside = Interface { netns: NetnsName::Host, name: host_name(spec, "trunk") };
    let end = |interface: Interface, mtu, master: IfName, mark: Option<String>| VethEnd {
        mac: MacAddress::derived_from(&format!("{}/{}:{}", spec.name, switch.name, interface.name)),
        interface,
        mtu,
        master: Some(master),
        mark,
        software_checksums: false,
        ignores_routers: false,
        up: true,
    };
    Veth {
        a: end(inside, switch.mtu, IfName::from(&switch.name), None),
        b: end(outside, nic.mtu, bridge.name.clone(), Some(mark)),
    }
}

/// `auto` goes by what the NIC has.
fn address(wanted: &NicUplink, nic: &Nic) -> UplinkAddress {
    match wanted.address {
        AddressMode::Dhcp => UplinkAddress::Dhcp,
        AddressMode::Keep => UplinkAddress::Keep,
        AddressMode::None => UplinkAddress::None,
        AddressMode::Auto => {
            if nic.addresses.iter().any(model::NicAddress::is_leased) {
                UplinkAddress::Dhcp
            } else {
                UplinkAddress::Keep
            }
        }
    }
}
