//! Several stores of images: what stood in one leaves that one, whichever the commands after it are told of.

use crate::image_container::stocked;
use crate::support::run::{ok, sh, text, write};
use crate::support::{ThrowAwayHost, nslab};
use std::path::Path;

const LAB: &str = "name: m\nnodes: {n: {container: {image: a, command: [sleep, inf]}}}\n";

/// The machine's own, which no test of these has a use for.
fn has_own() -> bool {
    Path::new("/var/lib/nslab/images").exists()
}

#[test]
fn a_lab_leaves_the_store_that_it_was_brought_up_with() {
    ThrowAwayHost::run(|host| {
        let (images, had_own) = (stocked(host), has_own());
        let lab = write(host, "lab.yaml", LAB);
        images.ok(&["up", &lab]);
        assert_eq!(images.names("containers"), ["m@n"]);
        ok(&["stop", "n"]);
        ok(&["start", "n"]);
        ok(&["down"]);
        assert_eq!(images.names("containers"), [] as [String; 0]);
        images.ok(&["up", &lab]);
        let plain = write(host, "plain.yaml", "name: m\nnodes: {n: }\n");
        ok(&["up", &plain]);
        assert_eq!(images.names("containers"), [] as [String; 0]);
        ok(&["down"]);
        images.ok(&["image", "rm", "a"]);
        images.assert_empty();
        assert_eq!(has_own(), had_own);
    });
}

#[test]
fn a_lab_moves_from_one_store_to_another_and_where_it_can_not_it_leaves_nothing_there() {
    ThrowAwayHost::run(|host| {
        let images = stocked(host);
        let lab = write(host, "lab.yaml", LAB);
        let [scratch, other] = ["", "other"].map(|name| host.scratch().join(name).display().to_string());
        let in_other = |arguments: &[&str]| ok(&[&["--image-dir", &other], arguments].concat());
        in_other(&["image", "import", &format!("{scratch}/rootfs"), "--name", "a"]);
        let there = || sh(&format!("ls {other}/containers"));
        images.ok(&["up", &lab]);
        let mut failed = false;
        for chance in 1..4 {
            let mut up = nslab(["--image-dir", &other, "up", &lab]);
            let output = up.env("NSLAB_TEST_FAIL_AT", chance.to_string()).output().unwrap();
            failed |= !output.status.success();
            if !output.status.success() {
                assert_eq!(
                    (images.names("containers"), there()),
                    (vec!["m@n".to_owned()], String::new()),
                    "{}",
                    text(&output)
                );
            }
        }
        assert!(failed, "something was to fail");
        in_other(&["up", &lab]);
        assert_eq!((images.names("containers"), there()), (Vec::new(), "m@n\n".to_owned()));
        images.ok(&["image", "rm", "a"]);
        images.assert_empty();
        // Killed on the way back, the lab leaves both.
        images.ok(&["image", "import", &format!("{scratch}/rootfs"), "--name", "a"]);
        for point in 1..=12 {
            in_other(&["up", &lab]);
            let mut up = images.command(&["up", &lab]);
            up.env("NSLAB_TEST_CRASH_AT", point.to_string()).output().unwrap();
            ok(&["down"]);
            assert_eq!((images.names("containers"), there()), (Vec::new(), String::new()), "killed at point {point}");
        }
    });
}

/// Of an `up` that was killed, a container may run that only the plan tells of.
#[test]
fn what_a_killed_command_has_started_keeps_its_files_whatever_fails_next() {
    ThrowAwayHost::run(|host| {
        let images = stocked(host);
        let lab = write(host, "lab.yaml", LAB);
        let [scratch, other, points] =
            ["", "other", "points"].map(|name| host.scratch().join(name).display().to_string());
        let in_other = |arguments: &[&str]| ok(&[&["--image-dir", &other], arguments].concat());
        let up = || nslab(["--image-dir", &other, "up", &lab]);
        let there = || sh(&format!("ls {other}/containers"));
        in_other(&["image", "import", &format!("{scratch}/rootfs"), "--name", "a"]);
        images.ok(&["up", &lab]);
        assert!(up().env("NSLAB_TEST_POINTS", &points).status().unwrap().success());
        ok(&["down"]);
        let all = sh(&format!("grep -c '^point ' {points}")).trim().parse::<u32>().unwrap();
        let mut ran = 0;
        for point in all.saturating_sub(8)..=all {
            images.ok(&["up", &lab]);
            up().env("NSLAB_TEST_CRASH_AT", point.to_string()).output().unwrap();
            let has_plan = Path::new("/run/nslab/labs/m/plan.json").exists();
            let failed = up().env("NSLAB_TEST_FAIL_AT", "1").output().unwrap();
            if has_plan && !failed.status.success() && ok(&["ps"]).contains("running") {
                ran += 1;
                assert_eq!(there(), "m@n\n", "killed at point {point}: {}", text(&failed));
            }
            in_other(&["up", &lab]);
            assert_eq!(in_other(&["exec", "n", "--", "cat", "/etc/said"]), "image\n");
            ok(&["down"]);
            assert_eq!((images.names("containers"), there()), (Vec::new(), String::new()), "killed at point {point}");
        }
        assert!(ran > 0, "of {all} points, at none of the last did it run");
    });
}

#[test]
fn a_container_of_no_lab_leaves_the_store_that_it_stands_in() {
    ThrowAwayHost::run(|host| {
        let (images, had_own) = (stocked(host), has_own());
        let started = images.ok(&["launch", "--detach", "--name", "c", "--image", "a", "sleep", "1000"]);
        assert_eq!((started.trim(), images.names("containers").len()), ("c", 1));
        ok(&["rm", "c"]);
        assert_eq!(images.names("containers"), [] as [String; 0]);
        assert_eq!(has_own(), had_own);
    });
}
