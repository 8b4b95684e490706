//! Ctrl-C and its like: a command stops and puts things back; `down` goes on; a second one ends it where it is.

use crate::support::run::{fails, ok, text};
use crate::support::walk::{WalkedLab, assert_converged, count, down, on_each_backend, succeeded, topology};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, Stdio};
use std::time::Duration;

on_each_backend! {
    up_interrupted_anywhere_leaves_nothing,
    a_changing_up_interrupted_anywhere_puts_the_lab_back,
    a_down_goes_on_wherever_it_is_interrupted,
}

pub(crate) fn up_interrupted_anywhere_leaves_nothing(lab: &WalkedLab) {
    let WalkedLab { host, before: file, .. } = lab;
    let all = count(host, "point", &["up", file]);
    down(host, 0);
    let mut interrupted = 0;
    for point in 1..=all {
        // Each of the three signals at every third point.
        let signal = ["SIGINT", "SIGTERM", "SIGHUP"][point as usize % 3];
        let output = nslab(["up", file])
            .envs([("NSLAB_TEST_INTERRUPT_AT", point.to_string().as_str()), ("NSLAB_TEST_SIGNAL", signal)])
            .output()
            .unwrap();
        // The signal is noticed a moment later, so a run that gets it at one of its last points may come to its end.
        if output.status.success() {
            down(host, point);
            continue;
        }
        interrupted += 1;
        assert_eq!(output.status.code(), Some(1), "{signal} at point {point}: {}", text(&output));
        assert!(text(&output).contains("interrupted"), "{signal} at point {point}: {}", text(&output));
        host.assert_as_it_was(&format!("after {signal} at point {point}"));
    }
    println!("{interrupted} of {all} points interrupted the run");
    assert!(interrupted * 2 > all, "only {interrupted} of {all} signals were heard");
}

pub(crate) fn a_changing_up_interrupted_anywhere_puts_the_lab_back(lab: &WalkedLab) {
    let WalkedLab { host, before, after, .. } = lab;
    succeeded(&nslab(["up", before]).output().unwrap());
    let all = count(host, "point", &["up", after]);
    let mut interrupted = 0;
    for point in 1..=all {
        succeeded(&nslab(["up", before]).output().unwrap());
        let output = nslab(["up", after]).env("NSLAB_TEST_INTERRUPT_AT", point.to_string()).output().unwrap();
        if output.status.success() {
            continue;
        }
        interrupted += 1;
        assert_eq!(output.status.code(), Some(1), "point {point}: {}", text(&output));
        assert_converged(before, point);
    }
    assert!(interrupted * 2 > all, "only {interrupted} of {all} signals were heard");
    down(host, 0);
}

fn a_down_goes_on_wherever_it_is_interrupted(lab: &WalkedLab) {
    let WalkedLab { host, before: file, .. } = lab;
    succeeded(&nslab(["up", file]).output().unwrap());
    let all = count(host, "point", &["down", "walk"]);
    for point in 1..=all {
        succeeded(&nslab(["up", file]).output().unwrap());
        let output = nslab(["down", "walk"]).env("NSLAB_TEST_INTERRUPT_AT", point.to_string()).output().unwrap();
        let said = text(&output);
        // Before the lab's lock is taken there is nothing yet to go on with.
        if said.contains("interrupted") {
            assert_eq!(output.status.code(), Some(1), "point {point}: {said}");
            down(host, point);
        } else {
            assert!(output.status.success(), "point {point}: {said}");
            host.assert_as_it_was(&format!("after down interrupted at point {point}"));
        }
    }
}

/// An `up` that does not end by itself, and waits in its node's command.
const SLOW: &str = "name: slow\nnodes: {a: {exec: ['echo begun > SCRATCH/begun; sleep 1000']}}\n";

fn begin_slow(host: &ThrowAwayHost) -> Child {
    let file = topology(host, "slow.yaml", SLOW);
    let begun = host.scratch().join("begun");
    let _ = std::fs::remove_file(&begun);
    let slow = nslab(["up", &file]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the node's command runs", Duration::from_secs(10), || begun.exists());
    slow
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

#[test]
fn who_waits_for_a_lab_says_so_and_can_be_interrupted() {
    ThrowAwayHost::run(|host| {
        let slow = begin_slow(host);
        let file = topology(host, "slow.yaml", SLOW);
        for waiting in [&["up", &file][..], &["down", "slow"]] {
            let stderr = host.scratch().join("stderr");
            let mut second = nslab(waiting).stderr(std::fs::File::create(&stderr).unwrap()).spawn().unwrap();
            let said = || std::fs::read_to_string(&stderr).unwrap();
            wait_until("it says that it waits", Duration::from_secs(10), || {
                said().contains("another nslab is changing slow: waiting for it")
            });
            send(&second, Signal::SIGINT);
            assert_eq!(second.wait().unwrap().code(), Some(1), "{}", said());
            assert!(said().contains("interrupted"), "{}", said());
        }
        assert!(ok(&["ls"]).contains("half-made"));
        send(&slow, Signal::SIGTERM);
        let output = slow.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(fails(&["down"], 1).contains("no lab is up"));
    });
}

#[test]
fn the_second_signal_ends_it_where_it_is() {
    ThrowAwayHost::run(|host| {
        // Taking a namespace away waits for its processes: this one takes no SIGTERM, so two seconds.
        let file =
            topology(host, "slow.yaml", &SLOW.replace("sleep 1000", "trap \"\" TERM INT; sleep 1000 & wait; wait"));
        let begun = host.scratch().join("begun");
        let stderr = host.scratch().join("stderr");
        let said = || std::fs::read_to_string(&stderr).unwrap();
        let mut slow = nslab(["up", &file]).stderr(std::fs::File::create(&stderr).unwrap()).spawn().unwrap();
        wait_until("the node's command runs", Duration::from_secs(10), || begun.exists());
        send(&slow, Signal::SIGINT);
        wait_until("it was heard", Duration::from_secs(10), || said().contains("stopping, and putting back"));
        send(&slow, Signal::SIGINT);
        assert_eq!(slow.wait().unwrap().code(), Some(130), "{}", said());
        assert!(said().contains("`nslab down` takes away what there is"), "{}", said());
        ok(&["down"]);
    });
}
