//! Containers' process 1 and their callers' terminals.

use crate::support::run::{fails, ok, sh, text};
use crate::support::terminal::Terminal;
use crate::support::{ThrowAwayHost, nslab, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

pub(crate) const SOON: Duration = Duration::from_secs(30);
const NSLAB: &str = env!("CARGO_BIN_EXE_nslab");

/// The process of this host that is `sleep SECONDS`, once there is one.
pub(crate) fn sleeper(seconds: u32) -> i32 {
    let mut found = None;
    let line = format!("sleep {seconds}");
    wait_until(&line.clone(), SOON, || {
        let all = sh("ps -C sleep -o pid=,args= || true");
        let pid = |entry: &str| entry.trim().split_once(' ').filter(|(_, args)| *args == line)?.0.parse().ok();
        found = all.lines().find_map(pid);
        found.is_some()
    });
    found.unwrap()
}

fn parent(pid: i32) -> i32 {
    sh(&format!("ps -o ppid= -p {pid}")).trim().parse().unwrap()
}

pub(crate) fn end_by(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

fn is_gone(pid: i32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

fn pid(child: &Child) -> i32 {
    child.id().try_into().unwrap()
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

#[test]
fn ctrl_z_stops_a_container_like_any_job_and_fg_has_it_go_on() {
    ThrowAwayHost::run(|_| {
        let mut terminal = Terminal::shell();
        terminal.line("echo the-shell-is-$((1 + 1))");
        terminal.until("the-shell-is-2");
        let before = terminal.modes();
        // A command that knows nothing of job control.
        terminal.line(&format!("{NSLAB} launch --rootfs host sleep 4203"));
        let sleeper = sleeper(4203);
        wait_until("the terminal is raw", SOON, || terminal.modes() != before);
        terminal.press("\x1a");
        terminal.until("Stopped");
        assert_eq!(sh(&format!("ps -o state= -p {sleeper}")), "T\n");
        terminal.line("stty -a | grep -c ' icanon'; echo mode-$?");
        terminal.until("mode-0");
        // Not typed later: as long as the container has the terminal, it gets what is typed.
        terminal.line("fg; echo code-$?");
        wait_until("it goes on", SOON, || sh(&format!("ps -o state= -p {sleeper}")) == "S\n");
        terminal.press("\x03");
        terminal.until("code-130");
        assert_eq!(terminal.modes(), before);
        terminal.line("exit 5");
        assert_eq!(terminal.end().code(), Some(5));
    });
}

#[test]
fn a_shell_in_a_container_has_jobs_and_the_size_of_the_terminal_and_loses_no_output() {
    ThrowAwayHost::run(|_| {
        let mut terminal = Terminal::shell();
        terminal.line(&format!("{NSLAB} launch --rootfs host bash --norc --noediting -i"));
        terminal.line("echo inside-$$; stty size; tty");
        terminal.until("inside-2");
        terminal.until("24 80");
        terminal.until("/dev/pts/0");
        terminal.resize(41, 111);
        // The size follows a moment later.
        terminal.line("until [ \"$(stty size)\" = '41 111' ]; do :; done; echo resized-$((1 + 1))");
        terminal.until("resized-2");
        terminal.line("sleep 4204");
        let sleeper = sleeper(4204);
        terminal.press("\x1a");
        terminal.until("Stopped");
        terminal.line("fg");
        wait_until("it goes on", SOON, || sh(&format!("ps -o state= -p {sleeper}")) == "S\n");
        terminal.press("\x03");
        terminal.line("echo code-$?");
        terminal.until("code-130");
        // The shell stops itself, and its launcher with it.
        terminal.line("suspend");
        terminal.until("Stopped");
        terminal.line("echo outside-$((1 + 1))");
        terminal.until("outside-2");
        terminal.line("fg");
        terminal.line("echo again-$$");
        terminal.until("again-2");
        terminal.line("seq 200000; exit 9");
        let printed = terminal.until("\n200000\r\n");
        assert_eq!(printed.lines().filter(|line| line.trim().parse::<u32>().is_ok()).count(), 200_000);
        terminal.line("echo code-$?");
        terminal.until("code-9");
        terminal.line("exit");
        terminal.end();
    });
}

#[test]
fn the_terminal_is_as_it_was_however_a_container_ends() {
    ThrowAwayHost::run(|_| {
        let mut terminal = Terminal::shell();
        terminal.line("echo the-shell-is-$((1 + 1))");
        terminal.until("the-shell-is-2");
        let before = terminal.modes();
        let launch = format!("{NSLAB} launch --rootfs host");
        for (seconds, code) in [(4205, 137), (4206, 143), (4207, 129)] {
            terminal.line(&format!("{launch} sleep {seconds}; echo code-$?"));
            let init = parent(sleeper(seconds));
            wait_until("the terminal is raw", SOON, || terminal.modes() != before);
            match code {
                137 => end_by(init, Signal::SIGKILL),
                143 => end_by(parent(init), Signal::SIGTERM),
                _ => end_by(parent(init), Signal::SIGHUP),
            }
            terminal.until(&format!("code-{code}"));
            assert_eq!(terminal.modes(), before, "{code}");
        }
        terminal.line(&format!("{launch} no-such-command; echo code-$?"));
        terminal.until("code-127");
        assert_eq!(terminal.modes(), before);
        terminal.line("exit");
        terminal.end();
    });
}

#[test]
fn without_a_terminal_files_are_handed_on_as_they_are() {
    ThrowAwayHost::run(|_| {
        let mut command = nslab(["launch", "--rootfs", "host", "sh", "-c", "tty; cat; seq 200000 >&2; exit 8"]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(8), "{}", text(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "not a tty\n");
        assert!(output.stderr.ends_with(b"\n200000\n"));
    });
}
