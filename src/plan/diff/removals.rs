//! Interfaces that go: those not desired any more, and those to be made anew.

use super::restore;
use super::world::{Place, World, interface, place};
use crate::model::{IfName, NetnsName};
use crate::observed::ObservedLinkKind;
use crate::plan::steps::Steps;
use crate::plan::types::{Op, Reason, Stage};
use std::collections::{BTreeMap, HashSet};

/// One step a namespace, since the kernel waits once for all interfaces of a message.
pub(super) fn steps(world: &World<'_>, steps: &mut Steps) {
    if world.gone_links.is_empty() {
        return;
    }
    let mut by_netns: BTreeMap<&NetnsName, Vec<Place<'_>>> = BTreeMap::new();
    let mut done = HashSet::new();
    for &end in &world.gone_links {
        if !done.insert(end) {
            continue;
        }
        let peer = world.peer(end);
        done.extend(peer);
        // By the end that is a bridge's port: then the bridge and its ports go, and come back, in one step.
        let by = peer.filter(|&peer| has_master(world, peer) && !has_master(world, end)).unwrap_or(end);
        by_netns.entry(by.0).or_default().push(by);
    }
    let intact = made_and_desired(world);
    for (netns, places) in by_netns {
        let names: Vec<IfName> = places.iter().filter_map(|&place| Some(interface(place)?.name)).collect();
        let reason = match places.iter().find(|&&place| !world.is_desired_link(place)) {
            Some(_) => Reason::Gone,
            None if places.iter().all(|place| intact.contains(place)) => Reason::Repair,
            None => Reason::Changed,
        };
        let op = match <[IfName; 1]>::try_from(names) {
            Ok([name]) => Op::DeleteLink(crate::model::Interface { netns: netns.clone(), name }),
            Err(names) if names.is_empty() => continue,
            Err(names) => Op::DeleteLinks(netns.clone(), names),
        };
        steps.push(Stage::RemoveLinks, reason, op, restore::links(world, &places));
    }
}

fn has_master(world: &World<'_>, (netns, name): Place<'_>) -> bool {
    let link = world.inside(netns).and_then(|inside| inside.links.get(name));
    link.is_some_and(|link| link.master.is_some() || matches!(link.kind, ObservedLinkKind::Bridge { .. }))
}

/// The ends of pairs that were made as they are still desired: where one goes, somebody has tampered with it.
fn made_and_desired<'a>(world: &World<'a>) -> HashSet<Place<'a>> {
    let ends = |veths: &'a [crate::model::Veth]| -> HashSet<[Place<'a>; 2]> {
        veths.iter().map(|veth| [place(&veth.a.interface), place(&veth.b.interface)]).collect()
    };
    let made = ends(&world.made.resources.veths);
    ends(&world.desired.veths).into_iter().filter(|ends| made.contains(ends)).flatten().collect()
}
