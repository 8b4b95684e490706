//! Interfaces that take their address from a DHCP server (RFC 2131).

use super::{IfName, Interface, MacAddress, Netns, NodeName, RawMessage};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// By what a DHCP server knows a client, in place of a MAC address (RFC 2132 section 9.14): a type, and its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(RawMessage);

/// Why bytes are no client's ID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no client's ID: two bytes or more, as pairs of hexadecimal digits")]
pub struct ClientIdError(String);

impl ClientId {
    /// The type and its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0.0
    }
}

impl TryFrom<&str> for ClientId {
    type Error = ClientIdError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        // An option of DHCP has at most 255 bytes.
        let bytes =
            RawMessage::try_from(text.to_owned()).ok().filter(|RawMessage(bytes)| (2..=255).contains(&bytes.len()));
        bytes.map(Self).ok_or_else(|| ClientIdError(text.to_owned()))
    }
}

/// An interface that takes an address by DHCP, and how. As text it is `eth0=02:00:00:00:00:01,h1,20`, and `,/a/directory` where
/// the node's name servers are to be the lease's: that stands on a command line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Leased {
    /// The interface.
    pub interface: IfName,
    /// Its MAC address, by which servers know it too.
    pub mac: MacAddress,
    /// The name that servers are told.
    pub host_name: NodeName,
    /// How long a server may take to give the first lease, in seconds.
    pub patience_s: u32,
    /// The directory in which the lease's name servers are written down (resolv.conf(5)): the node's own. One interface of a
    /// node has it.
    pub resolver: Option<PathBuf>,
}

/// Why a text says nothing of a lease.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` says nothing of a lease: write INTERFACE=MAC,NAME,SECONDS[,DIRECTORY]")]
pub struct ParseLeasedError(String);

impl std::fmt::Display for Leased {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { interface, mac, host_name, patience_s, resolver } = self;
        write!(f, "{interface}={mac},{host_name},{patience_s}")?;
        resolver.iter().try_for_each(|directory| write!(f, ",{}", directory.display()))
    }
}

impl std::str::FromStr for Leased {
    type Err = ParseLeasedError;
    fn from_str(text: &str) -> Result<Self, ParseLeasedError> {
        let parse = || {
            let (interface, rest) = text.split_once('=')?;
            let mut parts = rest.splitn(4, ',');
            Some(Self {
                interface: interface.try_into().ok()?,
                mac: parts.next()?.parse().ok()?,
                host_name: parts.next()?.parse().ok()?,
                patience_s: parts.next()?.parse().ok()?,
                resolver: parts.next().map(PathBuf::from),
            })
        };
        parse().ok_or_else(|| ParseLeasedError(text.to_owned()))
    }
}

/// A process in a node's namespace that holds the lease of one of its interfaces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DhcpClient {
    /// The namespace.
    pub netns: Netns,
    /// For which interface it takes a lease, and how.
    pub leased: Leased,
}

impl DhcpClient {
    /// The interface, by where it is.
    pub fn interface(&self) -> Interface {
        Interface { netns: self.netns.name.clone().into(), name: self.leased.interface.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_id_is_pairs_of_digits() {
        let id = ClientId::try_from("ff5Aa0b1").unwrap();
        assert_eq!(id.bytes(), [0xff, 0x5a, 0xa0, 0xb1]);
        let text = serde_json::to_string(&id).unwrap();
        assert_eq!((text.as_str(), serde_json::from_str(&text).unwrap()), ("\"ff5aa0b1\"", id));
        for wrong in ["", "ff", "ff5", "ff:5a", &"00".repeat(256)] {
            assert_eq!(ClientId::try_from(wrong), Err(ClientIdError(wrong.to_owned())));
        }
    }

    #[test]
    fn a_lease_can_be_written_and_read() {
        for text in ["eth0=02:00:00:00:00:01,h1,20", "eth0=02:00:00:00:00:01,h1,20,/run/a, b/node"] {
            assert_eq!(text.parse::<Leased>().unwrap().to_string(), text);
        }
        for wrong in ["", "eth0", "eth0=02:00:00:00:00:01", "eth0=02:00:00:00:00:01,h1", "eth0=x,h1,20"] {
            assert_eq!(wrong.parse::<Leased>(), Err(ParseLeasedError(wrong.to_owned())));
        }
    }
}
