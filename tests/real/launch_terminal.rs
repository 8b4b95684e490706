//! Containers' terminals, and their callers'.

use crate::support::run::{sh, text};
use crate::support::terminal::Terminal;
use crate::support::{ThrowAwayHost, nslab, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;
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
        // What is typed before the prompt is there comes before it, and the first number would come behind it.
        terminal.line("echo; seq 200000; exit 9");
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
