//! Link-local frames: those to 01-80-C2-00-00-0X, which are a neighbour's, so that a bridge forwards none unless it is
//! told to (IEEE 802.1D-2004, table 7-10).

use serde::{Deserialize, Serialize};
use std::fmt::{Display, Formatter, Result};

/// A protocol that neighbours speak, by the group address of its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkLocal {
    /// Link aggregation (IEEE 802.1AX), and what else is a slow protocol: 01-80-C2-00-00-02.
    Lacp,
    /// Who is at the other end (IEEE 802.1AB): 01-80-C2-00-00-0E.
    Lldp,
    /// Spanning trees of all sorts (IEEE 802.1D): 01-80-C2-00-00-00.
    Stp,
}

impl LinkLocal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Lacp, Self::Lldp, Self::Stp];

    /// The name in a topology.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lacp => "lacp",
            Self::Lldp => "lldp",
            Self::Stp => "stp",
        }
    }

    /// The last digit of the group address.
    fn group(self) -> u8 {
        match self {
            Self::Lacp => 0x2,
            Self::Lldp => 0xE,
            Self::Stp => 0x0,
        }
    }
}

impl Display for LinkLocal {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.as_str())
    }
}

/// The link-local frames that a bridge, or one of its ports, lets pass: bit X stands for those to 01-80-C2-00-00-0X
/// (IFLA_BR_GROUP_FWD_MASK, IFLA_BRPORT_GROUP_FWD_MASK; linux/if_link.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupFwdMask(u16);

impl GroupFwdMask {
    /// As the kernel has it.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// Whether nothing passes.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a protocol's frames pass.
    pub fn contains(self, protocol: LinkLocal) -> bool {
        self.0 & Self::from_iter([protocol]).0 != 0
    }

    /// What passes by either of two.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl From<u16> for GroupFwdMask {
    fn from(bits: u16) -> Self {
        Self(bits)
    }
}

impl FromIterator<LinkLocal> for GroupFwdMask {
    fn from_iter<I: IntoIterator<Item = LinkLocal>>(protocols: I) -> Self {
        Self(protocols.into_iter().fold(0, |bits, protocol| bits | 1 << protocol.group()))
    }
}

/// The protocols' names, and the addresses of what has none here: `LLDP`, `LACP and 01-80-C2-00-00-03`.
impl Display for GroupFwdMask {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let name = |group: u8| {
            let known = LinkLocal::ALL.into_iter().find(|protocol| protocol.group() == group);
            known.map_or_else(|| format!("01-80-C2-00-00-0{group:X}"), |known| known.as_str().to_uppercase())
        };
        let names: Vec<String> = (0..16).filter(|group| self.0 & 1 << group != 0).map(name).collect();
        match names.as_slice() {
            [] => f.write_str("nothing"),
            [one] => f.write_str(one),
            [head @ .., last] => write!(f, "{} and {last}", head.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_kernel() {
        let of = |protocols: &[LinkLocal]| protocols.iter().copied().collect::<GroupFwdMask>();
        assert_eq!(of(&[LinkLocal::Lldp]).bits(), 0x4000);
        assert_eq!(of(&[LinkLocal::Lacp, LinkLocal::Stp]).bits(), 0b101);
        assert!(of(&[LinkLocal::Lacp]).contains(LinkLocal::Lacp) && !of(&[LinkLocal::Lacp]).contains(LinkLocal::Stp));
    }

    #[test]
    fn masks_read_as_what_passes() {
        for (bits, text) in [
            (0, "nothing"),
            (0x4000, "LLDP"),
            (0x4004, "LACP and LLDP"),
            (0x400D, "STP, LACP, 01-80-C2-00-00-03 and LLDP"),
        ] {
            assert_eq!(GroupFwdMask::from(bits).to_string(), text);
        }
    }
}
