//! What happens to the frames of links, measured: round trips, losses, doubles, rates. The tolerances are wide, for the
//! machine is slow and does other things; what is compared is far apart.

use crate::pinged::pinged;
use crate::support::ThrowAwayHost;
use crate::support::ovs::OpenVswitch;
use crate::support::run::{json, ok, sh, write};
use crate::support::traffic::tcp_rate;

/// Two nodes on a switch, the link of the first with these conditions, and two beside each other, with them too.
fn lab(host: &ThrowAwayHost, backend: &str, conditions: &str) -> String {
    let text = format!(
        "name: lab\nswitches: {{s1: {{backend: {backend}, subnets: [10.0.0.0/24]}}}}\nnodes: {{a: , b: , c: , d: }}\n\
         links: [{{endpoints: [a, s1]{conditions}}}, [b, s1], {{endpoints: [c, d], subnets: [10.1.0.0/30]{conditions}}}]\n"
    );
    write(host, "lab.yaml", &text)
}

/// From whom to where pings go: over the switch, and between two nodes.
const PAIRS: [(&str, &str); 2] = [("lab-a", "10.0.0.2"), ("lab-c", "10.1.0.2")];

/// The netem of an interface, as tc(8) tells it.
fn netem(of: &str) -> serde_json::Value {
    let all: serde_json::Value = serde_json::from_str(&sh(&format!("tc {of}"))).unwrap();
    let found = all.as_array().unwrap().iter().find(|qdisc| qdisc["kind"] == "netem");
    found.unwrap_or_else(|| panic!("no netem: {all}"))["options"].clone()
}

fn delays_losses_and_doubles(host: &ThrowAwayHost, backend: &str) {
    let up = |conditions: &str| ok(&["up", &lab(host, backend, conditions)]);
    up("");
    let bare = PAIRS.map(|(from, to)| pinged(from, to, 5, "-i0.2").max_ms);

    // Both ways, and one way alone.
    up(", delay: 100ms");
    for ((from, to), bare) in PAIRS.into_iter().zip(bare) {
        let pinged = pinged(from, to, 5, "-i0.2");
        assert_eq!(pinged.received, 5);
        assert!((200.0..300.0 + 2.0 * bare).contains(&pinged.min_ms), "{from}: {} ms, {bare} without", pinged.min_ms);
    }
    ok(&["link", "reset"]);
    for (link, towards) in [("a--s1", "a"), ("c--d", "d")] {
        ok(&["link", "set", link, "--towards", towards, "--delay", "none"]);
    }
    for ((from, to), bare) in PAIRS.into_iter().zip(bare) {
        let one_way = pinged(from, to, 5, "-i0.2").min_ms;
        assert!((100.0..180.0 + 2.0 * bare).contains(&one_way), "{from}: {one_way} ms one way, {bare} without");
    }

    // A third is lost each way, so that four in nine come back.
    up(", loss: 33%");
    for (from, to) in PAIRS {
        let pinged = pinged(from, to, 300, "-i0.01 -W2");
        let share = f64::from(pinged.received) / f64::from(pinged.sent);
        assert!((0.30..0.60).contains(&share), "{from}: {} of {} came back", pinged.received, pinged.sent);
    }
    up(", loss: 100%");
    assert_eq!(PAIRS.map(|(from, to)| pinged(from, to, 5, "-i0.2 -W1").received), [0, 0]);

    // One way alone, by a link that is good or bad as often: half is lost.
    up("");
    for link in ["a:eth0", "c:eth0"] {
        ok(&["link", "set", link, "--gemodel", "50%,50%,100%,0%"]);
    }
    for (from, to) in PAIRS {
        let pinged = pinged(from, to, 300, "-i0.01 -W2");
        let share = f64::from(pinged.received) / f64::from(pinged.sent);
        assert!((0.35..0.65).contains(&share), "{from}: {} of {} came back", pinged.received, pinged.sent);
    }

    // All frames overtake those that the delay holds: none is held.
    up(", delay: 400ms, reorder: 100%");
    for ((from, to), bare) in PAIRS.into_iter().zip(bare) {
        let pinged = pinged(from, to, 5, "-i0.2 -W3");
        assert!(pinged.received == 5 && pinged.max_ms < 300.0 + bare, "{from}: {} ms", pinged.max_ms);
    }

    // One way alone doubles: each answer comes twice.
    up("");
    for link in ["a:eth0", "c:eth0"] {
        ok(&["link", "set", link, "--duplicate", "100%"]);
    }
    for (from, to) in PAIRS {
        let pinged = pinged(from, to, 10, "-i0.2 -W2");
        assert_eq!(pinged.received, 10, "{from}");
        assert!(pinged.duplicates >= 9, "{from}: {} doubles", pinged.duplicates);
    }

    // One bit of each frame is wrong: no checksum is right. But for bits that none covers.
    up(", corrupt: 100%");
    for (from, to) in PAIRS {
        let received = pinged(from, to, 20, "-i0.05 -W1").received;
        assert!(received <= 10, "{from}: {received} of 20 came through");
    }
    ok(&["down"]);
}

#[test]
fn frames_are_delayed_lost_doubled_and_damaged_on_linux_bridges_and_between_nodes() {
    ThrowAwayHost::run(|host| delays_losses_and_doubles(host, "linux"));
}

#[test]
fn frames_are_delayed_lost_doubled_and_damaged_at_ports_of_open_vswitch() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        delays_losses_and_doubles(host, "ovs");
    });
}

/// A rate behind a delay: the queue is of frames that wait, not of those that are under way.
fn rates_hold_behind_a_delay(host: &ThrowAwayHost, backend: &str) {
    let conditions = ", delay: 60ms, rate: 4mbit, queue: 20";
    ok(&["up", &lab(host, backend, conditions)]);
    for (from, to, address) in
        [("lab-a", "lab-b", "10.0.0.2"), ("lab-b", "lab-a", "10.0.0.1"), ("lab-d", "lab-c", "10.1.0.1")]
    {
        let mbit = tcp_rate(from, to, address, 2_000_000) / 1e6;
        assert!((1.5..7.0).contains(&mbit), "{from} to {to}: {mbit} Mbit/s");
    }
    // Packets of 64 KiB are cut to frames in the bucket; after many, the delay line still lets frames in.
    assert_eq!(pinged("lab-c", "10.1.0.2", 5, "-i0.2").received, 5);
    ok(&["link", "set", "c--d", "--rate", "none", "--delay", "none"]);
    let free = tcp_rate("lab-c", "lab-d", "10.1.0.2", 4_000_000) / 1e6;
    assert!(free > 7.0, "without the rate: {free} Mbit/s");
    ok(&["down"]);
}

#[test]
fn rates_hold_behind_a_delay_on_linux_bridges_and_between_nodes() {
    ThrowAwayHost::run(|host| rates_hold_behind_a_delay(host, "linux"));
}

#[test]
fn rates_hold_behind_a_delay_at_ports_of_open_vswitch() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        rates_hold_behind_a_delay(host, "ovs");
    });
}

/// What tc(8) says of it, and that nslab reads back what it set.
#[test]
fn every_condition_is_what_tc_says() {
    ThrowAwayHost::run(|host| {
        let conditions = ", delay: 20ms, jitter: {time: 5ms, correlation: 25%, distribution: normal}, \
                          loss: {gemodel: {p: 1%, r: 10%, 1-h: 70%, 1-k: 0.1%}}, duplicate: {probability: 2%, correlation: 3%}, \
                          corrupt: 0.5%, reorder: {probability: 4%, correlation: 50%}, rate: 10mbit, queue: 30";
        let file = lab(host, "linux", conditions);
        ok(&["up", &file]);
        assert!(ok(&["plan", &file]).contains("nothing to do"));
        let options = netem("-n lab-c -j qdisc show dev eth0");
        let is = |key: &str, part: &str, wanted: f64| {
            let value = &options[key][part];
            assert!((value.as_f64().unwrap() - wanted).abs() < wanted / 1000.0, "{key}.{part} is {value}: {options}");
        };
        is("delay", "delay", 0.02);
        is("delay", "jitter", 0.005);
        is("delay", "correlation", 0.25);
        is("loss-gemodel", "p", 0.01);
        is("loss-gemodel", "r", 0.1);
        is("loss-gemodel", "1-h", 0.7);
        is("loss-gemodel", "1-k", 0.001);
        is("duplicate", "duplicate", 0.02);
        is("duplicate", "correlation", 0.03);
        is("corrupt", "corrupt", 0.005);
        is("reorder", "reorder", 0.04);
        is("reorder", "correlation", 0.5);
        assert!(sh("tc -n lab-c qdisc show dev eth0").contains("tbf 40: parent 31:1 rate 10Mbit"));

        // One part after the other, each change in place or by another discipline, and read back right.
        for (option, value, told) in [
            ("--jitter", "5ms", "delay 20ms ± 5ms,"),
            ("--jitter", "4ms,pareto", "delay 20ms ± 4ms pareto,"),
            ("--gemodel", "none", "delay 20ms ± 4ms pareto, duplicate"),
            ("--loss", "3%,10%", "loss 3% (correlation 10%), duplicate"),
            ("--reorder", "none", "corrupt 0.5%, rate 10mbit, queue 30"),
            ("--rate", "none", "corrupt 0.5%, queue 30"),
            ("--queue", "none", "duplicate 2% (correlation 3%), corrupt 0.5%"),
            ("--delay", "none", "loss 3% (correlation 10%), duplicate 2% (correlation 3%), corrupt 0.5%"),
            ("--profile", "satellite", "delay 270ms ± 2ms normal (correlation 25%), loss 0.5%, rate 20mbit, queue 500"),
        ] {
            ok(&["link", "set", "c--d", option, value]);
            let report = json(&["--json", "link", "show"]);
            for way in [0, 1] {
                let says = report[2]["ways"][way]["conditions"].as_str().unwrap();
                assert!(says.contains(told), "{option} {value}: {says}");
            }
            assert!(ok(&["show"]).contains("everything is as it should be"), "{option} {value}");
        }
        ok(&["up", &file]);
        assert!(ok(&["plan", &file]).contains("nothing to do"));

        // By the script, in a lab of its own, the kernel has the same.
        let disciplines = || sh("for n in lab-a lab-c lab-d lab-fabric; do tc -n $n qdisc show | sort; done");
        let by_nslab = disciplines();
        ok(&["down"]);
        let script = write(host, "lab.sh", &ok(&["plan", "--shell", &file]));
        sh(&format!("sh {script}"));
        assert_eq!(disciplines(), by_nslab);
        sh(
            "for n in $(ip netns list | cut -d' ' -f1); do ip netns del $n; done; rm -rf /etc/netns; umount /run/netns; rmdir /run/netns",
        );
    });
}

/// Round trips spread as they are told to.
#[test]
fn delays_vary_as_their_distribution_says() {
    ThrowAwayHost::run(|host| {
        ok(&["up", &lab(host, "linux", ", delay: 100ms")]);
        ok(&["link", "set", "c:eth0", "--jitter", "50ms"]);
        let uniform = pinged("lab-c", "10.1.0.2", 100, "-i0.05 -W2");
        assert!(uniform.max_ms - uniform.min_ms > 60.0, "{} to {} ms", uniform.min_ms, uniform.max_ms);
        assert!(uniform.min_ms > 149.0, "{} ms is too soon", uniform.min_ms);
        assert!((180.0..300.0).contains(&uniform.mean_ms), "{} ms in the mean", uniform.mean_ms);
        ok(&["link", "set", "c:eth0", "--jitter", "20ms,pareto"]);
        let pareto = pinged("lab-c", "10.1.0.2", 150, "-i0.05 -W2");
        // Most are early, the longest is far out.
        assert!(
            pareto.max_ms - pareto.mean_ms > 1.5 * (pareto.mean_ms - pareto.min_ms),
            "{} {} {}",
            pareto.min_ms,
            pareto.mean_ms,
            pareto.max_ms
        );
        ok(&["down"]);
    });
}
