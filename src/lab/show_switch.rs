//! A switch as it is: the same of a Linux bridge and of one of Open vSwitch, as far as both have it. Pure.

use super::show::{link, link_state};
use crate::desired::Resources;
use crate::model::ovs::{OvsColumn, OvsColumns, OvsRow, OvsRowId, OvsScalar, OvsTable, text_of};
use crate::model::{GroupFwdMask, Interface, LabName, LinkLocal, LinkStatistics, NetnsName, VlanMode};
use crate::observed::{Observed, ObservedLinkKind, ObservedOvs, ObservedOvsRow, OvsStatus, OvsView, PortState};
use crate::report::{BackendReport, LinkState, PortReport, SpanningTree, SwitchReport};
use crate::spec::Switch;
use std::collections::BTreeMap;

pub(super) fn report(lab: &LabName, switch: &Switch, desired: &Resources, observed: &Observed) -> SwitchReport {
    let id = OvsRowId { table: OvsTable::Bridge, id: switch.name.to_string() };
    let rows = desired.ovs.iter().flat_map(|ovs| &ovs.rows);
    match rows.clone().find(|row| row.id == id) {
        Some(bridge) => of_ovs(switch, bridge, rows, observed),
        None => of_linux(lab, switch, desired, observed),
    }
}

fn of_linux(lab: &LabName, switch: &Switch, desired: &Resources, observed: &Observed) -> SwitchReport {
    let netns = NetnsName::of_fabric(lab);
    let bridge = link(observed, &netns, switch.name.as_str());
    let ends = desired.veths.iter().flat_map(|veth| [&veth.a, &veth.b]);
    let ends: Vec<&Interface> = ends
        .filter(|end| end.master.as_ref().is_some_and(|master| master.as_str() == switch.name.as_str()))
        // The ends that are ports of Open vSwitch have the switch for their master too, in another namespace.
        .filter(|end| end.interface.netns == netns)
        .map(|end| &end.interface)
        .collect();
    let ports = ends.iter().map(|end| linux_port(end, observed)).collect();
    let (stp, mcast_snooping, mask) = match bridge.map(|bridge| &bridge.kind) {
        Some(ObservedLinkKind::Bridge { stp, vlan_filtering: _, mcast_snooping, group_fwd_mask }) => {
            // A kernel that can't snoop floods.
            (*stp, Some(mcast_snooping.unwrap_or(false)), Some(*group_fwd_mask))
        }
        _ => (None, None, None),
    };
    let forwards = mask.map(|mask| {
        let masks = ends.iter().filter_map(|end| link(observed, &end.netns, end.name.as_str())?.port.as_ref());
        let masks: Vec<GroupFwdMask> = masks.map(|port| port.group_fwd_mask.union(mask)).collect();
        let passes = |protocol: &LinkLocal| {
            // Without a spanning tree of its own it lets others have theirs through it.
            *protocol == LinkLocal::Stp && stp.is_none()
                || mask.contains(*protocol)
                || !masks.is_empty() && masks.iter().all(|mask| mask.contains(*protocol))
        };
        LinkLocal::ALL.into_iter().filter(passes).collect()
    });
    SwitchReport {
        switch: switch.name.clone(),
        backend: BackendReport::Linux,
        netns: netns.to_string(),
        bridge: switch.name.to_string(),
        present: Some(bridge.is_some()),
        spanning_tree: stp.map(|_| SpanningTree::Stp),
        forwards: forwards.unwrap_or_default(),
        mcast_snooping,
        trouble: None,
        ports,
    }
}

fn linux_port(interface: &Interface, observed: &Observed) -> PortReport {
    let link = link(observed, &interface.netns, interface.name.as_str());
    let port = link.and_then(|link| link.port.as_ref());
    PortReport {
        name: interface.name.to_string(),
        device: Some(interface.name.to_string()),
        state: link_state(link),
        forwarding: port.map(|port| {
            match port.state {
                PortState::Disabled => "disabled",
                PortState::Listening => "listening",
                PortState::Learning => "learning",
                PortState::Forwarding => "forwarding",
                PortState::Blocking => "blocking",
            }
            .to_owned()
        }),
        vlan: port.and_then(|port| port.vlans.as_ref()).map(vlan_text),
        ofport: None,
        statistics: link.and_then(|link| link.statistics),
        error: None,
    }
}

fn vlan_text(mode: &VlanMode) -> String {
    match mode {
        VlanMode::Access(vlan) => format!("access {vlan}"),
        VlanMode::Trunk { tagged, native } => {
            trunk_text(tagged.iter().map(ToString::to_string), native.map(|native| native.to_string()))
        }
    }
}

fn of_ovs<'a>(
    switch: &Switch,
    bridge: &OvsRow,
    rows: impl Iterator<Item = &'a OvsRow>,
    observed: &Observed,
) -> SwitchReport {
    let (seen, trouble) = match &observed.ovs {
        OvsView::Seen(seen) if seen.switch_lives => (Some(seen), None),
        OvsView::Seen(seen) => {
            (Some(seen), Some("ovs-vswitchd is not connected to its database: what it says is of the past".to_owned()))
        }
        OvsView::Unreachable(why) => (None, Some(why.clone())),
        OvsView::NotAsked => (None, None),
    };
    let there = seen.and_then(|seen| seen.rows.get(&bridge.id));
    let has = |column: &str, wanted: OvsScalar| {
        let value = there.and_then(|row| row.columns.get(&OvsColumn::from(column)));
        value.is_some_and(|value| value.contains(&wanted))
    };
    let is_set = |column: &str| has(column, OvsScalar::Boolean(true));
    let spanning_tree = match (is_set("rstp_enable"), is_set("stp_enable")) {
        (true, _) => Some(SpanningTree::Rstp),
        (false, true) => Some(SpanningTree::Stp),
        (false, false) => None,
    };
    // All or none, but for what its own spanning tree takes in.
    let forwards = if has("other_config:forward-bpdu", "true".into()) { &LinkLocal::ALL[..] } else { &[] };
    let forwards = forwards.iter().copied().filter(|p| *p != LinkLocal::Stp || spanning_tree.is_none()).collect();
    let head = format!("{}/", switch.name);
    let ports = rows
        .filter(|row| row.id.table == OvsTable::Interface)
        .filter_map(|row| Some((row.id.id.strip_prefix(&head)?, row)))
        .map(|(name, row)| ovs_port(name, row, seen, observed))
        .collect();
    SwitchReport {
        switch: switch.name.clone(),
        backend: BackendReport::Ovs,
        netns: NetnsName::Host.to_string(),
        bridge: bridge.name().unwrap_or_default().to_owned(),
        present: seen.map(|_| there.is_some()),
        spanning_tree,
        forwards,
        mcast_snooping: there.map(|_| is_set("mcast_snooping_enable")),
        trouble,
        ports,
    }
}

/// A port, whose name inside the lab is `name`, by the row of its interface.
fn ovs_port(name: &str, wanted: &OvsRow, seen: Option<&ObservedOvs>, observed: &Observed) -> PortReport {
    let has_device = text_of(&wanted.columns, "type") != Some("patch");
    let device = wanted.name().filter(|_| has_device);
    let row = |table| seen.and_then(|seen| seen.rows.get(&OvsRowId { table, id: wanted.id.id.clone() }));
    let (interface, port) = (row(OvsTable::Interface), row(OvsTable::Port));
    let status = interface.map(|row| &row.status);
    let state = match (device, status) {
        // The device may well be there: a port it is not.
        _ if seen.is_some() && (interface.is_none() || port.is_none()) => LinkState::Missing,
        (Some(device), _) => link_state(link(observed, &NetnsName::Host, device)),
        (None, Some(OvsStatus { link_up: Some(true), .. })) => LinkState::Up,
        (None, Some(OvsStatus { ofport: Some(0..), .. })) => LinkState::NoCarrier,
        (None, _) => LinkState::Missing,
    };
    PortReport {
        name: name.to_owned(),
        device: device.map(str::to_owned),
        state,
        forwarding: port.and_then(|port| port.status.stp_state.clone()),
        vlan: port.and_then(ovs_vlan),
        ofport: status.and_then(|status| status.ofport).and_then(|number| u32::try_from(number).ok()),
        statistics: status.filter(|status| !status.statistics.is_empty()).map(|s| statistics(&s.statistics)),
        error: status.and_then(error),
    }
}

fn error(status: &OvsStatus) -> Option<String> {
    let no_number = || (status.ofport == Some(-1)).then(|| "it has no port number".to_owned());
    status.error.clone().or_else(no_number)
}

fn statistics(by_name: &BTreeMap<String, i64>) -> LinkStatistics {
    let of = |name: &str| by_name.get(name).and_then(|count| u64::try_from(*count).ok()).unwrap_or(0);
    LinkStatistics {
        rx_packets: of("rx_packets"),
        rx_bytes: of("rx_bytes"),
        rx_errors: of("rx_errors"),
        rx_dropped: of("rx_dropped"),
        tx_packets: of("tx_packets"),
        tx_bytes: of("tx_bytes"),
        tx_errors: of("tx_errors"),
        tx_dropped: of("tx_dropped"),
    }
}

/// What a port does with VLAN tags, in the words that are used for a Linux bridge's; `None` where nothing is set.
fn ovs_vlan(port: &ObservedOvsRow) -> Option<String> {
    let mode = text_of(&port.columns, "vlan_mode");
    let tag = integers(&port.columns, "tag").next();
    let mut trunks = integers(&port.columns, "trunks").map(|vlan| vlan.to_string()).peekable();
    let of_tag = |tag: i64| format!("{tag}{}", if mode == Some("native-tagged") { " (tagged)" } else { "" });
    match (mode, tag) {
        (None | Some("access"), Some(tag)) => Some(format!("access {tag}")),
        (Some(_), native) => Some(trunk_text(trunks, native.map(of_tag))),
        (None, None) if trunks.peek().is_some() => Some(trunk_text(trunks, None)),
        (None, None) => None,
    }
}

fn integers<'a>(columns: &'a OvsColumns, column: &str) -> impl Iterator<Item = i64> + 'a {
    let values = columns.get(&OvsColumn::from(column)).into_iter().flatten();
    values.filter_map(|value| if let OvsScalar::Integer(number) = value { Some(*number) } else { None })
}

fn trunk_text(tagged: impl Iterator<Item = String>, native: Option<String>) -> String {
    let tagged = tagged.collect::<Vec<_>>().join(",");
    match native {
        Some(native) => format!("trunk {tagged} native {native}"),
        None => format!("trunk {tagged}"),
    }
}
