//! What a host looks like, as far as a test could leave something behind.

use super::database;
use super::run::text;
use std::collections::BTreeSet;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::Command;

/// Files in /proc/sys/net that change by themselves.
const RESTLESS_SYSCTLS: &[&str] = &["nf_conntrack_count", "flush"];

/// Every fact about the host, as a line of its own.
pub(crate) struct Snapshot(BTreeSet<String>);

impl Snapshot {
    pub(crate) fn take() -> Self {
        let mut facts = BTreeSet::new();
        facts.extend(network().lines().map(|line| format!("ip: {}", line.trim_end())));
        // How often a rule was met is no change of it.
        let rules = printed(Command::new("nft").args(["--stateless", "list", "ruleset"]));
        facts.insert(format!("nftables: {rules}"));
        for directory in ["/run", "/etc/netns"] {
            add_tree(&mut facts, directory.as_ref());
        }
        add_sysctls(&mut facts, "/proc/sys/net".as_ref());
        facts.insert(format!("/etc/hosts: {:?}", std::fs::read_to_string("/etc/hosts").ok()));
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        facts.extend(mounts.lines().map(mount_fact));
        facts.extend(processes());
        if database::is_there() {
            let rows = database::rows().into_iter();
            facts.extend(rows.map(|(row, columns)| format!("row: {row} {}", serde_json::json!(columns))));
        }
        Self(facts)
    }

    pub(crate) fn differences_to(&self, now: &Self) -> Vec<String> {
        let gone = self.0.difference(&now.0).map(|fact| format!("- {fact}"));
        gone.chain(now.0.difference(&self.0).map(|fact| format!("+ {fact}"))).collect()
    }
}

/// What ip(8) says of both families, by one process: snapshots are taken some ten thousand times in a run of all tests.
fn network() -> String {
    let mut batch = tempfile::tempfile().unwrap();
    batch.write_all(b"addr\nlink\nrule\nroute show table all\n").unwrap();
    batch.rewind().unwrap();
    printed(Command::new("ip").args(["-o", "-batch", "-"]).stdin(batch))
}

#[track_caller]
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, text(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// A mount by its root, place and file system: columns 4 and 5, and the two that follow the dash (proc_pid_mountinfo(5)). Not
/// the file system's own options: the machine's are others' to change meanwhile.
fn mount_fact(line: &str) -> String {
    let columns: Vec<&str> = line.split(' ').collect();
    let kind = line.split_once(" - ").and_then(|(_, kind)| kind.rsplit_once(' ')).map_or("", |(kind, _)| kind);
    format!("mount: {} on {} ({kind})", columns[3], columns[4])
}

fn add_tree(facts: &mut BTreeSet<String>, path: &Path) {
    if path == Path::new("/run/mount") {
        return; // umount(8) makes it, and only tests run that
    }
    let Ok(metadata) = path.symlink_metadata() else { return };
    let target = path.read_link().map(|target| format!(" -> {}", target.display())).unwrap_or_default();
    facts.insert(format!("file: {}{target} ({:?})", path.display(), metadata.file_type()));
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            add_tree(facts, &entry.unwrap().path());
        }
    }
}

fn add_sysctls(facts: &mut BTreeSet<String>, path: &Path) {
    let Ok(entries) = path.read_dir() else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_sysctls(facts, &path);
        } else if !RESTLESS_SYSCTLS.iter().any(|restless| path.ends_with(restless))
            && let Ok(value) = std::fs::read_to_string(&path)
        {
            facts.insert(format!("sysctl: {} = {}", path.display(), value.trim_end()));
        }
    }
}

/// Every process but the test itself and what it has just started to look around.
fn processes() -> Vec<String> {
    let own = std::process::id().to_string();
    let mut processes = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let pid = entry.unwrap().file_name().into_string().unwrap();
        if pid.bytes().all(|b| b.is_ascii_digit())
            && pid != own
            && let Ok(name) = std::fs::read_to_string(format!("/proc/{pid}/comm"))
        {
            // A test may start Open vSwitch's daemons anew.
            let pid = if name.starts_with("ovs") { "" } else { &pid };
            processes.push(format!("process: {pid} {}", name.trim_end()));
        }
    }
    processes
}
