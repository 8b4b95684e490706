//! The command line as a user meets it, on a real kernel.

use crate::support::run::{fails, identities, json, ok, sh, write};
use crate::support::{ThrowAwayHost, nslab};
use std::path::Path;

#[test]
fn the_first_tour() {
    ThrowAwayHost::run(|_| {
        assert!(ok(&["up", "two-node"]).starts_with("two-node is up: 2 nodes, 1 switch, 2 links"));
        assert!(ok(&["ls"]).contains("two-node"));
        let show = ok(&["show"]);
        for part in ["net1", "net2", "10.0.0.1/24", "10.0.0.2/24", "br0", "everything is as it should be"] {
            assert!(show.contains(part), "{part} is missing in:\n{show}");
        }
        assert!(ok(&["exec", "net1", "--", "ip", "addr"]).contains("10.0.0.1/24"));
        assert!(ok(&["ping", "-c2", "-i0.01", "net1", "net2"]).contains("2 received"));
        ok(&["check"]);
        sh("ip netns exec two-node-net1 ping -c1 -W1 10.0.0.2");
        // By name, in both ways.
        ok(&["exec", "net1", "--", "ping", "-c1", "-W1", "net2"]);
        sh("ip netns exec two-node-net1 ping -c1 -W1 net2");
        // The host's own interfaces are as they were: the lab's switch is elsewhere.
        assert_eq!(sh("ip -o link | wc -l").trim(), "1");
        assert!(ok(&["down"]).starts_with("two-node is gone"));
        assert!(fails(&["down"], 1).contains("no lab is up"));
    });
}

#[test]
fn every_builtin_topology_comes_up_and_checks() {
    ThrowAwayHost::run(|_| {
        let families = ["single,4", "linear,4", "tree,2,3", "torus,3,3", "mesh,4"];
        for topology in ["two-node", "three-tier", "dumbbell", "ring"].into_iter().chain(families) {
            ok(&["up", topology]);
            ok(&["check"]);
            assert!(ok(&["plan", topology]).contains("nothing to do"), "{topology}");
            ok(&["down"]);
        }
    });
}

#[test]
fn up_again_keeps_everything_that_is_right() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "two-node"]);
        let before = identities();
        assert!(ok(&["up", "two-node"]).contains("nothing to do"));
        assert_eq!(identities(), before);
        ok(&["down"]);
    });
}

#[test]
fn up_repairs_what_was_changed_behind_its_back() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "three-tier"]);
        let before = identities();
        let nodes = json(&["--json", "show"]);
        let node = nodes["nodes"][0]["netns"].as_str().unwrap().to_owned();
        let other = nodes["nodes"][1]["netns"].as_str().unwrap().to_owned();
        let address = nodes["nodes"][1]["interfaces"][0]["addresses"][0].as_str().unwrap().to_owned();

        for (damage, untouched) in [
            (format!("ip -n {node} link del eth0"), &other),
            (format!("ip -n {node} link set eth0 down"), &other),
            (format!("ip -n {other} addr del {address} dev eth0"), &node),
            (format!("ip -n {node} link set lo down"), &other),
            (format!("ip -n {node} link set eth0 mtu 1000 address 02:00:00:00:00:99"), &other),
            ("for l in $(ip -n three-tier-fabric -o link show type bridge | cut -d: -f2); do ip -n three-tier-fabric link del $l; done".to_owned(), &other),
            (format!("ip -n {node} route flush default"), &other),
            (format!("umount /run/netns/{node}; rm /run/netns/{node}"), &other),
            ("rm -r /etc/netns/three-tier-*".to_owned(), &other),
        ] {
            sh(&damage);
            let show = ok(&["show"]);
            assert!(show.contains("not as it should be"), "after `{damage}` show says:\n{show}");
            let up = ok(&["up", "three-tier"]);
            assert!(up.contains("done ("), "after `{damage}`: {up}");
            assert!(ok(&["plan", "three-tier"]).contains("nothing to do"), "after `{damage}`");
            assert_eq!(identities().get(untouched), before.get(untouched), "after `{damage}`");
        }
        ok(&["check"]);
        ok(&["down"]);
    });
}

#[test]
fn an_edit_touches_only_what_it_is_about() {
    ThrowAwayHost::run(|host| {
        let before =
            "name: lab\nswitches: {br0: {subnets: [10.0.0.0/24]}}\nnodes: {a: , b: }\nlinks: [[a, br0], [b, br0]]\n";
        let after = "name: lab\nswitches: {br0: {subnets: [10.0.0.0/24]}}\nnodes: {a: , b: , c: }\nlinks: [[a, br0], [b, br0], [c, br0]]\n";
        let file = write(host, "lab.yaml", before);
        ok(&["up", &file]);
        let mut sleeper = nslab(["exec", "a", "--", "sleep", "100"]).spawn().unwrap();
        let old = identities();
        write(host, "lab.yaml", after);
        ok(&["up", &file]);
        let new = identities();
        for (name, identity) in &old {
            assert_eq!(new.get(name), Some(identity), "{name} was touched");
        }
        assert!(sleeper.try_wait().unwrap().is_none(), "the process in a was ended");
        ok(&["exec", "c", "--", "ping", "-c1", "-W1", "a"]);
        write(host, "lab.yaml", before);
        ok(&["up", &file]);
        assert_eq!(identities(), old);
        assert!(sleeper.try_wait().unwrap().is_none(), "the process in a was ended");
        // `down` ends it, and says so.
        assert!(ok(&["down"]).contains("sleep"));
        sleeper.wait().unwrap();
    });
}

#[test]
fn what_is_not_ours_is_never_touched() {
    ThrowAwayHost::run(|_| {
        sh("ip netns add two-node-net2 && ip -n two-node-net2 link set lo up");
        let before = identities();
        let message = fails(&["up", "two-node"], 1);
        assert!(message.contains("two-node-net2"), "{message}");
        assert_eq!(identities(), before);
        assert!(!Path::new("/run/nslab").exists());
        sh("ip netns del two-node-net2");

        sh("mkdir -p /etc/netns/two-node-net1 && touch /etc/netns/two-node-net1/resolv.conf");
        let message = fails(&["up", "two-node"], 1);
        assert!(message.contains("/etc/netns/two-node-net1"), "{message}");
        assert!(Path::new("/etc/netns/two-node-net1/resolv.conf").exists());
        sh("rm -r /etc/netns/two-node-net1");

        // Taken over by somebody else while the lab is up: `down` leaves it alone, and says so.
        ok(&["up", "two-node"]);
        sh("ip netns del two-node-net1 && ip netns add two-node-net1");
        let down = ok(&["down"]);
        assert!(down.contains("left alone") && down.contains("two-node-net1"), "{down}");
        assert_eq!(sh("ip netns list").trim(), "two-node-net1");
        sh("ip netns del two-node-net1; umount /run/netns; rmdir /run/netns");
        sh("rmdir /etc/netns 2>/dev/null || true");
        let _ = nslab(["gc"]).output().unwrap();
    });
}

#[test]
fn vlans_are_refused_where_the_kernel_has_none() {
    ThrowAwayHost::run(|_| {
        let doctor = json(&["--json", "doctor"]);
        let finding = doctor["findings"]
            .as_array()
            .unwrap()
            .iter()
            .find(|f| f["what"] == "bridge VLAN filtering")
            .unwrap()
            .clone();
        if finding["verdict"] == "ok" {
            ok(&["up", "vlan"]);
            ok(&["check"]);
            ok(&["down"]);
        } else {
            let message = fails(&["up", "vlan"], 3);
            assert!(message.contains("VLAN"), "{message}");
            assert!(!Path::new("/run/netns").exists() && !Path::new("/run/nslab").exists());
        }
    });
}

#[test]
fn a_bad_topology_touches_nothing_and_says_everything() {
    ThrowAwayHost::run(|host| {
        let file = write(
            host,
            "bad.yaml",
            "name: bad\nswitchs: {}\nnodes:\n  a:\n  b: {mtu: x}\nlinks:\n  - [a, nowhere]\n  - [b, b]\n",
        );
        let message = fails(&["up", &file], 2);
        assert!(message.lines().count() >= 3, "{message}");
        assert!(message.contains("bad.yaml:2:"), "{message}");
        assert!(message.contains("switches"), "{message}");
        assert!(fails(&["up", "two-nod"], 2).contains("two-node"));
    });
}

#[cfg(all(target_arch = "x86_64", target_feature = "crt-static"))]
#[test]
fn it_begins_before_the_c_library_does() {
    // ELF-64: e_entry, e_phoff, e_phnum; of each program header p_type, p_offset, p_vaddr and p_filesz (elf(5)).
    let program = std::fs::read(env!("CARGO_BIN_EXE_nslab")).unwrap();
    let number = |at: usize| usize::try_from(u64::from_le_bytes(program[at..at + 8].try_into().unwrap())).unwrap();
    let (entry, headers) = (number(24), number(32));
    let count = usize::from(u16::from_le_bytes([program[56], program[57]]));
    let place = (0..count).map(|index| headers + 56 * index).find_map(|header| {
        let is_loaded = program[header..header + 4] == [1, 0, 0, 0];
        let (offset, from, bytes) = (number(header + 8), number(header + 16), number(header + 32));
        (is_loaded && (from..from + bytes).contains(&entry)).then(|| offset + entry - from)
    });
    let begins_with = &program[place.unwrap()..][..48];
    assert!(begins_with.windows(2).any(|two| two == [0x0f, 0x05]), "no syscall in {begins_with:x?}");
}
