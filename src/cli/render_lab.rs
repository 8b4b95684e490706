//! `show`: a lab as tables.

use super::args::Global;
use super::render::{LISTED_STEPS, Paint, condition, json, table, text};
use super::render_links;
use crate::model::LinkStatistics;
use crate::report::{BackendReport, LabReport, LinkReport, LinkState, PortReport, SpanningTree, SwitchReport};
use std::fmt::Write as _;

/// One lab.
pub(super) fn lab(global: &Global, report: &LabReport) {
    if global.json { json(report) } else { text(&tables(report)) }
}

/// One lab, as text.
pub(super) fn tables(report: &LabReport) -> String {
    let LabReport { lab, state, description, nodes, switches, links, uplink, drift } = report;
    let paint = Paint::new();
    let mut out = format!("{} is {}", paint.strong(lab.as_str()), condition(*state));
    if let Some(description) = description {
        let _ = write!(out, ": {description}");
    }
    out.push_str("\n\n");

    let mut rows = Vec::new();
    for node in nodes {
        let name = if node.forwarding { format!("{} (router)", node.node) } else { node.node.to_string() };
        if node.interfaces.is_empty() {
            rows.push(vec![name, "-".into()]);
            continue;
        }
        for (index, interface) in node.interfaces.iter().enumerate() {
            rows.push(vec![
                if index == 0 { name.clone() } else { String::new() },
                interface.name.clone(),
                link_state(interface.state).to_owned(),
                interface.addresses.join(" "),
                interface.mac.clone().unwrap_or_default(),
                interface.mtu.map(|mtu| mtu.to_string()).unwrap_or_default(),
                interface.peer.clone(),
            ]);
        }
    }
    out.push_str(&table(&["NODE", "INTERFACE", "STATE", "ADDRESSES", "MAC", "MTU", "LINKED TO"], &rows));

    add_switches(&mut out, switches);
    let special = |link: &&LinkReport| link.at_run_time || link.ways.iter().any(|way| way.conditions.is_some());
    if links.iter().any(|link| special(&link)) {
        out.push('\n');
        out.push_str(&render_links::rows(links.iter().filter(special)));
    }
    let routes: Vec<Vec<String>> = nodes
        .iter()
        .flat_map(|node| node.routes.iter().map(|route| vec![node.node.to_string(), route.clone()]))
        .collect();
    if !routes.is_empty() {
        out.push('\n');
        out.push_str(&table(&["NODE", "ROUTE"], &routes));
    }
    let advertises: Vec<Vec<String>> = nodes
        .iter()
        .flat_map(|node| node.advertises.iter().map(move |on| (node, on)))
        .map(|(node, on)| vec![node.node.to_string(), on.interface.clone(), on.prefixes.join(" ")])
        .collect();
    if !advertises.is_empty() {
        out.push('\n');
        out.push_str(&table(&["ROUTER", "INTERFACE", "ADVERTISES"], &advertises));
    }
    if let Some(uplink) = uplink {
        let _ = writeln!(out, "\nuplink {uplink}");
    }
    if drift.is_empty() && switches.iter().all(|switch| switch.trouble.is_none()) {
        let _ = writeln!(out, "\n{}", paint.good("everything is as it should be"));
    } else if !drift.is_empty() {
        let _ = writeln!(out, "\n{}", paint.warning("not as it should be; `nslab up` would:"));
        for step in drift.iter().take(LISTED_STEPS) {
            let _ = writeln!(out, "  {step}");
        }
        if drift.len() > LISTED_STEPS {
            let _ = writeln!(out, "  … and {} more", drift.len() - LISTED_STEPS);
        }
    }
    out
}

pub(super) fn link_state(state: LinkState) -> &'static str {
    match state {
        LinkState::Up => "up",
        LinkState::Down => "down",
        LinkState::NoCarrier => "no carrier",
        LinkState::Missing => "missing",
    }
}

fn add_switches(out: &mut String, switches: &[SwitchReport]) {
    if switches.is_empty() {
        return;
    }
    let rows: Vec<Vec<String>> = switches.iter().map(switch_row).collect();
    out.push('\n');
    out.push_str(&table(&["SWITCH", "MADE OF", "BRIDGE", "SPANNING TREE", "FORWARDS", "MULTICAST"], &rows));

    let paint = Paint::new();
    let ports = || switches.iter().flat_map(|switch| switch.ports.iter().map(move |port| (switch, port)));
    if ports().next().is_some() {
        let rows: Vec<Vec<String>> = switches
            .iter()
            .flat_map(|switch| {
                let name = |index| if index == 0 { switch.switch.to_string() } else { String::new() };
                switch.ports.iter().enumerate().map(move |(index, port)| port_row(name(index), port))
            })
            .collect();
        out.push('\n');
        out.push_str(&table(&PORT_HEAD, &rows));
    }
    let mut troubles = String::new();
    for (switch, port) in ports() {
        if let Some(error) = &port.error {
            let _ = writeln!(troubles, "{}: {error}", paint.bad(&format!("{}:{}", switch.switch, port.name)));
        }
    }
    for switch in switches {
        if let Some(trouble) = &switch.trouble {
            let _ = writeln!(troubles, "{}: {trouble}", paint.warning(switch.switch.as_str()));
        }
    }
    if !troubles.is_empty() {
        out.push('\n');
        out.push_str(&troubles);
    }
}

fn switch_row(switch: &SwitchReport) -> Vec<String> {
    let SwitchReport {
        switch,
        backend,
        netns,
        bridge,
        present,
        spanning_tree,
        forwards,
        mcast_snooping,
        trouble: _,
        ports: _,
    } = switch;
    let made_of = match backend {
        BackendReport::Linux => "Linux bridge",
        BackendReport::Ovs => "Open vSwitch",
    };
    let there = match present {
        Some(true) => "",
        Some(false) => " (missing)",
        None => " (not seen)",
    };
    let spanning_tree = match spanning_tree {
        Some(SpanningTree::Stp) => "STP",
        Some(SpanningTree::Rstp) => "RSTP",
        None => "-",
    };
    let forwards: Vec<&str> = forwards.iter().map(|protocol| protocol.as_str()).collect();
    let multicast = match mcast_snooping {
        Some(true) => "snooped",
        Some(false) => "flooded",
        None => "",
    };
    vec![
        switch.to_string(),
        made_of.to_owned(),
        format!("{bridge} in {netns}{there}"),
        spanning_tree.to_owned(),
        if forwards.is_empty() { "-".to_owned() } else { forwards.join(", ") },
        multicast.to_owned(),
    ]
}

const PORT_HEAD: [&str; 9] = ["SWITCH", "PORT", "STATE", "OFPORT", "FRAMES", "VLAN", "RECEIVED", "SENT", "LOST"];

fn port_row(switch: String, port: &PortReport) -> Vec<String> {
    let PortReport { name, device: _, state, forwarding, vlan, ofport, statistics, error: _ } = port;
    let count = |of: fn(&LinkStatistics) -> String| statistics.as_ref().map(of).unwrap_or_default();
    vec![
        switch,
        name.clone(),
        link_state(*state).to_owned(),
        ofport.map(|number| number.to_string()).unwrap_or_default(),
        forwarding.clone().unwrap_or_default(),
        vlan.clone().unwrap_or_default(),
        count(|all| traffic(all.rx_packets, all.rx_bytes)),
        count(|all| traffic(all.tx_packets, all.tx_bytes)),
        count(|all| all.lost().to_string()),
    ]
}

/// `12 (1.1 kB)`: packets, and their bytes to two digits or three.
fn traffic(packets: u64, bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{packets} ({bytes} B)");
    }
    // Tenths of a unit, so that it takes no fractions.
    let (mut tenths, mut unit) = (bytes / 100, 0);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        (tenths, unit) = (tenths / 1000, unit + 1);
    }
    format!("{packets} ({}.{} {})", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_told_in_units_of_its_size() {
        for (bytes, shown) in [
            (0, "1 (0 B)"),
            (999, "1 (999 B)"),
            (1000, "1 (1.0 kB)"),
            (999_999, "1 (999.9 kB)"),
            (1_000_000, "1 (1.0 MB)"),
            (12_345_678_901, "1 (12.3 GB)"),
        ] {
            assert_eq!(traffic(1, bytes), shown);
        }
    }
}
