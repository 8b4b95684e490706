//! The containers that nodes are.

use super::world::World;
use super::{different, missing};
use crate::model::container::{MountKind, Root};
use crate::model::{NodeContainer, PinName};
use crate::plan::steps::Steps;
use crate::plan::types::{Op, Reason, Stage};
use std::collections::HashSet;
use std::path::Path;

/// One that runs and is as it is to be stays, and where it just is to have other limits, gets them; one that has ended is started
/// again, one that is to be another one, or to have a volume that is made anew, is stopped before. Gives back the namespaces of
/// those that are started.
pub(super) fn steps<'a>(world: &World<'a>, new_volumes: &HashSet<&Path>, steps: &mut Steps) -> HashSet<&'a PinName> {
    let mut started = HashSet::new();
    for wanted in &world.desired.containers {
        let made = world.made.resources.containers.iter().find(|made| made.directory == wanted.directory);
        let there = world.observed.containers.get(&wanted.directory);
        let is_in_place = world.netns(&wanted.netns.name.clone().into()).is_some();
        let runs = there.is_some_and(|there| there.runs);
        let is_as_wanted = there.is_some_and(|there| there.started_as.as_ref() == Some(wanted));
        // It would keep the one that was there before.
        let has_new_volume = volumes(wanted).any(|at| new_volumes.contains(at));
        if runs && is_as_wanted && is_in_place && !has_new_volume {
            continue;
        }
        if let Some(was) = there.and_then(|there| there.started_as.as_ref()).filter(|_| runs && is_in_place)
            && !has_new_volume
            && with_limits_of(was, wanted) == *wanted
        {
            let [undo, limit] = [was, wanted].map(|of| Op::LimitContainer(Box::new(of.clone())));
            steps.push(Stage::Limits, different(made == Some(wanted)), limit, vec![undo]);
            continue;
        }
        let reason = if runs { different(made == Some(wanted)) } else { missing(made.is_some()) };
        if let Some(was) = there.filter(|there| there.runs) {
            stop(was.started_as.as_ref().unwrap_or(wanted), true, is_in_place, reason, steps);
        }
        let start = Op::StartContainer(Box::new(wanted.clone()));
        steps.push(stage(world, wanted), reason, start, vec![Op::StopContainer(Box::new(wanted.clone()))]);
        started.insert(&wanted.netns.name);
    }
    let desired: HashSet<_> = world.desired.containers.iter().map(|wanted| &wanted.directory).collect();
    for made in world.made.resources.containers.iter().filter(|made| !desired.contains(&made.directory)) {
        let Some(there) = world.observed.containers.get(&made.directory) else { continue };
        let is_in_place = world.inside(&made.netns.name.clone().into()).is_some();
        stop(there.started_as.as_ref().unwrap_or(made), there.runs, is_in_place, Reason::Gone, steps);
    }
    started
}

/// One that is held to other limits is the same still.
fn with_limits_of(one: &NodeContainer, other: &NodeContainer) -> NodeContainer {
    let mut changed = one.clone();
    changed.container.limits = other.container.limits.clone();
    changed
}

/// Where the volumes are that a container has.
fn volumes(of: &NodeContainer) -> impl Iterator<Item = &Path> {
    let mounts = match &of.container.root {
        Root::Own(root) => &root.mounts[..],
        Root::Callers => &[],
    };
    mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume { path, .. } => Some(path.as_path()),
        MountKind::Bind { .. } | MountKind::Tmpfs => None,
    })
}

/// A DHCP server may be a container, so they run before anybody asks one; a container of who asks finds what he was given.
fn stage(world: &World<'_>, of: &NodeContainer) -> Stage {
    let is_client = world.desired.dhcp_clients.iter().any(|client| client.netns.name == of.netns.name);
    if is_client { Stage::StartLeasedContainers } else { Stage::StartContainers }
}

/// Stops one; undo starts it again, where it ran and its namespace is there.
fn stop(was: &NodeContainer, ran: bool, is_in_place: bool, reason: Reason, steps: &mut Steps) {
    let of = || Box::new(was.clone());
    let undo = (ran && is_in_place).then(|| Op::StartContainer(of())).into_iter().collect();
    steps.push(Stage::StopContainers, reason, Op::StopContainer(of()), undo);
}
