//! Static routes.

use super::autoconfigured::reaches_again;
use super::missing;
use super::restore::{default_metric, route as as_route};
use super::world::{Place, World};
use crate::model::{IfName, NetnsName, Route};
use crate::observed::ObservedRoute;
use crate::plan::steps::Steps;
use crate::plan::types::{Op, Reason, Stage};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The routes that are taken from the tables of the namespaces that stay, and why.
type Leaving<'a> = BTreeMap<(&'a NetnsName, &'a ObservedRoute), Reason>;

/// Names the steps. `drained` are the interfaces that lose their IPv4 routes with their addresses.
pub(super) fn steps<'a>(world: &World<'a>, drained: &HashSet<Place<'a>>, steps: &mut Steps) {
    let made: HashSet<&Route> = world.made.resources.routes.iter().collect();
    let desired: BTreeSet<(&NetnsName, ObservedRoute)> =
        world.desired.routes.iter().map(|route| (&route.netns, as_observed(route))).collect();
    let mut leaving = Leaving::new();
    for route in &world.made.resources.routes {
        if let Some(there) = there(world, route).filter(|there| !desired.contains(&(&route.netns, (*there).clone()))) {
            leaving.insert((&route.netns, there), Reason::Gone);
        }
    }
    let mut add = Vec::new();
    for route in &world.desired.routes {
        match there(world, route) {
            // Goes with the interface's addresses and comes back after them.
            Some(there) if is_drained(drained, &route.netns, there) => add.push((route.clone(), Reason::Changed)),
            Some(_) => {}
            None => {
                in_the_way(world, route, &mut leaving);
                add.push((route.clone(), missing(made.contains(route))));
            }
        }
    }
    for &(netns, name) in drained {
        for route in world.netns(netns).into_iter().flat_map(|inside| &inside.routes) {
            if route.to.is_ipv4() && route.dev == name && !leaving.contains_key(&(netns, route)) {
                leaving.insert((netns, route), Reason::Changed);
                if !desired.contains(&(netns, route.clone())) && will_be_reachable(world, netns, route) {
                    add.extend(as_route(netns, route).map(|route| (route, Reason::Changed)));
                }
            }
        }
    }

    for ((netns, name), _) in world.set_down() {
        for route in world.netns(netns).into_iter().flat_map(|inside| &inside.routes).filter(|r| r.dev == name) {
            leaving.entry((netns, route)).or_insert(Reason::Changed);
        }
    }

    for ((netns, observed), reason) in leaving {
        if let Some(route) = as_route(netns, observed) {
            let back = world.link((netns, &observed.dev)).is_some_and(|link| reaches_again(world, link, observed.via));
            let undo = if back { vec![Op::AddRoute(route.clone())] } else { Vec::new() };
            steps.push(Stage::RemoveRoutes, reason, Op::DeleteRoute(route), undo);
        }
    }
    for (route, reason) in add {
        let lasting = world.link((&route.netns, route.dev.as_str())).is_some();
        let undo = if lasting { vec![Op::DeleteRoute(route.clone())] } else { Vec::new() };
        steps.push(Stage::Routes, reason, Op::AddRoute(route), undo);
    }
}

fn as_observed(route: &Route) -> ObservedRoute {
    let Route { netns: _, to, via, dev, metric } = route;
    // IPv6 takes 0 for none given (net/ipv6/route.c, ip6_route_info_create).
    let metric = metric.filter(|&metric| metric != 0).unwrap_or(default_metric(*to));
    ObservedRoute { to: *to, via: *via, dev: dev.to_string(), metric }
}

/// A route as it is observed on an interface that stays.
fn there<'a>(world: &World<'a>, route: &'a Route) -> Option<&'a ObservedRoute> {
    world.link((&route.netns, route.dev.as_str()))?;
    world.netns(&route.netns)?.routes.get(&as_observed(route))
}

/// Another route to the same place with the same metric: the kernel takes no second one.
fn in_the_way<'a>(world: &World<'a>, wanted: &'a Route, leaving: &mut Leaving<'a>) {
    let metric = as_observed(wanted).metric;
    for other in world.netns(&wanted.netns).into_iter().flat_map(|inside| &inside.routes) {
        let same = other.to == wanted.to && other.metric == metric;
        if same && world.link((&wanted.netns, &other.dev)).is_some() {
            leaving.entry((&wanted.netns, other)).or_insert(Reason::Repair);
        }
    }
}

fn is_drained(drained: &HashSet<Place<'_>>, netns: &NetnsName, route: &ObservedRoute) -> bool {
    route.to.is_ipv4() && drained.contains(&(netns, route.dev.as_str()))
}

/// Whether a user's own route still has its next hop in a subnet of its interface once that has its new addresses.
fn will_be_reachable(world: &World<'_>, netns: &NetnsName, route: &ObservedRoute) -> bool {
    let dev = IfName::try_from(route.dev.as_str());
    if world.set_down().any(|(down, _)| down == (netns, route.dev.as_str())) {
        return false;
    }
    world.desired.addresses.iter().any(|address| {
        address.interface.netns == *netns
            && dev.as_ref() == Ok(&address.interface.name)
            && address.address.contains(route.via)
    })
}
