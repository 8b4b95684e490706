//! Nodes for the tests of `top`.

use crate::model::LabName;
use crate::report::{ContainerState, NodeUsage, TopReport};

/// One of which nothing is known.
pub(super) fn node(name: &str) -> NodeUsage {
    NodeUsage {
        lab: Some(LabName::try_from("matrix").unwrap()),
        name: name.to_owned(),
        state: None,
        cpu_percent: None,
        memory_bytes: None,
        memory_limit_bytes: None,
        pids: None,
        pids_limit: None,
        io_read_bytes_per_s: None,
        io_written_bytes_per_s: None,
        received_packets_per_s: None,
        received_bits_per_s: None,
        sent_packets_per_s: None,
        sent_bits_per_s: None,
    }
}

/// Two containers and a bare node.
pub(super) fn report() -> TopReport {
    let zion = NodeUsage {
        state: Some(ContainerState::Running),
        cpu_percent: Some(99.8),
        memory_bytes: Some(12_897_485),
        memory_limit_bytes: Some(100 << 20),
        pids: Some(3),
        pids_limit: Some(64),
        io_read_bytes_per_s: Some(0),
        io_written_bytes_per_s: Some(4096),
        received_packets_per_s: Some(1.0),
        received_bits_per_s: Some(784),
        sent_packets_per_s: Some(0.0),
        sent_bits_per_s: Some(0),
        ..node("zion")
    };
    let moon = NodeUsage {
        state: Some(ContainerState::Running),
        cpu_percent: Some(0.2),
        memory_bytes: Some(1 << 30),
        pids: Some(2),
        io_read_bytes_per_s: Some(5000),
        io_written_bytes_per_s: Some(0),
        received_packets_per_s: Some(1.0),
        received_bits_per_s: Some(1500),
        sent_packets_per_s: Some(1.0),
        sent_bits_per_s: Some(1500),
        ..node("moon")
    };
    let plain = NodeUsage {
        received_packets_per_s: Some(812.4),
        received_bits_per_s: Some(9_800_000),
        sent_packets_per_s: Some(400.0),
        sent_bits_per_s: Some(211_000),
        ..node("plain")
    };
    TopReport { nodes: vec![zion, moon, plain] }
}
