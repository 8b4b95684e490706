//! What only switches of Open vSwitch have, on a real one; ovs-vsctl, tc and ip are the witnesses.

use crate::support::ovs::OpenVswitch;
use crate::support::run::{fails, ok, sh, write};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// Every setting there is.
const ALL: &str = r#"
name: lab
switches:
  s1:
    subnets: [10.0.0.0/24]
    rstp: {priority: 4096, ageing_time: 100, max_age: 6, forward_delay: 4, transmit_hold_count: 5}
    fail_mode: standalone
    controller: ["ptcp:6653", "ptcp:6654"]
    protocols: [OpenFlow10, OpenFlow13]
    datapath_id: "00000000000000aF"
    mac_table_size: 4096
    mcast_snooping: true
    netflow: {targets: ["127.0.0.1:2055", "[::1]:2055"], active_timeout: 60}
    sflow: {targets: ["127.0.0.1:6343"], sampling: 64, polling: 10, header: 128}
    ipfix: {targets: ["127.0.0.1:4739"], sampling: 400, observation_domain: 123, observation_point: 456}
    mirror:
      - {select: all, output: mon}
      - {select: [a, s2], output: mon2:x}
  s2: {rstp: true}
nodes: {a: , b: , mon: , mon2: }
links:
  - {endpoints: [a, s1], egress_qos: {rate: 10mbit, burst: 64kb}, ingress_policing: {rate: 5mbit, burst: 32kb}}
  - [b, s2]
  - [s1, s2]
  - [mon, s1]
  - [mon2:x, s1]
"#;

/// The same lab without any of them.
const NONE: &str = r"
name: lab
switches: {s1: {backend: ovs, subnets: [10.0.0.0/24]}, s2: {backend: ovs}}
nodes: {a: , b: , mon: , mon2: }
links: [[a, s1], [b, s2], [s1, s2], [mon, s1], ['mon2:x', s1]]
";

/// What a switch and its ports are set to, by names alone.
fn settings() -> String {
    sh("ovs-vsctl --no-wait get Bridge lab-s1 rstp_enable stp_enable fail_mode protocols other_config \
          mcast_snooping_enable
        ovs-vsctl get Bridge lab-s2 rstp_enable other_config
        for c in $(ovs-vsctl get Bridge lab-s1 controller | tr -d '[],'); do ovs-vsctl get Controller $c target; done | sort
        for table in NetFlow sFlow IPFIX; do ovs-vsctl --columns=targets list $table; done
        ovs-vsctl --columns=active_timeout list NetFlow
        ovs-vsctl --columns=sampling,polling,header list sFlow
        ovs-vsctl --columns=sampling,obs_domain_id,obs_point_id list IPFIX
        for m in mon mon2; do ovs-vsctl --if-exists --columns=name,select_all list Mirror $m; done
        ovs-vsctl --columns=type,other_config list QoS
        ovs-vsctl --columns=other_config list Queue
        ovs-vsctl get Interface lab-a ingress_policing_rate ingress_policing_burst")
}

/// How many rows there are in tables of which a lab without settings has none.
fn rows() -> String {
    sh("for t in Controller Mirror NetFlow sFlow IPFIX QoS Queue; do ovs-vsctl --bare --columns=_uuid list $t; done | grep -c . || true")
        .trim()
        .to_owned()
}

#[test]
fn every_setting_is_what_the_database_says() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let up = ok(&["up", &write(host, "all.yaml", ALL)]);
        assert!(up.contains("`ingress_policing` is set, and does nothing on the user-space datapath"), "{up}");
        let said = settings();
        for part in [
            "true\nfalse\nstandalone\n[OpenFlow10, OpenFlow13]\n",
            "datapath-id=\"00000000000000af\"",
            "mac-table-size=\"4096\"",
            "rstp-ageing-time=\"100\", rstp-forward-delay=\"4\", rstp-max-age=\"6\", rstp-priority=\"4096\"",
            "rstp-transmit-hold-count=\"5\"",
            "\"ptcp:6653\"\n\"ptcp:6654\"\n",
            "[\"127.0.0.1:2055\", \"[::1]:2055\"]",
            "[\"127.0.0.1:6343\"]",
            "[\"127.0.0.1:4739\"]",
            "active_timeout      : 60",
            "sampling            : 64\npolling             : 10\nheader              : 128",
            "sampling            : 400\nobs_domain_id       : 123\nobs_point_id        : 456",
            "name                : mon\nselect_all          : true",
            "name                : mon2\nselect_all          : false",
            "type                : linux-htb\nother_config        : {max-rate=\"10000000\"}",
            "other_config        : {burst=\"524288\", max-rate=\"10000000\"}",
            "5000\n263\n",
        ] {
            assert!(said.contains(part), "no {part:?} in:\n{said}");
        }
        // And ovs-vswitchd has done it: the switch's own words, and the kernel's.
        assert_eq!(sh("ovs-vsctl get Bridge lab-s1 datapath_id").trim(), "\"00000000000000af\"");
        assert!(sh("ovs-ofctl -O OpenFlow13 show tcp:127.0.0.1:6653").contains("dpid:00000000000000af"));
        assert!(sh("tc class show dev lab-a").contains("rate 10Mbit"), "{}", sh("tc class show dev lab-a"));
        assert!(ok(&["plan", &format!("{}/all.yaml", host.scratch().display())]).contains("nothing to do"));
        ok(&["down"]);
        assert_eq!(rows(), "0");
    });
}

#[test]
fn a_change_sets_and_unsets_all_of_them_and_its_script_does_too() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let (all, none) = (write(host, "all.yaml", ALL), write(host, "none.yaml", NONE));
        ok(&["up", &all]);
        let set = settings();
        ok(&["up", &none]);
        assert_eq!(rows(), "0");
        let unset = settings();
        assert!(unset.starts_with("false\nfalse\n[]\n[]\n"), "{unset}");
        ok(&["check", "--probe", "icmp"]);
        ok(&["up", &all]);
        assert_eq!(settings(), set);
        ok(&["check", "--probe", "icmp", "--timeout", "5s"]);
        // The script of each change does the same.
        let by_script = |file: &str| {
            let script = write(host, "change.sh", &ok(&["plan", "--shell", file]));
            sh(&format!("sh {script}"));
        };
        by_script(&none);
        assert_eq!(settings(), unset);
        assert!(ok(&["plan", &none]).contains("nothing to do"), "{}", ok(&["plan", &none]));
        ok(&["check", "--probe", "icmp"]);
        ok(&["up", &none]);
        by_script(&all);
        assert_eq!(settings(), set);
        wait_until("the spanning tree lets it through", SOON, || {
            nslab(["ping", "-c1", "-W0.2", "a", "b"]).output().unwrap().status.success()
        });
        // What a script makes, the journal does not know: it is for its author to remove.
        ok(&["down"]);
        sh("ip link delete lab-s1-s2; ovs-vsctl -- --all destroy QoS -- --all destroy Queue");
        ok(&["gc"]);
        sh("rmdir /etc/netns");
        assert_eq!(rows(), "0");
    });
}

#[test]
fn what_is_changed_behind_its_back_is_set_again() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let all = write(host, "all.yaml", ALL);
        ok(&["up", &all]);
        let before = settings();
        for harm in [
            // The mirror's references go with the port.
            "ip link del lab-a",
            "ovs-vsctl del-port lab-mon",
            "ovs-vsctl clear Bridge lab-s1 mirrors -- clear Bridge lab-s1 netflow -- clear Bridge lab-s1 controller",
            "ovs-vsctl clear Port lab-a qos -- set Bridge lab-s1 rstp_enable=false fail_mode=secure",
            "ovs-vsctl remove Bridge lab-s1 other_config mac-table-size -- set Interface lab-a ingress_policing_rate=1",
            "ovs-vsctl set Mirror mon select_all=false -- clear Mirror mon2 output_port",
        ] {
            sh(harm);
            let plan = ok(&["plan", &all]);
            assert!(!plan.contains("nothing to do"), "{harm}");
            ok(&["up", &all]);
            assert_eq!(settings(), before, "{harm}");
            assert!(ok(&["plan", &all]).contains("nothing to do"), "{harm}");
        }
        ok(&["down"]);
        assert_eq!(rows(), "0");
    });
}

#[test]
fn a_mirror_copies_and_a_secure_switch_waits_for_flows() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let text = "name: lab\nswitches: {s1: {subnets: [10.0.0.0/24], mirror: {select: [a], output: mon}}}\n\
                    nodes: {a: , b: , c: , mon: }\nlinks: [[a, s1], [b, s1], [c, s1], [mon, s1]]\n";
        ok(&["up", &write(host, "lab.yaml", text)]);
        ok(&["check"]);
        let heard = || -> u32 {
            sh("ip netns exec lab-mon cat /sys/class/net/eth0/statistics/rx_packets").trim().parse().unwrap()
        };
        // Nothing of what b and c say to each other, all of what a says and hears.
        let before = heard();
        ok(&["ping", "-c20", "-i0.001", "b", "c"]);
        let quiet = heard() - before;
        ok(&["ping", "-c20", "-i0.001", "a", "b"]);
        wait_until("the copies are there", SOON, || heard() - before >= quiet + 40);
        assert!(quiet < 20, "{quiet} frames between b and c were copied");

        let secure = text.replace("mirror: {select: [a], output: mon}", "fail_mode: secure");
        ok(&["up", &write(host, "lab.yaml", &secure)]);
        sh("ovs-ofctl del-flows lab-s1");
        fails(&["ping", "-c1", "-W0.2", "a", "b"], 1);
        sh("ovs-ofctl add-flow lab-s1 actions=NORMAL");
        ok(&["check"]);
        ok(&["down"]);
    });
}

#[test]
fn rapid_spanning_tree_cuts_a_ring_and_heals_it() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let text = "name: lab\nswitches: {s1: {subnets: [10.0.0.0/24], rstp: {priority: 0}}, s2: {rstp: true}, s3: {rstp: true}}\n\
                    nodes: {a: , b: , c: }\nlinks: [[a, s1], [b, s2], [c, s3], [s1, s2], [s2, s3], [s3, s1]]\n";
        let file = write(host, "lab.yaml", text);
        ok(&["up", &file]);
        ok(&["check"]);
        let states = || {
            sh(
                "for p in $(ovs-vsctl --bare --columns=name find Port external_ids:nslab-lab=lab); do ovs-vsctl --if-exists get Port $p rstp_status; done",
            )
        };
        assert_eq!(states().matches("rstp_port_role=Alternate").count(), 1, "{}", states());
        // A cut cable, not at the blocked place: the way round opens.
        sh("ip link set lab-s1-s2 down");
        wait_until("the way round is open", SOON, || !states().contains("Alternate"));
        ok(&["check", "--timeout", "5s"]);
        assert!(ok(&["up", &file]).contains("lab-s1-s2"));
        wait_until("the ring is cut again", SOON, || states().matches("Alternate").count() == 1);
        ok(&["check", "--timeout", "5s"]);
        ok(&["down"]);
        assert_eq!(sh("ip -o link | grep -c lab- || true").trim(), "0");
    });
}

/// One that is turned off leaves its ports blocked, where the switch is not made anew.
#[test]
fn spanning_trees_come_and_go() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        for tree in ["stp: true", "mtu: 1500", "rstp: true", "stp: true", "rstp: true", "mtu: 1500"] {
            let text = format!(
                "name: lab\nswitches: {{s1: {{backend: ovs, subnets: [10.0.0.0/24], {tree}}}, s2: {{backend: ovs, {tree}}}}}\n\
                 nodes: {{a: , b: }}\nlinks: [[a, s1], [b, s2], [s1, s2]]\n"
            );
            let file = write(host, "lab.yaml", &text);
            ok(&["up", &file]);
            ok(&["check", "--probe", "icmp", "--timeout", "5s"]);
            assert!(ok(&["plan", &file]).contains("nothing to do"), "{tree}");
        }
        ok(&["down"]);
    });
}

/// An `up` that fails leaves the lab as it was, and working: the switches are made anew, twice.
#[test]
fn a_spanning_tree_that_did_not_come_to_be_leaves_no_port_blocked() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let lab = |tree: &str, exec: &str| {
            let text = format!(
                "name: lab\nswitches: {{s1: {{backend: ovs, subnets: [10.0.0.0/24], {tree}}}, s2: {{backend: ovs, {tree}}}}}\n\
                 nodes: {{a: {{exec: [{exec}]}}, b: }}\nlinks: [[a, s1], [b, s2], [s1, s2]]\n"
            );
            write(host, "lab.yaml", &text)
        };
        ok(&["up", &lab("mtu: 1500", "")]);
        for tree in ["rstp: true", "stp: true"] {
            // It fails once the ports are forwarding.
            let until = "until ovs-vsctl --db=unix:/run/openvswitch/db.sock get Port lab-a status rstp_status | grep -iq forwarding; do sleep 0.1; done; false";
            let output = fails(&["up", &lab(tree, &format!("'{until}'"))], 1);
            assert!(output.contains("everything was put back as it was"), "{output}");
            let file = lab("mtu: 1500", "");
            assert!(ok(&["plan", &file]).contains("nothing to do"));
            ok(&["check", "--timeout", "3s"]);
        }
        ok(&["down"]);
    });
}

#[test]
fn what_somebody_hung_on_the_labs_rows_is_seen_before_anything_is_touched() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let lab = |limit: &str, rest: &str| {
            let text = format!(
                "name: lab\nswitches: {{s1: {{backend: ovs, subnets: [10.0.0.0/24]{rest}}}}}\nnodes: {{a: , b: }}\n\
                 links: [{{endpoints: [a, s1]{limit}}}, [b, s1]]\n"
            );
            write(host, "lab.yaml", &text)
        };
        ok(&["up", &lab("", "")]);
        sh("ovs-vsctl set Port lab-a qos=@q -- --id=@q create QoS type=linux-htb -- \
            set Bridge lab-s1 netflow=@n -- --id=@n create NetFlow 'targets=\"127.0.0.1:1\"'");
        let file = lab(", egress_qos: {rate: 1mbit}", ", netflow: {targets: ['127.0.0.1:2']}");
        for verb in ["plan", "up"] {
            let output = fails(&[verb, &file], 1);
            assert!(output.contains("the row in the column `qos` of Port s1/a"), "{output}");
            assert!(output.contains("the row in the column `netflow` of Bridge s1"), "{output}");
        }
        sh("ovs-vsctl clear Port lab-a qos -- clear Bridge lab-s1 netflow -- --all destroy QoS");
        ok(&["up", &file]);

        // The lab's own row hangs from nothing; undoing what then fails is not about that.
        sh("ovs-vsctl clear Port lab-a qos");
        let failing = std::fs::read_to_string(&file).unwrap().replace("a: ,", "a: {exec: ['false']},");
        let output = fails(&["up", &write(host, "failing.yaml", &failing)], 1);
        assert!(output.contains("everything was put back as it was"), "{output}");
        ok(&["up", &file]);

        // Somebody else's port uses it: then it alone stays, and is told.
        sh("ip link add mine type veth peer name mine2; ovs-vsctl add-br theirs -- add-port theirs mine
            ovs-vsctl set Port mine qos=$(ovs-vsctl get Port lab-a qos)");
        let output = fails(&["down"], 4);
        assert!(output.contains("take the shaper s1/a from Open vSwitch"), "{output}");
        assert_eq!(sh("ovs-vsctl list-br"), "theirs\n");
        sh("ovs-vsctl del-br theirs; ip link delete mine");
        ok(&["down"]);
        assert_eq!(rows(), "0");
    });
}

#[test]
fn a_slow_link_is_given_its_time() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let text = "name: lab\nswitches: {s1: {subnets: [10.0.0.0/24]}}\nnodes: {a: , b: }\n\
                    links: [[a, s1], {endpoints: [b, s1], egress_qos: {rate: 1mbit, burst: 4kb}}]\n";
        ok(&["up", &write(host, "lab.yaml", text)]);
        let report = crate::support::run::json(&["--json", "check", "--timeout", "500ms"]);
        let tcp = report["probes"].as_array().unwrap().iter().find(|probe| probe["protocol"] == "tcp").unwrap();
        // 256 KiB at a million bits a second: two seconds.
        assert!(tcp["found"]["answer"]["took_ms"].as_f64().unwrap() > 1500.0, "{tcp}");
        ok(&["down"]);
    });
}

#[test]
fn native_vlans_leave_tagged_or_not() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let lab = |vlan: &str| {
            let text = format!(
                "name: lab\nswitches: {{s1: {{backend: ovs, subnets: [10.0.0.0/24]}}}}\nnodes: {{a: , b: }}\n\
                 links: [{{endpoints: [a, s1], vlan: 7}}, {{endpoints: [b, s1], vlan: {{trunk: [10, 20], {vlan}}}}}]\n"
            );
            write(host, "lab.yaml", &text)
        };
        let mode = || sh("ovs-vsctl get Port lab-b vlan_mode tag trunks").replace('\n', " ");
        ok(&["up", &lab("native: 7")]);
        assert_eq!(mode(), "native-untagged 7 [10, 20] ");
        ok(&["check"]);
        ok(&["up", &lab("native: 7, native_tagged: true")]);
        assert_eq!(mode(), "native-tagged 7 [10, 20] ");
        // b is told in tagged frames, which it knows nothing of.
        fails(&["ping", "-c1", "-W0.2", "a", "b"], 1);
        ok(&["down"]);
    });
}

#[test]
fn records_of_traffic_arrive() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let collectors = ["netflow", "sflow", "ipfix"].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let ports = collectors.each_ref().map(|socket| socket.local_addr().unwrap().port());
        let text = format!(
            "name: lab\nswitches:\n  s1:\n    subnets: [10.0.0.0/24]\n    \
             netflow: {{targets: ['127.0.0.1:{}'], active_timeout: 1}}\n    \
             sflow: {{targets: ['127.0.0.1:{}'], sampling: 1, polling: 1}}\n    \
             ipfix: {{targets: ['127.0.0.1:{}'], sampling: 1}}\n\
             nodes: {{a: , b: }}\nlinks: [[a, s1], [b, s1]]\n",
            ports[0], ports[1], ports[2]
        );
        ok(&["up", &write(host, "lab.yaml", &text)]);
        // Each begins with its version: NetFlow 5, sFlow 5, IPFIX 10 (RFC 7011, section 3.1).
        for (socket, version) in collectors.iter().zip([&[0, 5][..], &[0, 0, 0, 5], &[0, 10]]) {
            socket.set_nonblocking(true).unwrap();
            wait_until("a record arrives", SOON, || {
                ok(&["ping", "-c2", "-i0.01", "a", "b"]);
                let mut record = [0; 2048];
                socket.recv(&mut record).is_ok_and(|bytes| bytes > 16 && record.starts_with(version))
            });
        }
        ok(&["down"]);
    });
}

#[test]
fn a_controller_is_called() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let controller = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = format!(
            "name: lab\nswitches: {{s1: {{controller: 'tcp:{}', protocols: [OpenFlow13]}}}}\n",
            controller.local_addr().unwrap()
        );
        ok(&["up", &write(host, "lab.yaml", &text)]);
        // OFPT_HELLO of OpenFlow 1.3 (version 4, type 0).
        let (mut connection, _) = controller.accept().unwrap();
        let mut hello = [0; 2];
        connection.read_exact(&mut hello).unwrap();
        assert_eq!(hello, [4, 0]);
        ok(&["down"]);
    });
}
