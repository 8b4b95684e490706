//! Wherever nslab is killed, nothing is left behind that `down` does not take away, and a second `up` ends as an
//! undisturbed one does.

use crate::support::walk::{WalkedLab, assert_converged, count, down, on_each_backend, succeeded, was_killed};
use crate::support::{ThrowAwayHost, nslab};
use std::path::Path;

on_each_backend! {
    in halves:
    killed_anywhere_then_down,
    killed_anywhere_then_up,
    putting_back_killed_anywhere_then_up_or_down,
    taking_back_killed_anywhere_then_down,
}

/// A lab that is made, or changed, is taken away by `down`.
pub(crate) fn killed_anywhere_then_down(lab: &WalkedLab) {
    let WalkedLab { host, before, after, .. } = lab;
    let (mut made, mut changed) = (false, false);
    lab.through_all_points(|point| {
        if !made {
            made = got_through(&["up", before], point);
            down(host, point);
        }
        if !changed {
            succeeded(&nslab(["up", before]).output().unwrap());
            changed = got_through(&["up", after], point);
            down(host, point);
        }
        made && changed
    });
}

/// `up` goes on wherever a lab was left, when it is made, when it is changed, and when it is taken away; and so does `down`. Each
/// begins with what the one before has gone on with, which spares the making of a lab for each.
pub(crate) fn killed_anywhere_then_up(lab: &WalkedLab) {
    let WalkedLab { host, before, after, .. } = lab;
    let (mut made, mut changed, mut gone) = (false, false, false);
    lab.through_all_points(|point| {
        if !made {
            made = got_through(&["up", before], point);
        }
        succeeded(&nslab(["up", before]).output().unwrap());
        assert_converged(before, point);
        let ran = host.scratch().join("exec-ran");
        assert!(ran.exists(), "after point {point}: the node's command was not run");
        std::fs::remove_file(ran).unwrap();
        if !changed {
            changed = got_through(&["up", after], point);
            succeeded(&nslab(["up", after]).output().unwrap());
            assert_converged(after, point);
        }
        if !gone {
            gone = got_through(&["down", "walk"], point);
            succeeded(&nslab(["up", before]).output().unwrap());
            assert_converged(before, point);
            got_through(&["down", "walk"], point);
        }
        rest_of_down(host, point);
        made && changed && gone
    });
}

/// What is left of a change by `up` alone is what [`killed_anywhere_then_down`] has of it: for labs that are made like others.
pub(crate) fn changing_up_killed_anywhere_then_down(lab: &WalkedLab) {
    let WalkedLab { host, before, after, .. } = lab;
    lab.through_all_points(|point| {
        succeeded(&nslab(["up", before]).output().unwrap());
        let changed = got_through(&["up", after], point);
        down(host, point);
        changed
    });
}

/// As [`killed_anywhere_then_up`], of the change alone.
pub(crate) fn changing_up_killed_anywhere_then_up(lab: &WalkedLab) {
    let WalkedLab { host, before, after, .. } = lab;
    lab.through_all_points(|point| {
        succeeded(&nslab(["up", before]).output().unwrap());
        let changed = got_through(&["up", after], point);
        succeeded(&nslab(["up", after]).output().unwrap());
        assert_converged(after, point);
        down(host, point);
        changed
    });
}

/// Whether nslab had no so many points, and came to its end; it was killed otherwise.
fn got_through(arguments: &[&str], point: u32) -> bool {
    let output = nslab(arguments).env("NSLAB_TEST_CRASH_AT", point.to_string()).output().unwrap();
    let through = output.status.success();
    if !through {
        was_killed(&output, point);
    }
    through
}

/// `down` after one that was killed, perhaps when the lab was gone and not yet what labs share.
fn rest_of_down(host: &ThrowAwayHost, point: u32) {
    if Path::new("/run/nslab/labs/walk").exists() {
        down(host, point);
    } else {
        let _ = nslab(["down", "--all"]).output().unwrap();
        host.assert_as_it_was(&format!("after point {point} of down"));
    }
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
