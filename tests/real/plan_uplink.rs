//! The script of a plan whose lab has a NIC of the machine's for its uplink: it moves what the machine has on it as `up` does,
//! and gives it back as `down` does.

use crate::plan::{assert_same, everything, remove_namespaces};
use crate::support::keepers::{keepers, watchers};
use crate::support::nic::{self, lifetimes, machine};
use crate::support::ovs::OpenVswitch;
use crate::support::run::{fails, ok, sh, write};
use crate::support::street::{
    BEHIND, BEHIND_V6, PATIENCE, ROUTER, ROUTER_V6, STATIC_V4, STATIC_V6, Street, assert_reaches, master,
};
use crate::support::{ThrowAwayHost, wait_until};
use crate::uplink_ra::advertised;
use std::collections::BTreeMap;

/// What else a machine may have on its NIC: of addresses, routes and rules those that a wrong word would make others of.
const SORTS: &str = "
ip address add 192.0.2.11/24 dev eth0 label eth0:second
ip address add 192.0.2.13/25 dev eth0 noprefixroute
ip address add 10.66.0.1 peer 10.66.0.2/32 dev eth0
ip address add 10.67.0.1/24 brd + dev eth0 scope link metric 30
ip -6 address add 2001:db8:1::10/64 dev eth0 nodad metric 50

ip route add default via 192.0.2.1 table 77 src 192.0.2.11
ip route add 10.1.0.0/16 via 192.0.2.1 mtu 1300 advmss 1200 initcwnd 20
ip route add 10.2.0.0/16 via 203.0.113.9 dev eth0 onlink
ip route add 10.5.0.0/16 dev eth0
ip route add 10.6.0.0/16 via 192.0.2.1 tos 0x10
ip route add 10.7.0.0/16 via inet6 2001:db8::1 dev eth0
ip route add 10.9.0.0/16 via 192.0.2.1 proto 188 realm 4
ip route add local 10.99.0.0/16 dev eth0
ip -6 route add 2001:db8:a::/48 via 2001:db8::1 metric 7 mtu 1400 proto bird
ip -6 route add default via 2001:db8::2 dev eth0 metric 900 pref low
ip -6 route add 2001:db8:c::/48 dev eth0 table 77

ip rule add iif eth0 lookup 77 priority 500
ip rule add oif eth0 from 192.0.2.11 lookup 77 priority 501
ip rule add fwmark 0x7/0xff iif eth0 to 10.0.0.0/8 lookup 77 priority 502 suppress_prefixlength 0
ip -6 rule add iif eth0 lookup 77 priority 500
ip -6 rule add oif eth0 ipproto tcp dport 80-90 unreachable priority 501
ip -6 rule add oif eth0 uidrange 7-8 prohibit priority 502

echo 2 > /proc/sys/net/ipv4/conf/eth0/rp_filter
echo 5 > /proc/sys/net/ipv6/conf/eth0/dad_transmits
";

fn lab(backend: &str, uplink: &str) -> String {
    format!(
        "
name: lab
nodes: {{n1: {{interfaces: {{eth0: {{addresses: [192.0.2.50/24, '2001:db8::50/64']}}}}}}}}
switches: {{br0: {{backend: {backend}}}}}
links: [[n1, br0]]
{uplink}"
    )
}

const UPLINK: &str = "uplink: {nic: eth0}\n";

/// A machine with all sorts of things on its NIC, and Open vSwitch where it takes that.
fn begin(host: &ThrowAwayHost, backend: &str) -> (Option<OpenVswitch>, Street) {
    let ovs = (backend == "ovs").then(|| OpenVswitch::start(host));
    let street = Street::new();
    // What goes through ovs-vswitchd needs its checksums.
    street.sh("ethtool -K nic tx off > /dev/null");
    sh("ethtool -K eth0 tx off > /dev/null");
    sh(STATIC_V4);
    sh(STATIC_V6);
    sh(SORTS);
    wait_until("all is settled", PATIENCE, || !machine().contains("tentative"));
    (ovs, street)
}

/// All of the machine, the NIC's routes of every table and rules included, and how its interfaces behave.
fn all(onto: &str) -> BTreeMap<String, String> {
    let mut all = everything();
    let mut add = |what: &str, command: &str| {
        // A route that routers give, and what neighbours are known, come and go by themselves.
        let mut lines: Vec<String> = sh(command).lines().map(|line| line.trim_end().to_owned()).collect();
        lines.sort();
        for line in lines {
            *all.entry(format!("{what}: {line}")).or_default() += "1";
        }
    };
    add("route", "ip -d -4 route show table all");
    add("route", "ip -d -6 route show table all | grep -v 'fe80::[0-9a-f]' | grep -v ovs-netdev");
    add("rule", "ip rule; ip -6 rule");
    for interface in ["eth0", onto] {
        add("address", &format!("ip -o address show dev {interface} | cut -d: -f2- | grep -v 'scope link' || true"));
        let conf = |family| format!("/proc/sys/net/{family}/conf/{interface}");
        add("parameter", &format!("grep -rs . {} {} | grep -v stable_secret || true", conf("ipv4"), conf("ipv6")));
    }
    all
}

/// The machine reaches its gateways and what is behind them, and a node is on the street.
fn assert_on_street() {
    for to in [ROUTER, ROUTER_V6, BEHIND] {
        assert_reaches(to, PATIENCE);
    }
    for to in [ROUTER, ROUTER_V6] {
        let ping = format!("ip netns exec lab-n1 ping -c1 -W1 -q {to} > /dev/null 2>&1 && echo there || true");
        wait_until(&format!("the node reaches {to}"), PATIENCE, || sh(&ping) == "there\n");
    }
}

/// What there is once `up` has made it, and is gone again.
fn by_nslab(host: &ThrowAwayHost, backend: &str, onto: &str) -> BTreeMap<String, String> {
    let (_ovs, _street) = begin(host, backend);
    ok(&["up", &write(host, "lab.yaml", &lab(backend, UPLINK))]);
    assert_on_street();
    let made = all(onto);
    ok(&["down"]);
    forget_rules();
    made
}

/// The same by the script, on a NIC that is another one of the same name.
fn by_script(host: &ThrowAwayHost, backend: &str, onto: &str) -> BTreeMap<String, String> {
    let (_ovs, _street) = begin(host, backend);
    let topology = write(host, "lab.yaml", &lab(backend, UPLINK));
    let script = ok(&["plan", "--shell", &topology]);
    assert!(script.contains("nslab has a process watch over what comes now"), "{script}");
    println!("{script}");
    sh(&format!("sh {}", write(host, "lab.sh", &script)));
    assert_on_street();
    let made = all(onto);
    // A script keeps no journal: to nslab its lab is somebody else's, and nothing of it is touched.
    fails(&["down"], 1);
    assert!(ok(&["gc"]).contains("nothing was left behind"));
    assert_same(&all(onto), &made, "after down and gc");
    sh(if backend == "ovs" { "ovs-vsctl del-br lab-br0" } else { "ip link delete lab-uplink" });
    remove_namespaces();
    forget_rules();
    made
}

/// They go by the NIC's name, and outlive it.
fn forget_rules() {
    sh("for family in -4 -6; do for p in 500 501 502; do ip $family rule delete priority $p; done; done");
}

#[test]
fn plan_as_shell_attaches_a_nic_as_up_does_to_linux_bridges() {
    ThrowAwayHost::run(|host| {
        let [nslab, script] = [by_nslab, by_script].map(|made| made(host, "linux", "lab-uplink"));
        assert_same(&script, &nslab, "a NIC on a bridge");
    });
}

#[test]
fn plan_as_shell_attaches_a_nic_as_up_does_to_open_vswitch() {
    ThrowAwayHost::run(|host| {
        let [nslab, script] = [by_nslab, by_script].map(|made| made(host, "ovs", "lab-br0"));
        assert_same(&script, &nslab, "a NIC on a switch of Open vSwitch");
    });
}

/// Addresses and routes that a router gave: a copy of its route stands in until the bridge has heard it by itself.
#[test]
fn plan_as_shell_moves_what_a_router_has_advertised() {
    ThrowAwayHost::run(|host| {
        let mut street = advertised(host);
        let topology = write(host, "lab.yaml", &lab("linux", UPLINK));
        let mut old = lifetimes("eth0");
        sh(&format!("sh {}", write(host, "lab.sh", &ok(&["plan", "--shell", &topology]))));
        for to in [ROUTER_V6, BEHIND_V6] {
            assert_reaches(to, PATIENCE);
        }
        let routes = sh("ip -6 route show dev lab-uplink");
        assert!(routes.contains("proto ra metric 1025 expires"), "{routes}");
        let left = sh("ip -6 route show dev eth0");
        assert!(!left.contains("proto ra") && !left.contains("2001:db8"), "{left}");
        // The kernel's own link-local one is the bridge's by the same MAC address.
        let there = lifetimes("lab-uplink");
        old.retain(|address, _| !address.starts_with("fe80"));
        for (address, (preferred_s, valid_s)) in old {
            let (now_preferred_s, now_valid_s) = there[&address];
            assert!(now_preferred_s <= preferred_s && now_valid_s <= valid_s, "{address} lasts longer: {there:?}");
            assert!(now_preferred_s + 120 > preferred_s && now_valid_s + 120 > valid_s, "{address}: {there:?}");
        }
        street.end_servers();
        sh("ip link delete lab-uplink");
        remove_namespaces();
    });
}

/// All that the machine has on its NIC.
fn on_nic() -> String {
    sh("ip -d address show dev eth0; ip -d -4 route show table all dev eth0; ip -d -6 route show table all dev eth0
        ip rule; ip -6 rule; tc qdisc show dev eth0
        grep -rs . /proc/sys/net/ipv4/conf/eth0 /proc/sys/net/ipv6/conf/eth0 | grep -v stable_secret")
}

/// The script of a change gives back what nslab attached, nobody of nslab's takes it again.
fn gives_back(host: &ThrowAwayHost, backend: &str) {
    let (_ovs, _street) = begin(host, backend);
    let without = write(host, "without.yaml", &lab(backend, ""));
    let with = write(host, "with.yaml", &lab(backend, UPLINK));
    ok(&["up", &without]);
    let before = on_nic();
    ok(&["up", &with]);
    sh(&format!("sh {}", write(host, "detach.sh", &ok(&["plan", "--shell", &without]))));
    wait_until("nobody watches", PATIENCE, || keepers().is_empty() && watchers().is_empty());
    assert_eq!(master("eth0"), None);
    // What is not given before IPv6 is known to be nobody else's address comes a moment later.
    wait_until("the kernel is done", PATIENCE, || on_nic() == before || !machine().contains("tentative"));
    nic::assert_same(&before, &on_nic(), "after the script that gives it back");
    assert_reaches(ROUTER, PATIENCE);
    assert_reaches(ROUTER_V6, PATIENCE);
    ok(&["down"]);
    forget_rules();
}

#[test]
fn plan_as_shell_gives_a_nic_back_from_linux_bridges() {
    ThrowAwayHost::run(|host| gives_back(host, "linux"));
}

#[test]
fn plan_as_shell_gives_a_nic_back_from_open_vswitch() {
    ThrowAwayHost::run(|host| gives_back(host, "ovs"));
}
