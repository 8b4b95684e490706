//! The processes that hold interfaces' DHCP leases.

use super::world::World;
use super::{different, missing};
use crate::model::{DhcpClient, IfName, Interface, Leased, Netns};
use crate::observed::ObservedNetns;
use crate::plan::steps::Steps;
use crate::plan::types::{Op, Reason, Stage};
use std::collections::HashSet;

/// Such a process ends with its namespace's name, and with its interface.
pub(super) fn steps(world: &World<'_>, steps: &mut Steps) {
    let desired: HashSet<Interface> = world.desired.dhcp_clients.iter().map(DhcpClient::interface).collect();
    for wanted in &world.desired.dhcp_clients {
        let made = world.made.resources.dhcp_clients.iter().find(|made| made.interface() == wanted.interface());
        let inside = world.netns(&wanted.netns.name.clone().into());
        let running = inside.map_or_else(Vec::new, |inside| running_for(inside, &wanted.leased.interface));
        if running == [&wanted.leased] && keeps_interface(world, wanted) {
            continue;
        }
        let reason = if running.is_empty() { missing(made.is_some()) } else { different(made == Some(wanted)) };
        if let Some(was) = running.first() {
            stop(&wanted.netns, was, reason, inside, steps);
        }
        let undo = inside.map(|_| Op::StopDhcpClient(wanted.clone())).into_iter().collect();
        steps.push(Stage::Lease, reason, Op::StartDhcpClient(wanted.clone()), undo);
    }
    let staying =
        world.desired.netns.iter().filter_map(|netns| Some((netns, world.netns(&netns.name.clone().into())?)));
    let going = world.going.iter().filter_map(|going| Some((going.netns, going.inside?)));
    for (netns, inside) in staying.chain(going) {
        let mut seen = HashSet::new();
        let is_desired = |leased: &Leased| {
            let interface = Interface { netns: netns.name.clone().into(), name: leased.interface.clone() };
            desired.contains(&interface)
        };
        for leased in inside.dhcp_clients.iter().filter(|leased| !is_desired(leased)) {
            if seen.insert(&leased.interface) {
                stop(netns, leased, Reason::Gone, Some(inside), steps);
            }
        }
        // Of one that was killed, the interface has the address still.
        let made = world.made.resources.dhcp_clients.iter().filter(|made| made.netns.name == netns.name);
        for made in made.filter(|made| !is_desired(&made.leased) && has_lease(inside, &made.leased.interface)) {
            if seen.insert(&made.leased.interface) {
                stop(netns, &made.leased, Reason::Gone, None, steps);
            }
        }
    }
}

fn running_for<'a>(inside: &'a ObservedNetns, interface: &IfName) -> Vec<&'a Leased> {
    inside.dhcp_clients.iter().filter(|leased| leased.interface == *interface).collect()
}

fn has_lease(inside: &ObservedNetns, interface: &IfName) -> bool {
    inside.links.get(interface.as_str()).is_some_and(|link| !link.leased.is_empty())
}

/// Whether the interface that a lease is for is there and stays.
fn keeps_interface(world: &World<'_>, of: &DhcpClient) -> bool {
    let Some((at, _)) = world.observed.pin(&of.netns.name) else { return false };
    world.kept((at, of.leased.interface.as_str())).is_some()
}

/// Stops all that hold a lease for an interface; undo starts one again, as it was, where one runs (`running_in`) and can be
/// answered.
fn stop(netns: &Netns, leased: &Leased, reason: Reason, running_in: Option<&ObservedNetns>, steps: &mut Steps) {
    let of = DhcpClient { netns: netns.clone(), leased: leased.clone() };
    let link = running_in.and_then(|inside| inside.links.get(leased.interface.as_str()));
    let is_up = link.is_some_and(|link| link.up);
    let undo = is_up.then(|| Op::StartDhcpClient(of.clone())).into_iter().collect();
    steps.push(Stage::StopDhcpClients, reason, Op::StopDhcpClient(of), undo);
}
