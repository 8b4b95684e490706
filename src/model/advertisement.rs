//! What routers advertise on their links, and what hosts make of it: IPv6 neighbour discovery and stateless address
//! autoconfiguration (RFC 4861, RFC 4862).

use super::{IfName, Interface, MacAddress, Mtu, Netns};
use ipnetwork::{IpNetwork, Ipv6Network};
use serde::{Deserialize, Serialize};
use std::net::Ipv6Addr;

/// The length of a prefix that hosts make addresses of: 64 bits are left for the interface (RFC 4862 section 5.5.3).
pub const SLAAC_PREFIX_LENGTH: u8 = 64;

/// An interface on which a router advertises itself, and what it says there. As text it is
/// `eth0=02:00:00:00:00:01,1500,2001:db8:1::/64`, the prefixes separated by commas: that stands on a command line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Advertised {
    /// The interface.
    pub interface: IfName,
    /// Its MAC address, of which the address that the advertisements come from is made too.
    pub mac: MacAddress,
    /// The MTU of the link, in bytes.
    pub mtu: Mtu,
    /// The prefixes that are on the link and that hosts make addresses of, each of 64 bits.
    pub prefixes: Vec<Ipv6Network>,
}

/// Why a text says nothing that could be advertised.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` says nothing to advertise: write INTERFACE=MAC,MTU,PREFIX…")]
pub struct ParseAdvertisedError(String);

impl std::fmt::Display for Advertised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { interface, mac, mtu, prefixes } = self;
        write!(f, "{interface}={mac},{mtu}")?;
        prefixes.iter().try_for_each(|prefix| write!(f, ",{prefix}"))
    }
}

impl std::str::FromStr for Advertised {
    type Err = ParseAdvertisedError;
    fn from_str(text: &str) -> Result<Self, ParseAdvertisedError> {
        let parse = || {
            let (interface, rest) = text.split_once('=')?;
            let mut parts = rest.split(',');
            let (mac, mtu) = (parts.next()?.parse().ok()?, parts.next()?.parse::<u32>().ok()?);
            let prefixes = parts.map(|prefix| prefix.parse().ok()).collect::<Option<Vec<Ipv6Network>>>()?;
            Some(Self { interface: interface.try_into().ok()?, mac, mtu: mtu.try_into().ok()?, prefixes })
        };
        parse().ok_or_else(|| ParseAdvertisedError(text.to_owned()))
    }
}

/// A process in a router's namespace that sends router advertisements; one for all of the router's interfaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advertiser {
    /// The namespace.
    pub netns: Netns,
    /// What it says where; never empty.
    pub interfaces: Vec<Advertised>,
}

/// An interface that configures itself from what routers advertise on its link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Autoconfigured {
    /// The interface.
    pub interface: Interface,
    /// The addresses that it makes: each prefix with the interface's own identifier.
    pub addresses: Vec<IpNetwork>,
    /// The routers that its default routes lead to, by their link-local addresses.
    pub routers: Vec<Ipv6Addr>,
    /// Whether its node forwards packets. Linux routers take no advice unless they are told to.
    pub forwards: bool,
}

impl Autoconfigured {
    /// The value of `accept_ra` that it takes (Documentation/networking/ip-sysctl.rst): 2 where forwarding is on.
    pub fn accept_ra(&self) -> &'static str {
        accept_ra(self.forwards)
    }
}

/// The value of the sysctl `accept_ra` by which an interface listens to routers.
pub fn accept_ra(forwards: bool) -> &'static str {
    if forwards { "2" } else { "1" }
}

impl MacAddress {
    /// The address that an interface with this MAC address makes of a prefix of 64 bits: the modified EUI-64 of RFC 4291
    /// appendix A, which is `addr_gen_mode` 0 in Linux.
    pub fn address_in(self, prefix: Ipv6Network) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.octets();
        let identifier = u64::from_be_bytes([a ^ 0x02, b, c, 0xff, 0xfe, d, e, f]);
        Ipv6Addr::from(u128::from(prefix.network()) >> 64 << 64 | u128::from(identifier))
    }

    /// The link-local address of an interface with this MAC address.
    pub fn link_local(self) -> Ipv6Addr {
        let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
        Ipv6Network::new(link_local, SLAAC_PREFIX_LENGTH).map_or(link_local, |prefix| self.address_in(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_made_of_mac_addresses() {
        // The example of RFC 4291 appendix A, and a locally administered address, whose bit is then 0.
        let mac: MacAddress = "34:56:78:9a:bc:de".parse().unwrap();
        assert_eq!(mac.link_local().to_string(), "fe80::3656:78ff:fe9a:bcde");
        let mac: MacAddress = "02:00:00:00:00:01".parse().unwrap();
        let address = mac.address_in("2001:db8:1::/64".parse().unwrap());
        assert_eq!(address.to_string(), "2001:db8:1::ff:fe00:1");
    }

    #[test]
    fn what_is_advertised_can_be_written_and_read() {
        let text = "eth0=02:00:00:00:00:01,1500,2001:db8:1::/64,fd00::/64";
        let advertised: Advertised = text.parse().unwrap();
        assert_eq!((advertised.prefixes.len(), advertised.to_string().as_str()), (2, text));
        for wrong in ["", "eth0", "eth0=02:00:00:00:00:01", "eth0=02:00:00:00:00:01,9", "eth0=02:00:00:00:00:01,1500,x"]
        {
            assert_eq!(wrong.parse::<Advertised>(), Err(ParseAdvertisedError(wrong.to_owned())));
        }
    }
}
