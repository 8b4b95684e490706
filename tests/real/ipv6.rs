//! Labs of IPv6 alone, and routers that advertise themselves to hosts that configure themselves.

use crate::crash::{killed_anywhere_then_down, killed_anywhere_then_up, putting_back_killed_anywhere_then_up_or_down};
use crate::failure::{changing_up_that_fails_anywhere_puts_the_lab_back, up_that_fails_anywhere_leaves_nothing};
use crate::interrupt::a_changing_up_interrupted_anywhere_puts_the_lab_back;
use crate::support::ovs::OpenVswitch;
use crate::support::run::{identities, json, ok, sh, text, write};
use crate::support::walk::walks;
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

walks!(
    advertised,
    |host| WalkedLab::advertised(host),
    killed_anywhere_then_down,
    killed_anywhere_then_up,
    putting_back_killed_anywhere_then_up_or_down,
    up_that_fails_anywhere_leaves_nothing,
    changing_up_that_fails_anywhere_puts_the_lab_back,
    a_changing_up_interrupted_anywhere_puts_the_lab_back
);

const PATIENCE: Duration = Duration::from_secs(10);

/// Two subnets with a router between them, no IPv4 anywhere.
const ROUTED: &str = "
name: lab
switches: {s1: {backend: BACKEND, subnets: ['2001:db8:1::/64']}, s2: {backend: BACKEND, subnets: ['2001:db8:2::/64']}}
nodes: {a: {gateway: r}, b: {routes: ['2001:db8:1::/64 via r']}, r: {forwarding: true}}
links: [[a, s1], [r, s1], [b, s2], [r, s2]]
";

fn works_without_ipv4(file: &str) {
    ok(&["up", file]);
    ok(&["check"]);
    ok(&["ping", "-c1", "a", "b"]);
    ok(&["exec", "a", "--", "ping", "-c1", "-W2", "b"]);
    assert_eq!(sh("ip netns exec lab-a getent ahosts b | cut -d' ' -f1 | sort -u"), "2001:db8:2::1\n");
    assert_eq!(sh("ip -n lab-a -4 address show dev eth0"), "");
    assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]));
    assert!(ok(&["plan", file]).contains("nothing to do"));
    ok(&["down"]);
}

#[test]
fn a_lab_of_ipv6_alone_works_on_linux_bridges() {
    ThrowAwayHost::run(|host| works_without_ipv4(&write(host, "lab.yaml", &ROUTED.replace("BACKEND", "linux"))));
}

#[test]
fn a_lab_of_ipv6_alone_works_on_open_vswitch() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        works_without_ipv4(&write(host, "lab.yaml", &ROUTED.replace("BACKEND", "ovs")));
    });
}

/// The global IPv6 addresses of a node's interface, with whether they have a lifetime.
fn addresses(netns: &str) -> BTreeSet<(String, bool)> {
    let shown = sh(&format!("ip -n {netns} -o -6 address show dev eth0 scope global"));
    let word = |line: &str| line.split_whitespace().nth(3).unwrap().to_owned();
    shown.lines().map(|line| (word(line), line.contains(" dynamic "))).collect()
}

/// The default routes of a node: next hop and protocol.
fn default_routes(netns: &str) -> Vec<String> {
    let routes = sh(&format!("ip -n {netns} -6 route show default"));
    let words = |line: &str| line.split(' ').skip(2).take(5).collect::<Vec<_>>().join(" ");
    routes.lines().map(words).collect()
}

/// The addresses that the topology has for a node, as `validate` prints it.
fn predicted(topology: &str, node: &str) -> BTreeSet<(String, bool)> {
    let spec = json(&["--json", "validate", topology]);
    let mut nodes = spec["nodes"].as_array().unwrap().iter();
    let node = nodes.find(|other| other["name"] == node).unwrap();
    let all = node["interfaces"][0]["addresses"].as_array().unwrap();
    all.iter().map(|address| (address.as_str().unwrap().to_owned(), true)).collect()
}

fn link_local(netns: &str) -> String {
    let shown = sh(&format!("ip -n {netns} -o -6 address show dev eth0 scope link"));
    shown.split_whitespace().nth(3).unwrap().replace("/64", "")
}

/// The process that advertises a router.
fn sender(netns: &str) -> Option<i32> {
    let pids = sh(&format!(
        "for p in $(ip netns pids {netns}); do grep -lqz '^__advertise$' /proc/$p/cmdline && echo $p; done; true"
    ));
    let mut pids = pids.lines().map(|pid| pid.parse().unwrap());
    let first = pids.next();
    assert_eq!(pids.next(), None, "one is enough");
    first
}

fn hosts_configure_themselves() {
    ok(&["up", "slaac"]);
    let router = link_local("slaac-r1");
    for host in ["h1", "h2"] {
        let netns = format!("slaac-{host}");
        let predicted = predicted("slaac", host);
        assert_eq!((predicted.len(), addresses(&netns)), (1, predicted));
        assert_eq!(default_routes(&netns), [format!("{router} dev eth0 proto ra")]);
    }
    // By name, and the check too.
    let h2 = predicted("slaac", "h2").pop_first().unwrap().0.replace("/64", "");
    assert_eq!(sh("ip netns exec slaac-h1 getent ahosts h2 | cut -d' ' -f1 | sort -u"), format!("{h2}\n"));
    sh("ip netns exec slaac-h1 ping -c1 -W2 h2; ip netns exec slaac-h1 ping -c1 -W2 r1");
    ok(&["check"]);
    let shown = ok(&["show"]);
    assert!(shown.contains("ADVERTISES") && shown.contains(&h2) && shown.contains("proto ra"), "{shown}");
    assert!(shown.contains("everything is as it should be"), "{shown}");
    let report = json(&["--json", "show"]);
    let advertises = serde_json::json!([{"interface": "eth0", "prefixes": ["2001:db8:1::/64"]}]);
    assert_eq!(report["nodes"][0]["advertises"], advertises);
    assert!(ok(&["plan", "slaac"]).contains("nothing to do"));
    // Nobody is told that a process of nslab's own was ended.
    let down = ok(&["down"]);
    assert!(!down.contains("process"), "{down}");
}

#[test]
fn hosts_have_the_predicted_address_and_route_on_linux_bridges() {
    ThrowAwayHost::run(|_| hosts_configure_themselves());
}

#[test]
fn hosts_have_the_predicted_address_and_route_on_open_vswitch() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        hosts_configure_themselves();
    });
}

/// By the eyes of rdisc6(8), which asks, and takes nothing but what RFC 4861 section 6.1.2 lets a host take.
#[test]
fn what_is_advertised_is_what_the_topology_says() {
    ThrowAwayHost::run(|host| {
        let lab = "name: lab\nnodes:\n  r: {forwarding: true, interfaces: {eth0: {advertise: true, mtu: 1400, \
                   addresses: ['2001:db8:7::7/64', 'fd00:2::1/48', '10.0.0.1/24']}}}\n  \
                   h: {interfaces: {eth0: {addresses: [slaac], mtu: 1400}}}\n\
                   links: [{endpoints: [r, h], subnets: ['2001:db8:1::/64', '10.0.0.0/24', '2001:db8:7::/64', 'fd00:2::/48']}]\n";
        ok(&["up", &write(host, "lab.yaml", lab)]);
        let said = sh("ip netns exec lab-h rdisc6 -1 eth0");
        let value = |name: &str| {
            let line = said
                .lines()
                .find(|line| line.trim_start().starts_with(name))
                .unwrap_or_else(|| panic!("{name}: {said}"));
            line.split_once(": ").unwrap().1.trim().split(' ').next().unwrap().to_owned()
        };
        assert_eq!(
            (value("Hop limit"), value("Router lifetime"), value("MTU")),
            ("64".into(), "1800".into(), "1400".into())
        );
        assert_eq!((value("Stateful address"), value("Stateful other")), ("No".into(), "No".into()));
        assert_eq!((value("On-link"), value("Autonomous")), ("Yes".into(), "Yes".into()));
        assert_eq!((value("Valid time"), value("Pref. time")), ("2592000".into(), "604800".into()));
        let mac = sh("ip netns exec lab-r cat /sys/class/net/eth0/address").trim().to_uppercase();
        assert_eq!(value("Source link-layer"), mac);
        let prefixes: Vec<&str> = said.lines().filter(|line| line.trim_start().starts_with("Prefix ")).collect();
        // Both that are of 64 bits; of 48, nobody could make an address.
        assert_eq!(prefixes.len(), 2, "{said}");
        assert!(prefixes[0].contains("2001:db8:1::/64") && prefixes[1].contains("2001:db8:7::/64"), "{said}");
        assert!(said.contains(&format!("from {}", link_local("lab-r"))), "{said}");
        assert_eq!(addresses("lab-h").len(), 2);
        // IPv4 is handed out all the same.
        assert!(sh("ip -n lab-h -4 address show dev eth0").contains("10.0.0.2/24"));
        ok(&["down"]);
    });
}

/// It gives up all that it does not need, and is not in the way of whoever started it.
#[test]
fn the_sender_is_alone_with_its_socket() {
    ThrowAwayHost::run(|host| {
        // Whoever holds a lock while nslab runs has it back afterwards.
        let lock = host.scratch().join("lock");
        let nslab = env!("CARGO_BIN_EXE_nslab");
        sh(&format!("exec 9>{0}; flock -n 9; {nslab} up slaac; exec 9>&-; flock -n {0} true", lock.display()));
        let pid = sender("slaac-r1").unwrap();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        for line in ["CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Threads:\t1"] {
            assert!(status.contains(line), "{line} is missing in\n{status}");
        }
        assert_eq!(sh(&format!("ps -o sid= -p {pid}")).trim(), pid.to_string());
        assert_eq!(std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), std::path::Path::new("/"));
        assert_eq!(std::fs::read(format!("/proc/{pid}/environ")).unwrap(), b"");
        let mut files: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap().to_string_lossy().into_owned())
            .map(|target| target.split_once(":[").map_or(target.clone(), |(kind, _)| kind.to_owned()))
            .collect();
        files.sort();
        let mountinfo = format!("/proc/{pid}/mountinfo");
        assert_eq!(files, ["/dev/null", "/dev/null", "/dev/null", &mountinfo, "anon_inode", "socket", "socket"]);
        ok(&["down"]);
    });
}

#[test]
fn a_sender_that_is_gone_or_says_something_else_is_repaired() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "slaac"]);
        let old = identities();
        let first = sender("slaac-r1").unwrap();
        sh(&format!("kill -KILL {first}"));
        wait_until("it has ended", PATIENCE, || sender("slaac-r1").is_none());
        let drift = json(&["--json", "show"])["drift"].to_string();
        assert!(drift.contains("advertise slaac-r1 as a router"), "{drift}");
        let up = ok(&["up", "slaac"]);
        assert!(up.contains("! advertise slaac-r1 as a router: 2001:db8:1::/64 on eth0"), "{up}");
        assert!(sender("slaac-r1").is_some_and(|pid| pid != first));
        assert!(ok(&["plan", "slaac"]).contains("nothing to do"));

        // Told to end, it says so, and hosts look for another router.
        sh(&format!("kill {}", sender("slaac-r1").unwrap()));
        wait_until("the hosts have no router any more", PATIENCE, || default_routes("slaac-h1").is_empty());
        ok(&["up", "slaac"]);
        assert_eq!(default_routes("slaac-h1").len(), 1);

        // Somebody's own, by nslab's own hand.
        sh(&format!("kill {}", sender("slaac-r1").unwrap()));
        wait_until("it has ended", PATIENCE, || sender("slaac-r1").is_none());
        let nslab = env!("CARGO_BIN_EXE_nslab");
        sh(&format!(
            "ip netns exec slaac-r1 {nslab} __advertise slaac-r1 eth0=02:00:00:00:00:01,1500,fd00::/64 > /dev/null 2>&1 &"
        ));
        wait_until("it speaks", PATIENCE, || ok(&["plan", "slaac"]).contains("stop advertising slaac-r1"));
        ok(&["up", "slaac"]);
        assert!(ok(&["plan", "slaac"]).contains("nothing to do"));
        assert_eq!(identities(), old, "nothing else was touched");
        ok(&["down"]);
    });
}

#[test]
fn what_a_host_has_forgotten_it_hears_again() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "slaac"]);
        let had = (addresses("slaac-h1"), default_routes("slaac-h1"));
        let address = had.0.first().unwrap().0.clone();
        for damage in [
            format!("ip -n slaac-h1 address delete {address} dev eth0"),
            "ip -n slaac-h1 -6 route delete default".to_owned(),
            "ip -n slaac-h1 link set eth0 down".to_owned(),
            "ip -n slaac-h1 link delete eth0".to_owned(),
            "ip netns exec slaac-h1 sysctl -qw net.ipv6.conf.eth0.accept_ra=0; ip -n slaac-h1 -6 address flush dev eth0".to_owned(),
            // Its own one, for good: it would never have a lifetime again.
            format!("ip -n slaac-h1 address delete {address} dev eth0; ip -n slaac-h1 address add {address} dev eth0"),
            "ip -n slaac-r1 link delete eth0".to_owned(),
            "ip netns delete slaac-r1".to_owned(),
            "ip -n slaac-fabric link delete lan".to_owned(),
        ] {
            sh(&damage);
            assert!(!ok(&["plan", "slaac"]).contains("nothing to do"), "{damage}");
            ok(&["up", "slaac"]);
            assert_eq!((addresses("slaac-h1"), default_routes("slaac-h1")), had, "{damage}");
            assert!(ok(&["plan", "slaac"]).contains("nothing to do"), "{damage}");
            ok(&["check"]);
        }
        ok(&["down"]);
    });
}

/// A process keeps its namespace alive: one without a name is nobody's any more.
#[test]
fn a_sender_ends_with_its_node_and_with_its_interfaces() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "slaac"]);
        let all = || sh("pgrep -x nslab-advertise || true");
        assert_eq!(all().lines().count(), 1);
        sh("ip netns delete slaac-r1");
        wait_until("it has ended", PATIENCE, || all().is_empty());
        wait_until("its cable is gone", PATIENCE, || !sh("ip -n slaac-fabric -o link").contains("r1"));
        ok(&["up", "slaac"]);
        assert_eq!(all().lines().count(), 1);
        sh("ip -n slaac-r1 link delete eth0");
        wait_until("it has ended", PATIENCE, || all().is_empty());
        ok(&["up", "slaac"]);
        ok(&["down"]);
        assert_eq!(all(), "");
    });
}

const LAB: &str = "
name: lab
switches: {s: {subnets: ['PREFIX']}}
nodes:
  r: {forwarding: true, interfaces: {eth0: {advertise: true}}}
  h: {interfaces: {eth0: {addresses: [ADDRESS]}}}
  own: {}
links: [[r, s], [h, s], [own, s]]
";

fn lab(host: &ThrowAwayHost, prefix: &str, address: &str) -> String {
    write(host, "lab.yaml", &LAB.replace("PREFIX", prefix).replace("ADDRESS", address))
}

#[test]
fn another_prefix_takes_the_place_of_the_former() {
    ThrowAwayHost::run(|host| {
        ok(&["up", &lab(host, "2001:db8:1::/64", "slaac")]);
        let router = link_local("lab-r");
        let (old, first) = (identities(), sender("lab-r"));
        let file = lab(host, "2001:db8:2::/64", "slaac");
        let up = ok(&["up", &file]);
        assert!(up.contains("~ advertise lab-r as a router: 2001:db8:2::/64 on eth0"), "{up}");
        assert_eq!(addresses("lab-h"), predicted(&file, "h"));
        assert!(!sh("ip -n lab-h -6 route").contains("2001:db8:1:"), "{}", sh("ip -n lab-h -6 route"));
        assert_eq!(default_routes("lab-h"), [format!("{router} dev eth0 proto ra")]);
        assert_ne!(sender("lab-r"), first);
        assert_eq!(identities(), old, "nothing else was touched");
        // Another MAC address of the router's is another router to its hosts.
        let text = std::fs::read_to_string(&file)
            .unwrap()
            .replace("advertise: true", "advertise: true, mac: '02:00:00:00:00:aa'");
        let file = write(host, "lab.yaml", &text);
        ok(&["up", &file]);
        assert_eq!(default_routes("lab-h"), ["fe80::ff:fe00:aa dev eth0 proto ra"]);
        ok(&["check"]);
        // And nobody who advertises is nothing that hosts keep.
        let text = text.replace("advertise: true, ", "").replace("[slaac]", "[]");
        ok(&["up", &write(host, "lab.yaml", &text)]);
        assert_eq!((addresses("lab-h").len(), default_routes("lab-h").len(), sender("lab-r")), (1, 0, None));
        assert!(addresses("lab-h").iter().all(|(_, is_dynamic)| !is_dynamic));
        ok(&["down"]);
    });
}

#[test]
fn who_does_not_ask_for_it_takes_nothing() {
    ThrowAwayHost::run(|host| {
        // `own` was there before there was anything to listen to.
        let silent = LAB.replace("advertise: true", "").replace("ADDRESS", "").replace("PREFIX", "2001:db8:1::/64");
        ok(&["up", &write(host, "silent.yaml", &silent)]);
        assert_eq!(sh("ip netns exec lab-own sysctl -n net.ipv6.conf.eth0.accept_ra"), "1\n");
        let file = lab(host, "2001:db8:1::/64", "slaac");
        ok(&["up", &file]);
        ok(&["exec", "own", "--", "rdisc6", "-1", "-q", "eth0"]);
        assert_eq!(addresses("lab-own"), BTreeSet::from([("2001:db8:1::2/64".to_owned(), false)]));
        assert_eq!(default_routes("lab-own"), Vec::<String>::new());
        assert_eq!(addresses("lab-h"), predicted(&file, "h"));
        // What it was before comes back.
        ok(&["up", &write(host, "silent.yaml", &silent)]);
        for node in ["own", "h"] {
            assert_eq!(
                sh(&format!("ip netns exec lab-{node} sysctl -n net.ipv6.conf.eth0.accept_ra")),
                "1\n",
                "{node}"
            );
        }
        ok(&["down"]);
    });
}

/// Who routes listens only where it is told to: `accept_ra` is 2 then.
#[test]
fn a_router_may_have_its_own_way_out_from_another() {
    ThrowAwayHost::run(|host| {
        let lab = "name: lab\nnodes:\n  isp: {forwarding: true, interfaces: {eth0: {advertise: true}}, routes: ['2001:db8:2::/64 via r']}\n  \
                   r: {forwarding: true, interfaces: {eth0: {addresses: [slaac]}, eth1: {advertise: true}}}\n  \
                   h: {interfaces: {eth0: {addresses: [slaac]}}}\n\
                   links: [{endpoints: [isp, r], subnets: ['2001:db8:1::/64']}, {endpoints: [r, h], subnets: ['2001:db8:2::/64']}]\n";
        ok(&["up", &write(host, "lab.yaml", lab)]);
        ok(&["check"]);
        sh("ip netns exec lab-h ping -c1 -W2 isp");
        ok(&["down"]);
    });
}

/// Advertisements that a port does not forward yet are lost: a host is not there before it has heard one.
#[test]
fn up_waits_for_a_spanning_tree() {
    ThrowAwayHost::run(|host| {
        let file = lab(host, "2001:db8:1::/64", "slaac");
        let text = std::fs::read_to_string(&file).unwrap().replace("{s: {", "{s: {backend: linux, stp: true, ");
        let file = write(host, "lab.yaml", &text);
        let start = Instant::now();
        ok(&["up", &file]);
        println!("up took {:?}", start.elapsed());
        assert_eq!((addresses("lab-h"), default_routes("lab-h").len()), (predicted(&file, "h"), 1));
        ok(&["check"]);
        ok(&["down"]);
    });
}

/// To forward is to know the way: the kernel forgets its routers then.
#[test]
fn a_host_becomes_a_router_and_a_host_again() {
    ThrowAwayHost::run(|host| {
        let file = lab(host, "2001:db8:1::/64", "slaac");
        let text = std::fs::read_to_string(&file).unwrap();
        let router = write(host, "router.yaml", &text.replace("  h: {", "  h: {forwarding: true, "));
        for file in [&file, &router, &file] {
            ok(&["up", file]);
            assert_eq!((addresses("lab-h"), default_routes("lab-h").len()), (predicted(file, "h"), 1));
            assert!(ok(&["plan", file]).contains("nothing to do"));
        }
        ok(&["down"]);
    });
}

/// The program that uses the library is what is started as the sender; this one never said that it can be.
#[test]
fn a_program_that_does_not_become_a_helper_is_told_to() {
    ThrowAwayHost::run(|host| {
        host.block_on(async {
            let lab =
                nslab::Lab::from_yaml(&LAB.replace("PREFIX", "2001:db8:1::/64").replace("ADDRESS", "slaac")).unwrap();
            let error = lab.up().await.unwrap_err();
            assert!(format!("{error:?}").contains("NoHelper"), "{error:?}");
        });
    });
}

/// Each host hears the router in its own VLAN.
#[test]
fn vlans_keep_advertisements_apart() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let lab = "name: lab\nswitches: {s: {backend: ovs}, t: {backend: ovs}}\nnodes:\n  \
                   r: {forwarding: true, interfaces: {eth0: {advertise: true, addresses: ['2001:db8:1::1/64']}, \
                   eth1: {advertise: true, addresses: ['2001:db8:2::1/64']}}}\n  \
                   a: {interfaces: {eth0: {addresses: [slaac]}}}\n  b: {interfaces: {eth0: {addresses: [slaac]}}}\n\
                   links: [{endpoints: [r, s], vlan: 10}, {endpoints: [r, s], vlan: 20}, {endpoints: [s, t], vlan: {trunk: [10, 20]}}, \
                   {endpoints: [a, t], vlan: 10}, {endpoints: [b, t], vlan: 20}]\n";
        let file = write(host, "lab.yaml", lab);
        ok(&["up", &file]);
        for (node, prefix) in [("a", "2001:db8:1:"), ("b", "2001:db8:2:")] {
            let all = addresses(&format!("lab-{node}"));
            assert_eq!(all, predicted(&file, node));
            assert!(all.len() == 1 && all.iter().all(|(address, _)| address.starts_with(prefix)), "{all:?}");
        }
        ok(&["check"]);
        ok(&["down"]);
    });
}

/// As docs/topology.md has it, with what it would cost.
#[test]
fn addresses_are_not_looked_for_on_the_link_unless_it_is_asked_for() {
    ThrowAwayHost::run(|host| {
        let start = Instant::now();
        ok(&["up", "slaac"]);
        println!("without duplicate address detection: {:?}", start.elapsed());
        for node in ["r1", "h1"] {
            for of in ["all", "default", "eth0"] {
                let key = format!("net.ipv6.conf.{of}.accept_dad");
                assert_eq!(sh(&format!("ip netns exec slaac-{node} sysctl -n {key}")), "0\n", "{key} of {node}");
            }
        }
        ok(&["down"]);
        let file = lab(host, "2001:db8:1::/64", "slaac");
        let looking = std::fs::read_to_string(&file)
            .unwrap()
            .replace("{addresses: [slaac]}}", "{addresses: [slaac]}}, sysctls: {net.ipv6.conf.default.accept_dad: 1}");
        let start = Instant::now();
        let file = write(host, "lab.yaml", &looking);
        ok(&["up", &file]);
        println!("with it: {:?}", start.elapsed());
        assert_eq!(addresses("lab-h"), predicted(&file, "h"));
        assert!(!sh("ip -n lab-h -6 address show scope global").contains("tentative"));
        ok(&["check"]);
        ok(&["down"]);
    });
}

/// A filter keeps every advertisement from a host.
#[test]
fn waiting_for_an_address_that_does_not_come_can_be_interrupted() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "slaac"]);
        sh(
            "ip netns exec slaac-h1 nft 'table ip6 t { chain c { type filter hook input priority 0; icmpv6 type nd-router-advert drop; }; }'",
        );
        sh("ip -n slaac-h1 -6 address flush dev eth0 scope global");
        let mut up = nslab(["up", "slaac"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(500)); // it would wait for a minute
        let pid = nix::unistd::Pid::from_raw(up.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
        let start = Instant::now();
        assert_eq!(up.wait().unwrap().code(), Some(1));
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        sh("ip netns exec slaac-h1 nft flush ruleset");
        ok(&["up", "slaac"]);
        assert_eq!(addresses("slaac-h1"), predicted("slaac", "h1"));
        let down = nslab(["down"]).output().unwrap();
        assert!(down.status.success(), "{}", text(&down));
    });
}

/// A host whose link was down hears its router again; one whose router's link is down keeps what it was told.
#[test]
fn what_links_that_go_down_take_comes_back_when_they_are_up() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "slaac"]);
        let all = || (addresses("slaac-h1"), default_routes("slaac-h1"));
        let before = all();
        ok(&["link", "set", "h1:eth0", "--down"]);
        assert_eq!(all(), (BTreeSet::new(), vec![]));
        assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]));
        ok(&["link", "set", "h1:eth0", "--up"]);
        assert_eq!(all(), before);

        ok(&["link", "set", "r1:eth0", "--down"]);
        assert_eq!(all(), before, "nobody has told the hosts");
        assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]));
        ok(&["exec", "h1", "--", "ping", "-c1", "-W2", "h2"]);
        // It can't hear the router either when its own link comes back, and is not waited for.
        ok(&["link", "set", "h1:eth0", "--down"]);
        ok(&["link", "set", "h1:eth0", "--up"]);
        assert_eq!(all(), (BTreeSet::new(), vec![]));
        ok(&["link", "reset"]);
        assert_eq!(all(), before);
        ok(&["check"]);
        assert!(ok(&["plan", "slaac"]).contains("nothing to do"));
        ok(&["down"]);
    });
}
