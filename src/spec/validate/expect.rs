//! What `check` is to hold the lab to, as ordered pairs of nodes.

use super::links::{Interface, Wiring};
use super::names::{Lookup, Thing, Things};
use super::{dhcp, items, value};
use crate::model::NodeName;
use crate::spec::error::Problems;
use crate::spec::field::Field;
use crate::spec::raw::{RawAmong, RawExpectation, RawTopology};
use crate::spec::suggest::did_you_mean;
use crate::spec::{Expectation, Outcome, Position};
use ipnetwork::IpNetwork;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// The most pairs that are written out. All pairs of a bigger lab are what is checked where nothing is expected.
const MAX_PAIRS: usize = 250_000;

/// What is wrong with an expectation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpectProblem {
    /// Neither or both of the two keys.
    #[error("an expectation is either `reachable` or `unreachable`: write one of them")]
    Form,
    /// A time for what never comes.
    #[error("`within` goes with `reachable`: remove it, no answer comes at no time")]
    WithinUnreachable,
    /// Not a node.
    #[error("there is no node `{name}`: {}correct the name", did_you_mean(.suggestion.as_deref()))]
    UnknownNode {
        /// The name.
        name: String,
        /// The nearest node.
        suggestion: Option<String>,
    },
    /// A switch.
    #[error("`{switch}` is a switch, which answers nobody: name nodes")]
    Switch {
        /// The switch.
        switch: String,
    },
    /// The same node twice.
    #[error("`{node}` is in the list twice: remove one")]
    Twice {
        /// The node.
        node: String,
    },
    /// Not even one pair.
    #[error("there is no pair among {nodes} node{}: name at least two", if *.nodes == 1 { "" } else { "s" })]
    NoPair {
        /// How many nodes there are.
        nodes: usize,
    },
    /// Both reachable and unreachable.
    #[error("`{from}` is to reach `{to}` and not to reach it, see line {line}: remove one of the two")]
    Contradiction {
        /// The node that asks.
        from: NodeName,
        /// The node that is asked.
        to: NodeName,
        /// Where the opposite is.
        line: u32,
    },
    /// Nothing by which one could reach the other.
    #[error(
        "`{from}` can't reach `{to}`: one has IPv4 addresses and the other IPv6 ones, or none at all: give both addresses \
         of one sort, or take them out of `reachable`"
    )]
    NoCommonFamily {
        /// The node that asks.
        from: NodeName,
        /// The node that is asked.
        to: NodeName,
    },
    /// More pairs than it is sensible to list.
    #[error(
        "{pairs} pairs are more than the {max} that can be listed: leave `expect` out to check all pairs, or name fewer"
    )]
    TooMany {
        /// How many pairs.
        pairs: usize,
        /// The most.
        max: usize,
    },
}

/// Writes the pairs out. Nothing where all that is expected is that all reach each other: that goes without saying.
pub(super) fn expand(
    raw: &RawTopology,
    things: &Things<'_>,
    wiring: &Wiring<'_>,
    addresses: &[Vec<Vec<IpNetwork>>],
    problems: &mut Problems,
) -> Vec<Expectation> {
    let fields = items(raw.expect.as_ref());
    let families = wiring.interfaces.iter().zip(addresses).map(|(node, addresses)| families(node, addresses)).collect();
    let mut pairs = Pairs { things, families, places: HashMap::new(), list: Vec::new() };
    let all_only = fields.iter().all(|field| {
        let plain = field.value.as_ref().filter(|item| item.within.is_none() && item.unreachable.is_none());
        matches!(plain.and_then(|item| value(item.reachable.as_ref())), Some(RawAmong::Text(_)))
    });
    if all_only {
        return Vec::new();
    }
    for field in fields {
        let Some(RawExpectation { reachable, unreachable, within }) = &field.value else { continue };
        let within_ms = value(within.as_ref()).map(|ms| ms.0);
        let (among, outcome) = match (reachable, unreachable) {
            (Some(among), None) => (among, Outcome::Reachable { within_ms }),
            (None, Some(among)) => (among, Outcome::Unreachable),
            _ => {
                problems.add(field.at, ExpectProblem::Form);
                continue;
            }
        };
        if let (Outcome::Unreachable, Some(within)) = (outcome, within) {
            problems.add(within.at, ExpectProblem::WithinUnreachable);
        }
        let Some(mut nodes) = among_whom(among, things, problems) else { continue };
        if matches!(among.value, Some(RawAmong::Text(_))) && !problems.addressing_in_doubt() {
            // A node without any address is not there to be reached, unless it is named.
            nodes.retain(|&node| pairs.families[node] != [false, false]);
        }
        let count = nodes.len() * nodes.len().saturating_sub(1) + pairs.list.len();
        if count > MAX_PAIRS {
            problems.add(among.at, ExpectProblem::TooMany { pairs: count, max: MAX_PAIRS });
            continue;
        }
        pairs.add(&nodes, outcome, field.at, problems);
    }
    pairs.list
}

/// The nodes by index; `None` where that has been reported.
fn among_whom(among: &Field<RawAmong>, things: &Things<'_>, problems: &mut Problems) -> Option<Vec<usize>> {
    let names = match among.value.as_ref()? {
        RawAmong::Text(_) => return Some((0..things.nodes.len()).collect()),
        RawAmong::Sequence(names) => names,
    };
    if names.len() < 2 {
        problems.add(among.at, ExpectProblem::NoPair { nodes: names.len() });
        return None;
    }
    let mut nodes = Vec::with_capacity(names.len());
    let mut seen = vec![false; things.nodes.len()];
    for (at, name) in names.iter().filter_map(|f| Some((f.at, f.value.as_ref()?))) {
        match things.get(name.as_str()) {
            Lookup::Found(Thing::Node(node)) if seen[node] => {
                problems.add(at, ExpectProblem::Twice { node: name.to_string() });
            }
            Lookup::Found(Thing::Node(node)) => {
                seen[node] = true;
                nodes.push(node);
            }
            Lookup::Found(Thing::Switch(_)) => problems.add(at, ExpectProblem::Switch { switch: name.to_string() }),
            Lookup::Unknown => {
                let suggestion = things.nearest_node(name.as_str());
                problems.add(at, ExpectProblem::UnknownNode { name: name.to_string(), suggestion });
            }
            Lookup::Refused => {}
        }
    }
    Some(nodes)
}

/// Whether a node has IPv4 addresses, given or by DHCP, and IPv6 ones.
fn families(interfaces: &[Interface<'_>], addresses: &[Vec<IpNetwork>]) -> [bool; 2] {
    let has = |ipv6| addresses.iter().flatten().any(|address| address.is_ipv6() == ipv6);
    [has(false) || interfaces.iter().any(dhcp::is_wanted), has(true)]
}

struct Pairs<'a, 'r> {
    things: &'a Things<'r>,
    families: Vec<[bool; 2]>,
    /// Where in the list a pair is, and on which line it was first.
    places: HashMap<(usize, usize), (usize, u32)>,
    list: Vec<Expectation>,
}

impl Pairs<'_, '_> {
    /// Adds every ordered pair. One that is there already keeps the shorter time; one contradiction a line is enough.
    fn add(&mut self, nodes: &[usize], outcome: Outcome, at: Position, problems: &mut Problems) {
        let mut contradicted = None;
        let mut apart = None;
        for &from in nodes {
            for &to in nodes.iter().filter(|to| **to != from) {
                let name = |node: usize| self.things.nodes[node].name.clone();
                let share = |(a, b): (bool, bool)| a && b;
                let is_apart = !self.families[from].into_iter().zip(self.families[to]).any(share);
                if is_apart && outcome != Outcome::Unreachable {
                    apart = apart.or(Some((name(from), name(to))));
                }
                match self.places.entry((from, to)) {
                    Entry::Vacant(place) => {
                        place.insert((self.list.len(), at.line));
                        self.list.push(Expectation { from: name(from), to: name(to), outcome });
                    }
                    Entry::Occupied(place) => {
                        let (index, line) = *place.get();
                        let before = &mut self.list[index].outcome;
                        match (*before, outcome) {
                            (Outcome::Reachable { within_ms: a }, Outcome::Reachable { within_ms: b }) => {
                                *before = Outcome::Reachable { within_ms: a.into_iter().chain(b).min() };
                            }
                            (Outcome::Unreachable, Outcome::Unreachable) => {}
                            _ => contradicted = contradicted.or(Some((name(from), name(to), line))),
                        }
                    }
                }
            }
        }
        if let Some((from, to)) = apart
            && !problems.addressing_in_doubt()
        {
            problems.add(at, ExpectProblem::NoCommonFamily { from, to });
        }
        if let Some((from, to, line)) = contradicted {
            problems.add(at, ExpectProblem::Contradiction { from, to, line });
        }
    }
}
