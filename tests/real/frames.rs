//! What switches do with frames that are not for everybody: those between neighbours, and multicast. Frames sent by one
//! node and looked for at another are the witness, beside what ip(8) and ovs-vsctl(8) say.

use crate::support::frames::Wire;
use crate::support::ovs::OpenVswitch;
use crate::support::run::{fails, json, ok, sh, write};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

const ALL: &[&str] = &["lacp", "lldp", "stp"];

/// Two nodes with two switches between them, of which this is said.
fn lab(host: &ThrowAwayHost, backend: &str, what: &str) -> String {
    let text = format!(
        "name: lab\n\
         switches: {{s1: {{backend: {backend}, subnets: [10.0.0.0/24]{what}}}, s2: {{backend: {backend}{what}}}}}\n\
         nodes: {{a: , b: }}\nlinks: [[a, s1], [s1, s2], [b, s2]]\n"
    );
    write(host, "lab.yaml", &text)
}

/// What `show` says that the switches forward; both the same.
fn shown() -> Vec<String> {
    let report = json(&["--json", "show"]);
    let [s1, s2] = [0, 1].map(|index| report["switches"][index]["forwards"].clone());
    assert_eq!(s1, s2);
    serde_json::from_value(s1).unwrap()
}

/// Brings the lab to be such, from whatever it was before; gives back what `up` said.
#[track_caller]
fn comes_to_forward(host: &ThrowAwayHost, backend: &str, what: &str, wanted: &[&str]) -> String {
    let file = lab(host, backend, what);
    let up = ok(&["up", &file]);
    ok(&["check", "--probe", "icmp", "--timeout", "5s"]); // any spanning tree has come to rest
    let [a, b] = ["lab-a", "lab-b"].map(Wire::of);
    assert_eq!((a.link_local_to(&b), b.link_local_to(&a)), (wanted.to_vec(), wanted.to_vec()), "{backend}{what}");
    assert_eq!(shown(), wanted, "{backend}{what}");
    assert!(ok(&["plan", &file]).contains("nothing to do"), "{backend}{what}");
    up
}

#[test]
fn a_linux_bridge_forwards_what_it_is_told_to_and_others_spanning_trees() {
    ThrowAwayHost::run(|host| {
        let forwards = |what: &str, wanted: &[&str]| comes_to_forward(host, "linux", what, wanted);
        let also = "forwards stp too, which `forward` leaves out: a Linux bridge without a spanning tree";
        assert!(!forwards("", &["stp"]).contains(also));
        assert!(forwards(", forward: [lldp]", &["lldp", "stp"]).contains(also));
        assert!(forwards(", forward: [lacp]", &["lacp", "stp"]).contains(also));
        assert!(!forwards(", forward: [stp]", &["stp"]).contains(also));
        assert!(!forwards(", forward: [lldp, stp, lacp]", &["lacp", "lldp", "stp"]).contains(also));
        assert!(!forwards(", stp: true, forward: [lacp, lldp]", &["lacp", "lldp"]).contains(also));
        forwards(", stp: true", &[]);
        forwards("", &["stp"]);
        let text = ok(&["show"]);
        assert!(text.contains("FORWARDS") && text.contains("MULTICAST"), "{text}");
        ok(&["down"]);
    });
}

#[test]
fn open_vswitch_forwards_all_or_none_but_its_own_spanning_tree_and_says_so() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let forwards = |what: &str, wanted: &[&str]| comes_to_forward(host, "ovs", what, wanted);
        forwards("", &[]);
        let up = forwards(", forward: [lldp]", ALL);
        assert!(up.contains("s1 forwards lacp and stp too, which `forward` leaves out: Open vSwitch"), "{up}");
        assert!(!forwards(", forward: [lldp, stp, lacp]", ALL).contains("leaves out"));
        assert!(!forwards(", stp: true, forward: [lldp, lacp]", &["lacp", "lldp"]).contains("leaves out"));
        let up = forwards(", rstp: true, forward: [lacp]", &["lacp", "lldp"]);
        assert!(up.contains("s2 forwards lldp too"), "{up}");
        forwards(", rstp: true", &[]);
        forwards(", forward: [stp]", ALL);
        forwards("", &[]);
        assert_eq!(
            sh("ovs-vsctl get Bridge lab-s1 other_config:forward-bpdu 2>&1 || true").matches("no key").count(),
            1
        );
        ok(&["down"]);
    });
}

#[test]
fn what_is_changed_behind_its_back_is_set_again() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let linux = "ip -n lab-fabric link set dev";
        let linux_harms = [
            format!("{linux} s1 type bridge group_fwd_mask 0"),
            format!("{linux} s2 type bridge group_fwd_mask 0x4008"),
            format!("{linux} a type bridge_slave group_fwd_mask 0"),
            format!("{linux} s1-s2 type bridge_slave group_fwd_mask 0x400d"),
            format!("{linux} b nomaster"),
            format!("{linux} b nomaster; {linux} b master s2"),
            format!("{linux} s1 type bridge mcast_snooping 1"),
            "ip -n lab-a link delete eth0".to_owned(),
            "ip -n lab-fabric link delete s1".to_owned(),
        ];
        let ovs_harms = [
            "ovs-vsctl remove Bridge lab-s1 other_config forward-bpdu",
            "ovs-vsctl set Bridge lab-s2 other_config:forward-bpdu=false",
            "ovs-vsctl set Bridge lab-s1 mcast_snooping_enable=true",
        ];
        let ovs_harms = ovs_harms.map(str::to_owned);
        for (backend, harms) in [("linux", &linux_harms[..]), ("ovs", &ovs_harms)] {
            let file = lab(host, backend, ", forward: [lldp, lacp, stp], mcast_snooping: false");
            ok(&["up", &file]);
            for harm in harms {
                sh(harm);
                assert!(!ok(&["plan", &file]).contains("nothing to do"), "{harm}");
                let up = ok(&["up", &file]);
                assert!(up.contains("  ! "), "{harm}: {up}");
                assert!(ok(&["plan", &file]).contains("nothing to do"), "{harm}");
                assert_eq!(shown(), ["lacp", "lldp", "stp"], "{harm}");
                let [a, b] = ["lab-a", "lab-b"].map(Wire::of);
                assert_eq!(a.link_local_to(&b), ["lacp", "lldp", "stp"], "{harm}");
            }
            ok(&["down"]);
        }
    });
}

/// A change that fails leaves masks and snooping as they were, also where somebody else has set them.
#[test]
fn a_change_that_fails_puts_back_what_was_there() {
    ThrowAwayHost::run(|host| {
        let file = lab(host, "linux", ", forward: [lldp, lacp], mcast_snooping: false");
        ok(&["up", &file]);
        sh("ip -n lab-fabric link set dev a type bridge_slave group_fwd_mask 0x9
            ip -n lab-fabric link set dev s2 type bridge group_fwd_mask 0x8");
        let settings = || {
            sh("for i in s1 s2 a b s1-s2 s2-s1; do
                  ip -n lab-fabric -d link show dev $i | grep -oE '(group_fwd_mask|mcast_snooping) [^ ]+'; done")
        };
        let before = settings();
        assert!(before.contains("0x4000") && before.contains("0x9") && before.contains("mcast_snooping 0"), "{before}");
        let text =
            std::fs::read_to_string(&file).unwrap().replace(", forward: [lldp, lacp], mcast_snooping: false", "");
        let failing = write(host, "failing.yaml", &text.replace("{a: ,", "{a: {exec: ['false']},"));
        let output = fails(&["up", &failing], 1);
        assert!(output.contains("everything was put back as it was"), "{output}");
        assert_eq!(settings(), before);
        ok(&["down"]);
    });
}

#[test]
fn what_can_not_be_is_said_before_anything_is_touched() {
    ThrowAwayHost::run(|host| {
        for (tree, wanted) in [("stp", "`stp`"), ("rstp", "`rstp`")] {
            let file =
                write(host, "lab.yaml", &format!("name: lab\nswitches: {{s1: {{{tree}: true, forward: [stp]}}}}\n"));
            for verb in ["validate", "plan", "up"] {
                let output = fails(&[verb, &file], 2);
                assert!(output.contains("lab.yaml:2:"), "{output}");
                assert!(output.contains(&format!("`s1` has a spanning tree of its own ({wanted})")), "{output}");
            }
        }
        assert!(!Path::new("/run/nslab").exists());
        host.assert_as_it_was("after what can't be");
        let doctor = sh(&format!("{} doctor || true", nslab([""; 0]).get_program().display()));
        assert!(doctor.contains("bridge multicast snooping"), "{doctor}");
    });
}

/// Multicast in a group that `b` is in and `c` is not.
const GROUP: &str = "
name: lab
switches: {s1: {backend: BACKENDWHAT, subnets: [10.0.0.0/24]}}
nodes: {a: , b: , c: }
links: [[a, s1], [b, s1], [c, s1]]
";

/// Joins the group at a node for as long as the socket is there.
fn join(netns: &str) -> UdpSocket {
    let netns = std::fs::File::open(format!("/run/netns/{netns}")).unwrap();
    let join = move || {
        nix::sched::setns(&netns, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.join_multicast_v4(&Ipv4Addr::new(239, 1, 1, 1), &Ipv4Addr::new(10, 0, 0, 2)).unwrap();
        socket
    };
    std::thread::spawn(join).join().unwrap()
}

#[test]
fn multicast_goes_to_who_asked_for_it_or_to_everybody() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        for (backend, what, snoops) in [
            ("linux", "", true),
            ("linux", ", mcast_snooping: false", false),
            ("linux", ", mcast_snooping: true", true),
            ("ovs", "", false),
            ("ovs", ", mcast_snooping: true", true),
            ("ovs", ", mcast_snooping: false", false),
        ] {
            let file = write(host, "lab.yaml", &GROUP.replace("BACKEND", backend).replace("WHAT", what));
            ok(&["up", &file]);
            assert_eq!(json(&["--json", "show"])["switches"][0]["mcast_snooping"], snoops, "{backend}{what}");
            if backend == "linux" {
                let file = "/sys/class/net/s1/bridge/multicast_snooping";
                assert_eq!(sh(&format!("ip netns exec lab-fabric cat {file}")).trim(), u8::from(snoops).to_string());
                // Without somebody who asks now and then who is in the group, a bridge floods.
                sh("ip -n lab-fabric link set dev s1 type bridge mcast_query_response_interval 10
                    ip -n lab-fabric link set dev s1 type bridge mcast_querier 1");
            }
            let [a, b, c] = ["lab-a", "lab-b", "lab-c"].map(Wire::of);
            let _member = join("lab-b");
            let reached = || (a.multicast_reaches(&b), a.multicast_reaches(&c));
            wait_until("multicast goes where it should", SOON, || reached() == (true, !snoops));
            assert_eq!(reached(), (true, !snoops), "{backend}{what}");
            assert!(ok(&["plan", &file]).contains("nothing to do"), "{backend}{what}");
            if what.contains("false") {
                ok(&["down"]);
            }
        }
    });
}
