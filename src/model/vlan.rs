//! VLANs (IEEE 802.1Q) on a switch's ports.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A VLAN id, 1 to 4094: 0 and 4095 are reserved (IEEE 802.1Q-2022 table 9-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct VlanId(u16);

/// A number that can't be a VLAN id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("VLAN {0} is out of range: use 1 to 4094")]
pub struct VlanError(u16);

impl VlanId {
    /// The VLAN that a bridge puts its ports in where nothing else is said (IEEE 802.1Q-2022 table 9-2).
    pub const DEFAULT: Self = Self(1);

    /// The id as a number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for VlanId {
    type Error = VlanError;
    fn try_from(id: u16) -> Result<Self, VlanError> {
        if (1..=4094).contains(&id) { Ok(Self(id)) } else { Err(VlanError(id)) }
    }
}

impl From<VlanId> for u16 {
    fn from(id: VlanId) -> u16 {
        id.0
    }
}

impl std::fmt::Display for VlanId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a switch port does with VLAN tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VlanMode {
    /// Untagged frames belong to this VLAN and leave untagged.
    Access(VlanId),
    /// Tagged frames of these VLANs pass; untagged ones belong to `native` where there is one, else are dropped.
    Trunk {
        /// The VLANs that pass with their tag; does not hold `native`.
        tagged: BTreeSet<VlanId>,
        /// The VLAN of untagged frames.
        native: Option<NativeVlan>,
    },
}

/// The VLAN that untagged frames belong to on a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeVlan {
    /// The VLAN.
    pub id: VlanId,
    /// Whether its frames leave with their tag.
    pub is_tagged: bool,
}

impl std::fmt::Display for NativeVlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.id, if self.is_tagged { " (tagged)" } else { "" })
    }
}
