//! The machine's own network and its packet filter, as far as masquerading has to know of them.

use crate::model::SysctlKey;
use crate::model::nat::{IpFamily, NatChain, NatTable};
use ipnetwork::IpNetwork;
use std::collections::{BTreeMap, BTreeSet};

/// The machine's own network: what is decided by it, before there is anything to compare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostNetwork {
    /// Its interfaces but `lo`, by name.
    pub interfaces: BTreeMap<String, HostInterface>,
    /// The networks that the routes of its main table lead to, each with the interface.
    pub routes: BTreeSet<(IpNetwork, String)>,
    /// Whether an interface can forward IPv6 while the others don't (`force_forwarding`, Linux 6.17).
    pub has_force_forwarding: bool,
    /// The name servers that it asks, the first of these files that names one that is not the machine itself:
    /// /etc/resolv.conf, /run/systemd/resolve/resolv.conf.
    pub resolver: HostResolver,
    /// Its packet filter.
    pub filter: HostFilter,
    /// Parameters that other labs have set, with what each was before the first of them did.
    pub claimed_sysctls: BTreeMap<SysctlKey, String>,
}

/// An interface of the machine's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostInterface {
    /// Its addresses that reach beyond its link.
    pub addresses: BTreeSet<IpNetwork>,
    /// Its `accept_ra`; `None` where it has no IPv6.
    pub accept_ra: Option<String>,
}

/// Name servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostResolver {
    /// Their addresses, in order; none that means the machine itself or needs an interface's name.
    pub servers: Vec<std::net::IpAddr>,
    /// The domains that names are looked for in.
    pub search: Vec<String>,
}

/// What of the machine's packet filter packets that it forwards go through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFilter {
    /// The families for which there is a chain of Docker's for rules of the user's.
    pub docker_user: BTreeSet<IpFamily>,
    /// The chains that drop what no rule of theirs lets through, `FAMILY TABLE CHAIN`.
    pub dropping: BTreeSet<String>,
    /// The families that have rules of legacy iptables, of which nftables(8) knows nothing.
    pub legacy: BTreeSet<IpFamily>,
}

/// What could be seen of the rules that labs have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NatView {
    /// Nobody has or had any, or the caller may not look.
    #[default]
    NotAsked,
    /// There is no nft(8).
    NoProgram,
    /// What is there.
    Seen(ObservedNat),
}

/// The rules that were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedNat {
    /// The tables, by name.
    pub tables: BTreeMap<String, ObservedNatTable>,
    /// The comments of the rules in the chains that Docker leaves to the user.
    pub passes: BTreeMap<IpFamily, Vec<String>>,
}

impl ObservedNat {
    /// Whether a table is just what it is to be: its rules are, whose comments say what is in them.
    pub fn is_so(&self, wanted: &NatTable) -> bool {
        let comments = |chain| vec![Some(wanted.mark.clone()); wanted.rules(chain).len()];
        let is_so = |there: &ObservedNatTable| {
            !there.has_others
                && NatChain::ALL.into_iter().all(|chain| there.chains.get(&chain) == Some(&comments(chain)))
        };
        self.tables.get(&wanted.name).is_some_and(is_so)
    }
}

/// A table of family `inet`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedNatTable {
    /// The rules' comments, in order, of the chains that such a table has.
    pub chains: BTreeMap<NatChain, Vec<Option<String>>>,
    /// Whether there are others.
    pub has_others: bool,
}
