//! What must hold of the machine's own address, whatever becomes of the lab: it is somewhere at every moment, and it is back
//! before anything goes that it hangs on.

use super::{is_attached, unplugging};
use crate::desired::samples::any_spec;
use crate::desired::samples_uplink::{any_found_nic, any_two_specs, nic_uplink};
use crate::desired::{FoundNic, Resources};
use crate::model::ovs::{OvsChange, OvsGone, OvsRowId, OvsTable};
use crate::model::{AddressMode, IfName, Interface, NetnsName, Uplink, UplinkAddress};
use crate::plan::diff::tests::{possible, resources, resources_with, up};
use crate::plan::diff::{diff, previous_sysctls};
use crate::plan::simulator::uplink::Whereabouts;
use crate::plan::simulator::{Machine, made};
use crate::plan::{LinkChange, Made, Master, Op, Plan, Step, destroy};
use crate::spec::Spec;
use proptest::prelude::*;

/// A lab without an uplink, and with one by a NIC whose address moves along; and the machine's NIC.
fn any_attach() -> impl Strategy<Value = (Spec, Spec, FoundNic)> {
    let modes = prop::sample::select(vec![AddressMode::Keep, AddressMode::Dhcp, AddressMode::Auto]);
    let specs = any_spec().prop_filter("an uplink is at a switch", |spec| !spec.switches.is_empty());
    (specs, modes, 0..3_usize, any_found_nic()).prop_map(|(spec, address, at, nic)| {
        let without = Spec { uplink: None, ..spec };
        let uplink = nic_uplink(address, &without.switches[at % without.switches.len()].name);
        (without.clone(), Spec { uplink: Some(uplink), ..without }, nic)
    })
}

/// Where the machine's addresses are, which must be one place.
fn whereabouts(machine: &Machine, after: &Op) -> Result<Whereabouts, TestCaseError> {
    machine.whereabouts().map_err(|why| TestCaseError::fail(format!("after `{after}`: {why}")))
}

/// Does these ops; the machine's addresses are in one place all the while.
fn apply<'a>(machine: &mut Machine, ops: impl IntoIterator<Item = &'a Op>) -> Result<(), TestCaseError> {
    for op in ops {
        machine.apply(op).map_err(|why| TestCaseError::fail(format!("{op}: {why}")))?;
        whereabouts(machine, op)?;
    }
    Ok(())
}

fn undo(machine: &mut Machine, steps: &[Step]) -> Result<(), TestCaseError> {
    apply(machine, steps.iter().rev().flat_map(|step| &step.undo))
}

/// The steps in another order of those that a stage allows.
fn shuffled(plan: &Plan, order: &[u32]) -> Vec<Step> {
    let mut steps: Vec<(Step, u32)> = plan.steps.iter().cloned().zip(order.iter().copied().cycle()).collect();
    steps.sort_by_key(|(step, order)| (step.stage, *order));
    steps.into_iter().map(|(step, _)| step).collect()
}

/// What a machine has that attached an uplink to a lab: before, the plan for it, and what the journal says then.
fn attaching((without, with, nic): &(Spec, Spec, FoundNic)) -> (Machine, Plan, Made, Made, Resources) {
    let (without, with) = (resources(without), resources_with(with, Some(nic)));
    let (machine, made_before) = up(&without, &[&with]);
    let plan = diff(&with, &made_before, &machine.observed).unwrap();
    let later = made(&with, previous_sysctls(&with, &made_before, &machine.observed));
    let while_attaching = made_before.clone().union(later.clone());
    (machine, plan, while_attaching, later, with)
}

/// Whether an op takes away what a NIC hangs on: its bridge, its rows, the cable from there into the lab, the lab's bridge.
fn takes_away(op: &Op, of: &Resources) -> bool {
    let uplink = of.uplink.as_ref().unwrap();
    let hangs_on = |interface: &Interface| {
        let on_host = interface.netns == NetnsName::Host && interface.name == uplink.onto;
        let trunk = of.veths.iter().find(|veth| {
            [&veth.a, &veth.b].iter().any(|end| {
                end.interface.netns == NetnsName::Host
                    && of.host_bridge.as_ref().map(|b| &b.name) == end.master.as_ref()
            })
        });
        on_host
            || uplink.master().is_some()
                && trunk.is_some_and(|veth| [&veth.a, &veth.b].iter().any(|end| end.interface == *interface))
    };
    match op {
        Op::RemoveHostBridge(_) => true,
        Op::DeleteLink(interface)
        | Op::SetLink(
            LinkChange { interface, up: Some(false), .. } | LinkChange { interface, master: Some(Master::Nothing), .. },
        ) => hangs_on(interface),
        Op::DeleteLinks(netns, names) => {
            names.iter().any(|name| hangs_on(&Interface { netns: netns.clone(), name: name.clone() }))
        }
        Op::DeleteNetns(all) => {
            uplink.master().is_some()
                && all.iter().any(|n| NetnsName::from(n.name.clone()) == NetnsName::of_fabric(&uplink.lab))
        }
        Op::ChangeOvs(change) => uplink.ovs().is_some_and(|ovs| {
            let hangs: Vec<&OvsRowId> =
                ovs.rows.rows.iter().flat_map(|row| [Some(&row.id), row.parent.row.as_ref()]).flatten().collect();
            change.delete.iter().any(|gone| hangs.contains(&&gone.id))
        }),
        _ => false,
    }
}

/// Whether the NIC is given back before what it hangs on goes.
fn detaches_first(plan: &Plan, of: &Resources) -> Result<(), TestCaseError> {
    let detach = plan.steps.iter().position(|step| matches!(step.op, Op::DetachUplink(_)));
    let first = plan.steps.iter().position(|step| takes_away(&step.op, of));
    if let Some(first) = first {
        let before = detach.is_some_and(|detach| detach < first);
        prop_assert!(before, "`{}` comes first in {plan:#?}", plan.steps[first].op);
    }
    Ok(())
}

/// Something that somebody may do to an uplink behind nslab's back.
fn drift(machine: &mut Machine, of: &Resources, (what, which): (u8, usize)) {
    let uplink = of.uplink.as_ref().unwrap();
    let on_host = |name: &IfName| Interface { netns: NetnsName::Host, name: name.clone() };
    let op = match what {
        0 => {
            let nic = LinkChange::of(on_host(&uplink.nic.name));
            Some(Op::SetLink(LinkChange { master: Some(Master::Nothing), ..nic }))
        }
        1 => {
            machine.lose_address(which);
            None
        }
        2 => Some(Op::StopKeeper(Box::new(uplink.clone()))),
        3 => of.host_bridge.clone().map(Op::RemoveHostBridge),
        4 => uplink.ovs().map(|ovs| Op::ChangeOvs(unplugging(ovs))),
        5 => {
            // The bridge of the lab's, with its port to the host.
            let rows = of
                .ovs
                .iter()
                .filter(|_| uplink.ovs().is_some())
                .flat_map(|ovs| ovs.rows.iter().map(move |row| (ovs, row)));
            let mut bridges =
                rows.filter(|(_, row)| row.id.table == OvsTable::Bridge && row.name() == Some(uplink.onto.as_str()));
            bridges.next().map(|(ovs, row)| {
                let gone = OvsGone { id: row.id.clone(), parent: None, name: None };
                Op::ChangeOvs(OvsChange { delete: vec![gone], ..OvsChange::of(ovs) })
            })
        }
        _ => of.veths.last().map(|veth| Op::DeleteLink(veth.a.interface.clone())),
    };
    if let Some(op) = op {
        let _ = machine.apply(&op); // the same thing may be gone already
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_every_order_of_steps_the_addresses_are_in_one_place(
        lab in any_attach(),
        order in prop::collection::vec(any::<u32>(), 1..12),
    ) {
        let (before, plan, _, later, with) = attaching(&lab);
        let mut machine = before.clone();
        let steps = shuffled(&plan, &order);
        let mut was_away = false;
        for (count, step) in (1..).zip(&steps) {
            apply(&mut machine, [&step.op])?;
            // From then on they are away: they do not come back and go again.
            let is_away = whereabouts(&machine, &step.op)? == Whereabouts::Away;
            prop_assert!(!was_away || is_away, "`{}` gives them back", step.op);
            was_away = is_away;
            prop_assert!(!takes_away(&step.op, &with), "{}", step.op);
            let mut undone = machine.clone();
            undo(&mut undone, &steps[..count])?;
            prop_assert_eq!(undone.described(), before.described(), "after {}", step.op);
        }
        prop_assert!(was_away);
        prop_assert!(is_attached(with.uplink.as_ref().unwrap(), machine.observed.uplink.as_ref().unwrap()));
        prop_assert_eq!(diff(&with, &later, &machine.observed), Ok(Plan::default()));
    }

    #[test]
    fn from_every_step_of_an_attach_the_nic_is_given_back_first(lab in any_attach()) {
        let (before, plan, while_attaching, _, with) = attaching(&lab);
        let without = resources(&lab.0);
        let nothing = Machine::new(&[&without, &with]);
        let mut machine = before;
        for step in &plan.steps {
            machine.apply(&step.op).unwrap();
            // `down`, and what gives back an uplink when nothing else works.
            let (parts, rest) = while_attaching.clone().parted();
            for journal in [&while_attaching, &parts] {
                let (down, _) = destroy(journal, &machine.observed);
                let there = machine.whereabouts().unwrap();
                if there == Whereabouts::Away && !lab.2.nic.addresses.is_empty() {
                    prop_assert!(matches!(down.steps[0].op, Op::DetachUplink(_)), "{}", down.steps[0].op);
                }
                let mut given_back = machine.clone();
                apply(&mut given_back, down.steps.iter().map(|step| &step.op))?;
                prop_assert_eq!(given_back.whereabouts(), Ok(Whereabouts::Home));
                let told = given_back.observed.uplink.clone().unwrap();
                prop_assert_eq!((told.keepers, told.is_released), (0, false), "after {}", step.op);
                if journal == &while_attaching {
                    prop_assert_eq!(given_back.described(), nothing.described(), "after {}", step.op);
                } else {
                    // What is left is the lab without it, or what stands in for that until the next `up`.
                    let plan = diff(&without, &rest, &given_back.observed).unwrap();
                    apply(&mut given_back, plan.steps.iter().map(|step| &step.op))?;
                    let rest = made(&without, previous_sysctls(&without, &rest, &given_back.observed));
                    prop_assert_eq!(diff(&without, &rest, &given_back.observed), Ok(Plan::default()));
                }
            }
        }
    }

    #[test]
    fn whatever_a_lab_becomes_the_nic_is_given_back_before_what_it_hangs_on_goes((a, b) in any_two_specs()) {
        let (a, b) = (resources(&a), resources(&b));
        let (machine, made_a) = up(&a, &[&b]);
        if a.uplink.is_some() {
            detaches_first(&destroy(&made_a, &machine.observed).0, &a)?;
            detaches_first(&diff(&Resources::default(), &made_a, &machine.observed).unwrap(), &a)?;
        }
        let Some(plan) = possible(diff(&b, &made_a, &machine.observed), &a, &b) else { return Ok(()) };
        if a.uplink.is_some() {
            detaches_first(&plan, &a)?;
        }
        // And the addresses are somewhere, in each step, and in each undo from there.
        if [&a, &b].iter().any(|of| of.uplink.as_ref().is_some_and(|of| of.address == UplinkAddress::None)) {
            return Ok(());
        }
        let mut after = machine;
        for (count, step) in (1..).zip(&plan.steps) {
            apply(&mut after, [&step.op])?;
            undo(&mut after.clone(), &plan.steps[..count])?;
        }
    }

    #[test]
    fn what_somebody_does_to_an_uplink_is_repaired((_, with, nic) in any_attach(), drifts in prop::collection::vec((0..7_u8, 0..5_usize), 1..4)) {
        let desired = resources_with(&with, Some(&nic));
        let (mut machine, made) = up(&desired, &[]);
        let uplink = desired.uplink.as_ref().unwrap();
        for how in drifts {
            drift(&mut machine, &desired, how);
        }
        let plan = diff(&desired, &made, &machine.observed).unwrap();
        let mut repaired = machine.clone();
        for (count, step) in (1..).zip(&plan.steps) {
            repaired.apply(&step.op).map_err(|why| TestCaseError::fail(format!("{}: {why}", step.op)))?;
            // Undo gives back the NIC where there is no way to what it was before: the machine is somewhere.
            let mut undone = repaired.clone();
            undone.undo(&plan, count).map_err(TestCaseError::fail)?;
            let is_as_it_was = undone.described() == machine.described();
            prop_assert!(is_as_it_was || undone.whereabouts().is_ok(), "after {}: {:?}", step.op, undone.whereabouts());
            // And `down` gives it back from everywhere.
            let mut down = repaired.clone();
            down.run(&destroy(&made, &repaired.observed).0).map_err(TestCaseError::fail)?;
            prop_assert!(gives_back(&down, uplink), "after {}: {:?}", step.op, down.observed.uplink);
        }
        prop_assert_eq!(diff(&desired, &made, &repaired.observed), Ok(Plan::default()), "after {:#?}", plan);
        prop_assert!(is_attached(uplink, repaired.observed.uplink.as_ref().unwrap()));
    }
}

/// Whether the NIC has those addresses again that it had for good.
fn gives_back(machine: &Machine, of: &Uplink) -> bool {
    let told = machine.observed.uplink.clone().unwrap();
    let nic = told.nic.unwrap();
    let mut lasting = of.nic.addresses.iter().filter(|address| address.is_lasting());
    nic.master.is_none()
        && told.keepers == 0
        && !told.is_released
        && lasting.all(|address| nic.addresses.contains(&address.address))
}
