//! Interfaces that configure themselves from what routers advertise.

use super::world::{Place, World, place};
use super::{different, missing, restore};
use crate::desired::Resources;
use crate::model::{Advertised, Autoconfigured, Sysctl, SysctlKey};
use crate::observed::{ObservedLink, Pin};
use crate::plan::steps::Steps;
use crate::plan::types::{Op, Reason, Stage};
use ipnetwork::IpNetwork;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};

/// Names the steps, and the interfaces that stay and that do not listen to routers any more after them (`accept_ra` 0).
pub(super) fn steps<'a>(world: &World<'a>, steps: &mut Steps) -> HashSet<Place<'a>> {
    let desired: HashMap<Place<'a>, &Autoconfigured> =
        world.desired.autoconfigured.iter().map(|of| (place(&of.interface), of)).collect();
    let (mut silenced, mut gone) = (HashSet::new(), HashMap::new());
    for (at, mut had) in had(world) {
        let wanted = desired.get(&at);
        // What goes with its interface goes before it, so that undo brings it back when all else is back.
        if let Some(wanted) = wanted.filter(|_| world.link(at).is_some()) {
            let routers = if loses_routers(world, wanted) { &[][..] } else { &wanted.routers };
            had = without(had, &wanted.addresses, routers);
            for kept in world.desired.remembered.iter().filter(|kept| kept.interface == wanted.interface) {
                had = without(had, &kept.addresses, &kept.routers);
            }
        }
        if is_nothing(&had) {
            continue;
        }
        let mut undo = Vec::new();
        let back = heard(world, had.clone());
        if !is_nothing(&back) {
            undo.push(Op::Autoconfigure(back));
            if world.link(at).is_none() {
                undo.extend(routes_by(world, at));
            }
        }
        undo.extend(listened(world, at, &had));
        let reason = if wanted.is_some() { Reason::Changed } else { Reason::Gone };
        steps.push(Stage::Deconfigure, reason, Op::Deconfigure(had.clone()), undo);
        gone.insert(at, had);
        if world.link(at).is_some() {
            silenced.insert(at);
        }
    }
    for wanted in &world.desired.autoconfigured {
        let stays = world.link(place(&wanted.interface)).is_some();
        let mut there = if stays { part_there(world, wanted) } else { nothing(wanted) };
        if let Some(gone) = gone.get(&place(&wanted.interface)) {
            there = without(there, &gone.addresses, &gone.routers);
        }
        let lacking = without(wanted.clone(), &there.addresses, &there.routers);
        if is_nothing(&lacking) {
            continue;
        }
        // An interface that is new takes all of it along. One that stays listened before this step.
        let undo =
            if stays { vec![Op::Deconfigure(lacking)].into_iter().chain(listen(wanted)).collect() } else { vec![] };
        let mut made = world.made.resources.autoconfigured.iter().filter(|made| made.interface == wanted.interface);
        let reason = match made.next() {
            None => missing(false),
            Some(first) => different(first == wanted || made.any(|made| made == wanted)),
        };
        steps.push(Stage::Autoconfigure, reason, Op::Autoconfigure(wanted.clone()), undo);
    }
    silenced
}

/// Whether the kernel is about to forget the interface's routers: it does when forwarding is turned on, unless `accept_ra`
/// is 2 by then, which it becomes later (net/ipv6/route.c, rt6_purge_dflt_routers).
fn loses_routers(world: &World<'_>, wanted: &Autoconfigured) -> bool {
    let is_there = |key: &str, value: &str| {
        let sysctls = world.netns(&wanted.interface.netns).map(|inside| &inside.sysctls);
        sysctls.into_iter().flatten().any(|(there, is)| there.as_str() == key && is == value)
    };
    let accept_ra = SysctlKey::of_ipv6(&wanted.interface.name, "accept_ra");
    let is_written = world.desired.sysctls.iter().any(|sysctl| {
        let key = sysctl.key.as_str();
        sysctl.netns == wanted.interface.netns && key == ALL_FORWARDING && !is_there(key, &sysctl.value)
    });
    is_written && accept_ra.is_none_or(|key| !is_there(key.as_str(), "2"))
}

const ALL_FORWARDING: &str = "net.ipv6.conf.all.forwarding";

/// What is there of what the journal says that interfaces configured themselves with, before and after a change that was
/// stopped.
fn had<'a>(world: &World<'a>) -> BTreeMap<Place<'a>, Autoconfigured> {
    let mut all: BTreeMap<Place<'a>, Autoconfigured> = BTreeMap::new();
    let Resources { autoconfigured, remembered, .. } = &world.made.resources;
    for made in autoconfigured.iter().chain(remembered) {
        let there = part_there(world, made);
        let known = all.entry(place(&made.interface)).or_insert_with(|| nothing(made));
        let Autoconfigured { interface: _, addresses, routers, forwards: _ } =
            without(there, &known.addresses, &known.routers);
        known.addresses.extend(addresses);
        known.routers.extend(routers);
    }
    all
}

/// What is observed of it.
fn part_there(world: &World<'_>, of: &Autoconfigured) -> Autoconfigured {
    let mut there = nothing(of);
    if let Some(inside) = world.inside(&of.interface.netns)
        && let Some(link) = inside.links.get(of.interface.name.as_str())
    {
        let name = of.interface.name.to_string();
        there.addresses.extend(of.addresses.iter().filter(|address| link.autoconfigured.contains(address)));
        there.routers.extend(of.routers.iter().filter(|router| inside.routers.contains(&(name.clone(), **router))));
    }
    there
}

fn nothing(of: &Autoconfigured) -> Autoconfigured {
    Autoconfigured { addresses: Vec::new(), routers: Vec::new(), ..of.clone() }
}

fn is_nothing(of: &Autoconfigured) -> bool {
    of.addresses.is_empty() && of.routers.is_empty()
}

fn without(mut of: Autoconfigured, addresses: &[IpNetwork], routers: &[Ipv6Addr]) -> Autoconfigured {
    of.addresses.retain(|address| !addresses.contains(address));
    of.routers.retain(|router| !routers.contains(router));
    of
}

/// The part of it that somebody speaks of before anything is changed: that can be had again.
fn heard(world: &World<'_>, mut of: Autoconfigured) -> Autoconfigured {
    of.addresses.retain(|address| is_heard(world, *address));
    of.routers.retain(|router| spoken(world).any(|on| on.mac.link_local() == *router));
    of
}

fn is_heard(world: &World<'_>, address: IpNetwork) -> bool {
    spoken(world).any(|on| on.prefixes.iter().any(|prefix| IpNetwork::V6(*prefix).contains(address.ip())))
}

fn spoken<'a>(world: &World<'a>) -> impl Iterator<Item = &'a Advertised> {
    let inside = world.observed.namespaces.values().filter_map(|pin| match pin {
        Pin::Namespace(inside) => Some(inside),
        Pin::Closed | Pin::Empty | Pin::Other => None,
    });
    inside.flat_map(|inside| &inside.advertisers).flatten()
}

/// Whether the kernel takes a route over an interface to this next hop once all that goes is back.
pub(super) fn reaches_again(world: &World<'_>, link: &ObservedLink, via: IpAddr) -> bool {
    let mut again = link.autoconfigured.iter().filter(|address| is_heard(world, **address));
    restore::reaches(link, via) || link.up && again.any(|address| address.contains(via))
}

/// The routes of an interface that go with it, and that can be had again only when it has configured itself.
fn routes_by(world: &World<'_>, (netns, name): Place<'_>) -> Vec<Op> {
    let Some(inside) = world.inside(netns) else { return Vec::new() };
    let Some(link) = inside.links.get(name) else { return Vec::new() };
    let routes = inside.routes.iter().filter(|route| route.dev == name);
    let late = routes.filter(|route| reaches_again(world, link, route.via) && !restore::reaches(link, route.via));
    late.filter_map(|route| restore::route(netns, route)).map(Op::AddRoute).collect()
}

/// Lets it listen to routers, or not, as it did.
fn listened(world: &World<'_>, (netns, _): Place<'_>, of: &Autoconfigured) -> Option<Op> {
    let key = SysctlKey::of_ipv6(&of.interface.name, "accept_ra")?;
    let value = world.inside(netns)?.sysctls.get(&key)?.clone();
    Some(Op::SetSysctl(Sysctl { netns: netns.clone(), key, value }))
}

/// Lets it listen to routers.
fn listen(of: &Autoconfigured) -> Option<Op> {
    let key = SysctlKey::of_ipv6(&of.interface.name, "accept_ra")?;
    Some(Op::SetSysctl(Sysctl { netns: of.interface.netns.clone(), key, value: of.accept_ra().to_owned() }))
}
