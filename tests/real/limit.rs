//! `nslab limit`: what containers that run may use, shown and changed.

use crate::support::cgroups::Cgroups;
use crate::support::ps::ps;
use crate::support::rootfs::busybox;
use crate::support::run::{fails, json, ok, sh, text, write};
use crate::support::walk::topology;
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// Keeps 60 MB that can't be written back.
const EATER: &str = "head -c 60m /dev/zero | tail -c 60m > /tmp/eaten; echo eaten; exec sleep 4401";

/// What a file of a cgroup says in its version, and in the other one.
fn assert_limits(cgroups: &Cgroups, name: &str, [memory, both, swap, cpus, pids]: [&str; 5]) {
    assert_eq!(cgroups.read(name, "pids.max").trim(), pids);
    if cgroups.is_version_2() {
        assert_eq!(cgroups.read(name, "memory.max").trim(), memory);
        assert_eq!(cgroups.read(name, "memory.swap.max").trim(), swap);
        assert_eq!(cgroups.read(name, "cpu.max").split_whitespace().next(), Some(cpus));
    } else {
        let or_none = |text: &str| if text == "max" { "9223372036854771712".to_owned() } else { text.to_owned() };
        assert_eq!(cgroups.read(name, "memory.limit_in_bytes").trim(), or_none(memory));
        assert_eq!(cgroups.read(name, "memory.memsw.limit_in_bytes").trim(), or_none(both));
        assert_eq!(cgroups.read(name, "cpu.cfs_quota_us").trim(), if cpus == "max" { "-1" } else { cpus });
    }
}

#[test]
fn a_container_of_no_lab_is_limited_while_it_runs() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let cgroups = Cgroups::mount(host);
        ok(&["launch", "--detach", "--name", "zion", "--rootfs", &root, "--memory", "100M", "sleep", "4400"]);
        let pid = ps("zion")["pid"].clone();
        let name = "nslab/:launched/zion";
        // Raised above memory and swap together as they were, with processors, which nothing limited before.
        ok(&["limit", "zion", "--memory", "200M", "--swap", "0", "--cpus", "1", "--pids", "64"]);
        let (less, more) = ("104857600", "209715200");
        assert_limits(&cgroups, name, [more, more, "0", "100000", "64"]);
        let number = pid.to_string();
        for place in cgroups.places().iter().map(|place| place.join(name)).filter(|place| place.is_dir()) {
            let there = std::fs::read_to_string(place.join("cgroup.procs")).unwrap();
            assert!(there.lines().any(|one| one == number), "{}: {there}", place.display());
        }
        ok(&["limit", "zion", "--memory", "100M"]);
        assert_limits(&cgroups, name, [less, less, "0", "100000", "64"]);
        ok(&["limit", "zion", "--memory", "200M", "--cpus", "0.25"]);
        assert_limits(&cgroups, name, [more, more, "0", "25000", "64"]);
        let told = json(&["limit", "zion", "--json"]);
        assert_eq!((&told["memory_bytes"], &told["swap_bytes"]), (&(200 << 20).into(), &0.into()), "{told}");
        assert_eq!((&told["cpus"], &told["pids"], &told["runs"]), (&0.25.into(), &64.into(), &true.into()), "{told}");
        assert!(told["used"]["pids"].as_u64() >= Some(2), "{told}");
        let shown = ok(&["limit", "zion"]);
        assert!(shown.contains("200 MB") && shown.contains("0.25") && shown.contains("64"), "{shown}");
        // What was changed behind nslab's back is what holds.
        let file = if cgroups.is_version_2() { "memory.max" } else { "memory.memsw.limit_in_bytes" };
        sh(&format!(
            "echo 300M > {}",
            cgroups.places().iter().map(|at| at.join(name).join(file)).find(|at| at.exists()).unwrap().display()
        ));
        let told = json(&["limit", "zion", "--json"]);
        assert_eq!(told["memory_bytes"].as_u64().unwrap() + told["swap_bytes"].as_u64().unwrap(), 300 << 20, "{told}");
        ok(&["limit", "zion", "--swap", "none", "--memory", "none", "--cpus", "none", "--pids", "none"]);
        assert_limits(&cgroups, name, ["max", "max", "max", "max", "max"]);
        assert!(ok(&["limit", "zion"]).contains("none"));
        assert_eq!(ps("zion")["pid"], pid, "it goes on");
        assert!(fails(&["limit", "zion", "--memory", "much"], 2).contains("or `none`"));
        assert!(fails(&["limit", "nobody", "--memory", "1M"], 2).contains("there is no container nobody"));
        ok(&["stop", "zion"]);
        assert!(fails(&["limit", "zion", "--memory", "1M"], 2).contains("does not run"));
        ok(&["rm", "zion"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn what_ends_by_itself_takes_along_what_was_added() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let cgroups = Cgroups::mount(host);
        let script = "trap 'exit 0' USR1; while :; do sleep 0.1; done";
        ok(&["launch", "--detach", "--rm", "--name", "brief", "--rootfs", &root, "sh", "-c", script]);
        ok(&["limit", "brief", "--cpus", "0.5"]);
        ok(&["kill", "--signal", "USR1", "brief"]);
        wait_until("nothing is written down of it", SOON, || ps("brief").is_null());
        wait_until("its cgroups are gone", SOON, || cgroups.all().is_empty());
        ok(&["gc"]);
    });
}

#[test]
fn less_than_is_used_is_refused_and_nothing_changes() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let cgroups = Cgroups::mount(host);
        let launch = ["launch", "--detach", "--name", "eater", "--rootfs", &root, "--tmpfs", "/tmp"];
        ok(&[&launch[..], &["--memory", "200M", "--swap", "0", "sh", "-c", EATER]].concat());
        wait_until("it has eaten", SOON, || ok(&["logs", "eater"]).contains("eaten"));
        let said = fails(&["limit", "eater", "--pids", "9", "--memory", "20M"], 1);
        assert!(said.contains("can't limit memory to 20 MB") && said.contains("in use"), "{said}");
        let before = ["209715200", "209715200", "0", "max", "max"];
        if cgroups.is_version_2() {
            assert_limits(&cgroups, "nslab/:launched/eater", before);
        } else {
            assert_eq!(cgroups.read("nslab/:launched/eater", "memory.limit_in_bytes").trim(), before[0]);
            assert_eq!(cgroups.read("nslab/:launched/eater", "pids.max").trim(), "max");
        }
        assert_eq!(json(&["limit", "eater", "--json"])["memory_bytes"], 200 << 20);
        assert_eq!(ps("eater")["state"], "running");
        ok(&["rm", "eater"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn its_end_tells_of_the_limit_that_it_had_then() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let _cgroups = Cgroups::mount(host);
        let launch = ["launch", "--detach", "--name", "zion", "--rootfs", &root, "--memory", "10M", "--swap", "0"];
        let script = "trap : USR1; while [ ! -e /go ]; do sleep 0.1; done; exec tail /dev/zero";
        ok(&[&launch[..], &["sh", "-c", script]].concat());
        ok(&["limit", "zion", "--memory", "30M"]);
        write(host, "root/go", "");
        wait_until("it has ended", SOON, || ps("zion")["state"] != "running");
        assert_eq!(ps("zion")["reason"], "killed, out of memory (limit 30 MB)");
        ok(&["rm", "zion"]);
    });
}

fn lab(host: &ThrowAwayHost, limits: &str) -> String {
    if !host.scratch().join("root").exists() {
        busybox(host, "root");
    }
    let text = format!(
        "
name: matrix
nodes:
  zion: {{container: {{rootfs: root, command: [sleep, '4402'], {limits}}}}}
  moon: {{container: {{rootfs: root, command: [sleep, '4403']}}}}
  plain:
"
    );
    topology(host, "matrix.yaml", &text)
}

#[test]
fn a_nodes_limits_change_in_place_and_outlive_a_restart() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let limited = |memory: &str| {
            cgroups
                .read("nslab/matrix/zion", if cgroups.is_version_2() { "memory.max" } else { "memory.limit_in_bytes" })
                .trim()
                == memory
        };
        ok(&["up", &lab(host, "limits: {memory: 100M}")]);
        let pid = ps("zion")["pid"].clone();
        ok(&["limit", "matrix/zion", "--memory", "200M", "--pids", "50"]);
        assert!(limited("209715200"));
        assert_eq!(ps("zion")["pid"], pid);
        assert!(ok(&["show"]).contains("everything is as it should be"));
        ok(&["restart", "zion"]);
        assert_ne!(ps("zion")["pid"], pid);
        assert!(limited("209715200"));
        assert_eq!(json(&["limit", "zion", "--json"])["pids"], 50);
        // One that does not run has it when it does.
        ok(&["stop", "zion"]);
        ok(&["limit", "zion", "--memory", "150M"]);
        assert!(ok(&["limit", "zion"]).contains("150 MB"));
        assert_ne!(ps("zion")["state"], "running", "it is not started by that");
        ok(&["start", "zion"]);
        assert!(limited("157286400"));
        let pid = ps("zion")["pid"].clone();
        // The next `up` goes by the topology, and starts nothing anew for it.
        let file = lab(host, "limits: {memory: 120M}");
        let plan = ok(&["plan", &file]);
        assert!(plan.contains("limit the container zion to memory 120 MB") && !plan.contains("start the"), "{plan}");
        ok(&["up", &file]);
        assert!(limited("125829120"));
        assert_eq!(ps("zion")["pid"], pid);
        assert!(ok(&["plan", &file]).contains("nothing to do"));
        // What somebody else has changed is drift.
        let pids = cgroups.places().iter().map(|at| at.join("nslab/matrix/zion/pids.max")).find(|at| at.exists());
        std::fs::write(pids.unwrap(), "33").unwrap();
        assert!(ok(&["show"]).contains("limit the container zion"));
        ok(&["up", &file]);
        assert!(ok(&["show"]).contains("everything is as it should be"));
        assert_eq!(ps("zion")["pid"], pid);
        assert!(ok(&["limit", "plain"]).contains("none"));
        assert!(fails(&["limit", "matrix/nobody"], 2).contains("those of matrix are zion, moon"));
        ok(&["down"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

/// And nothing is told of what was killed by somebody else, or has ended otherwise.
#[test]
fn who_runs_a_command_in_a_container_is_told_that_it_was_killed_for_want_of_memory() {
    ThrowAwayHost::run(|host| {
        let _cgroups = Cgroups::mount(host);
        ok(&["up", &lab(host, "limits: {memory: 60M, swap: 0}")]);
        let exec = |words: &[&str]| {
            let output = nslab(["exec", "zion", "--"].iter().chain(words)).output().unwrap();
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        let told = |whom: &str| (Some(137), format!("nslab: {whom}: killed, out of memory (limit 60 MB)\n"));
        assert_eq!(exec(&["tail", "/dev/zero"]), told("tail"));
        assert!(exec(&["sh", "-c", "tail /dev/zero; exit $?"]).1.ends_with(&told("sh").1));
        assert_eq!(exec(&["sh", "-c", "kill -KILL $$"]), (Some(137), String::new()));
        assert_eq!(exec(&["sh", "-c", "tail /dev/zero 2> /dev/null; exit 3"]).0, Some(3));
        // As it is by now.
        ok(&["limit", "zion", "--memory", "70M"]);
        assert!(exec(&["tail", "/dev/zero"]).1.contains("(limit 70 MB)"));
        ok(&["down"]);
    });
}

#[test]
fn a_limit_that_can_not_be_written_down_is_put_back() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let cgroups = Cgroups::mount(host);
        ok(&["launch", "--detach", "--name", "zion", "--rootfs", &root, "--pids", "50", "sleep", "4402"]);
        let directory = "/run/nslab/launched/zion";
        sh(&format!("mount --bind {directory} {directory}; mount -o remount,bind,ro {directory}"));
        let refused = nslab(["limit", "zion", "--pids", "60"]).output().unwrap();
        assert!(!refused.status.success() && text(&refused).contains("Read-only"), "{}", text(&refused));
        assert_eq!(cgroups.read("nslab/:launched/zion", "pids.max"), "50");
        sh(&format!("umount {directory}"));
        ok(&["limit", "zion", "--pids", "60"]);
        assert_eq!(cgroups.read("nslab/:launched/zion", "pids.max"), "60");
        ok(&["rm", "zion"]);
    });
}
