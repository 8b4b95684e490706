//! The link-local frames that bridge ports let in. A new port lets none in, and one that leaves its bridge forgets.

use super::world::{Place, World, place};
use super::{different, missing, restore};
use crate::model::{GroupFwdMask, PortFwdMask};
use crate::plan::steps::Steps;
use crate::plan::types::{Op, Stage};
use std::collections::HashMap;

pub(super) fn steps(world: &World<'_>, steps: &mut Steps) {
    let wanted = masks(&world.desired.port_fwd_masks);
    let made = masks(&world.made.resources.port_fwd_masks);
    let ends = world.desired.veths.iter().flat_map(|veth| [&veth.a, &veth.b]);
    // Ports that are to let nothing in among them: somebody, or a former topology, may have had them do.
    for end in ends.filter(|end| end.master.is_some()) {
        let at = place(&end.interface);
        let mask = wanted.get(&at).copied().unwrap_or_default();
        let made = made.get(&at).copied().unwrap_or_default();
        let set = Op::SetPortFwdMask(PortFwdMask { port: end.interface.clone(), mask });
        match world.kept(at).filter(|_| !world.changes_master(end)) {
            Some(link) => {
                if let Some(now) = restore::port_fwd_mask(at, link).filter(|now| now.mask != mask) {
                    steps.push(Stage::PortFwdMasks, different(made == mask), set, vec![Op::SetPortFwdMask(now)]);
                }
            }
            None if !mask.is_empty() => {
                steps.push(Stage::PortFwdMasks, missing(made == mask), set, Vec::new());
            }
            None => {}
        }
    }
}

fn masks(all: &[PortFwdMask]) -> HashMap<Place<'_>, GroupFwdMask> {
    all.iter().map(|PortFwdMask { port, mask }| (place(port), *mask)).collect()
}
