//! Static routes: next hops by address or by node, and the interface towards them.

use super::addresses::Addresses;
use super::autoconfiguration::Configurations;
use super::links::{Interface, Wiring};
use super::loops::Segments;
use super::names::{Lookup, Thing, Things};
use super::{ip, items, value};
use crate::model::{IfName, NodeName};
use crate::spec::error::Problems;
use crate::spec::field::Field;
use crate::spec::raw::{RawGateway, RawRoute, RawRouteParts};
use crate::spec::suggest::{did_you_mean, list};
use crate::spec::values::{Destination, ShortRoute, Via};
use crate::spec::{NodeRoute, Position};
use ipnetwork::IpNetwork;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// What is wrong with a route or gateway.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteProblem {
    /// The node has no address in a subnet with the next hop.
    #[error(
        "`{from}` has no address in a subnet with the next hop {via} (it has {has}): use a next hop in one of its subnets"
    )]
    Unreachable {
        /// The node, or its interface where the route names it.
        from: String,
        /// The next hop.
        via: IpAddr,
        /// The addresses that the node has.
        has: String,
    },
    /// The two nodes share no subnet.
    #[error(
        "`{node}` and `{via}` share no subnet{family}: link them, or name a next hop that is in a subnet of `{node}`"
    )]
    NotNeighbours {
        /// The node.
        node: String,
        /// The node that is to be the next hop.
        via: String,
        /// " of IPv4" or " of IPv6" where the route is of one.
        family: &'static str,
    },
    /// The next hop is no node of the lab.
    #[error(
        "there is no node `{name}` to route to: {}write the next hop's address, or the name of a node",
        did_you_mean(.suggestion.as_deref())
    )]
    UnknownNode {
        /// The name.
        name: String,
        /// The nearest node.
        suggestion: Option<String>,
    },
    /// The next hop is a switch.
    #[error("`{switch}` is a switch, which routes nothing: name a node whose `forwarding` is on")]
    ViaSwitch {
        /// The switch.
        switch: String,
    },
    /// The next hop is the node itself.
    #[error("{via} is `{node}` itself: the next hop must be another")]
    Itself {
        /// The next hop as it is written.
        via: String,
        /// The node.
        node: String,
    },
    /// Destination and next hop are of different families.
    #[error("the next hop {via} can't lead to {to}: both must be IPv4, or both IPv6")]
    Family {
        /// The destination.
        to: IpNetwork,
        /// The next hop.
        via: IpAddr,
    },
    /// The destination is not a network's own address.
    #[error("{given} is an address in a network, not the network itself: write {network}")]
    HostBits {
        /// What is there.
        given: IpNetwork,
        /// The network it lies in.
        network: IpNetwork,
    },
    /// The node has no such interface.
    #[error("`{node}` has no interface `{dev}`: its interfaces are {has}")]
    UnknownDev {
        /// The node.
        node: String,
        /// The interface.
        dev: IfName,
        /// Those that it has.
        has: String,
    },
    /// A link-local address does not say on which link.
    #[error("the next hop {via} is link-local: write `dev` too, the interface that it is reached by")]
    LinkLocal {
        /// The next hop.
        via: IpAddr,
    },
    /// The kernel has that route already, of the node's own address.
    #[error("`{node}` is in {to} itself, by its interface `{dev}`: remove the route, or give it another `metric`")]
    OwnSubnet {
        /// The node.
        node: String,
        /// The destination.
        to: IpNetwork,
        /// The interface with an address in it.
        dev: IfName,
    },
    /// Routers say by themselves that they are the way to everywhere.
    #[error(
        "`{interface}` has its IPv6 default route from the routers that advertise themselves (`slaac`): remove this one, \
         or give it a `metric` other than {IP6_RT_PRIO_USER}"
    )]
    Advertised {
        /// The interface.
        interface: String,
    },
    /// The same route twice.
    #[error("`{node}` has a route to {to} with this metric already, on line {line}: remove one, or give it a `metric`")]
    Duplicate {
        /// The node.
        node: String,
        /// The destination.
        to: IpNetwork,
        /// Where the first is.
        line: u32,
    },
}

/// A route as it is written, in short or in full or as a gateway.
struct Wanted<'r> {
    at: Position,
    to: Destination,
    via: &'r Via,
    dev: Option<&'r IfName>,
    metric: Option<u32>,
}

/// The routes of every node.
pub(super) fn resolve(
    things: &Things<'_>,
    wiring: &Wiring<'_>,
    segments: &Segments,
    addresses: &Addresses,
    configurations: &Configurations,
    problems: &mut Problems,
) -> Vec<Vec<NodeRoute>> {
    let mut neighbours: HashMap<(usize, usize), Vec<usize>> = HashMap::new();
    for (node, place) in wiring.in_link_order() {
        let link = wiring.interfaces[node][place].link;
        neighbours.entry((node, segments.of_link(link, &wiring.links[link]))).or_default().push(place);
    }
    let mut all = Vec::with_capacity(things.nodes.len());
    for node in 0..things.nodes.len() {
        let neighbours = &neighbours;
        let mut router = Router { things, wiring, segments, addresses, configurations, neighbours, problems, node };
        all.push(router.routes());
    }
    all
}

/// The routes that a node's text asks for.
fn wanted<'r>(routes: &'r [Field<RawRoute>], gateway: Option<&'r Field<RawGateway>>) -> Vec<Wanted<'r>> {
    let mut wanted = Vec::new();
    for field in routes {
        match &field.value {
            Some(RawRoute::Text(ShortRoute { to, via, dev, metric })) => {
                wanted.push(Wanted { at: field.at, to: *to, via, dev: dev.as_ref(), metric: *metric });
            }
            Some(RawRoute::Mapping(RawRouteParts { to, via, dev, metric })) => {
                let (Some(to), Some(target)) = (to.value, &via.value) else { continue };
                let metric = value(metric.as_ref()).copied();
                wanted.push(Wanted { at: via.at, to, via: target, dev: value(dev.as_ref()), metric });
            }
            None => {}
        }
    }
    let gateways: &[Field<Via>] = match gateway.and_then(|g| g.value.as_ref()) {
        None => &[],
        Some(RawGateway::Text(one)) => std::slice::from_ref(one),
        Some(RawGateway::Sequence(several)) => several,
    };
    for field in gateways {
        let Some(via) = &field.value else { continue };
        wanted.push(Wanted { at: field.at, to: Destination::Default, via, dev: None, metric: None });
    }
    wanted
}

/// The metric of an IPv6 route that comes with an address (include/uapi/linux/ipv6_route.h).
const IP6_RT_PRIO_ADDRCONF: u32 = 256;
/// The metric of an IPv6 route that names none.
const IP6_RT_PRIO_USER: u32 = 1024;

struct Router<'a, 'r> {
    things: &'a Things<'r>,
    wiring: &'a Wiring<'r>,
    segments: &'a Segments,
    addresses: &'a Addresses,
    configurations: &'a Configurations,
    /// A node's interfaces in a segment.
    neighbours: &'a HashMap<(usize, usize), Vec<usize>>,
    problems: &'a mut Problems,
    /// Whose routes these are.
    node: usize,
}

impl Router<'_, '_> {
    fn name(&self) -> String {
        self.things.nodes[self.node].name.to_string()
    }

    fn routes(&mut self) -> Vec<NodeRoute> {
        let raw = self.things.nodes[self.node].raw;
        let mut routes = Vec::new();
        let mut lines: HashMap<(IpNetwork, Option<u32>), u32> = HashMap::new();
        for wanted in wanted(items(raw.routes.as_ref()), raw.gateway.as_ref()) {
            for route in self.one(&wanted) {
                if let Some(interface) = self.is_advertised_too(&route) {
                    self.problems.add(wanted.at, RouteProblem::Advertised { interface });
                }
                if let Some(line) = lines.insert((route.to, route.metric), wanted.at.line) {
                    let (node, to) = (self.name(), route.to);
                    self.problems.add(wanted.at, RouteProblem::Duplicate { node, to, line });
                } else if let Some(dev) = self.connected(&route) {
                    self.problems.add(wanted.at, RouteProblem::OwnSubnet { node: self.name(), to: route.to, dev });
                }
                routes.push(route);
            }
        }
        routes
    }

    /// The interface whose address makes the kernel add the same route, with the same metric, by itself.
    fn connected(&self, route: &NodeRoute) -> Option<IfName> {
        let (metric, host_prefix) = if route.to.is_ipv4() { (0, 32) } else { (IP6_RT_PRIO_ADDRCONF, 128) };
        let default_metric = if route.to.is_ipv4() { 0 } else { IP6_RT_PRIO_USER };
        if route.metric.unwrap_or(default_metric) != metric {
            return None;
        }
        let is_it = |given: &IpNetwork| given.prefix() < host_prefix && ip::network_of(*given) == route.to;
        self.own(None).find(|(_, given)| given.iter().any(is_it)).map(|(interface, _)| interface.name.clone())
    }

    /// The interface whose routers make the kernel add a route to the same place with the same metric.
    fn is_advertised_too(&self, route: &NodeRoute) -> Option<String> {
        let metric = route.metric.filter(|metric| *metric != 0).unwrap_or(IP6_RT_PRIO_USER);
        if route.to != ip::everything(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) || metric != IP6_RT_PRIO_USER {
            return None;
        }
        let place = self.configurations[self.node].iter().position(|configuration| configuration.slaac.is_some())?;
        Some(format!("{}:{}", self.name(), self.wiring.interfaces[self.node][place].name))
    }

    /// Whether a node advertises itself as the way to everywhere to one of our interfaces, so that `gateway` need not say it.
    fn advertises_to(&self, other: usize, dev: &IfName) -> bool {
        let place = self.wiring.interfaces[self.node].iter().position(|interface| interface.name == *dev);
        place.is_some_and(|place| self.configurations[self.node][place].routers.contains(&other))
    }

    /// One route, or one for each family.
    fn one(&mut self, wanted: &Wanted<'_>) -> Vec<NodeRoute> {
        if let Destination::Network(given) = wanted.to
            && ip::network_of(given) != given
        {
            self.problems.add(wanted.at, RouteProblem::HostBits { given, network: ip::network_of(given) });
        }
        let interfaces = &self.wiring.interfaces[self.node];
        if let Some(dev) = wanted.dev
            && !interfaces.iter().any(|i| i.name == *dev)
        {
            if !self.problems.addressing_in_doubt() {
                let has = self.wiring.names_of(self.node);
                self.problems.add(wanted.at, RouteProblem::UnknownDev { node: self.name(), dev: dev.clone(), has });
            }
            return Vec::new();
        }
        let hops: Vec<(IpAddr, IfName)> = match wanted.via {
            Via::Address(via) => self.by_address(*via, wanted).into_iter().collect(),
            Via::Node(name) => self.by_node(name, wanted),
        };
        let mut routes = Vec::new();
        for (via, dev) in hops {
            let to = match wanted.to {
                Destination::Network(to) if to.is_ipv4() != via.is_ipv4() => {
                    self.problems.add(wanted.at, RouteProblem::Family { to, via });
                    continue;
                }
                Destination::Network(to) => ip::network_of(to),
                Destination::Default => ip::everything(via),
            };
            routes.push(NodeRoute { to, via, dev, metric: wanted.metric });
        }
        routes
    }

    /// The node's interfaces with their addresses; just `dev` where a route names it.
    fn own<'b>(&'b self, dev: Option<&'b IfName>) -> impl Iterator<Item = (&'b Interface<'b>, &'b [IpNetwork])> {
        let interfaces = self.wiring.interfaces[self.node].iter();
        let own = interfaces.zip(self.addresses[self.node].iter().map(Vec::as_slice));
        own.filter(move |(interface, _)| dev.is_none_or(|dev| interface.name == *dev))
    }

    fn by_address(&mut self, via: IpAddr, wanted: &Wanted<'_>) -> Option<(IpAddr, IfName)> {
        if self.own(None).any(|(_, given)| given.iter().any(|g| g.ip() == via)) {
            self.problems.add(wanted.at, RouteProblem::Itself { via: via.to_string(), node: self.name() });
            return None;
        }
        if ip::is_link_local(via) {
            if wanted.dev.is_none() {
                self.problems.add(wanted.at, RouteProblem::LinkLocal { via });
            }
            return wanted.dev.map(|dev| (via, dev.clone()));
        }
        let in_subnet = |given: &[IpNetwork]| given.iter().any(|g| g.contains(via));
        let dev = self.own(wanted.dev).find(|(_, given)| in_subnet(given)).map(|(i, _)| i.name.clone());
        if dev.is_none() && !self.problems.addressing_in_doubt() {
            let has = self.own(wanted.dev).flat_map(|(_, given)| given);
            let has: Vec<String> = has.take(8).map(ToString::to_string).collect();
            let has = if has.is_empty() { "none".to_owned() } else { list(&has) };
            let from = match wanted.dev {
                Some(dev) => format!("{}:{dev}", self.name()),
                None => self.name(),
            };
            self.problems.add(wanted.at, RouteProblem::Unreachable { from, via, has });
        }
        dev.map(|dev| (via, dev))
    }

    /// The other node's address in a subnet of ours: the first for the destination's family, or for each of them.
    fn by_node(&mut self, name: &NodeName, wanted: &Wanted<'_>) -> Vec<(IpAddr, IfName)> {
        let other = match self.things.get(name.as_str()) {
            Lookup::Found(Thing::Node(other)) => other,
            Lookup::Found(Thing::Switch(_)) => {
                self.problems.add(wanted.at, RouteProblem::ViaSwitch { switch: name.to_string() });
                return Vec::new();
            }
            Lookup::Unknown => {
                let suggestion = self.things.nearest_node(name.as_str());
                self.problems.add(wanted.at, RouteProblem::UnknownNode { name: name.to_string(), suggestion });
                return Vec::new();
            }
            Lookup::Refused => return Vec::new(),
        };
        if other == self.node {
            self.problems.add(wanted.at, RouteProblem::Itself { via: format!("`{name}`"), node: self.name() });
            return Vec::new();
        }
        let (v4, v6, family) = match wanted.to {
            Destination::Default => (true, true, ""),
            Destination::Network(IpNetwork::V4(_)) => (true, false, " of IPv4"),
            Destination::Network(IpNetwork::V6(_)) => (false, true, " of IPv6"),
        };
        let hops: Vec<(IpAddr, IfName)> = [(v4, true), (v6, false)]
            .into_iter()
            .filter(|(asked, _)| *asked)
            .filter_map(|(_, is_v4)| self.shared(other, wanted.dev, is_v4))
            .collect();
        if hops.is_empty() && !self.problems.addressing_in_doubt() {
            let problem = RouteProblem::NotNeighbours { node: self.name(), via: name.to_string(), family };
            self.problems.add(wanted.at, problem);
        }
        let is_told = |(via, dev): &(IpAddr, IfName)| {
            via.is_ipv6()
                && wanted.metric.is_none()
                && wanted.to == Destination::Default
                && self.advertises_to(other, dev)
        };
        hops.into_iter().filter(|hop| !is_told(hop)).collect()
    }

    fn shared(&self, other: usize, dev: Option<&IfName>, is_v4: bool) -> Option<(IpAddr, IfName)> {
        self.own(dev).find_map(|(interface, mine)| {
            let segment = self.segments.of_link(interface.link, &self.wiring.links[interface.link]);
            let places = self.neighbours.get(&(other, segment))?;
            let theirs = places.iter().flat_map(|place| &self.addresses[other][*place]).map(IpNetwork::ip);
            let mut theirs = theirs.filter(|address| address.is_ipv4() == is_v4);
            let hop = theirs.find(|address| mine.iter().any(|g| g.contains(*address)))?;
            Some((hop, interface.name.clone()))
        })
    }
}
