//! A NIC of the machine as it was found: all that is moved when it becomes a lab's uplink, and all that is given back.
//!
//! Routes and rules are kept as the kernel tells them (rtnetlink(7)): whatever they say is said again, and what nslab has no
//! word for is not lost.

use super::{IfName, MacAddress, Mtu};
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// A NIC, and what the machine has on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Its name.
    pub name: IfName,
    /// The index that it had, which its routes name.
    pub index: u32,
    /// Its MAC address.
    pub mac: MacAddress,
    /// Its MTU.
    pub mtu: Mtu,
    /// Whether somebody had set it to take in what is for others (IFF_PROMISC).
    pub promiscuous: bool,
    /// The machine's addresses on it, but for the link-local one that the kernel makes; the first of a subnet first.
    pub addresses: Vec<NicAddress>,
    /// The routes out of it, of every table but the local one; those that come with an address are not among them.
    pub routes: Vec<NicRoute>,
    /// The rules that name it (ip-rule(8)).
    pub rules: Vec<NicRule>,
    /// Its parameters, by their path below /proc/sys with `*` for its name.
    pub sysctls: BTreeMap<String, String>,
    /// Where the default routes out of it lead, and whether somebody answers there.
    pub gateways: Vec<Gateway>,
    /// When this was seen, in milliseconds since the machine was started (CLOCK_BOOTTIME): lifetimes count from then.
    pub seen_at_ms: u64,
}

impl Nic {
    /// The metric of its default route of IPv4; 0 is the kernel's own, and that of a NIC without one.
    pub fn default_metric(&self) -> u32 {
        let of_default = |route: &NicRoute| {
            let mut words = route.text.split(' ');
            let is_default = words.next() == Some("default") && !route.is_ipv6();
            let metric = words.skip_while(|word| *word != "metric").nth(1).and_then(|metric| metric.parse().ok());
            is_default.then(|| metric.unwrap_or_default())
        };
        self.routes.iter().find_map(of_default).unwrap_or_default()
    }
}

/// An address of the machine's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicAddress {
    /// The address itself, with the prefix length of its subnet.
    pub address: IpNetwork,
    /// The other end's, on a link that has but two.
    pub peer: Option<IpAddr>,
    /// What all hosts of the subnet hear.
    pub broadcast: Option<Ipv4Addr>,
    /// Its label, where that is not the interface's name.
    pub label: Option<String>,
    /// How far it is valid (`enum rt_scope_t`, linux/rtnetlink.h).
    pub scope: u8,
    /// Its flags (IFA_F_*, linux/if_addr.h).
    pub flags: u32,
    /// The metric of the route that comes with it.
    pub metric: Option<u32>,
    /// Who gave it (IFA_PROTO).
    pub protocol: Option<u8>,
    /// How long it lasts; `None` for good, and to be used for good.
    pub lifetime: Option<Lifetime>,
}

impl NicAddress {
    /// Whether it is there for good, be it to be used for new connections or not.
    pub fn is_lasting(&self) -> bool {
        self.lifetime.is_none_or(|lifetime| lifetime.valid_s == u32::MAX)
    }

    /// Whether it is taken for a lease: one of IPv4 that is not there for good.
    pub fn is_leased(&self) -> bool {
        self.address.is_ipv4() && !self.is_lasting()
    }
}

/// How long an address lasts, in seconds from when it was seen; `u32::MAX` is for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifetime {
    /// Until it is not to be used for new connections.
    pub preferred_s: u32,
    /// Until it is gone.
    pub valid_s: u32,
}

impl Lifetime {
    /// What is left of it after `elapsed_s`; `None` where it is over.
    pub fn after(self, elapsed_s: u32) -> Option<Self> {
        let left = |seconds: u32| if seconds == u32::MAX { seconds } else { seconds.saturating_sub(elapsed_s) };
        let left = Self { preferred_s: left(self.preferred_s), valid_s: left(self.valid_s) };
        (left.valid_s > 0).then_some(left)
    }
}

/// Where a default route leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// The router.
    pub address: IpAddr,
    /// Whether it answered when the NIC was looked at, and to what.
    pub answers: Option<Answer>,
}

/// What somebody answers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// ICMP echo requests.
    Echo,
    /// Only the question for its MAC address (ARP, neighbour solicitation).
    Neighbour,
}

/// A message of rtnetlink(7), without its netlink header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RawMessage(pub Vec<u8>);

impl From<RawMessage> for String {
    fn from(message: RawMessage) -> String {
        use std::fmt::Write as _;
        message.0.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // a String takes whatever it is given
            text
        })
    }
}

/// A text that is no message's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a message is written as pairs of hexadecimal digits")]
pub struct RawMessageError;

impl TryFrom<String> for RawMessage {
    type Error = RawMessageError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
        let bytes = pairs.map(|pair| pair.filter(|p| p.len() == 2).and_then(|p| u8::from_str_radix(p, 16).ok()));
        bytes.collect::<Option<_>>().map(Self).ok_or(RawMessageError)
    }
}

/// A route out of a NIC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicRoute {
    /// As the kernel tells it (RTM_NEWROUTE).
    pub message: RawMessage,
    /// As ip-route(8) would say it, without the NIC.
    pub text: String,
    /// Whether a router's advertisement made it: it has a lifetime, and the next one makes it anew.
    pub is_advertised: bool,
    /// Whether routes of other interfaces to the same destination with the same metric come before it.
    #[serde(default)]
    pub is_behind: bool,
}

impl NicRoute {
    /// Whether it is one of IPv6: the first byte of the message is its family (struct rtmsg, linux/rtnetlink.h).
    pub fn is_ipv6(&self) -> bool {
        self.message.0.first() == Some(&AF_INET6)
    }
}

/// A rule that names a NIC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicRule {
    /// As the kernel tells it (RTM_NEWRULE).
    pub message: RawMessage,
    /// As ip-rule(8) would say it, with the NIC's name. Journals of before have none.
    #[serde(default)]
    pub text: String,
}

impl NicRule {
    /// Whether it is one of IPv6, which the message begins with (struct fib_rule_hdr, linux/fib_rules.h).
    pub fn is_ipv6(&self) -> bool {
        self.message.0.first() == Some(&AF_INET6)
    }
}

/// The number of IPv6 among address families (linux/socket.h).
const AF_INET6: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_counts_down_and_ends() {
        let lifetime = Lifetime { preferred_s: 10, valid_s: 20 };
        assert_eq!(lifetime.after(15), Some(Lifetime { preferred_s: 0, valid_s: 5 }));
        assert_eq!(lifetime.after(20), None);
        let forever = Lifetime { preferred_s: u32::MAX, valid_s: u32::MAX };
        assert_eq!(forever.after(1000), Some(forever));
    }

    #[test]
    fn a_message_survives_the_journal() {
        let message = RawMessage(vec![0, 1, 0xab, 0xff]);
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(text, "\"0001abff\"");
        assert_eq!(serde_json::from_str::<RawMessage>(&text).unwrap(), message);
        assert!(serde_json::from_str::<RawMessage>("\"0x1\"").is_err());
    }
}
