//! Volumes.

use super::missing;
use super::world::World;
use crate::model::Volume;
use crate::plan::steps::Steps;
use crate::plan::types::{Op, Reason, Stage};
use std::collections::HashSet;
use std::path::Path;

/// One that is there stays, with what is in it. One that is to be another is made beside it, and the old one goes last: what is in
/// it can't be brought back. Gives back where those are that are made.
pub(super) fn steps<'a>(world: &World<'a>, steps: &mut Steps) -> HashSet<&'a Path> {
    let is_there =
        |volume: &Volume| world.observed.volumes.get(&volume.namespace).is_some_and(|there| there.contains(&volume.at));
    let mut new = HashSet::new();
    for wanted in world.desired.volumes.iter().filter(|wanted| !is_there(wanted)) {
        let reason = missing(world.made.resources.volumes.contains(wanted));
        steps.push(Stage::Volumes, reason, Op::AddVolume(wanted.clone()), vec![Op::RemoveVolume(wanted.clone())]);
        new.insert(wanted.at.as_path());
    }
    let desired: HashSet<_> = world.desired.volumes.iter().map(|wanted| &wanted.at).collect();
    for made in world.made.resources.volumes.iter().filter(|made| !desired.contains(&made.at) && is_there(made)) {
        // Undone, it is empty: but who had it can be started again.
        let undo = vec![Op::AddVolume(made.clone())];
        steps.push(Stage::RemoveNamespaces, Reason::Gone, Op::RemoveVolume(made.clone()), undo);
    }
    new
}
