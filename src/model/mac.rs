//! MAC addresses, read from text or derived from what they belong to.

use super::{IfName, LabName, NodeName};
use serde::{Deserialize, Serialize};

/// A unicast 48-bit MAC address (IEEE 802), never all zeros.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress([u8; 6]);

/// Why a text can't be an interface's MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseMacError {
    /// Not six hexadecimal bytes with colons between them.
    #[error("`{0}` is no MAC address: write six hexadecimal bytes, as in 02:00:00:00:00:01")]
    Form(String),
    /// The group bit is set: frames are sent from no such address.
    #[error("`{0}` is a multicast address: make the first byte even, as in 02:00:00:00:00:01")]
    Multicast(String),
    /// All zeros.
    #[error("`{0}` is all zeros: choose another, as in 02:00:00:00:00:01")]
    Zero(String),
}

impl MacAddress {
    /// A locally administered address that is always the same for the same `owner` (`lab/node:interface`), so that
    /// a rebuilt lab keeps its addresses and its neighbours' caches stay right.
    pub fn derived_from(owner: &str) -> Self {
        // FNV-1a: stable for all time, which the standard library's hashers do not promise to be.
        let hash = owner
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        // FNV's low bits mix worst for short texts that differ in their last byte: fold the high ones in.
        let [a, b, c, d, e, ..] = (hash ^ (hash >> 29)).to_be_bytes();
        Self([0x02, a, b, c, d, e])
    }

    /// The address that a node's interface has where the topology gives it none.
    pub fn of_interface(lab: &LabName, node: &NodeName, interface: &IfName) -> Self {
        Self::derived_from(&format!("{lab}/{node}:{interface}"))
    }

    /// The six bytes in the order they are sent.
    pub fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl From<[u8; 6]> for MacAddress {
    /// What the kernel says an interface has; not checked, because it is read and never set.
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl TryFrom<String> for MacAddress {
    type Error = ParseMacError;
    fn try_from(text: String) -> Result<Self, ParseMacError> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|p| p.len() == 2).ok_or_else(|| ParseMacError::Form(text.clone()))?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| ParseMacError::Form(text.clone()))?;
        }
        if parts.next().is_some() {
            return Err(ParseMacError::Form(text));
        }
        if octets == [0; 6] {
            return Err(ParseMacError::Zero(text));
        }
        if octets[0] & 1 == 1 {
            return Err(ParseMacError::Multicast(text));
        }
        Ok(Self(octets))
    }
}

impl std::str::FromStr for MacAddress {
    type Err = ParseMacError;
    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        Self::try_from(text.to_owned())
    }
}

impl From<MacAddress> for String {
    fn from(mac: MacAddress) -> String {
        mac.to_string()
    }
}

impl std::fmt::Display for MacAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl std::fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_addresses_are_local_unicast_stable_and_apart() {
        let of = |n: u32| MacAddress::derived_from(&format!("lab/h{n}:eth0"));
        assert_eq!(of(1).octets()[0], 0x02);
        assert_eq!(of(1).to_string(), "02:66:7c:7d:ae:cd");
        let all: std::collections::BTreeSet<_> = (0..10_000).map(of).collect();
        assert_eq!(all.len(), 10_000);
    }

    #[test]
    fn text_is_checked() {
        assert!("02:00:00:00:00:01".parse::<MacAddress>().is_ok());
        assert!(matches!("03:00:00:00:00:01".parse::<MacAddress>(), Err(ParseMacError::Multicast(_))));
        assert!(matches!("00:00:00:00:00:00".parse::<MacAddress>(), Err(ParseMacError::Zero(_))));
        for bad in
            ["", "02:00:00:00:00", "02:00:00:00:00:01:02", "2:0:0:0:0:1", "02-00-00-00-00-01", "02:00:00:00:00:0g"]
        {
            assert!(matches!(bad.parse::<MacAddress>(), Err(ParseMacError::Form(_))), "{bad}");
        }
    }
}
