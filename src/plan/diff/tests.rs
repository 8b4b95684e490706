//! A diff against a simulated machine: what it does to any lab, in any state, and that it can be undone from anywhere.

use super::{diff, previous_sysctls};
use crate::desired::samples::{any_spec, host_network, identity, single, two_node};
use crate::desired::samples_uplink::{any_two_specs, found_nic};
use crate::desired::{Backends, FoundNic, Resources, SwitchBackend, nat, resolve};
use crate::model::ovs::Datapath;
use crate::model::{
    GroupFwdMask, Interface, LinkLocal, NetnsName, NodeContainer, PinName, PortFwdMask, Veth, VlanId, VlanMode,
};
use crate::observed::{NameEntry, ObservedLinkKind, Pin};
use crate::plan::simulator::{Machine, made};
use crate::plan::{LinkChange, Made, Master, NotOurs, Op, Plan, PlanError, Reason, Stage, destroy};
use crate::spec::{Backend, Spec};
use proptest::prelude::*;
use std::path::Path;

/// The resources of a lab whose switches are what its topology says: Linux bridges where it leaves that open.
pub(super) fn resources(spec: &Spec) -> Resources {
    resources_with(spec, found_nic(spec).as_ref())
}

/// The same with this NIC for its uplink, where it has one.
pub(super) fn resources_with(spec: &Spec, nic: Option<&FoundNic>) -> Resources {
    let mut backends = Backends::linux(spec);
    for switch in spec.switches.iter().filter(|switch| switch.backend == Backend::Ovs) {
        backends.of.insert(switch.name.clone(), SwitchBackend::Ovs(Datapath::Netdev));
    }
    let nat = nat::choose(spec, &host_network(), &Resources::default(), nat::Missing::Fails).unwrap();
    resolve(spec, Path::new("/run/nslab/labs/lab/etc"), &identity(), &backends, nat.as_ref(), nic)
}

/// A machine with a lab on it, and what the lab's journal says.
pub(super) fn up(desired: &Resources, others: &[&Resources]) -> (Machine, Made) {
    let mut all = others.to_vec();
    all.push(desired);
    let mut machine = Machine::new(&all);
    let nothing = Made::default();
    let before = previous_sysctls(desired, &nothing, &machine.observed);
    let plan = diff(desired, &nothing, &machine.observed).unwrap();
    machine.run(&plan).unwrap();
    (machine, made(desired, before))
}

/// The plan from one lab to another; there is none where the two have different NICs, or not in the same way.
pub(super) fn possible(plan: Result<Plan, PlanError>, a: &Resources, b: &Resources) -> Option<Plan> {
    match plan {
        Err(PlanError::AnotherUplink { nic, address, onto }) => {
            let [a, b] = [a, b].map(|of| of.uplink.as_ref().unwrap());
            assert_eq!((&nic, address, &onto), (&a.nic.name, a.address, &a.onto));
            assert_ne!((&nic, address, &onto), (&b.nic.name, b.address, &b.onto));
            None
        }
        plan => Some(plan.unwrap()),
    }
}

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
        append(&mut both.resources, &b);
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

pub(super) fn append(to: &mut Resources, from: &Resources) {
    let Resources {
        netns,
        sysctls,
        bridges,
        veths,
        port_vlans,
        qdiscs,
        port_fwd_masks,
        addresses,
        advertisers,
        autoconfigured,
        remembered,
        dhcp_clients,
        routes,
        hosts_files,
        name_directories,
        containers,
        groups,
        volumes,
        execs,
        host_bridge,
        uplink,
        ovs,
        nat_tables,
        forward_passes,
    } = from.clone();
    match (&mut to.ovs, ovs) {
        (Some(to), Some(ovs)) => to.rows.extend(ovs.rows),
        (to, ovs) => *to = to.take().or(ovs),
    }
    to.host_bridge = to.host_bridge.take().or(host_bridge);
    to.uplink = to.uplink.take().or(uplink);
    to.netns.extend(netns);
    to.sysctls.extend(sysctls);
    to.bridges.extend(bridges);
    to.veths.extend(veths);
    to.port_vlans.extend(port_vlans);
    to.qdiscs.extend(qdiscs);
    to.port_fwd_masks.extend(port_fwd_masks);
    to.addresses.extend(addresses);
    to.advertisers.extend(advertisers);
    to.autoconfigured.extend(autoconfigured);
    to.remembered.extend(remembered);
    to.dhcp_clients.extend(dhcp_clients);
    to.containers.extend(containers);
    to.groups.extend(groups);
    to.volumes.extend(volumes);
    to.routes.extend(routes);
    to.hosts_files.extend(hosts_files);
    to.name_directories.extend(name_directories);
    to.execs.extend(execs);
    to.nat_tables.extend(nat_tables);
    to.forward_passes.extend(forward_passes);
}

fn netns(name: &str) -> NetnsName {
    serde_json::from_value(name.into()).unwrap()
}

fn pin(name: &NetnsName) -> PinName {
    name.pinned().unwrap().clone()
}

fn interface(netns: &NetnsName, name: &str) -> Interface {
    Interface { netns: netns.clone(), name: name.parse().unwrap() }
}

fn words(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{:?}: {}", step.reason, step.op)).collect()
}

#[test]
fn two_node_in_words() {
    let desired = resources(&two_node());
    let plan = diff(&desired, &Made::default(), &Machine::new(&[&desired]).observed).unwrap();
    assert_eq!(
        words(&plan),
        [
            "New: make the namespace two-node-fabric",
            "New: make the namespace two-node-net1",
            "New: make the namespace two-node-net2",
            "New: write the names of the nodes to /run/nslab/labs/lab/etc/10.0.0.0-24/hosts",
            "New: let two-node-net1 read names from /run/nslab/labs/lab/etc/10.0.0.0-24 (/etc/netns/two-node-net1)",
            "New: let two-node-net2 read names from /run/nslab/labs/lab/etc/10.0.0.0-24 (/etc/netns/two-node-net2)",
            "New: set net.ipv6.conf.all.disable_ipv6 to 1 in two-node-fabric",
            "New: set net.ipv6.conf.default.disable_ipv6 to 1 in two-node-fabric",
            "New: set net.ipv6.conf.all.disable_ipv6 to 1 in two-node-net1",
            "New: set net.ipv6.conf.default.disable_ipv6 to 1 in two-node-net1",
            "New: set net.ipv6.conf.all.disable_ipv6 to 1 in two-node-net2",
            "New: set net.ipv6.conf.default.disable_ipv6 to 1 in two-node-net2",
            "New: set up the bridge two-node-fabric:br0",
            "New: join two-node-net1:eth0 and br0 (port net1) by a veth pair",
            "New: join two-node-net2:eth0 and br0 (port net2) by a veth pair",
            "New: give two-node-net1:eth0 the address 10.0.0.1/24",
            "New: give two-node-net2:eth0 the address 10.0.0.2/24",
        ]
    );
}

#[test]
fn a_node_more_touches_nothing_else() {
    let (two, three) = (resources(&single("lab", "h", 2)), resources(&single("lab", "h", 3)));
    let (machine, made) = up(&two, &[&three]);
    assert_eq!(
        words(&diff(&three, &made, &machine.observed).unwrap()),
        [
            "New: make the namespace lab-h3",
            "Changed: write the names of the nodes to /run/nslab/labs/lab/etc/10.0.0.0-24/hosts",
            "New: let lab-h3 read names from /run/nslab/labs/lab/etc/10.0.0.0-24 (/etc/netns/lab-h3)",
            "New: set net.ipv6.conf.all.disable_ipv6 to 1 in lab-h3",
            "New: set net.ipv6.conf.default.disable_ipv6 to 1 in lab-h3",
            "New: join lab-h3:eth0 and br0 (port h3) by a veth pair",
            "New: give lab-h3:eth0 the address 10.0.0.3/24",
        ]
    );
    let (machine, made) = up(&three, &[]);
    assert_eq!(
        words(&diff(&two, &made, &machine.observed).unwrap()),
        [
            "Gone: remove the interface lab-fabric:h3",
            "Changed: write the names of the nodes to /run/nslab/labs/lab/etc/10.0.0.0-24/hosts",
            "Gone: remove the namespace lab-h3 and what runs in it",
            "Gone: remove /etc/netns/lab-h3",
        ]
    );
}

#[test]
fn repairs_say_what_was_broken() {
    let desired = resources(&two_node());
    let (mut machine, made) = up(&desired, &[]);
    let (net1, fabric) = (netns("two-node-net1"), netns("two-node-fabric"));
    machine.apply(&Op::DeleteLink(interface(&net1, "eth0"))).unwrap();
    let down = LinkChange { up: Some(false), ..LinkChange::of(interface(&fabric, "net2")) };
    machine.apply(&Op::SetLink(down)).unwrap();
    machine.inside(&net1).unwrap().loopback_up = false;
    assert_eq!(
        words(&diff(&desired, &made, &machine.observed).unwrap()),
        [
            "Repair: join two-node-net1:eth0 and br0 (port net1) by a veth pair",
            "Repair: set two-node-net1:lo up",
            "Repair: change two-node-fabric:net2: set it up",
            "Repair: give two-node-net1:eth0 the address 10.0.0.1/24",
        ]
    );
}

#[test]
fn what_is_not_ours_is_refused_all_at_once() {
    let desired = resources(&two_node());
    let (mut machine, mut made) = up(&desired, &[]);
    let [fabric, net1, net2] = ["two-node-fabric", "two-node-net1", "two-node-net2"].map(netns);
    machine.inside(&net1).unwrap().mark = None;
    machine.observed.namespaces.insert(net2.clone(), Pin::Other);
    machine.observed.name_directories.insert(pin(&net1), NameEntry::Other);
    let there = NameEntry::Link("/somewhere".into());
    machine.observed.name_directories.insert(pin(&net2), there);
    let link = machine.inside(&fabric).unwrap().links.get_mut("net2").unwrap();
    link.kind = ObservedLinkKind::Other("dummy".into());
    let error = diff(&desired, &made, &machine.observed).unwrap_err();
    assert_eq!(
        error,
        PlanError::NotOurs(vec![
            NotOurs::Netns { netns: pin(&net1), lab: None },
            NotOurs::PinFile { netns: pin(&net2) },
            NotOurs::NameDirectory { netns: pin(&net1), target: None },
            NotOurs::NameDirectory { netns: pin(&net2), target: Some("/somewhere".into()) },
            NotOurs::Link(interface(&fabric, "net2")),
        ])
    );
    assert_eq!(error.to_string().lines().count(), 6, "{error}");

    // With the mark, but of another state directory.
    made.resources.netns.clear();
    let error = diff(&desired, &made, &machine.observed).unwrap_err();
    assert!(
        matches!(&error, PlanError::NotOurs(all) if all[0] == NotOurs::Netns { netns: pin(&fabric), lab: Some("two-node".into()) })
    );
    assert!(error.to_string().contains("--state-dir"), "{error}");
}

#[test]
fn what_cannot_be_seen_needs_root_and_empty_pins_of_ours_are_used() {
    let desired = resources(&two_node());
    let (mut machine, made) = up(&desired, &[]);
    let net1 = netns("two-node-net1");
    machine.observed.namespaces.insert(net1.clone(), Pin::Closed);
    assert_eq!(diff(&desired, &made, &machine.observed), Err(PlanError::NeedsRoot(vec![pin(&net1)])));
    machine.observed.namespaces.insert(net1.clone(), Pin::Empty);
    assert!(matches!(diff(&desired, &Made::default(), &machine.observed), Err(PlanError::NotOurs(_))));
    let plan = diff(&desired, &made, &machine.observed).unwrap();
    assert!(plan.steps.iter().any(|step| matches!(&step.op, Op::AddNetns(netns) if netns.name == pin(&net1))));
}

#[test]
fn vlans_want_a_kernel_that_has_them() {
    let mut spec = two_node();
    spec.links[0].vlan = Some(VlanMode::Access(VlanId::try_from(10).unwrap()));
    let desired = resources(&spec);
    let mut machine = Machine::new(&[&desired]);
    machine.observed.kernel.vlan_filtering = Some(false);
    let error = diff(&desired, &Made::default(), &machine.observed).unwrap_err();
    assert_eq!(error, PlanError::NoVlanFiltering(vec!["br0".parse().unwrap()]));
    machine.observed.kernel.vlan_filtering = Some(true);
    assert!(diff(&desired, &Made::default(), &machine.observed).is_ok());
}

#[test]
fn snooping_wants_a_kernel_that_can_and_flooding_none() {
    let mut spec = two_node();
    spec.switches[0].mcast_snooping = Some(true);
    let desired = resources(&spec);
    let mut machine = Machine::new(&[&desired]);
    machine.observed.kernel.mcast_snooping = Some(false);
    let error = diff(&desired, &Made::default(), &machine.observed).unwrap_err();
    assert_eq!(error, PlanError::NoMcastSnooping(vec!["br0".parse().unwrap()]));
    assert!(error.is_lacking());
    machine.observed.kernel.mcast_snooping = Some(true);
    assert!(diff(&desired, &Made::default(), &machine.observed).is_ok());

    // Such a kernel's bridges flood whatever they are told, and show no setting: there is nothing to repair.
    for mcast_snooping in [Some(false), None] {
        spec.switches[0].mcast_snooping = mcast_snooping;
        let desired = resources(&spec);
        let (mut machine, made) = up(&desired, &[]);
        machine.observed.kernel.mcast_snooping = Some(false);
        let bridge = machine.inside(&netns("two-node-fabric")).unwrap().links.get_mut("br0").unwrap();
        bridge.kind = ObservedLinkKind::Bridge {
            stp: None,
            vlan_filtering: false,
            mcast_snooping: None,
            group_fwd_mask: GroupFwdMask::default(),
        };
        assert_eq!(diff(&desired, &made, &machine.observed), Ok(Plan::default()));
    }
}

#[test]
fn a_bridge_that_is_told_nothing_snoops_as_the_kernel_has_it() {
    let (mut flooding, bare) = (two_node(), two_node());
    flooding.switches[0].mcast_snooping = Some(false);
    let (flooding, bare) = (resources(&flooding), resources(&bare));
    let (machine, made) = up(&flooding, &[&bare]);
    let plan = diff(&bare, &made, &machine.observed).unwrap();
    assert_eq!(words(&plan), ["Changed: set up the bridge two-node-fabric:br0"]);
    let (machine, made) = up(&bare, &[&flooding]);
    let plan = diff(&flooding, &made, &machine.observed).unwrap();
    assert_eq!(words(&plan), ["Changed: set up the bridge two-node-fabric:br0, which floods multicast"]);
}

#[test]
fn what_switches_forward_is_set_and_repaired_by_bridge_and_by_port() {
    let (mut forwarding, bare) = (two_node(), resources(&two_node()));
    forwarding.switches[0].forward = LinkLocal::ALL.into();
    let forwarding = resources(&forwarding);
    let (mut machine, made) = up(&bare, &[&forwarding]);
    let plan = diff(&forwarding, &made, &machine.observed).unwrap();
    let all = [
        "set up the bridge two-node-fabric:br0, which forwards LLDP",
        "let two-node-fabric:net1 take LACP in to be forwarded",
        "let two-node-fabric:net2 take LACP in to be forwarded",
    ];
    assert_eq!(words(&plan), all.map(|step| format!("Changed: {step}")));
    // Neither the topology nor the journal has any of it: somebody set it.
    machine.run(&plan).unwrap();
    let plan = diff(&bare, &made, &machine.observed).unwrap();
    assert_eq!(plan.steps.iter().map(|step| step.reason).collect::<Vec<_>>(), [Reason::Repair; 3]);

    let (mut machine, made) = up(&forwarding, &[]);
    let port = interface(&netns("two-node-fabric"), "net2");
    machine.apply(&Op::SetPortFwdMask(PortFwdMask { port: port.clone(), mask: 0x9.into() })).unwrap();
    let plan = diff(&forwarding, &made, &machine.observed).unwrap();
    assert_eq!(words(&plan), ["Repair: let two-node-fabric:net2 take LACP in to be forwarded"]);
    let before = PortFwdMask { port, mask: 0x9.into() };
    assert_eq!(plan.steps[0].undo, [Op::SetPortFwdMask(before)]);
    // A port that comes back lets nothing in at first.
    machine.apply(&Op::DeleteLink(interface(&netns("two-node-net2"), "eth0"))).unwrap();
    let plan = words(&diff(&forwarding, &made, &machine.observed).unwrap());
    assert!(plan.contains(&"Repair: let two-node-fabric:net2 take LACP in to be forwarded".to_owned()), "{plan:#?}");
}

#[test]
fn commands_run_once_a_namespace() {
    let mut spec = two_node();
    spec.nodes[0].exec = vec![vec!["true".into()], vec!["echo".into(), "hello".into()]];
    let desired = resources(&spec);
    let (mut machine, mut made) = up(&desired, &[]);
    made.executed.pop();
    let run = |plan: Plan| plan.steps.into_iter().filter(|step| step.stage == Stage::Exec).count();
    assert_eq!(run(diff(&desired, &made, &machine.observed).unwrap()), 1);
    machine.apply(&Op::DeleteNetns(vec![desired.netns[1].clone()])).unwrap();
    assert_eq!(run(diff(&desired, &made, &machine.observed).unwrap()), 2);
}

#[test]
fn down_leaves_alone_what_is_somebody_elses_by_now() {
    let desired = resources(&two_node());
    let (mut machine, made) = up(&desired, &[]);
    let net1 = netns("two-node-net1");
    machine.inside(&net1).unwrap().mark = Some("theirs".into());
    machine.observed.name_directories.insert(pin(&net1), NameEntry::Other);
    let (plan, left_alone) = destroy(&made, &machine.observed);
    assert_eq!(left_alone.len(), 2);
    assert_eq!(
        words(&plan),
        [
            "Gone: remove the interfaces br0, net1 and net2 of two-node-fabric",
            "Gone: remove the namespaces two-node-fabric and two-node-net2 and what runs in them",
            "Gone: remove /etc/netns/two-node-net2",
            "Gone: remove /run/nslab/labs/lab/etc/10.0.0.0-24/hosts",
        ]
    );
}

#[test]
fn a_sysctl_goes_back_to_what_it_was_before() {
    let mut spec = two_node();
    let key = "net.ipv4.tcp_ecn";
    spec.nodes[0].sysctls.insert(key.parse().unwrap(), "1".into());
    let (with, without) = (resources(&spec), resources(&two_node()));
    let (mut machine, made) = up(&with, &[]);
    let before = previous_sysctls(&with, &made, &machine.observed);
    assert_eq!(before, made.previous_sysctls);
    let plan = diff(&without, &made, &machine.observed).unwrap();
    assert_eq!(words(&plan), ["Gone: set net.ipv4.tcp_ecn to 0 in two-node-net1"]);
    assert_eq!(plan.steps[0].reason, Reason::Gone);
    machine.run(&plan).unwrap();
    assert_eq!(machine.inside(&netns("two-node-net1")).unwrap().sysctls[&key.parse().unwrap()], "0");
}
