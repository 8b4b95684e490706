//! Names of the switches' ports in the fabric's namespace.
//!
//! A port is called after what it leads to: `net1` for the first interface of node net1, `net1-eth1` for another one,
//! `br0-br1` for br0's port towards br1 (`br0-br1-2` for a second link between them). A name that is too long, taken
//! or the kernel's becomes a readable head and a hash of the whole.

use crate::model::hash;
use crate::model::{IfName, LabName, NodeName, SwitchName};
use crate::spec::{LinkEnd, Spec};
use std::collections::{HashMap, HashSet};

/// Bytes of a shortened name before its dash and its six digits of hash: 15 in all (IFNAMSIZ less the NUL).
const HEAD_BYTES: usize = 8;

/// The port names at the two ends of each link, in the order of [`Spec::links`]; `None` where an end is a node's.
pub fn names(spec: &Spec) -> Vec<[Option<IfName>; 2]> {
    let mut names = vec![[None, None]; spec.links.len()];
    let mut taken: HashSet<IfName> = spec.switches.iter().map(|switch| IfName::from(&switch.name)).collect();
    for wish in wishes(spec) {
        names[wish.link][wish.end] = Some(choose(&wish.name, &spec.name, &mut taken));
    }
    names
}

/// All names that a lab's switches and their ports have.
pub(super) fn taken(spec: &Spec) -> HashSet<IfName> {
    let switches = spec.switches.iter().map(|switch| IfName::from(&switch.name));
    switches.chain(names(spec).into_iter().flatten().flatten()).collect()
}

/// The name in the host's namespace of a bridge or port that is called `name` inside its lab: `LAB-NAME`, or a readable
/// head and a hash of it where that is too long.
pub fn host_name(lab: &LabName, name: &IfName) -> IfName {
    let mut taken = HashSet::new();
    choose(&format!("{lab}-{name}"), lab, &mut taken)
}

/// The name of the port that leads to the machine's NIC: `uplink`, unless a node or switch is called so.
pub(super) fn uplink_name(spec: &Spec) -> IfName {
    let mut taken: HashSet<IfName> = names(spec).into_iter().flatten().flatten().collect();
    taken.extend(spec.switches.iter().map(|switch| IfName::from(&switch.name)));
    choose("uplink", &spec.name, &mut taken)
}

/// What a port would be called if it were alone.
struct Wish {
    link: usize,
    end: usize,
    rank: Rank,
    name: String,
}

/// Who gets a name that several wish for: not who comes first in the text, so that a new link does not rename old ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    FirstInterface,
    OtherInterface,
    Switch,
}

fn wishes(spec: &Spec) -> Vec<Wish> {
    let first: HashMap<&NodeName, &IfName> =
        spec.nodes.iter().filter_map(|node| Some((&node.name, &node.interfaces.first()?.name))).collect();
    let mut parallel: HashMap<[&SwitchName; 2], u32> = HashMap::new();
    let mut wishes = Vec::with_capacity(spec.links.len());
    for (link, ends) in spec.links.iter().map(|link| &link.ends).enumerate() {
        match ends {
            [LinkEnd::Switch(a), LinkEnd::Switch(b)] => {
                let count = parallel.entry(if a < b { [a, b] } else { [b, a] }).or_default();
                *count += 1;
                let suffix = if *count > 1 { format!("-{count}") } else { String::new() };
                for (end, (here, there)) in [(a, b), (b, a)].into_iter().enumerate() {
                    wishes.push(Wish { link, end, rank: Rank::Switch, name: format!("{here}-{there}{suffix}") });
                }
            }
            [LinkEnd::Node { node, interface }, LinkEnd::Switch(_)]
            | [LinkEnd::Switch(_), LinkEnd::Node { node, interface }] => {
                let end = usize::from(matches!(ends[1], LinkEnd::Switch(_)));
                let (rank, name) = if first.get(node) == Some(&interface) {
                    (Rank::FirstInterface, node.to_string())
                } else {
                    (Rank::OtherInterface, format!("{node}-{interface}"))
                };
                wishes.push(Wish { link, end, rank, name });
            }
            [LinkEnd::Node { .. }, LinkEnd::Node { .. }] => {}
        }
    }
    wishes.sort_by_key(|wish| wish.rank);
    wishes
}

/// The name that is wished for, or a readable head and a hash of it where that can't be had; it is taken from then on.
pub(super) fn choose(wish: &str, lab: &LabName, taken: &mut HashSet<IfName>) -> IfName {
    let mut candidate = IfName::try_from(wish);
    let mut attempt = 0_u32;
    loop {
        if let Ok(name) = candidate
            && taken.insert(name.clone())
        {
            return name;
        }
        let head = wish.get(..HEAD_BYTES).unwrap_or(wish).trim_end_matches(['-', '.', '_']);
        let hash = hash::stable(&format!("{lab}/{wish}/{attempt}")) & 0x00ff_ffff;
        candidate = IfName::try_from(format!("{head}-{hash:06x}"));
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::samples::{link, node, spec, switch};

    fn lab(nodes: &[&str], switches: &[&str], links: &[[&str; 2]]) -> Vec<[Option<String>; 2]> {
        let mut spec = spec("lab");
        spec.nodes = nodes.iter().map(|name| node(name)).collect();
        spec.switches = switches.iter().map(|name| switch(name)).collect();
        for [a, b] in links {
            link(&mut spec, (a, &[]), (b, &[]));
        }
        names(&spec).into_iter().map(|ends| ends.map(|name| name.map(String::from))).collect()
    }

    fn some(a: &str, b: &str) -> [Option<String>; 2] {
        [a, b].map(|name| (!name.is_empty()).then(|| name.to_owned()))
    }

    #[test]
    fn a_port_is_called_after_what_it_leads_to() {
        let links = [["h1", "br0"], ["br1", "h1"], ["br0", "br1"], ["br1", "br0"], ["h1", "h2"], ["h2", "br1"]];
        let names = lab(&["h1", "h2"], &["br0", "br1"], &links);
        assert_eq!(
            names,
            [
                some("", "h1"),
                some("h1-eth1", ""),
                some("br0-br1", "br1-br0"),
                some("br1-br0-2", "br0-br1-2"),
                some("", ""),
                some("", "h2-eth1"),
            ]
        );
    }

    #[test]
    fn a_name_that_cannot_be_had_is_shortened_and_stays_apart() {
        let long = ["a-very-long-node-1", "a-very-long-node-2"];
        let nodes = [long[0], long[1], "a-eth1", "a", "all"];
        let mut links = nodes.map(|node| [node, "sw0"]).to_vec();
        links.push(["a", "sw0"]);
        let names: Vec<String> = lab(&nodes, &["sw0"], &links).into_iter().filter_map(|[a, b]| a.or(b)).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), 6, "{names:?}");
        assert!(names.iter().all(|name| IfName::try_from(name.as_str()).is_ok() && name != "sw0"), "{names:?}");
        assert!(names[0].starts_with("a-very-l-") && names[0].len() == 15, "{names:?}");
        // The node's own name wins over another node's second interface.
        assert_eq!((names[2].as_str(), names[3].as_str()), ("a-eth1", "a"));
    }

    #[test]
    fn names_stay_when_links_are_added_before() {
        let some_links = [["h1", "br0"], ["br0", "br1"], ["a-very-long-node-1", "br1"]];
        let mut more_links = vec![["h3", "br0"], ["h3", "br1"], ["a-very-long-node-2", "br1"]];
        more_links.extend(some_links);
        let nodes = ["h1", "h3", "a-very-long-node-1", "a-very-long-node-2"];
        let before = lab(&nodes, &["br0", "br1"], &some_links);
        assert_eq!(lab(&nodes, &["br0", "br1"], &more_links)[3..], before);
    }
}
