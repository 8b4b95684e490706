//! The small texts inside a topology: addresses, next hops, destinations, ends of links, durations.

use crate::model::{IfName, NameError, NodeName};
use ipnetwork::IpNetwork;
use serde::Deserialize;
use std::net::IpAddr;

/// Why a text can't be one of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ValueError {
    #[error("`{0}` is no subnet: write an address and a prefix length, as in 10.0.0.0/24 or fd00::/64")]
    Subnet(String),
    #[error("`{0}` is no IP address: write it as in 10.0.0.5/24 or fd00::5/64, or `slaac` or `dhcp`")]
    Address(String),
    #[error("/{prefix} is too long for {address}: use at most /{max}")]
    Prefix { address: IpAddr, prefix: String, max: u8 },
    #[error("`{text}` has no destination: write a network, as in 10.2.0.0/24, or `default`")]
    Destination { text: String },
    #[error(
        "`{0}` is no route: write it as in 10.2.0.0/24 via 10.0.0.254, with `dev` and `metric` after it if need be"
    )]
    Route(String),
    #[error("`{0}` is neither an IP address nor a node's name: write it as in 10.0.0.254 or r1")]
    Via(String),
    #[error("{0}")]
    Name(#[from] NameError),
    #[error("`{0}` is no duration: write a whole number with its unit, as in 20ms or 2s")]
    Duration(String),
}

/// Splits `address/prefix`; the prefix length is checked against the address's family.
fn split_prefix(text: &str) -> Result<Option<(IpAddr, Option<u8>)>, ValueError> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
    let Ok(address) = address.parse::<IpAddr>() else { return Ok(None) };
    let Some(prefix) = prefix else { return Ok(Some((address, None))) };
    if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    let max = if address.is_ipv4() { 32 } else { 128 };
    match prefix.parse() {
        Ok(length) if length <= max => Ok(Some((address, Some(length)))),
        _ => Err(ValueError::Prefix { address, prefix: prefix.to_owned(), max }),
    }
}

fn network(address: IpAddr, prefix: u8) -> Option<IpNetwork> {
    IpNetwork::new(address, prefix).ok()
}

/// A subnet as it is written; it may still have host bits set.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Subnet(pub(super) IpNetwork);

impl TryFrom<String> for Subnet {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, ValueError> {
        match split_prefix(&text)? {
            Some((address, Some(prefix))) => network(address, prefix).map(Self).ok_or(ValueError::Subnet(text)),
            _ => Err(ValueError::Subnet(text)),
        }
    }
}

/// An address of an interface; without a prefix length it takes that of the subnet it lies in.
#[derive(Debug, Clone, Copy)]
pub(super) struct GivenAddress {
    pub(super) address: IpAddr,
    pub(super) prefix: Option<u8>,
}

/// Where an interface has an address from.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum InterfaceAddress {
    /// The topology gives it.
    Given(GivenAddress),
    /// The interface makes it of what routers advertise.
    Slaac,
    /// A DHCP server gives it.
    Dhcp,
}

impl TryFrom<String> for InterfaceAddress {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, ValueError> {
        match text.as_str() {
            "slaac" => return Ok(Self::Slaac),
            "dhcp" => return Ok(Self::Dhcp),
            _ => {}
        }
        match split_prefix(&text)? {
            Some((address, prefix)) => Ok(Self::Given(GivenAddress { address, prefix })),
            None => Err(ValueError::Address(text)),
        }
    }
}

/// A next hop.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum Via {
    Address(IpAddr),
    Node(NodeName),
}

impl TryFrom<String> for Via {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, ValueError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        // An address with a slip in it, or with a prefix length, would make a poor node name.
        let looks_like_address = text.contains([':', '/']) || text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        match NodeName::try_from(text.as_str()) {
            Ok(name) if !looks_like_address => Ok(Self::Node(name)),
            _ => Err(ValueError::Via(text)),
        }
    }
}

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum Destination {
    /// Everywhere, in the family of the next hop.
    Default,
    /// There; it may still have host bits set.
    Network(IpNetwork),
}

impl TryFrom<String> for Destination {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, ValueError> {
        if text == "default" {
            return Ok(Self::Default);
        }
        let Some((address, prefix)) = split_prefix(&text)? else { return Err(ValueError::Destination { text }) };
        let prefix = prefix.unwrap_or(if address.is_ipv4() { 32 } else { 128 });
        network(address, prefix).map(Self::Network).ok_or(ValueError::Destination { text })
    }
}

/// A route the way `ip route` writes it: `10.2.0.0/24 via 10.0.0.254 dev eth0 metric 10`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct ShortRoute {
    pub(super) to: Destination,
    pub(super) via: Via,
    pub(super) dev: Option<IfName>,
    pub(super) metric: Option<u32>,
}

impl TryFrom<String> for ShortRoute {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, ValueError> {
        let wrong = || ValueError::Route(text.clone());
        let mut words = text.split_whitespace();
        let to = words.next().ok_or_else(wrong)?.to_owned();
        let (mut via, mut dev, mut metric) = (None, None, None);
        while let Some(keyword) = words.next() {
            let value = words.next().ok_or_else(wrong)?.to_owned();
            match keyword {
                "via" if via.is_none() => via = Some(Via::try_from(value)?),
                "dev" if dev.is_none() => dev = Some(IfName::try_from(value)?),
                "metric" if metric.is_none() => metric = Some(value.parse().map_err(|_| wrong())?),
                _ => return Err(wrong()),
            }
        }
        Ok(Self { to: Destination::try_from(to)?, via: via.ok_or_else(wrong)?, dev, metric })
    }
}

/// One end of a link: `net1`, `net1:eth0`, `br0`. Whether it is a node or a switch is for `validate` to find out.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Endpoint {
    pub(super) name: String,
    pub(super) interface: Option<IfName>,
}

impl TryFrom<String> for Endpoint {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, ValueError> {
        let (name, interface) = text.split_once(':').map_or((text.as_str(), None), |(n, i)| (n, Some(i)));
        if name.is_empty() {
            return Err(NameError::Empty.into());
        }
        Ok(Self { name: name.to_owned(), interface: interface.map(IfName::try_from).transpose()? })
    }
}

/// A span of time.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Milliseconds(pub(super) u64);

impl TryFrom<String> for Milliseconds {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, ValueError> {
        let (number, factor) = match text.strip_suffix("ms") {
            Some(number) => (Some(number), 1),
            None => (text.strip_suffix('s'), 1000),
        };
        let whole = number.map(str::trim_end).filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
        let milliseconds = whole.and_then(|n| n.parse::<u64>().ok()).and_then(|n| n.checked_mul(factor));
        milliseconds.filter(|n| *n > 0).map(Self).ok_or(ValueError::Duration(text))
    }
}

/// A number as it is spelled: the kernel reads it, not nslab.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct NumberText(pub(super) String);

/// Every node there is.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum All {
    All,
}
