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
    // With the last one, the namespace goes: that may be all that is left, where nslab was killed before.
    let is_left =
        |made: &Volume| desired.is_empty() && world.observed.volumes.contains_key(&made.namespace) || is_there(made);
    for made in world.made.resources.volumes.iter().filter(|made| !desired.contains(&made.at) && is_left(made)) {
        // Undone, it is empty: but who had it can be started again.
        let undo = if is_there(made) { vec![Op::AddVolume(made.clone())] } else { Vec::new() };
        steps.push(Stage::RemoveNamespaces, Reason::Gone, Op::RemoveVolume(made.clone()), undo);
    }
    new
}

#[cfg(test)]
mod tests {
    use super::super::tests::{resources, up};
    use crate::desired::Resources;
    use crate::desired::samples::{container, node, spec};
    use crate::model::container::{Mount, MountKind, Root};
    use crate::model::{Propagation, Volume, VolumeKind, VolumeLimits};
    use crate::observed::Observed;
    use crate::plan::simulator::Machine;
    use crate::plan::{Made, Op, Plan, destroy, diff};
    use crate::spec::Node;

    fn volume(at: &str) -> Volume {
        Volume {
            name: "shared".into(),
            kind: VolumeKind::Tmpfs { size: None },
            limits: VolumeLimits::default(),
            propagation: Propagation::Private,
            namespace: "/run/nslab/labs/lab/volumes".into(),
            at: at.into(),
        }
    }

    fn of(at: &str) -> Resources {
        Resources { volumes: vec![volume(at)], ..Resources::default() }
    }

    #[test]
    fn one_that_is_to_be_another_is_made_beside_the_one_that_is_there() {
        let mut machine = Machine::default();
        let plan = diff(&of("/a"), &Made::default(), &machine.observed).unwrap();
        machine.run(&plan).unwrap();
        let made = Made { resources: of("/a"), ..Made::default() };
        assert_eq!(diff(&of("/a"), &made, &machine.observed), Ok(Plan::default()));
        let plan = diff(&of("/b"), &made, &machine.observed).unwrap();
        let ops: Vec<&Op> = plan.steps.iter().map(|step| &step.op).collect();
        assert_eq!(ops, [&Op::AddVolume(volume("/b")), &Op::RemoveVolume(volume("/a"))]);
        machine.run(&plan).unwrap();
        let made = Made { resources: of("/a").union(of("/b")), ..Made::default() };
        let (plan, _) = destroy(&made, &machine.observed);
        machine.run(&plan).unwrap();
        assert_eq!(machine.observed, Observed::default());
        assert_eq!(destroy(&made, &machine.observed).0, Plan::default());
    }

    #[test]
    fn one_that_vanished_is_made_anew_and_who_has_it_is_started_again() {
        let mut spec = spec("lab");
        spec.nodes.push(Node { container: Some(container(&["sleep"])), ..node("zion") });
        let mut desired = Resources { volumes: vec![volume("/a")], ..resources(&spec) };
        let Root::Own(root) = &mut desired.containers[0].container.root else { panic!("it has one") };
        let kind = MountKind::Volume {
            namespace: "/run/nslab/labs/lab/volumes".into(),
            path: "/a".into(),
            read_only: false,
            propagation: Propagation::Private,
        };
        root.mounts.push(Mount { target: "/shared".into(), kind });
        let (mut machine, made) = up(&desired, &[]);
        assert_eq!(diff(&desired, &made, &machine.observed), Ok(Plan::default()));
        machine.observed.volumes.clear();
        let mut limited = desired.clone();
        limited.containers[0].container.limits.pids = Some(7);
        for wanted in [&desired, &limited] {
            let plan = diff(wanted, &made, &machine.observed).unwrap();
            let ops: Vec<&Op> = plan.steps.iter().map(|step| &step.op).collect();
            let [was, is] = [&desired, wanted].map(|of| Box::new(of.containers[0].clone()));
            assert_eq!(ops, [&Op::StopContainer(was), &Op::AddVolume(volume("/a")), &Op::StartContainer(is)]);
        }
    }

    #[test]
    fn the_namespace_of_the_last_one_goes_though_it_is_empty() {
        let made = Made { resources: of("/a"), ..Made::default() };
        let mut machine = Machine::default();
        machine.observed.volumes.insert(volume("/a").namespace, std::collections::BTreeSet::new());
        let plan = diff(&Resources::default(), &made, &machine.observed).unwrap();
        let ops: Vec<&Op> = plan.steps.iter().map(|step| &step.op).collect();
        assert_eq!(ops, [&Op::RemoveVolume(volume("/a"))]);
        machine.run(&plan).unwrap();
        assert_eq!(machine.observed, Observed::default());
        assert_eq!(diff(&Resources::default(), &made, &machine.observed), Ok(Plan::default()));
    }
}
