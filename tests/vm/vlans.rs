//! VLANs, on both backends.

use crate::support::ThrowAwayHost;
use crate::support::ovs::OpenVswitch;
use crate::support::run::{fails, ok, sh, write};

/// Two VLANs over two switches with a trunk between them, and a node on a trunk.
const TRUNKED: &str = "
name: lab
switches: {s1: {backend: BACKEND, subnets: [10.0.0.0/24]}, s2: {backend: BACKEND}}
nodes: {a10: , a20: , b10: , b20: , t: }
links:
  - {endpoints: [a10, s1], vlan: 10}
  - {endpoints: [a20, s1], vlan: 20}
  - {endpoints: [b10, s2], vlan: 10}
  - {endpoints: [b20, s2], vlan: 20}
  - {endpoints: [s1, s2], vlan: {trunk: [10, 20]}}
  - {endpoints: [t, s2], vlan: {trunk: [20], native: 10NATIVE}}
expect:
  - reachable: [a10, b10]
  - reachable: [a20, b20]
  - unreachable: [a10, a20]
  - unreachable: [a10, b20]
  - unreachable: [b10, b20]
";

fn hold(file: impl Fn(&str) -> String) {
    // What is native leaves without a tag.
    let untagged = file("");
    ok(&["up", &untagged]);
    ok(&["check", "--timeout", "5s"]);
    assert!(ok(&["plan", &untagged]).contains("nothing to do"));
    sh("ip netns exec lab-t ping -c1 -W20 10.0.0.1");
    fails(&["ping", "-c1", "-W2", "t", "a20"], 1);
    // VLAN 20 is there for who tags.
    sh("ip -n lab-t link add link eth0 name eth0.20 type vlan id 20
        ip -n lab-t addr add 10.0.20.5/24 dev eth0.20
        ip -n lab-t link set eth0.20 up
        ip -n lab-a20 addr add 10.0.20.2/24 dev eth0
        ip netns exec lab-t ping -c1 -W20 10.0.20.2");

    // What is native and tagged is there for who tags alone.
    let tagged = file(", native_tagged: true");
    ok(&["up", &tagged]);
    assert!(ok(&["plan", &tagged]).contains("nothing to do"));
    fails(&["ping", "-c1", "-W2", "t", "a10"], 1);
    sh("ip -n lab-t link add link eth0 name eth0.10 type vlan id 10
        ip -n lab-t addr add 10.0.10.5/24 dev eth0.10
        ip -n lab-t link set eth0.10 up
        ip -n lab-a10 addr add 10.0.10.1/24 dev eth0
        ip netns exec lab-t ping -c1 -W20 10.0.10.1");
    ok(&["down"]);
}

#[test]
fn access_ports_and_trunks_keep_them_apart_on_linux_bridges() {
    ThrowAwayHost::run(|host| {
        hold(|native| write(host, "lab.yaml", &TRUNKED.replace("BACKEND", "linux").replace("NATIVE", native)));
    });
}

#[test]
fn access_ports_and_trunks_keep_them_apart_on_open_vswitch() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        hold(|native| write(host, "lab.yaml", &TRUNKED.replace("BACKEND", "ovs").replace("NATIVE", native)));
    });
}
