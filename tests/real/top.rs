//! `nslab top --once`: what nodes and containers use, as a table and for programs.

use crate::support::cgroups::Cgroups;
use crate::support::ps::ended;
use crate::support::rootfs::busybox;
use crate::support::run::{fails, json, ok};
use crate::support::walk::topology;
use crate::support::{ThrowAwayHost, nslab, wait_until};
use serde_json::Value;
use std::process::{Child, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_mins(1);

/// Work for a processor, of which it has half at most, since other tests want some too; and something to write.
const BUSY: &str = "while :; do :; done & while :; do dd if=/dev/zero of=/written bs=64k count=16 conv=fsync; done";

pub(crate) fn lab(host: &ThrowAwayHost) -> String {
    busybox(host, "root");
    let text = format!(
        "
name: matrix
switches: {{lan: {{subnets: [10.0.0.0/24]}}}}
nodes:
  busy: {{container: {{rootfs: root, command: [sh, -c, '{BUSY}'], limits: {{memory: 100M, pids: 20, cpus: 0.5}}}}}}
  calm: {{container: {{rootfs: root, command: [sleep, '4501']}}}}
  plain:
links:
  - [busy, lan]
  - [calm, lan]
  - [plain, lan]
"
    );
    topology(host, "matrix.yaml", &text)
}

/// What is told of a node.
fn of(told: &Value, name: &str) -> Value {
    let nodes = told["nodes"].as_array().unwrap();
    nodes.iter().find(|node| node["name"] == name).cloned().unwrap_or_default()
}

fn once(options: &[&str]) -> Value {
    json(&[&["top", "--once", "--json", "--interval", "0.5"], options].concat())
}

/// Waits until it is told so of a node.
#[track_caller]
fn until(what: &str, name: &str, mut is_so: impl FnMut(&Value) -> bool) -> Value {
    let mut told = Value::Null;
    wait_until(what, SOON, || {
        told = of(&once(&[]), name);
        is_so(&told)
    });
    told
}

fn is_nothing_known(node: &Value, but: &[&str]) -> bool {
    node.as_object().unwrap().iter().all(|(key, value)| but.contains(&key.as_str()) || value.is_null())
}

const TRAFFIC: [&str; 4] = ["received_packets_per_s", "received_bits_per_s", "sent_packets_per_s", "sent_bits_per_s"];

#[test]
fn a_busy_container_is_told_from_a_calm_one() {
    ThrowAwayHost::run(|host| {
        let _cgroups = Cgroups::mount(host);
        ok(&["up", &lab(host)]);
        let busy = until("it has a good part of a processor", "busy", |node| node["cpu_percent"].as_f64() > Some(10.0));
        let number = |key: &str| busy[key].as_u64().unwrap();
        assert_eq!((number("memory_limit_bytes"), number("pids_limit")), (100 << 20, 20), "{busy}");
        assert!((1 << 16..100 << 20).contains(&number("memory_bytes")) && (3..20).contains(&number("pids")), "{busy}");
        assert_eq!((&busy["lab"], &busy["state"]), (&"matrix".into(), &"running".into()));
        until("it writes", "busy", |node| node["io_written_bytes_per_s"].as_u64() > Some(0));
        let calm = of(&once(&["matrix"]), "calm");
        assert!(
            calm["cpu_percent"].as_f64().is_some_and(|percent| percent < 10.0)
                && calm["memory_bytes"].as_u64() > Some(0),
            "{calm}"
        );
        assert_eq!((&calm["memory_limit_bytes"], &calm["io_written_bytes_per_s"]), (&Value::Null, &0.into()), "{calm}");
        // One that is no container is in no cgroup where nothing is limited.
        let plain = of(&once(&[]), "plain");
        assert!(is_nothing_known(&plain, &[&TRAFFIC[..], &["lab", "name"]].concat()), "{plain}");
        assert!(TRAFFIC.iter().all(|key| plain[key].is_number()), "{plain}");
        let keys: Vec<String> = plain.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys.len(), 14, "docs/commands.md lists them: {keys:?}");
        ok(&["stop", "busy"]);
        let stopped = of(&once(&[]), "busy");
        assert_eq!(stopped["state"], ended("busy")["state"]);
        assert!(is_nothing_known(&stopped, &[&TRAFFIC[..], &["lab", "name", "state"]].concat()), "{stopped}");
        let again = || ok(&["top", "--once", "-i", "0.1", "--sort", "memory"]);
        let table = again();
        let first: Vec<&str> = table.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(first, ["NODE", "matrix/calm", "matrix/busy", "matrix/plain"], "{table}");
        assert!(table.lines().nth(2).unwrap().contains("killed"), "{table}");
        ok(&["start", "busy"]);
        let runs = |line: &str| line.starts_with("matrix/busy ") && line.contains(" running ");
        wait_until("it is seen again", SOON, || again().lines().any(runs));
        ok(&["down"]);
        assert_eq!(once(&[])["nodes"], Value::Array(Vec::new()));
        assert_eq!(ok(&["top", "--once", "-i", "0.1"]), "no lab is up, and there is no container\n");
    });
}

/// Has a node send datagrams that hardly anything comes back of.
fn sending(node: &str, to: &str) -> Child {
    let script = format!("while :; do head -c 1400 /dev/zero > /dev/udp/{to}/9; sleep 0.01; done");
    let mut command = nslab(["exec", node, "--", "bash", "-c", &script]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn traffic_is_told_at_both_ends() {
    ThrowAwayHost::run(|host| {
        let _cgroups = Cgroups::mount(host);
        ok(&["up", &lab(host)]);
        let mut sender = sending("plain", "10.0.0.2");
        // Less than nothing and more than nothing: neither is true of what is not told.
        let number = |node: &Value, key: &str| node[key].as_f64().unwrap_or(f64::NAN);
        let outward =
            |node: &Value| number(node, "sent_bits_per_s") > 20_000.0 + 5.0 * number(node, "received_bits_per_s");
        let inward =
            |node: &Value| number(node, "received_bits_per_s") > 20_000.0 + 5.0 * number(node, "sent_bits_per_s");
        let plain = until("it is seen to send", "plain", outward);
        // 1400 bytes and their headers, and now and then one that is about addresses.
        let bits = number(&plain, "sent_bits_per_s") / number(&plain, "sent_packets_per_s");
        assert!((8000.0..12_000.0).contains(&bits), "{plain}");
        until("the other one is seen to receive", "calm", inward);
        let busy = of(&once(&[]), "busy");
        assert!(number(&busy, "received_bits_per_s") < 20_000.0, "nothing is for this one: {busy}");
        sender.kill().unwrap();
        sender.wait().unwrap();
        until("it is seen to have stopped", "plain", |node| number(node, "sent_bits_per_s") < 10_000.0);
        ok(&["down"]);
    });
}

#[test]
fn a_limited_node_and_a_container_of_no_lab_are_told_too() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let _cgroups = Cgroups::mount(host);
        let text = "name: matrix\nnodes: {plain: {limits: {memory: 50M, pids: 9}}, bare: }\n";
        ok(&["up", &topology(host, "matrix.yaml", text)]);
        ok(&["launch", "--detach", "--name", "alone", "--rootfs", &root, "sleep", "4502"]);
        let mut sleeper = nslab(["exec", "plain", "--", "sleep", "4503"]).stdout(Stdio::null()).spawn().unwrap();
        let plain = until("somebody is in it", "plain", |node| node["pids"].as_u64() == Some(1));
        assert_eq!((&plain["memory_limit_bytes"], &plain["pids_limit"]), (&(50 << 20).into(), &9.into()), "{plain}");
        assert!(plain["cpu_percent"].is_number() && plain["state"].is_null(), "{plain}");
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        let told = once(&[]);
        let alone = of(&told, "alone");
        assert_eq!((&alone["lab"], &alone["state"]), (&Value::Null, &"running".into()), "{alone}");
        assert!(alone["pids"].as_u64() >= Some(2) && alone["cpu_percent"].is_number(), "{alone}");
        let names = |told: &Value| -> Vec<Value> {
            told["nodes"].as_array().unwrap().iter().map(|node| node["name"].clone()).collect()
        };
        assert_eq!(names(&told), ["alone", "bare", "plain"]);
        assert_eq!(names(&once(&["matrix"])), ["bare", "plain"], "of the lab alone");
        ok(&["rm", "alone"]);
        ok(&["down"]);
    });
}

#[test]
fn what_makes_no_sense_is_said() {
    ThrowAwayHost::run(|_| {
        let said = fails(&["top"], 2);
        assert!(said.contains("standard output is no terminal: `nslab top --once`"), "{said}");
        assert!(fails(&["top", "--json"], 2).contains("add --once"));
        assert!(fails(&["top", "--once", "-i", "0"], 2).contains("write a time from 0.1s"));
        assert!(fails(&["top", "--once", "nobody"], 1).contains("no lab nobody is up"));
    });
}
