//! What `show` reads back of switches, beside witnesses of its own.

use crate::support::ovs::OpenVswitch;
use crate::support::run::{json, ok, sh, write};
use crate::support::{ThrowAwayHost, wait_until};
use serde_json::Value;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// Two switches of Open vSwitch, with a node that has a VLAN on each.
const VLANS: &str = "
name: lab
switches: {s1: {backend: ovs, subnets: [10.0.0.0/24]}, s2: {backend: ovs}}
nodes: {a: , b: }
links:
  - {endpoints: [a, s1], vlan: 7}
  - {endpoints: [b, s2], vlan: 7}
  - {endpoints: [s1, s2], vlan: {trunk: [7, 8]}}
";

fn show() -> Value {
    json(&["--json", "show"])
}

/// A switch, and what it is but for its ports.
fn switch(report: &Value, name: &str) -> Value {
    let mut switches = report["switches"].as_array().unwrap().iter();
    switches.find(|switch| switch["switch"] == name).unwrap_or_else(|| panic!("no {name} in {report:#}")).clone()
}

fn port(report: &Value, of: &str, name: &str) -> Value {
    let switch = switch(report, of);
    let mut ports = switch["ports"].as_array().unwrap().iter();
    ports.find(|port| port["name"] == name).unwrap_or_else(|| panic!("no {of}:{name} in {report:#}")).clone()
}

fn received(report: &Value, of: &str, name: &str) -> u64 {
    port(report, of, name)["statistics"]["rx_packets"].as_u64().unwrap()
}

#[test]
fn a_switch_of_open_vswitch_is_shown_as_that_says_it_is() {
    ThrowAwayHost::run(|host| {
        let mut ovs = OpenVswitch::start(host);
        let file = write(host, "lab.yaml", VLANS);
        ok(&["up", &file]);
        let report = show();
        let s1 = switch(&report, "s1");
        assert_eq!((&s1["backend"], &s1["netns"], &s1["bridge"]), (&"ovs".into(), &"host".into(), &"lab-s1".into()));
        assert_eq!((&s1["present"], &s1["spanning_tree"]), (&true.into(), &Value::Null));
        let a = port(&report, "s1", "a");
        assert_eq!((&a["device"], &a["state"], &a["vlan"]), (&"lab-a".into(), &"up".into(), &"access 7".into()));
        // An independent witness.
        assert_eq!(a["ofport"].to_string(), sh("ovs-vsctl get Interface lab-a ofport").trim());
        let patch = port(&report, "s1", "s1-s2");
        assert_eq!((&patch["device"], &patch["state"]), (&Value::Null, &"up".into()));
        assert_eq!(patch["vlan"], "trunk 7,8");
        assert_eq!(patch["ofport"].to_string(), sh("ovs-vsctl get Interface lab-s1-s2 ofport").trim());
        let text = ok(&["show"]);
        for part in ["Open vSwitch", "lab-s1 in host", "access 7", "trunk 7,8", "everything is as it should be"] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }

        // The other end is down, and the port itself.
        sh("ip -n lab-a link set eth0 down");
        assert_eq!(port(&show(), "s1", "a")["state"], "no_carrier");
        sh("ip link set lab-a down");
        assert_eq!(port(&show(), "s1", "a")["state"], "down");
        // Its device is gone behind the switch's back, which says so once it has a reason to look.
        sh("ip link delete lab-a");
        assert_eq!(port(&show(), "s1", "a")["state"], "missing");
        ovs.kill_switch();
        ovs.start_switch();
        wait_until("the port's error is shown", PATIENCE, || port(&show(), "s1", "a")["error"].is_string());
        let report = show();
        let a = port(&report, "s1", "a");
        assert_eq!((&a["state"], &a["ofport"]), (&"missing".into(), &Value::Null));
        assert!(a["error"].as_str().unwrap().contains("could not open network device lab-a"), "{a}");
        assert!(ok(&["show"]).contains("s1:a: could not open network device lab-a"));
        // And the bridge.
        sh("ovs-vsctl del-br lab-s1");
        assert_eq!(switch(&show(), "s1")["present"], false);
        assert_eq!(port(&show(), "s1", "s1-s2")["state"], "missing");
        assert!(ok(&["show"]).contains("lab-s1 in host (missing)"));
        ok(&["down"]);
    });
}

#[test]
fn each_switch_has_its_own_ports_where_a_lab_has_both_backends() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let text = "name: lab\nswitches: {s1: {backend: ovs, subnets: [10.0.0.0/24]}, s2: {backend: linux}}\n\
                    nodes: {a: , b: }\nlinks: [[a, s1], [b, s2], [s2, s1]]\n";
        ok(&["up", &write(host, "lab.yaml", text)]);
        let report = show();
        let ports = |of: &str| {
            let ports = switch(&report, of)["ports"].as_array().unwrap().clone();
            let mut all: Vec<String> =
                ports.iter().map(|port| format!("{} {}", port["name"], port["device"])).collect();
            all.sort();
            all.join(", ").replace('"', "")
        };
        assert_eq!((ports("s1").as_str(), ports("s2").as_str()), ("a lab-a, s1-s2 lab-s1-s2", "b b, s2-s1 s2-s1"));
        assert_eq!(switch(&report, "s2")["netns"], "lab-fabric");
        ok(&["down"]);
    });
}

#[test]
fn what_is_sent_is_counted_on_both_backends() {
    ThrowAwayHost::run(|host| {
        let ovs = OpenVswitch::start(host);
        for backend in ["ovs", "linux"] {
            let text = format!(
                "name: pair\nswitches: {{s1: {{backend: {backend}, subnets: [10.0.0.0/24]}}}}\n\
                 nodes: {{a: , b: }}\nlinks: [[a, s1], [b, s1]]\n"
            );
            ok(&["up", &write(host, "pair.yaml", &text)]);
            // Open vSwitch counts every five seconds.
            wait_until("there are counters", PATIENCE, || port(&show(), "s1", "a")["statistics"].is_object());
            let before = received(&show(), "s1", "a");
            sh("ip netns exec pair-a ping -q -c20 -i0.01 -W1 10.0.0.2");
            wait_until("the pings are counted", PATIENCE, || received(&show(), "s1", "a") >= before + 20);
            let statistics = port(&show(), "s1", "b")["statistics"].clone();
            assert!(statistics["tx_bytes"].as_u64().unwrap() > 20 * 64, "{backend}: {statistics}");
            assert!(statistics["rx_errors"] == 0 && statistics["tx_errors"] == 0, "{backend}: {statistics}");
            ok(&["down"]);
        }
        drop(ovs);
    });
}

#[test]
fn a_ring_has_one_port_that_blocks_on_both_backends() {
    ThrowAwayHost::run(|host| {
        let states = || {
            let report = show();
            let switches = report["switches"].as_array().unwrap().clone();
            assert!(switches.iter().all(|switch| switch["spanning_tree"] == "stp"), "{report:#}");
            let ports = switches.into_iter().flat_map(|switch| switch["ports"].as_array().unwrap().clone());
            let mut states: Vec<String> = ports.map(|port| port["forwarding"].as_str().unwrap().to_owned()).collect();
            states.sort();
            states
        };
        let mut settled = vec!["blocking"];
        settled.extend(["forwarding"; 11]);
        for backend in ["ovs", "linux"] {
            let ovs = (backend == "ovs").then(|| OpenVswitch::start(host));
            ok(&["up", "ring"]);
            assert!(show()["switches"].as_array().unwrap().iter().all(|switch| switch["backend"] == backend));
            ok(&["check"]);
            wait_until("one port blocks, the others forward", PATIENCE, || states() == settled);
            ok(&["down"]);
            drop(ovs);
        }
    });
}

#[test]
fn a_lab_is_shown_when_open_vswitch_is_away() {
    ThrowAwayHost::run(|host| {
        let mut ovs = OpenVswitch::start(host);
        ok(&["up", &write(host, "lab.yaml", VLANS)]);
        ovs.kill_switch();
        let text = ok(&["show"]);
        assert!(text.contains("s1: ovs-vswitchd is not connected to its database"), "{text}");
        ovs.kill_server();
        let report = show();
        let s1 = switch(&report, "s1");
        assert_eq!((&s1["backend"], &s1["present"]), (&"ovs".into(), &Value::Null));
        assert!(s1["trouble"].as_str().unwrap().contains("can't reach the OVSDB server"), "{s1}");
        // What the kernel knows is told all the same.
        assert_eq!(port(&report, "s1", "a")["state"], "up");
        assert_eq!(report["nodes"][0]["interfaces"][0]["state"], "up");
        let text = ok(&["show"]);
        assert!(text.contains("lab-s1 in host (not seen)") && text.contains("can't reach"), "{text}");
        assert!(!text.contains("everything is as it should be"), "{text}");
        sh("ip -n lab-a link set eth0 down");
        assert!(ok(&["show"]).contains("not as it should be"));
        ovs.start_server(&[]);
        ovs.start_switch();
        ok(&["down"]);
    });
}
