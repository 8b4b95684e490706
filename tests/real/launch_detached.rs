//! Containers of no lab that nobody waits for, as their user meets them.

use crate::support::cgroups::Cgroups;
use crate::support::ps::{ended, ps};
use crate::support::rootfs::busybox;
use crate::support::run::{fails, json, ok, sh, text, write};
use crate::support::terminal::Terminal;
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

#[test]
fn one_is_listed_logged_entered_stopped_and_forgotten() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let cgroups = Cgroups::mount(host);
        let script = "echo begun; trap 'echo asked; exit 4' TERM; while :; do sleep 0.1; done";
        let name = ["launch", "--detach", "--name", "one", "--rootfs", &root, "-H", "zion", "sh", "-c", script];
        assert_eq!(ok(&name), "one\n");
        let told = ps("one");
        assert_eq!((told["state"].as_str(), told["lab"].is_null()), (Some("running"), true), "{told}");
        assert!(told["memory_bytes"].as_u64().unwrap() > 0, "{told}");
        assert!(fails(&name, 2).contains("there is a container one: choose another name"));
        assert_eq!(ok(&["exec", "one", "--", "hostname"]), "zion\n");
        assert!(fails(&["exec", "two", "--", "true"], 125).contains("no lab is up"));
        wait_until("it has said so", SOON, || ok(&["logs", "one"]) == "begun\n");

        ok(&["stop", "one"]);
        let told = ps("one");
        assert_eq!((told["state"].as_str(), told["exit_code"].as_i64()), (Some("exited"), Some(4)), "{told}");
        assert_eq!(ok(&["logs", "-f", "one"]), "begun\nasked\n");
        assert!(fails(&["exec", "one", "--", "true"], 125).contains("does not run"));
        assert!(fails(&["kill", "one"], 2).contains("does not run"));
        assert!(fails(&["start", "one"], 2).contains("belongs to no lab"));
        ok(&["rm", "one"]);
        assert!(fails(&["rm", "one"], 2).contains("no container one"));
        assert!(fails(&["logs", "one"], 2).contains("there is no container one"));
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn one_that_runs_is_ended_when_it_is_forgotten() {
    ThrowAwayHost::run(|_| {
        let name = ok(&["launch", "--detach", "-p", "sleep", "4301"]);
        let name = name.trim();
        assert!(name.starts_with("sleep-"), "{name}");
        ok(&["rm", name]);
        assert_eq!(sh("ps -C sleep -o args= || true"), "");
    });
}

#[test]
fn what_killed_it_is_told() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let cgroups = Cgroups::mount(host);
        let limits = ["--memory", "100M", "--swap", "0"];
        let launch = ["launch", "--detach", "--name", "zion", "--rootfs", &root];
        ok(&[&launch[..], &limits, &["tail", "/dev/zero"]].concat());
        let told = ended("zion");
        assert_eq!(told["state"], "killed", "{told}");
        assert_eq!(told["exit_code"], 137, "{told}");
        assert_eq!(told["reason"], "killed, out of memory (limit 100 MB)", "{told}");
        ok(&["rm", "zion"]);
        ok(&[&launch[..], &["sleep", "4302"]].concat());
        ok(&["kill", "--signal", "USR1", "zion"]);
        assert_eq!(ended("zion")["reason"], "killed by SIGUSR1");
        ok(&["rm", "zion"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn one_that_can_not_be_started_leaves_nothing() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let cgroups = Cgroups::mount(host);
        let said = fails(&["launch", "--detach", "--rootfs", &root, "no-such-command"], 127);
        assert!(said.contains("can't run `no-such-command`"), "{said}");
        fails(&["launch", "--detach", "--rootfs", "/no/such/root", "true"], 125);
        assert!(fails(&["launch", "--detach", "true"], 2).contains("wants a PID namespace"));
        assert!(fails(&["launch", "--name", "x", "true"], 2).contains("--detach"));
        assert_eq!(cgroups.all(), [] as [&str; 0]);
        assert!(!std::path::Path::new("/run/nslab").exists());
    });
}

#[test]
fn its_terminal_can_be_joined_and_left() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let program = env!("CARGO_BIN_EXE_nslab");
        let mut caller = Terminal::shell();
        // A terminal is kept where there is one to begin with.
        caller.line(&format!("{program} launch --detach --name typed --rootfs {root} sh; echo started $?"));
        caller.until("started 0");
        caller.resize(33, 99);
        caller.line(&format!("{program} attach typed; echo back $?"));
        caller.line("stty size; echo here $((40 + 2))");
        let said = caller.until("here 42");
        assert!(said.contains("33 99"), "{said}");
        caller.press("\x10\x11");
        caller.until("back 0");
        assert_eq!(ps("typed")["state"], "running");
        // What is there is told from the beginning of the last lines on; then the end of it is that of who has joined.
        caller.line(&format!("{program} attach typed; echo back $?"));
        caller.line("echo again $((50 + 1))");
        caller.until("again 51");
        caller.line("exit 6");
        caller.until("back 6");
        caller.line(&format!("{program} attach typed; echo back $?"));
        let said = caller.until("back 2");
        assert!(said.contains("does not run"), "{said}");
        caller.line("exit");
        caller.end();
        ok(&["rm", "typed"]);
    });
}

#[test]
fn its_log_can_be_followed_by_somebody_who_has_seen_enough() {
    ThrowAwayHost::run(|_| {
        ok(&["launch", "--detach", "--name", "talker", "-p", "--", "sh", "-c", "yes | head -100000; sleep 4304"]);
        let program = env!("CARGO_BIN_EXE_nslab");
        assert_eq!(sh(&format!("{program} logs -f talker | head -2")), "y\ny\n");
        let follower = nslab(["logs", "-f", "talker"]).stdout(Stdio::piped()).spawn().unwrap();
        // Nobody is left to write down how it ended.
        sh(&format!("kill -KILL {}", ps("talker")["pid"]));
        let output = follower.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        assert!(output.stdout.ends_with(b"y\n"));
        ok(&["rm", "talker"]);
    });
}

/// A lab with one container, a shell.
fn lab(host: &ThrowAwayHost, container: &str) -> String {
    busybox(host, "root");
    write(
        host,
        "matrix.yaml",
        &format!("name: matrix\nnodes: {{zion: {{container: {{rootfs: ./root, {container}}}}}}}\n"),
    )
}

#[test]
fn that_of_a_lab_is_logged_and_joined_as_well() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let program = env!("CARGO_BIN_EXE_nslab");
        ok(&["up", &lab(host, "command: [sh], terminal: true")]);
        let mut caller = Terminal::shell();
        caller.resize(33, 99);
        caller.line(&format!("{program} attach zion; echo back $?"));
        caller.line("stty size; hostname; echo here $((40 + 2))");
        let said = caller.until("here 42");
        assert!(said.contains("33 99") && said.contains("zion"), "{said}");
        caller.press("\x10\x11");
        caller.until("back 0");
        assert!(ok(&["logs", "matrix/zion"]).contains("here 42"));
        caller.line(&format!("{program} attach matrix/zion; echo back $?"));
        caller.line("exit 6");
        caller.until("back 6");
        caller.line(&format!("{program} attach zion; echo back $?"));
        assert!(caller.until("back 2").contains("the container matrix/zion does not run"));
        caller.line("exit");
        caller.end();
        assert_eq!((ended("zion")["exit_code"].as_i64(), ended("zion")["lab"].as_str()), (Some(6), Some("matrix")));
        ok(&["down"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn a_node_is_meant_before_one_of_no_lab_that_is_called_so() {
    ThrowAwayHost::run(|host| {
        let file = lab(host, "command: [sleep, '4305']");
        let root = host.scratch().join("root");
        let launch = ["launch", "--detach", "--name", "zion", "--rootfs", root.to_str().unwrap(), "-H", "alone"];
        ok(&[&launch[..], &["sleep", "4306"]].concat());
        assert_eq!(ok(&["exec", "zion", "--", "hostname"]), "alone\n");
        ok(&["up", &file]);
        assert_eq!(ok(&["exec", "zion", "--", "hostname"]), "zion\n");
        ok(&["kill", "zion"]);
        let all = json(&["ps", "--json"]);
        let states: Vec<_> = all.as_array().unwrap().iter().map(|one| (&one["lab"], one["state"].as_str())).collect();
        assert_eq!(states, [(&"matrix".into(), Some("killed")), (&serde_json::Value::Null, Some("running"))]);
        // `rm` is about those of no lab alone.
        ok(&["rm", "zion"]);
        ok(&["down"]);
        assert_eq!(sh("ps -C sleep -o args= || true"), "");
    });
}

#[test]
fn who_follows_a_log_sees_one_run_of_a_container_and_no_other() {
    ThrowAwayHost::run(|host| {
        ok(&["up", &lab(host, "command: [sh, -c, 'echo begun; exec sleep 4310']")]);
        wait_until("it has begun", SOON, || ok(&["logs", "zion"]) == "begun\n");
        let mut follower = nslab(["logs", "-f", "zion"]);
        let mut follower = follower.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut shown = BufReader::new(follower.stdout.take().unwrap());
        shown.read_line(&mut line).unwrap();
        // However late it looks: another one runs in the same place by then.
        wait_until("it waits", SOON, || sh(&format!("ls -l /proc/{}/fd", follower.id())).contains("inotify"));
        wait_until("it waits", SOON, || sh(&format!("cat /proc/{}/stat", follower.id())).contains(") S "));
        sh(&format!("kill -STOP {}", follower.id()));
        ok(&["restart", "zion"]);
        wait_until("it has begun again", SOON, || ok(&["logs", "zion"]) == "begun\n");
        sh(&format!("kill -CONT {}", follower.id()));
        shown.read_to_string(&mut line).unwrap();
        assert_eq!((line.as_str(), follower.wait().unwrap().success()), ("begun\n", true));
        ok(&["down"]);
    });
}

#[test]
fn another_state_directorys_container_of_the_same_name_keeps_its_cgroup() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let cgroups = Cgroups::mount(host);
        let other = host.scratch().join("state").to_str().unwrap().to_owned();
        let (here, there) = (&[][..], &["--state-dir", &other][..]);
        let run = |at: &[&str], more: &[&str]| ok(&[at, more].concat());
        let count = || cgroups.all().iter().filter(|one| one.ends_with("/same")).count();
        let launch = ["launch", "--detach", "--name", "same", "--rootfs", &root, "--memory", "100M", "sleep", "4311"];
        run(here, &launch);
        let one = count();
        run(there, &launch);
        assert_eq!(count(), 2 * one, "{:?}", cgroups.all());
        for (ended, kept) in [(here, there), (there, here)] {
            run(ended, &["kill", "same"]);
            wait_until("it has ended", SOON, || !run(ended, &["ps"]).contains("running"));
            run(ended, &["gc"]);
            run(ended, &["rm", "same"]);
            assert_eq!(count(), one, "{:?}", cgroups.all());
            assert!(run(kept, &["ps"]).contains("running"));
            run(ended, &launch);
        }
        run(here, &["rm", "same"]);
        run(there, &["rm", "same"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}
