//! A NIC of the machine as a port of a switch of Open vSwitch, whose internal port has the machine's address meanwhile.

use crate::support::conversation::Conversation;
use crate::support::nic::machine;
use crate::support::ovs::OpenVswitch;
use crate::support::run::{json, ok, sh, write};
use crate::support::street::{BEHIND, BEHIND_V6, PATIENCE, ROUTER, ROUTER_V6, STATIC_V4, STATIC_V6, Street, reaches};
use crate::support::{ThrowAwayHost, wait_until};

const LAB: &str = "
name: lab
nodes: {n1: {interfaces: {eth0: {addresses: [192.0.2.50/24, '2001:db8::50/64']}}}}
switches: {br0: {backend: ovs}}
links: [[n1, br0]]
";

/// A lab on Open vSwitch, and a street whose router puts its checksums in itself, as a real one does: ovs-vswitchd takes
/// frames as they are.
fn begin(host: &ThrowAwayHost) -> (OpenVswitch, Street) {
    let ovs = OpenVswitch::start(host);
    let street = Street::new();
    street.sh("ethtool -K nic tx off > /dev/null");
    sh("ethtool -K eth0 tx off > /dev/null");
    sh(STATIC_V4);
    sh(STATIC_V6);
    ok(&["up", &write(host, "lab.yaml", LAB)]);
    (ovs, street)
}

/// All that is the NIC's; the switch's own port to the host is the lab's.
fn nic() -> String {
    sh("ip -d address show dev eth0; ip -d route show; ip -d -6 route show dev eth0; ip -d -6 route show default; ip rule
        tc qdisc show dev eth0; grep -r . /proc/sys/net/ipv4/conf/eth0 /proc/sys/net/ipv6/conf/eth0 2>/dev/null || true")
}

#[test]
fn both_families_come_back_as_they_were() {
    ThrowAwayHost::run(|host| {
        let (_ovs, street) = begin(host);
        let before = nic();
        let conversations: Vec<Conversation> =
            [BEHIND, BEHIND_V6].into_iter().map(|to| Conversation::with(&street, to)).collect();
        let attached = ok(&["uplink", "attach", "eth0"]);
        assert!(attached.contains("make eth0 a port of lab-br0"), "{attached}");
        assert_eq!(sh("ovs-vsctl port-to-br eth0"), "lab-br0\n");
        for to in [BEHIND, BEHIND_V6, ROUTER, ROUTER_V6] {
            assert!(reaches(to), "{to} once the NIC is attached:\n{}", machine());
        }
        // What comes in is not taken twice, by ovs-vswitchd's copy and by the NIC itself.
        for to in [ROUTER, ROUTER_V6] {
            let said = sh(&format!("ping -c 3 -i 0.2 -W 5 {to}"));
            assert!(!said.contains("DUP"), "{said}");
        }
        for to in [ROUTER, ROUTER_V6] {
            ok(&["exec", "n1", "--", "ping", "-c", "1", "-W", "10", to]);
        }
        assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]), "while attached");
        ok(&["uplink", "detach"]);
        wait_until("the machine is as it was", PATIENCE, || nic() == before);
        for conversation in conversations {
            conversation.end();
        }
        assert!(!sh("ovs-vsctl list-ports lab-br0").contains("eth0"));
        ok(&["down"]);
    });
}

#[test]
fn down_gives_back_first() {
    ThrowAwayHost::run(|host| {
        let (_ovs, _street) = begin(host);
        let before = nic();
        ok(&["uplink", "attach", "eth0"]);
        assert_ne!(nic(), before);
        ok(&["down"]);
        wait_until("the machine is as it was", PATIENCE, || nic() == before);
        assert!(reaches(ROUTER) && reaches(ROUTER_V6), "{}", machine());
        assert_eq!(sh("ovs-vsctl list-br"), "");
    });
}

/// A spanning tree makes Open vSwitch's bridge another one, and its port to the host goes with the former: the machine's
/// addresses are on the NIC meanwhile. And where the topology loses both, they are there before.
#[test]
fn a_switch_that_is_made_anew_has_the_nic_again() {
    ThrowAwayHost::run(|host| {
        let (_ovs, street) = begin(host);
        let before = nic();
        let with = format!("{LAB}uplink: {{nic: eth0}}\n");
        ok(&["up", &write(host, "with.yaml", &with)]);
        let conversation = Conversation::with(&street, BEHIND);
        let another = with.replace("backend: ovs", "backend: ovs, rstp: true");
        let said = ok(&["up", &write(host, "another.yaml", &another)]);
        let at = |what: &str| said.find(what).unwrap_or_else(|| panic!("{what} in {said}"));
        assert!(at("give eth0 back") < at("make eth0 a port of lab-br0"), "{said}");
        assert_eq!(sh("ovs-vsctl port-to-br eth0; ovs-vsctl get Bridge lab-br0 rstp_enable"), "lab-br0\ntrue\n");
        for to in [BEHIND, BEHIND_V6, ROUTER, ROUTER_V6] {
            wait_until(&format!("the machine reaches {to}"), PATIENCE, || reaches(to));
        }
        conversation.end();
        assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]), "while attached");
        // Neither the uplink nor the switch any more.
        ok(&["up", &write(host, "alone.yaml", "name: lab\nnodes: {n1: }\n")]);
        wait_until("the machine is as it was", PATIENCE, || nic() == before);
        ok(&["down"]);
    });
}
