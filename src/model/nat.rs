//! Masquerading: the lab's table of nftables(8), and what lets its packets through the chain that Docker leaves to users.

use super::IfName;
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpFamily {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
}

impl IpFamily {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ip, Self::Ip6];

    /// That of a network.
    pub fn of(network: IpNetwork) -> Self {
        if network.is_ipv4() { Self::Ip } else { Self::Ip6 }
    }

    /// As nftables(8) calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
        }
    }

    /// As people do.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Ip => "IPv4",
            Self::Ip6 => "IPv6",
        }
    }
}

/// The name that every such table begins with; the lab's follows. Whatever a lab can be called, nftables(8) takes.
pub const NAT_TABLE_PREFIX: &str = "nslab_";

/// The chain that Docker has for rules of the user's own, before it drops what it does not know.
pub const DOCKER_USER: &str = "DOCKER-USER";

/// The table that [`DOCKER_USER`] is in: that of iptables(8), which each family has for itself.
pub const DOCKER_TABLE: &str = "filter";

/// A table of family `inet` with the rules that masquerade a lab. It is made and replaced as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatTable {
    /// Its name.
    pub name: String,
    /// The host's interface at the lab's switch.
    pub interface: IfName,
    /// The only NIC that the lab's packets may leave by, where one was named.
    pub nic: Option<IfName>,
    /// The lab's subnets.
    pub subnets: Vec<IpNetwork>,
    /// nslab's mark, the comment of every rule. What the rules say is a part of it, so that two tables with the same
    /// comments are the same.
    pub mark: String,
}

/// A chain of a [`NatTable`], by its hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NatChain {
    /// What passes through the host.
    Forward,
    /// What leaves it.
    Postrouting,
}

/// A rule of a [`NatTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatRule {
    /// What comes from the lab leaves by the NIC that was named, or not at all.
    DropElsewhere,
    /// Nobody but the host itself begins a conversation with a node: as with every router that masquerades.
    DropUnasked,
    /// What comes from this subnet and does not go to the lab leaves under the host's own address.
    Masquerade(IpNetwork),
}

impl NatChain {
    /// All that a table has.
    pub const ALL: [Self; 2] = [Self::Forward, Self::Postrouting];

    /// What the chain is called, and its hook.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Postrouting => "postrouting",
        }
    }
}

impl NatTable {
    /// The rules of a chain, in their order.
    pub fn rules(&self, chain: NatChain) -> Vec<NatRule> {
        match chain {
            NatChain::Forward => {
                let elsewhere = self.nic.as_ref().map(|_| NatRule::DropElsewhere);
                elsewhere.into_iter().chain([NatRule::DropUnasked]).collect()
            }
            NatChain::Postrouting => self.subnets.iter().copied().map(NatRule::Masquerade).collect(),
        }
    }
}

/// Two rules in [`DOCKER_USER`] that let through what comes from the lab, and what goes there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ForwardPass {
    /// Of which family's table.
    pub family: IpFamily,
    /// The host's interface at the lab's switch.
    pub interface: IfName,
    /// nslab's mark, the comment of both.
    pub mark: String,
}

/// How many rules a [`ForwardPass`] is.
pub const FORWARD_PASS_RULES: usize = 2;

/// What in a mark says of what boot a rule is: who saves his rules and loads them at the next start gets these, too.
pub fn boot_in_mark(boot: &str) -> &str {
    const LENGTH: usize = 8;
    boot.get(..LENGTH).unwrap_or(boot)
}

/// The boot that a rule with this mark was made in; `None` where it does not say.
pub fn boot_of_mark(mark: &str) -> Option<&str> {
    mark.split('@').next()?.rsplit_once('-').map(|(_, boot)| boot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mark;

    #[test]
    fn a_rules_mark_says_of_what_boot_it_is() {
        let boot = boot_in_mark("0123abcd-1234-1234-1234-123456789abc");
        let lab = "two-node".parse().unwrap();
        assert_eq!(boot_of_mark(&mark(&lab, &format!("nat-ffffffff-{boot}"), None)), Some("0123abcd"));
        assert_eq!(boot_of_mark("nslab:lab/nat"), None);
    }
}
