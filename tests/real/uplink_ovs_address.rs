//! What becomes of the machine's address, by each `--address` and of each family, where its NIC is a port of a switch of Open
//! vSwitch: the same before and after, and meanwhile at the switch's internal port.

use crate::support::ThrowAwayHost;
use crate::support::conversation::Conversation;
use crate::support::keepers::{keepers, kill_one};
use crate::support::nic::{assert_same, lifetimes, machine};
use crate::support::run::{fails, json, ok, sh};
use crate::support::street::{
    BEHIND, BEHIND_V6, PATIENCE, ROUTER, ROUTER_V6, STATIC_V4, STATIC_V6, assert_reaches, reaches,
};
use crate::support::wait_until;
use crate::uplink::{ALL_SORTS, ALL_SORTS_GONE, assert_node_on_street, assert_still, there_and_back};
use crate::uplink_crash::Machine;
use crate::uplink_dhcp::{dnsmasq, lease, lease_by_hand, said};
use crate::uplink_ovs::begin_with;

/// Attaches the NIC and gives it back, with connections open to these addresses behind the router.
fn round_trip(on: &Machine, mode: &str, behind: &[&str], meanwhile: impl FnOnce()) {
    there_and_back(&on.street, mode, behind, meanwhile, |when| on.assert_as_it_was(when));
    assert_still(&on.before);
    ok(&["down"]);
}

/// What an interface is known by on the network, and how large its packets may be.
fn mac_and_mtu(interface: &str) -> (String, String) {
    let of = |what: &str| sh(&format!("cat /sys/class/net/{interface}/{what}"));
    (of("address"), of("mtu"))
}

/// The addresses of a family that an interface has, but for those of its link.
fn addresses(family: &str, interface: &str) -> String {
    sh(&format!("ip {family} -br address show dev {interface} scope global | tr -s ' ' | cut -d ' ' -f 3-"))
}

/// The parameters of an interface that are to move with the address.
fn parameters(interface: &str) -> String {
    let all = "ipv4/conf/*/proxy_arp ipv4/conf/*/send_redirects ipv4/conf/*/arp_announce ipv6/conf/*/accept_ra \
               ipv6/conf/*/dad_transmits ipv6/conf/*/hop_limit";
    sh(&format!("cd /proc/sys/net; cat {}", all.replace('*', interface)))
}

#[test]
fn ipv4_comes_back_as_it_was() {
    ThrowAwayHost::run(|host| {
        let on = begin_with(host, &[STATIC_V4]);
        let (addresses_before, mac) = (addresses("-4", "eth0"), mac_and_mtu("eth0"));
        round_trip(&on, "keep", &[BEHIND], || {
            assert_node_on_street(&[ROUTER]);
            assert_eq!(addresses("-4", "eth0"), "");
            assert_eq!(addresses("-4", "lab-br0"), addresses_before);
            assert_eq!(mac_and_mtu("lab-br0"), mac);
        });
    });
}

#[test]
fn ipv6_comes_back_as_it_was() {
    ThrowAwayHost::run(|host| {
        let on = begin_with(host, &[STATIC_V6]);
        let (addresses_before, mac) = (addresses("-6", "eth0"), mac_and_mtu("eth0"));
        round_trip(&on, "keep", &[BEHIND_V6], || {
            assert_node_on_street(&[ROUTER_V6]);
            assert_eq!(addresses("-6", "eth0"), "");
            assert_eq!(addresses("-6", "lab-br0"), addresses_before);
            assert_eq!(mac_and_mtu("lab-br0"), mac);
        });
    });
}

/// A NIC whose packets are smaller than the switch's, with parameters of its own.
#[test]
fn parameters_and_mtu_go_along_and_come_back() {
    ThrowAwayHost::run(|host| {
        let on = begin_with(
            host,
            &[
                STATIC_V4,
                STATIC_V6,
                "ip link set eth0 mtu 1400
                 cd /proc/sys/net
                 echo 1 > ipv4/conf/eth0/proxy_arp; echo 0 > ipv4/conf/eth0/send_redirects
                 echo 2 > ipv4/conf/eth0/arp_announce; echo 2 > ipv4/conf/eth0/rp_filter
                 echo 2 > ipv4/conf/eth0/arp_ignore; echo 2 > ipv6/conf/eth0/accept_ra
                 echo 3 > ipv6/conf/eth0/dad_transmits; echo 33 > ipv6/conf/eth0/hop_limit",
            ],
        );
        on.street.sh("ip link set nic mtu 1400");
        let (parameters_before, mac_before) = (parameters("eth0"), mac_and_mtu("eth0"));
        assert_ne!(parameters("lab-br0"), parameters_before);
        let own = mac_and_mtu("lab-br0");
        round_trip(&on, "auto", &[BEHIND, BEHIND_V6], || {
            assert_eq!(parameters("lab-br0"), parameters_before);
            assert_eq!(mac_and_mtu("lab-br0"), mac_before);
            sh(&format!("ping -c1 -W5 -M do -s 1372 {BEHIND}"));
        });
        assert_ne!(own, mac_before);
    });
}

/// What the NIC has when it is given back by the journal alone is what it has by `detach`, and so is the switch.
#[test]
fn what_gives_back_by_the_journal_leaves_the_switch_as_it_was() {
    ThrowAwayHost::run(|host| {
        let on = begin_with(host, &[STATIC_V4, STATIC_V6, "ip link set eth0 mtu 1400"]);
        on.street.sh("ip link set nic mtu 1400");
        let own = (mac_and_mtu("lab-br0"), sh("ip -br link show dev lab-br0"));
        ok(&["uplink", "attach", "eth0", "--confirm", "1"]);
        assert_eq!(mac_and_mtu("lab-br0"), mac_and_mtu("eth0"));
        wait_until("nobody watches any more", PATIENCE, || keepers().is_empty());
        on.assert_as_it_was("after nobody confirmed");
        assert_eq!((mac_and_mtu("lab-br0"), sh("ip -br link show dev lab-br0")), own);
        assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]));
        ok(&["down"]);
    });
}

/// Puts the kernel's own routes of the NIC behind those of the other links, where they come when a link that had no IPv6 for a
/// while has it again.
const LAST: &str = "
ip -6 route delete fe80::/64 dev eth0; ip -6 route append fe80::/64 dev eth0 proto kernel metric 256
ip -6 route delete multicast ff00::/8 dev eth0 table local
ip -6 route append multicast ff00::/8 dev eth0 table local proto kernel metric 256
";

#[test]
fn whatever_iproute2_can_put_on_a_nic_comes_back() {
    ThrowAwayHost::run(|host| {
        let mut on = begin_with(host, &[STATIC_V4, STATIC_V6]);
        on.street.sh("for net in 2001:db8:1::/64 2001:db8:2::/64; do ip route add $net dev nic; done");
        let here = sh("ip rule");
        sh(ALL_SORTS);
        wait_until("all is settled", PATIENCE, || !machine().contains("tentative"));
        sh(LAST);
        on.before = machine();
        round_trip(&on, "keep", &[BEHIND, BEHIND_V6], || {
            let rules = sh("ip rule; ip -6 rule");
            assert!(rules.contains("if lab-br0") && !rules.contains("if eth0"), "{rules}");
        });
        sh(ALL_SORTS_GONE);
        assert_eq!(sh("ip rule"), here);
    });
}

#[test]
fn a_lease_goes_along_and_comes_back() {
    ThrowAwayHost::run(|host| {
        let mut on = begin_with(host, &[&lease_by_hand("192.0.2.77")]);
        dnsmasq(host, &mut on.street, "192.0.2.77", ROUTER);
        let conversation = Conversation::with(&on.street, BEHIND);
        ok(&["uplink", "attach", "eth0"]);
        assert_eq!(json(&["--json", "uplink", "status"])["address"], "dhcp");
        assert_eq!((&lease()["address"], &lease()["state"]), (&"192.0.2.77/24".into(), &"held".into()));
        assert!(reaches(BEHIND));
        let (preferred, valid) = lifetimes("lab-br0")["192.0.2.77"];
        assert!(preferred > 100 && valid > 100, "the server prolonged it: {preferred} s, {valid} s");
        wait_until("it is renewed twice", PATIENCE, || lease()["renewals"].as_u64() >= Some(2));
        assert!(!said(host).contains("DHCPNAK"), "{}", said(host));
        assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]));

        // Whoever comes after the keeper holds it.
        let renewed = said(host).matches("DHCPACK").count();
        kill_one(keepers()[0]);
        wait_until("another one renews it", PATIENCE, || {
            lease()["renewals"].as_u64() >= Some(1) && said(host).matches("DHCPACK").count() > renewed + 1
        });

        // Nor does it get lost with the device that it is on.
        let ovs = on.ovs.as_mut().unwrap();
        ovs.stop_switch();
        ovs.start_switch();
        assert_reaches(BEHIND, PATIENCE);
        wait_until("it is held again", PATIENCE, || lease()["state"] == "held");
        wait_until("it is on the port", PATIENCE, || lifetimes("lab-br0").contains_key("192.0.2.77"));

        ok(&["uplink", "detach"]);
        wait_until("the NIC has what it had", PATIENCE, || !machine().contains("tentative"));
        let shown = sh("ip -4 address show dev eth0");
        assert!(shown.contains("192.0.2.77/24"), "{shown}");
        let (preferred, valid) = lifetimes("eth0")["192.0.2.77"];
        assert!((101..=120).contains(&preferred) && (101..=120).contains(&valid), "{preferred} s, {valid} s");
        assert!(reaches(BEHIND));
        println!("{:?}", conversation.end());
        ok(&["down"]);
    });
}

/// Without anything in between it is all the same before and after.
#[test]
fn a_lease_is_on_the_nic_as_it_was() {
    ThrowAwayHost::run(|host| {
        let mut on = begin_with(host, &[&lease_by_hand("192.0.2.77"), STATIC_V6]);
        dnsmasq(host, &mut on.street, "192.0.2.77", ROUTER);
        round_trip(&on, "dhcp", &[BEHIND, BEHIND_V6], || {
            assert_eq!(lease()["state"], "held");
            assert_node_on_street(&[ROUTER, ROUTER_V6]);
        });
    });
}

/// Where there is no server, all is undone.
#[test]
fn a_lease_that_nobody_gives_is_not_waited_for() {
    ThrowAwayHost::run(|host| {
        let on = begin_with(host, &[&lease_by_hand("192.0.2.77")]);
        let conversation = Conversation::with(&on.street, BEHIND);
        let said = fails(&["uplink", "attach", "eth0"], 1);
        assert!(said.contains("no DHCP server gave lab-br0 a lease within"), "{said}");
        assert!(said.contains("everything was put back as it was"), "{said}");
        on.assert_as_it_was("after no server answered");
        assert!(keepers().is_empty());
        println!("{:?}", conversation.end());
        ok(&["down"]);
    });
}

/// A machine whose way to the world is another NIC.
const ANOTHER_WAY: &str = "
ip link add other type veth peer name another; ip link set another up; ip link set other up
ip address add 203.0.113.10/24 dev other; ip route add default via 203.0.113.1
ip address add 192.0.2.10/24 brd + dev eth0; ip route add 10.1.0.0/16 via 192.0.2.1
ip -6 address add 2001:db8::10/64 dev eth0 nodad
until ip -6 route show dev other | grep -q fe80; do sleep 0.01; done
";

#[test]
fn an_address_that_stays_behind_is_back_afterwards() {
    ThrowAwayHost::run(|host| {
        let on = begin_with(host, &[ANOTHER_WAY, LAST]);
        round_trip(&on, "none", &[], || {
            assert_node_on_street(&[ROUTER, ROUTER_V6]);
            for interface in ["eth0", "lab-br0"] {
                let shown = format!("{}{}", addresses("-4", interface), addresses("-6", interface));
                assert!(!shown.contains("192.0.2.10") && !shown.contains("2001:db8"), "{interface}: {shown}");
            }
            assert!(sh("ip route show default").contains("dev other"));
        });
        sh("ip link delete other");
    });
}

/// It would be cut off.
#[test]
fn an_address_that_leads_to_the_gateway_may_not_stay_behind() {
    ThrowAwayHost::run(|host| {
        let on = begin_with(host, &[STATIC_V4]);
        let said = fails(&["uplink", "attach", "eth0", "--address", "none"], 1);
        assert!(said.contains("the machine reaches its gateway 192.0.2.1 by eth0"), "{said}");
        assert_same(&on.before, &machine(), "after it was refused");
        assert!(!sh("ovs-vsctl list-ports lab-br0").contains("eth0"));
        ok(&["down"]);
    });
}

/// Nothing of such a NIC's has moved that could tell that it is still to be given back.
#[test]
fn a_nic_without_addresses_hears_again() {
    ThrowAwayHost::run(|host| {
        let on = begin_with(host, &[STATIC_V4]);
        sh("ip link add eth1 type veth peer name nic1; ip link set eth1 up; ip link set nic1 up");
        let heard = || {
            sh("cd /proc/sys/net
                cat ipv4/conf/eth1/rp_filter ipv4/conf/eth1/arp_ignore ipv6/conf/eth1/disable_ipv6")
        };
        let before = heard();
        for command in [&["uplink", "detach"][..], &["down"]] {
            ok(&["uplink", "attach", "eth1"]);
            assert_ne!(heard(), before);
            ok(command);
            assert_eq!(heard(), before, "after {command:?}");
        }
        sh("ip link delete eth1");
        assert!(reaches(ROUTER));
        drop(on);
    });
}
