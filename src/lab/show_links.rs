//! The links of a lab as they are. Pure.

use super::show::{link as link_there, link_state};
use crate::desired::{self, Resources};
use crate::model::ovs::OvsTable;
use crate::model::qdisc::Shaping;
use crate::model::{IfName, Interface, LabName, NetnsName};
use crate::observed::{Observed, ObservedShaping};
use crate::report::{LinkReport, LinkState, SetBy, WayReport};
use crate::spec::{Link, LinkEnd, Spec};
use std::collections::{HashMap, HashSet};

/// Each link, in the order of the topology.
pub(super) fn report(spec: &Spec, desired: &Resources, observed: &Observed) -> Vec<LinkReport> {
    let wanted = Wanted::of(spec, desired);
    let links = spec.links.iter().zip(spec.link_names()).zip(desired::port_names(spec));
    links.map(|((link, name), ports)| wanted.report(link, name, &ports, observed)).collect()
}

/// What a lab is to have of its links, to be looked up by interface.
struct Wanted<'a> {
    lab: &'a LabName,
    /// The switches that are ones of Open vSwitch.
    of_ovs: HashSet<&'a str>,
    /// The ends of links that are devices: those of a pair of patch ports are not.
    devices: HashSet<&'a Interface>,
    shapings: HashMap<&'a Interface, Shaping>,
}

impl<'a> Wanted<'a> {
    fn of(spec: &'a Spec, desired: &'a Resources) -> Self {
        let rows = desired.ovs.iter().flat_map(|ovs| &ovs.rows);
        let ends = desired.veths.iter().flat_map(|veth| [&veth.a, &veth.b]);
        Self {
            lab: &spec.name,
            of_ovs: rows.filter(|row| row.id.table == OvsTable::Bridge).map(|row| row.id.id.as_str()).collect(),
            devices: ends.map(|end| &end.interface).collect(),
            shapings: desired.qdiscs.iter().map(|qdiscs| (&qdiscs.interface, qdiscs.shaping)).collect(),
        }
    }

    fn report(&self, link: &Link, name: String, ports: &[Option<IfName>; 2], observed: &Observed) -> LinkReport {
        let ends = [0, 1].map(|side| self.device(&link.ends[side], ports[side].as_ref()));
        let there = ends.each_ref().map(|end| link_there(observed, &end.netns, end.name.as_str()));
        let names = link.ends.each_ref().map(ToString::to_string);
        let at_run_time = link.at_run_time.is_some();
        let way = |from: usize| {
            let shaping = there[from].and_then(|link| link.shaping.as_ref());
            let (conditions, disciplines) = match shaping {
                None => (None, None),
                Some(ObservedShaping::Known(shaping)) => (Some(shaping.to_string()), Some(*shaping)),
                Some(ObservedShaping::Other(kind)) => (Some(kind.clone()), None),
            };
            let wanted = self.shapings.get(&ends[from]).copied().unwrap_or_default();
            let is_wanted = shaping.map_or(wanted.is_none(), |there| *there == ObservedShaping::Known(wanted));
            let set_by = match (is_wanted, at_run_time) {
                (false, _) => SetBy::SomebodyElse,
                (true, true) => SetBy::Link,
                (true, false) => SetBy::Topology,
            };
            WayReport { from: names[from].clone(), to: names[1 - from].clone(), conditions, disciplines, set_by }
        };
        // A pair of patch ports is there where its ports are.
        let has_devices = self.devices.contains(&ends[0]);
        let state = if has_devices { worst(there.map(link_state)) } else { LinkState::Up };
        LinkReport { link: name, state, at_run_time, ways: [way(0), way(1)] }
    }

    /// The interface at an end of a link.
    fn device(&self, end: &LinkEnd, port: Option<&IfName>) -> Interface {
        match end {
            LinkEnd::Node { node, interface } => {
                Interface { netns: NetnsName::of_node(self.lab, node), name: interface.clone() }
            }
            LinkEnd::Switch(switch) => {
                let port = port.cloned().unwrap_or_else(|| IfName::from(switch));
                if self.of_ovs.contains(switch.as_str()) {
                    Interface { netns: NetnsName::Host, name: desired::host_name(self.lab, &port) }
                } else {
                    Interface { netns: NetnsName::of_fabric(self.lab), name: port }
                }
            }
        }
    }
}

fn worst(states: [LinkState; 2]) -> LinkState {
    const FROM_WORST: [LinkState; 3] = [LinkState::Missing, LinkState::Down, LinkState::NoCarrier];
    FROM_WORST.into_iter().find(|state| states.contains(state)).unwrap_or(LinkState::Up)
}
