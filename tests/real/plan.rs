//! `plan`, in words and as a script.

use crate::support::outside::Outside;
use crate::support::ovs::OpenVswitch;
use crate::support::run::{fails, identities, ok, sh, text, write};
use crate::support::walk::{AFTER, BEFORE, topology};
use crate::support::{ThrowAwayHost, database, nslab, wait_until};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

#[test]
fn plan_as_shell_makes_the_same_lab_of_linux_bridges() {
    ThrowAwayHost::run(|host| {
        // This kernel's bridges may keep no VLANs apart.
        let frames = write(host, "frames.yaml", &FRAMES.replace("BACKEND", "linux"));
        for topology in ["two-node", "three-tier", "dumbbell", "ring", "slaac", &frames].iter().chain(&FAMILIES) {
            let [nslab, script] = [Maker::Nslab, Maker::Script].map(|maker| made_by(maker, host, topology));
            assert_same(&script, &nslab, topology);
        }
    });
}

/// The script is run with an Open vSwitch that knows nothing of what nslab did with another.
#[test]
fn plan_as_shell_makes_the_same_lab_of_open_vswitch() {
    ThrowAwayHost::run(|host| {
        let frames = write(host, "frames.yaml", &FRAMES.replace("BACKEND", "ovs"));
        let builtins = ["two-node", "three-tier", "dumbbell", "ring", "vlan", "slaac", &frames];
        for topology in builtins.iter().chain(&FAMILIES) {
            let [nslab, script] = [Maker::Nslab, Maker::Script].map(|maker| {
                let _ovs = OpenVswitch::start(host);
                made_by(maker, host, topology)
            });
            let has_bridges = nslab.keys().any(|what| what.starts_with("row: Bridge "));
            assert_eq!(has_bridges, *topology != "mesh,4", "{topology}: {nslab:#?}"); // that has no switch
            assert_same(&script, &nslab, topology);
        }
    });
}

/// The same of a lab that reaches the world through the machine, whose own parameters and rules count, too.
#[test]
fn plan_as_shell_masquerades_the_same() {
    ThrowAwayHost::run(|host| {
        let _outside = Outside::start(host);
        sh("for t in iptables-nft ip6tables-nft; do $t -N DOCKER-USER; $t -A FORWARD -j DOCKER-USER; done");
        let before = host.as_it_is_now();
        let [linux, ovs] = ["linux", "ovs"].map(|backend| {
            let nic = if backend == "ovs" { "{nat: true, nic: eth0}" } else { "nat" };
            write(host, &format!("{backend}.yaml"), &NAT.replace("BACKEND", backend).replace("UPLINK", nic))
        });
        let [nslab, script] = [Maker::Nslab, Maker::Script].map(|maker| made_by(maker, host, &linux));
        assert_same(&script, &nslab, &linux);
        let [nslab, script] = [Maker::Nslab, Maker::Script].map(|maker| {
            let _ovs = OpenVswitch::start(host);
            made_by(maker, host, &ovs)
        });
        assert_same(&script, &nslab, &ovs);
        // A change, and back: by the script of each.
        let plain = write(host, "plain.yaml", &NAT.replace("BACKEND", "linux").replace("uplink: UPLINK\n", ""));
        ok(&["up", &linux]);
        let with_nat = everything();
        ok(&["up", &plain]);
        let without = everything();
        ok(&["down"]);
        for (start, topology, wanted) in [(&plain, &linux, &with_nat), (&linux, &plain, &without)] {
            ok(&["up", start]);
            let script = write(host, "change.sh", &ok(&["plan", "--shell", topology]));
            sh(&format!("sh {script}"));
            assert_same(&everything(), wanted, &format!("after the change to {topology}"));
            ok(&["down"]);
            remove_nat();
        }
        before.assert_as_it_was("after all of them");
        sh("nft flush ruleset");
    });
}

const NAT: &str = "
name: nat
switches: {s: {backend: BACKEND, subnets: [10.0.0.0/24, 'fd00::/64']}}
nodes: {a: , b: }
links: [[a, s], [b, s]]
uplink: UPLINK
";

const FAMILIES: [&str; 5] = ["single,4", "linear,4", "tree,2,3", "torus,3,3", "mesh,4"];

/// Switches that do with link-local frames and multicast what they would not do by themselves, and links that are slow.
const FRAMES: &str = "
name: frames
switches:
  s1: {backend: BACKEND, forward: [lldp, lacp, stp], mcast_snooping: false}
  s2: {backend: BACKEND, forward: [lldp, lacp], mcast_snooping: true, stp: true}
nodes: {a: , b: , c: }
links: [{endpoints: [a, s1], rate: 10mbit, queue: 7}, {endpoints: [b, s1], towards: {b: {rate: 1gbit}}}, [c, s2]]
";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Maker {
    Nslab,
    Script,
}

/// What there is of a lab, made by nslab or by the script that it prints, and gone again.
fn made_by(maker: Maker, host: &ThrowAwayHost, topology: &str) -> BTreeMap<String, String> {
    if maker == Maker::Nslab {
        ok(&["up", topology]);
        let made = everything();
        ok(&["down"]);
        return made;
    }
    let script = write(host, "lab.sh", &ok(&["plan", "--shell", topology]));
    sh(&format!("sh {script}"));
    let made = everything();
    // A script keeps no journal: to nslab its lab is somebody else's.
    assert!(!Path::new("/run/nslab").exists());
    assert!(ok(&["ls"]).contains("no lab is up"));
    assert!(fails(&["up", topology], 1).contains("nslab did not make these"));
    fails(&["down"], 1);
    assert!(ok(&["gc"]).contains("nothing was left behind"));
    assert_same(&everything(), &made, &format!("{topology} after up, down and gc"));
    if database::is_there() {
        sh("for b in $(ovs-vsctl list-br); do ovs-vsctl del-br $b; done");
    }
    remove_namespaces();
    made
}

pub(crate) fn remove_namespaces() {
    // What the script runs in them, radvd, would keep them.
    sh("for n in $(ip netns list | cut -d' ' -f1); do ip netns pids $n | xargs -r kill || true; ip netns del $n; done");
    wait_until("radvd has ended", Duration::from_secs(5), || sh("pidof radvd || true").is_empty());
    sh("rm -f /run/radvd-*");
    remove_nat();
    sh("rm -rf /etc/netns; umount /run/netns 2>/dev/null; rmdir /run/netns 2>/dev/null || true");
}

/// What there is of an uplink by NAT is the machine's, not a node's.
fn remove_nat() {
    sh("for t in $(nft list tables | grep -o 'nslab_.*' || true); do nft delete table inet $t; done
        for f in ip ip6; do if nft list chain $f filter DOCKER-USER 2>/dev/null; then nft flush chain $f filter DOCKER-USER; fi; done
        # It goes by itself, with the namespace of its other end, and maybe at this moment.
        for l in $(ip -o link | grep -o '[^ ]*-gw@' | tr -d @); do ip link delete $l || [ ! -e /sys/class/net/$l ]; done
        if [ -e /sys/class/net/eth0 ]; then sysctl -qw net.ipv4.conf.eth0.forwarding=0 net.ipv6.conf.eth0.force_forwarding=0; fi");
}

/// The kernel's part of all labs, and the database's, a thing an entry.
pub(crate) fn everything() -> BTreeMap<String, String> {
    let mut all = kernel();
    if database::is_there() {
        let rows = database::rows().into_iter();
        all.extend(rows.map(|(row, columns)| (format!("row: {row}"), serde_json::to_string_pretty(&columns).unwrap())));
    }
    all
}

#[track_caller]
pub(crate) fn assert_same(there: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>, when: &str) {
    for what in there.keys().chain(wanted.keys()) {
        assert_eq!(there.get(what), wanted.get(what), "{when}: {what}");
    }
}

/// Every namespace's links, addresses and routes, and those of the host's own, less what differs from one making to the
/// next (indexes, counters).
fn kernel() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let namespaces = sh("ip netns list | cut -d' ' -f1");
    for name in namespaces.lines().map(Some).chain([None]) {
        let (option, inside) =
            name.map_or_else(Default::default, |name| (format!("-n {name}"), format!("ip netns exec {name}")));
        let name = name.unwrap_or("host");
        for what in ["addr", "route", "-6 route"] {
            let text = sh(&format!("ip {option} -j -d {what}"));
            let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            for mut item in value.as_array().cloned().unwrap_or_default() {
                // Open vSwitch's own, whose address is another each time.
                if item["ifname"] == "ovs-netdev" {
                    continue;
                }
                // A link by its name, a route by where it leads.
                let which = ["ifname", "dst", "dev", "gateway", "metric"].map(|key| item[key].to_string());
                let which = format!("{name} {what} {}", which.join(" "));
                strip(&mut item);
                let item = serde_json::to_string_pretty(&item).unwrap();
                assert_eq!(all.insert(which.clone(), item), None, "{which}");
            }
        }
        all.insert(format!("{name} disciplines"), sh(&format!("tc {option} qdisc show | grep -v ovs-netdev | sort")));
        let links = sh(&format!("ip {option} -o link | cut -d: -f2 | cut -d@ -f1"));
        for link in links.split_whitespace().filter(|link| *link != "ovs-netdev") {
            let checksums = sh(&format!("{inside} ethtool -k {link} | grep tx-checksum || true"));
            all.insert(format!("{name} checksums of {link}"), checksums);
        }
        let sysctls = "sysctl -a 2>/dev/null | grep -E 'forward|disable_ipv6|accept_dad|accept_ra |arp_ignore' | grep -v ovs-netdev";
        all.insert(format!("{name} sysctl"), sh(&format!("{inside} sh -c \"{sysctls}\"")));
        for file in ["hosts", "resolv.conf"] {
            all.insert(format!("{name} {file}"), sh(&format!("cat /etc/netns/{name}/{file} 2>/dev/null || true")));
        }
    }
    // The mark of a lab of nslab's says which of that name it is.
    all.insert("rules".to_owned(), sh("nft --stateless list ruleset | sed 's/@[0-9a-f]*\"/\"/'"));
    all
}

fn strip(value: &mut serde_json::Value) {
    const VARYING: &[&str] = &[
        "ageing_time", // the kernel's own while a spanning tree settles
        "expires",
        "ifindex",
        "preferred_life_time",
        "valid_life_time",
        "link_index",
        "link_netnsid",
        "gc_timer",
        "hello_timer",
        "tcn_timer",
        "topology_change_timer",
        "message_age_timer",
        "forward_delay_timer",
        "hold_timer",
        "group",
        "no",
        "port_no",
        "id",
        "designated_port",
        "designated_cost",
        "root_path_cost",
        "root_port",
        "root_id",
        "designated_root",
        "designated_bridge",
        "state",
        "operstate",
        "topology_change",
        "topology_change_detected",
        "topology_change_ack",
        "config_pending",
        "bridge_id",
        "flags",
        "priority",
        "fdb_n_learned",
        "inet6_addr_gen_mode",
    ];
    match value {
        serde_json::Value::Object(map) => {
            // The mark of a lab of nslab's says which of that name it is.
            if let Some(serde_json::Value::String(alias)) = map.get_mut("ifalias") {
                *alias = alias.split('@').next().unwrap().to_owned();
            }
            // Made by the kernel of the hardware address that the interface came up with, and kept when that changes.
            if let Some(serde_json::Value::Array(addresses)) = map.get_mut("addr_info") {
                addresses.retain(|address| address["scope"] != "link");
            }
            map.retain(|key, _| !VARYING.contains(&key.as_str()));
            map.values_mut().for_each(strip);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

#[test]
fn without_root_a_new_lab_can_be_planned_and_nothing_touched() {
    ThrowAwayHost::run(|_| {
        let plan = unprivileged(&["plan", "two-node"]);
        assert!(plan.status.success(), "{}", text(&plan));
        assert!(text(&plan).contains("two-node-net1"), "{}", text(&plan));
        let up = unprivileged(&["up", "two-node"]);
        assert_eq!(up.status.code(), Some(3), "{}", text(&up));
        assert!(text(&up).contains("sudo"), "{}", text(&up));

        ok(&["up", "two-node"]);
        let plan = unprivileged(&["plan", "two-node"]);
        assert_eq!(plan.status.code(), Some(3), "{}", text(&plan));
        assert!(text(&plan).contains("can't look into the lab's namespaces (two-node-"), "{}", text(&plan));
        let ls = unprivileged(&["ls"]);
        assert!(ls.status.success() && text(&ls).contains("two-node"), "{}", text(&ls));
        for arguments in [&["show"][..], &["check"], &["ping", "net1", "net2"], &["down"], &["gc"]] {
            let output = unprivileged(arguments);
            assert_eq!(output.status.code(), Some(3), "{arguments:?}: {}", text(&output));
        }
        assert_eq!(unprivileged(&["exec", "net1", "--", "true"]).status.code(), Some(125));
        assert_eq!(unprivileged(&["doctor"]).status.code(), Some(3));
        ok(&["down"]);
    });
}

fn unprivileged(arguments: &[&str]) -> Output {
    let command = nslab(arguments);
    Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"])
        .arg(command.get_program())
        .args(command.get_args())
        .output()
        .unwrap()
}

#[test]
fn a_plan_touches_nothing() {
    ThrowAwayHost::run(|host| {
        let (before, after) = (topology(host, "before.yaml", BEFORE), topology(host, "after.yaml", AFTER));
        ok(&["plan", &before]);
        ok(&["plan", "--shell", &before]);
        host.assert_as_it_was("after the plan of a new lab");

        ok(&["up", &before]);
        let (things, state) = (identities(), sh("find /run/nslab /etc/netns -printf '%p %i %T@\n' | sort"));
        let there = kernel();
        assert!(ok(&["plan", &after]).contains("walk-y"));
        assert!(ok(&["plan", "--shell", &after]).contains("walk-y"));
        ok(&["show"]);
        assert_eq!(identities(), things);
        assert_eq!(sh("find /run/nslab /etc/netns -printf '%p %i %T@\n' | sort"), state);
        assert_eq!(kernel(), there);
        ok(&["down"]);
    });
}

/// The script of a change does to a running lab what `up` does.
#[test]
fn the_script_of_a_change_makes_the_same_change() {
    ThrowAwayHost::run(|host| {
        let (before, after) = (topology(host, "before.yaml", BEFORE), topology(host, "after.yaml", AFTER));
        ok(&["up", &after]);
        let by_nslab = kernel();
        ok(&["down"]);
        ok(&["up", &before]);
        let script = write(host, "change.sh", &ok(&["plan", "--shell", &after]));
        sh(&format!("sh {script}"));
        let by_script = kernel();
        assert_same(&by_script, &by_nslab, "after the change");
        // Half a lab to its journal; `up` takes it over where the marks are right, or says what is in its way.
        ok(&["down"]);
        remove_namespaces();
    });
}
