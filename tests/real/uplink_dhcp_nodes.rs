//! Nodes that take their address by DHCP from the machine's real network, through a lab's uplink.

use crate::support::keepers::keepers;
use crate::support::nic::{assert_same, machine};
use crate::support::run::{json, ok, sh, write};
use crate::support::street::{BEHIND, PATIENCE, ROUTER, Street, assert_reaches};
use crate::support::{ThrowAwayHost, wait_until};
use crate::uplink_dhcp::{begin, dnsmasq, lease_by_hand, said};

/// A lab whose node takes an address from where its uplink leads.
const LEASED: &str = "
name: lab
uplink: {nic: eth0}
nodes: {h: {interfaces: {eth0: {address: dhcp, mac: '02:00:00:00:02:20'}}}}
switches: {br0: }
links: [[h, br0]]
";

/// The same lab, before anybody thought of DHCP.
const ALONE: &str = "
name: lab
nodes: {n: {interfaces: {eth0: {addresses: [192.0.2.50/24]}}}}
switches: {br0: }
links: [[n, br0]]
";
const BOTH: &str = "
name: lab
uplink: {nic: eth0}
nodes:
  n: {interfaces: {eth0: {addresses: [192.0.2.50/24]}}}
  h: {interfaces: {eth0: {address: dhcp, mac: '02:00:00:00:02:20'}}}
switches: {br0: }
links: [[n, br0], [h, br0]]
";

/// What the node has by its lease.
fn leased() -> String {
    let shown = sh("ip -n lab-h -o -4 address show dev eth0 dynamic");
    shown.split_whitespace().nth(3).unwrap_or_default().to_owned()
}

/// How often the server gave or prolonged the node's lease.
fn given(host: &ThrowAwayHost) -> usize {
    let said = said(host);
    said.lines().filter(|line| line.contains("DHCPACK(nic)") && line.contains("02:00:00:00:02:20")).count()
}

/// The node has an address of the street's, is a host there like any other, and stays so.
fn node_is_on_street(host: &ThrowAwayHost) {
    let address = leased();
    assert!(address.starts_with("192.0.2.1") && address.ends_with("/24"), "{address:?}");
    let route = sh("ip -n lab-h -4 route show default");
    assert!(route.starts_with(&format!("default via {ROUTER} dev eth0 proto dhcp ")), "{route}");
    assert_eq!(ok(&["exec", "h", "--", "cat", "/etc/resolv.conf"]), format!("nameserver {ROUTER}\n"));
    ok(&["exec", "h", "--", "ping", "-c1", "-W5", "-q", BEHIND]);
    let before = given(host);
    wait_until("its lease is prolonged twice", 2 * PATIENCE, || given(host) >= before + 2);
    assert_eq!(leased(), address);
}

#[test]
fn a_node_has_a_lease_of_the_real_network_from_the_first_up_on() {
    ThrowAwayHost::run(|host| {
        let mut street = Street::new();
        sh(&lease_by_hand("192.0.2.77"));
        let before = machine();
        dnsmasq(host, &mut street, "192.0.2.77", ROUTER);
        let file = write(host, "lab.yaml", LEASED);
        println!("{}", ok(&["up", &file]));
        node_is_on_street(host);
        // The machine has its own lease as before, from the same server.
        let status = json(&["--json", "uplink", "status"]);
        assert_eq!((&status["address"], &status["lease"]["address"]), (&"dhcp".into(), &"192.0.2.77/24".into()));
        assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]));
        assert!(ok(&["plan", &file]).contains("nothing to do"));
        println!("{}", ok(&["down"]));
        assert_same(&before, &machine(), "after down");
        assert!(keepers().is_empty());
        assert_reaches(BEHIND, PATIENCE);
    });
}

#[test]
fn a_node_that_comes_to_an_attached_lab_has_a_lease_of_the_real_network() {
    ThrowAwayHost::run(|host| {
        let (mut street, before) = begin(host, "192.0.2.77");
        dnsmasq(host, &mut street, "192.0.2.77", ROUTER);
        ok(&["up", &write(host, "alone.yaml", ALONE)]);
        ok(&["uplink", "attach", "eth0"]);
        let keeper = keepers();
        println!("{}", ok(&["up", &write(host, "both.yaml", BOTH)]));
        assert_eq!(keepers(), keeper, "the uplink stays as it is");
        node_is_on_street(host);
        // Without the uplink, the node has its address until the lease ends; with it, the lease goes on.
        let address = leased();
        ok(&["uplink", "detach"]);
        assert_same(&before, &machine(), "after detach");
        assert_eq!(leased(), address);
        let renewed = given(host);
        ok(&["uplink", "attach", "eth0"]);
        wait_until("the lease is prolonged again", 5 * PATIENCE, || given(host) > renewed);
        assert_eq!(leased(), address);
        ok(&["down"]);
        assert_same(&before, &machine(), "after down");
    });
}
