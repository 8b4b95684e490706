//! Segments (switches joined to one another, directly or not) and loops in them.

use super::SwitchProblem;
use super::links::{Joined, Wire, Wiring};
use super::names::Things;
use crate::spec::error::Problems;
use crate::spec::suggest::list;
use std::collections::{BTreeMap, HashSet, VecDeque};

/// Names are listed up to this many.
const MAX_LISTED: usize = 8;

/// Which segment each switch and each link is in. A link between two nodes is a segment of its own.
pub(super) struct Segments {
    of_switch: Vec<usize>,
}

impl Segments {
    /// The segment of a switch: the number of one of its switches.
    pub(super) fn of_switch(&self, switch: usize) -> usize {
        self.of_switch[switch]
    }

    /// The segment of a link.
    pub(super) fn of_link(&self, link: usize, wire: &Wire<'_>) -> usize {
        let switch = wire.ends.iter().find_map(|end| match end {
            Joined::Switch(switch) => Some(self.of_switch[*switch]),
            Joined::Node { .. } => None,
        });
        switch.unwrap_or(self.of_switch.len() + link)
    }
}

/// Finds the segments, and the loops that no spanning tree cuts: one for each segment.
pub(super) fn segments(
    things: &Things<'_>,
    wiring: &Wiring<'_>,
    has_tree: &[bool],
    problems: &mut Problems,
) -> Segments {
    let mut parents: Vec<usize> = (0..things.switches.len()).collect();
    // The links that joined two segments up to then apart: a forest. The others each close a loop.
    let mut forest: Vec<Vec<usize>> = vec![Vec::new(); things.switches.len()];
    let mut closing = Vec::new();
    for link in &wiring.links {
        let [Joined::Switch(a), Joined::Switch(b)] = link.ends else { continue };
        let (root_a, root_b) = (root(&mut parents, a), root(&mut parents, b));
        if root_a == root_b {
            closing.push((link.at, a, b));
        } else {
            parents[root_b] = root_a;
            forest[a].push(b);
            forest[b].push(a);
        }
    }
    let of_switch: Vec<usize> = (0..things.switches.len()).map(|switch| root(&mut parents, switch)).collect();
    let mut missing: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (switch, segment) in of_switch.iter().enumerate().filter(|(switch, _)| !has_tree[*switch]) {
        missing.entry(*segment).or_default().push(switch);
    }
    let mut reported = HashSet::new();
    for (at, a, b) in closing {
        let segment = of_switch[a];
        let Some(missing) = missing.get(&segment).filter(|_| reported.insert(segment)) else { continue };
        let names = |switches: &[usize]| {
            let more = switches.len().saturating_sub(MAX_LISTED);
            let names = switches.iter().take(MAX_LISTED).map(|s| things.switches[*s].name.to_string());
            list(&names.chain((more > 0).then(|| format!("{more} more"))).collect::<Vec<_>>())
        };
        let problem = SwitchProblem::Loop { on_loop: names(&path(&forest, a, b)), missing: names(missing) };
        problems.add(at, problem);
    }
    Segments { of_switch }
}

/// The representative of a switch's segment, halving the way there for the next time.
fn root(parents: &mut [usize], mut switch: usize) -> usize {
    while parents[switch] != switch {
        parents[switch] = parents[parents[switch]];
        switch = parents[switch];
    }
    switch
}

/// The switches from one to another, both included, along the forest.
fn path(forest: &[Vec<usize>], from: usize, to: usize) -> Vec<usize> {
    let mut towards_to = vec![None; forest.len()];
    let mut queue = VecDeque::from([to]);
    towards_to[to] = Some(to);
    while let Some(switch) = queue.pop_front() {
        for &next in &forest[switch] {
            if towards_to[next].is_none() {
                towards_to[next] = Some(switch);
                queue.push_back(next);
            }
        }
    }
    let mut path = vec![from];
    let mut here = from;
    while let Some(next) = towards_to[here].filter(|_| here != to) {
        path.push(next);
        here = next;
    }
    path
}
