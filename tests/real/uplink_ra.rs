//! An uplink whose IPv6 comes of router advertisements, by a real radvd.

use crate::support::conversation::Conversation;
use crate::support::nic::{differences, lifetimes, machine};
use crate::support::run::{json, ok, sh, write};
use crate::support::street::{BEHIND, BEHIND_V6, PATIENCE, ROUTER_V6, STATIC_V4, Street, assert_reaches, reaches};
use crate::support::{ThrowAwayHost, wait_until};
use crate::uplink::{assert_still, lab};
use std::collections::BTreeSet;

/// Has the router advertise itself and its prefix, seldom by itself, and at once when it is asked.
fn radvd(host: &ThrowAwayHost, street: &mut Street) {
    let configuration = write(
        host,
        "radvd.conf",
        "interface nic { AdvSendAdvert on; MinRtrAdvInterval 200; MaxRtrAdvInterval 600; AdvDefaultLifetime 1800;
           prefix 2001:db8::/64 { AdvValidLifetime 3600; AdvPreferredLifetime 1800; };
           route 2001:db8:e::/48 { AdvRouteLifetime 1800; }; };\n",
    );
    let pid = host.scratch().join("radvd.pid");
    let arguments =
        ["--nodaemon", "--logmethod", "stderr", "--config", &configuration, "--pidfile", pid.to_str().unwrap()];
    street.serve("radvd", &arguments, &host.scratch().join("radvd.log"));
}

/// A NIC that has heard the router.
pub(crate) fn advertised(host: &ThrowAwayHost) -> Street {
    let mut street = Street::new();
    // Before the first advertisement: the route in it would else come with the next.
    sh("echo 64 > /proc/sys/net/ipv6/conf/eth0/accept_ra_rt_info_max_plen || true");
    radvd(host, &mut street);
    wait_until("the NIC has an address and a router", PATIENCE, || {
        let shown = sh("ip -6 address show dev eth0; ip -6 route show default");
        shown.contains("2001:db8::") && !shown.contains("tentative") && shown.contains("proto ra")
    });
    street
}

fn round_trip(host: &ThrowAwayHost, street: &Street, behind: &[&str]) {
    lab(host);
    let before = machine();
    let old = lifetimes("eth0");
    let conversations: Vec<Conversation> = behind.iter().map(|to| Conversation::with(street, to)).collect();
    println!("{}", ok(&["uplink", "attach", "eth0"]));
    for to in behind {
        assert!(reaches(to), "{to}:\n{}", sh("ip -6 address; ip -6 route"));
    }
    wait_until("the bridge has heard the router", PATIENCE, || {
        sh("ip -6 route show default dev lab-uplink").contains("proto ra metric 1024")
    });
    assert_reaches(BEHIND_V6, PATIENCE);
    // The same addresses, by the same MAC address, and no others.
    let on_bridge = lifetimes("lab-uplink");
    for address in old.keys().filter(|address| !address.starts_with("fe80")) {
        assert!(on_bridge.contains_key(address), "{address} of {on_bridge:?}");
    }
    assert_eq!(on_bridge.len(), old.len(), "{on_bridge:?} and {old:?}");
    // Who is on the link is reached there, too.
    assert!(reaches(ROUTER_V6), "{}", sh("ip -6 route"));
    let routes = sh("ip -6 route show dev eth0");
    assert!(!routes.contains("proto ra") && !routes.contains("2001:db8"), "{routes}");
    assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]));
    println!("{}", ok(&["uplink", "detach"]));
    assert_eq!(differences(&before, &machine()), "", "after detach");
    for (address, (_, valid)) in lifetimes("eth0") {
        assert!(valid <= 3600 || valid == u64::from(u32::MAX), "{address}: {valid} s");
    }
    for to in behind.iter().chain([&ROUTER_V6]) {
        assert!(reaches(to), "{to} after detach");
    }
    for conversation in conversations {
        println!("{:?}", conversation.end());
    }
    assert_still(&before);
    ok(&["down"]);
}

#[test]
fn what_a_router_advertises_is_heard_by_the_bridge_and_by_the_nic_again() {
    ThrowAwayHost::run(|host| {
        let street = advertised(host);
        round_trip(host, &street, &[BEHIND_V6]);
    });
}

#[test]
fn beside_an_address_of_ipv4() {
    ThrowAwayHost::run(|host| {
        let street = advertised(host);
        sh(STATIC_V4);
        round_trip(host, &street, &[BEHIND_V6, BEHIND]);
    });
}

/// Temporary addresses (RFC 8981), which the kernel makes of the others.
#[test]
fn temporary_addresses_go_along() {
    ThrowAwayHost::run(|host| {
        let mut street = Street::new();
        sh("echo 2 > /proc/sys/net/ipv6/conf/eth0/use_tempaddr");
        radvd(host, &mut street);
        wait_until("the NIC has a temporary address and a router", PATIENCE, || {
            let shown = sh("ip -6 address show dev eth0; ip -6 route show default");
            shown.contains("temporary") && !shown.contains("tentative") && shown.contains("proto ra")
        });
        lab(host);
        let of = |interface: &str| {
            let shown = sh(&format!("ip -6 -o address show dev {interface} scope global"));
            let addresses = shown.lines().map(|line| line.split_whitespace().nth(3).unwrap().to_owned());
            addresses.collect::<BTreeSet<_>>()
        };
        let before = of("eth0");
        assert_eq!(before.len(), 2);
        let conversation = Conversation::with(&street, BEHIND_V6);
        ok(&["uplink", "attach", "eth0"]);
        assert!(reaches(BEHIND_V6));
        assert!(of("lab-uplink").is_superset(&before), "{:?}", of("lab-uplink"));
        ok(&["uplink", "detach"]);
        assert!(reaches(BEHIND_V6));
        // The former one lasts as it would have, and the kernel, which alone may call one temporary, makes another.
        assert!(of("eth0").is_superset(&before), "{:?}", of("eth0"));
        wait_until("there is another temporary one", PATIENCE, || {
            let shown = sh("ip -6 address show dev eth0 temporary");
            shown.contains("temporary") && !shown.contains("tentative")
        });
        println!("{:?}", conversation.end());
        ok(&["down"]);
    });
}
