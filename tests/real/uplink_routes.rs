//! Moving a NIC's routes and addresses leaves alone what is not the NIC's, however much the two have in common; and forgets
//! nothing of what is.

use crate::support::nic::{assert_same, machine};
use crate::support::run::{fails, ok, sh};
use crate::support::street::{BEHIND, ROUTER, STATIC_V4, STATIC_V6, Street};
use crate::support::{ThrowAwayHost, wait_until};
use crate::uplink::{lab, round_trip};
use std::fmt::Write as _;
use std::time::Duration;

/// The ways to a destination, in the order in which the kernel tells them.
fn ways(to: &str) -> String {
    let family = if to.contains(':') { "-6" } else { "-4" };
    sh(&format!("ip {family} route show {to}"))
}

/// Attaches the NIC and gives it back: the ways to these destinations are the same meanwhile, but that the bridge is in the
/// NIC's place, and in the end all is as it was.
fn ways_stay(host: &ThrowAwayHost, street: &Street, destinations: &[&str]) {
    let before: Vec<String> = destinations.iter().map(|to| ways(to)).collect();
    round_trip(host, street, "keep", &[BEHIND], || {
        for (to, before) in destinations.iter().zip(&before) {
            assert_eq!(ways(to), before.replace("eth0", "lab-uplink"), "while attached");
        }
    });
}

/// Several routes to the same destination with the same metric, as `ip route append` and `prepend` make them.
#[test]
fn routes_to_the_same_place_stay_beside_each_other() {
    ThrowAwayHost::run(|host| {
        let street = Street::new();
        street.plug_another();
        sh(STATIC_V4);
        sh("ip route add 198.51.100.0/24 via 192.0.2.1
            ip route append default via 203.0.113.1 dev eth1 metric 100
            ip route add 10.1.0.0/16 via 203.0.113.1
            ip route append 10.1.0.0/16 via 192.0.2.1
            ip route add 10.2.0.0/16 via 192.0.2.1
            ip route append 10.2.0.0/16 via 192.0.2.2
            ip route add 10.3.0.0/16 via 192.0.2.1
            ip route append 10.3.0.0/16 via 192.0.2.2
            ip route append 10.3.0.0/16 via 203.0.113.1
            ip route append 10.3.0.0/16 via 192.0.2.3
            ip -6 route add 2001:db8:c::/48 dev eth1
            ip -6 route append 2001:db8:c::/48 dev eth0");
        let all = ["default", "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "2001:db8:c::/48"];
        ways_stay(host, &street, &all);
    });
}

/// An attach that ended half-way is done again on top of what it did.
#[test]
fn routes_that_have_moved_in_part_keep_their_order() {
    ThrowAwayHost::run(|host| {
        let _street = Street::new();
        sh(STATIC_V4);
        sh("ip route append default via 192.0.2.2 metric 100; ip route append default via 192.0.2.3 metric 100");
        lab(host);
        let (before, of_nic) = (machine(), ways("default"));
        ok(&["uplink", "attach", "eth0", "--address", "keep"]);
        let attached = ways("default");
        assert_eq!(attached, of_nic.replace("eth0", "lab-uplink"));
        // What is left behind on its way makes the lab want to be attached again.
        sh("ip route delete default via 192.0.2.1 dev lab-uplink; ip link set eth0 nomaster");
        ok(&["uplink", "attach", "eth0", "--address", "keep"]);
        assert_eq!(ways("default"), attached);
        ok(&["uplink", "detach"]);
        assert_same(&before, &machine(), "after detach");
        ok(&["down"]);
    });
}

/// Somebody's own route in the place of that which the kernel makes with an address, and beside it.
#[test]
fn routes_to_the_subnet_stay_somebodys_own() {
    ThrowAwayHost::run(|host| {
        let street = Street::new();
        sh(STATIC_V4);
        sh(STATIC_V6);
        sh("ip address add 10.70.0.1/24 dev eth0
            ip route replace 192.0.2.0/24 dev eth0 proto static src 192.0.2.10 mtu 1400
            ip route append 10.70.0.0/24 dev eth0 proto static scope link
            ip -6 route delete 2001:db8::/64 dev eth0 metric 256
            ip -6 route add 2001:db8::/64 dev eth0 metric 256 proto static");
        ways_stay(host, &street, &["192.0.2.0/24", "10.70.0.0/24", "2001:db8::/64"]);
    });
}

/// Of IPv6 the kernel joins those into one, and takes each by itself.
#[test]
fn hops_of_ipv6_by_another_nic_stay() {
    ThrowAwayHost::run(|host| {
        let street = Street::new();
        street.plug_another();
        sh(STATIC_V4);
        sh(STATIC_V6);
        sh("ip -6 route add 2001:db8:e::/48 nexthop via fe80::9 dev eth1 weight 2 nexthop via 2001:db8::1 dev eth0 weight 3 \
                nexthop via 2001:db8::2 dev eth0
            ip -6 route append default via fe80::9 dev eth1 metric 200");
        ways_stay(host, &street, &["2001:db8:e::/48", "default"]);
    });
}

/// Whichever way a default route says where it leads.
#[test]
fn each_router_of_a_default_route_is_seen() {
    ThrowAwayHost::run(|host| {
        let street = Street::new();
        street.plug_another();
        sh("ip address add 192.0.2.10/24 brd + dev eth0; ip -6 address add 2001:db8::10/64 dev eth0 nodad");
        lab(host);
        for (route, router) in [
            ("nexthop via 192.0.2.9 dev eth0 nexthop via 192.0.2.1 dev eth0", ROUTER),
            ("nexthop via 203.0.113.1 dev eth1 nexthop via 192.0.2.1 dev eth0", ROUTER),
            ("via inet6 2001:db8::1 dev eth0", "2001:db8::1"),
        ] {
            sh(&format!("ip route add default {route}"));
            let before = machine();
            let said = fails(&["uplink", "attach", "eth0", "--address", "none"], 1);
            assert!(said.contains(&format!("the machine reaches its gateway {router} by eth0")), "{route}: {said}");
            assert_same(&before, &machine(), "after it was refused");
            sh(&format!("ip route delete default {route}"));
        }
        ok(&["down"]);
    });
}

/// A router, or who counts on one, may know the machine by an address that is of the link alone.
#[test]
fn a_link_local_address_of_somebodys_own_moves() {
    ThrowAwayHost::run(|host| {
        let street = Street::new();
        sh(STATIC_V4);
        sh("ip -6 address add fe80::5/64 dev eth0 nodad");
        let kernels = sh("ip -6 address show dev eth0").split_whitespace().filter(|w| w.starts_with("fe80:")).count();
        assert_eq!(kernels, 2, "the kernel has its own too");
        round_trip(host, &street, "keep", &[BEHIND], || {
            assert!(sh("ip -6 address show dev lab-uplink").contains("fe80::5/64"), "{}", machine());
            assert!(!sh("ip -6 address show dev eth0").contains("fe80::5/64"), "{}", machine());
            // Who asks from an address that is not of the link is answered nowhere.
            let own = || street.sh("ip -6 address show dev nic scope link -tentative");
            wait_until("the street has an address of the link", Duration::from_secs(10), || own().contains("fe80:"));
            street.sh("ping -6 -c1 -W5 -q fe80::5%nic");
        });
    });
}

/// How many addresses [`many_addresses_move_like_few`] has; each has a route and a rule.
const MANY: usize = 300;

/// More than a netlink socket takes by itself, neither requests nor answers.
#[test]
fn many_addresses_move_like_few() {
    ThrowAwayHost::run(|host| {
        let street = Street::new();
        sh(STATIC_V4);
        let (mut addresses_and_routes, mut rules) = (String::new(), String::new());
        for number in 0..MANY {
            let (high, low) = (number / 100, number % 100);
            let _ = writeln!(addresses_and_routes, "address add 10.{}.{low}.1/24 dev eth0", 100 + high);
            let _ = writeln!(addresses_and_routes, "route add 10.{}.{low}.0/24 via 192.0.2.1", 110 + high);
            let _ = writeln!(
                rules,
                "rule add iif eth0 to 10.{}.{low}.0/24 lookup main priority {}",
                110 + high,
                1000 + number
            );
        }
        let batch = host.scratch().join("batch");
        std::fs::write(&batch, format!("{addresses_and_routes}{rules}")).unwrap();
        sh(&format!("ip -batch {}", batch.display()));
        round_trip(host, &street, "keep", &[BEHIND], || {
            assert_eq!(sh("ip -4 address show dev eth0"), "");
            assert_eq!(sh("ip rule").matches("iif lab-uplink").count(), MANY);
        });
        sh(&format!("for p in $(seq 1000 {}); do ip rule delete priority $p; done", 1000 + MANY - 1));
    });
}
