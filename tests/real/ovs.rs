//! Labs on a real Open vSwitch, each test with one of its own.

use crate::support::ovs::{OpenVswitch, wait_for_switch};
use crate::support::run::{fails, identities, json, ok, sh, text, write};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

/// A switch of Open vSwitch, whatever else there is.
const PAIR: &str = "
name: pair
switches: {s1: {backend: ovs, subnets: [10.0.0.0/24]}}
nodes: {a: , b: }
links: [[a, s1], [b, s1]]
";

#[test]
fn switches_are_of_open_vswitch_where_it_lives() {
    ThrowAwayHost::run(|host| {
        let ovs = OpenVswitch::start(host);
        let before = sh("ovs-vsctl --no-wait show | tail -n +2; ip -o link | cut -d' ' -f2");
        let plan = ok(&["plan", "two-node"]);
        assert!(plan.contains("give Open vSwitch the bridge two-node-br0 and the ports"), "{plan}");
        let up = ok(&["up", "two-node"]);
        assert!(up.contains("the switch is a bridge of Open vSwitch"), "{up}");
        // An independent witness.
        let shown = sh("ovs-vsctl list-ports two-node-br0 | sort; ovs-vsctl br-get-external-id two-node-br0 nslab-lab");
        assert_eq!(shown, "two-node-net1\ntwo-node-net2\ntwo-node\n");
        ok(&["check"]);
        let doctor = ok(&["doctor"]);
        assert!(doctor.contains("Open vSwitch") && doctor.contains("netdev datapath"), "{doctor}");
        // The host itself takes no part in the lab.
        assert_eq!(sh("ip -6 -o addr show dev two-node-net1"), "");
        ok(&["down"]);
        assert_eq!(sh("ovs-vsctl --no-wait show | tail -n +2; ip -o link | cut -d' ' -f2"), before);
        drop(ovs);

        let up = ok(&["up", "two-node"]);
        assert!(
            up.contains("the switch is a Linux bridge: no OVSDB server is at unix:/run/openvswitch/db.sock"),
            "{up}"
        );
        ok(&["down"]);
        let file = write(host, "pair.yaml", PAIR);
        let message = fails(&["up", &file], 3);
        assert!(message.contains("no OVSDB server") && message.contains("apt-get install"), "{message}");
        assert!(!Path::new("/run/nslab").exists());
    });
}

#[test]
fn every_builtin_topology_comes_up_on_open_vswitch_and_checks() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let families = ["single,4", "linear,4", "tree,2,3", "torus,3,3", "mesh,4"];
        for topology in ["two-node", "three-tier", "dumbbell", "ring", "vlan", "slaac"].into_iter().chain(families) {
            ok(&["up", topology]);
            ok(&["check"]);
            assert!(ok(&["plan", topology]).contains("nothing to do"), "{topology}");
            ok(&["down"]);
            assert_eq!(sh("ovs-vsctl list-br"), "", "{topology}");
        }
    });
}

#[test]
fn what_is_changed_behind_its_back_is_repaired() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        ok(&["up", "vlan"]);
        let before = identities();
        for damage in [
            "ovs-vsctl del-port vlan-red1",
            "ovs-vsctl set Port vlan-red1 tag=20",
            "ovs-vsctl clear Port vlan-s1-s2 trunks",
            "ovs-vsctl del-br vlan-s1",
            "ovs-vsctl set Bridge vlan-s2 stp_enable=true -- remove Bridge vlan-s2 other_config hwaddr",
            "ip link delete vlan-red1",
            "ip -n vlan-red2 link delete eth0",
            "ip -n vlan-red2 link set eth0 down",
            "ip netns exec vlan-red2 ethtool -K eth0 tx on",
            "sysctl -qw net.ipv6.conf.vlan-blue1.disable_ipv6=0",
            // Another cable in its place, with which the user-space datapath would be dead without a word.
            "ip link delete vlan-red1; ip -n vlan-red1 link add eth0 type veth peer name vlan-red1 netns $$; \
             ip link set vlan-red1 up; ip -n vlan-red1 link set eth0 up",
        ] {
            sh(damage);
            let show = ok(&["show"]);
            assert!(show.contains("not as it should be"), "after `{damage}` show says:\n{show}");
            ok(&["up", "vlan"]);
            assert!(ok(&["plan", "vlan"]).contains("nothing to do"), "after `{damage}`");
            ok(&["check", "--timeout", "300ms"]);
            assert_eq!(identities().get("vlan-blue2:eth0"), before.get("vlan-blue2:eth0"), "after `{damage}`");
        }
        ok(&["down"]);
    });
}

#[test]
fn an_edit_moves_switches_and_ports() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let lab = |switches: &str, links: &str| {
            write(
                host,
                "lab.yaml",
                &format!("name: lab\nswitches: {switches}\nnodes: {{a: , b: , c: }}\nlinks: {links}\n"),
            )
        };
        for (switches, links) in [
            ("{s1: {subnets: [10.0.0.0/24]}}", "[[a, s1], [b, s1], [c, s1]]"),
            ("{s1: {subnets: [10.0.0.0/24]}, s2: }", "[[a, s1], [b, s2], [c, s1], [s1, s2]]"),
            ("{s1: {subnets: [10.0.0.0/24], backend: linux}, s2: }", "[[a, s1], [b, s2], [c, s1], [s1, s2]]"),
            ("{s1: {subnets: [10.0.0.0/24], backend: linux}, s2: }", "[[a, s2], [b, s2], [c, s1], [s2, s1]]"),
            ("{s2: {subnets: [10.0.0.0/24], stp: true}}", "[[a, s2], [b, s2], [c, s2]]"),
        ] {
            let file = lab(switches, links);
            ok(&["up", &file]);
            // Switches remember for a moment where a node was.
            wait_until("everything is reached", Duration::from_secs(10), || {
                nslab(["check"]).output().unwrap().status.success()
            });
            assert!(ok(&["plan", &file]).contains("nothing to do"), "{switches} {links}");
        }
        assert_eq!(sh("ovs-vsctl list-br; ovs-vsctl get Bridge lab-s2 stp_enable"), "lab-s2\ntrue\n");
        ok(&["down"]);
    });
}

#[test]
fn what_is_somebody_elses_is_not_touched() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        sh("ovs-vsctl add-br two-node-br0 -- set Bridge two-node-br0 datapath_type=netdev");
        let message = fails(&["up", "two-node"], 1);
        assert!(message.contains("the bridge two-node-br0 of Open vSwitch: remove it"), "{message}");
        sh("ovs-vsctl del-br two-node-br0 -- add-br other -- set Bridge other datapath_type=netdev");
        sh("ovs-vsctl add-port other two-node-net1 -- set Interface two-node-net1 type=internal");
        let message = fails(&["up", "two-node"], 1);
        assert!(message.contains("two-node-net1"), "{message}");
        sh("ovs-vsctl del-port two-node-net1");
        sh("ip link add two-node-net1 type veth peer name x");
        let message = fails(&["up", "two-node"], 1);
        assert!(
            message.contains("the interface two-node-net1: remove it (`ip link delete two-node-net1`)"),
            "{message}"
        );
        sh("ip link delete x");
        assert!(!Path::new("/run/nslab").exists());

        ok(&["up", "two-node"]);
        sh("ovs-vsctl set Bridge two-node-br0 other_config:their-own=x -- add-port two-node-br0 their-port -- \
            set Interface their-port type=internal");
        assert!(ok(&["plan", "two-node"]).contains("nothing to do"));
        ok(&["down"]);
        assert_eq!(sh("ovs-vsctl list-br"), "other\n");
        sh("ovs-vsctl del-br other");
    });
}

/// After a reboot the database is as it was, and everything else of the lab is gone.
fn reboot(boot: &str) {
    sh("for n in $(ip netns list | cut -d' ' -f1); do ip netns del $n; done; umount /run/netns; rmdir /run/netns");
    sh("rm -rf /run/nslab /etc/netns");
    sh(&format!(
        "for b in $(ovs-vsctl list-br); do ovs-vsctl set Bridge $b external_ids:nslab-boot={boot}; done
         for t in Port Interface; do for r in $(ovs-vsctl --bare --columns=_uuid list $t); do
             ovs-vsctl --no-wait set $t $r external_ids:nslab-boot={boot}; done; done"
    ));
}

#[test]
fn rows_that_a_reboot_left_are_found_removed_and_replaced() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        ok(&["up", "two-node"]);
        reboot("another");
        let doctor = ok(&["doctor"]);
        assert!(doctor.contains("rows in Open vSwitch's database of the lab two-node, which is no more"), "{doctor}");
        ok(&["up", "two-node"]);
        ok(&["check"]);
        reboot("another");
        assert!(ok(&["gc"]).contains("rows of the lab two-node in Open vSwitch's database"));
        assert_eq!(sh("ovs-vsctl list-br"), "");
        assert!(ok(&["gc"]).contains("nothing was left behind"));
    });
}

#[test]
fn daemons_that_die_or_hang_are_named_and_nothing_stays() {
    ThrowAwayHost::run(|host| {
        let mut ovs = OpenVswitch::start(host);
        let file = write(host, "pair.yaml", PAIR);

        // The switch is dead: nothing is begun.
        ovs.kill_switch();
        let message = fails(&["up", &file], 3);
        assert!(message.contains("ovs-vswitchd is not connected"), "{message}");
        ovs.start_switch();
        // It hangs: a deadline, and all is taken back.
        ovs.hang_switch(true);
        let message = fails(&["up", &file], 1);
        assert!(message.contains("ovs-vswitchd has not taken over the change in 10 s"), "{message}");
        assert!(message.contains("everything was put back as it was"), "{message}");
        ovs.hang_switch(false);
        assert_eq!(sh("ovs-vsctl list-br"), "");
        assert!(!Path::new("/run/nslab").exists());

        // The server goes while the lab is up: `down` takes what it can, says what is left, and goes on later.
        ok(&["up", &file]);
        ovs.kill_server();
        let message = fails(&["up", &file], 3);
        assert!(message.contains("no OVSDB server is at"), "{message}");
        let message = fails(&["down"], 4);
        assert!(message.contains("its switches in Open vSwitch's database"), "{message}");
        assert_eq!(sh("ip netns list"), "");
        ovs.start_server(&[]);
        ok(&["down"]);
        assert_eq!(sh("ovs-vsctl --no-wait list-br"), "");

        // The switch dies while the lab is up: what it leaves in the kernel goes too.
        ovs.kill_switch();
        ovs.start_switch();
        ok(&["up", &file]);
        ovs.kill_switch();
        ok(&["down"]);
        assert!(!sh("ip -o link").contains("pair-s1"));
        // The switch's own device, which the next start takes over and the last bridge takes along.
        ovs.start_switch();
        ok(&["up", &file]);
        ok(&["check"]);
        ok(&["down"]);
    });
}

#[test]
fn the_server_may_be_elsewhere() {
    ThrowAwayHost::run(|host| {
        let mut ovs = OpenVswitch::start(host);
        ovs.restart_server(&["--remote=ptcp:16640:127.0.0.1"]);
        let file = write(host, "pair.yaml", PAIR);
        ok(&["--ovsdb", "tcp:127.0.0.1:16640", "up", &file]);
        // The journal knows where it is.
        let message = fails(&["--ovsdb", "unix:/run/openvswitch/db.sock", "up", &file], 1);
        assert!(message.contains("tcp:127.0.0.1:16640"), "{message}");
        assert!(ok(&["plan", &file]).contains("nothing to do"));
        ok(&["check"]);
        ok(&["down"]);
        assert_eq!(sh("ovs-vsctl list-br"), "");
        let message = fails(&["--ovsdb", "here", "up", &file], 2);
        assert!(message.contains("write unix:PATH"), "{message}");
        let output = nslab(["up", &file]).env("NSLAB_OVSDB", "tcp:127.0.0.1:1").output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(json(&["--json", "ls"]).as_array().unwrap().is_empty());

        // Where Open vSwitch's own tools would look.
        let elsewhere = host.scratch().join("openvswitch");
        std::fs::create_dir(&elsewhere).unwrap();
        let run = |arguments: &[&str]| nslab(arguments).env("OVS_RUNDIR", &elsewhere).output().unwrap();
        assert_eq!(run(&["up", &file]).status.code(), Some(3));
        std::os::unix::fs::symlink("/run/openvswitch/db.sock", elsewhere.join("db.sock")).unwrap();
        let output = run(&["up", &file]);
        assert!(output.status.success(), "{}", text(&output));
        ok(&["down"]);

        // Over TLS, with the client's own certificate.
        ovs.serve_tls(host, 16641);
        wait_for_switch();
        let at = |name: &str| host.scratch().join(name).display().to_string();
        let (ca, cert, key) = (at("pki/switchca/cacert.pem"), at("me-cert.pem"), at("me-privkey.pem"));
        let tls =
            ["--ovsdb", "ssl:127.0.0.1:16641", "--ovsdb-ca", &ca, "--ovsdb-certificate", &cert, "--ovsdb-key", &key];
        ok(&[&tls[..], &["up", &file]].concat());
        ok(&["check"]);
        ok(&["down"]);
        assert_eq!(sh("ovs-vsctl list-br"), "");
    });
}

/// A connection that was closed while nobody answered goes on for minutes, and holds its node's namespace.
#[test]
fn connections_that_nobody_has_any_more_do_not_outlive_the_lab() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        for bind in ["10.0.0.2:5000", "[fd00::2]:5000"] {
            let text = "name: lab\nswitches: {s1: {backend: ovs, subnets: [10.0.0.0/24, 'fd00::/64']}}\n\
                        nodes: {a: , b: }\nlinks: [[a, s1], [b, s1]]\n";
            host.block_on(async {
                let lab = nslab::Lab::from_yaml(text).unwrap();
                lab.up().await.unwrap();
                let listen = move || TcpListener::bind(bind).unwrap();
                let listener = lab.node("b").unwrap().enter(listen).await.unwrap();
                let connect = move || TcpStream::connect(bind).unwrap();
                let client = lab.node("a").unwrap().enter(connect).await.unwrap();
                let (server, _) = listener.accept().unwrap();
                sh("ip link set lab-a down");
                drop((client, server, listener));
                assert!(sh("ip netns exec lab-b ss -tanH").contains("FIN-WAIT-1"));
                lab.down().await.unwrap();
            });
            assert_eq!(sh("ip -o link | grep -c lab- || true").trim(), "0", "after a connection to {bind}");
        }
    });
}

/// Somebody may hold a node's namespace open; nothing of it is left in the host's.
#[test]
fn what_somebody_holds_open_is_not_left_in_the_hosts_namespace() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let file = write(host, "pair.yaml", PAIR);
        ok(&["up", &file]);
        let held = std::fs::File::open("/run/netns/pair-a").unwrap();
        ok(&["down"]);
        assert_eq!(sh("ip -o link | grep -c pair- || true").trim(), "0");
        drop(held);
    });
}
