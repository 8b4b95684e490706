//! VLANs of bridge ports: messages of the bridge family (AF_BRIDGE) with IFLA_BRIDGE_VLAN_INFO (linux/if_bridge.h).

use super::connection::{Connection, Request};
use super::errno::{Forgive, NetlinkError};
use super::links;
use crate::model::{NativeVlan, PortVlans, VlanId, VlanMode};
use netlink_packet_route::link::{
    AfSpecBridge, BridgeVlanInfo, BridgeVlanInfoFlags as Flags, LinkAttribute, LinkExtentMask, LinkMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use rtnetlink::{LinkBridgeVlan, LinkMessageBuilder};
use std::collections::{BTreeMap, BTreeSet};

/// What a port does with each of its VLANs: of the flags, just `Pvid` and `Untagged`.
type Vlans = BTreeMap<u16, Flags>;

/// Untagged frames belong to this VLAN and its frames leave untagged.
const NATIVE: Flags = Flags::Pvid.union(Flags::Untagged);

/// Sets a port's VLANs in place of those it has. The calling thread is in its namespace.
///
/// What goes is removed before what comes is added: a port has but one PVID.
pub(crate) fn set(connection: &mut Connection, port: &PortVlans) -> Result<(), NetlinkError> {
    let index = links::index_of(port.port.name.as_str())?;
    let wanted = vlans_of(&port.mode);
    let present = dump(connection)?.remove(&index).unwrap_or_default();
    let gone: Vlans =
        present.iter().filter(|(id, _)| !wanted.contains_key(id)).map(|(id, flags)| (*id, *flags)).collect();
    let new: Vlans =
        wanted.iter().filter(|(id, flags)| present.get(id) != Some(flags)).map(|(id, flags)| (*id, *flags)).collect();
    let mut requests: Vec<Request> = Vec::new();
    if !gone.is_empty() {
        requests.push((RouteNetlinkMessage::DelLink(message(index, &gone)), 0));
    }
    if !new.is_empty() {
        requests.push((RouteNetlinkMessage::SetLink(message(index, &new)), 0));
    }
    for (result, (request, _)) in connection.execute_all(requests.clone())?.into_iter().zip(requests) {
        let removal = matches!(request, RouteNetlinkMessage::DelLink(_));
        result.forgive(if removal { &[Errno::ENOENT] } else { &[] })?;
    }
    Ok(())
}

fn vlans_of(mode: &VlanMode) -> Vlans {
    match mode {
        VlanMode::Access(id) => Vlans::from([(id.get(), NATIVE)]),
        VlanMode::Trunk { tagged, native } => {
            let tagged = tagged.iter().map(|id| (id.get(), Flags::empty()));
            let flags = |native: NativeVlan| if native.is_tagged { Flags::Pvid } else { NATIVE };
            tagged.chain(native.map(|native| (native.id.get(), flags(native)))).collect()
        }
    }
}

/// What a port with these VLANs is called.
pub(super) fn mode_of(vlans: &Vlans) -> VlanMode {
    let id = |id: u16| VlanId::try_from(id).ok();
    let native = vlans
        .iter()
        .find(|(_, flags)| flags.contains(Flags::Pvid))
        .and_then(|(native, flags)| Some(NativeVlan { id: id(*native)?, is_tagged: !flags.contains(Flags::Untagged) }));
    let is_native = |vlan: &VlanId| native.is_some_and(|native| native.id == *vlan);
    let tagged: BTreeSet<VlanId> = vlans.keys().filter_map(|v| id(*v)).filter(|v| !is_native(v)).collect();
    match native {
        Some(NativeVlan { id, is_tagged: false }) if tagged.is_empty() => VlanMode::Access(id),
        native => VlanMode::Trunk { tagged, native },
    }
}

/// A message with all these VLANs; runs of tagged ones as ranges, as 4094 single ones would be 32 KiB of them.
fn message(index: u32, vlans: &Vlans) -> LinkMessage {
    let mut builder: LinkMessageBuilder<LinkBridgeVlan> = LinkBridgeVlan::new(index);
    let mut rest = vlans.iter().peekable();
    while let Some((&first, &flags)) = rest.next() {
        let mut last = first;
        // The kernel takes no range with a PVID in it (br_process_vlan_info).
        while !flags.contains(Flags::Pvid)
            && let Some((&next, _)) = rest.next_if(|(next, f)| **next == last + 1 && **f == flags)
        {
            last = next;
        }
        builder = if last == first {
            builder.vlan(first, flags)
        } else {
            builder.vlan_range_start(first, flags).vlan_range_end(last, flags)
        };
    }
    builder.build()
}

/// The VLANs of the namespace's bridge ports, by their index.
pub(super) fn dump(connection: &mut Connection) -> Result<BTreeMap<u32, Vlans>, NetlinkError> {
    let mut message = LinkMessage::default();
    message.header.interface_family = AddressFamily::Bridge;
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::BrvlanCompressed]));
    let mut ports = BTreeMap::new();
    for message in connection.dump(&RouteNetlinkMessage::GetLink(message))? {
        if let RouteNetlinkMessage::NewLink(message) = message {
            ports.insert(message.header.index, vlans_in(&message));
        }
    }
    Ok(ports)
}

fn vlans_in(message: &LinkMessage) -> Vlans {
    let spec = message
        .attributes
        .iter()
        .find_map(|attribute| if let LinkAttribute::AfSpecBridge(spec) = attribute { Some(spec) } else { None });
    let mut vlans = Vlans::new();
    let mut begin = None;
    for attribute in spec.into_iter().flatten() {
        let AfSpecBridge::VlanInfo(BridgeVlanInfo { flags, vid }) = attribute else { continue };
        if flags.contains(Flags::RangeBegin) {
            begin = Some(*vid);
            continue;
        }
        let first = begin.take().filter(|_| flags.contains(Flags::RangeEnd)).unwrap_or(*vid);
        vlans.extend((first..=*vid).map(|id| (id, *flags & NATIVE)));
    }
    vlans
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_core::Emitable;

    fn id(id: u16) -> VlanId {
        VlanId::try_from(id).unwrap()
    }

    fn trunk(tagged: impl IntoIterator<Item = u16>, native: Option<u16>) -> VlanMode {
        let native = native.map(|native| NativeVlan { id: id(native), is_tagged: false });
        VlanMode::Trunk { tagged: tagged.into_iter().map(id).collect(), native }
    }

    fn with_tagged_native(tagged: [u16; 2], native: u16) -> VlanMode {
        let native = Some(NativeVlan { id: id(native), is_tagged: true });
        VlanMode::Trunk { tagged: tagged.map(id).into(), native }
    }

    /// struct bridge_vlan_info: flags, then the VLAN's id, both u16 in the machine's own order.
    fn entry(flags: u16, vid: u16) -> Vec<u8> {
        let mut bytes = vec![8, 0, 2, 0]; // nla_len, IFLA_BRIDGE_VLAN_INFO
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(vid.to_ne_bytes());
        bytes
    }

    fn encoded(mode: &VlanMode) -> Vec<u8> {
        let message = message(7, &vlans_of(mode));
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        bytes
    }

    fn expected(entries: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![7, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]; // struct ifinfomsg: AF_BRIDGE, index 7
        let length = u16::try_from(4 + 8 * entries.len()).unwrap();
        bytes.extend(length.to_ne_bytes());
        bytes.extend([26, 0]); // IFLA_AF_SPEC
        bytes.extend(entries.concat());
        bytes
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn messages_are_those_of_the_kernels_header() {
        const PVID: u16 = 1 << 1; // BRIDGE_VLAN_INFO_PVID
        const PVID_UNTAGGED: u16 = PVID | 1 << 2; // and BRIDGE_VLAN_INFO_UNTAGGED
        let (begin, end) = (1 << 3, 1 << 4); // BRIDGE_VLAN_INFO_RANGE_BEGIN, _RANGE_END
        assert_eq!(encoded(&VlanMode::Access(id(100))), expected(&[entry(PVID_UNTAGGED, 100)]));
        assert_eq!(
            encoded(&trunk([10, 11, 12, 20], Some(13))),
            expected(&[entry(begin, 10), entry(end, 12), entry(PVID_UNTAGGED, 13), entry(0, 20)])
        );
        assert_eq!(
            encoded(&with_tagged_native([10, 12], 11)),
            expected(&[entry(0, 10), entry(PVID, 11), entry(0, 12)])
        );
        assert_eq!(encoded(&trunk(1..=4094, None)), expected(&[entry(begin, 1), entry(end, 4094)]));
    }

    #[test]
    fn what_is_set_is_what_is_read_back() {
        for mode in [
            VlanMode::Access(id(1)),
            trunk([], None),
            trunk([1, 2, 3, 4094], None),
            trunk([10, 11], Some(12)),
            trunk([1], Some(4094)),
            with_tagged_native([10, 11], 12),
            trunk(1..=4094, None),
        ] {
            assert_eq!(mode_of(&vlans_in(&message(1, &vlans_of(&mode)))), mode);
        }
    }
}
