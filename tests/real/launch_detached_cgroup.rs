//! The cgroup of a container that nobody waits for goes with it.

use crate::support::cgroups::Cgroups;
use crate::support::ps::{ended, ps};
use crate::support::rootfs::busybox;
use crate::support::run::{json, ok, sh, text, write};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

#[test]
fn one_that_is_to_be_forgotten_leaves_nothing() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let cgroups = Cgroups::mount(host);
        let launch = ["launch", "--detach", "--rm", "--name", "brief", "--rootfs", &root, "--memory", "100M"];
        ok(&[&launch[..], &["sh", "-c", "echo hello; exit 3"]].concat());
        wait_until("nothing is written down of it", SOON, || ps("brief").is_null());
        wait_until("its cgroup is gone", SOON, || cgroups.all().is_empty());
        wait_until("what it took is given back", SOON, || cgroups.enabled().is_empty());
        // Of what is enabled when it runs its process 1 knows nothing: it is found by the next one.
        ok(&[&launch[..], &["sleep", "4302"]].concat());
        ok(&["limit", "brief", "--cpus", "0.5"]);
        sh(&format!("kill -KILL $(cat /proc/{}/task/*/children)", ps("brief")["pid"]));
        wait_until("its cgroup is gone", SOON, || ps("brief").is_null() && cgroups.all().is_empty());
        ok(&["gc"]);
        assert_eq!(cgroups.enabled(), "");
        // Where its process 1 was killed, somebody else has to.
        ok(&[&launch[..], &["sleep", "4303"]].concat());
        sh(&format!("kill -KILL {}", ps("brief")["pid"]));
        assert_eq!(ended("brief")["state"], "gone");
        assert!(ok(&["gc"]).contains("the container brief"));
        assert!(ps("brief").is_null());
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn a_cgroup_goes_with_its_container() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let cgroups = Cgroups::mount(host);
        let launch = |name, script| {
            ok(&["launch", "--detach", "--name", name, "--rootfs", &root, "--memory", "100M", "sh", "-c", script]);
        };
        launch("brief", "exit 3");
        assert_eq!(ended("brief")["exit_code"], 3);
        launch("asked", "trap 'exit 4' TERM; while :; do sleep 0.1; done");
        let is_there = |name: &str| cgroups.all().iter().any(|one| one.ends_with(&format!("nslab/:launched/{name}")));
        assert!(is_there("asked"));
        ok(&["stop", "asked"]);
        assert_eq!(ps("asked")["exit_code"], 4);
        assert!(!is_there("asked"));
        launch("killed", "sleep 4307");
        sh(&format!("kill -KILL {}", ps("killed")["pid"]));
        assert_eq!(ended("killed")["state"], "gone");
        launch("running", "sleep 4308");
        let doctor = sh(&format!("{} doctor || true", env!("CARGO_BIN_EXE_nslab")));
        let said = ok(&["gc"]);
        for name in ["brief", "killed"] {
            let words = format!("the cgroup of the container {name}, which has ended");
            assert!(said.contains(&words) && doctor.contains(&words), "{doctor}\n{said}");
            assert!(!is_there(name));
        }
        assert!(is_there("running"));
        ok(&["rm", "running"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
        // They are remembered all the same.
        assert_eq!(json(&["ps", "--json"]).as_array().unwrap().len(), 3);
        ok(&["rm", "brief"]);
        ok(&["rm", "asked", "killed"]);
    });
}

#[test]
fn a_cgroup_goes_with_its_container_in_a_lab() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        busybox(host, "root");
        let container = "{rootfs: ./root, command: [sh, -c, 'sleep 4309'], limits: {memory: 100M}}";
        let lab = format!("name: matrix\nnodes: {{zion: {{container: {container}}}}}\n");
        ok(&["up", &write(host, "matrix.yaml", &lab)]);
        let is_there = || cgroups.all().iter().any(|one| one.ends_with("nslab/matrix/zion"));
        assert!(is_there());
        ok(&["stop", "zion"]);
        assert!(!is_there());
        ok(&["start", "zion"]);
        ok(&["kill", "zion"]);
        assert!(is_there());
        assert!(ok(&["gc"]).contains("the cgroup of the container matrix/zion, which has ended"));
        assert!(!is_there());
        ok(&["start", "zion"]);
        assert!(!ok(&["gc"]).contains("cgroup") && is_there());
        ok(&["down"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn what_was_killed_before_is_not_taken_for_the_end() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let _cgroups = Cgroups::mount(host);
        let launch = ["launch", "--rootfs", &root, "--memory", "100M", "--swap", "0"];
        let waited_for = nslab([&launch[..], &["sh", "-c", "tail /dev/zero; exit 0"]].concat()).output().unwrap();
        assert_eq!(waited_for.status.code(), Some(0));
        let said = text(&waited_for);
        assert!(said.contains("nslab: sh: a process of it was killed, out of memory (limit 100 MB)"), "{said}");
        let detached = ["--detach", "--name", "goes-on", "sh", "-c", "tail /dev/zero; echo begun; exec sleep 4309"];
        ok(&[&launch[..], &detached].concat());
        wait_until("it has gone on", SOON, || ok(&["logs", "goes-on"]).contains("begun"));
        sh(&format!("kill -TERM $(cat /proc/{}/task/*/children)", ps("goes-on")["pid"]));
        let told = ended("goes-on");
        let reason = "killed by SIGTERM; something in it before: killed, out of memory (limit 100 MB)";
        assert_eq!((told["state"].as_str(), told["reason"].as_str()), (Some("killed"), Some(reason)), "{told}");
        ok(&["rm", "goes-on"]);
    });
}
