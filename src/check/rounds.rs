//! In which order pairs are probed. Pure.
//!
//! All namespaces share the kernel's neighbour table, and at most `gc_thresh3` entries (1024 unless the machine says
//! otherwise, which is not ours to change) are kept of what was resolved in the last five seconds: a check of all pairs
//! of a hundred nodes would fill it with 9,900 and lose its own packets. So pairs are probed in batches, after each of
//! which the entries that it made are removed; and both directions of a pair are in the same batch, so that what one
//! resolved serves the other.

use super::Probe;
use std::collections::BTreeMap;

/// How many pairs a batch has at most; each makes two entries. Half of what the smallest usual table holds, because
/// others use it too.
const PAIRS: usize = 200;

/// The probes in batches. Within a batch the pairs are spread over the nodes: in a round each node asks the one that is
/// so many places on, so that no node is asked by all at once.
pub(super) fn batches(probes: Vec<Probe>, nodes: usize) -> Vec<Vec<Probe>> {
    let mut pairs: BTreeMap<(usize, usize, usize), Vec<Probe>> = BTreeMap::new();
    for probe in probes {
        let (low, high) = (probe.from.min(probe.to), probe.from.max(probe.to));
        let apart = (high - low).min(nodes - (high - low));
        pairs.entry((apart, low, high)).or_default().push(probe);
    }
    let pairs: Vec<Vec<Probe>> = pairs.into_values().collect();
    pairs.chunks(PAIRS).map(|pairs| pairs.iter().flatten().cloned().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Expected, Protocol};
    use super::*;

    #[test]
    fn both_ways_are_in_one_batch_and_nothing_is_lost() {
        let expected = Expected::Reachable { within_ms: None };
        let address = Some(std::net::Ipv4Addr::LOCALHOST.into());
        let all: Vec<Probe> = (0..50)
            .flat_map(|from| (0..50).map(move |to| (from, to)))
            .filter(|(from, to)| from != to)
            .map(|(from, to)| Probe { from, to, address, protocol: Protocol::Icmp, expected })
            .collect();
        let batches = batches(all.clone(), 50);
        assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), all.len());
        for batch in &batches {
            assert!(batch.len() <= 2 * PAIRS);
            for probe in batch {
                assert!(batch.iter().any(|back| (back.from, back.to) == (probe.to, probe.from)));
            }
        }
    }
}
