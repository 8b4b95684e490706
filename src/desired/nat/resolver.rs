//! Whom the lab's nodes ask for names.

use super::{Nat, gateways};
use crate::model::NodeName;
use crate::model::nat::IpFamily;
use crate::observed::nat::HostResolver;
use crate::spec::Spec;
use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::net::IpAddr;

/// How many a resolver looks at (MAXNS, resolv.h).
const MOST_SERVERS: usize = 3;

/// A resolv.conf(5), and who reads it.
pub(in crate::desired) struct Resolver<'a> {
    pub(in crate::desired) nodes: HashSet<&'a NodeName>,
    pub(in crate::desired) content: &'a str,
}

impl<'a> Resolver<'a> {
    /// That of the nodes that reach the world.
    pub(in crate::desired) fn of(spec: &'a Spec, nat: &'a Nat) -> Option<Self> {
        let content = nat.resolv_conf.as_deref()?;
        let nodes = gateways::served(spec, nat).into_iter().map(|(node, ..)| &node.name).collect();
        Some(Self { nodes, content })
    }
}

/// With the machine's servers that can be reached by these families; or why there is none.
pub(super) fn resolv_conf(host: &HostResolver, families: &BTreeSet<IpFamily>) -> (Option<String>, Option<String>) {
    let HostResolver { servers, search } = host;
    if families.is_empty() {
        return (None, None);
    }
    let is_reached =
        |server: &&IpAddr| families.contains(if server.is_ipv4() { &IpFamily::Ip } else { &IpFamily::Ip6 });
    let servers: Vec<&IpAddr> = servers.iter().filter(is_reached).take(MOST_SERVERS).collect();
    if servers.is_empty() {
        let note = "this machine asks no name server that the lab's nodes could reach (see /etc/resolv.conf): names outside \
                    of the lab mean nothing to them";
        return (None, Some(note.to_owned()));
    }
    let mut text = String::new();
    // Writing to a String does not fail.
    for server in servers {
        let _ = writeln!(text, "nameserver {server}");
    }
    if !search.is_empty() {
        let _ = writeln!(text, "search {}", search.join(" "));
    }
    (Some(text), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_ask_those_servers_that_they_reach() {
        let servers = ["192.0.2.1", "2001:db8::1", "192.0.2.2"].map(|server| server.parse().unwrap()).to_vec();
        let host = HostResolver { servers, search: vec!["example.org".into(), "example.net".into()] };
        let (text, note) = resolv_conf(&host, &BTreeSet::from([IpFamily::Ip]));
        let expected = "nameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch example.org example.net\n";
        assert_eq!((text.as_deref(), note), (Some(expected), None));
        let (text, note) = resolv_conf(&HostResolver::default(), &BTreeSet::from([IpFamily::Ip]));
        assert!(text.is_none() && note.unwrap().contains("names outside"));
    }
}
