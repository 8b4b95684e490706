//! What holds of the diff of any two labs, whatever has happened to the machine in between.

use super::{possible, resources, up};
use crate::desired::Resources;
use crate::desired::samples::any_spec;
use crate::desired::samples_uplink::any_two_specs;
use crate::model::{Interface, NodeContainer, PortFwdMask, Veth, VlanId, VlanMode};
use crate::plan::diff::{diff, previous_sysctls};
use crate::plan::simulator::{Machine, made};
use crate::plan::{LinkChange, Made, Master, Op, Plan, Reason, Stage, destroy};
use proptest::prelude::*;
use std::path::Path;

fn stages_and_ids_are_in_order(plan: &Plan) {
    assert!(plan.steps.is_sorted_by_key(|step| step.stage));
    assert!((1..).zip(&plan.steps).all(|(id, step)| step.id.0 == id));
}

fn fwd_mask(port: Interface, how: usize) -> Op {
    Op::SetPortFwdMask(PortFwdMask { port, mask: [0x0, 0x4, 0x5][how % 3].into() })
}

/// A container ends, or is another one.
fn other_container(mut of: NodeContainer, how: usize) -> Op {
    if how.is_multiple_of(3) {
        of.container.limits.pids = Some(7);
        return Op::LimitContainer(Box::new(of));
    }
    of.terminal = !of.terminal;
    if how.is_multiple_of(2) { Op::StartContainer(Box::new(of)) } else { Op::StopContainer(Box::new(of)) }
}

/// Something that somebody may do behind nslab's back, chosen by three numbers.
fn drift(machine: &mut Machine, desired: &Resources, (what, which, how): (u8, usize, usize)) {
    fn pick<T>(all: &[T], which: usize) -> Option<&T> {
        all.get(which.checked_rem(all.len())?)
    }
    let ends: Vec<_> = desired.veths.iter().flat_map(|veth| [&veth.a, &veth.b]).collect();
    let end = pick(&ends, which).copied();
    let change = LinkChange::of;
    let op = match what {
        0 => pick(&desired.netns, which).cloned().map(|netns| Op::DeleteNetns(vec![netns])),
        1 => end.map(|end| Op::DeleteLink(end.interface.clone())),
        2 => end.map(|end| Op::SetLink(LinkChange { up: Some(false), ..change(end.interface.clone()) })),
        3 => end.map(|end| Op::SetLink(LinkChange { mtu: 1400.try_into().ok(), ..change(end.interface.clone()) })),
        4 => end.map(|end| {
            let mac = "02:ff:00:00:00:01".parse().ok();
            Op::SetLink(LinkChange { mac, ..change(end.interface.clone()) })
        }),
        5 => end.filter(|end| end.master.is_some()).map(|end| {
            let other = pick(&desired.bridges, how).map(|bridge| Master::Bridge(bridge.interface.name.clone()));
            let master = if how % 3 == 0 { Some(Master::Nothing) } else { other };
            Op::SetLink(LinkChange { master, ..change(end.interface.clone()) })
        }),
        6 => pick(&desired.addresses, which).cloned().map(Op::DeleteAddress),
        7 => pick(&desired.routes, which).cloned().map(Op::DeleteRoute),
        // But of the host's own interfaces: what somebody set there stays.
        8 => pick(&desired.sysctls, which).filter(|sysctl| !sysctl.key.as_str().contains(".wan0.")).map(|sysctl| {
            let mut sysctl = sysctl.clone();
            sysctl.value = how.to_string();
            Op::SetSysctl(sysctl)
        }),
        9 => pick(&desired.bridges, which).map(|bridge| Op::DeleteLink(bridge.interface.clone())),
        10 => pick(&desired.bridges, which).map(|bridge| {
            let mut bridge = bridge.clone();
            (bridge.stp, bridge.vlan_filtering) = (None, how % 2 == 0);
            bridge.mcast_snooping = Some(how % 3 == 0);
            bridge.group_fwd_mask = [0x0, 0x4000, 0x8][how % 3].into();
            Op::SetBridge(bridge)
        }),
        11 => pick(&desired.port_vlans, which).map(|vlans| {
            let mut vlans = vlans.clone();
            vlans.mode = VlanMode::Access(VlanId::try_from(99).unwrap());
            Op::SetPortVlans(vlans)
        }),
        12 => pick(&desired.hosts_files, which).map(|file| {
            let mut file = file.clone();
            file.content.push_str("10.9.9.9 own\n");
            if how % 2 == 0 { Op::WriteHosts(file) } else { Op::RemoveHosts(file) }
        }),
        13 => pick(&desired.name_directories, which).cloned().map(Op::RemoveNameDirectory),
        // Somebody removes rules of the host's packet filter, or switches forwarding off.
        20 => pick(&desired.nat_tables, which).cloned().map(Op::RemoveNatTable),
        21 => pick(&desired.forward_passes, which).cloned().map(Op::RemoveForwardPass),
        // A user's own address and route, which stay.
        14 => pick(&desired.addresses, which).map(|address| {
            let mut address = address.clone();
            let own = if how % 2 == 0 { address.address.iter().nth(200) } else { "10.200.0.1".parse().ok() };
            address.address = ipnetwork::IpNetwork::new(own.unwrap(), 24).unwrap();
            Op::AddAddress(address)
        }),
        15 => pick(&desired.routes, which).map(|route| {
            let mut route = route.clone();
            if how % 2 == 0 {
                route.metric = Some(999);
            } else {
                // In the way of ours, once that is gone.
                let _ = machine.apply(&Op::DeleteRoute(route.clone()));
                let of_dev = |interface: &Interface| interface.netns == route.netns && interface.name == route.dev;
                let given = desired.addresses.iter().filter(|a| of_dev(&a.interface)).map(|a| a.address);
                let made = desired.autoconfigured.iter().filter(|a| of_dev(&a.interface)).flat_map(|a| &a.addresses);
                let subnet = given.chain(made.copied()).find(|address| address.contains(route.via)).unwrap();
                route.via = subnet.iter().nth(77).unwrap();
            }
            Op::AddRoute(route)
        }),
        16 => end.map(|end| fwd_mask(end.interface.clone(), how)),
        // The sender is killed, or says something else; a host forgets what it heard, or half of it.
        17 => pick(&desired.advertisers, which).map(|of| {
            let mut of = of.clone();
            of.interfaces[0].prefixes = vec!["fd0f::/64".parse().unwrap()];
            if how % 2 == 0 { Op::StartAdvertiser(of) } else { Op::StopAdvertiser(of) }
        }),
        18 => pick(&desired.autoconfigured, which).map(|of| {
            let mut of = of.clone();
            if how % 2 == 0 {
                of.routers.clear();
            }
            Op::Deconfigure(of)
        }),
        // The client is killed, or holds a lease otherwise.
        19 => pick(&desired.dhcp_clients, which).map(|of| {
            let mut of = of.clone();
            of.leased.patience_s += 1;
            if how % 2 == 0 { Op::StartDhcpClient(of) } else { Op::StopDhcpClient(of) }
        }),
        22 => pick(&desired.containers, which).cloned().map(|of| other_container(of, how)),
        // An own veth pair in place of ours. With indices that nobody else has: it could not be told from ours otherwise.
        _ => pick(&desired.veths, which).zip(pick(&desired.veths, how)).map(|(one, other)| {
            let _ = machine.apply(&Op::DeleteLink(one.a.interface.clone()));
            let _ = machine.apply(&Op::DeleteLink(other.a.interface.clone()));
            machine.least_index += 1000;
            let (a, b) = (one.a.clone(), other.b.clone());
            let swap = a.master.is_none() && b.master.is_some();
            Op::AddVeth(if swap { Veth { a: b, b: a } } else { Veth { a, b } })
        }),
    };
    if let Some(op) = op {
        let _ = machine.apply(&op); // the same thing may be gone already
    }
}

fn any_drift() -> impl Strategy<Value = Vec<(u8, usize, usize)>> {
    prop::collection::vec((0..23_u8, 0..20_usize, 0..20_usize), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_lab_converges_and_goes_without_a_trace(spec in any_spec()) {
        let desired = resources(&spec);
        let (mut machine, made) = up(&desired, &[]);
        prop_assert_eq!(diff(&desired, &made, &machine.observed), Ok(Plan::default()));
        let (plan, left_alone) = destroy(&made, &machine.observed);
        stages_and_ids_are_in_order(&plan);
        machine.run(&plan).unwrap();
        prop_assert_eq!(left_alone, []);
        prop_assert_eq!(machine.described(), Machine::new(&[&desired]).described());
        // A diff towards nothing does the same.
        let (mut machine, made) = up(&desired, &[]);
        machine.run(&diff(&Resources::default(), &made, &machine.observed).unwrap()).unwrap();
        prop_assert_eq!(machine.described(), Machine::new(&[&desired]).described());
    }

    #[test]
    fn a_new_lab_can_be_undone_from_every_step(spec in any_spec()) {
        let desired = resources(&spec);
        let empty = Machine::new(&[&desired]);
        let plan = diff(&desired, &Made::default(), &empty.observed).unwrap();
        stages_and_ids_are_in_order(&plan);
        let mut machine = empty.clone();
        for (count, step) in (1..).zip(&plan.steps) {
            machine.apply(&step.op).unwrap();
            let mut undone = machine.clone();
            undone.undo(&plan, count).unwrap();
            prop_assert_eq!(undone.described(), empty.described(), "after {}", step.op);
        }
    }

    #[test]
    fn drift_is_repaired_and_repairs_can_be_undone(spec in any_spec(), drifts in any_drift()) {
        let desired = resources(&spec);
        let (mut machine, made) = up(&desired, &[]);
        for how in drifts {
            drift(&mut machine, &desired, how);
        }
        let drifted = machine.clone();
        let plan = diff(&desired, &made, &machine.observed).unwrap();
        stages_and_ids_are_in_order(&plan);
        for (count, step) in (1..).zip(&plan.steps) {
            machine.apply(&step.op).map_err(|why| TestCaseError::fail(format!("{}: {why}", step.op)))?;
            let mut undone = machine.clone();
            undone.undo(&plan, count).map_err(TestCaseError::fail)?;
            prop_assert_eq!(undone.described(), drifted.described(), "after {}", step.op);
        }
        prop_assert_eq!(diff(&desired, &made, &machine.observed), Ok(Plan::default()), "after {:#?}", plan);
    }

    #[test]
    fn what_two_labs_share_is_not_touched((a, b) in any_two_specs()) {
        let (a, b) = (resources(&a), resources(&b));
        let (machine, made) = up(&a, &[&b]);
        let Some(plan) = possible(diff(&b, &made, &machine.observed), &a, &b) else { return Ok(()) };
        let is_started = |record: &Path| {
            let of = |op: &Op| matches!(op, Op::StartContainer(of) if of.directory == record);
            plan.steps.iter().any(|step| of(&step.op))
        };
        for step in &plan.steps {
            match &step.op {
                Op::AddNetns(netns) => prop_assert!(!a.netns.contains(netns)),
                Op::DeleteNetns(all) => prop_assert!(!all.iter().any(|netns| b.netns.contains(netns))),
                Op::SetBridge(bridge) => prop_assert!(!a.bridges.contains(bridge)),
                Op::AddVeth(veth) => prop_assert!(!a.veths.contains(veth)),
                Op::AddAddress(address) if step.reason == Reason::Repair => {
                    // Its interface was joined to another.
                    let of = |all: &Resources| {
                        all.veths.iter().find(|v| [&v.a, &v.b].iter().any(|e| e.interface == address.interface)).cloned()
                    };
                    prop_assert_ne!(of(&a), of(&b));
                }
                Op::WriteHosts(file) => prop_assert!(!a.hosts_files.contains(file)),
                Op::AddNameDirectory(link) => prop_assert!(!a.name_directories.contains(link)),
                Op::StartContainer(of) => prop_assert!(!a.containers.contains(of)),
                Op::LimitContainer(of) => prop_assert!(!a.containers.contains(of)),
                Op::StopContainer(of) => prop_assert!(!b.containers.contains(of)),
                // A container that is started has not seen it.
                Op::Run(exec) if exec.container.as_deref().is_some_and(is_started) => {}
                Op::Run(exec) => prop_assert!(!a.execs.contains(exec)),
                Op::SetHostBridge(bridge) => prop_assert_ne!(a.host_bridge.as_ref(), Some(bridge)),
                Op::StartKeeper(of) | Op::ReleaseNic(of) | Op::AttachUplink(of) | Op::DetachUplink(of) => {
                    // What Open vSwitch makes anew takes along what is on it.
                    prop_assert!(a.uplink != b.uplink || of.ovs().is_some() && a.ovs != b.ovs);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn one_lab_becomes_another((a, b) in any_two_specs(), drifts in any_drift()) {
        let (a, b) = (resources(&a), resources(&b));
        let (mut machine, made_a) = up(&a, &[&b]);
        for how in drifts {
            drift(&mut machine, &a, how);
        }
        let before = machine.clone();
        let Some(plan) = possible(diff(&b, &made_a, &machine.observed), &a, &b) else { return Ok(()) };
        stages_and_ids_are_in_order(&plan);
        for (count, step) in (1..).zip(&plan.steps) {
            machine.apply(&step.op).map_err(|why| TestCaseError::fail(format!("{}: {why}", step.op)))?;
            let mut undone = machine.clone();
            undone.undo(&plan, count).map_err(|why| TestCaseError::fail(format!("{why} in {plan:#?}")))?;
            prop_assert_eq!(undone.described(), before.described(), "after {} of {:#?}", step.op, plan);
        }
        let made_b = made(&b, previous_sysctls(&b, &made_a, &before.observed));
        prop_assert_eq!(diff(&b, &made_b, &machine.observed), Ok(Plan::default()), "after {:#?}", plan);
        // A stopped change: the journal lists both labs. From every step, `up` finishes and `down` removes all.
        let mut both = made(&a, made_a.previous_sysctls.clone());
        both.resources = both.resources.union(b.clone());
        both.previous_sysctls.extend(previous_sysctls(&b, &made_a, &before.observed));
        let mut stopped = before;
        for step in &plan.steps {
            stopped.apply(&step.op).unwrap();
            let mut finished = stopped.clone();
            finished.run(&diff(&b, &both, &stopped.observed).unwrap()).map_err(TestCaseError::fail)?;
            let rest = diff(&b, &made_b, &finished.observed).unwrap();
            prop_assert!(rest.steps.iter().all(|step| [Stage::Serve, Stage::Exec].contains(&step.stage)), "{:#?}", rest);
            let mut down = stopped.clone();
            down.run(&destroy(&both, &stopped.observed).0).map_err(TestCaseError::fail)?;
            prop_assert_eq!(down.described(), Machine::new(&[&a, &b]).described());
        }
    }
}
