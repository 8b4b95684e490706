//! What shapes what leaves by interfaces. It goes with them, so that of those that go there is nothing to remove.

use super::world::{Place, World, interface, place};
use super::{different, missing, restore};
use crate::model::Interface;
use crate::model::qdisc::{Qdiscs, Shaping};
use crate::observed::{ObservedLink, ObservedShaping};
use crate::plan::steps::Steps;
use crate::plan::types::{Op, Reason, Stage};
use std::collections::{BTreeSet, HashMap, HashSet};

pub(super) fn steps(world: &World<'_>, steps: &mut Steps) {
    let mut made: HashMap<Place<'_>, Vec<&Shaping>> = HashMap::new();
    for qdiscs in &world.made.resources.qdiscs {
        made.entry(place(&qdiscs.interface)).or_default().push(&qdiscs.shaping);
    }
    for wanted in &world.desired.qdiscs {
        let at = place(&wanted.interface);
        let set = Op::SetQdiscs(wanted.clone());
        match world.kept(at) {
            None => steps.push(Stage::Qdiscs, missing(made.contains_key(&at)), set, Vec::new()),
            Some(link) if link.shaping != Some(ObservedShaping::Known(wanted.shaping)) => {
                let reason = different(made.get(&at).is_some_and(|made| made.contains(&&wanted.shaping)));
                steps.push(Stage::Qdiscs, reason, set, vec![undo(&wanted.interface, link)]);
            }
            Some(_) => {}
        }
    }
    let desired: HashSet<Place<'_>> = world.desired.qdiscs.iter().map(|qdiscs| place(&qdiscs.interface)).collect();
    // In an order that is always the same.
    for at in made.into_keys().filter(|at| !desired.contains(at)).collect::<BTreeSet<_>>() {
        let Some(link) = world.kept(at).filter(|link| matches!(link.shaping, Some(ObservedShaping::Known(_)))) else {
            continue;
        };
        if let Some(interface) = interface(at) {
            let undo = vec![undo(&interface, link)];
            let set = Op::SetQdiscs(Qdiscs { interface, shaping: Shaping::default() });
            steps.push(Stage::Qdiscs, Reason::Gone, set, undo);
        }
    }
}

fn undo(interface: &Interface, link: &ObservedLink) -> Op {
    let before = restore::qdiscs(interface.clone(), link);
    Op::SetQdiscs(before.unwrap_or_else(|| Qdiscs { interface: interface.clone(), shaping: Shaping::default() }))
}

#[cfg(test)]
mod tests {
    use crate::desired::samples::{identity, two_node};
    use crate::desired::{Backends, Resources, resolve};
    use crate::model::Percent;
    use crate::model::Rate;
    use crate::model::conditions::{Chance, Conditions, Delay, Impairments, Loss};
    use crate::observed::{ObservedLink, ObservedShaping, Pin, QdiscKinds};
    use crate::plan::simulator::{Machine, made};
    use crate::plan::{Made, NotOurs, Plan, PlanError, diff};
    use crate::spec::Spec;

    fn resources(spec: &Spec) -> Resources {
        resolve(spec, std::path::Path::new("/run/names"), &identity(), &Backends::linux(spec), None, None)
    }

    /// net1's link, with these conditions for what net1 sends.
    fn with(conditions: Conditions) -> Resources {
        let mut spec = two_node();
        spec.links[0].behaviour.conditions[0] = conditions;
        resources(&spec)
    }

    fn delayed() -> Conditions {
        let delay = Some(Delay { time: "20ms".to_owned().try_into().unwrap(), jitter: None });
        Conditions { impairments: Impairments { delay, ..Impairments::default() }, ..Conditions::default() }
    }

    fn limited() -> Conditions {
        Conditions { rate: Rate::from_bits_per_second(1_000_000), ..Conditions::default() }
    }

    fn up(desired: &Resources) -> (Machine, Made) {
        let mut machine = Machine::new(&[desired]);
        machine.run(&diff(desired, &Made::default(), &machine.observed).unwrap()).unwrap();
        (machine, made(desired, Vec::new()))
    }

    fn eth0(machine: &mut Machine) -> &mut ObservedLink {
        let (_, pin) = machine.observed.namespaces.iter_mut().find(|(n, _)| n.to_string() == "two-node-net1").unwrap();
        let Pin::Namespace(inside) = pin else { panic!() };
        inside.links.get_mut("eth0").unwrap()
    }

    fn words(plan: &Plan) -> Vec<String> {
        plan.steps.iter().map(|step| format!("{:?}: {}", step.reason, step.op)).collect()
    }

    #[test]
    fn conditions_are_set_repaired_changed_and_lifted() {
        let (mut machine, made) = up(&with(delayed()));
        assert_eq!(words(&diff(&with(delayed()), &made, &machine.observed).unwrap()), [""; 0]);
        let lossy = Loss::Random(Chance { probability: Percent::from_parts(10_000), correlation: Percent::ZERO });
        let both = Conditions { impairments: Impairments { loss: Some(lossy), ..delayed().impairments }, ..limited() };
        assert_eq!(
            words(&diff(&with(both), &made, &machine.observed).unwrap()),
            [
                "Changed: set the conditions of what leaves by two-node-net1:eth0 to delay 20ms, loss 1%, rate 1mbit, queue 100"
            ]
        );
        assert_eq!(
            words(&diff(&resources(&two_node()), &made, &machine.observed).unwrap()),
            ["Gone: lift the conditions of what leaves by two-node-net1:eth0"]
        );
        eth0(&mut machine).shaping = None;
        assert_eq!(
            words(&diff(&with(delayed()), &made, &machine.observed).unwrap()),
            ["Repair: set the conditions of what leaves by two-node-net1:eth0 to delay 20ms"]
        );
    }

    #[test]
    fn traffic_control_of_somebody_elses_is_left_alone() {
        let plain = resources(&two_node());
        let (mut machine, made) = up(&plain);
        for shaping in [ObservedShaping::Other("htb".into()), eth0_shaping(&with(delayed()))] {
            eth0(&mut machine).shaping = Some(shaping);
            assert_eq!(words(&diff(&plain, &made, &machine.observed).unwrap()), [""; 0]);
        }
        eth0(&mut machine).shaping = Some(ObservedShaping::Other("htb".into()));
        let error = diff(&with(delayed()), &made, &machine.observed).unwrap_err();
        assert!(
            matches!(&error, PlanError::NotOurs(all) if matches!(&all[0], NotOurs::Qdisc { kind, .. } if kind == "htb"))
        );
        assert!(error.to_string().contains("`tc -n two-node-net1 qdisc delete dev eth0 root`"), "{error}");
    }

    fn eth0_shaping(desired: &Resources) -> ObservedShaping {
        ObservedShaping::Known(desired.qdiscs[0].shaping)
    }

    #[test]
    fn a_kernel_that_lacks_something_is_told_before_anything_is_done() {
        let lacks = |conditions, netem, tbf| {
            let desired = with(conditions);
            let mut machine = Machine::new(&[&desired]);
            machine.observed.kernel.qdiscs = Some(QdiscKinds { netem, tbf });
            diff(&desired, &Made::default(), &machine.observed).err()
        };
        assert!(matches!(lacks(delayed(), false, true), Some(PlanError::NoNetem(of)) if of.len() == 1));
        assert_eq!(lacks(limited(), false, true), None);
        assert!(matches!(lacks(limited(), true, false), Some(PlanError::NoTbf(of)) if of.len() == 1));
        assert_eq!(lacks(delayed(), true, false), None);
    }
}
