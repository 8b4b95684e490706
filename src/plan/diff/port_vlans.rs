//! VLANs of bridge ports. A port that leaves a bridge leaves its VLANs, so there is nothing to remove.

use super::world::{Place, World, place};
use super::{different, missing, restore};
use crate::model::{PortVlans, VethEnd, VlanMode};
use crate::plan::steps::Steps;
use crate::plan::types::{Op, Stage};
use std::collections::HashMap;

pub(super) fn steps(world: &World<'_>, steps: &mut Steps) {
    if world.desired.port_vlans.is_empty() {
        return;
    }
    let mut made: HashMap<Place<'_>, Vec<&VlanMode>> = HashMap::new();
    for PortVlans { port, mode } in &world.made.resources.port_vlans {
        made.entry(place(port)).or_default().push(mode);
    }
    let ends: HashMap<Place<'_>, &VethEnd> =
        world.desired.veths.iter().flat_map(|v| [&v.a, &v.b]).map(|end| (place(&end.interface), end)).collect();
    for wanted in &world.desired.port_vlans {
        let at = place(&wanted.port);
        let made = made.get(&at);
        let set = Op::SetPortVlans(wanted.clone());
        let rejoins = ends.get(&at).is_some_and(|end| world.changes_master(end));
        match world.kept(at) {
            Some(link) if !rejoins => {
                if link.port.as_ref().and_then(|port| port.vlans.as_ref()) != Some(&wanted.mode) {
                    let reason = different(made.is_some_and(|made| made.contains(&&wanted.mode)));
                    // Where none are observed, the bridge did not mind them, and will not once it is put back.
                    let undo = restore::port_vlans(at, link).map(Op::SetPortVlans).into_iter().collect();
                    steps.push(Stage::PortVlans, reason, set, undo);
                }
            }
            _ => steps.push(Stage::PortVlans, missing(made.is_some()), set, Vec::new()),
        }
    }
}
