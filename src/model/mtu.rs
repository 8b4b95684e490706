//! Maximum transmission units.

use serde::{Deserialize, Serialize};

/// An interface's MTU in bytes, 68 to 65535: ETH_MIN_MTU and ETH_MAX_MTU (linux/if_ether.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Mtu(u32);

/// A number that can't be an MTU.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an MTU of {0} bytes is out of range: use 68 to 65535 (1280 or more where IPv6 is used)")]
pub struct MtuError(u32);

impl Mtu {
    /// What Ethernet has where nothing else is said: ETH_DATA_LEN.
    pub const ETHERNET: Self = Self(1500);
    /// The least that IPv6 runs over (RFC 8200 section 5).
    pub const IPV6_MINIMUM: Self = Self(1280);

    /// The MTU in bytes.
    pub fn bytes(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Mtu {
    type Error = MtuError;
    fn try_from(bytes: u32) -> Result<Self, MtuError> {
        if (68..=65535).contains(&bytes) { Ok(Self(bytes)) } else { Err(MtuError(bytes)) }
    }
}

impl From<Mtu> for u32 {
    fn from(mtu: Mtu) -> u32 {
        mtu.0
    }
}

impl std::fmt::Display for Mtu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
