//! The cgroups that no container makes for itself.

use super::world::World;
use super::{different, missing};
use crate::model::{GroupState, LimitedGroup};
use crate::plan::steps::Steps;
use crate::plan::types::{Op, Reason, Stage};

/// One that is not there is made, and one that has other limits is given its own.
pub(super) fn steps(world: &World<'_>, steps: &mut Steps) {
    for wanted in &world.desired.groups {
        let made = world.made.resources.groups.iter().find(|made| made.cgroup == wanted.cgroup);
        let stage = if wanted.node.is_some() { Stage::Limits } else { Stage::LimitLab };
        let set = Op::SetGroup(wanted.clone());
        match world.observed.groups.get(&wanted.cgroup) {
            None | Some(GroupState::Begun) => {
                steps.push(stage, missing(made.is_some()), set, vec![Op::RemoveGroup(wanted.clone())]);
            }
            Some(GroupState::Limited(limits)) if *limits == wanted.limits => {}
            Some(GroupState::Limited(limits)) => {
                let undo = Op::SetGroup(LimitedGroup { limits: limits.clone(), ..wanted.clone() });
                steps.push(stage, different(made == Some(wanted)), set, vec![undo]);
            }
        }
    }
    for made in &world.made.resources.groups {
        let is_wanted = world.desired.groups.iter().any(|wanted| wanted.cgroup == made.cgroup);
        let Some(there) = world.observed.groups.get(&made.cgroup).filter(|_| !is_wanted) else { continue };
        let undo = match there {
            GroupState::Begun => Vec::new(),
            GroupState::Limited(limits) => {
                vec![Op::SetGroup(LimitedGroup { limits: limits.clone(), ..made.clone() })]
            }
        };
        // A container that is started in its place has one of its own there.
        let is_in_the_way = world.desired.containers.iter().any(|of| of.cgroup == made.cgroup);
        let stage = if is_in_the_way { Stage::Limits } else { Stage::RemoveGroups };
        steps.push(stage, Reason::Gone, Op::RemoveGroup(made.clone()), undo);
    }
}
