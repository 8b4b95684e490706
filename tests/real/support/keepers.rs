//! The processes that watch over an uplink.

use super::wait_until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// Keepers: those that run with a lab's directory for an argument.
pub(crate) fn keepers() -> Vec<i32> {
    with_verb("__keep")
}

/// Those that watch over keepers.
pub(crate) fn watchers() -> Vec<i32> {
    with_verb("__watch-keeper")
}

fn with_verb(verb: &str) -> Vec<i32> {
    let pids =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is_one = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).nth(1) == Some(verb.as_bytes())
    };
    pids.filter(is_one).collect()
}

/// Kills a process, if it is still there.
pub(crate) fn kill_one(pid: i32) {
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
}

/// Kills all of them, before one can start another.
pub(crate) fn kill_all() {
    let begun = Instant::now();
    loop {
        let all = [keepers(), watchers()].concat();
        if all.is_empty() {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "they are started faster than they are killed");
        for pid in &all {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGSTOP);
        }
        for pid in &all {
            kill_one(*pid);
        }
        wait_until("they are gone", Duration::from_secs(10), || {
            all.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}/cmdline")).exists() || is_dead(*pid))
        });
    }
}

/// Whether a process has ended, and nobody has taken note yet.
fn is_dead(pid: i32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().is_empty()
}
