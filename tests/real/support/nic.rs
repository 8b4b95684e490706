//! What a machine has on its NIC, by iproute2 and /proc, so that before and after can be compared byte for byte.

use super::run::sh;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

/// What the whole machine has, a line each: its links but for their names' order, addresses, routes, rules, the parameters of
/// its NIC, and who resolves names. Lifetimes are left out.
pub(crate) fn machine() -> String {
    let mut all = String::new();
    for command in [
        "ip -d link show",
        "ip -d address show",
        "ip -d -4 route show table all",
        "ip -d -6 route show table all",
        "ip -4 rule",
        "ip -6 rule",
        "bridge link",
        "cat /etc/resolv.conf",
        "grep -r . /proc/sys/net/ipv4/conf/eth0 /proc/sys/net/ipv6/conf/eth0 /proc/sys/net/ipv4/neigh/eth0 2>/dev/null || true",
    ] {
        for line in sh(command).lines() {
            let _ = writeln!(all, "{}", timeless(line));
        }
    }
    all
}

/// A line without what counts down in it.
fn timeless(line: &str) -> String {
    let (mut timeless, mut before) = (Vec::new(), "");
    for word in line.split_whitespace() {
        let seconds = word.strip_suffix("sec").and_then(|seconds| seconds.parse::<u32>().ok());
        let is_lifetime = ["valid_lft", "preferred_lft", "expires"].contains(&before) && seconds.is_some();
        let is_timer = before.ends_with("_timer");
        timeless.push(if is_lifetime || is_timer { "…" } else { word });
        before = word;
    }
    timeless.join(" ")
}

/// Says where two texts differ, and fails where they do.
#[track_caller]
pub(crate) fn assert_same(before: &str, after: &str, when: &str) {
    let differences = differences(before, after);
    assert!(differences.is_empty(), "the machine is another {when}:\n{differences}");
}

/// What differs, as diff(1) says it.
pub(crate) fn differences(before: &str, after: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("before", before), ("after", after)] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let output = Command::new("diff").args(["-U0", "before", "after"]).current_dir(&directory).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// How long each address lasts that an interface has, in seconds: until it is not preferred any more, and until it is gone.
pub(crate) fn lifetimes(interface: &str) -> BTreeMap<String, (u64, u64)> {
    let links: serde_json::Value = serde_json::from_str(&sh(&format!("ip -j address show dev {interface}"))).unwrap();
    let addresses = links[0]["addr_info"].as_array().cloned().unwrap_or_default();
    let of = |address: &serde_json::Value| {
        let time = |key: &str| address[key].as_u64().unwrap();
        (address["local"].as_str().unwrap().to_owned(), (time("preferred_life_time"), time("valid_life_time")))
    };
    addresses.iter().map(of).collect()
}
