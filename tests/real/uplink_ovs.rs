//! A NIC of the machine as a port of a switch of Open vSwitch, whose internal port has the machine's address meanwhile.

use crate::support::conversation::Conversation;
use crate::support::nic::machine;
use crate::support::ovs::OpenVswitch;
use crate::support::run::{json, ok, sh, write};
use crate::support::street::{BEHIND, BEHIND_V6, PATIENCE, ROUTER, ROUTER_V6, STATIC_V4, STATIC_V6, Street, reaches};
use crate::support::{ThrowAwayHost, wait_until};
use crate::uplink_crash::Machine;

const LAB: &str = "
name: lab
nodes: {n1: {interfaces: {eth0: {addresses: [192.0.2.50/24, '2001:db8::50/64']}}}}
switches: {br0: {backend: ovs}}
links: [[n1, br0]]
";

/// A lab on Open vSwitch, and a machine with addresses of both families.
pub(crate) fn begin(host: &ThrowAwayHost) -> Machine {
    begin_with(host, &[STATIC_V4, STATIC_V6])
}

/// The same of a machine that has these addresses.
pub(crate) fn begin_with(host: &ThrowAwayHost, addresses: &[&str]) -> Machine {
    let ovs = OpenVswitch::start(host);
    let street = Street::new();
    street.without_offloads();
    for script in addresses {
        sh(script);
    }
    ok(&["up", &write(host, "lab.yaml", LAB)]);
    // A device that was never up has no queueing discipline, and never loses the one that it gets then.
    sh("ip link set lab-br0 up; ip link set lab-br0 down");
    wait_until("the lab is settled", PATIENCE, || !machine().contains("tentative"));
    Machine { before: machine(), street, ovs: Some(ovs) }
}

#[test]
fn both_families_come_back_as_they_were() {
    ThrowAwayHost::run(|host| {
        let on = begin(host);
        let conversations: Vec<Conversation> =
            [BEHIND, BEHIND_V6].into_iter().map(|to| Conversation::with(&on.street, to)).collect();
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
        on.assert_as_it_was("after detach");
        for conversation in conversations {
            conversation.end();
        }
        assert!(!sh("ovs-vsctl list-ports lab-br0").contains("eth0"));
        ok(&["down"]);
    });
}

/// All that is the NIC's: the lab's own goes.
fn nic() -> String {
    sh("ip -d address show dev eth0; ip -d route show; ip -d -6 route show dev eth0; ip -d -6 route show default; ip rule
        tc qdisc show dev eth0; grep -r . /proc/sys/net/ipv4/conf/eth0 /proc/sys/net/ipv6/conf/eth0 2>/dev/null || true")
}

#[test]
fn down_gives_back_first() {
    ThrowAwayHost::run(|host| {
        let _on = begin(host);
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
        let Machine { street, before: _, ovs: _ovs } = begin(host);
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
