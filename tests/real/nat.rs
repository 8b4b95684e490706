//! Labs that reach the world through the machine, under its address.

use crate::crash::{killed_anywhere_then_down, killed_anywhere_then_up, putting_back_killed_anywhere_then_up_or_down};
use crate::failure::{changing_up_that_fails_anywhere_puts_the_lab_back, up_that_fails_anywhere_leaves_nothing};
use crate::support::outside::{FAR, FAR_NAME, FAR_V6, Outside, has_advertised_route};
use crate::support::ovs::OpenVswitch;
use crate::support::run::{fails, json, ok, sh, text, write};
use crate::support::walk::walks;
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::process::Command;
use std::time::Duration;

walks!(
    linux,
    |host| WalkedLab::nat(host),
    killed_anywhere_then_down,
    killed_anywhere_then_up,
    putting_back_killed_anywhere_then_up_or_down,
    up_that_fails_anywhere_leaves_nothing,
    changing_up_that_fails_anywhere_puts_the_lab_back
);
walks!(
    ovs,
    |host| WalkedLab::nat_on_ovs(host),
    killed_anywhere_then_down,
    killed_anywhere_then_up,
    changing_up_that_fails_anywhere_puts_the_lab_back
);

const SOON: Duration = Duration::from_secs(20);

/// Two nodes in both families, and another that knows its own way.
const LAB: &str = "
name: lab
switches: {s: {backend: BACKEND, subnets: [10.0.0.0/24, 'fd00::/64']}}
nodes: {a: , b: , c: {routes: ['0.0.0.0/0 via 10.0.0.1']}}
links: [[a, s], [b, s], [c, s]]
";

fn lab(host: &ThrowAwayHost, backend: &str, more: &str) -> String {
    write(host, "lab.yaml", &format!("{}{more}", LAB.replace("BACKEND", backend)))
}

#[track_caller]
fn reaches(node: &str, address: &str) {
    // The first packet may be what has a switch learn its way.
    wait_until(&format!("{node} reaches {address}"), SOON, || {
        let ping = format!("ip netns exec lab-{node} ping -c1 -W1 {address}");
        Command::new("sh").args(["-c", &ping]).output().unwrap().status.success()
    });
}

fn nodes_reach_what_is_behind_the_router(host: &ThrowAwayHost, backend: &str) {
    let before = host.as_it_is_now();
    let file = lab(host, backend, "uplink: nat\n");
    ok(&["up", &file]);
    for address in [FAR, FAR_V6] {
        reaches("a", address);
        reaches("b", address);
    }
    // TCP too, which a checksum that nobody puts in would break.
    sh(&format!("ip netns exec lab-a bash -c 'exec 3<>/dev/tcp/{FAR}/53'"));
    // By name: its neighbours' and everybody's.
    let found = ok(&["exec", "a", "--", "getent", "ahosts", FAR_NAME]);
    assert!(found.contains(FAR) && found.contains(FAR_V6), "{found}");
    assert!(sh("ip netns exec lab-a getent hosts b").starts_with("fd00::2 "));
    sh(&format!("ip netns exec lab-b ping -c1 -W5 {FAR_NAME}"));

    assert!(sh("ip -n lab-c route show default").contains("via 10.0.0.1 "), "who has its own way keeps it");
    assert!(sh("ip -n lab-c -6 route show default").contains("via fd00::ffff:ffff:ffff:ffff "));
    let shown = ok(&["show"]);
    assert!(shown.contains("uplink at s by NAT: 10.0.0.254/24"), "{shown}");
    assert!(shown.contains("leaving by eth0") && shown.contains("everything is as it should be"), "{shown}");
    let nat = &json(&["--json", "show"])["uplink"]["nat"];
    assert_eq!((nat["masquerades"].as_bool(), &nat["leaves_by"]), (Some(true), &serde_json::json!(["eth0"])));
    assert!(ok(&["plan", &file]).contains("nothing to do"));
    // Nobody else's packets are forwarded.
    assert_eq!(sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding"), "0\n0\n");
    ok(&["down"]);
    before.assert_as_it_was("after down");
}

#[test]
fn nodes_reach_the_world_on_linux_bridges() {
    ThrowAwayHost::run(|host| {
        let _outside = Outside::start(host);
        nodes_reach_what_is_behind_the_router(host, "linux");
    });
}

#[test]
fn nodes_reach_the_world_on_open_vswitch() {
    ThrowAwayHost::run(|host| {
        let _outside = Outside::start(host);
        let _ovs = OpenVswitch::start(host);
        nodes_reach_what_is_behind_the_router(host, "ovs");
    });
}

fn comes_and_goes(host: &ThrowAwayHost, backend: &str) {
    ok(&["up", &lab(host, backend, "")]);
    let before = host.as_it_is_now();
    let said = ok(&["uplink", "nat", "eth0"]);
    assert!(said.contains("masquerade 10.0.0.0/24 and fd00::/64"), "{said}");
    reaches("a", FAR);
    reaches("b", FAR_V6);
    let node = || sh("ip -n lab-a route; ip -n lab-a -6 route; ls /etc/netns/lab-a/");
    ok(&["uplink", "detach"]);
    before.assert_as_it_was("after detach");
    assert!(!node().contains("default") && !node().contains("resolv.conf"), "{}", node());
    assert_eq!(json(&["--json", "show"])["uplink"], serde_json::Value::Null);
    // What is attached at run time goes with the next `up` of the topology, and with `down`.
    ok(&["uplink", "nat"]);
    ok(&["up", &lab(host, backend, "")]);
    before.assert_as_it_was("after another up");
    ok(&["uplink", "nat"]);
    ok(&["down"]);
}

#[test]
fn an_uplink_comes_and_goes_with_a_running_lab_of_linux_bridges() {
    ThrowAwayHost::run(|host| {
        let _outside = Outside::start(host);
        comes_and_goes(host, "linux");
    });
}

#[test]
fn an_uplink_comes_and_goes_with_a_running_lab_of_open_vswitch() {
    ThrowAwayHost::run(|host| {
        let _outside = Outside::start(host);
        let _ovs = OpenVswitch::start(host);
        comes_and_goes(host, "ovs");
    });
}

/// Made as Docker makes it.
const DOCKER: &str = "for t in iptables-nft ip6tables-nft; do
    $t -P FORWARD DROP; $t -N DOCKER-USER; $t -A FORWARD -j DOCKER-USER; $t -A DOCKER-USER -j RETURN
done";
const NO_DOCKER: &str = "nft flush ruleset";

#[test]
fn where_docker_drops_what_it_does_not_know_the_lab_passes() {
    ThrowAwayHost::run(|host| {
        let _outside = Outside::start(host);
        sh(DOCKER);
        let before = host.as_it_is_now();
        let file = lab(host, "linux", "uplink: nat\n");
        let said = ok(&["up", &file]);
        assert!(!said.contains("packet filter drops"), "{said}");
        reaches("a", FAR);
        reaches("a", FAR_V6);
        assert_eq!(json(&["--json", "show"])["uplink"]["nat"]["passes_docker"], serde_json::json!(["ip", "ip6"]));
        // Docker asks iptables, which has to be able to read it.
        let rules = sh("iptables-nft -S DOCKER-USER; iptables-nft -C DOCKER-USER -j RETURN");
        assert_eq!(rules.matches("lab-gw").count(), 2, "{rules}");
        // A rule of the user's own stays, and so do they with it.
        sh("iptables-nft -I DOCKER-USER -s 203.0.113.1 -j DROP");
        assert!(ok(&["plan", &file]).contains("nothing to do"));
        sh("iptables-nft -D DOCKER-USER -s 203.0.113.1 -j DROP");
        // Docker is installed while the lab is up: what is missing then is told, and made.
        sh("iptables-nft -F DOCKER-USER; iptables-nft -A DOCKER-USER -j RETURN");
        assert!(ok(&["show"]).contains("let the packets of lab-gw pass in DOCKER-USER (IPv4)"));
        ok(&["up", &file]);
        reaches("b", FAR);
        ok(&["down"]);
        before.assert_as_it_was("after down");
        sh(NO_DOCKER);
    });
}

#[test]
fn a_firewall_that_drops_is_told_of() {
    ThrowAwayHost::run(|host| {
        let _outside = Outside::start(host);
        sh(
            "nft add table inet mine; nft 'add chain inet mine passing { type filter hook forward priority 0; policy drop; }'",
        );
        let said = text(&nslab(["up", &lab(host, "linux", "uplink: nat\n")]).output().unwrap());
        assert!(said.contains("drops what no rule lets through (inet mine passing)"), "{said}");
        ok(&["down"]);
        sh("nft delete table inet mine; iptables-legacy -P FORWARD ACCEPT");
        let said = text(&nslab(["up", &lab(host, "linux", "uplink: nat\n")]).output().unwrap());
        assert!(said.contains("iptables-legacy -I FORWARD -i lab-gw -j ACCEPT"), "{said}");
        reaches("a", FAR);
        ok(&["down"]);
        sh("rm /run/xtables.lock");
    });
}

fn forwarding() -> String {
    sh("cat /proc/sys/net/ipv4/conf/eth0/forwarding /proc/sys/net/ipv6/conf/eth0/force_forwarding").replace('\n', "")
}

#[test]
fn what_two_labs_need_goes_with_the_second() {
    ThrowAwayHost::run(|host| {
        let _outside = Outside::start(host);
        let other = LAB.replace("BACKEND", "linux").replace("name: lab", "name: other");
        let other = other.replace("10.0.0", "10.7.0").replace("fd00::", "fd07::") + "uplink: {nat: true, nic: eth0}\n";
        let other = write(host, "other.yaml", &other);
        for first in ["lab", "other"] {
            ok(&["up", &lab(host, "linux", "uplink: nat\n")]);
            // One whose journal is in another place.
            let elsewhere = host.scratch().join("state");
            let elsewhere = elsewhere.to_str().unwrap();
            ok(&["--state-dir", elsewhere, "up", &other]);
            assert_eq!(forwarding(), "11");
            let down = |lab: &str| {
                if lab == "lab" { ok(&["down", "lab"]) } else { ok(&["--state-dir", elsewhere, "down", "other"]) }
            };
            down(first);
            assert_eq!(forwarding(), "11");
            let second = if first == "lab" { "other" } else { "lab" };
            sh(&format!("ip netns exec {second}-a ping -c1 -W5 {FAR}; ip netns exec {second}-a ping -c1 -W5 {FAR_V6}"));
            down(second);
            assert_eq!(forwarding(), "00");
        }
    });
}

#[test]
fn what_somebody_else_has_set_stays() {
    ThrowAwayHost::run(|host| {
        let _outside = Outside::start(host);
        let file = lab(host, "linux", "uplink: nat\n");
        // Before: it was on, and stays on.
        sh("sysctl -qw net.ipv4.conf.eth0.forwarding=1");
        ok(&["up", &file]);
        ok(&["down"]);
        assert_eq!(forwarding(), "10");
        // Meanwhile: the machine becomes a router, as Docker makes it one.
        sh("sysctl -qw net.ipv4.conf.eth0.forwarding=0");
        ok(&["up", &file]);
        sh("sysctl -qw net.ipv4.ip_forward=1");
        ok(&["down"]);
        assert_eq!(forwarding(), "10");
        sh("sysctl -qw net.ipv4.ip_forward=0");
    });
}

/// Before Linux 6.17 a machine forwards IPv6 as a whole, or not at all; and who does takes no router's advice, unless told to.
#[test]
fn where_only_all_interfaces_can_forward_ipv6_the_machine_keeps_its_own_way() {
    ThrowAwayHost::run(|host| {
        let mut outside = Outside::without_routes(host);
        sh("ip route add default via 192.0.2.1");
        outside.advertise(host);
        let of_eth0 = || sh("cat /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv6/conf/eth0/accept_ra");
        assert_eq!(of_eth0(), "0\n1\n");
        let old = |arguments: &[&str]| {
            let output = nslab(arguments).env("NSLAB_TEST_LACKS", "force_forwarding").output().unwrap();
            assert!(output.status.success(), "{arguments:?}: {}", text(&output));
            text(&output)
        };
        let file = lab(host, "linux", "uplink: nat\n");
        old(&["up", &file]);
        assert_eq!(of_eth0(), "1\n2\n");
        assert!(has_advertised_route());
        reaches("a", FAR_V6);
        assert!(old(&["plan", &file]).contains("nothing to do"));
        // It is still told: a route that was lost comes back with the next advertisement.
        sh("ip -6 route delete default proto ra");
        wait_until("the router has told the machine again", SOON, has_advertised_route);
        old(&["uplink", "detach"]);
        assert_eq!(of_eth0(), "0\n1\n");
        assert!(has_advertised_route());
        old(&["uplink", "nat"]);
        old(&["down"]);
        assert_eq!(of_eth0(), "0\n1\n");
        assert!(has_advertised_route());
    });
}

/// A router of the lab's own does not become the machine's.
#[test]
fn the_machine_takes_no_advice_from_the_lab() {
    ThrowAwayHost::run(|host| {
        let _outside = Outside::start(host);
        let lab = "name: lab\nswitches: {s: {subnets: ['fd00::/64']}}\n\
                   nodes: {r: {forwarding: true, interfaces: {eth0: {advertise: true}}}, a: {interfaces: {eth0: {addresses: [slaac]}}}}\n\
                   links: [[r, s], [a, s]]\n";
        let file = write(host, "lab.yaml", lab);
        ok(&["up", &file]);
        ok(&["uplink", "nat"]);
        // Asked, the lab's router tells everybody on the switch.
        sh("ip netns exec lab-a rdisc6 -1 eth0");
        assert!(!has_advertised_route());
        assert_eq!(sh("ip -6 -o address show dev lab-gw dynamic"), "");
        assert_eq!(sh("cat /proc/sys/net/ipv6/conf/lab-gw/accept_ra"), "0\n");
        // Who is told of a router has his way, and the router has the machine.
        assert!(!sh("ip -n lab-a -6 route show default").contains("fd00::ffff"));
        reaches("a", FAR_V6);
        ok(&["down"]);
    });
}

#[test]
fn a_machine_without_ipv6_serves_ipv4() {
    ThrowAwayHost::run(|host| {
        let _outside = Outside::start(host);
        let plain = LAB.replace("BACKEND", "linux").replace(", 'fd00::/64'", "");
        let file = write(host, "lab.yaml", &format!("{plain}uplink: nat\n"));
        sh("mount -t tmpfs tmpfs /proc/sys/net/ipv6");
        ok(&["up", &file]);
        reaches("a", FAR);
        assert!(ok(&["plan", &file]).contains("nothing to do"));
        ok(&["down"]);
        sh("umount /proc/sys/net/ipv6");
        // One that has it, but no way to the world by it.
        sh("ip -6 route delete default");
        let said = text(&nslab(["up", &lab(host, "linux", "uplink: nat\n")]).output().unwrap());
        assert!(said.contains("no IPv6 way to the world"), "{said}");
        reaches("a", FAR);
        assert_eq!(sh("ip -n lab-a -6 route show default"), "");
        ok(&["down"]);
    });
}

#[test]
fn what_can_not_be_is_said_before_anything_is_touched() {
    ThrowAwayHost::run(|host| {
        let _outside = Outside::without_routes(host);
        let before = host.as_it_is_now();
        let file = lab(host, "linux", "uplink: nat\n");
        let refused = |file: &str, code: i32, why: &str| {
            let said = fails(&["up", file], code);
            assert!(said.contains(why), "{said}");
            before.assert_as_it_was(why);
        };
        refused(&file, 3, "this machine has no IPv4 or IPv6 default route");
        let absent = lab(host, "linux", "uplink: {nat: true, nic: eth7}\n");
        refused(&absent, 2, "this machine has no NIC eth7: it has eth0");
        // By name it may be used: it has addresses.
        ok(&["up", &lab(host, "linux", "uplink: {nat: true, nic: eth0}\n")]);
        reaches("a", "192.0.2.1");
        ok(&["down"]);

        sh("ip route add default via 192.0.2.1");
        let before = host.as_it_is_now();
        sh("ip route add 10.0.0.0/8 via 192.0.2.1");
        let said = fails(&["up", &lab(host, "linux", "uplink: nat\n")], 2);
        assert!(said.contains("10.0.0.0/24 and 10.0.0.0/8, which this machine reaches by eth0, overlap"), "{said}");
        sh("ip route delete 10.0.0.0/8");
        before.assert_as_it_was("after an overlap");

        sh("mount --bind /dev/null /usr/sbin/nft");
        let said = fails(&["up", &file], 3);
        assert!(said.contains("install the package nftables"), "{said}");
        assert!(ok(&["doctor"]).contains("labs with `uplink: nat` will be refused"));
        sh("umount /usr/sbin/nft");
        before.assert_as_it_was("without nft");

        sh("nft add table inet nslab_lab; nft add chain inet nslab_lab mine; nft add rule inet nslab_lab mine accept");
        let said = fails(&["up", &lab(host, "linux", "uplink: nat\n")], 1);
        assert!(said.contains("the table nslab_lab of nftables: remove it"), "{said}");
        sh("nft delete table inet nslab_lab");
        before.assert_as_it_was("with somebody else's table");

        let full = LAB.replace("BACKEND", "linux").replace("10.0.0.0/24", "10.0.0.0/30") + "uplink: nat\n";
        let full = full.replace(", c: {routes: ['0.0.0.0/0 via 10.0.0.1']}", "").replace(", [c, s]", "");
        let said = fails(&["up", &write(host, "full.yaml", &full)], 2);
        assert!(said.contains("all addresses of 10.0.0.0/30 are taken"), "{said}");
    });
}

#[test]
fn nodes_ask_the_servers_that_the_machine_asks_itself() {
    ThrowAwayHost::run(|host| {
        let _outside = Outside::start(host);
        let file = lab(host, "linux", "uplink: nat\n");
        // As systemd-resolved has it.
        sh("echo nameserver 127.0.0.53 > /etc/resolv.conf; mkdir -p /run/systemd/resolve");
        let said = text(&nslab(["up", &file]).output().unwrap());
        assert!(said.contains("asks no name server that the lab's nodes could reach"), "{said}");
        assert_eq!(sh("ls /etc/netns/lab-a/"), "hosts\n");
        let list = format!("nameserver {FAR}\nsearch example\n");
        std::fs::write("/run/systemd/resolve/resolv.conf", &list).unwrap();
        ok(&["up", &file]);
        assert_eq!(sh("cat /etc/netns/lab-a/resolv.conf"), list);
        assert!(ok(&["exec", "a", "--", "getent", "ahosts", "www"]).contains(FAR));
        ok(&["down"]);
        sh("rm -r /run/systemd");
    });
}

#[test]
fn what_somebody_takes_away_is_told_and_made_again() {
    ThrowAwayHost::run(|host| {
        let _outside = Outside::start(host);
        let file = lab(host, "linux", "uplink: nat\n");
        ok(&["up", &file]);
        for (taken, told) in [
            ("nft delete table inet nslab_lab", "masquerade 10.0.0.0/24"),
            ("nft flush chain inet nslab_lab postrouting", "masquerade 10.0.0.0/24"),
            ("nft add rule inet nslab_lab forward drop", "masquerade 10.0.0.0/24"),
            ("sysctl -qw net.ipv4.conf.eth0.forwarding=0", "set net.ipv4.conf.eth0.forwarding to 1 in host"),
            ("ip address delete 10.0.0.254/24 dev lab-gw", "give host:lab-gw the address 10.0.0.254/24"),
            ("ip link delete lab-gw", "join host:lab-gw and s (port nat) by a veth pair"),
            ("rm /run/nslab/labs/lab/etc/*/resolv.conf", "the machine's name servers to resolv.conf"),
        ] {
            sh(taken);
            let shown = ok(&["show"]);
            assert!(shown.contains(told), "{taken}: {shown}");
            ok(&["up", &file]);
            assert!(ok(&["plan", &file]).contains("nothing to do"), "{taken}");
            reaches("a", FAR);
            reaches("a", FAR_V6);
        }
        ok(&["down"]);
    });
}

/// Rules outlive a lab whose state was deleted, and a boot where somebody saves his rules and loads them again.
#[test]
fn rules_of_labs_that_are_no_more_are_found() {
    ThrowAwayHost::run(|host| {
        let _outside = Outside::start(host);
        sh(DOCKER);
        let before = host.as_it_is_now();
        ok(&["up", &lab(host, "linux", "uplink: nat\n")]);
        assert!(ok(&["doctor"]).contains("leftovers"), "none of a lab that is up");
        let (saved, docker) = (sh("nft list table inet nslab_lab"), sh("nft -s list chain ip filter DOCKER-USER"));
        ok(&["down"]);
        let boot = sh("cut -c-8 /proc/sys/kernel/random/boot_id");
        let load = |text: &str| sh(&format!("nft -f {}", write(host, "saved.nft", text)));
        load(&saved);
        let said = ok(&["doctor"]);
        assert!(said.contains("the table nslab_lab of nftables, of a lab lab, of which no lab here knows"), "{said}");
        assert!(ok(&["gc"]).contains("nothing was left behind"), "that may be another's");
        sh("nft delete table inet nslab_lab");
        let of_yesterday = |text: &str| text.replace(boot.trim(), "00000000");
        load(&of_yesterday(&saved));
        load(&format!("flush chain ip filter DOCKER-USER\n{}", of_yesterday(&docker)));
        let said = ok(&["doctor"]);
        assert!(said.contains("DOCKER-USER (IPv4), of a lab lab, which is no more"), "{said}");
        let said = ok(&["gc"]);
        assert!(said.contains("the table nslab_lab of nftables"), "{said}");
        before.assert_as_it_was("after gc");
        // Whoever does not ask first gets his own in their place.
        load(&of_yesterday(&saved));
        ok(&["up", &lab(host, "linux", "uplink: nat\n")]);
        reaches("a", FAR);
        ok(&["down"]);
        before.assert_as_it_was("after a lab in the place of yesterday's");
        sh(NO_DOCKER);
    });
}
