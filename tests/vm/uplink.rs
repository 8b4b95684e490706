//! A NIC as a lab's uplink where the kernel has more than plain bridges and plain NICs: the datapath of openvswitch.ko, a
//! VLAN interface, a bond.

use crate::support::conversation::Conversation;
use crate::support::nic::assert_same;
use crate::support::ovs::OpenVswitch;
use crate::support::run::{fails, json, ok, sh, write};
use crate::support::street::{
    BEHIND, BEHIND_V6, ROUTER, ROUTER_V6, STATIC_V4, STATIC_V6, Street, assert_reaches, master,
};
use crate::support::{ThrowAwayHost, wait_until};
use std::time::{Duration, Instant};

/// What the kernel does by itself takes its time here.
const SOON: Duration = Duration::from_mins(1);

const LAB: &str = "
name: lab
nodes: {n1: {interfaces: {eth0: {addresses: [192.0.2.50/24, '2001:db8::50/64']}}}}
switches: {br0: {backend: BACKEND}}
links: [[n1, br0]]
";

/// Brings [`LAB`] up.
fn lab(host: &ThrowAwayHost, backend: &str) {
    ok(&["up", &write(host, "lab.yaml", &LAB.replace("BACKEND", backend))]);
}

/// What a machine has by hand on its NIC, on another one.
fn by_hand(nic: &str) {
    sh(&format!("{STATIC_V4}{STATIC_V6}").replace("dev eth0", &format!("dev {nic}")));
}

/// Waits until nobody else is found to have the address that the kernel gives an interface.
fn wait_for_own_address(nic: &str) {
    wait_until("its own address is known to be nobody else's", SOON, || {
        let shown = sh(&format!("ip -6 address show dev {nic}"));
        shown.contains("fe80:") && !shown.contains("tentative")
    });
}

/// All that is of these interfaces, and all routes and rules; what the lab has on the machine is not.
fn machine(interfaces: &[&str]) -> String {
    let of_each = |nic: &&str| {
        sh(&format!(
            "ip -d link show dev {nic}; ip -d address show dev {nic}; ip -d -6 route show dev {nic}
             tc qdisc show dev {nic}; grep -r . /proc/sys/net/ipv4/conf/{nic} /proc/sys/net/ipv6/conf/{nic} 2> /dev/null || true"
        ))
    };
    let all = "ip -d route show; ip -d -6 route show default; ip -4 rule; ip -6 rule";
    interfaces.iter().map(of_each).collect::<String>() + &sh(all)
}

/// Attaches a NIC to the lab that is up, and gives it back, with a connection open to what is behind the router. Who has it for a
/// port meanwhile, and whether the machine is as before, is what is looked at.
fn round_trip(street: &Street, nic: &str, port_of: &str, interfaces: &[&str]) {
    let before = machine(interfaces);
    let conversation = Conversation::with(street, BEHIND);
    println!("{}", ok(&["uplink", "attach", nic]));
    assert_eq!(master(nic).as_deref(), Some(port_of));
    assert_eq!(sh(&format!("ip -o address show dev {nic} scope global")), "", "they are elsewhere");
    for to in [BEHIND, BEHIND_V6, ROUTER, ROUTER_V6] {
        assert_reaches(to, SOON);
    }
    for to in [ROUTER, ROUTER_V6] {
        ok(&["exec", "n1", "--", "ping", "-c1", "-W20", to]);
    }
    wait_until("the keeper sees both gateways", SOON, || {
        let status = ok(&["uplink", "status"]);
        [ROUTER, ROUTER_V6].iter().all(|gateway| status.contains(&format!("gateway {gateway} answers")))
    });
    assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]), "while attached");
    println!("{}", ok(&["uplink", "detach"]));
    assert_returns(&before, interfaces);
    println!("{:?}", conversation.end());
    assert_eq!(master(nic), None);
    assert_reaches(ROUTER, SOON);
    assert_reaches(ROUTER_V6, SOON);
}

/// Waits until the machine is as it was, and says what differs where it never is.
#[track_caller]
fn assert_returns(before: &str, interfaces: &[&str]) {
    let begun = Instant::now();
    while machine(interfaces) != before && begun.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_same(before, &machine(interfaces), "after detach");
}

#[test]
fn a_nic_is_a_port_of_the_kernels_datapath_and_comes_back() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let street = Street::new();
        by_hand("eth0");
        lab(host, "ovs");
        assert_eq!(sh("ovs-vsctl get Bridge lab-br0 datapath_type"), "system\n");
        let dump = || sh("ovs-vsctl list-ports lab-br0");
        let ports = dump();
        round_trip(&street, "eth0", "ovs-system", &["eth0"]);
        assert_eq!(dump(), ports);
        ok(&["down"]);
        assert_reaches(ROUTER, SOON);
        assert_eq!(sh("ovs-vsctl list-br"), "");
    });
}

#[test]
fn a_vlan_interface_is_a_port_and_comes_back() {
    ThrowAwayHost::run(|host| {
        let street = Street::new();
        // The router is in the VLAN alone.
        street.sh(&format!(
            "ip addr flush dev nic; ip link add link nic name nic.10 type vlan id 10
             ip addr add {ROUTER}/24 dev nic.10; ip addr add {ROUTER_V6}/64 dev nic.10 nodad; ip link set nic.10 up"
        ));
        sh("ip link add link eth0 name eth0.10 type vlan id 10; ip link set eth0.10 up");
        wait_for_own_address("eth0.10");
        by_hand("eth0.10");
        lab(host, "linux");
        round_trip(&street, "eth0.10", "lab-uplink", &["eth0.10", "eth0"]);

        // What is in the VLAN goes on by it while the NIC below is a port.
        let before = machine(&["eth0.10", "eth0"]);
        let conversation = Conversation::with(&street, BEHIND);
        ok(&["uplink", "attach", "eth0"]);
        assert_eq!((master("eth0").as_deref(), master("eth0.10")), (Some("lab-uplink"), None));
        assert_reaches(ROUTER_V6, SOON);
        ok(&["uplink", "detach"]);
        assert_returns(&before, &["eth0.10", "eth0"]);
        println!("{:?}", conversation.end());
        ok(&["down"]);
    });
}

#[test]
fn a_bond_is_a_port_and_comes_back_and_what_it_bonds_is_refused() {
    ThrowAwayHost::run(|host| {
        let street = Street::new();
        sh("ip link add bond0 type bond mode active-backup miimon 100
            ip link set eth0 down; ip link set eth0 master bond0; ip link set bond0 up");
        wait_for_own_address("bond0");
        by_hand("bond0");
        lab(host, "linux");
        assert_reaches(ROUTER, SOON);
        round_trip(&street, "bond0", "lab-uplink", &["bond0", "eth0"]);

        let before = machine(&["bond0", "eth0"]);
        let refused = fails(&["uplink", "attach", "eth0"], 1);
        assert!(refused.contains("`eth0` is a port of `bond0` already"), "{refused}");
        assert!(refused.contains("attach `bond0` itself"), "{refused}");
        assert_same(&before, &machine(&["bond0", "eth0"]), "after a refusal");
        ok(&["down"]);
        sh("ip link del bond0");
    });
}
