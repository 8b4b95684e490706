//! Commands run in the nodes once their network is up.

use super::missing;
use super::world::World;
use crate::model::{Exec, PinName};
use crate::plan::steps::Steps;
use crate::plan::types::{Op, Stage};
use std::collections::HashSet;

/// A lab's DHCP server is a command of a node's. So where there are clients, the commands of nodes that are none run before
/// these ask.
fn stage(world: &World<'_>, exec: &Exec) -> Stage {
    let clients = &world.desired.dhcp_clients;
    let is_client = clients.iter().any(|client| client.netns.name == exec.netns);
    if is_client || clients.is_empty() { Stage::Exec } else { Stage::Serve }
}

/// A command is run in a namespace that is made, in a container that is `started`, and where it was not yet run to its end.
pub(super) fn steps(world: &World<'_>, started: &HashSet<&PinName>, steps: &mut Steps) {
    let executed: HashSet<&Exec> = world.made.executed.iter().collect();
    for exec in &world.desired.execs {
        let was_run = executed.contains(exec);
        if world.netns(&exec.netns.clone().into()).is_none() || started.contains(&exec.netns) || !was_run {
            // What a command did, only the namespace's end undoes; what it left running can be ended.
            let undo = match world.netns(&exec.netns.clone().into()) {
                Some(_) => vec![Op::EndRun(exec.clone())],
                None => Vec::new(),
            };
            steps.push(stage(world, exec), missing(was_run), Op::Run(exec.clone()), undo);
        }
    }
}
