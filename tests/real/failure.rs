//! Whatever the kernel refuses, a lab is what it was before, or what is left is said; and a `down` takes it away.

use crate::support::run::{self, identities, text};
use crate::support::walk::{
    MOST_POINTS, WalkedLab, assert_converged, count, down, on_each_backend, succeeded, topology, walk,
};
use crate::support::{database, nslab};
use std::process::Output;

on_each_backend! {
    up_that_fails_anywhere_leaves_nothing,
    changing_up_that_fails_anywhere_puts_the_lab_back,
    putting_back_that_fails_anywhere_is_told_and_down_goes_on,
    a_down_that_fails_anywhere_says_what_is_left_and_the_next_goes_on,
    a_change_that_is_put_back_leaves_alone_what_it_did_not_touch,
}

pub(crate) fn up_that_fails_anywhere_leaves_nothing(lab: &WalkedLab) {
    let WalkedLab { host, before: file, .. } = lab;
    let failed = |output: &Output, point| {
        assert_eq!(output.status.code(), Some(1), "chance {point}: {}", text(output));
        assert!(text(output).contains("a test made this fail"), "chance {point}: {}", text(output));
        host.assert_as_it_was(&format!("after a failure at chance {point}"));
    };
    walk(lab, &["up", file], "NSLAB_TEST_FAIL_AT", || {}, failed, |_| ());
    down(host, 0);
}

pub(crate) fn changing_up_that_fails_anywhere_puts_the_lab_back(lab: &WalkedLab) {
    let WalkedLab { host, before, after, .. } = lab;
    succeeded(&nslab(["up", before]).output().unwrap());
    let failed = |output: &Output, point| {
        assert_eq!(output.status.code(), Some(1), "chance {point}: {}", text(output));
        assert_converged(before, point);
    };
    walk(lab, &["up", after], "NSLAB_TEST_FAIL_AT", || {}, failed, |_| ());
    down(host, 0);
}

/// What the kernel refuses to take back is said, with exit code 4, and `down` goes on from there.
fn putting_back_that_fails_anywhere_is_told_and_down_goes_on(lab: &WalkedLab) {
    let WalkedLab { host, before, after, .. } = lab;
    succeeded(&nslab(["up", before]).output().unwrap());
    let chances = count(host, "chance", &["up", after]);
    succeeded(&nslab(["up", before]).output().unwrap());
    for chance in chances.. {
        assert!(chance < MOST_POINTS, "the walk did not come to an end");
        // The change fails at its last step, and then its undo at one place.
        let output =
            nslab(["up", after]).env("NSLAB_TEST_FAIL_AT", format!("{},{chance}", chances - 1)).output().unwrap();
        if output.status.code() == Some(1) {
            assert_converged(before, chance);
            // Two steps that are done at once may have failed, and nothing of the undo.
            if chance > chances + 10 {
                break;
            }
            continue;
        }
        assert_eq!(output.status.code(), Some(4), "chance {chance}: {}", text(&output));
        assert!(text(&output).contains("this could not be put back"), "chance {chance}: {}", text(&output));
        assert!(text(&nslab(["ls"]).output().unwrap()).contains("half-changed"), "chance {chance}");
        down(host, chance);
        succeeded(&nslab(["up", before]).output().unwrap());
    }
    down(host, 0);
}

pub(crate) fn a_down_that_fails_anywhere_says_what_is_left_and_the_next_goes_on(lab: &WalkedLab) {
    let WalkedLab { host, before: file, .. } = lab;
    succeeded(&nslab(["up", file]).output().unwrap());
    let chances = count(host, "chance", &["down", "walk"]);
    let mut left = 0;
    for chance in 1..=chances {
        succeeded(&nslab(["up", file]).output().unwrap());
        let output = nslab(["down", "walk"]).env("NSLAB_TEST_FAIL_AT", chance.to_string()).output().unwrap();
        if output.status.success() {
            // What failed was done by the time, or went with its namespace.
            host.assert_as_it_was(&format!("after down with a failure at chance {chance}"));
            continue;
        }
        left += 1;
        let said = text(&output);
        match output.status.code() {
            Some(4) => assert!(said.contains("walk is not all gone; left: "), "chance {chance}: {said}"),
            // The journal could not be written, so nothing was begun.
            Some(1) => assert!(said.contains("can't write"), "chance {chance}: {said}"),
            _ => panic!("chance {chance}: {said}"),
        }
        assert!(!said.contains("no lab"), "chance {chance}: {said}");
        down(host, chance);
    }
    assert!(left > 3, "only {left} of {chances} failures left something");
}

/// What a change does not touch stays the same thing when the change is put back: inode, index, process, row.
fn a_change_that_is_put_back_leaves_alone_what_it_did_not_touch(lab: &WalkedLab) {
    let WalkedLab { host, on_ovs, .. } = lab;
    let text = |nodes: &str, links: &str| {
        let backend = if *on_ovs { "ovs" } else { "linux" };
        format!(
            "name: lab\nswitches: {{br0: {{backend: {backend}, subnets: [10.0.0.0/24]}}}}\nnodes: {{{nodes}}}\n\
             links: [{links}]\n"
        )
    };
    let before = topology(host, "before.yaml", &text("a: , b: ", "[a, br0], [b, br0]"));
    let after = topology(
        host,
        "after.yaml",
        &text("a: , b: {sysctls: {net.ipv4.tcp_ecn: 1}}, c: ", "[a, br0], [b, br0], [c, br0]"),
    );
    succeeded(&nslab(["up", &before]).output().unwrap());
    let mut sleepers = ["a", "b"].map(|node| nslab(["exec", node, "--", "sleep", "1000"]).spawn().unwrap());
    let things = || (identities(), on_ovs.then(database::uuids));
    let old = things();
    let failed = |output: &Output, point| {
        assert_eq!(output.status.code(), Some(1), "chance {point}: {}", run::text(output));
        assert_eq!(things(), old, "after a failure at chance {point}");
    };
    walk(lab, &["up", &after], "NSLAB_TEST_FAIL_AT", || {}, failed, |_| ());
    for sleeper in &mut sleepers {
        assert!(sleeper.try_wait().unwrap().is_none(), "a process was ended");
    }
    succeeded(&nslab(["down"]).output().unwrap());
    for mut sleeper in sleepers {
        sleeper.wait().unwrap();
    }
}
