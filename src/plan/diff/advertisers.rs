//! The processes that advertise routers.

use super::world::World;
use super::{different, missing};
use crate::model::{Advertised, Advertiser, Netns, PinName};
use crate::observed::ObservedNetns;
use crate::plan::steps::Steps;
use crate::plan::types::{Op, Reason, Stage};
use std::collections::HashSet;

/// Such a process ends with its namespace's name, and with the interfaces that it speaks on.
pub(super) fn steps(world: &World<'_>, steps: &mut Steps) {
    let desired: HashSet<&PinName> = world.desired.advertisers.iter().map(|of| &of.netns.name).collect();
    for wanted in &world.desired.advertisers {
        let made = world.made.resources.advertisers.iter().find(|made| made.netns == wanted.netns);
        let inside = world.netns(&wanted.netns.name.clone().into());
        let running = inside.map_or(&[][..], |inside| &inside.advertisers);
        if running == std::slice::from_ref(&wanted.interfaces) && has_interfaces(world, wanted) {
            continue;
        }
        let reason = if running.is_empty() {
            missing(made.is_some())
        } else {
            stop(&wanted.netns, running, different(made == Some(wanted)), steps);
            different(made == Some(wanted))
        };
        let undo = inside.map(|_| Op::StopAdvertiser(wanted.clone())).into_iter().collect();
        steps.push(Stage::Advertise, reason, Op::StartAdvertiser(wanted.clone()), undo);
    }
    let staying =
        world.desired.netns.iter().filter_map(|netns| Some((netns, world.netns(&netns.name.clone().into())?)));
    let going = world.going.iter().filter_map(|going| Some((going.netns, going.inside?)));
    for (netns, inside) in staying.chain(going).filter(|(netns, _)| !desired.contains(&netns.name)) {
        let ObservedNetns { advertisers, .. } = inside;
        if !advertisers.is_empty() {
            stop(netns, advertisers, Reason::Gone, steps);
        }
    }
}

/// Whether the interfaces that a process speaks on are there and stay.
fn has_interfaces(world: &World<'_>, of: &Advertiser) -> bool {
    let netns = of.netns.name.clone().into();
    let Some(inside) = world.netns(&netns) else { return false };
    of.interfaces.iter().all(|on| {
        let place = inside.links.get_key_value(on.interface.as_str());
        let at = world.observed.pin(&of.netns.name).map(|(at, _)| at);
        place.zip(at).is_some_and(|((name, _), at)| world.link((at, name)).is_some())
    })
}

/// Stops all that run in a namespace; undo starts one again, as it was.
fn stop(netns: &Netns, running: &[Vec<Advertised>], reason: Reason, steps: &mut Steps) {
    let of = |interfaces: &Vec<Advertised>| Advertiser { netns: netns.clone(), interfaces: interfaces.clone() };
    let Some(first) = running.first() else { return };
    let was = running.iter().find(|interfaces| !interfaces.is_empty());
    let undo = was.map(|was| Op::StartAdvertiser(of(was))).into_iter().collect();
    steps.push(Stage::StopAdvertisers, reason, Op::StopAdvertiser(of(was.unwrap_or(first))), undo);
}
