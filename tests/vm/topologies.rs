//! Every built-in topology on Open vSwitch with the kernel's datapath, and those on Linux bridges that want a stock kernel.

use crate::support::ThrowAwayHost;
use crate::support::ovs::OpenVswitch;
use crate::support::run::{ok, sh};

/// Patient, for the machine is slow.
const CHECK: [&str; 3] = ["check", "--timeout", "20s"];

const ALL: [&str; 11] = [
    "two-node",
    "three-tier",
    "dumbbell",
    "ring",
    "vlan",
    "slaac",
    "single,4",
    "linear,4",
    "tree,2,3",
    "torus,3,3",
    "mesh,4",
];

/// Spanning tree and VLANs are the kernel's own there. The rest of them come up on Linux bridges on any machine (tests/real).
const OF_THE_KERNEL: [&str; 2] = ["ring", "vlan"];

fn come_up_and_go(topologies: &[&str]) {
    for topology in topologies {
        ok(&["up", topology]);
        ok(&CHECK);
        assert!(ok(&["plan", topology]).contains("nothing to do"), "{topology}");
        ok(&["down"]);
        assert_eq!(sh("ip netns list"), "", "{topology}");
    }
}

#[test]
fn they_come_up_on_linux_bridges() {
    ThrowAwayHost::run(|_| come_up_and_go(&OF_THE_KERNEL));
}

#[test]
fn they_come_up_on_open_vswitch() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        come_up_and_go(&ALL);
        assert_eq!(sh("ovs-vsctl list-br"), "");
    });
}
