//! A diff against a simulated machine: what it says of a lab, repairs, and refuses; `properties` has what holds of all.

mod properties;

use crate::desired::samples::{host_network, identity, single, two_node};
use crate::desired::samples_uplink::found_nic;
use crate::desired::{Backends, FoundNic, Resources, SwitchBackend, nat, resolve};
use crate::model::ovs::Datapath;
use crate::model::{GroupFwdMask, Interface, LinkLocal, NetnsName, PinName, PortFwdMask, VlanId, VlanMode};
use crate::observed::{NameEntry, ObservedLinkKind, Pin};
use crate::plan::diff::{diff, previous_sysctls};
use crate::plan::simulator::{Machine, made};
use crate::plan::{LinkChange, Made, NotOurs, Op, Plan, PlanError, Reason, Stage, destroy};
use crate::spec::{Backend, Spec};
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
