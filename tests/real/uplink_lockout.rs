//! Nobody is locked out: what can't become an uplink is refused, and what comes of no good is undone.

use crate::support::conversation::Conversation;
use crate::support::keepers::{keepers, kill_all, watchers};
use crate::support::nic::{assert_same, machine};
use crate::support::run::{fails, json, ok, sh, text, write};
use crate::support::street::{
    BEHIND, PATIENCE, ROUTER, ROUTER_V6, STATIC_V4, STATIC_V6, Street, assert_reaches, master, reaches,
};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use crate::uplink::lab;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Has the router answer nobody.
const SILENCE: &str = "nft 'table inet silence { chain in { type filter hook input priority 0; drop; }; }'";
const SPEECH: &str = "nft delete table inet silence";

/// A machine with addresses of both families, and a lab.
pub(crate) fn begin(host: &ThrowAwayHost) -> (Street, String) {
    let street = Street::new();
    sh(STATIC_V4);
    sh(STATIC_V6);
    lab(host);
    (street, machine())
}

/// The NIC is given back by itself, all is as it was, and nobody watches any more.
#[track_caller]
pub(crate) fn assert_undone(before: &str, when: &str) {
    wait_until(&format!("the NIC is no port any more {when}"), PATIENCE, || master("eth0").is_none());
    wait_until(&format!("nobody watches any more {when}"), PATIENCE, || keepers().is_empty() && watchers().is_empty());
    assert_same(before, &machine(), when);
    assert_reaches(ROUTER, PATIENCE);
    assert_reaches(ROUTER_V6, PATIENCE);
}

/// A firewall that knows the NIC by its name, as a switch would that lets a port have one MAC address.
#[test]
fn a_gateway_that_is_silent_after_attach_undoes_it() {
    ThrowAwayHost::run(|host| {
        let (street, before) = begin(host);
        sh("nft 'table inet wall { chain out { type filter hook output priority 0; oifname lab-uplink drop; }; }'");
        let conversation = Conversation::with(&street, BEHIND);
        let attach = nslab(["uplink", "attach", "eth0"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("the NIC is a port", PATIENCE, || master("eth0").is_some());
        let begun = Instant::now();
        wait_until("the NIC is no port any more", PATIENCE, || master("eth0").is_none());
        let silent_for = begun.elapsed();
        let output = attach.wait_with_output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("lab could not be changed"), "{said}");
        assert!(said.contains("answered by way of eth0 before, and does not in 10 s by way of lab-uplink"), "{said}");
        assert!(silent_for < Duration::from_secs(15), "{silent_for:?}");
        assert_undone(&before, "after its gateway was silent");
        println!("{silent_for:?}, {:?}", conversation.end());
        sh("nft delete table inet wall");
        ok(&["down"]);
    });
}

/// Whether the NIC is the lab's uplink, and somebody watches over it.
fn is_attached() -> bool {
    master("eth0").as_deref() == Some("lab-uplink") && !keepers().is_empty()
}

#[test]
fn what_nobody_confirms_is_undone_even_where_the_terminal_is_gone() {
    ThrowAwayHost::run(|host| {
        let (street, before) = begin(host);
        let conversation = Conversation::with(&street, BEHIND);
        // script(1) makes a terminal, which goes with it.
        let attach = format!("{} uplink attach eth0 --confirm 3", env!("CARGO_BIN_EXE_nslab"));
        sh(&format!("script -qec '{attach}' /dev/null </dev/null >/dev/null"));
        assert!(is_attached());
        let status = json(&["--json", "uplink", "status"]);
        assert!(status["confirm_left_s"].as_u64().unwrap() <= 3, "{status}");
        wait_until("it is undone", PATIENCE, || !is_attached());
        assert_undone(&before, "after nobody confirmed");
        assert!(ok(&["uplink", "status"]).contains("no NIC for an uplink"));

        // The next one has no part in that.
        ok(&["uplink", "attach", "eth0"]);
        assert_eq!(json(&["--json", "uplink", "status"])["confirm_left_s"], serde_json::Value::Null);
        ok(&["uplink", "detach"]);
        assert_same(&before, &machine(), "after detach");
        println!("{:?}", conversation.end());
        ok(&["down"]);
    });
}

#[test]
fn what_is_confirmed_stays() {
    ThrowAwayHost::run(|host| {
        let (_street, before) = begin(host);
        ok(&["uplink", "attach", "eth0", "--confirm", "4"]);
        let asked = Instant::now();
        assert_eq!(ok(&["uplink", "confirm"]), "the uplink stays\n");
        assert_eq!(ok(&["uplink", "confirm"]), "there was nothing to confirm\n");
        let stays = |until: Duration| {
            while asked.elapsed() < until {
                assert!(is_attached(), "after {:?}", asked.elapsed());
                std::thread::sleep(Duration::from_millis(100));
            }
        };
        stays(Duration::from_secs(6));
        // Nor is it asked for again when somebody has to watch anew.
        kill_all();
        ok(&["uplink", "attach", "eth0"]);
        assert_eq!(ok(&["uplink", "confirm"]), "there was nothing to confirm\n");
        ok(&["uplink", "detach"]);
        assert_undone(&before, "after detach");
        ok(&["down"]);
    });
}

/// Brings up a second lab beside the first.
fn second_lab(host: &ThrowAwayHost) {
    ok(&["up", &write(host, "other.yaml", "name: other\nnodes: {n: }\nswitches: {br0: }\nlinks: [[n, br0]]\n")]);
}

#[test]
fn one_nic_is_one_labs_uplink() {
    ThrowAwayHost::run(|host| {
        let (street, before) = begin(host);
        second_lab(host);
        let conversation = Conversation::with(&street, BEHIND);
        for round in 0..8 {
            let both = ["lab", "other"].map(|lab| {
                let mut attach = nslab(["--lab", lab, "uplink", "attach", "eth0"]);
                attach.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            });
            let both = both.map(|attach| attach.wait_with_output().unwrap());
            let said = both.each_ref().map(text);
            let codes = both.each_ref().map(|output| output.status.code());
            let mut sorted = codes;
            sorted.sort_unstable();
            assert_eq!(sorted, [Some(0), Some(1)], "round {round}: {said:?}");
            let (winner, loser) = if codes[0] == Some(0) { ("lab", 1) } else { ("other", 0) };
            assert!(said[loser].contains("eth0"), "round {round}: {said:?}");
            assert_eq!(master("eth0"), Some(format!("{winner}-uplink")), "round {round}: {said:?}");
            assert!(reaches(BEHIND), "round {round}: {said:?}");
            ok(&["--lab", winner, "uplink", "detach"]);
            assert_undone(&before, &format!("after round {round}"));
        }
        println!("{:?}", conversation.end());
        ok(&["down", "--all"]);
    });
}

#[test]
fn the_same_lab_is_attached_once() {
    ThrowAwayHost::run(|host| {
        let (_street, before) = begin(host);
        let both = [(); 2].map(|()| {
            nslab(["uplink", "attach", "eth0"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        for attach in both {
            let output = attach.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", text(&output));
        }
        assert!(is_attached());
        assert_eq!(keepers().len(), 1);
        ok(&["uplink", "detach"]);
        // Given back already.
        ok(&["uplink", "detach"]);
        assert_undone(&before, "after detach");
        ok(&["down"]);
    });
}

#[test]
fn what_can_be_no_uplink_is_refused_and_nothing_is_touched() {
    ThrowAwayHost::run(|host| {
        let (_street, _) = begin(host);
        sh("ip link add br7 type bridge; ip link add port type veth peer name far; ip link set port master br7 up
            ip link add idle type veth peer name idle-far
            ip tuntap add dev tun7 mode tun; ip link set tun7 up");
        let before = machine();
        let netns_end = "lab-trunk";
        for (nic, why) in [
            ("eth7", "there is no interface `eth7` here: there are"),
            ("port", "`port` is a port of `br7` already"),
            ("idle", "`idle` is down: set it up first"),
            ("tun7", "carries no Ethernet frames"),
            (netns_end, "there is no interface"),
        ] {
            let said = fails(&["uplink", "attach", nic], 1);
            assert!(said.contains(why), "{nic}: {said}");
            assert_same(&before, &machine(), nic);
        }
        let said = fails(&["uplink", "attach", "eth0", "--address", "none"], 1);
        assert!(said.contains("the machine reaches its gateway 192.0.2.1 by eth0"), "{said}");
        let said = fails(&["uplink", "attach", "eth0", "--switch", "br9"], 2);
        assert!(said.contains("br9"), "{said}");
        let said = fails(&["uplink", "attach", "lo"], 2);
        assert!(said.contains("`lo` is a name the kernel keeps for itself"), "{said}");
        fails(&["uplink", "attach", "eth0", "--address", "soon"], 2);
        fails(&["uplink", "attach", "eth0", "--confirm", "0"], 2);
        assert_same(&before, &machine(), "after all were refused");

        // What is a lab's own, and what is one's uplink.
        ok(&["uplink", "attach", "eth0"]);
        let attached = machine();
        second_lab(host);
        for (nic, why) in [
            ("lab-uplink", "is a part of a lab itself"),
            ("lab-trunk", "is a part of a lab itself"),
            ("eth0", "`eth0` is a port of `lab-uplink` already"),
        ] {
            let said = fails(&["--lab", "other", "uplink", "attach", nic], 1);
            assert!(said.contains(why), "{nic}: {said}");
        }
        ok(&["down", "other"]);
        assert_same(&attached, &machine(), "after what is the lab's own was refused");
        ok(&["down", "lab"]);
        assert_same(&before, &machine(), "after down");
        sh("ip link delete br7; ip link delete port; ip link delete idle; ip link delete tun7");
    });
}

/// What is on top of it, the kernel lets have no bridge beside.
#[test]
fn a_nic_that_the_kernel_lets_be_no_port_is_given_back() {
    ThrowAwayHost::run(|host| {
        let (street, _) = begin(host);
        if !host.try_sh("ip link add link eth0 name mac7 type macvlan mode private").status.success() {
            sh("ip link add link eth0 name mac7 type ipvlan mode l2");
        }
        let before = machine();
        let conversation = Conversation::with(&street, BEHIND);
        let said = fails(&["uplink", "attach", "eth0"], 1);
        assert!(said.contains("`eth0` is taken"), "{said}");
        println!("{:?}", conversation.end());
        assert_undone(&before, "after the kernel refused");
        sh("ip link delete mac7");
        ok(&["down"]);
    });
}

#[test]
fn a_nic_that_vanishes_is_told_of_and_taken_up_again() {
    ThrowAwayHost::run(|host| {
        let (street, _) = begin(host);
        ok(&["uplink", "attach", "eth0"]);
        sh("ip link delete eth0");
        let trouble = || json(&["--json", "uplink", "status"])["trouble"].as_str().unwrap_or_default().to_owned();
        wait_until("it is told that the NIC is gone", PATIENCE, || trouble().contains("eth0 is gone"));
        assert!(ok(&["uplink", "status"]).contains("is not there"));
        street.plug();
        wait_until("the NIC is a port again", PATIENCE, is_attached);
        assert_reaches(ROUTER, PATIENCE);
        assert_reaches(ROUTER_V6, PATIENCE);
        wait_until("nothing is wrong any more", PATIENCE, || trouble().is_empty());

        // Gone for good: what there is else goes.
        sh("ip link delete eth0");
        ok(&["uplink", "detach"]);
        let shown = sh("ip -br address");
        assert!(!shown.contains("192.0.2.10") && !shown.contains("lab-uplink"), "{shown}");
        assert!(keepers().is_empty());
        ok(&["down"]);
    });
}

#[test]
fn carrier_and_gateways_are_watched() {
    ThrowAwayHost::run(|host| {
        let (street, before) = begin(host);
        ok(&["uplink", "attach", "eth0"]);
        let status = || json(&["--json", "uplink", "status"]);
        let answers = |to: &str| {
            let status = status();
            let gateways = status["gateways"].as_array().unwrap();
            gateways.iter().any(|gateway| gateway["address"] == to && gateway["answers"] == true)
        };
        for gateway in [ROUTER, ROUTER_V6] {
            wait_until(&format!("{gateway} is told to answer"), PATIENCE, || answers(gateway));
        }
        street.sh(SILENCE);
        for gateway in [ROUTER, ROUTER_V6] {
            wait_until(&format!("{gateway} is told not to answer"), PATIENCE, || !answers(gateway));
        }
        assert!(ok(&["uplink", "status"]).contains("gateway 192.0.2.1 does not answer"));
        street.sh(SPEECH);
        for gateway in [ROUTER, ROUTER_V6] {
            wait_until(&format!("{gateway} is told to answer again"), PATIENCE, || answers(gateway));
        }

        street.sh("ip link set nic down");
        wait_until("the carrier is missed", PATIENCE, || status()["carrier"] == false);
        assert!(ok(&["uplink", "status"]).contains("without carrier"));
        assert!(is_attached());
        street.sh(&format!("ip link set nic up; ip addr add {ROUTER_V6}/64 dev nic nodad"));
        wait_until("the carrier is back", PATIENCE, || status()["carrier"] == true);
        assert_reaches(ROUTER, PATIENCE);
        assert_reaches(ROUTER_V6, PATIENCE);
        ok(&["uplink", "detach"]);
        assert_undone(&before, "after detach");
        ok(&["down"]);
    });
}
