//! A NIC of the machine becomes a lab's uplink and is given back: all that the machine has on it is there before, meanwhile
//! and after, and nobody's connection notices.

use crate::support::conversation::Conversation;
use crate::support::nic::{assert_same, lifetimes, machine};
use crate::support::run::{fails, json, ok, sh, write};
use crate::support::street::{BEHIND, BEHIND_V6, PATIENCE, ROUTER, ROUTER_V6, STATIC_V4, STATIC_V6, Street, reaches};
use crate::support::{ThrowAwayHost, wait_until};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A lab with a node that has addresses of the street's networks.
pub(crate) const LAB: &str = "
name: lab
nodes: {n1: {interfaces: {eth0: {addresses: [192.0.2.50/24, '2001:db8::50/64']}}}}
switches: {br0: }
links: [[n1, br0]]
";

/// Brings [`LAB`] up.
pub(crate) fn lab(host: &ThrowAwayHost) {
    ok(&["up", &write(host, "lab.yaml", LAB)]);
}

/// Attaches the NIC and gives it back, with connections open to these addresses behind the router; `meanwhile` is done in
/// between. The machine is in the end as it was.
pub(crate) fn round_trip(host: &ThrowAwayHost, street: &Street, mode: &str, behind: &[&str], meanwhile: impl FnOnce()) {
    lab(host);
    let before = machine();
    there_and_back(street, mode, behind, meanwhile, |when| assert_same(&before, &machine(), when));
    assert_still(&before);
    ok(&["down"]);
}

/// Attaches the NIC and gives it back, as [`round_trip`] does; `is_as_it_was` is seen to afterwards.
pub(crate) fn there_and_back(
    street: &Street,
    mode: &str,
    behind: &[&str],
    meanwhile: impl FnOnce(),
    is_as_it_was: impl Fn(&str),
) {
    let conversations: Vec<Conversation> = behind.iter().map(|to| Conversation::with(street, to)).collect();
    let attached = ok(&["uplink", "attach", "eth0", "--address", mode]);
    if behind.contains(&BEHIND) {
        assert!(attached.contains("eth0"), "it says how long the gateway did not answer: {attached}");
    }
    for to in behind {
        assert!(reaches(to), "{to} once the NIC is attached:\n{}", machine());
    }
    meanwhile();
    assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]), "while attached");
    let mut detached = ok(&["uplink", "detach"]);
    is_as_it_was("after detach");
    for conversation in conversations {
        let said = conversation.end();
        detached = format!("{detached}\n{said:?}");
    }
    println!("{attached}{detached}");
}

/// Nothing moves any more.
pub(crate) fn assert_still(before: &str) {
    let kinds = ["-ts", "monitor", "link", "address", "route", "rule"];
    let mut monitor = Command::new("ip").args(kinds).stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    monitor.kill().unwrap();
    let output = monitor.wait_with_output().unwrap();
    let moved = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(moved, "", "something moves after detach");
    assert_same(before, &machine(), "some time after detach");
}

/// That a node of the lab's is on the street.
pub(crate) fn assert_node_on_street(addresses: &[&str]) {
    for to in addresses {
        wait_until(&format!("the node reaches {to}"), PATIENCE, || {
            Command::new("ip")
                .args(["netns", "exec", "lab-n1", "ping", "-c1", "-W1", "-q", to])
                .output()
                .unwrap()
                .status
                .success()
        });
    }
}

#[test]
fn ipv4_comes_back_as_it_was() {
    ThrowAwayHost::run(|host| {
        let street = Street::new();
        sh(STATIC_V4);
        round_trip(host, &street, "keep", &[BEHIND], || {
            assert_node_on_street(&[ROUTER]);
            assert_eq!(sh("ip -4 address show dev eth0"), "");
        });
    });
}

#[test]
fn ipv6_comes_back_as_it_was() {
    ThrowAwayHost::run(|host| {
        let street = Street::new();
        sh(STATIC_V6);
        round_trip(host, &street, "keep", &[BEHIND_V6], || assert_node_on_street(&[ROUTER_V6]));
    });
}

#[test]
fn both_families_come_back_as_they_were() {
    ThrowAwayHost::run(|host| {
        let street = Street::new();
        sh(STATIC_V4);
        sh(STATIC_V6);
        // By itself it keeps what does not end.
        round_trip(host, &street, "auto", &[BEHIND, BEHIND_V6], || assert_node_on_street(&[ROUTER, ROUTER_V6]));
    });
}

/// All sorts of what iproute2 can put on a NIC.
pub(crate) const ALL_SORTS: &str = "
ip link add other type veth peer name another; ip link set another up
ip address add 10.88.0.1/24 dev other; ip link set other up
ip address add 192.0.2.11/24 dev eth0 label eth0:second
ip address add 192.0.2.12/24 dev eth0 brd 192.0.2.255 metric 30
ip address add 192.0.2.13/25 dev eth0 noprefixroute
ip address add 10.66.0.1 peer 10.66.0.2/32 dev eth0
ip address add 10.67.0.1/24 dev eth0 scope link
ip -6 address add 2001:db8:1::10/64 dev eth0 nodad metric 50
ip -6 address add 2001:db8:2::10/128 dev eth0 nodad noprefixroute

ip route add default via 192.0.2.1 metric 700 src 192.0.2.11
ip route add default via 192.0.2.1 table 77 src 192.0.2.11
ip route add 192.0.2.0/24 dev eth0 table 77 scope link
ip route add 10.1.0.0/16 via 192.0.2.1 src 192.0.2.12 mtu 1300 advmss 1200 initcwnd 20
ip route add 10.2.0.0/16 via 203.0.113.9 dev eth0 onlink
ip route add 10.3.0.0/16 nexthop via 192.0.2.1 weight 2 nexthop via 192.0.2.2 weight 5
ip route add 10.4.0.0/16 nexthop via 192.0.2.1 nexthop via 10.88.0.9 dev other
ip route add 10.5.0.0/16 dev eth0
ip route add 10.6.0.0/16 via 192.0.2.1 tos 0x10
ip route add 10.7.0.0/16 via inet6 2001:db8::1 dev eth0
ip route add 10.8.0.0/16 via 10.66.0.2
ip route add 10.9.0.0/16 via 192.0.2.1 proto 188 realm 4
ip route add unreachable 10.10.0.0/16
ip route add multicast 239.0.0.0/8 dev eth0 table 77
ip route add local 10.99.0.0/16 dev eth0
ip route add broadcast 10.98.0.255 dev eth0 table local
ip -6 route add 2001:db8:a::/48 via 2001:db8::1 metric 7 mtu 1400 proto bird
ip -6 route add 2001:db8:b::/48 nexthop via 2001:db8::1 nexthop via 2001:db8::2 weight 3
ip -6 route add default via fe80::1 dev eth0 metric 900 pref low
ip -6 route add 2001:db8:c::/48 dev eth0 table 77
ip -6 route add 2001:db8:d::/48 via 2001:db8::1 src 2001:db8:1::10

ip rule add iif eth0 lookup 77 priority 500
ip rule add oif eth0 from 192.0.2.11 lookup 77 priority 501
ip rule add fwmark 0x7/0xff iif eth0 to 10.0.0.0/8 lookup 77 priority 502 suppress_prefixlength 0
ip rule add from 192.0.2.11 lookup 77 priority 600
ip -6 rule add iif eth0 lookup 77 priority 500
ip -6 rule add oif eth0 ipproto tcp dport 80-90 unreachable priority 501

echo 2 > /proc/sys/net/ipv4/conf/eth0/rp_filter
echo 1 > /proc/sys/net/ipv4/conf/eth0/arp_ignore
echo 2 > /proc/sys/net/ipv4/conf/eth0/arp_announce
echo 1 > /proc/sys/net/ipv4/conf/eth0/forwarding
echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_ra
ip link set dev eth0 mtu 1480 alias 'the machine itself'
";

/// Takes away what of [`ALL_SORTS`] does not go with the NIC.
pub(crate) const ALL_SORTS_GONE: &str = "
ip link delete other; ip route delete unreachable 10.10.0.0/16
for p in 500 501 502 600; do ip rule delete priority $p; done; for p in 500 501; do ip -6 rule delete priority $p; done
";

#[test]
fn whatever_iproute2_can_put_on_a_nic_comes_back() {
    ThrowAwayHost::run(|host| {
        let street = Street::new();
        sh(STATIC_V4);
        sh(STATIC_V6);
        street.sh("for net in 2001:db8:1::/64 2001:db8:2::/64; do ip route add $net dev nic; done");
        let here = sh("ip rule");
        sh(ALL_SORTS);
        wait_until("all is settled", PATIENCE, || !machine().contains("tentative"));
        round_trip(host, &street, "keep", &[BEHIND, BEHIND_V6], || {
            let shown = machine();
            let routes = shown.lines().filter(|line| line.contains("dev eth0") && !line.contains("proto kernel"));
            assert_eq!(routes.collect::<Vec<_>>(), Vec::<&str>::new(), "{shown}");
            let rules = sh("ip rule; ip -6 rule");
            assert!(rules.contains("if lab-uplink") && !rules.contains("if eth0"), "{rules}");
        });
        sh(ALL_SORTS_GONE);
        assert_eq!(sh("ip rule"), here);
    });
}

#[test]
fn what_is_left_of_a_lifetime_goes_along() {
    ThrowAwayHost::run(|host| {
        let street = Street::new();
        sh("ip address add 192.0.2.10/24 brd + dev eth0 valid_lft 600 preferred_lft 300
            ip address add 192.0.2.11/24 dev eth0 valid_lft 500 preferred_lft 0
            ip route add default via 192.0.2.1 src 192.0.2.10
            ip -6 address add 2001:db8::10/64 dev eth0 nodad valid_lft 400 preferred_lft 200
            ip -6 address add 2001:db8::11/64 dev eth0 nodad valid_lft forever preferred_lft 100
            ip -6 route add default via 2001:db8::1");
        let begun = (Instant::now(), lifetimes("eth0"));
        let counted_down = |interface: &str| {
            let (now, elapsed) = (lifetimes(interface), begun.0.elapsed().as_secs());
            for (address, (preferred, valid)) in begun.1.iter().filter(|(address, _)| !address.starts_with("fe80")) {
                for (was, is) in [(*preferred, now[address].0), (*valid, now[address].1)] {
                    let is_for_good = was == u64::from(u32::MAX);
                    let expected = if is_for_good { was } else { was.saturating_sub(elapsed) };
                    assert!(is.abs_diff(expected) <= 2, "{address}: {was} s, {is} s after {elapsed} s on {interface}");
                }
            }
        };
        round_trip(host, &street, "keep", &[BEHIND, BEHIND_V6], || {
            counted_down("lab-uplink");
            std::thread::sleep(Duration::from_secs(3)); // so much that it shows
            counted_down("lab-uplink");
        });
        counted_down("eth0");
    });
}

/// The name server of the street knows a name; the machine asks it across its NIC.
#[test]
fn names_are_resolved_all_the_time() {
    ThrowAwayHost::run(|host| {
        let mut street = Street::new();
        sh(STATIC_V4);
        let log = host.scratch().join("dnsmasq.log");
        let answers = format!("--address=/street.example/{BEHIND}");
        let keep = ["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="];
        street.serve("dnsmasq", &[&keep[..], &[&answers, "--interface=nic", "--bind-interfaces"]].concat(), &log);
        let here = std::fs::read_to_string("/etc/resolv.conf").unwrap();
        std::fs::write("/etc/resolv.conf", format!("nameserver {ROUTER}\n")).unwrap();
        let resolves = |when: &str| {
            wait_until(&format!("a name is resolved {when}"), PATIENCE, || {
                let output = Command::new("getent").args(["ahostsv4", "street.example"]).output().unwrap();
                String::from_utf8_lossy(&output.stdout).contains(BEHIND)
            });
        };
        resolves("before");
        round_trip(host, &street, "keep", &[BEHIND], || {
            resolves("meanwhile");
            let asked =
                Command::new("ip").args(["netns", "exec", "lab-n1", "getent", "ahostsv4", "street.example"]).output();
            assert!(String::from_utf8_lossy(&asked.unwrap().stdout).contains(BEHIND), "by a node");
        });
        resolves("after");
        std::fs::write("/etc/resolv.conf", here).unwrap();
    });
}

/// Next hops that are objects of their own (ip-nexthop(8)), as routing daemons make them, would stay behind.
#[test]
fn what_can_not_be_moved_is_refused_before_anything_is() {
    ThrowAwayHost::run(|host| {
        let _street = Street::new();
        sh(STATIC_V4);
        sh("ip nexthop add id 7 via 192.0.2.1 dev eth0; ip route add 10.1.0.0/16 nhid 7");
        lab(host);
        let before = machine();
        let said = fails(&["uplink", "attach", "eth0"], 1);
        assert!(said.contains("the route `10.1.0.0/16"), "{said}");
        assert_same(&before, &machine(), "after it was refused");
        ok(&["down"]);
    });
}
