//! Bridges.

use super::world::{Place, World, place};
use super::{different, missing, restore};
use crate::model::Bridge;
use crate::observed::{ObservedLink, ObservedLinkKind};
use crate::plan::steps::Steps;
use crate::plan::types::{LinkChange, Op, Stage};
use std::collections::HashMap;

pub(super) fn steps(world: &World<'_>, steps: &mut Steps) {
    let mut made: HashMap<Place<'_>, Vec<&Bridge>> = HashMap::new();
    for bridge in &world.made.resources.bridges {
        made.entry(place(&bridge.interface)).or_default().push(bridge);
    }
    for bridge in &world.desired.bridges {
        let at = place(&bridge.interface);
        let made = made.get(&at);
        let set = Op::SetBridge(bridge.clone());
        match world.kept(at) {
            None => {
                let undo = match world.netns(at.0) {
                    Some(_) => vec![Op::DeleteLink(bridge.interface.clone())],
                    None => Vec::new(),
                };
                steps.push(Stage::Bridges, missing(made.is_some()), set, undo);
            }
            Some(link) if !is_so(link, bridge) => {
                let reason = different(made.is_some_and(|made| made.contains(&bridge)));
                steps.push(Stage::Bridges, reason, set, undo(at, link));
            }
            Some(_) => {}
        }
    }
}

fn is_so(link: &ObservedLink, bridge: &Bridge) -> bool {
    let Bridge { interface: _, mac, mtu, stp, vlan_filtering, mcast_snooping: _, group_fwd_mask } = bridge;
    let ObservedLinkKind::Bridge { mcast_snooping, .. } = link.kind else { return false };
    // Where the kernel can't snoop there is nothing to set: who needs it to was told before.
    let mcast_snooping = mcast_snooping.map(|_| bridge.snoops());
    link.up
        && link.mac == Some(*mac)
        && link.mtu_bytes == mtu.bytes()
        && link.kind
            == ObservedLinkKind::Bridge {
                stp: *stp,
                vlan_filtering: *vlan_filtering,
                mcast_snooping,
                group_fwd_mask: *group_fwd_mask,
            }
}

fn undo(at: Place<'_>, link: &ObservedLink) -> Vec<Op> {
    let Some(old) = restore::bridge(at, link) else { return Vec::new() };
    let interface = old.interface.clone();
    let mut undo = vec![Op::SetBridge(old)];
    if !link.up {
        undo.push(Op::SetLink(LinkChange { up: Some(false), ..LinkChange::of(interface) }));
    }
    undo
}
