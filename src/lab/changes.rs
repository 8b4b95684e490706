//! What is different between two reports of a lab. Pure.

use crate::report::{
    Change, InterfaceReport, LabReport, LinkState, NodeReport, PortReport, Property, SwitchReport, UplinkReport,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// What has changed from one report to the next.
pub(super) fn changes(old: &LabReport, new: &LabReport) -> Vec<Change> {
    // What is not as it should be is not compared: it is said by what has changed to be so.
    let LabReport { lab, state, description: _, nodes, switches, links, uplink, drift: _ } = new;
    let mut list = List(Vec::new());
    list.compare(lab.as_str(), Property::Condition, &old.state, state);
    let words = |uplink: &Option<UplinkReport>| uplink.as_ref().map(ToString::to_string);
    list.compare(lab.as_str(), Property::Uplink, &words(&old.uplink), &words(uplink));
    for (before, now) in pairs(&old.nodes, nodes, |node| node.node.as_str()) {
        match (before, now) {
            (Some(before), Some(now)) => list.node(before, now),
            (None, Some(new)) => list.new_node(new),
            (Some(gone), None) => list.compare(gone.node.as_str(), Property::Node, &Some(&gone.netns), &None),
            (None, None) => {}
        }
    }
    for (before, now) in pairs(&old.switches, switches, |switch| switch.switch.as_str()) {
        match (before, now) {
            (Some(before), Some(now)) => list.switch(before, now),
            (None, Some(new)) => list.new_switch(new),
            (Some(gone), None) => list.compare(gone.switch.as_str(), Property::Switch, &Some(&gone.bridge), &None),
            (None, None) => {}
        }
    }
    for (before, now) in pairs(&old.links, links, |link| link.link.as_str()) {
        // What a new link has is no change of it, and one that is gone has nothing any more.
        let (Some(before), Some(now)) = (before, now) else { continue };
        for (before, now) in before.ways.iter().zip(&now.ways) {
            let what = format!("{} -> {}", now.from, now.to);
            list.compare(&what, Property::Conditions, &before.conditions, &now.conditions);
        }
    }
    list.0
}

/// Puts what was last seen of switches that can't be seen now into a report, so that what is different once they are seen
/// again is told, and that they could not be seen is no change of all their ports.
pub(super) fn remember(old: &LabReport, new: &mut LabReport) {
    for switch in new.switches.iter_mut().filter(|switch| switch.present.is_none()) {
        let Some(before) = old.switches.iter().find(|before| before.switch == switch.switch) else { continue };
        (switch.present, switch.spanning_tree) = (before.present, before.spanning_tree);
        (switch.forwards, switch.mcast_snooping) = (before.forwards.clone(), before.mcast_snooping);
        for port in &mut switch.ports {
            let Some(before) = before.ports.iter().find(|before| before.name == port.name) else { continue };
            // That of a device, the kernel has told.
            let state = if port.device.is_some() { port.state } else { before.state };
            *port = PortReport { device: port.device.clone(), state, ..before.clone() };
        }
    }
}

struct List(Vec<Change>);

impl List {
    fn compare<T: PartialEq + Serialize>(&mut self, what: &str, property: Property, old: &T, new: &T) {
        if old != new {
            let value = |of: &T| serde_json::to_value(of).unwrap_or(Value::Null);
            self.0.push(Change { what: what.to_owned(), property, from: value(old), to: value(new) });
        }
    }

    /// What a thing has several of: each that went, and each that came.
    fn compare_all(&mut self, what: &str, property: Property, old: &[String], new: &[String]) {
        let [old, new] = [old, new].map(|all| all.iter().collect::<BTreeSet<_>>());
        for gone in old.difference(&new) {
            self.compare(what, property, &Some(gone), &None);
        }
        for came in new.difference(&old) {
            self.compare(what, property, &None, &Some(came));
        }
    }

    fn new_node(&mut self, node: &NodeReport) {
        self.compare(node.node.as_str(), Property::Node, &None, &Some(&node.netns));
        for interface in &node.interfaces {
            self.compare(&name(&node.node, &interface.name), Property::Interface, &None, &Some(interface.state));
        }
    }

    fn node(&mut self, old: &NodeReport, new: &NodeReport) {
        let NodeReport { node, netns: _, forwarding, interfaces, routes, advertises } = new;
        self.compare(node.as_str(), Property::Router, &old.forwarding, forwarding);
        for (before, now) in pairs(&old.interfaces, interfaces, |interface| interface.name.as_str()) {
            match (before, now) {
                (Some(before), Some(now)) => self.interface(&name(node, &now.name), before, now),
                (before, now) => {
                    let what = name(node, before.or(now).map_or("", |interface| interface.name.as_str()));
                    let [before, now] = [before, now].map(|interface| interface.map(|interface| interface.state));
                    self.compare(&what, Property::Interface, &before, &now);
                }
            }
        }
        self.compare_all(node.as_str(), Property::Route, &old.routes, routes);
        let [before, now] =
            [&old.advertises, advertises].map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
        self.compare_all(node.as_str(), Property::Advertisement, &before, &now);
    }

    fn interface(&mut self, what: &str, old: &InterfaceReport, new: &InterfaceReport) {
        let InterfaceReport { name: _, state, mac, mtu, addresses, peer } = new;
        self.compare(what, Property::State, &old.state, state);
        self.compare(what, Property::Peer, &old.peer, peer);
        // One that is gone has nothing any more; that need not be said.
        if *state == LinkState::Missing {
            return;
        }
        if old.state != LinkState::Missing {
            self.compare(what, Property::Mac, &old.mac, mac);
            self.compare(what, Property::Mtu, &old.mtu, mtu);
        }
        self.compare_all(what, Property::Address, &old.addresses, addresses);
    }

    fn new_switch(&mut self, switch: &SwitchReport) {
        self.compare(switch.switch.as_str(), Property::Switch, &None, &Some(&switch.bridge));
        for port in &switch.ports {
            self.compare(&name(&switch.switch, &port.name), Property::Port, &None, &Some(port.state));
        }
    }

    fn switch(&mut self, old: &SwitchReport, new: &SwitchReport) {
        let SwitchReport {
            switch,
            backend,
            netns: _,
            bridge: _,
            present,
            spanning_tree,
            forwards,
            mcast_snooping,
            trouble,
            ports,
        } = new;
        let what = switch.as_str();
        self.compare(what, Property::Trouble, &old.trouble, trouble);
        self.compare(what, Property::Backend, &old.backend, backend);
        self.compare(what, Property::Present, &old.present, present);
        if *present != Some(false) {
            self.compare(what, Property::SpanningTree, &old.spanning_tree, spanning_tree);
            self.compare(what, Property::Forwards, &old.forwards, forwards);
            self.compare(what, Property::McastSnooping, &old.mcast_snooping, mcast_snooping);
        }
        for (before, now) in pairs(&old.ports, ports, |port| port.name.as_str()) {
            match (before, now) {
                (Some(before), Some(now)) => self.port(&name(switch, &now.name), before, now),
                (before, now) => {
                    let what = name(switch, before.or(now).map_or("", |port| port.name.as_str()));
                    let [before, now] = [before, now].map(|port| port.map(|port| port.state));
                    self.compare(&what, Property::Port, &before, &now);
                }
            }
        }
    }

    fn port(&mut self, what: &str, old: &PortReport, new: &PortReport) {
        // What goes through it changes all the time.
        let PortReport { name: _, device: _, state, forwarding, vlan, ofport, statistics: _, error } = new;
        self.compare(what, Property::State, &old.state, state);
        self.compare(what, Property::Error, &old.error, error);
        if *state == LinkState::Missing {
            return;
        }
        self.compare(what, Property::Ofport, &old.ofport, ofport);
        self.compare(what, Property::Forwarding, &old.forwarding, forwarding);
        self.compare(what, Property::Vlan, &old.vlan, vlan);
    }
}

fn name(of: impl std::fmt::Display, part: &str) -> String {
    format!("{of}:{part}")
}

/// Those that are in either list, by name: the old ones in their order, then those that are new.
fn pairs<'a, T>(
    old: &'a [T],
    new: &'a [T],
    name: impl Fn(&T) -> &str + Copy + 'a,
) -> impl Iterator<Item = (Option<&'a T>, Option<&'a T>)> {
    let place: std::collections::HashMap<&str, &T> = new.iter().map(|thing| (name(thing), thing)).collect();
    let known: BTreeSet<&str> = old.iter().map(name).collect();
    let of_old = old.iter().map(move |thing| (Some(thing), place.get(name(thing)).copied()));
    let only_new = new.iter().filter(move |thing| !known.contains(name(thing))).map(|thing| (None, Some(thing)));
    of_old.chain(only_new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LabName, LinkLocal, LinkStatistics, NodeName, SwitchName};
    use crate::report::{BackendReport, LabCondition, LinkReport, SetBy, SpanningTree, WayReport};

    fn interface(name: &str) -> InterfaceReport {
        InterfaceReport {
            name: name.to_owned(),
            state: LinkState::Up,
            mac: Some("02:00:00:00:00:01".to_owned()),
            mtu: Some(1500),
            addresses: vec!["10.0.0.1/24".to_owned()],
            peer: "s1".to_owned(),
        }
    }

    fn node(name: &str) -> NodeReport {
        NodeReport {
            node: NodeName::try_from(name).unwrap(),
            netns: format!("lab-{name}"),
            forwarding: false,
            interfaces: vec![interface("eth0")],
            routes: vec!["default via 10.0.0.254 dev eth0".to_owned()],
            advertises: Vec::new(),
        }
    }

    fn port(name: &str, device: Option<&str>) -> PortReport {
        PortReport {
            name: name.to_owned(),
            device: device.map(str::to_owned),
            state: LinkState::Up,
            forwarding: Some("forwarding".to_owned()),
            vlan: None,
            ofport: Some(1),
            statistics: None,
            error: None,
        }
    }

    fn way(from: &str, to: &str) -> WayReport {
        WayReport {
            from: from.to_owned(),
            to: to.to_owned(),
            conditions: None,
            disciplines: None,
            set_by: SetBy::Topology,
        }
    }

    fn lab() -> LabReport {
        let s1 = SwitchReport {
            switch: SwitchName::try_from("s1").unwrap(),
            backend: BackendReport::Ovs,
            netns: "host".to_owned(),
            bridge: "lab-s1".to_owned(),
            present: Some(true),
            spanning_tree: Some(SpanningTree::Stp),
            forwards: vec![LinkLocal::Lldp],
            mcast_snooping: Some(false),
            trouble: None,
            ports: vec![port("a", Some("lab-a")), port("s1-s2", None)],
        };
        LabReport {
            lab: LabName::try_from("lab").unwrap(),
            state: LabCondition::Up,
            description: None,
            nodes: vec![node("a"), node("b")],
            switches: vec![s1],
            links: vec![LinkReport {
                link: "a:eth0--s1".to_owned(),
                state: LinkState::Up,
                at_run_time: false,
                ways: [way("a:eth0", "s1"), way("s1", "a:eth0")],
            }],
            uplink: None,
            drift: Vec::new(),
        }
    }

    /// The changes that `edit` makes, as `WHAT PROPERTY FROM TO`.
    fn after(edit: impl FnOnce(&mut LabReport)) -> Vec<String> {
        let (old, mut new) = (lab(), lab());
        edit(&mut new);
        told(&changes(&old, &new))
    }

    fn told(changes: &[Change]) -> Vec<String> {
        let text = |change: &Change| {
            let Change { what, property, from, to } = change;
            format!("{what} {} {from} {to}", serde_json::to_value(property).unwrap().as_str().unwrap())
        };
        changes.iter().map(text).collect()
    }

    #[test]
    fn what_is_no_news_is_no_change() {
        let same = after(|lab| {
            lab.drift = vec!["set something up".to_owned()];
            lab.switches[0].ports[0].statistics = Some(LinkStatistics { rx_packets: 7, ..LinkStatistics::default() });
        });
        assert_eq!(same, Vec::<String>::new());
    }

    #[test]
    fn what_happens_to_frames_is_told_each_way() {
        let all = after(|lab| lab.links[0].ways[1].conditions = Some("delay 20ms".to_owned()));
        assert_eq!(all, [r#"s1 -> a:eth0 conditions null "delay 20ms""#]);
    }

    #[test]
    fn an_interface_is_compared_in_all_that_it_has() {
        let all = after(|lab| {
            let eth0 = &mut lab.nodes[0].interfaces[0];
            (eth0.state, eth0.mtu, eth0.mac) = (LinkState::NoCarrier, Some(1400), Some("02:00:00:00:00:02".to_owned()));
            eth0.addresses = vec!["10.0.0.9/24".to_owned()];
            lab.nodes[0].routes.clear();
            lab.state = LabCondition::HalfChanged;
        });
        assert_eq!(
            all,
            [
                r#"lab condition "up" "half_changed""#,
                r#"a:eth0 state "up" "no_carrier""#,
                r#"a:eth0 mac "02:00:00:00:00:01" "02:00:00:00:00:02""#,
                "a:eth0 mtu 1500 1400",
                r#"a:eth0 address "10.0.0.1/24" null"#,
                r#"a:eth0 address null "10.0.0.9/24""#,
                r#"a route "default via 10.0.0.254 dev eth0" null"#,
            ]
        );
    }

    #[test]
    fn what_is_missing_has_nothing_to_compare() {
        let gone = |lab: &mut LabReport| {
            let eth0 = &mut lab.nodes[0].interfaces[0];
            (eth0.state, eth0.mtu, eth0.mac) = (LinkState::Missing, None, None);
            eth0.addresses.clear();
            let port = &mut lab.switches[0].ports[0];
            (port.state, port.ofport, port.forwarding) = (LinkState::Missing, None, None);
            port.error = Some("could not open it".to_owned());
        };
        assert_eq!(
            after(gone),
            [
                r#"a:eth0 state "up" "missing""#,
                r#"s1:a state "up" "missing""#,
                r#"s1:a error null "could not open it""#
            ]
        );
        // And back.
        let (mut old, new) = (lab(), lab());
        gone(&mut old);
        assert_eq!(
            told(&changes(&old, &new)),
            [
                r#"a:eth0 state "missing" "up""#,
                r#"a:eth0 address null "10.0.0.1/24""#,
                r#"s1:a state "missing" "up""#,
                r#"s1:a error "could not open it" null"#,
                "s1:a ofport null 1",
                r#"s1:a forwarding null "forwarding""#,
            ]
        );
    }

    #[test]
    fn nodes_switches_interfaces_and_ports_come_and_go() {
        let all = after(|lab| {
            lab.nodes.remove(0);
            lab.nodes[0].interfaces.push(interface("eth1"));
            lab.nodes.push(node("c"));
            lab.switches[0].ports.remove(1);
            let mut s2 = lab.switches[0].clone();
            s2.switch = SwitchName::try_from("s2").unwrap();
            lab.switches.push(s2);
        });
        assert_eq!(
            all,
            [
                r#"a node "lab-a" null"#,
                r#"b:eth1 interface null "up""#,
                r#"c node null "lab-c""#,
                r#"c:eth0 interface null "up""#,
                r#"s1:s1-s2 port "up" null"#,
                r#"s2 switch null "lab-s1""#,
                r#"s2:a port null "up""#,
            ]
        );
    }

    #[test]
    fn what_a_switch_does_with_frames_is_compared() {
        let all = after(|lab| {
            lab.switches[0].forwards = vec![LinkLocal::Lacp, LinkLocal::Lldp];
            lab.switches[0].mcast_snooping = Some(true);
        });
        assert_eq!(all, [r#"s1 forwards ["lldp"] ["lacp","lldp"]"#, "s1 mcast_snooping false true"]);
    }

    #[test]
    fn a_switch_that_cannot_be_seen_is_one_change_until_it_is_seen_again() {
        let unseen = |lab: &mut LabReport| {
            let s1 = &mut lab.switches[0];
            (s1.present, s1.spanning_tree, s1.trouble) = (None, None, Some("no answer".to_owned()));
            (s1.forwards, s1.mcast_snooping) = (Vec::new(), None);
            for port in &mut s1.ports {
                (port.ofport, port.forwarding) = (None, None);
            }
            s1.ports[1].state = LinkState::Missing;
        };
        let (old, mut new) = (lab(), lab());
        unseen(&mut new);
        new.switches[0].ports[0].state = LinkState::Down; // the kernel says so
        remember(&old, &mut new);
        assert_eq!(told(&changes(&old, &new)), [r#"s1 trouble null "no answer""#, r#"s1:a state "up" "down""#]);
        let mut again = lab();
        again.switches[0].ports[1].ofport = Some(9);
        assert_eq!(
            told(&changes(&new, &again)),
            [r#"s1 trouble "no answer" null"#, r#"s1:a state "down" "up""#, "s1:s1-s2 ofport 1 9"]
        );
    }
}
