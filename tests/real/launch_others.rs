//! Containers of no lab, beside somebody who does something else at the same moment, or sees the machine in another way.

use crate::support::cgroups::Cgroups;
use crate::support::ps::{ended, ps};
use crate::support::rootfs::busybox;
use crate::support::run::{ok, sh, text, write};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use rustix::fs::inotify;
use std::mem::MaybeUninit;
use std::process::{Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

fn detach(root: &str, name: &str, options: &[&str], script: &str) {
    let launch = ["launch", "--detach", "--name", name, "--rootfs", root];
    ok(&[&launch[..], options, &["--", "sh", "-c", script]].concat());
}

#[test]
fn one_of_the_same_name_that_runs_by_now_is_ended_before_it_is_forgotten() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        detach(&root, "web", &[], "sleep 4311");
        detach(&root, "later", &[], "exec sleep 4312");
        // Whoever wants the lock waits.
        let mut holder = Command::new("flock")
            .args(["/run/nslab/nslab.lock", "sh", "-c", "echo held; read go"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until("the lock is held", SOON, || {
            sh("flock --nonblock /run/nslab/nslab.lock true || echo held") == "held\n"
        });
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&watch, "/run/nslab/nslab.lock", inotify::WatchFlags::OPEN).unwrap();
        let removal = nslab(["rm", "web"]).spawn().unwrap();
        // Until it has come to the lock, and waits.
        inotify::Reader::new(&watch, &mut [MaybeUninit::uninit(); 4096]).next().unwrap();
        // As if another one had forgotten the first, and the name were another's.
        sh("cd /run/nslab/launched; mv web gone; mv later web");
        drop(holder.stdin.take());
        holder.wait().unwrap();
        assert!(removal.wait_with_output().unwrap().status.success());
        assert_eq!(sh("ps -C sleep -o args= | grep 4312 || true"), "");
        assert!(ps("web").is_null());
        sh("mv /run/nslab/launched/gone /run/nslab/launched/web");
        ok(&["rm", "web"]);
    });
}

#[test]
fn a_launcher_is_known_from_another_time_namespace() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let _cgroups = Cgroups::mount(host);
        let mut first =
            nslab(["launch", "--rootfs", &root, "--memory", "100M", "sh", "-c", "echo begun; read go; exit 5"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(first.stdout.as_mut().unwrap()), &mut line).unwrap();
        detach(&root, "web", &["--memory", "100M"], "sleep 4313");
        let elsewhere = |arguments: &str| {
            sh(&format!("unshare --time --boottime 86400 --fork {} {arguments}", env!("CARGO_BIN_EXE_nslab")))
        };
        // It removes what others have left.
        elsewhere(&format!("launch --rootfs {root} --memory 100M true"));
        elsewhere("rm web");
        assert_eq!(sh("ps -C sleep -o args= || true"), "");
        drop(first.stdin.take());
        assert_eq!(first.wait().unwrap().code(), Some(5));
    });
}

#[test]
fn where_proc_is_anothers_nobody_is_ended() {
    ThrowAwayHost::run(|host| {
        let file = write(host, "lab.yaml", "name: lab\nnodes: {a: }\n");
        ok(&["up", &file]);
        for (command, code) in [("down", 3), ("up lab.yaml", 3), ("launch -p true", 125), ("gc", 3)] {
            let nslab = env!("CARGO_BIN_EXE_nslab");
            let script =
                format!("cd {}; unshare --pid --fork {nslab} {command} 2>&1 || echo code $?", host.scratch().display());
            let said = sh(&script);
            assert!(
                said.contains("/proc does not show") && said.ends_with(&format!("code {code}\n")),
                "{command}: {said}"
            );
            assert!(said.contains("mount -t proc proc /proc"), "{command}: {said}");
        }
        ok(&["down"]);
    });
}

#[test]
fn who_was_stopped_is_asked_to_end_before_he_is_killed() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        detach(&root, "held", &[], "trap 'exit 6' TERM; echo begun; while :; do sleep 0.1; done");
        wait_until("it has begun", SOON, || ok(&["logs", "held"]) == "begun\n");
        ok(&["kill", "--signal", "STOP", "held"]);
        ok(&["stop", "held"]);
        assert_eq!(ended("held")["exit_code"], 6);
        ok(&["rm", "held"]);
    });
}

#[test]
fn who_has_joined_and_is_behind_hears_how_it_ended() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let script = "while ! test -e /go; do sleep 0.1; done
                      head -c 900000 /dev/zero | tr '\\0' y; exit 3";
        detach(&root, "loud", &[], script);
        let joined = nslab(["attach", "loud"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        wait_until("somebody has joined", SOON, || sh("ss -xH state connected || true").contains("attach"));
        std::fs::write(format!("{root}/go"), "").unwrap();
        assert_eq!(ended("loud")["exit_code"], 3);
        let output = joined.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", text(&output).replace('y', ""));
        ok(&["rm", "loud"]);
        // Who closes the pipe has seen enough.
        std::fs::remove_file(format!("{root}/go")).unwrap();
        detach(&root, "loud", &[], &script.replace("; exit 3", "; sleep 1000"));
        let said = sh(&format!(
            "bash -c '{{ {nslab} attach loud 2>&1 </dev/null; echo $? >{root}/code; }} | {{ touch {root}/go; head -c 5; }}'; cat {root}/code",
            nslab = env!("CARGO_BIN_EXE_nslab"),
        ));
        assert_eq!(said, "yyyyy0\n");
        ok(&["rm", "loud"]);
    });
}

#[test]
fn nobody_inside_reads_the_callers_environment() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let look = "tr '\\0' '\\n' </proc/1/environ; tr '\\0' '\\n' </proc/self/environ; echo end";
        let launch = ["launch", "--rootfs", &root, "--cap-add", "SYS_PTRACE"];
        let waited_for = nslab([&launch[..], &["sh", "-c", look]].concat()).env("SECRET", "hunter2").output().unwrap();
        assert!(
            text(&waited_for).ends_with("end\n") && !text(&waited_for).contains("hunter2"),
            "{}",
            text(&waited_for)
        );
        let detached = [&launch[..], &["--detach", "--name", "one", "sh", "-c", look]].concat();
        assert!(nslab(detached).env("SECRET", "hunter2").status().unwrap().success());
        ended("one");
        let said = ok(&["logs", "one"]);
        assert!(said.ends_with("end\n") && !said.contains("hunter2"), "{said}");
        ok(&["rm", "one"]);
    });
}

#[test]
fn what_a_command_is_called_does_nothing_to_a_terminal() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        detach(&root, "odd", &[], "sleep 1000 # \u{1b}]0;evil\u{7}");
        assert!(ok(&["ps"]).contains("# \\u{1b}]0;evil\\u{7}\n"), "{:?}", ok(&["ps"]));
        ok(&["rm", "odd"]);
    });
}
