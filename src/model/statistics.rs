//! What went through an interface.

use serde::{Deserialize, Serialize};

/// What went through an interface since it was made (rtnl_link_stats64, linux/if_link.h).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatistics {
    /// Packets that came in by it.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Packets that came in damaged.
    pub rx_errors: u64,
    /// Packets that came in and were dropped.
    pub rx_dropped: u64,
    /// Packets that left by it.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Packets that could not leave.
    pub tx_errors: u64,
    /// Packets that were to leave and were dropped.
    pub tx_dropped: u64,
}

impl LinkStatistics {
    /// Packets that were lost, either way.
    pub fn lost(&self) -> u64 {
        self.rx_errors + self.rx_dropped + self.tx_errors + self.tx_dropped
    }
}
