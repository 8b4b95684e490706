//! What becomes of the machine where its NIC can't be given back.

use crate::support::keepers::{keepers, watchers};
use crate::support::nic::{assert_same, machine};
use crate::support::run::{json, ok, sh, text};
use crate::support::street::{PATIENCE, ROUTER, ROUTER_V6, STATIC_V4, STATIC_V6, Street, master, reaches};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use crate::uplink::lab;
use nix::fcntl::{Flock, FlockArg};
use std::time::{Duration, Instant};

/// Nothing that the machine's address is on goes, and who watches over it stays.
#[test]
fn what_can_not_be_given_back_stays_where_the_machine_is_reached() {
    ThrowAwayHost::run(|host| {
        let _street = Street::new();
        sh(STATIC_V4);
        sh(STATIC_V6);
        lab(host);
        let before = machine();
        for (command, times) in [(&["down"][..], 1), (&["uplink", "detach"], 1), (&["uplink", "detach"], 2)] {
            let mut failing: Vec<String> = Vec::new();
            let mut said = String::new();
            for _ in 0..times {
                attached(host);
                failing.push(giving_back(host, command, &failing));
                attached(host);
                let output = nslab(command).env("NSLAB_TEST_FAIL_AT", failing.join(",")).output().unwrap();
                said = format!("after {command:?} with failures at {failing:?}: {}", text(&output));
                assert!(reaches(ROUTER) && reaches(ROUTER_V6), "{said}");
            }
            // What `detach` does to the lab has failed, and then what it does where that fails.
            if command == ["down"] || times == 2 {
                assert_eq!(master("eth0").as_deref(), Some("lab-uplink"), "{said}");
                assert_eq!((keepers().len(), watchers().len()), (1, 1), "{said}");
            }
            ok(&["uplink", "detach"]);
            assert_same(&before, &machine(), &said);
        }
        ok(&["down"]);
    });
}

/// The lock of a NIC is one that everybody on the machine can take.
#[test]
fn who_holds_on_to_the_nics_lock_delays_giving_back_by_seconds() {
    ThrowAwayHost::run(|host| {
        let _street = Street::new();
        sh(STATIC_V4);
        lab(host);
        let before = machine();
        ok(&["uplink", "attach", "eth0"]);
        let file = std::fs::File::open("/proc/sys/net/ipv4/conf/eth0").unwrap();
        let held = Flock::lock(file, FlockArg::LockExclusive).unwrap();
        let begun = Instant::now();
        ok(&["uplink", "detach"]);
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        wait_until("the machine is as it was", Duration::from_secs(30), || machine() == before);
        let refused = nslab(["uplink", "attach", "eth0"]).output().unwrap();
        assert!(!refused.status.success() && text(&refused).contains("lock"), "{}", text(&refused));
        assert_same(&before, &machine(), "after an attach that did not come to it");
        drop(held);
        ok(&["down"]);
    });
}

/// With its keeper at work: one that still waits for the command to end undoes what the next one leaves half-done.
fn attached(host: &ThrowAwayHost) {
    lab(host);
    ok(&["uplink", "attach", "eth0"]);
    let gateways = || json(&["--json", "uplink", "status"])["gateways"].as_array().map_or(0, Vec::len);
    wait_until("the keeper has asked the gateways", PATIENCE, || gateways() == 2);
}

/// At which of its chances to fail a command gives the NIC back for the last time, where it fails at others before.
fn giving_back(host: &ThrowAwayHost, command: &[&str], failing: &[String]) -> String {
    let points = host.scratch().join("points");
    let _ = std::fs::remove_file(&points);
    let run = nslab(command).env("NSLAB_TEST_POINTS", &points).env("NSLAB_TEST_FAIL_AT", failing.join(",")).output();
    let passed = std::fs::read_to_string(&points).unwrap();
    let (mut rest, mut found) = (passed.lines(), None);
    while let Some(line) = rest.next() {
        if line.contains("before: give eth0 back") {
            found = rest.next().and_then(|next| next.strip_prefix("chance "));
        }
    }
    found.unwrap_or_else(|| panic!("{command:?} gave nothing back: {}", text(&run.unwrap()))).to_owned()
}
