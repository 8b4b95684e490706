//! Running nslab and shell commands, and looking at what they print.

use super::{ThrowAwayHost, nslab};
use std::collections::BTreeMap;
use std::process::{Command, Output};

pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs `nslab` and gives back what it printed on standard output; it must succeed.
#[track_caller]
pub(crate) fn ok(arguments: &[&str]) -> String {
    let output = nslab(arguments).output().unwrap();
    assert!(output.status.success(), "nslab {arguments:?}: {}\n{}", output.status, text(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `nslab`, which must exit with `code`, and gives back all that it printed.
#[track_caller]
pub(crate) fn fails(arguments: &[&str], code: i32) -> String {
    let output = nslab(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "nslab {arguments:?}:\n{}", text(&output));
    text(&output)
}

#[track_caller]
pub(crate) fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-euc", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}\n{}", output.status, text(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
pub(crate) fn json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&ok(arguments)).unwrap()
}

pub(crate) fn write(host: &ThrowAwayHost, name: &str, text: &str) -> String {
    let path = host.scratch().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The inode of each namespace and the index of each of its links: what an untouched part of a lab keeps.
pub(crate) fn identities() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir("/run/netns").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let inode = sh(&format!("stat -L -c %i /run/netns/{name}"));
        all.insert(name.clone(), inode);
        let links: serde_json::Value = serde_json::from_str(&sh(&format!("ip -n {name} -j link"))).unwrap();
        for link in links.as_array().unwrap() {
            all.insert(format!("{name}:{}", link["ifname"].as_str().unwrap()), link["ifindex"].to_string());
        }
    }
    all
}
