//! What `uplink_crash` walks through, with a NIC that is a port of a switch of Open vSwitch.

use crate::support::ThrowAwayHost;
use crate::uplink_crash::{Left, walk, walk_keeper};
use crate::uplink_ovs::begin;

#[test]
fn attach_killed_anywhere_with_a_keeper() {
    ThrowAwayHost::run(|host| walk(&begin(host), &["uplink", "attach", "eth0"], false, Left::Keeper));
}

#[test]
fn attach_killed_anywhere_and_its_keeper_too() {
    ThrowAwayHost::run(|host| walk(&begin(host), &["uplink", "attach", "eth0"], false, Left::Nobody));
}

#[test]
fn detach_killed_anywhere_with_a_keeper() {
    ThrowAwayHost::run(|host| walk(&begin(host), &["uplink", "detach"], true, Left::Keeper));
}

#[test]
fn detach_killed_anywhere_and_its_keeper_too() {
    ThrowAwayHost::run(|host| walk(&begin(host), &["uplink", "detach"], true, Left::Nobody));
}

#[test]
fn keeper_killed_anywhere_for_good() {
    ThrowAwayHost::run(|host| {
        walk_keeper(host, &begin(host));
    });
}
