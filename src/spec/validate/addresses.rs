//! Interfaces' addresses: those that the text gives, checked, and those that are handed out; and MAC addresses.

use super::autoconfiguration::{self, Configurations};
use super::domains;
use super::links::{Interface, Wiring};
use super::loops::Segments;
use super::names::Things;
use super::subnets::{self, Implied, Pools, SubnetProblem};
use super::{dhcp, ip, value};
use crate::model::{IfName, LabName, MacAddress, Mtu};
use crate::spec::Position;
use crate::spec::error::Problems;
use crate::spec::suggest::list;
use crate::spec::values::{GivenAddress, InterfaceAddress};
use ipnetwork::IpNetwork;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// What is wrong with an address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressProblem {
    /// Nothing says how long the prefix is.
    #[error("{address} lies in no subnet of its link: write its prefix length, as in {address}/{}", example_prefix(*.address))]
    NoPrefix {
        /// The address.
        address: IpAddr,
    },
    /// The switch or link has other subnets.
    #[error("{address} is outside the subnets of its link, {subnets}: choose an address in one of them")]
    Outside {
        /// The address.
        address: IpAddr,
        /// The subnets that there are, of its family.
        subnets: String,
    },
    /// The prefix length is not the subnet's.
    #[error("{address} has another prefix length than its subnet {network}: write {}/{}", .address.ip(), .network.prefix())]
    Prefix {
        /// The address.
        address: IpNetwork,
        /// The subnet it lies in.
        network: IpNetwork,
    },
    /// It means the network, not a host in it.
    #[error("{address} is the address of the network {network} itself: use one of {}", ip::hosts_in_words(*.network))]
    Network {
        /// The address.
        address: IpAddr,
        /// The network.
        network: IpNetwork,
    },
    /// It means every host.
    #[error("{address} is the broadcast address of {network}: use one of {}", ip::hosts_in_words(*.network))]
    Broadcast {
        /// The address.
        address: IpAddr,
        /// The network.
        network: IpNetwork,
    },
    /// It means whichever router is near.
    #[error(
        "{address} is the subnet-router anycast address of {network} (RFC 4291): use one of {}",
        ip::hosts_in_words(*.network)
    )]
    Anycast {
        /// The address.
        address: IpAddr,
        /// The network.
        network: IpNetwork,
    },
    /// A sort of address that hosts can't have.
    #[error("no interface can have the {sort} address {address}: choose another")]
    Unusable {
        /// The address.
        address: IpAddr,
        /// Which sort.
        sort: &'static str,
    },
    /// Another interface has it.
    #[error("{address} is the address of `{owner}` already, on line {line}: choose another")]
    Duplicate {
        /// The address.
        address: IpAddr,
        /// The other interface.
        owner: String,
        /// Where it gets the address.
        line: u32,
    },
    /// A node could not tell its interfaces apart.
    #[error(
        "`{node}` has both `{one}` and `{other}` in {network}, and could not tell which leads where: put them in \
         subnets of their own"
    )]
    SameSubnet {
        /// The node.
        node: String,
        /// One interface.
        one: IfName,
        /// The other.
        other: IfName,
        /// The smaller of their networks.
        network: IpNetwork,
    },
    /// The MTU is too small for IPv6.
    #[error(
        "`{interface}` has an IPv6 address and an MTU of {mtu}, and IPv6 needs {}: raise the MTU",
        Mtu::IPV6_MINIMUM
    )]
    Ipv6Mtu {
        /// The interface.
        interface: String,
        /// Its MTU in bytes.
        mtu: Mtu,
    },
    /// Switches could not tell two interfaces apart.
    #[error("{mac} is the MAC address of `{owner}` in the same segment already, on line {line}: choose another")]
    DuplicateMac {
        /// The address.
        mac: MacAddress,
        /// The other interface.
        owner: String,
        /// Where it gets the address.
        line: u32,
    },
}

fn example_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 24 } else { 64 }
}

/// Addresses with their prefix lengths, by node and interface.
pub(super) type Addresses = Vec<Vec<Vec<IpNetwork>>>;

/// Gives every interface its addresses: first those of the text, then the next free ones of its subnets, then those that it
/// makes itself of what routers advertise.
pub(super) fn hand_out(
    lab: Option<&LabName>,
    things: &Things<'_>,
    wiring: &Wiring<'_>,
    segments: &Segments,
    pools: Pools,
    outputs: &HashSet<usize>,
    problems: &mut Problems,
) -> (Addresses, Configurations) {
    let mut hand =
        Hand { things, wiring, segments, outputs, owners: HashMap::new(), implied: Vec::new(), pools, problems };
    let mut addresses: Addresses = Vec::with_capacity(things.nodes.len());
    for (node, interfaces) in wiring.interfaces.iter().enumerate() {
        addresses.push(interfaces.iter().map(|interface| hand.explicit(node, interface)).collect());
    }
    hand.rest(&mut addresses);
    let configurations =
        autoconfiguration::configure(lab, things, wiring, &domains::domains(wiring), &addresses, hand.problems);
    hand.autoconfigured(&configurations, &mut addresses);
    hand.check_same_subnet(&addresses);
    subnets::check_overlaps(&hand.pools, &hand.implied, hand.problems);
    (addresses, configurations)
}

struct Hand<'a, 'r> {
    things: &'a Things<'r>,
    wiring: &'a Wiring<'r>,
    segments: &'a Segments,
    /// Links to a mirror's output port: who is there hears everything and reaches nobody, so it is handed no address.
    outputs: &'a HashSet<usize>,
    pools: Pools,
    /// Who has an address: its node, its interface's name, and where. Each segment has link-local ones of its own.
    owners: HashMap<(IpAddr, Option<usize>), (String, Position)>,
    implied: Vec<Implied>,
    problems: &'a mut Problems,
}

impl Hand<'_, '_> {
    fn label(&self, node: usize, interface: &Interface<'_>) -> String {
        format!("{}:{}", self.things.nodes[node].name, interface.name)
    }

    /// The addresses that the text gives an interface.
    fn explicit(&mut self, node: usize, interface: &Interface<'_>) -> Vec<IpNetwork> {
        let fields = interface.raw.and_then(|raw| raw.addresses.as_ref());
        if fields.is_some_and(|f| f.value.is_none()) {
            self.problems.doubt_addressing();
        }
        let mut given = Vec::new();
        for field in dhcp::given(interface) {
            let address = match field.value {
                None => {
                    self.problems.doubt_addressing();
                    continue;
                }
                Some(InterfaceAddress::Slaac | InterfaceAddress::Dhcp) => continue,
                Some(InterfaceAddress::Given(address)) => address,
            };
            if let Some(address) = self.check(address, field.at, interface) {
                self.own(node, interface, address.ip(), field.at);
                given.push(address);
            }
        }
        given
    }

    /// Checks one against its subnets; with its prefix length where it can be told.
    fn check(&mut self, given: GivenAddress, at: Position, interface: &Interface<'_>) -> Option<IpNetwork> {
        let GivenAddress { address, prefix } = given;
        if let Some(sort) = ip::unusable(address) {
            self.problems.add_to_addressing(at, AddressProblem::Unusable { address, sort });
            return None;
        }
        let segment = self.segments.of_link(interface.link, &self.wiring.links[interface.link]);
        let there = self.pools.in_segment(segment).iter().map(|pool| self.pools.all[*pool].network);
        let there: Vec<IpNetwork> = there.filter(|network| network.is_ipv4() == address.is_ipv4()).collect();
        let subnet = there.iter().copied().find(|network| network.contains(address));
        let Some(prefix) = prefix.or(subnet.map(|s| s.prefix())) else {
            self.problems.add_to_addressing(at, AddressProblem::NoPrefix { address });
            return None;
        };
        let with_prefix = IpNetwork::new(address, prefix).ok()?;
        let link_local = ip::is_link_local(address);
        match subnet {
            Some(network) if network.prefix() != prefix => {
                self.problems.add(at, AddressProblem::Prefix { address: with_prefix, network });
            }
            None if !there.is_empty() && !link_local && !self.problems.addressing_in_doubt() => {
                let subnets = list(&there.iter().map(ToString::to_string).collect::<Vec<_>>());
                self.problems.add(at, AddressProblem::Outside { address, subnets });
            }
            None if there.is_empty() && !link_local => {
                self.implied.push(Implied { network: ip::network_of(with_prefix), at, segment });
            }
            _ => {}
        }
        let network = ip::network_of(subnet.unwrap_or(with_prefix));
        let two_or_less = ip::bits(network) - network.prefix() <= 1;
        if !two_or_less && address == network.network() {
            let problem = match network {
                IpNetwork::V4(_) => AddressProblem::Network { address, network },
                IpNetwork::V6(_) => AddressProblem::Anycast { address, network },
            };
            self.problems.add(at, problem);
        } else if !two_or_less && network.is_ipv4() && address == network.broadcast() {
            self.problems.add(at, AddressProblem::Broadcast { address, network });
        }
        Some(with_prefix)
    }

    fn own(&mut self, node: usize, interface: &Interface<'_>, address: IpAddr, at: Position) {
        let segment = ip::is_link_local(address)
            .then(|| self.segments.of_link(interface.link, &self.wiring.links[interface.link]));
        let label = self.label(node, interface);
        match self.owners.entry((address, segment)) {
            Entry::Vacant(place) => {
                place.insert((label, at));
            }
            Entry::Occupied(place) => {
                let (owner, first) = place.get().clone();
                self.problems.add(at, AddressProblem::Duplicate { address, owner, line: first.line });
            }
        }
    }

    /// Hands out the rest, subnet by subnet, in the order of the links.
    fn rest(&mut self, addresses: &mut Addresses) {
        let mut wanted: Vec<Vec<(usize, usize)>> = vec![Vec::new(); self.pools.all.len()];
        let mut explicit = vec![0_u128; self.pools.all.len()];
        for (node, place) in self.wiring.in_link_order() {
            let interface = &self.wiring.interfaces[node][place];
            let segment = self.segments.of_link(interface.link, &self.wiring.links[interface.link]);
            let has = &addresses[node][place];
            let in_pool = |pool: usize, given: &IpNetwork| self.pools.all[pool].network.contains(given.ip());
            for given in has {
                for &pool in self.pools.in_segment(segment) {
                    explicit[pool] += u128::from(in_pool(pool, given));
                }
            }
            if self.outputs.contains(&interface.link) {
                continue;
            }
            let makes_its_own = autoconfiguration::wish(interface).is_some();
            let is_lent_one = dhcp::is_wanted(interface);
            for &pool in self.pools.for_end(interface.link, self.wiring.other_end(interface, node)) {
                let is_handed = if self.pools.all[pool].network.is_ipv4() { !is_lent_one } else { !makes_its_own };
                if is_handed && !has.iter().any(|given| in_pool(pool, given)) {
                    wanted[pool].push((node, place));
                }
            }
        }
        for ((pool, wanted), explicit) in self.pools.all.iter().zip(wanted).zip(explicit) {
            let needed = explicit + wanted.len() as u128;
            let (network, capacity) = (pool.network, ip::capacity(pool.network));
            if needed > capacity && !wanted.is_empty() {
                let prefix = ip::prefix_for(needed, network);
                self.problems.add_to_addressing(pool.at, SubnetProblem::TooSmall { network, capacity, needed, prefix });
                continue;
            }
            let segment_of = |node: usize, place: usize| {
                let link = self.wiring.interfaces[node][place].link;
                self.segments.of_link(link, &self.wiring.links[link])
            };
            let local = wanted.first().filter(|_| ip::is_link_local(network.ip())).map(|(n, p)| segment_of(*n, *p));
            let mut free = ip::host_addresses(network).filter(|a| !self.owners.contains_key(&(*a, local)));
            for (node, place) in wanted {
                let address = free.next().and_then(|address| IpNetwork::new(address, network.prefix()).ok());
                addresses[node][place].extend(address);
            }
        }
    }

    /// Adds the addresses that interfaces make themselves.
    fn autoconfigured(&mut self, configurations: &Configurations, addresses: &mut Addresses) {
        for (node, of_node) in configurations.iter().enumerate() {
            for (place, configuration) in of_node.iter().enumerate() {
                let (Some(slaac), Some(at)) = (&configuration.slaac, configuration.at) else { continue };
                let interface = &self.wiring.interfaces[node][place];
                for address in &slaac.addresses {
                    self.own(node, interface, address.ip(), at);
                }
                addresses[node][place].extend(&slaac.addresses);
            }
        }
    }

    /// Two interfaces of a node in one segment must not be in overlapping networks; in different segments, these
    /// overlap for everybody, and that is reported once.
    fn check_same_subnet(&mut self, addresses: &Addresses) {
        for (node, of_node) in addresses.iter().enumerate() {
            let interfaces = &self.wiring.interfaces[node];
            let mut by_segment: HashMap<usize, Vec<(IpNetwork, usize)>> = HashMap::new();
            for (place, given) in of_node.iter().enumerate().filter(|_| interfaces.len() > 1) {
                let link = interfaces[place].link;
                let segment = self.segments.of_link(link, &self.wiring.links[link]);
                let networks = given.iter().filter(|g| !ip::is_link_local(g.ip()));
                let networks = networks.map(|g| (ip::network_of(*g), place));
                by_segment.entry(segment).or_default().extend(networks);
            }
            let mut reported = HashSet::new();
            for networks in by_segment.values() {
                for (one, other) in ip::overlaps(networks) {
                    let ((_, first), (network, second)) = (networks[one], networks[other]);
                    if reported.insert((first, second)) {
                        let problem = AddressProblem::SameSubnet {
                            node: self.things.nodes[node].name.to_string(),
                            one: interfaces[first].name.clone(),
                            other: interfaces[second].name.clone(),
                            network,
                        };
                        self.problems.add(interfaces[second].at, problem);
                    }
                }
            }
        }
    }
}

/// MAC addresses must differ within a segment.
pub(super) fn check_macs(things: &Things<'_>, wiring: &Wiring<'_>, segments: &Segments, problems: &mut Problems) {
    let mut owners: HashMap<(usize, MacAddress), (String, Position)> = HashMap::new();
    for (node, place) in wiring.in_link_order() {
        let interface = &wiring.interfaces[node][place];
        let Some(field) = interface.raw.and_then(|raw| raw.mac.as_ref()) else { continue };
        let Some(mac) = value(Some(field)).copied() else { continue };
        let segment = segments.of_link(interface.link, &wiring.links[interface.link]);
        let label = format!("{}:{}", things.nodes[node].name, interface.name);
        match owners.entry((segment, mac)) {
            Entry::Vacant(place) => {
                place.insert((label, field.at));
            }
            Entry::Occupied(place) => {
                let (owner, first) = place.get().clone();
                problems.add(field.at, AddressProblem::DuplicateMac { mac, owner, line: first.line });
            }
        }
    }
}
