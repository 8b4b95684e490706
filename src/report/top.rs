//! What `top` tells: what nodes use, by two looks at their counters. Pure.

use super::ContainerState;
use crate::model::{LabName, LinkStatistics, ResourceUsage, Traffic};
use serde::Serialize;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What was seen of all nodes in one look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageSample {
    /// The nodes, and the containers of no lab.
    pub nodes: Vec<NodeSample>,
}

/// What was seen of a node, or of a container of no lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSample {
    /// The lab that it is of, where it is.
    pub lab: Option<LabName>,
    /// What it is called.
    pub name: String,
    /// Whether it runs, if it is a container.
    pub state: Option<ContainerState>,
    /// Its process 1, and when that was started, in clock ticks, while it runs: another one has other counters.
    pub process: Option<(i32, u64)>,
    /// What is in its cgroup, and when that was seen; `None` where it has none.
    pub used: Option<(Instant, ResourceUsage)>,
    /// What went into it and out of it, and when that was seen; `None` where it has no network of its own, or none can be seen.
    pub traffic: Option<(Instant, Traffic)>,
}

/// What nodes use.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TopReport {
    /// The nodes, lab by lab, and then the containers of no lab.
    pub nodes: Vec<NodeUsage>,
}

/// What a node uses, or a container of no lab; what is `None` is not known, and a limit that is `None` is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeUsage {
    /// The lab that it is of, where it is.
    pub lab: Option<LabName>,
    /// What it is called.
    pub name: String,
    /// Whether it runs, if it is a container.
    pub state: Option<ContainerState>,
    /// Time of processors, in percent of one.
    pub cpu_percent: Option<f64>,
    /// Memory in bytes, with the files that the kernel keeps in memory for it.
    pub memory_bytes: Option<u64>,
    /// How much that may be.
    pub memory_limit_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// How many those may be.
    pub pids_limit: Option<u64>,
    /// What is read from block devices, in bytes a second.
    pub io_read_bytes_per_s: Option<u64>,
    /// What is written to them.
    pub io_written_bytes_per_s: Option<u64>,
    /// What comes in by its interfaces, in packets a second.
    pub received_packets_per_s: Option<f64>,
    /// The same in bits a second.
    pub received_bits_per_s: Option<u64>,
    /// What goes out by its interfaces, in packets a second.
    pub sent_packets_per_s: Option<f64>,
    /// The same in bits a second.
    pub sent_bits_per_s: Option<u64>,
}

impl TopReport {
    /// What is used between two looks. What was not seen in the first, began anew since, or has a counter that went backwards, is
    /// not known before the next look.
    pub fn between(before: &UsageSample, after: &UsageSample) -> Self {
        let of = |node: &NodeSample| (node.lab.clone(), node.name.clone());
        let before: HashMap<_, &NodeSample> = before.nodes.iter().map(|node| (of(node), node)).collect();
        let usage = |node: &NodeSample| usage(before.get(&of(node)).copied(), node);
        Self { nodes: after.nodes.iter().map(usage).collect() }
    }
}

fn usage(before: Option<&NodeSample>, after: &NodeSample) -> NodeUsage {
    let NodeSample { lab, name, state, process, used, traffic } = after;
    let before = before.filter(|before| before.process == *process);
    let used_before = before.and_then(|before| before.used);
    let now = used.map(|(_, used)| used).unwrap_or_default();
    let used_rate = |count: fn(&ResourceUsage) -> Option<u64>| {
        let ((from, before), (to, after)) = (used_before?, (*used)?);
        rate(count(&before)?, count(&after)?, to.checked_duration_since(from)?)
    };
    let went = before.and_then(|before| before.traffic.as_ref()).zip(traffic.as_ref());
    let went_rate = |count: fn(&LinkStatistics) -> u64| {
        let ((from, before), (to, after)) = went?;
        per_second(went_by(before, after, count)?, to.checked_duration_since(*from)?)
    };
    NodeUsage {
        lab: lab.clone(),
        name: name.clone(),
        state: *state,
        cpu_percent: used_rate(|used| used.cpu_us).map(|us_per_s| tenths(us_per_s / 10_000.0)),
        memory_bytes: now.memory_bytes,
        memory_limit_bytes: now.memory_limit_bytes,
        pids: now.pids,
        pids_limit: now.pids_limit,
        io_read_bytes_per_s: used_rate(|used| Some(used.io?.read)).map(whole),
        io_written_bytes_per_s: used_rate(|used| Some(used.io?.written)).map(whole),
        received_packets_per_s: went_rate(|link| link.rx_packets).map(tenths),
        received_bits_per_s: went_rate(|link| link.rx_bytes).map(|bytes| whole(bytes * 8.0)),
        sent_packets_per_s: went_rate(|link| link.tx_packets).map(tenths),
        sent_bits_per_s: went_rate(|link| link.tx_bytes).map(|bytes| whole(bytes * 8.0)),
    }
}

/// What went by the interfaces that were there at both looks; where there are some, and none was, that is not known.
fn went_by(before: &Traffic, after: &Traffic, count: fn(&LinkStatistics) -> u64) -> Option<u64> {
    if before.netns_inode != after.netns_inode {
        return None;
    }
    let both: Vec<(&LinkStatistics, &LinkStatistics)> =
        after.links.iter().filter_map(|(index, after)| Some((before.links.get(index)?, after))).collect();
    if both.is_empty() && !after.links.is_empty() {
        return None;
    }
    both.into_iter()
        .try_fold(0_u64, |sum, (before, after)| Some(sum.saturating_add(count(after).checked_sub(count(before))?)))
}

/// How much a counter grows in a second.
fn rate(before: u64, after: u64, within: Duration) -> Option<f64> {
    per_second(after.checked_sub(before)?, within)
}

#[expect(clippy::cast_precision_loss, reason = "a rate is shown with a few digits")]
fn per_second(count: u64, within: Duration) -> Option<f64> {
    (!within.is_zero()).then(|| count as f64 / within.as_secs_f64())
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is not negative, and `as` stops at u64::MAX"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::IoBytes;
    use std::collections::BTreeMap;

    /// As the clock shows it after this many milliseconds.
    fn at(ms: u64) -> Instant {
        static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        *START + Duration::from_millis(ms)
    }

    fn used(cpu_us: u64, read: u64, written: u64) -> ResourceUsage {
        let io = Some(IoBytes { read, written });
        ResourceUsage { memory_bytes: Some(5), pids: Some(2), cpu_us: Some(cpu_us), io, ..ResourceUsage::default() }
    }

    fn traffic(netns_inode: u64, links: &[(u32, u64, u64)]) -> Traffic {
        let statistics = |rx_bytes: u64, tx_bytes: u64| LinkStatistics {
            rx_bytes,
            rx_packets: rx_bytes / 100,
            tx_bytes,
            tx_packets: tx_bytes / 100,
            ..LinkStatistics::default()
        };
        let links: BTreeMap<_, _> = links.iter().map(|(index, rx, tx)| (*index, statistics(*rx, *tx))).collect();
        Traffic { netns_inode, links }
    }

    fn node(ms: u64, used: ResourceUsage, went: Traffic) -> NodeSample {
        NodeSample {
            lab: None,
            name: "zion".to_owned(),
            state: Some(ContainerState::Running),
            process: Some((7, 70)),
            used: Some((at(ms), used)),
            traffic: Some((at(ms), went)),
        }
    }

    fn between(before: NodeSample, after: NodeSample) -> NodeUsage {
        let sample = |node| UsageSample { nodes: vec![node] };
        TopReport::between(&sample(before), &sample(after)).nodes.remove(0)
    }

    #[test]
    fn rates_are_what_was_added_in_a_second() {
        let before = node(0, used(1_000_000, 0, 100), traffic(1, &[(2, 1000, 0), (3, 0, 0)]));
        let after = node(500, used(1_750_000, 4096, 100), traffic(1, &[(2, 3000, 200), (3, 500, 0)]));
        let usage = between(before, after);
        assert_eq!(usage.cpu_percent, Some(150.0), "of one processor");
        assert_eq!((usage.io_read_bytes_per_s, usage.io_written_bytes_per_s), (Some(8192), Some(0)));
        assert_eq!((usage.received_bits_per_s, usage.sent_bits_per_s), (Some(40_000), Some(3200)));
        assert_eq!((usage.received_packets_per_s, usage.sent_packets_per_s), (Some(50.0), Some(4.0)));
        assert_eq!((usage.memory_bytes, usage.pids, usage.memory_limit_bytes), (Some(5), Some(2), None));
    }

    #[test]
    fn what_was_seen_once_has_no_rate() {
        let after = node(500, used(9, 9, 9), traffic(1, &[(2, 9, 9)]));
        let report = TopReport::between(&UsageSample::default(), &UsageSample { nodes: vec![after.clone()] });
        let usage = &report.nodes[0];
        assert_eq!((usage.cpu_percent, usage.io_read_bytes_per_s, usage.sent_bits_per_s), (None, None, None));
        assert_eq!(usage.memory_bytes, Some(5), "that needs no other look");
        // At the same moment, or as a clock that goes backwards would have it.
        for ms in [500, 501] {
            assert_eq!(
                between(NodeSample { used: Some((at(ms), used(0, 0, 0))), ..after.clone() }, after.clone()).cpu_percent,
                None
            );
        }
    }

    #[test]
    fn a_counter_that_goes_backwards_tells_nothing() {
        let before = node(0, used(1000, u64::MAX - 1, 0), traffic(1, &[(2, u64::MAX, 100), (3, 0, 0)]));
        // The one that wrapped around, and the one whose process left.
        let after = node(1000, used(10, 5, 7), traffic(1, &[(2, 3, 200), (3, 100, 100)]));
        let usage = between(before, after);
        assert_eq!((usage.cpu_percent, usage.io_read_bytes_per_s, usage.io_written_bytes_per_s), (None, None, Some(7)));
        assert_eq!((usage.received_bits_per_s, usage.sent_bits_per_s), (None, Some(1600)));
    }

    #[test]
    fn what_began_anew_has_counters_of_its_own() {
        let before = node(0, used(1000, 0, 0), traffic(1, &[(2, 100, 100)]));
        let restarted =
            NodeSample { process: Some((8, 80)), ..node(1000, used(2000, 5, 5), traffic(1, &[(2, 200, 200)])) };
        assert_eq!(between(before.clone(), restarted).cpu_percent, None);
        let remade = node(1000, used(2000, 5, 5), traffic(4, &[(2, 200, 200)]));
        let usage = between(before.clone(), remade);
        assert_eq!((usage.cpu_percent, usage.received_bits_per_s), (Some(0.1), None), "another namespace");
        let ended = NodeSample { used: None, process: None, ..node(1000, used(0, 0, 0), traffic(1, &[(2, 200, 200)])) };
        let usage = between(before, ended);
        assert_eq!((usage.cpu_percent, usage.memory_bytes), (None, None));
    }

    #[test]
    fn interfaces_come_and_go() {
        let with = |links: &[(u32, u64, u64)], ms| node(ms, used(0, 0, 0), traffic(1, links));
        let received = |before: &[(u32, u64, u64)], after: &[(u32, u64, u64)]| {
            between(with(before, 0), with(after, 1000)).received_bits_per_s
        };
        assert_eq!(received(&[(2, 100, 0), (3, 900, 0)], &[(2, 200, 0), (4, 5000, 0)]), Some(800));
        assert_eq!(received(&[(2, 100, 0)], &[(4, 5000, 0)]), None, "it has another one since");
        assert_eq!(received(&[(2, 100, 0)], &[]), Some(0));
        assert_eq!(received(&[(2, 0, 0), (3, 0, 0)], &[(2, u64::MAX, 0), (3, u64::MAX, 0)]), Some(u64::MAX));
    }

    #[test]
    fn nodes_of_the_same_name_are_told_apart_by_their_labs() {
        let named = |lab: &str, cpu_us, ms| NodeSample {
            lab: Some(LabName::try_from(lab).unwrap()),
            ..node(ms, used(cpu_us, 0, 0), traffic(1, &[]))
        };
        let before = UsageSample { nodes: vec![named("a", 0, 0), named("b", 1_000_000, 0)] };
        let after = UsageSample { nodes: vec![named("b", 1_100_000, 1000), named("a", 900_000, 1000)] };
        let percents: Vec<_> = TopReport::between(&before, &after).nodes.iter().map(|node| node.cpu_percent).collect();
        assert_eq!(percents, [Some(10.0), Some(90.0)]);
    }
}
