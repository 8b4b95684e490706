//! What a launch returns, and what process 1 of its container does for that.

use crate::launch_terminal::{SOON, end_by, sleeper};
use crate::support::rootfs::busybox;
use crate::support::run::{fails, ok, sh};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use nix::sys::signal::Signal;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};

fn is_gone(pid: i32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

fn pid(child: &Child) -> i32 {
    child.id().try_into().unwrap()
}

#[test]
fn it_returns_what_the_command_does() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        // A program of another machine, as far as its head says.
        std::fs::write(host.scratch().join("root/bin/alien"), b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xf7\0")
            .unwrap();
        sh(&format!("chmod +x {root}/bin/alien; touch {root}/bin/plain"));
        for options in [&["-p"][..], &[], &["--rootfs", &root], &["--rootfs", &root, "-U"]] {
            let launch = |command: &[&str], code| fails(&[&["launch"], options, command].concat(), code);
            launch(&["sh", "-c", "exit 7"], 7);
            launch(&["sh", "-c", "kill -9 $$"], 137);
            launch(&["sh", "-c", "kill -15 $$"], 143);
            let said = launch(&["no-such-command"], 127);
            assert!(said.contains("can't run `no-such-command`: No such file"), "{said}");
            launch(&["/no/such/command"], 127);
            let said = launch(&["/etc"], 126);
            assert!(said.contains("can't run `/etc`: Permission denied"), "{said}");
            assert_eq!(ok(&[&["launch"], options, &["echo", "-n", "--", "-p"]].concat()), "-- -p");
        }
        let said = fails(&["launch", "--rootfs", &root, "alien"], 126);
        assert!(said.contains("Exec format error"), "{said}");
        assert!(fails(&["launch", "--rootfs", &root, "/bin/plain"], 126).contains("Permission denied"));
        let said = fails(&["launch", "--rootfs", "/no/such/root", "true"], 125);
        assert!(said.contains("/no/such/root") && said.contains("No such file"), "{said}");
        let said = fails(&["launch", "--rootfs", "/etc/passwd", "true"], 125);
        assert!(said.contains("/etc/passwd") && said.contains("Not a directory"), "{said}");
        fails(&["launch", "--rootfs", &root, "--workdir", "/nowhere", "true"], 125);
    });
}

#[test]
fn a_container_ends_with_its_commands_code_or_128_and_its_signal() {
    ThrowAwayHost::run(|_| {
        let launch = |script| ["launch", "-p", "--", "sh", "-c", script];
        ok(&launch("exit 0"));
        fails(&launch("exit 7"), 7);
        fails(&launch("kill -9 $$"), 137);
        fails(&launch("kill -TERM $$"), 143);
        // Nobody whom it leaves behind lives on.
        ok(&launch("sleep 4201 > /dev/null 2>&1 & exit 0"));
        assert_eq!(sh("ps -C sleep -o args= || true"), "");
    });
}

#[test]
fn process_1_waits_for_those_who_have_lost_their_parent() {
    ThrowAwayHost::run(|_| {
        // A process whose parent has ended is there, as a zombie, until process 1 has waited for it.
        let script = "mount -t proc proc /proc
            orphan=$(sh -c 'true > /dev/null & echo $!')
            for _ in $(seq 1000); do [ -e /proc/$orphan ] || exit 4; sleep 0.01; done; exit 9";
        fails(&["launch", "-p", "-m", "--", "sh", "-c", script], 4);
    });
}

#[test]
fn signals_are_passed_on_to_the_command() {
    ThrowAwayHost::run(|_| {
        for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGQUIT] {
            let name = &signal.as_str()[3..];
            let script = format!("trap 'exit 33' {name}; echo ready; while :; do read -t 0.1 x < /dev/zero; done");
            let mut child =
                nslab(["launch", "-p", "--", "bash", "-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "ready\n");
            end_by(pid(&child), signal);
            assert_eq!(child.wait().unwrap().code(), Some(33), "{signal}");
        }
    });
}

#[test]
fn a_container_ends_with_who_waits_for_it() {
    ThrowAwayHost::run(|_| {
        let mut child = nslab(["launch", "-p", "--", "sleep", "4202"]).spawn().unwrap();
        let sleeper = sleeper(4202);
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        wait_until("the container has ended", SOON, || is_gone(sleeper));
    });
}
