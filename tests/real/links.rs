//! What happens to the frames of links, and links that go down and up. Here by what every kernel has; what netem does is
//! measured where it is known to be, in the virtual machine.

use crate::support::ovs::{OpenVswitch, wait_for_switch};
use crate::support::run::{fails, identities, json, ok, sh, text, write};
use crate::support::traffic::tcp_rate;
use crate::support::walk::{WalkedLab, assert_converged, down, succeeded, walk, walks, was_killed};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Output, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// A switch with three nodes, one of them also beside another; what a sends is slow, and what c is sent.
const LAB: &str = "
name: lab
switches: {s1: {backend: BACKEND, subnets: [10.0.0.0/24, 'fd00::/64']}}
nodes: {a: , b: , c: , d: }
links:
  - {endpoints: [a, s1], rate: 40mbit, towards: {a: {rate: 10mbit, queue: 50}}}
  - [b, s1]
  - {endpoints: [c, s1], rate: 20mbit}
  - {endpoints: [b, d], subnets: [10.1.0.0/30], towards: {d: {rate: 10mbit}}}
";

fn lab(host: &ThrowAwayHost, backend: &str) -> String {
    write(host, "lab.yaml", &LAB.replace("BACKEND", backend))
}

/// Whether a rate is what was asked for, within what a busy machine makes of it.
#[track_caller]
fn is_about(measured: f64, mbit: f64, what: &str) {
    let measured = measured / 1e6;
    assert!((mbit * 0.4..mbit * 1.5).contains(&measured), "{what}: {measured:.1} and not {mbit} Mbit/s");
}

/// The conditions of both ways of a link, as `link show` has them.
fn conditions(link: &str) -> [String; 2] {
    let report = json(&["--json", "link", "show"]);
    let of = report.as_array().unwrap().iter().find(|of| of["link"] == link).unwrap_or_else(|| panic!("no {link}"));
    [0, 1].map(|way| of["ways"][way]["conditions"].as_str().unwrap_or("none").to_owned())
}

/// The link's state, and who has set how it behaves.
fn state(link: &str) -> (String, bool) {
    let report = json(&["--json", "link", "show"]);
    let of = report.as_array().unwrap().iter().find(|of| of["link"] == link).unwrap();
    (of["state"].as_str().unwrap().to_owned(), of["at_run_time"].as_bool().unwrap())
}

fn rates_hold(host: &ThrowAwayHost, backend: &str) {
    ok(&["up", &lab(host, backend)]);
    assert_eq!(conditions("a:eth0--s1"), ["rate 40mbit, queue 100", "rate 10mbit, queue 50"]);
    assert_eq!(conditions("b:eth0--s1"), ["none", "none"]);
    assert_eq!(conditions("b:eth1--d:eth0"), ["rate 10mbit, queue 100", "none"]);
    // TCP itself is 4% slower than its frames.
    is_about(tcp_rate("lab-a", "lab-b", "10.0.0.2", 12_000_000), 40.0 * 0.96, "a to b");
    is_about(tcp_rate("lab-b", "lab-a", "10.0.0.1", 4_000_000), 10.0 * 0.96, "b to a");
    is_about(tcp_rate("lab-a", "lab-c", "fd00::3", 8_000_000), 20.0 * 0.94, "a to c, the slower of two");
    is_about(tcp_rate("lab-b", "lab-d", "10.1.0.2", 4_000_000), 10.0 * 0.96, "b to d");
    let free = tcp_rate("lab-d", "lab-b", "10.1.0.1", 60_000_000);
    assert!(free > 60e6, "d to b, which nothing slows down: {free}");
    ok(&["down"]);
}

#[test]
fn rates_hold_each_way_on_linux_bridges_and_between_nodes() {
    ThrowAwayHost::run(|host| rates_hold(host, "linux"));
}

#[test]
fn rates_hold_each_way_on_open_vswitch() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        rates_hold(host, "ovs");
    });
}

/// Changed, shown, kept over what else is changed, and put back by `up`.
fn is_part_of_the_running_state(host: &ThrowAwayHost, backend: &str) {
    let file = lab(host, backend);
    ok(&["up", &file]);
    let before = identities();
    let said = ok(&["link", "set", "b--s1", "--rate", "5mbit", "--towards", "b"]);
    assert!(said.contains("rate 5mbit, queue 100"), "{said}");
    assert_eq!(conditions("b:eth0--s1"), ["none", "rate 5mbit, queue 100"]);
    is_about(tcp_rate("lab-a", "lab-b", "10.0.0.2", 2_000_000), 5.0 * 0.96, "a to b, at run time");
    // What is not mentioned stays.
    ok(&["link", "set", "b:eth0", "--rate", "6mbit"]);
    ok(&["link", "set", "a--s1", "--queue", "7"]);
    assert_eq!(conditions("b:eth0--s1"), ["rate 6mbit, queue 100", "rate 5mbit, queue 100"]);
    assert_eq!(conditions("a:eth0--s1"), ["rate 40mbit, queue 7", "rate 10mbit, queue 7"]);
    assert_eq!(state("a:eth0--s1"), ("up".to_owned(), true));
    let shown = ok(&["show"]);
    assert!(shown.contains("nslab link") && shown.contains("rate 6mbit"), "{shown}");
    assert!(shown.contains("everything is as it should be"), "{shown}");

    // Behind its back: `show` says so, and the next change repairs it.
    sh("tc -n lab-b qdisc delete dev eth0 root");
    assert!(ok(&["show"]).contains("set the conditions of what leaves by lab-b:eth0 to rate 6mbit"));
    ok(&["link", "set", "a--s1", "--queue", "none"]);
    assert_eq!(conditions("b:eth0--s1"), ["rate 6mbit, queue 100", "rate 5mbit, queue 100"]);

    // `plan` tells the difference to the topology, and `up` and `reset` put that back.
    let plan = ok(&["plan", &file]);
    assert!(plan.contains("lift the conditions of what leaves by lab-b:eth0"), "{plan}");
    ok(&["link", "reset", "b--s1"]);
    assert_eq!(conditions("b:eth0--s1"), ["none", "none"]);
    assert_eq!(conditions("a:eth0--s1"), ["rate 40mbit, queue 100", "rate 10mbit, queue 100"]);
    ok(&["up", &file]);
    assert_eq!(conditions("a:eth0--s1"), ["rate 40mbit, queue 100", "rate 10mbit, queue 50"]);
    assert_eq!(state("a:eth0--s1"), ("up".to_owned(), false));
    assert!(ok(&["plan", &file]).contains("nothing to do"));
    assert_eq!(identities(), before, "nothing was made anew");
    ok(&["down"]);
}

#[test]
fn a_change_at_run_time_is_part_of_the_running_state() {
    ThrowAwayHost::run(|host| is_part_of_the_running_state(host, "linux"));
}

#[test]
fn a_change_at_run_time_is_part_of_the_running_state_on_open_vswitch() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        is_part_of_the_running_state(host, "ovs");
    });
}

/// What the kernel takes from a link that is down comes back with it: routes, IPv6 addresses.
#[test]
fn a_link_goes_down_and_comes_up_with_all_that_it_had() {
    ThrowAwayHost::run(|host| {
        let text = "name: lab\nswitches: {s1: {subnets: [10.0.0.0/24, 'fd00::/64']}}\nnodes: {a: {gateway: r}, \
                    r: {forwarding: true}, x: {gateway: r}}\nlinks: [[a, s1], [r, s1], \
                    {endpoints: [r, x], subnets: [10.1.0.0/30, 'fd01::/64']}]\n";
        let file = write(host, "lab.yaml", text);
        ok(&["up", &file]);
        let whole = || ["-4 addr", "-6 addr", "-4 route", "-6 route"].map(|what| sh(&format!("ip -n lab-a {what}")));
        let before = whole();
        sh("ip -n lab-a addr add fd00::99/64 dev eth0 nodad; ip -n lab-a route add 10.9.0.0/16 via 10.0.0.2");

        ok(&["link", "set", "a:eth0", "--down"]);
        assert_eq!(state("a:eth0--s1"), ("down".to_owned(), true));
        for (netns, dev) in [("lab-a", "eth0"), ("lab-fabric", "a")] {
            assert!(sh(&format!("ip -n {netns} link show {dev}")).contains("state DOWN"), "{netns}:{dev}");
        }
        fails(&["ping", "-c1", "-W", "200ms", "a", "x"], 1);
        assert!(ok(&["show"]).contains("everything is as it should be"));
        assert!(ok(&["plan", &file]).contains("set it up"));
        // Other links change while it is down.
        ok(&["link", "set", "r--x", "--rate", "50mbit"]);
        assert_eq!(state("a:eth0--s1"), ("down".to_owned(), true));

        ok(&["link", "set", "a--s1", "--up"]);
        assert_eq!(state("a:eth0--s1"), ("up".to_owned(), false), "that is what the topology says");
        assert_eq!(whole(), before);
        ok(&["ping", "-c1", "a", "x"]);
        ok(&["ping", "-6", "-c1", "a", "x"]);

        // `up` ends it as well.
        ok(&["link", "set", "r--x", "--down", "--rate", "none"]);
        fails(&["ping", "-c1", "-W", "200ms", "a", "x"], 1);
        ok(&["up", &file]);
        ok(&["ping", "-c1", "a", "x"]);
        assert!(json(&["--json", "link", "show"]).as_array().unwrap().iter().all(|link| link["at_run_time"] == false));
        ok(&["down"]);
    });
}

#[test]
fn a_link_flaps_until_it_is_stopped_and_is_up_then() {
    ThrowAwayHost::run(|host| {
        let file = write(host, "lab.yaml", "name: lab\nnodes: {a: , b: }\nlinks: [[a, b]]\n");
        ok(&["up", &file]);
        // What is refused turns nothing.
        ok(&["link", "set", "a--b", "--down"]);
        fails(&["link", "set", "a--b", "--flap", "1s/1s", "--rate", "7kbit"], 2);
        assert_eq!(state("a:eth0--b:eth0"), ("down".to_owned(), true));
        let arguments = ["-q", "link", "set", "a--b", "--flap", "400ms/400ms"];
        let flapping = nslab(arguments).stdout(Stdio::null()).spawn().unwrap();
        let is_up = || sh("ip -n lab-a -o link show eth0").contains("state UP");
        for _ in 0..3 {
            wait_until("it is down", SOON, || !is_up());
            wait_until("it is up", SOON, is_up);
        }
        wait_until("it is down", SOON, || !is_up());
        kill(Pid::from_raw(flapping.id().cast_signed()), Signal::SIGINT).unwrap();
        let ended = flapping.wait_with_output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(state("a:eth0--b:eth0"), ("up".to_owned(), false));
        ok(&["down"]);
    });
}

/// Where it is there, it works; where it is not, nothing is touched.
#[test]
fn what_the_kernel_lacks_is_said_before_anything_is_touched() {
    ThrowAwayHost::run(|host| {
        let has_netem = host.try_sh("ip netns add probe && tc -n probe qdisc add dev lo root netem").status.success();
        sh("ip netns delete probe; umount /run/netns && rmdir /run/netns");
        let doctor = nslab(["doctor"]).output().unwrap();
        let doctor = String::from_utf8(doctor.stdout).unwrap();
        let finding = doctor.lines().find(|line| line.contains("netem")).unwrap_or_else(|| panic!("{doctor}"));
        assert_eq!(finding.contains("works"), has_netem, "{finding}");

        let topology = |what: &str| {
            let text = format!("name: lab\nnodes: {{a: , b: }}\nlinks: [{{endpoints: [a, b]{what}}}]\n");
            write(host, "lab.yaml", &text)
        };
        let delayed = topology(", delay: 20ms, rate: 10mbit");
        if has_netem {
            ok(&["up", &delayed]);
        } else {
            let message = fails(&["up", &delayed], 3);
            assert!(message.contains("no network emulator (netem)") && message.contains("lab-a:eth0"), "{message}");
            assert!(message.contains("a rate and its queue work without it"), "{message}");
            host.assert_as_it_was("after an up that needs netem");
            ok(&["up", &topology(", rate: 10mbit")]);
            let before = identities();
            assert!(fails(&["link", "set", "a--b", "--loss", "1%"], 3).contains("netem"));
            assert_eq!(conditions("a:eth0--b:eth0"), ["rate 10mbit, queue 100", "rate 10mbit, queue 100"]);
            assert_eq!(state("a:eth0--b:eth0"), ("up".to_owned(), false));
            assert_eq!(identities(), before);
        }
        ok(&["down"]);
    });
}

#[test]
fn traffic_control_of_the_users_own_is_left_alone() {
    ThrowAwayHost::run(|host| {
        let text = "name: lab\nnodes: {a: , b: }\nlinks: [[a, b]]\n";
        let file = write(host, "lab.yaml", text);
        ok(&["up", &file]);
        sh("tc -n lab-a qdisc add dev eth0 root handle 1: htb default 1");
        assert!(ok(&["up", &file]).contains("nothing to do"));
        assert_eq!(conditions("a:eth0--b:eth0"), ["htb", "none"]);
        let message = fails(&["link", "set", "a--b", "--rate", "1mbit"], 1);
        assert!(message.contains("the queueing discipline htb of lab-a:eth0"), "{message}");
        assert!(message.contains("tc -n lab-a qdisc delete dev eth0 root"), "{message}");
        assert!(sh("tc -n lab-a qdisc show dev eth0").contains("htb 1:"));
        assert_eq!(conditions("a:eth0--b:eth0"), ["htb", "none"]);
        // The other way is free.
        ok(&["link", "set", "b:eth0", "--rate", "1mbit"]);
        // What else is there is told all the same, and whose it is.
        let shown = ok(&["show"]);
        assert!(shown.lines().any(|line| line.contains("htb") && line.ends_with("somebody else")), "{shown}");
        // Of a sort that nslab could have made, it is somebody else's no less.
        for theirs in ["77: htb default 1", "78: tbf rate 5mbit burst 5000 limit 50000"] {
            sh(&format!("tc -n lab-a qdisc replace dev eth0 root handle {theirs}"));
            let message = fails(&["link", "set", "a--b", "--rate", "1mbit"], 1);
            assert!(message.contains("the queueing discipline"), "{theirs}: {message}");
            assert!(sh("tc -n lab-a qdisc show dev eth0").contains(&theirs[..3]), "{theirs}");
        }
        sh("tc -n lab-a qdisc delete dev eth0 root");
        ok(&["link", "set", "a--b", "--rate", "1mbit"]);
        // On an interface that has conditions from nslab it is in the way, and `show` says so beside the rest.
        sh("tc -n lab-a qdisc replace dev eth0 root handle 77: htb");
        let shown = ok(&["show"]);
        assert!(shown.contains("stop before the queueing discipline htb of lab-a:eth0"), "{shown}");
        sh("tc -n lab-a qdisc delete dev eth0 root");
        ok(&["down"]);
    });
}

#[test]
fn what_makes_no_sense_is_told() {
    ThrowAwayHost::run(|host| {
        assert!(fails(&["link", "show"], 1).contains("no lab is up"));
        assert!(fails(&["link", "set", "lab/a--b", "--up"], 1).contains("no lab lab is up"));
        let file = write(host, "lab.yaml", "name: lab\nnodes: {a: , b: }\nlinks: [[a, b]]\n");
        ok(&["up", &file]);
        for (arguments, says) in [
            (&["a--c", "--up"][..], "lab has no link `a--c`; there is a:eth0--b:eth0"),
            (&["a--b"], "say what is to change: --delay"),
            (&["a--b", "--jitter", "5ms"], "`jitter` is how the delay varies"),
            (&["a--b", "--queue", "5"], "give one of them too"),
            (&["a--b", "--rate", "fast"], "`fast` is no rate"),
            (&["a--b", "--loss", "1%", "--gemodel", "1%"], "cannot be used with"),
            (&["a--b", "--up", "--down"], "cannot be used with"),
            (&["a--b", "--profile", "5g"], "use lan, wifi, dsl, 3g, 4g, satellite or lossy"),
            (&["a--b", "--rate", "1mbit", "--towards", "c"], "does not lead to `c`"),
            (&["a--b", "--down", "--towards", "a"], "leave out --towards"),
            (&["a:eth0", "--rate", "1mbit", "--towards", "a"], "does not go there"),
            (&["a--b", "--rate", "7kbit"], "use at least 8kbit"),
            (&["a--b", "--delay", "9s", "--jitter", "3s"], "use at most 2147ms"),
        ] {
            let message = fails(&[&["link", "set"], arguments].concat(), 2);
            assert!(message.contains(says), "{arguments:?}: {message}");
        }
        ok(&["link", "set", "lab/a--b", "--rate", "1mbit"]);
        ok(&["link", "set", "a--b", "--rate", "none"]);
        assert_eq!(state("a:eth0--b:eth0"), ("up".to_owned(), false));
        ok(&["link", "set", "a--b", "--rate", "2mbit"]);
        ok(&["link", "set", "a--b", "--profile", "none"]);
        assert_eq!(conditions("a:eth0--b:eth0"), ["none", "none"]);
        ok(&["link", "set", "a--b", "--rate", "2mbit"]);
        ok(&["link", "reset", "lab/a--b", "lab/b--a"]);
        assert_eq!(state("a:eth0--b:eth0"), ("up".to_owned(), false));
        ok(&["link", "show", "--lab", "lab"]);
        ok(&["show", "--lab", "lab"]);
        ok(&["down"]);
    });
}

/// Open vSwitch takes away what it finds at its ports, unless it is told not to.
#[test]
fn open_vswitch_leaves_the_conditions_of_its_ports_alone() {
    ThrowAwayHost::run(|host| {
        let mut ovs = OpenVswitch::start(host);
        let text = "name: lab\nswitches: {s1: {backend: ovs, subnets: [10.0.0.0/24]}, s2: {backend: ovs}}\n\
                    nodes: {a: , b: , c: }\nlinks: [{endpoints: [a, s1], rate: 20mbit}, \
                    {endpoints: [b, s2], egress_qos: {rate: 5mbit}}, [s1, s2], [c, s1]]\n";
        let file = write(host, "lab.yaml", text);
        ok(&["up", &file]);
        let at_a = || sh("tc qdisc show dev lab-a");
        assert!(at_a().contains("tbf 10:"), "{}", at_a());
        // What has ovs-vswitchd look at all its ports again.
        sh(
            "ovs-vsctl set Bridge lab-s1 other_config:mac-aging-time=77 && ovs-vsctl add-port lab-s1 x -- set Interface x type=internal",
        );
        assert!(at_a().contains("tbf 10:"), "{}", at_a());
        sh("ovs-vsctl del-port x && ovs-vsctl remove Bridge lab-s1 other_config mac-aging-time");
        ovs.kill_switch();
        ovs.start_switch();
        wait_for_switch();
        assert!(ok(&["show"]).contains("everything is as it should be"));
        is_about(tcp_rate("lab-c", "lab-a", "10.0.0.1", 8_000_000), 20.0 * 0.96, "c to a");

        // It shapes itself what leaves by another.
        let message = fails(&["link", "set", "b--s2", "--rate", "1mbit"], 2);
        assert!(message.contains("`egress_qos` shapes already what s2 sends"), "{message}");
        ok(&["link", "set", "b--s2", "--rate", "1mbit", "--towards", "s2"]);

        // Between two of its switches there is no device: then there is one.
        assert_eq!(sh("ovs-vsctl get Interface lab-s1-s2 type"), "patch\n");
        ok(&["link", "set", "s1--s2", "--rate", "3mbit"]);
        is_about(tcp_rate("lab-c", "lab-b", "10.0.0.2", 1_500_000), 3.0 * 0.96, "c to b, over a link that was a patch");
        ok(&["link", "reset"]);
        assert_eq!(sh("ovs-vsctl get Interface lab-s1-s2 type"), "patch\n");
        assert!(ok(&["plan", &file]).contains("nothing to do"));
        ok(&["link", "set", "s1--s2", "--down"]);
        fails(&["ping", "-c1", "-W", "200ms", "c", "b"], 1);
        ok(&["link", "set", "s1--s2", "--up"]);
        ok(&["ping", "-c2", "c", "b"]);
        ok(&["down"]);
    });
}

walks!(linux, |host| WalkedLab::linux(host), killed_anywhere_then_up_or_down, that_fails_anywhere_changes_nothing);
walks!(ovs, |host| WalkedLab::ovs(host), killed_anywhere_then_up_or_down, that_fails_anywhere_changes_nothing);

/// A change that a lab of each backend has much to do for: a link goes down with all that hangs on it, or a pair of patch
/// ports becomes a cable.
fn change(lab: &WalkedLab) -> [&'static str; 6] {
    let link = if lab.on_ovs { "s1--s2" } else { "r--s1" };
    ["link", "set", link, "--down", "--rate", "9mbit"]
}

/// Wherever a change of a link is killed, `up` puts the topology's own back, and `down` takes all away.
fn killed_anywhere_then_up_or_down(lab: &WalkedLab) {
    let WalkedLab { host, before: file, .. } = lab;
    let start = || succeeded(&nslab(["up", file]).output().unwrap());
    let stopped = |output: &Output, point| {
        was_killed(output, point);
        // Where it was changing already, it says so and changes nothing more.
        let again = nslab(["link", "reset"]).output().unwrap();
        assert!(again.status.success() || text(&again).contains("is half-changed"), "point {point}: {}", text(&again));
    };
    let after = |point| {
        if point % 2 == 0 {
            succeeded(&nslab(["up", file]).output().unwrap());
            assert_converged(file, point);
        } else {
            down(host, point);
        }
    };
    walk(lab, &change(lab), "NSLAB_TEST_CRASH_AT", start, stopped, after);
    down(host, 0);
}

/// Whatever of it fails, the lab is what it was.
fn that_fails_anywhere_changes_nothing(lab: &WalkedLab) {
    let WalkedLab { host, before: file, .. } = lab;
    succeeded(&nslab(["up", file]).output().unwrap());
    let failed = |output: &Output, point: u32| {
        assert_eq!(output.status.code(), Some(1), "point {point}: {}", text(output));
        assert!(ok(&["show"]).contains("everything is as it should be"), "point {point}");
        assert_converged(file, point);
    };
    walk(lab, &change(lab), "NSLAB_TEST_FAIL_AT", || {}, failed, |_| ());
    down(host, 0);
}

/// Several links between the same switches, each by its own name.
#[test]
fn links_between_the_same_switches_are_told_apart() {
    ThrowAwayHost::run(|host| {
        let text = "name: lab\nswitches: {s1: {stp: true}, s2: {stp: true}}\nnodes: {a: }\nlinks: [[s1, s2], [s2, s1], [a, s1]]\n";
        ok(&["up", &write(host, "lab.yaml", text)]);
        ok(&["link", "set", "s2--s1-2", "--rate", "5mbit"]);
        assert_eq!(conditions("s1--s2"), ["none", "none"]);
        assert_eq!(conditions("s2--s1-2"), ["rate 5mbit, queue 100", "rate 5mbit, queue 100"]);
        ok(&["link", "set", "s1--s2", "--down"]);
        assert_eq!((state("s1--s2").0, state("s2--s1-2").0), ("down".to_owned(), "up".to_owned()));
        ok(&["down"]);
    });
}

/// A link that takes its time does not fail the check.
#[test]
fn a_slow_link_is_given_its_time() {
    ThrowAwayHost::run(|host| {
        let text = "name: lab\nnodes: {a: , b: }\nlinks: [{endpoints: [a, b], subnets: [10.0.0.0/30], rate: 500kbit, queue: 20}]\n";
        ok(&["up", &write(host, "lab.yaml", text)]);
        ok(&["check"]);
        ok(&["down"]);
    });
}

/// What does not fit into a queue is lost; with room for all, nothing is. Behind a switch: who sends by a full queue of its
/// own is told, and waits.
#[test]
fn a_queue_holds_so_many_frames_and_no_more() {
    ThrowAwayHost::run(|host| {
        let text = "name: lab\nswitches: {s1: {backend: linux, subnets: [10.0.0.0/24]}}\nnodes: {a: , b: }\n\
                    links: [[a, s1], {endpoints: [b, s1], towards: {b: {rate: 1mbit, queue: 5}}}]\n";
        ok(&["up", &write(host, "lab.yaml", text)]);
        // Forty at once, of 1042 bytes each.
        let answered = || {
            let said = sh("ip netns exec lab-a timeout -s INT 60 ping -q -c40 -l40 -s1000 -W2 10.0.0.2 || true");
            let (head, _) = said.split_once(" received").unwrap_or_else(|| panic!("{said}"));
            head.rsplit(' ').next().unwrap().parse::<u32>().unwrap()
        };
        let few = answered();
        assert!((5..=30).contains(&few), "{few} of 40 fit into a queue of 5 frames and a bucket of 3 KiB");
        ok(&["link", "set", "b--s1", "--towards", "b", "--queue", "100"]);
        assert_eq!(answered(), 40);
        ok(&["down"]);
    });
}
