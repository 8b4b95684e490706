//! A walk through the points at which `up` and `down` can be killed, with the kernel's datapath and VLANs.

use crate::support::ovs::OpenVswitch;
use crate::support::run::{ok, write};
use crate::support::walk::{count, was_killed};
use crate::support::{ThrowAwayHost, nslab};

/// A switch of each sort with VLANs, the cable between them, a node on each: as few steps as have all that is other here.
const LAB: &str = "
name: lab
switches: {s1: {backend: ovs, subnets: [10.0.0.0/24]}, l1: {backend: linux}}
nodes: {a: , b: }
links:
  - {endpoints: [a, s1], vlan: 10}
  - {endpoints: [b, l1], vlan: 10}
  - {endpoints: [s1, l1], vlan: {trunk: [10]}}
";

fn walk(host: &ThrowAwayHost, verb: &[&str], begin: impl Fn(), end: impl Fn()) {
    begin();
    let points = count(host, "point", verb);
    end();
    for point in 1..=points {
        begin();
        let output = nslab(verb).env("NSLAB_TEST_CRASH_AT", point.to_string()).output().unwrap();
        was_killed(&output, point);
        let output = nslab(["down", "lab"]).output().unwrap();
        let text = crate::support::run::text(&output);
        assert!(output.status.success() || text.contains("no lab lab is up"), "down after point {point}: {text}");
        host.assert_as_it_was(&format!("after point {point} and down"));
    }
    println!("{verb:?}: {points} points");
}

#[test]
fn up_killed_anywhere_then_down() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let here = host.as_it_is_now();
        let file = write(host, "lab.yaml", LAB);
        walk(&here, &["up", &file], || (), || drop(ok(&["down"])));
    });
}

#[test]
fn down_killed_anywhere_then_down() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let here = host.as_it_is_now();
        let file = write(host, "lab.yaml", LAB);
        walk(&here, &["down"], || drop(ok(&["up", &file])), || ());
    });
}
