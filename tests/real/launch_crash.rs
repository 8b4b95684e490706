//! Launches that are stopped, or fail, between any two steps: nothing is left of them, and it is said what happened.

use crate::support::cgroups::Cgroups;
use crate::support::rootfs::busybox;
use crate::support::run::{ok, sh, text};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// The places in the process outside, whoever waits for the container.
const OUTSIDE: [&str; 6] = [
    "before anything is made",
    "before the clone",
    "after the clone",
    "before the maps",
    "before process 1 may proceed",
    "when process 1 may proceed",
];
/// Those where somebody waits.
const WAITING: [&str; 1] = ["after the end"];
/// Those where nobody does.
const DETACHED: [&str; 5] = [
    "with a record",
    "when process 1 is ready",
    "when it is written down",
    "when the command may run",
    "when the command runs",
];
/// The places in process 1 before the command runs.
const INSIDE: [&str; 4] = [
    "inside, after the clone",
    "inside, before it is set up",
    "inside, when it is set up",
    "inside, before the command",
];
/// Those from then on.
const WITH_COMMAND: [&str; 4] =
    ["inside, with the command", "inside, when the command runs", "inside, without rights", "inside, after the end"];
/// The places in the process that becomes the command.
const COMMAND: [&str; 2] = ["in the command's process", "without the command's rights"];

/// The kinds of container that are walked through.
fn kinds(root: &str) -> [Vec<&str>; 4] {
    let limits = ["--memory", "50M", "--pids", "20"];
    [
        vec!["-p", "-m"],
        vec!["--rootfs", root],
        vec!["--rootfs", root, "-U"],
        [&["--rootfs", root][..], &limits].concat(),
    ]
}

fn launch(options: &[&str], command: &[&str], variable: &str, place: &str) -> Output {
    let mut launch = nslab(["launch"]);
    launch.args(options).arg("--").args(command).env(variable, place).stdin(Stdio::null());
    launch.output().unwrap()
}

/// What all of the walks have: a host to be left as it is, with cgroups and a root.
fn walk(host: &ThrowAwayHost, mut each: impl FnMut(&[&str])) {
    let cgroups = Cgroups::mount(host);
    let root = busybox(host, "root");
    for options in kinds(&root) {
        each(&options);
        host_is_clean(&cgroups, &format!("{options:?}"));
    }
}

/// No process of nslab's or of a container's, and no cgroup.
fn host_is_clean(cgroups: &Cgroups, when: &str) {
    wait_until(&format!("nothing is left: {when}"), PATIENCE, || {
        sh("ps -e -o comm= | grep -cE '^(nslab|sleep|busybox|true)$' || true") == "0\n"
    });
    assert_eq!(cgroups.all(), [] as [&str; 0], "{when}");
    assert!(!std::fs::exists("/run/nslab").unwrap(), "{when}");
}

#[test]
fn what_fails_anywhere_is_told_and_leaves_nothing() {
    ThrowAwayHost::run(|host| {
        walk(host, |options| {
            for place in OUTSIDE.iter().chain(&WAITING).chain(&INSIDE).chain(&WITH_COMMAND).chain(&COMMAND) {
                let output = launch(options, &["true"], "NSLAB_TEST_FAIL_IN", place);
                assert_eq!(output.status.code(), Some(125), "{options:?} {place}: {}", text(&output));
                let expected = format!("nslab: true: can't go on {place}: I/O error");
                assert!(text(&output).contains(&expected), "{options:?} {place}: {}", text(&output));
            }
        });
    });
}

#[test]
fn a_process_1_that_is_killed_anywhere_is_told_and_leaves_nothing() {
    ThrowAwayHost::run(|host| {
        walk(host, |options| {
            for place in INSIDE.iter().chain(&WITH_COMMAND) {
                let output = launch(options, &["true"], "NSLAB_TEST_END_AT", place);
                assert_eq!(output.status.code(), Some(137), "{options:?} {place}: {}", text(&output));
                assert!(text(&output).contains("true: its process 1 was ended"), "{place}: {}", text(&output));
            }
            for place in COMMAND {
                let output = launch(options, &["true"], "NSLAB_TEST_END_AT", place);
                assert_eq!(output.status.code(), Some(137), "{options:?} {place}: {}", text(&output));
            }
        });
    });
}

#[test]
fn a_container_that_nobody_waits_for_is_there_wholly_or_not_at_all() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let root = busybox(host, "root");
        for variable in ["NSLAB_TEST_FAIL_IN", "NSLAB_TEST_END_AT"] {
            let inside = ["inside, when it is ready"];
            for place in OUTSIDE.iter().chain(&DETACHED).chain(&INSIDE).chain(&inside) {
                for users in [&[][..], &["-U"]] {
                    let options = [&["--rootfs", &root, "--detach", "--name", "n"], users].concat();
                    let output = launch(&options, &["sleep", "1000"], variable, place);
                    assert_eq!(output.status.code(), Some(125), "{variable} {place}: {}", text(&output));
                    host_is_clean(&cgroups, &format!("{users:?} {variable} {place}: {}", text(&output)));
                }
            }
        }
    });
}

#[test]
fn a_launcher_that_is_killed_anywhere_leaves_no_process_and_no_mount() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let root = busybox(host, "root");
        for options in kinds(&root) {
            for place in OUTSIDE.iter().chain(&WAITING) {
                let output = launch(&options, &["sleep", "0"], "NSLAB_TEST_END_AT", place);
                assert_eq!(output.status.signal(), Some(9), "{options:?} {place}: {}", text(&output));
                // What it had no time to remove, the next one does.
                ok(&[&["launch"], &kinds(&root)[3][..], &["true"]].concat());
                host_is_clean(&cgroups, &format!("{options:?} {place}"));
            }
        }
    });
}

#[test]
fn a_process_1_that_is_killed_while_its_command_runs_is_told() {
    ThrowAwayHost::run(|host| {
        walk(host, |options| {
            let mut launch = nslab(["launch"]);
            launch.args(options).args(["--", "sh", "-c", "echo up; exec sleep 1000"]).stdin(Stdio::null());
            let mut launcher = launch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(launcher.stdout.take().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "up\n");
            sh(&format!("kill -9 $(cat /proc/{0}/task/{0}/children)", launcher.id()));
            let output = launcher.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(137), "{options:?}: {}", text(&output));
            assert_eq!(text(&output), "nslab: sh: its process 1 was ended: signal 9\n");
        });
    });
}

#[test]
fn a_network_namespace_that_vanishes_and_a_full_disk_are_told() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let root = busybox(host, "root");
        // It has gone, and its name is there.
        sh("mkdir -p /run/netns; touch /run/netns/gone");
        let options = ["--rootfs", &root, "-N", "/run/netns/gone"];
        for (attached, code) in [(&["--memory", "50M"][..], 125), (&["--detach", "--name", "n"], 125)] {
            let output = launch(&[&options[..], attached].concat(), &["true"], "NSLAB_TEST_NONE", "");
            assert_eq!(output.status.code(), Some(code), "{}", text(&output));
            assert!(text(&output).contains("can't enter the network namespace /run/netns/gone"), "{}", text(&output));
            host_is_clean(&cgroups, "without a network");
        }
        sh("rm /run/netns/gone; rmdir /run/netns");

        let small = host.scratch().join("small");
        std::fs::create_dir(&small).unwrap();
        let small = small.display();
        sh(&format!("mount -t tmpfs -o size=64k none {small}; dd if=/dev/zero of={small}/full 2> /dev/null || true"));
        let mut full = nslab(["--state-dir", &format!("{small}/state"), "launch", "--detach", "--rootfs", &root]);
        let output = full.args(["--", "sleep", "1000"]).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{}", text(&output));
        assert!(text(&output).contains("No space left on device"), "{}", text(&output));
        host_is_clean(&cgroups, "on a full disk");
        assert_eq!(sh(&format!("cd {small}; find . -type f; umount -l {small}")), "./full\n");
    });
}

#[test]
fn what_failed_first_is_told_and_what_could_not_be_taken_back_besides() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let root = busybox(host, "root");
        let left = "while the cgroup is removed";
        let options = ["--rootfs", &root, "--memory", "50M"];
        for place in OUTSIDE[1..].iter().chain(&WAITING).chain(&INSIDE) {
            let output = launch(&options, &["true"], "NSLAB_TEST_FAIL_IN", &format!("{place}|{left}"));
            assert_eq!(output.status.code(), Some(125), "{place}: {}", text(&output));
            let expected = format!("true: can't go on {place} (besides, can't go on {left}: I/O error): I/O error");
            assert!(text(&output).contains(&expected), "{place}: {}", text(&output));
            ok(&[&["launch"], &options[..], &["true"]].concat());
            host_is_clean(&cgroups, place);
        }
        // Where nothing else has failed, that is what is told.
        let output = launch(&options, &["true"], "NSLAB_TEST_FAIL_IN", left);
        assert_eq!(output.status.code(), Some(125), "{}", text(&output));
        assert!(text(&output).contains(&format!("true: can't go on {left}: I/O error")), "{}", text(&output));
        ok(&[&["launch"], &options[..], &["true"]].concat());

        let detached = [&options[..], &["--detach", "--name", "n"]].concat();
        let forgotten = "while the container is forgotten";
        for place in ["before the clone", "when it is written down", "inside, when it is set up"] {
            let output = launch(&detached, &["sleep", "1000"], "NSLAB_TEST_FAIL_IN", &format!("{place}|{forgotten}"));
            assert_eq!(output.status.code(), Some(125), "{place}: {}", text(&output));
            let expected = format!("can't go on {place} (besides, can't remove /run/nslab/launched/n: a test made");
            assert!(text(&output).contains(&expected), "{place}: {}", text(&output));
            ok(&["rm", "n"]);
            host_is_clean(&cgroups, place);
        }
    });
}

#[test]
fn a_launcher_that_hangs_is_not_waited_for_for_ever() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let root = busybox(host, "root");
        let options = ["--rootfs", &root, "--memory", "50M", "--detach", "--name", "n"];
        for place in ["before anything is made", "after the clone", "inside, before it is set up"] {
            let mut command = nslab(["launch"]);
            command.args(options).args(["--", "sleep", "1000"]).stdin(Stdio::null());
            let output = command.env("NSLAB_TEST_HANG_AT", place).env("NSLAB_TEST_PATIENCE_S", "2").output().unwrap();
            assert_eq!(output.status.code(), Some(125), "{place}: {}", text(&output));
            let expected = "can't hear from the launcher, which was killed after 2 s: ";
            assert!(text(&output).contains(expected), "{place}: {}", text(&output));
            host_is_clean(&cgroups, place);
        }
    });
}
