//! `show --watch`: things are changed by other tools, and the line is waited for that tells of it.

use crate::support::ovs::OpenVswitch;
use crate::support::run::{ok, sh, write};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running `nslab show --watch`.
struct Watching {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    /// How many of the lines were waited for.
    read: usize,
}

impl Watching {
    /// Starts it, and waits until what it prints first is there.
    fn start(arguments: &[&str], first: &str) -> Self {
        let mut child = nslab(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let (stdout, lines) = (child.stdout.take().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let into = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                into.lock().unwrap().push(line.unwrap());
            }
        });
        let mut watching = Self { child, lines, read: 0 };
        watching.tells(first);
        watching
    }

    fn text() -> Self {
        Self::start(&["show", "--watch"], "everything is as it should be")
    }

    /// Waits for a line with `part` behind those that were waited for before; gives it back.
    #[track_caller]
    fn tells(&mut self, part: &str) -> String {
        self.tells_what(&format!("`{part}`"), |line| line.contains(part))
    }

    /// Waits for the line that says that the `property` is `value` from now on. What it was before is not asked:
    /// who looks in the middle of a change is told of two, missing -> down -> up.
    #[track_caller]
    fn becomes(&mut self, property: &str, value: &str) -> String {
        let (property, value) = (format!(" {property} "), format!(" -> {value}"));
        let wanted = format!("`{property}… {value}`");
        self.tells_what(&wanted, |line| line.contains(&property) && line.ends_with(&value))
    }

    #[track_caller]
    fn tells_what(&mut self, wanted: &str, is_it: impl Fn(&str) -> bool) -> String {
        let mut found = None;
        let started = std::time::Instant::now();
        while found.is_none() {
            let lines = self.lines.lock().unwrap();
            found = lines.iter().skip(self.read).position(|line| is_it(line));
            let all = lines.join("\n");
            drop(lines);
            assert!(started.elapsed() < PATIENCE, "waited in vain for {wanted}:\n{all}");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.read += found.unwrap() + 1;
        self.lines.lock().unwrap()[self.read - 1].clone()
    }

    fn all(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for it to end, which it does with success.
    #[track_caller]
    fn ends(mut self) {
        let mut status = None;
        wait_until("it ends", PATIENCE, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.unwrap().code(), Some(0), "{}", self.all());
    }
}

#[test]
fn what_happens_to_a_node_is_told_until_the_lab_is_gone() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "two-node"]);
        let mut watching = Watching::text();
        sh("ip -n two-node-net2 link set eth0 down");
        let line = watching.tells("net2:eth0 up -> down");
        // The time of the day, to the millisecond.
        let time = line.split(' ').next().unwrap();
        let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "00:00:00.000", "{line}");
        watching.tells("br0:net2 up -> no carrier");
        sh("ip -n two-node-net2 link set eth0 up");
        watching.becomes("net2:eth0", "up");
        sh("ip -n two-node-fabric link set net1 down");
        watching.tells("net1:eth0 up -> no carrier");
        sh("ip -n two-node-fabric link set net1 up");
        watching.becomes("net1:eth0", "up");
        sh("ip -n two-node-net1 link set eth0 mtu 1300");
        watching.tells("net1:eth0 MTU 1500 -> 1300");
        sh("ip -n two-node-net1 link set eth0 address 02:00:00:00:00:77");
        watching.tells("-> 02:00:00:00:00:77");
        sh("ip -n two-node-net1 addr add 10.0.0.77/24 dev eth0");
        watching.tells("net1:eth0 address 10.0.0.77/24 added");
        sh("ip -n two-node-net1 route add 10.9.0.0/24 via 10.0.0.2");
        watching.tells("net1 route 10.9.0.0/24 via 10.0.0.2 dev eth0 added");
        sh("ip -n two-node-net1 addr del 10.0.0.77/24 dev eth0");
        watching.tells("net1:eth0 address 10.0.0.77/24 removed");
        sh("ip -n two-node-net1 link delete eth0");
        watching.tells("net1:eth0 up -> missing");
        watching.tells("br0:net1 up -> missing");
        // Repaired, which is told too; and so is a whole namespace that went and came.
        ok(&["up", "two-node"]);
        watching.tells("net1:eth0 address 10.0.0.1/24 added");
        sh("ip netns delete two-node-net2");
        watching.tells("net2:eth0 up -> missing");
        ok(&["up", "two-node"]);
        watching.becomes("net2:eth0", "up");
        sh("ip -n two-node-net2 link set eth0 mtu 1234");
        watching.tells("net2:eth0 MTU 1500 -> 1234");
        ok(&["down"]);
        watching.tells("two-node is gone");
        watching.ends();
    });
}

#[test]
fn a_changed_topology_is_followed() {
    ThrowAwayHost::run(|host| {
        let lab = |nodes: &str, links: &str| {
            let text =
                format!("name: lab\nswitches: {{s1: {{backend: linux, subnets: [10.0.0.0/24]}}}}\n{nodes}\n{links}\n");
            write(host, "lab.yaml", &text)
        };
        ok(&["up", &lab("nodes: {a: , b: }", "links: [[a, s1], [b, s1]]")]);
        let mut watching = Watching::text();
        ok(&["up", &lab("nodes: {a: , c: }", "links: [[a, s1], [c, s1]]")]);
        watching.tells("b is no part of the lab any more");
        watching.tells("c is new, as lab-c");
        watching.tells("c:eth0 is new, up");
        watching.tells("s1:c is new, up");
        sh("ip -n lab-c link set eth0 down");
        watching.tells("c:eth0 up -> down");
        // Another lab of the same name is not the one that was watched.
        ok(&["down"]);
        ok(&["up", &lab("nodes: {a: , b: }", "links: [[a, s1], [b, s1]]")]);
        watching.tells("lab is gone");
        watching.ends();
        ok(&["down"]);
    });
}

#[test]
fn what_open_vswitch_says_is_told_past_a_restart_of_its_database() {
    ThrowAwayHost::run(|host| {
        let mut ovs = OpenVswitch::start(host);
        let text = "name: lab\nswitches: {s1: {backend: ovs, subnets: [10.0.0.0/24]}, s2: {backend: ovs}}\n\
                    nodes: {a: , b: }\nlinks: [[a, s1], [b, s2], [s1, s2]]\n";
        let file = write(host, "lab.yaml", text);
        ok(&["up", &file]);
        let mut watching = Watching::text();
        sh("ovs-vsctl set Interface lab-a ofport_request=77");
        watching.tells("s1:a OpenFlow port 1 -> 77");
        sh("ovs-vsctl set Port lab-a tag=5");
        watching.tells("s1:a VLAN none -> access 5");
        sh("ip -n lab-b link set eth0 down");
        watching.tells("s2:b up -> no carrier");

        ovs.kill_server();
        watching.tells("s1 can't be seen: ");
        // Changed while nobody could see it: in the kernel, which is told at once, and in the database.
        sh("ip link set lab-a down");
        watching.tells("s1:a up -> down");
        ovs.start_server(&[]);
        watching.tells("s1 is seen again");
        sh("ip link set lab-a up");
        watching.becomes("s1:a", "up");
        sh("ovs-vsctl clear Port lab-a tag");
        watching.tells("s1:a VLAN access 5 -> none");
        ovs.restart_server(&[]);
        sh("ovs-vsctl set Port lab-a tag=6");
        watching.tells("s1:a VLAN none -> access 6");

        sh("ovs-vsctl del-port lab-s1-s2");
        watching.tells("s1:s1-s2 up -> missing");
        sh("ovs-vsctl del-br lab-s2");
        watching.tells("s2 lost its bridge");
        // A port that can't be made.
        ovs.kill_switch();
        sh("ip link delete lab-a");
        watching.tells("s1:a up -> missing");
        ovs.start_switch();
        watching.tells("s1:a error: could not open network device lab-a");
        ok(&["up", &file]);
        watching.tells("a:eth0 address 10.0.0.1/24 added");
        let all = watching.all();
        assert!(all.contains("s1:a has no error any more") && all.contains("s2 has its bridge again"), "{all}");
        ok(&["down"]);
        watching.tells("lab is gone");
        watching.ends();
    });
}

/// Three switches in a ring, as quick as Open vSwitch's spanning tree can be.
const TRIANGLE: &str = "
name: ring
switches:
  s1: {backend: BACKEND, stp: {priority: 4096, forward_delay: 4, hello_time: 1, max_age: 6}}
  s2: {backend: BACKEND, stp: {forward_delay: 4, hello_time: 1, max_age: 6}}
  s3: {backend: BACKEND, stp: {forward_delay: 4, hello_time: 1, max_age: 6}}
nodes: {a: }
links: [[a, s1], [s1, s2], [s2, s3], [s3, s1]]
";

#[test]
fn the_spanning_tree_of_a_ring_is_told_on_both_backends() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        for (backend, damage) in
            [("ovs", "ovs-vsctl del-port ring-s1-s2"), ("linux", "ip -n ring-fabric link set s1-s2 down")]
        {
            ok(&["up", &write(host, "ring.yaml", &TRIANGLE.replace("BACKEND", backend))]);
            ok(&["check"]); // which waits until the tree has settled
            let mut watching = Watching::text();
            sh(damage);
            // s2 has lost its way to the root, and the port that blocked between s2 and s3 opens.
            watching.tells("frames blocking -> ");
            watching.tells("-> learning");
            watching.tells("-> forwarding");
            watching.send(Signal::SIGINT);
            watching.ends();
            ok(&["down"]);
        }
    });
}

#[test]
fn json_is_a_line_for_each_change() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "two-node"]);
        let mut watching = Watching::start(&["--json", "show", "-w", "two-node"], "report");
        sh("ip -n two-node-fabric link set net1 down");
        let line = watching.tells("net1:eth0");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["what"], &line["property"]), (&"net1:eth0".into(), &"state".into()));
        assert_eq!((&line["from"], &line["to"]), (&"up".into(), &"no_carrier".into()));
        assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
        ok(&["down"]);
        watching.tells("\"gone\"");
        for line in watching.all().lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(line["time"].is_string() && line["what"].is_string(), "{line}");
        }
        watching.ends();
    });
}

#[test]
fn nothing_is_lost_when_more_happens_than_a_socket_holds() {
    ThrowAwayHost::run(|host| {
        ok(&["up", "two-node"]);
        let mut watching = Watching::text();
        watching.send(Signal::SIGSTOP);
        // Some thousands of messages, of which the kernel drops those that don't fit.
        let mut batch: String = ["link set eth0 mtu 1000\n", "link set eth0 mtu 1001\n"].concat().repeat(2000);
        batch.push_str("link set eth0 mtu 1450\n");
        let batch = write(host, "batch", &batch);
        sh(&format!("ip -n two-node-net1 -batch {batch}"));
        watching.send(Signal::SIGCONT);
        watching.tells("net1:eth0 MTU 1500 -> 1450");
        // And it goes on to hear.
        sh("ip -n two-node-net1 link set eth0 mtu 1400");
        watching.tells("net1:eth0 MTU 1450 -> 1400");
        watching.send(Signal::SIGTERM);
        watching.ends();
        ok(&["down"]);
    });
}

#[test]
fn it_ends_with_who_reads_it_and_with_nothing_to_watch() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "two-node"]);
        let mut child = nslab(["show", "--watch"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "two-node is up: Two hosts on one switch\n");
        // The reader is gone; the next line that is written shows it.
        let mut mtu = 1000;
        wait_until("it ends", PATIENCE, || {
            mtu += 1;
            sh(&format!("ip -n two-node-net1 link set eth0 mtu {mtu}"));
            child.try_wait().unwrap().is_some()
        });
        assert_eq!(child.wait().unwrap().code(), Some(0));
        ok(&["down"]);
        let output = nslab(["show", "--watch", "two-node"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("no lab two-node is up"));
    });
}

#[test]
fn what_happens_to_the_frames_of_links_is_told() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "two-node"]);
        let mut watching = Watching::text();
        ok(&["link", "set", "net1--br0", "--rate", "3mbit"]);
        watching.tells("net1:eth0 -> br0 conditions none -> rate 3mbit, queue 100");
        // The switch's port is in another namespace; the same interface's number is somebody else's in a third.
        ok(&["link", "set", "br0--net2", "--rate", "4mbit", "--towards", "net2"]);
        watching.tells("br0 -> net2:eth0 conditions none -> rate 4mbit, queue 100");
        sh("tc -n two-node-net1 qdisc delete dev eth0 root");
        watching.tells("net1:eth0 -> br0 conditions rate 3mbit, queue 100 -> none");
        ok(&["link", "set", "net2:eth0", "--down"]);
        watching.tells("net2:eth0 up -> down");
        ok(&["down"]);
        watching.ends();
    });
}
