//! Veth pairs and the attributes of their ends.

use super::world::{Place, World, place};
use super::{different, missing, restore};
use crate::model::{IfName, Mtu, Veth, VethEnd};
use crate::plan::steps::Steps;
use crate::plan::types::{LinkChange, Master, Op, Stage};
use std::collections::{HashMap, HashSet};

pub(super) fn steps(world: &World<'_>, steps: &mut Steps) {
    let made = MadeVeths::new(&world.made.resources.veths);
    for veth in &world.desired.veths {
        let ends = [&veth.a, &veth.b];
        if ends.iter().any(|end| world.kept(place(&end.interface)).is_none()) {
            let lasting = ends.iter().all(|end| world.netns(&end.interface.netns).is_some());
            let undo = if lasting { vec![Op::DeleteLink(veth.a.interface.clone())] } else { Vec::new() };
            steps.push(Stage::Links, missing(made.has_pair(veth)), Op::AddVeth(veth.clone()), undo);
            continue;
        }
        for end in ends {
            if let Some((change, undo)) = change(world, end) {
                steps.push(Stage::ChangeLinks, different(made.has_end(end)), Op::SetLink(change), undo);
            }
        }
    }
}

/// What has to change about an end that is there, and what changes it back.
fn change(world: &World<'_>, end: &VethEnd) -> Option<(LinkChange, Vec<Op>)> {
    let at = place(&end.interface);
    let link = world.kept(at)?;
    let nothing = LinkChange::of(end.interface.clone());
    let (mut to, mut back) = (nothing.clone(), nothing.clone());
    if link.mac != Some(end.mac) {
        (to.mac, back.mac) = (Some(end.mac), link.mac);
    }
    if link.mtu_bytes != end.mtu.bytes() {
        (to.mtu, back.mtu) = (Some(end.mtu), Mtu::try_from(link.mtu_bytes).ok());
    }
    if link.up != end.up {
        (to.up, back.up) = (Some(end.up), Some(link.up));
    }
    if let Some(now) = link.software_checksums.filter(|now| *now != end.software_checksums) {
        (to.software_checksums, back.software_checksums) = (Some(end.software_checksums), Some(now));
    }
    let changes_master = world.changes_master(end);
    if changes_master {
        to.master = Some(end.master.clone().map_or(Master::Nothing, Master::Bridge));
        back.master = Some(master_back(world, at));
    }
    if to == nothing {
        return None;
    }
    let mut undo = vec![Op::SetLink(back)];
    if changes_master && world.master_left(at).is_some() {
        undo.extend(restore::port(at, link));
    }
    Some((to, undo))
}

/// The bridge that an end was at; none where that bridge goes too, whose own undo takes its ports back.
fn master_back(world: &World<'_>, at: Place<'_>) -> Master {
    let left = world.master_left(at).and_then(|name| IfName::try_from(name).ok());
    left.map_or(Master::Nothing, Master::Bridge)
}

struct MadeVeths<'a> {
    pairs: HashSet<[Place<'a>; 2]>,
    ends: HashMap<Place<'a>, Vec<&'a VethEnd>>,
}

impl<'a> MadeVeths<'a> {
    fn new(veths: &'a [Veth]) -> Self {
        let pairs = veths.iter().map(|veth| [place(&veth.a.interface), place(&veth.b.interface)]).collect();
        let mut ends: HashMap<_, Vec<_>> = HashMap::new();
        for end in veths.iter().flat_map(|veth| [&veth.a, &veth.b]) {
            ends.entry(place(&end.interface)).or_default().push(end);
        }
        Self { pairs, ends }
    }

    fn has_pair(&self, veth: &'a Veth) -> bool {
        self.pairs.contains(&[place(&veth.a.interface), place(&veth.b.interface)])
    }

    fn has_end(&self, end: &'a VethEnd) -> bool {
        self.ends.get(&place(&end.interface)).is_some_and(|made| made.contains(&end))
    }
}
