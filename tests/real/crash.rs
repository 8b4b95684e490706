//! Wherever nslab is killed, nothing is left behind that `down` does not take away, and a second `up` ends as an
//! undisturbed one does.

use crate::support::nslab;
use crate::support::walk::{WalkedLab, assert_converged, count, down, on_each_backend, succeeded, walk, was_killed};
use std::path::Path;

on_each_backend! {
    in halves:
    up_killed_anywhere_then_down,
    up_killed_anywhere_then_up,
    changing_up_killed_anywhere_then_down,
    changing_up_killed_anywhere_then_up,
    down_killed_anywhere_then_down,
    down_killed_anywhere_then_up,
    putting_back_killed_anywhere_then_up_or_down,
    taking_back_killed_anywhere_then_down,
}

pub(crate) fn up_killed_anywhere_then_down(lab: &WalkedLab) {
    let WalkedLab { host, before: file, .. } = lab;
    walk(lab, &["up", file], "NSLAB_TEST_CRASH_AT", || {}, was_killed, |point| down(host, point));
}

pub(crate) fn up_killed_anywhere_then_up(lab: &WalkedLab) {
    let WalkedLab { host, before: file, .. } = lab;
    let after = |point| {
        succeeded(&nslab(["up", file]).output().unwrap());
        assert_converged(file, point);
        let ran = host.scratch().join("exec-ran");
        assert!(ran.exists(), "after point {point}: the node's command was not run");
        std::fs::remove_file(ran).unwrap();
        down(host, point);
    };
    walk(lab, &["up", file], "NSLAB_TEST_CRASH_AT", || {}, was_killed, after);
}

pub(crate) fn changing_up_killed_anywhere_then_down(lab: &WalkedLab) {
    let WalkedLab { host, before, after, .. } = lab;
    let start = || succeeded(&nslab(["up", before]).output().unwrap());
    walk(lab, &["up", after], "NSLAB_TEST_CRASH_AT", start, was_killed, |point| down(host, point));
}

pub(crate) fn changing_up_killed_anywhere_then_up(lab: &WalkedLab) {
    let WalkedLab { host, before, after, .. } = lab;
    let start = || succeeded(&nslab(["up", before]).output().unwrap());
    let then = |point| {
        succeeded(&nslab(["up", after]).output().unwrap());
        assert_converged(after, point);
        down(host, point);
    };
    walk(lab, &["up", after], "NSLAB_TEST_CRASH_AT", start, was_killed, then);
}

pub(crate) fn down_killed_anywhere_then_down(lab: &WalkedLab) {
    let WalkedLab { host, before: file, .. } = lab;
    let start = || succeeded(&nslab(["up", file]).output().unwrap());
    let then = |point| {
        if Path::new("/run/nslab/labs/walk").exists() {
            down(host, point);
        } else {
            let _ = nslab(["down", "--all"]).output().unwrap();
            host.assert_as_it_was(&format!("after point {point} of down"));
        }
    };
    walk(lab, &["down", "walk"], "NSLAB_TEST_CRASH_AT", start, was_killed, then);
}

pub(crate) fn down_killed_anywhere_then_up(lab: &WalkedLab) {
    let WalkedLab { host, before: file, .. } = lab;
    let start = || succeeded(&nslab(["up", file]).output().unwrap());
    let then = |point| {
        succeeded(&nslab(["up", file]).output().unwrap());
        assert_converged(file, point);
        down(host, point);
    };
    walk(lab, &["down", "walk"], "NSLAB_TEST_CRASH_AT", start, was_killed, then);
}

/// A change that fails at its last step, and is killed while it is put back.
pub(crate) fn putting_back_killed_anywhere_then_up_or_down(lab: &WalkedLab) {
    let WalkedLab { host, before, after, .. } = lab;
    succeeded(&nslab(["up", before]).output().unwrap());
    let chances = count(host, "chance", &["up", after]);
    let points = count(host, "point", &["up", before]);
    // The journal's own write is the last chance of all: the step before it is the last to be undone.
    let last = (chances - 1).to_string();
    let mut passed_all = false;
    for point in lab.points(points / 2) {
        let output = nslab(["up", after])
            .envs([("NSLAB_TEST_FAIL_AT", &last), ("NSLAB_TEST_CRASH_AT", &point.to_string())])
            .output()
            .unwrap();
        passed_all = output.status.code() == Some(1);
        if !passed_all {
            was_killed(&output, point);
        }
        if point % 2 == 0 {
            succeeded(&nslab(["up", before]).output().unwrap());
            assert_converged(before, point);
        } else {
            down(host, point);
            succeeded(&nslab(["up", before]).output().unwrap());
        }
        if passed_all {
            break;
        }
    }
    assert!(passed_all);
    down(host, 0);
}

/// The same of a lab that is new.
fn taking_back_killed_anywhere_then_down(lab: &WalkedLab) {
    let WalkedLab { host, before: file, .. } = lab;
    let chances = count(host, "chance", &["up", file]);
    down(host, 0);
    let last = (chances - 1).to_string();
    for point in lab.points(chances / 2) {
        let output = nslab(["up", file])
            .envs([("NSLAB_TEST_FAIL_AT", &last), ("NSLAB_TEST_CRASH_AT", &point.to_string())])
            .output()
            .unwrap();
        if output.status.code() == Some(1) {
            host.assert_as_it_was("after all was taken back");
            return;
        }
        was_killed(&output, point);
        down(host, point);
    }
    panic!("the walk did not come to an end");
}
