//! Frames between neighbours, and multicast: what an older kernel than the others' takes, with VLANs, and with the kernel's
//! datapath.

use crate::support::ThrowAwayHost;
use crate::support::frames::Wire;
use crate::support::ovs::OpenVswitch;
use crate::support::run::{json, ok, sh, write};

/// Two nodes in one VLAN and one in another, on a switch of which this is said.
fn lab(host: &ThrowAwayHost, what: &str) -> String {
    let text = format!(
        "name: lab\nswitches: {{s1: {{subnets: [10.0.0.0/24]{what}}}}}\nnodes: {{a: , b: , c: }}\n\
         links: [{{endpoints: [a, s1], vlan: 10}}, {{endpoints: [b, s1], vlan: 10}}, {{endpoints: [c, s1], vlan: 20}}]\n\
         expect: [{{reachable: [a, b]}}]\n"
    );
    write(host, "lab.yaml", &text)
}

#[track_caller]
fn forwards(file: &str, wanted: &[&str]) {
    ok(&["up", file]);
    ok(&["check", "--timeout", "20s"]); // any spanning tree has come to rest
    let [a, b] = ["lab-a", "lab-b"].map(Wire::of);
    assert_eq!(a.link_local_to(&b), wanted);
    assert_eq!(json(&["--json", "show"])["switches"][0]["forwards"], serde_json::json!(wanted));
    assert!(ok(&["plan", file]).contains("nothing to do"));
    // Nothing of it is anybody's in the other VLAN.
    let heard = sh("ip netns exec lab-c cat /sys/class/net/eth0/statistics/rx_packets");
    a.link_local_to(&b);
    assert_eq!(sh("ip netns exec lab-c cat /sys/class/net/eth0/statistics/rx_packets"), heard);
}

#[test]
fn they_pass_linux_bridges_as_it_is_said_and_stay_in_their_vlan() {
    ThrowAwayHost::run(|host| {
        let lab = |what: &str| lab(host, &format!(", backend: linux{what}"));
        forwards(&lab(""), &["stp"]);
        forwards(&lab(", forward: [lldp, lacp, stp], mcast_snooping: false"), &["lacp", "lldp", "stp"]);
        let snoops = || sh("ip netns exec lab-fabric cat /sys/class/net/s1/bridge/multicast_snooping");
        assert_eq!(snoops(), "0\n");
        forwards(&lab(", forward: [lacp], mcast_snooping: true"), &["lacp", "stp"]);
        assert_eq!(snoops(), "1\n");
        ok(&["down"]);
        // Beside a spanning tree, whose own frames go to everybody.
        let text = "name: lab\nswitches: {s1: {backend: linux, stp: true, forward: [lldp, lacp], subnets: [10.0.0.0/24]}}\n\
                    nodes: {a: , b: }\nlinks: [[a, s1], [b, s1]]\n";
        ok(&["up", &write(host, "tree.yaml", text)]);
        ok(&["check", "--timeout", "20s"]);
        let [a, b] = ["lab-a", "lab-b"].map(Wire::of);
        assert_eq!(a.link_local_to(&b), ["lacp", "lldp"]);
        ok(&["down"]);
    });
}

#[test]
fn they_pass_the_kernels_datapath_all_or_none_and_stay_in_their_vlan() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let lab = |what: &str| lab(host, &format!(", backend: ovs{what}"));
        forwards(&lab(""), &[]);
        forwards(&lab(", forward: [lacp], mcast_snooping: true"), &["lacp", "lldp", "stp"]);
        assert_eq!(sh("ovs-vsctl get Bridge lab-s1 mcast_snooping_enable"), "true\n");
        forwards(&lab(""), &[]);
        ok(&["down"]);
    });
}
