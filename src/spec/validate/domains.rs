//! Broadcast domains: who hears what is sent to everybody. A segment is one, unless VLANs keep its ports apart.

use super::links::{Joined, Wiring};
use crate::model::{VlanId, VlanMode};
use std::collections::{HashMap, HashSet};

/// A broadcast domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Domain {
    /// Of switches, or of VLANs on them: the number of a set of these.
    Switched(usize),
    /// A link between two nodes.
    Link(usize),
}

/// Which broadcast domain each interface is in.
pub(super) struct Domains {
    /// By node and place.
    of_interface: HashMap<(usize, usize), Domain>,
}

impl Domains {
    /// The domain of a node's interface; `None` where it hears nobody: on a trunk without a VLAN for frames that have no
    /// tag.
    pub(super) fn of(&self, node: usize, place: usize) -> Option<Domain> {
        self.of_interface.get(&(node, place)).copied()
    }
}

/// A VLAN on a switch; `None` on one that keeps none apart.
type Spot = (usize, Option<VlanId>);

/// Spots that are joined to one another, in sets.
#[derive(Default)]
struct Sets {
    index: HashMap<Spot, usize>,
    parents: Vec<usize>,
}

impl Sets {
    fn of(&mut self, spot: Spot) -> usize {
        let next = self.parents.len();
        let mut index = *self.index.entry(spot).or_insert(next);
        // New ones are sets of their own.
        if index == next {
            self.parents.push(next);
        }
        while self.parents[index] != index {
            self.parents[index] = self.parents[self.parents[index]];
            index = self.parents[index];
        }
        index
    }

    fn join(&mut self, a: Spot, b: Spot) {
        let (a, b) = (self.of(a), self.of(b));
        self.parents[b] = a;
    }
}

/// Finds the domain of every interface.
pub(super) fn domains(wiring: &Wiring<'_>) -> Domains {
    let filtering: HashSet<usize> = wiring
        .links
        .iter()
        .filter(|link| link.vlan.is_some())
        .flat_map(|link| link.ends)
        .filter_map(|end| if let Joined::Switch(switch) = end { Some(switch) } else { None })
        .collect();
    // Ports that say nothing are in VLAN 1, on a switch that keeps VLANs apart.
    let untagged = |switch: usize| (switch, filtering.contains(&switch).then_some(VlanId::DEFAULT));
    let mut sets = Sets::default();
    for link in &wiring.links {
        let [Joined::Switch(a), Joined::Switch(b)] = link.ends else { continue };
        match &link.vlan {
            None => sets.join(untagged(a), untagged(b)),
            Some(VlanMode::Access(vlan)) => sets.join((a, Some(*vlan)), (b, Some(*vlan))),
            Some(VlanMode::Trunk { tagged, native }) => {
                for vlan in tagged.iter().copied().chain(native.map(|native| native.id)) {
                    sets.join((a, Some(vlan)), (b, Some(vlan)));
                }
            }
        }
    }
    let mut of_interface = HashMap::new();
    for (index, link) in wiring.links.iter().enumerate() {
        for (end, other) in [(link.ends[0], link.ends[1]), (link.ends[1], link.ends[0])] {
            let Joined::Node { node, interface } = end else { continue };
            let spot = match (other, &link.vlan) {
                (Joined::Node { .. }, _) => {
                    of_interface.insert((node, interface), Domain::Link(index));
                    continue;
                }
                (Joined::Switch(switch), None) => Some(untagged(switch)),
                (Joined::Switch(switch), Some(VlanMode::Access(vlan))) => Some((switch, Some(*vlan))),
                // What is native and tagged comes with a tag all the same.
                (Joined::Switch(switch), Some(VlanMode::Trunk { native, .. })) => {
                    native.filter(|native| !native.is_tagged).map(|native| (switch, Some(native.id)))
                }
            };
            of_interface.extend(spot.map(|spot| ((node, interface), Domain::Switched(sets.of(spot)))));
        }
    }
    Domains { of_interface }
}
