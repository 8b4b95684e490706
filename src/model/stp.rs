//! Spanning-tree parameters of a bridge.

use serde::{Deserialize, Serialize};

/// The kernel's own spanning tree (IEEE 802.1D-1998) on a bridge, with times short enough for a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stp {
    /// Bridge priority; the lowest becomes the root. Usual values are multiples of 4096.
    pub priority: u16,
    /// Seconds a port spends listening, and again learning, before it forwards: 2 to 30.
    pub forward_delay_s: u8,
    /// Seconds between the root's hellos: 1 to 10.
    pub hello_time_s: u8,
    /// Seconds after which a silent neighbour is taken for gone: 6 to 40.
    pub max_age_s: u8,
}

impl Default for Stp {
    /// The shortest times the kernel takes (net/bridge/br_private_stp.h), so that a ring forwards after four
    /// seconds, not thirty; the priority is the standard's.
    fn default() -> Self {
        Self { priority: 32768, forward_delay_s: 2, hello_time_s: 1, max_age_s: 6 }
    }
}
