//! Addresses of interfaces.

use super::missing;
use super::world::{Place, World, interface, place};
use crate::model::Address;
use crate::plan::steps::Steps;
use crate::plan::types::{Op, Reason, Stage};
use ipnetwork::IpNetwork;
use std::collections::{BTreeMap, HashSet};

/// The addresses that are taken from the interfaces that stay, and why.
type Leaving<'a> = BTreeMap<Place<'a>, BTreeMap<IpNetwork, Reason>>;

/// Names the steps, and the interfaces that have no IPv4 address for a moment: the kernel drops their IPv4 routes.
pub(super) fn steps<'a>(world: &World<'a>, steps: &mut Steps) -> HashSet<Place<'a>> {
    let desired: HashSet<&Address> = world.desired.addresses.iter().collect();
    let made: HashSet<&Address> = world.made.resources.addresses.iter().collect();
    let mut leaving = no_longer_desired(world, &desired);
    in_the_way(world, &mut leaving);
    for (at, link) in world.set_down() {
        for &address in link.addresses.iter().filter(|address| address.is_ipv6()) {
            leaving.entry(at).or_default().entry(address).or_insert(Reason::Changed);
        }
    }
    let shared = sharing_a_subnet(world, &mut leaving);

    for (&at, addresses) in &leaving {
        let Some(interface) = interface(at) else { continue };
        for (&address, &reason) in addresses {
            let delete = Op::DeleteAddress(Address { interface: interface.clone(), address });
            // With all that may have gone along, whether or not their own steps have been done.
            let back = addresses.keys().filter(|&&other| may_go_with(address, other));
            let undo = back.map(|&address| Op::AddAddress(Address { interface: interface.clone(), address })).collect();
            steps.push(Stage::RemoveAddresses, reason, delete, undo);
        }
    }
    for address in &world.desired.addresses {
        let at = place(&address.interface);
        let add = Op::AddAddress(address.clone());
        let undo = match world.link(at) {
            Some(link) if link.addresses.contains(&address.address) => continue,
            Some(_) => vec![Op::DeleteAddress(address.clone())],
            None => Vec::new(),
        };
        steps.push(Stage::Addresses, missing(made.contains(address)), add, undo);
    }
    for address in shared {
        let undo = vec![Op::DeleteAddress(address.clone())];
        steps.push(Stage::Addresses, Reason::Changed, Op::AddAddress(address), undo);
    }
    drained(world, &leaving)
}

fn no_longer_desired<'a>(world: &World<'a>, desired: &HashSet<&Address>) -> Leaving<'a> {
    let mut leaving = Leaving::new();
    for address in world.made.resources.addresses.iter().filter(|address| !desired.contains(address)) {
        let at = place(&address.interface);
        if world.link(at).is_some_and(|link| link.addresses.contains(&address.address)) {
            leaving.entry(at).or_default().insert(address.address, Reason::Gone);
        }
    }
    leaving
}

/// The same address with another prefix length: for IPv6, the kernel takes no second one.
fn in_the_way<'a>(world: &World<'a>, leaving: &mut Leaving<'a>) {
    for wanted in &world.desired.addresses {
        let at = place(&wanted.interface);
        let Some(link) = world.link(at).filter(|link| !link.addresses.contains(&wanted.address)) else { continue };
        for &other in link.addresses.iter().filter(|other| other.ip() == wanted.address.ip()) {
            leaving.entry(at).or_default().entry(other).or_insert(Reason::Repair);
        }
    }
}

/// Whether the kernel may remove `other` together with `address`: one in the same IPv4 subnet does so when it was the
/// first that was given, unless `promote_secondaries` is set, and which was first can't be seen.
fn may_go_with(address: IpNetwork, other: IpNetwork) -> bool {
    let same_subnet = address.network() == other.network() && address.prefix() == other.prefix();
    address == other || address.is_ipv4() && same_subnet
}

/// The addresses that may go along with others though they are to stay: they go and come back by steps of their own,
/// so that undo knows of them.
fn sharing_a_subnet<'a>(world: &World<'a>, leaving: &mut Leaving<'a>) -> Vec<Address> {
    let mut shared = Vec::new();
    for (&at, going) in leaving {
        for &address in world.link(at).into_iter().flat_map(|link| &link.addresses) {
            if !going.contains_key(&address) && going.keys().any(|&other| may_go_with(other, address)) {
                going.insert(address, Reason::Changed);
                shared.extend(interface(at).map(|interface| Address { interface, address }));
            }
        }
    }
    shared
}

fn drained<'a>(world: &World<'a>, leaving: &Leaving<'a>) -> HashSet<Place<'a>> {
    let is_drained = |(at, going): (&Place<'a>, &BTreeMap<IpNetwork, Reason>)| {
        let mut left = world.link(*at)?.addresses.iter().filter(|address| !going.contains_key(address));
        (going.keys().any(IpNetwork::is_ipv4) && !left.any(IpNetwork::is_ipv4)).then_some(*at)
    };
    leaving.iter().filter_map(is_drained).collect()
}
