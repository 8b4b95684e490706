//! As `crash` and `failure`, for labs with nodes that are containers.

use crate::crash::{killed_anywhere_then_down, killed_anywhere_then_up, putting_back_killed_anywhere_then_up_or_down};
use crate::failure::{
    a_down_that_fails_anywhere_says_what_is_left_and_the_next_goes_on,
    changing_up_that_fails_anywhere_puts_the_lab_back, up_that_fails_anywhere_leaves_nothing,
};
use crate::support::cgroups::Cgroups;
use crate::support::rootfs::busybox;
use crate::support::run::{ok, sh, text, write};
use crate::support::walk::walks;
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::path::Path;
use std::time::Duration;

/// How long something may take that is done at once.
const SOON: Duration = Duration::from_secs(30);

walks!(
    contained,
    |host| WalkedLab::contained(host),
    killed_anywhere_then_down,
    killed_anywhere_then_up,
    putting_back_killed_anywhere_then_up_or_down,
    up_that_fails_anywhere_leaves_nothing,
    changing_up_that_fails_anywhere_puts_the_lab_back,
    a_down_that_fails_anywhere_says_what_is_left_and_the_next_goes_on
);

#[test]
fn a_launcher_that_hangs_fails_its_lab_and_leaves_nothing() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        busybox(host, "root");
        let container = "{container: {rootfs: ./root, command: [sleep, '1000'], limits: {memory: 50M}}}";
        let file = write(host, "stuck.yaml", &format!("name: stuck\nnodes: {{zion: {container}}}\n"));
        let before = host.as_it_is_now();
        for place in ["before anything is made", "inside, when it is set up", "when the command may run"] {
            let mut up = nslab(["up", &file]);
            let output = up.env("NSLAB_TEST_HELPER_HANG_AT", place).env("NSLAB_TEST_PATIENCE_S", "2").output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{place}: {}", text(&output));
            let expected = "can't start the container zion: can't hear from the launcher, which was killed after 2 s: ";
            assert!(text(&output).contains(expected), "{place}: {}", text(&output));
            assert_eq!(sh("ps -e -o comm= | grep -cE '^(nslab|sleep)$' || true"), "0\n", "{place}");
            assert_eq!(cgroups.all(), [] as [&str; 0], "{place}");
            before.assert_as_it_was(place);
        }
        ok(&["up", &file]);
        ok(&["down"]);
    });
}

#[test]
fn a_launcher_that_gets_on_when_its_nslab_is_long_dead_keeps_nobody_from_starting_another() {
    ThrowAwayHost::run(|host| {
        busybox(host, "root");
        let lab = |seconds: &str| {
            let container = format!("{{container: {{rootfs: ./root, command: [sleep, '{seconds}']}}}}");
            write(host, &format!("{seconds}.yaml"), &format!("name: late\nnodes: {{zion: {container}}}\n"))
        };
        let [wanted, other] = ["2241", "2242"].map(lab);
        let is_there = |seconds: &str| sh(&format!("pgrep -f '^sleep {seconds}' || true")).lines().count() == 1;
        let stopped = || sh("grep -l '^State:.T' /proc/[0-9]*/status | cut -d/ -f3").lines().count();
        let file = host.scratch().join("points");
        ok(&["up", &other]);
        assert!(nslab(["up", &wanted]).env("NSLAB_TEST_POINTS", &file).status().unwrap().success());
        let points = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let begun =
            points.lines().find(|line| line.ends_with("after writing plan.json")).unwrap().split(' ').nth(1).unwrap();

        let place = "before anything is made";
        let mut killed = nslab(["up", &other]).env("NSLAB_TEST_HELPER_STOP_AT", place).spawn().unwrap();
        wait_until("its launcher has stopped", SOON, || stopped() == 1);
        killed.kill().unwrap();
        killed.wait().unwrap();
        let mut next = nslab(["up", &wanted]);
        next.env("NSLAB_TEST_POINTS", &file)
            .envs([("NSLAB_TEST_INTERRUPT_AT", begun), ("NSLAB_TEST_SIGNAL", "SIGSTOP")]);
        let mut next = next.spawn().unwrap();
        wait_until("it has stopped in the midst", SOON, || stopped() == 2);
        assert!(std::fs::read_to_string(&file).unwrap().ends_with("after writing plan.json\n"));
        // Meanwhile the launcher gets on.
        sh(&format!("kill -CONT $(grep -l '^State:.T' /proc/[0-9]*/status | cut -d/ -f3 | grep -vx {})", next.id()));
        wait_until("the other one's command runs", SOON, || is_there("2242"));
        sh(&format!("kill -CONT {}", next.id()));
        assert!(next.wait().unwrap().success());
        assert!(is_there("2241") && !is_there("2242"));
        ok(&["down"]);
    });
}

#[test]
fn wherever_the_last_volumes_removal_is_killed_nothing_is_left_in_the_end() {
    ThrowAwayHost::run(|host| {
        let before = host.as_it_is_now();
        let with = write(host, "with.yaml", "name: matrix\nvolumes: {shared: {kind: tmpfs}}\nnodes: {a: }\n");
        let without = write(host, "without.yaml", "name: matrix\nnodes: {a: }\n");
        let mut last = 0;
        for point in 1.. {
            ok(&["up", &with]);
            let killed = nslab(["up", &without]).env("NSLAB_TEST_CRASH_AT", point.to_string()).output().unwrap();
            ok(&["up", &without]);
            assert!(!Path::new("/run/nslab/labs/matrix/volumes").exists(), "point {point}");
            ok(&["down"]);
            last = point;
            if killed.status.success() {
                break;
            }
        }
        assert!(last > 4, "only {last} points");
        before.assert_as_it_was("after all");
    });
}
