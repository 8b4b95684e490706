//! Which routers advertise what, and which addresses hosts make of it (RFC 4861, RFC 4862).

use super::addresses::Addresses;
use super::domains::{Domain, Domains};
use super::links::{Interface, Wiring};
use super::names::Things;
use super::{dhcp, ip, value};
use crate::model::{LabName, MacAddress, SLAAC_PREFIX_LENGTH};
use crate::spec::error::Problems;
use crate::spec::values::InterfaceAddress;
use crate::spec::{Position, Slaac};
use ipnetwork::{IpNetwork, Ipv6Network};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// What is wrong with router advertisements, or with who waits for them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AutoconfigurationProblem {
    /// Only a router may advertise itself as one.
    #[error(
        "`{interface}` is to advertise its node as a router, which does not forward: write `forwarding: true` for \
         `{node}`, or remove `advertise`"
    )]
    NotForwarding {
        /// The interface.
        interface: String,
        /// Its node.
        node: String,
    },
    /// There is no prefix of which hosts could make addresses.
    #[error(
        "`{interface}` has no IPv6 address in a /64, of which hosts could make theirs: give it one, as in \
         2001:db8:1::1/64, or its switch or link a subnet, or remove `advertise`"
    )]
    NoPrefix {
        /// The interface.
        interface: String,
    },
    /// Nobody says anything that an address could be made of.
    #[error(
        "no router advertises itself where `{interface}` is: write `advertise: true` for a router's interface there, or \
         an address in place of `slaac`"
    )]
    NoRouter {
        /// The interface.
        interface: String,
    },
    /// An interface can't be both a router's and a host's.
    #[error(
        "`{interface}` advertises prefixes, so it can't take its address from others: write one in place of `slaac`"
    )]
    Both {
        /// The interface.
        interface: String,
    },
    /// `slaac` in a list twice.
    #[error("`slaac` is in the list already: remove one")]
    Twice,
}

/// What becomes of one interface.
#[derive(Debug, Clone, Default)]
pub(super) struct Configuration {
    /// What it advertises.
    pub(super) advertises: Vec<Ipv6Network>,
    /// What it takes.
    pub(super) slaac: Option<Slaac>,
    /// The nodes that it takes that from.
    pub(super) routers: Vec<usize>,
    /// Where it says that it takes it.
    pub(super) at: Option<Position>,
}

/// By node and interface.
pub(super) type Configurations = Vec<Vec<Configuration>>;

/// Where an interface says that it configures itself, if it does.
pub(super) fn wish(interface: &Interface<'_>) -> Option<Position> {
    wishes(interface).next()
}

fn wishes<'i>(interface: &'i Interface<'_>) -> impl Iterator<Item = Position> + 'i {
    dhcp::given(interface).filter(|field| matches!(field.value, Some(InterfaceAddress::Slaac))).map(|field| field.at)
}

/// A router's interface.
struct Router {
    node: usize,
    mac: MacAddress,
    prefixes: Vec<Ipv6Network>,
}

/// Works out everybody's configuration; `addresses` are those that were given and handed out. Without a name of the lab,
/// which MAC addresses are derived from, nobody's can be told.
pub(super) fn configure(
    lab: Option<&LabName>,
    things: &Things<'_>,
    wiring: &Wiring<'_>,
    domains: &Domains,
    addresses: &Addresses,
    problems: &mut Problems,
) -> Configurations {
    let label = |node: usize, interface: &Interface<'_>| format!("{}:{}", things.nodes[node].name, interface.name);
    let mac = |node: usize, interface: &Interface<'_>| {
        let given = interface.raw.and_then(|raw| value(raw.mac.as_ref())).copied();
        given.or_else(|| Some(MacAddress::of_interface(lab?, &things.nodes[node].name, &interface.name)))
    };
    let mut all: Configurations =
        wiring.interfaces.iter().map(|interfaces| vec![Configuration::default(); interfaces.len()]).collect();
    let mut routers: HashMap<Domain, Vec<Router>> = HashMap::new();
    for (node, interfaces) in wiring.interfaces.iter().enumerate() {
        for (place, interface) in interfaces.iter().enumerate() {
            let Some(field) = interface.raw.and_then(|raw| raw.advertise.as_ref()) else { continue };
            if field.value.is_none() {
                problems.doubt_addressing();
            }
            if field.value != Some(true) {
                continue;
            }
            let def = &things.nodes[node];
            if value(def.raw.forwarding.as_ref()) != Some(&true) {
                let (interface, node) = (label(node, interface), def.name.to_string());
                problems.add(field.at, AutoconfigurationProblem::NotForwarding { interface, node });
            }
            let prefixes = prefixes(&addresses[node][place]);
            if prefixes.is_empty() && !problems.addressing_in_doubt() {
                problems.add(field.at, AutoconfigurationProblem::NoPrefix { interface: label(node, interface) });
            }
            all[node][place].advertises.clone_from(&prefixes);
            if let (Some(domain), Some(mac)) = (domains.of(node, place), mac(node, interface)) {
                routers.entry(domain).or_default().push(Router { node, mac, prefixes });
            }
        }
    }
    for (node, interfaces) in wiring.interfaces.iter().enumerate() {
        for (place, interface) in interfaces.iter().enumerate() {
            let Some(at) = wish(interface) else { continue };
            for again in wishes(interface).skip(1) {
                problems.add(again, AutoconfigurationProblem::Twice);
            }
            let configuration = &mut all[node][place];
            configuration.at = Some(at);
            if interface.raw.and_then(|raw| value(raw.advertise.as_ref())) == Some(&true) {
                problems.add(at, AutoconfigurationProblem::Both { interface: label(node, interface) });
                continue;
            }
            let heard = domains.of(node, place).and_then(|domain| routers.get(&domain)).map_or(&[][..], Vec::as_slice);
            if heard.is_empty() && !problems.addressing_in_doubt() && lab.is_some() {
                problems.add(at, AutoconfigurationProblem::NoRouter { interface: label(node, interface) });
            }
            let Some(mac) = mac(node, interface) else { continue };
            let prefixes: BTreeSet<Ipv6Network> = heard.iter().flat_map(|router| &router.prefixes).copied().collect();
            let made =
                |prefix: Ipv6Network| IpNetwork::new(IpAddr::V6(mac.address_in(prefix)), SLAAC_PREFIX_LENGTH).ok();
            configuration.slaac = Some(Slaac {
                addresses: prefixes.into_iter().filter_map(made).collect(),
                routers: heard.iter().map(|router| router.mac.link_local()).collect(),
            });
            configuration.routers = heard.iter().map(|router| router.node).collect();
        }
    }
    all
}

/// The networks of an interface's addresses that hosts can make addresses of.
fn prefixes(addresses: &[IpNetwork]) -> Vec<Ipv6Network> {
    let prefixes: BTreeSet<Ipv6Network> = addresses
        .iter()
        .filter(|address| address.prefix() == SLAAC_PREFIX_LENGTH && !ip::is_link_local(address.ip()))
        .filter_map(|address| match ip::network_of(*address) {
            IpNetwork::V6(network) => Some(network),
            IpNetwork::V4(_) => None,
        })
        .collect();
    prefixes.into_iter().collect()
}
