//! `nslab top` on a terminal: what its user sees and presses, and that the terminal is as it was afterwards.

use crate::support::cgroups::Cgroups;
use crate::support::run::{ok, sh};
use crate::support::tmux::Tmux;
use crate::support::{ThrowAwayHost, wait_until};
use crate::top::lab;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;

const NSLAB: &str = env!("CARGO_BIN_EXE_nslab");
const SOON: Duration = Duration::from_secs(30);

/// The nodes that are shown, in their order.
fn shown(screen: &str) -> Vec<&str> {
    screen.lines().filter_map(|line| line.split_whitespace().next()?.strip_prefix("matrix/")).collect()
}

/// The process that is `nslab top`.
fn pid() -> Pid {
    let mut found = None;
    wait_until("it runs", SOON, || {
        let all = sh("ps -C nslab -o pid=,args= || true");
        found = all.lines().find_map(|line| {
            let (pid, arguments) = line.trim().split_once(' ')?;
            arguments.contains(" top").then(|| pid.parse().ok()).flatten()
        });
        found.is_some()
    });
    Pid::from_raw(found.unwrap())
}

/// Starts it in the shell, which then says how it ended, and how the terminal is.
fn start(tmux: &Tmux, number: u32) {
    tmux.line(&format!("clear; stty -g > before; {NSLAB} top -i 0.2; echo code-{number}-$?; stty -g > after"));
    tmux.until("the table is there", |screen| shown(screen).len() == 3 && screen.contains("running"));
    assert!(tmux.is_other_screen() && !tmux.has_cursor());
}

/// Waits for its end, with this code, and looks at the terminal.
#[track_caller]
fn assert_ended(host: &ThrowAwayHost, tmux: &Tmux, number: u32, code: i32) -> String {
    let screen = tmux.until("it has ended", |screen| screen.contains(&format!("code-{number}-{code}")));
    assert!(!screen.contains("matrix/"), "the table is gone: {screen}");
    assert!(!tmux.is_other_screen() && tmux.has_cursor());
    let read = |name: &str| std::fs::read_to_string(host.scratch().join(name)).unwrap_or_default();
    wait_until("it is seen how the terminal is", SOON, || read("after").ends_with('\n'));
    assert_eq!(read("after"), read("before"));
    std::fs::remove_file(host.scratch().join("after")).unwrap();
    screen
}

#[test]
fn it_is_sorted_filtered_and_resized_and_follows_what_comes_and_goes() {
    ThrowAwayHost::run(|host| {
        let _cgroups = Cgroups::mount(host);
        let file = lab(host);
        ok(&["up", &file]);
        let tmux = Tmux::start(host, 130, 12);
        tmux.line(&format!("cd {}", host.scratch().display()));
        start(&tmux, 1);
        let ordered = |expected: [&str; 3]| {
            tmux.until(&format!("{expected:?} are there"), |screen| shown(screen) == expected);
        };
        let percent = |screen: &str| -> Option<f64> {
            let line = screen.lines().find(|line| line.starts_with("matrix/busy"))?;
            line.split_whitespace().nth(2)?.parse().ok()
        };
        let screen = tmux.until("it works", |screen| percent(screen) > Some(10.0) && shown(screen)[0] == "busy");
        assert!(screen.contains("3 nodes, 2 containers (2 running), by cpu") && screen.contains("100M"), "{screen}");
        tmux.key("n");
        ordered(["busy", "calm", "plain"]);
        tmux.key("r");
        ordered(["plain", "calm", "busy"]);
        tmux.key("Right");
        ordered(["busy", "calm", "plain"]);
        tmux.text("/AL");
        let screen = tmux.until("it is narrowed", |screen| shown(screen) == ["calm"]);
        assert!(screen.contains("/AL_") && screen.contains("1 shown"), "{screen}");
        tmux.key("Enter");
        tmux.until("it stays so", |screen| screen.contains("/AL  Esc") && shown(screen) == ["calm"]);
        tmux.key("Escape");
        ordered(["busy", "calm", "plain"]);
        // The window's size.
        assert!(tmux.screen().contains("MEM LIMIT"));
        tmux.resize(70, 5);
        let narrow =
            |screen: &str| !screen.contains("MEM LIMIT") && screen.contains("CPU%") && shown(screen).len() == 2;
        let screen = tmux.until("it fits", narrow);
        assert!(screen.lines().all(|line| line.chars().count() <= 70), "{screen}");
        tmux.key("End");
        tmux.until("the last one is seen", |screen| shown(screen).last() == Some(&"plain"));
        tmux.resize(130, 12);
        tmux.until("all of it is there again", |screen| screen.contains("MEM LIMIT") && shown(screen).len() == 3);
        // What comes, goes, starts and stops.
        ok(&["stop", "calm"]);
        let state = |screen: &str, state: &str| {
            screen.lines().any(|line| line.starts_with("matrix/calm") && line.contains(state))
        };
        tmux.until("it is seen to have ended", |screen| state(screen, "killed"));
        ok(&["start", "calm"]);
        tmux.until("it is seen to run", |screen| state(screen, "running"));
        ok(&["down"]);
        tmux.until("there is nothing", |screen| screen.contains("no lab is up") && shown(screen).is_empty());
        ok(&["up", &file]);
        tmux.until("all is there", |screen| shown(screen).len() == 3);
        tmux.key("q");
        assert_ended(host, &tmux, 1, 0);
        ok(&["down"]);
        drop(tmux);
    });
}

#[test]
fn the_terminal_is_as_it_was_however_it_ends() {
    ThrowAwayHost::run(|host| {
        let _cgroups = Cgroups::mount(host);
        ok(&["up", &lab(host)]);
        let tmux = Tmux::start(host, 120, 12);
        tmux.line(&format!("cd {}", host.scratch().display()));
        for (number, signal) in [(1, Signal::SIGTERM), (2, Signal::SIGHUP), (3, Signal::SIGINT)] {
            start(&tmux, number);
            kill(pid(), signal).unwrap();
            assert_ended(host, &tmux, number, 0);
        }
        start(&tmux, 4);
        tmux.key("C-c");
        assert_ended(host, &tmux, 4, 0);
        // Stopped as any job, and on again.
        tmux.line(&format!("clear; stty -g > before; {NSLAB} top -i 0.2"));
        tmux.until("the table is there", |screen| shown(screen).len() == 3);
        tmux.key("C-z");
        tmux.until("it is stopped", |screen| screen.contains("Stopped") && !screen.contains("matrix/"));
        assert!(!tmux.is_other_screen() && tmux.has_cursor());
        assert_eq!(sh(&format!("ps -o state= -p {}", pid())), "T\n");
        tmux.line("fg");
        tmux.until("the table is there again", |screen| shown(screen).len() == 3);
        assert!(tmux.is_other_screen() && !tmux.has_cursor());
        // Stopped by somebody whom it can't hear, it does not leave the shell with a terminal that it can't use for good.
        kill(pid(), Signal::SIGSTOP).unwrap();
        wait_until("it is stopped", SOON, || sh(&format!("ps -o state= -p {}", pid())) == "T\n");
        tmux.line("fg; echo code-5-$?; stty -g > after");
        tmux.until("the table is there again", |screen| shown(screen).len() == 3 && !screen.contains("Stopped"));
        tmux.key("q");
        assert_ended(host, &tmux, 5, 0);
        // A fault of its own is told where it can be read.
        tmux.line(&format!(
            "clear; stty -g > before; RUST_BACKTRACE=0 NSLAB_TEST_FAIL_IN=top {NSLAB} top; echo code-6-$?; stty -g > after"
        ));
        let screen = assert_ended(host, &tmux, 6, 101);
        assert!(screen.contains("drawing the table: Injected"), "{screen}");
        ok(&["down"]);
        drop(tmux);
    });
}
