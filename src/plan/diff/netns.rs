//! Namespaces.

use super::missing;
use super::world::World;
use crate::model::{PinName, Sysctl};
use crate::plan::steps::Steps;
use crate::plan::types::{Op, Reason, Stage};
use std::collections::HashSet;

pub(super) fn steps(world: &World<'_>, steps: &mut Steps) {
    let made: HashSet<&PinName> = world.made.resources.netns.iter().map(|netns| &netns.name).collect();
    for netns in &world.desired.netns {
        match world.netns(&netns.name.clone().into()) {
            None => steps.push(
                Stage::Namespaces,
                missing(made.contains(&netns.name)),
                Op::AddNetns(netns.clone()),
                vec![Op::DeleteNetns(vec![netns.clone()])],
            ),
            Some(inside) if !inside.loopback_up => {
                // No undo: nobody wants a loopback that is down back.
                steps.push(Stage::ChangeLinks, Reason::Repair, Op::SetLoopbackUp(netns.name.clone()), Vec::new());
            }
            Some(_) => {}
        }
    }
    let (mut gone, mut back) = (Vec::new(), Vec::new());
    for going in &world.going {
        // Its links are removed, and restored, by themselves.
        let undo = going.inside.map_or_else(Vec::new, |inside| {
            let values = inside.sysctls.iter().filter(|(key, value)| {
                key.interface().is_none() && world.observed.pristine_sysctls.get(key) != Some(value)
            });
            std::iter::once(Op::AddNetns(going.netns.clone()))
                .chain(values.map(|(key, value)| {
                    Op::SetSysctl(Sysctl {
                        netns: going.netns.name.clone().into(),
                        key: key.clone(),
                        value: value.clone(),
                    })
                }))
                .collect()
        });
        gone.push(going.netns.clone());
        back.extend(undo);
    }
    if !gone.is_empty() {
        steps.push(Stage::RemoveNamespaces, Reason::Gone, Op::DeleteNetns(gone), back);
    }
}
