//! `check` and `ping`.

use crate::support::run::{fails, json, ok, sh, text, write};
use crate::support::{ThrowAwayHost, nslab};

#[test]
fn check_says_what_does_not_hold() {
    ThrowAwayHost::run(|host| {
        ok(&["up", "single,3"]);
        sh("ip -n single-3-h2 link set eth0 down");
        let junit = host.scratch().join("junit.xml");
        let output = fails(&["check", "--timeout", "200ms", "--junit", junit.to_str().unwrap()], 1);
        assert!(output.contains("h2"), "{output}");
        let xml = std::fs::read_to_string(&junit).unwrap();
        assert!(xml.contains("<testsuite") && xml.contains("<failure"), "{xml}");
        ok(&["down"]);

        let expecting = "
name: apart
switches: {s1: {subnets: [10.0.0.0/24]}, s2: {subnets: [10.0.1.0/24]}}
nodes: {a: , b: , c: }
links: [[a, s1], [b, s1], [c, s2]]
expect:
  - {reachable: [a, b], within: 500ms}
  - unreachable: [a, c]
";
        let file = write(host, "apart.yaml", expecting);
        ok(&["up", &file]);
        ok(&["check", "--timeout", "200ms"]);
        let report = json(&["--json", "check", "--timeout", "200ms"]);
        assert!(report.is_object());
        ok(&["down"]);
    });
}

#[test]
fn check_finds_a_network_where_ping_works_and_tcp_does_not() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "three-tier"]);
        sh("nft() { ip netns exec three-tier-db nft \"$@\"; }
            nft add table inet t
            nft add chain inet t c '{ type filter hook input priority 0; }'
            nft add rule inet t c meta l4proto tcp drop");
        let report: serde_json::Value = serde_json::from_str(&{
            let output = nslab(["--json", "check", "--timeout", "300ms"]).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{}", text(&output));
            String::from_utf8(output.stdout).unwrap()
        })
        .unwrap();
        for probe in report["probes"].as_array().unwrap() {
            let is_cut = probe["protocol"] == "tcp" && (probe["to"] == "db" || probe["from"] == "db");
            assert_eq!(probe["holds"], !is_cut, "{probe}");
        }
        assert!(report["probes"].as_array().unwrap().iter().any(|p| p["address"].as_str().unwrap().contains(':')));
        ok(&["down"]);
    });
}

#[test]
fn what_is_expected_and_does_not_hold_is_told() {
    ThrowAwayHost::run(|host| {
        let lab = |expect: &str| {
            let text = format!(
                "name: lab\nswitches: {{s1: {{subnets: [10.0.0.0/24]}}}}\nnodes: {{a: , b: }}\n\
                 links: [[a, s1], [b, s1]]\nexpect: [{expect}]\n"
            );
            write(host, "lab.yaml", &text)
        };
        ok(&["up", &lab("{reachable: [a, b], within: 200ms}")]);
        // A queue that lets a packet through in its own time: some 200 bytes at 2,000 bits a second. TCP is not asked, which
        // has no time to be within.
        sh("ip netns exec lab-a tc qdisc add dev eth0 root tbf rate 2kbit burst 200 limit 100000");
        sh("ip netns exec lab-a ping -q -c3 -i0.01 -W0.01 10.0.0.2 || true");
        let output = fails(&["check", "--probe", "icmp", "--timeout", "3s"], 1);
        assert!(output.contains("ms, more than 200 ms"), "{output}");
        ok(&["down"]);

        ok(&["up", &lab("unreachable: [a, b]")]);
        let junit = host.scratch().join("junit.xml");
        let output = fails(&["check", "--junit", junit.to_str().unwrap()], 1);
        assert!(output.contains("a reaches b (10.0.0.2) by ping, and should not"), "{output}");
        assert!(output.contains("b reaches a (10.0.0.1) by ping, and should not"), "{output}");
        assert!(output.contains("3 of 3 probes are not as expected"), "{output}");
        let xml = std::fs::read_to_string(&junit).unwrap();
        assert!(xml.contains("tests=\"3\" failures=\"3\" errors=\"0\""), "{xml}");
        assert!(xml.contains("<testcase classname=\"lab.icmp\" name=\"a to b (10.0.0.2)\""), "{xml}");
        assert!(xml.contains("<failure message=\"a reaches b (10.0.0.2) by TCP, and should not\"/>"), "{xml}");
        ok(&["down"]);
    });
}

#[test]
fn a_pair_without_a_common_family_is_not_left_out() {
    ThrowAwayHost::run(|host| {
        let text = "name: lab\nswitches: {s1: {subnets: [10.0.0.0/24]}, s2: {subnets: ['fd00::/64']}}\n\
                    nodes: {a: , b: , c: , ear: }\nlinks: [[a, s1], [b, s1], [b, s2], [c, s2]]\n";
        ok(&["up", &write(host, "lab.yaml", text)]);
        let output = fails(&["check", "--probe", "icmp", "--timeout", "200ms"], 1);
        assert!(output.contains("a does not reach c: they have no IPv4 and no IPv6 addresses both"), "{output}");
        assert!(!output.contains("does not reach ear"), "{output}");
        assert!(output.contains("2 of 6 probes are not as expected"), "{output}");
        ok(&["down"]);
    });
}

#[test]
fn ping_takes_names_addresses_and_families() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "three-tier"]);
        let show = json(&["--json", "show"]);
        let node = |number: usize| show["nodes"][number]["node"].as_str().unwrap().to_owned();
        let (a, b) = (node(0), node(1));
        let address = |ipv6: bool| {
            let all = show["nodes"][1]["interfaces"][0]["addresses"].as_array().unwrap();
            let one = all.iter().map(|address| address.as_str().unwrap()).find(|address| address.contains(':') == ipv6);
            one.unwrap().split('/').next().unwrap().to_owned()
        };
        let quick = ["-c2", "-i0.01", "-W1"];
        let ping = |rest: &[&str]| ok(&[&["ping"][..], &quick, rest].concat());
        assert!(ping(&[&a, &b]).contains(&format!("PING {b} ({})", address(false))));
        assert!(ping(&["-6", &a, &b]).contains(&format!("PING {b} ({})", address(true))));
        assert!(ping(&[&a, &address(true)]).contains("2 transmitted, 2 received, 0% loss"));
        let whole = |node: &str| format!("three-tier/{node}");
        assert!(ping(&[&whole(&a), &whole(&b)]).contains("icmp_seq=2 ttl="));
        let summary = json(&["--json", "ping", "-c2", "-i0.01", &a, &b]);
        assert_eq!((summary["sent"].as_u64(), summary["received"].as_u64()), (Some(2), Some(2)));
        // Nobody is there; or a router says so.
        let output = fails(&["ping", "-c1", "-W0.1", &a, "10.1.0.77"], 1);
        assert!(output.contains("1 transmitted, 0 received, 100% loss"), "{output}");
        for (address, words) in [
            ("198.51.100.1", "10.1.0.254 says that the network is unreachable"),
            ("2001:db8::1", "fd00:1::fe says that there is no route to the destination"),
        ] {
            let output = fails(&["ping", "-c1", "-W1", &a, address], 1);
            assert!(output.contains(words) && output.contains("1 transmitted, 0 received, 100% loss"), "{output}");
        }
        assert!(fails(&["ping", &a, "nobody"], 2).contains("has no node \"nobody\""));
        ok(&["down"]);
        ok(&["up", "two-node"]);
        let output = fails(&["ping", "-6", "net1", "net2"], 2);
        assert!(output.contains("net1 and net2 have no IPv6 addresses to reach each other by"), "{output}");
        ok(&["down"]);
    });
}

/// What a router says of a request is no answer to it.
#[test]
fn a_routers_word_is_no_answer() {
    ThrowAwayHost::run(|host| {
        let lab = |expect: &str| {
            let text = format!(
                "name: lab\nnodes:\n  a: {{gateway: r}}\n  r: {{forwarding: true}}\n  b: {{interfaces: {{eth0: {{addresses: [10.9.0.1, 'fd09::1']}}}}}}\n\
                 switches: {{s1: {{subnets: [10.0.0.0/24, 'fd00::/64']}}, s2: {{subnets: [10.9.0.0/24, 'fd09::/64']}}}}\n\
                 links: [[a, s1], [r, s1], [b, s2]]\nexpect: [{expect}]\n"
            );
            write(host, "lab.yaml", &text)
        };
        ok(&["up", &lab("{unreachable: [a, b]}")]);
        ok(&["check"]);
        ok(&["up", &lab("{reachable: [a, b]}")]);
        let output = fails(&["check", "--probe", "icmp"], 1);
        assert!(output.contains("10.0.0.2 says that the network is unreachable"), "{output}");
        assert!(output.contains("fd00::2 says that there is no route to the destination"), "{output}");
        ok(&["down"]);
    });
}

/// A router that knows a shorter way says so beside the answer, and instead of it.
#[test]
fn a_redirect_is_not_the_end() {
    ThrowAwayHost::run(|host| {
        let text = "name: lab\nswitches: {s1: {subnets: [10.0.0.0/24]}}\n\
                    nodes: {a: , r: {forwarding: true}, b: }\nlinks: [[a, s1], [r, s1], [b, s1]]\n";
        ok(&["up", &write(host, "lab.yaml", text)]);
        sh("ip -n lab-a route add 10.0.0.3/32 via 10.0.0.2");
        assert!(sh("ip netns exec lab-a ping -c1 -W1 10.0.0.3").contains("Redirect Host"));
        sh("ip -n lab-a route flush cache");
        let output = ok(&["ping", "-c3", "-i0.01", "-W1", "a", "10.0.0.3"]);
        assert!(output.contains("3 transmitted, 3 received, 0% loss"), "{output}");
        ok(&["check", "--probe", "icmp"]);
        ok(&["down"]);
    });
}
