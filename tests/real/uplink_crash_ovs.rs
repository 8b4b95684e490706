//! What `uplink_crash` walks through, with a NIC that is a port of a switch of Open vSwitch.

use crate::crash::{
    changing_up_killed_anywhere_then_down, changing_up_killed_anywhere_then_up, killed_anywhere_then_down,
    killed_anywhere_then_up, putting_back_killed_anywhere_then_up_or_down,
};
use crate::failure::{
    a_down_that_fails_anywhere_says_what_is_left_and_the_next_goes_on,
    changing_up_that_fails_anywhere_puts_the_lab_back, up_that_fails_anywhere_leaves_nothing,
};
use crate::interrupt::{a_changing_up_interrupted_anywhere_puts_the_lab_back, up_interrupted_anywhere_leaves_nothing};
use crate::support::ThrowAwayHost;
use crate::support::nic::machine;
use crate::support::run::sh;
use crate::support::walk::walks;
use crate::uplink_crash::{Left, Machine, walk, walk_keeper};
use crate::uplink_ovs;

// Of each, every fourth point: what is special about the uplink is walked through whole below.
walks!(
    uplinked,
    |host| WalkedLab::uplinked_on_ovs(host).part(0, 4),
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
    |host| WalkedLab::parted_on_ovs(host).part(0, 4),
    changing_up_killed_anywhere_then_down,
    changing_up_killed_anywhere_then_up,
    putting_back_killed_anywhere_then_up_or_down,
    changing_up_that_fails_anywhere_puts_the_lab_back,
    a_changing_up_interrupted_anywhere_puts_the_lab_back
);

/// A machine whose NIC takes its own address of IPv6 without asking who else has it: that would take a second at each point.
fn begin(host: &ThrowAwayHost) -> Machine {
    let on = uplink_ovs::begin(host);
    sh("echo 0 > /proc/sys/net/ipv6/conf/eth0/dad_transmits");
    Machine { before: machine(), ..on }
}

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
    ThrowAwayHost::run(|host| walk_keeper(host, &begin(host), Left::Nobody));
}
