//! The subnets that addresses are handed out of: where they are, and which interfaces they are for.

use super::links::{Joined, Wiring};
use super::loops::Segments;
use super::names::Things;
use super::{ip, items, value};
use crate::spec::Position;
use crate::spec::error::Problems;
use crate::spec::field::Field;
use crate::spec::suggest::list;
use crate::spec::values::Subnet;
use ipnetwork::IpNetwork;
use std::collections::HashMap;

/// What is wrong with a subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubnetProblem {
    /// An address instead of a network.
    #[error("{given} is an address in a network, not the network itself: write {network}")]
    HostBits {
        /// What is there.
        given: IpNetwork,
        /// The network it lies in.
        network: IpNetwork,
    },
    /// A network whose addresses hosts can't have.
    #[error("hosts can't have the {sort} addresses of {network}: choose another subnet, as 10.0.0.0/24 or fd00::/64")]
    Unusable {
        /// The network.
        network: IpNetwork,
        /// What its addresses are for.
        sort: &'static str,
    },
    /// Two networks of a lab have addresses in common.
    #[error("{network} overlaps {other} on line {line}: choose subnets that have no address in common")]
    Overlap {
        /// The later network.
        network: IpNetwork,
        /// The earlier network.
        other: IpNetwork,
        /// Where it is.
        line: u32,
    },
    /// More nodes than addresses.
    #[error(
        "{network} has addresses for {capacity} hosts, and {needed} interfaces are in it: use {}",
        .prefix.map_or_else(|| "several switches".to_owned(), |prefix| format!("a /{prefix} or a shorter prefix"))
    )]
    TooSmall {
        /// The network.
        network: IpNetwork,
        /// How many hosts it has addresses for.
        capacity: u128,
        /// How many are wanted.
        needed: u128,
        /// The longest prefix that would do.
        prefix: Option<u8>,
    },
    /// It can't be told which switch's subnets are meant.
    #[error(
        "`{switch}` has nodes but no `subnets`, and several switches joined to it have some ({sources}): give \
         `{switch}` those that its nodes are to be in"
    )]
    SeveralSources {
        /// The switch.
        switch: String,
        /// Those that have subnets.
        sources: String,
    },
}

/// A subnet of the text.
pub(super) struct Pool {
    pub(super) network: IpNetwork,
    pub(super) at: Position,
}

/// The subnets of a lab, and who gets addresses out of which, by their index.
pub(super) struct Pools {
    pub(super) all: Vec<Pool>,
    /// For the nodes on each switch.
    of_switch: Vec<Vec<usize>>,
    /// For the ends of a link between two nodes.
    of_link: HashMap<usize, Vec<usize>>,
    in_segment: HashMap<usize, Vec<usize>>,
}

impl Pools {
    /// The subnets that an interface is handed an address in.
    pub(super) fn for_end(&self, link: usize, other_end: Joined) -> &[usize] {
        match other_end {
            Joined::Switch(switch) => &self.of_switch[switch],
            Joined::Node { .. } => self.of_link.get(&link).map_or(&[], Vec::as_slice),
        }
    }

    /// All the subnets of a segment.
    pub(super) fn in_segment(&self, segment: usize) -> &[usize] {
        self.in_segment.get(&segment).map_or(&[], Vec::as_slice)
    }
}

/// Gathers the subnets.
pub(super) fn collect(things: &Things<'_>, wiring: &Wiring<'_>, segments: &Segments, problems: &mut Problems) -> Pools {
    let mut pools =
        Pools { all: Vec::new(), of_switch: Vec::new(), of_link: HashMap::new(), in_segment: HashMap::new() };
    for (switch, def) in things.switches.iter().enumerate() {
        if def.raw.subnets.is_some() && value(def.raw.subnets.as_ref()).is_none() {
            problems.doubt_addressing();
        }
        let own = add(items(def.raw.subnets.as_ref()), segments.of_switch(switch), &mut pools, problems);
        pools.of_switch.push(own);
    }
    for (index, link) in wiring.links.iter().enumerate() {
        if link.ends.iter().all(|end| matches!(end, Joined::Node { .. })) && !link.subnets.is_empty() {
            let own = add(link.subnets, segments.of_link(index, link), &mut pools, problems);
            pools.of_link.insert(index, own);
        }
    }
    lend(things, wiring, segments, &mut pools, problems);
    pools
}

fn add(subnets: &[Field<Subnet>], segment: usize, pools: &mut Pools, problems: &mut Problems) -> Vec<usize> {
    let mut own = Vec::new();
    for field in subnets {
        let Some(Subnet(given)) = field.value else {
            problems.doubt_addressing();
            continue;
        };
        let network = ip::network_of(given);
        if network != given {
            problems.add(field.at, SubnetProblem::HostBits { given, network });
        }
        if let Some(sort) = ip::unusable(network.ip()) {
            problems.add_to_addressing(field.at, SubnetProblem::Unusable { network, sort });
            continue;
        }
        own.push(pools.all.len());
        pools.in_segment.entry(segment).or_default().push(pools.all.len());
        pools.all.push(Pool { network, at: field.at });
    }
    own
}

/// Switches without subnets take those of the one switch in their segment that has some.
fn lend(things: &Things<'_>, wiring: &Wiring<'_>, segments: &Segments, pools: &mut Pools, problems: &mut Problems) {
    let mut sources: HashMap<usize, Vec<usize>> = HashMap::new();
    for switch in (0..things.switches.len()).filter(|switch| !pools.of_switch[*switch].is_empty()) {
        sources.entry(segments.of_switch(switch)).or_default().push(switch);
    }
    let mut has_nodes = vec![false; things.switches.len()];
    for link in &wiring.links {
        if let [Joined::Switch(switch), Joined::Node { .. }] | [Joined::Node { .. }, Joined::Switch(switch)] = link.ends
        {
            has_nodes[switch] = true;
        }
    }
    for (switch, def) in things.switches.iter().enumerate() {
        // One whose own subnets could not be made out borrows none.
        if !pools.of_switch[switch].is_empty() || def.raw.subnets.is_some() || !has_nodes[switch] {
            continue;
        }
        match sources.get(&segments.of_switch(switch)).map(Vec::as_slice) {
            None | Some([]) => {}
            Some([source]) => {
                let subnets = pools.of_switch[*source].clone();
                pools.of_switch[switch] = subnets;
            }
            Some(several) => {
                let names: Vec<&str> = several.iter().take(8).map(|s| things.switches[*s].name.as_str()).collect();
                let problem = SubnetProblem::SeveralSources { switch: def.name.to_string(), sources: list(&names) };
                problems.add_to_addressing(def.at, problem);
            }
        }
    }
}

/// A network that no subnet of the text is, but that an interface's address says there is.
pub(super) struct Implied {
    pub(super) network: IpNetwork,
    pub(super) at: Position,
    pub(super) segment: usize,
}

/// No two networks of a lab may have addresses in common, wherever they are.
pub(super) fn check_overlaps(pools: &Pools, implied: &[Implied], problems: &mut Problems) {
    #[derive(PartialEq)]
    enum Owner {
        Pool(usize),
        Segment(usize),
    }
    let declared = pools.all.iter().enumerate().map(|(index, pool)| (pool.network, pool.at, Owner::Pool(index)));
    let implied = implied.iter().map(|i| (i.network, i.at, Owner::Segment(i.segment)));
    let (places, networks): (Vec<_>, Vec<_>) =
        declared.chain(implied).map(|(network, at, owner)| (at, (network, owner))).unzip();
    for (one, other) in ip::overlaps(&networks) {
        let (one, other) = if places[one] < places[other] { (one, other) } else { (other, one) };
        let (network, line) = (networks[other].0, places[one].line);
        problems.add(places[other], SubnetProblem::Overlap { network, other: networks[one].0, line });
    }
}
