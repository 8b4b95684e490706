//! The kernel's datapath, openvswitch.ko.

use crate::support::ThrowAwayHost;
use crate::support::ovs::OpenVswitch;
use crate::support::run::{ok, sh, write};

/// No program reads frames as bytes here, so that a card may be trusted to put checksums in.
#[test]
fn it_is_used_where_it_is_and_checksums_are_left_to_the_card() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let up = ok(&["up", "two-node"]);
        assert!(up.contains("(system datapath)"), "{up}");
        assert_eq!(sh("ovs-vsctl get Bridge two-node-br0 datapath_type"), "system\n");
        assert!(sh("ovs-appctl -t /run/openvswitch/ovs-vswitchd.ctl dpif/show").contains("system@ovs-system"));
        let features = sh("ip netns exec two-node-net1 ethtool -k eth0");
        assert!(features.contains("tx-checksum-ip-generic: on"), "{features}");
        ok(&["check", "--probe", "tcp", "--timeout", "20s"]);
        ok(&["down"]);
    });
}

#[test]
fn frames_that_come_in_too_fast_are_dropped() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let text = "name: lab\nswitches: {s1: {subnets: [10.0.0.0/24]}}\nnodes: {a: , b: }\n\
                    links: [{endpoints: [a, s1], ingress_policing: {rate: 100kbit, burst: 2kb}}, [b, s1]]\n";
        let up = ok(&["up", &write(host, "lab.yaml", text)]);
        assert!(!up.contains("does nothing"), "{up}");
        // A hundred requests of 1000 bytes at once are 800 thousand bits.
        sh("ip netns exec lab-a ping -q -f -c100 -s1000 -W1 10.0.0.2 || true");
        let arrived: u32 =
            sh("ip netns exec lab-b cat /sys/class/net/eth0/statistics/rx_packets").trim().parse().unwrap();
        let policed = sh("tc -s filter show dev lab-a ingress");
        assert!(policed.contains("police"), "{policed}");
        assert!(arrived < 100, "{arrived} frames arrived:\n{policed}");
        ok(&["down"]);
    });
}
