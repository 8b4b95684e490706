//! Wherever attaching or giving back a NIC is killed, the machine reaches its gateway again by itself, and everything is as it
//! was in the end.

use crate::crash::{
    changing_up_killed_anywhere_then_down, changing_up_killed_anywhere_then_up, killed_anywhere_then_down,
    killed_anywhere_then_up, putting_back_killed_anywhere_then_up_or_down,
};
use crate::failure::{
    a_down_that_fails_anywhere_says_what_is_left_and_the_next_goes_on,
    changing_up_that_fails_anywhere_puts_the_lab_back, up_that_fails_anywhere_leaves_nothing,
};
use crate::interrupt::{a_changing_up_interrupted_anywhere_puts_the_lab_back, up_interrupted_anywhere_leaves_nothing};
use crate::support::conversation::Conversation;
use crate::support::keepers::{keepers, kill_all, watchers};
use crate::support::nic::{assert_same, differences, machine};
use crate::support::ovs::OpenVswitch;
use crate::support::run::{ok, sh, text};
use crate::support::street::{BEHIND, PATIENCE, ROUTER, ROUTER_V6, STATIC_V4, STATIC_V6, Street, assert_reaches};
use crate::support::walk::walks;
use crate::support::walk::{MOST_POINTS, point, succeeded, was_killed};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use crate::uplink::lab;
use std::path::Path;
use std::time::{Duration, Instant};

walks!(
    uplinked,
    |host| WalkedLab::uplinked(host),
    killed_anywhere_then_down,
    killed_anywhere_then_up,
    putting_back_killed_anywhere_then_up_or_down,
    up_that_fails_anywhere_leaves_nothing,
    changing_up_that_fails_anywhere_puts_the_lab_back,
    a_down_that_fails_anywhere_says_what_is_left_and_the_next_goes_on,
    up_interrupted_anywhere_leaves_nothing,
    a_changing_up_interrupted_anywhere_puts_the_lab_back
);

walks!(
    parted,
    |host| WalkedLab::parted(host),
    changing_up_killed_anywhere_then_down,
    changing_up_killed_anywhere_then_up,
    putting_back_killed_anywhere_then_up_or_down,
    changing_up_that_fails_anywhere_puts_the_lab_back,
    a_changing_up_interrupted_anywhere_puts_the_lab_back
);

/// How soon the machine is to reach its gateway again.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// Who is left when the command has been killed.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Left {
    /// Those that watch over it.
    Keeper,
    /// Nobody.
    Nobody,
}

/// A machine with addresses of both families, and a lab that is up.
pub(crate) struct Machine {
    pub(crate) street: Street,
    /// Where its switch is one of Open vSwitch.
    pub(crate) ovs: Option<OpenVswitch>,
    /// What it has on its NIC, and around it.
    pub(crate) before: String,
}

impl Machine {
    /// Its lab is of Linux bridges.
    fn with_bridges(host: &ThrowAwayHost) -> Self {
        let street = Street::new();
        sh(STATIC_V4);
        sh(STATIC_V6);
        lab(host);
        Self { street, ovs: None, before: machine() }
    }

    /// Where its address is while the NIC is attached.
    fn onto(&self) -> &'static str {
        if self.ovs.is_some() { "lab-br0" } else { "lab-uplink" }
    }

    /// Whether the NIC is a port of what it is to be one of.
    fn is_port(&self) -> bool {
        match self.ovs {
            Some(_) => sh("ovs-vsctl --no-wait list-ports lab-br0").contains("eth0"),
            None => sh("ip link show dev eth0").contains("master lab-uplink"),
        }
    }

    /// Whether all that the machine has on the NIC is on one interface, which is wholly there or not at all.
    fn is_whole(&self) -> bool {
        let on = |interface: &str| {
            let shown = sh(&format!("ip address show dev {interface} 2>/dev/null || true"));
            [shown.contains("192.0.2.10/24"), shown.contains("2001:db8::10/64")]
        };
        let has_bridge = Path::new("/sys/class/net").join(self.onto()).exists();
        match (on("eth0"), on(self.onto())) {
            ([true, true], [false, false]) => !self.is_port() && (!has_bridge || keepers().is_empty()),
            ([false, false], [true, true]) => self.is_port(),
            _ => false,
        }
    }

    /// All is as it was. ovs-vswitchd comes to what it is told when it does.
    #[track_caller]
    pub(crate) fn assert_as_it_was(&self, when: &str) {
        if self.ovs.is_some() {
            let begun = Instant::now();
            while begun.elapsed() < PATIENCE && !differences(&self.before, &machine()).is_empty() {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        assert_same(&self.before, &machine(), when);
    }
}

/// Kills `nslab uplink ARGUMENTS` at each of its points; `attached` says whether it begins with an uplink.
pub(crate) fn walk(on: &Machine, arguments: &[&str], attached: bool, left: Left) {
    let conversation = Conversation::with(&on.street, BEHIND);
    for point in 1..MOST_POINTS {
        if attached {
            ok(&["uplink", "attach", "eth0"]);
        }
        let output = nslab(arguments).env("NSLAB_TEST_CRASH_AT", point.to_string()).output().unwrap();
        let passed_all = output.status.success();
        if !passed_all {
            was_killed(&output, point);
        }
        if left == Left::Nobody {
            kill_all();
        } else {
            for gateway in [ROUTER, ROUTER_V6] {
                assert_reaches(gateway, SOON);
            }
            wait_until(&format!("nothing is half-done after point {point}"), PATIENCE, || on.is_whole());
        }
        ok(&["uplink", "detach"]);
        for gateway in [ROUTER, ROUTER_V6] {
            assert_reaches(gateway, SOON);
        }
        on.assert_as_it_was(&format!("after {arguments:?} was killed at point {point}, and detach"));
        if passed_all {
            assert!(point > 10, "only {point} points: is the feature fault-injection on?");
            println!("{arguments:?}: {} points, {:?}", point - 1, conversation.end());
            ok(&["down"]);
            return;
        }
    }
    panic!(
        "{arguments:?} did not come to an end in {MOST_POINTS} points: {}",
        text(&nslab(["show"]).output().unwrap())
    );
}

/// How many points are in a file.
fn passed(points: &Path) -> u32 {
    let points = std::fs::read_to_string(points).unwrap_or_default();
    u32::try_from(points.lines().filter(|line| line.starts_with("point ")).count()).unwrap()
}

/// Kills the keeper at each of its points while it undoes what a killed `attach` left: for good, or so that it is started anew.
pub(crate) fn walk_keeper(host: &ThrowAwayHost, on: &Machine, left: Left) {
    let conversation = Conversation::with(&on.street, BEHIND);
    let [points, keepers_points] = ["points", "keepers-points"].map(|name| host.scratch().join(name));
    succeeded(&nslab(["uplink", "attach", "eth0"]).env("NSLAB_TEST_POINTS", &points).output().unwrap());
    ok(&["uplink", "detach"]);
    let attached = point(&points, &format!("after the machine's address moved to {}", on.onto())).to_string();
    for keepers_point in 1..MOST_POINTS {
        let output = nslab(["uplink", "attach", "eth0"])
            .env("NSLAB_TEST_CRASH_AT", &attached)
            .env("NSLAB_TEST_HELPER_CRASH_AT", keepers_point.to_string())
            .env("NSLAB_TEST_HELPER_POINTS", &keepers_points)
            .output()
            .unwrap();
        was_killed(&output, keepers_point);
        // One that is being started is not seen by its name yet; but then something is half-done.
        let is_done = || !Path::new("/run/nslab/labs/lab/plan.json").exists() && keepers().is_empty();
        let is_there = || passed(&keepers_points) >= keepers_point || is_done();
        wait_until("the keeper has come to the point, or has ended", PATIENCE, is_there);
        if left == Left::Nobody {
            kill_all();
            ok(&["uplink", "detach"]);
        }
        wait_until(&format!("all is given back after point {keepers_point} of the keeper"), SOON, || {
            on.is_whole()
                && !on.is_port()
                && !Path::new("/sys/class/net/lab-uplink").exists()
                && !Path::new("/run/nslab/labs/lab/plan.json").exists()
                && !Path::new("/run/nslab/labs/lab/uplink.sock").exists()
                && keepers().is_empty()
                && watchers().is_empty()
        });
        for gateway in [ROUTER, ROUTER_V6] {
            assert_reaches(gateway, SOON);
        }
        on.assert_as_it_was(&format!("after the keeper was killed at point {keepers_point}"));
        let passed = passed(&keepers_points);
        if passed < keepers_point {
            assert!(passed > 5, "only {passed} points: is the feature fault-injection on?");
            println!("{passed} points of the keeper, {:?}", conversation.end());
            ok(&["down"]);
            return;
        }
        std::fs::remove_file(&keepers_points).unwrap();
    }
    panic!("the keeper did not come to an end in {MOST_POINTS} points");
}

#[test]
fn attach_killed_anywhere_with_a_keeper() {
    ThrowAwayHost::run(|host| walk(&Machine::with_bridges(host), &["uplink", "attach", "eth0"], false, Left::Keeper));
}

#[test]
fn attach_killed_anywhere_and_its_keeper_too() {
    ThrowAwayHost::run(|host| walk(&Machine::with_bridges(host), &["uplink", "attach", "eth0"], false, Left::Nobody));
}

#[test]
fn detach_killed_anywhere_with_a_keeper() {
    ThrowAwayHost::run(|host| walk(&Machine::with_bridges(host), &["uplink", "detach"], true, Left::Keeper));
}

#[test]
fn detach_killed_anywhere_and_its_keeper_too() {
    ThrowAwayHost::run(|host| walk(&Machine::with_bridges(host), &["uplink", "detach"], true, Left::Nobody));
}

#[test]
fn keeper_killed_anywhere_for_good() {
    ThrowAwayHost::run(|host| walk_keeper(host, &Machine::with_bridges(host), Left::Nobody));
}

#[test]
fn keeper_killed_anywhere_and_started_anew() {
    ThrowAwayHost::run(|host| walk_keeper(host, &Machine::with_bridges(host), Left::Keeper));
}
