//! What nslab remembers: state directories, labs beside each other, what is left lying about.

use crate::support::run::{fails, json, ok, sh, text, write};
use crate::support::{ThrowAwayHost, nslab, walk};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;

#[test]
fn two_ups_of_one_lab_do_not_disturb_each_other_and_other_labs_go_on() {
    ThrowAwayHost::run(|_| {
        let start =
            |topology: &str| nslab(["up", topology]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let all: Vec<_> = ["single,20", "single,20", "linear,3", "two-node"].into_iter().map(start).collect();
        for child in all {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", text(&output));
        }
        assert_eq!(json(&["--json", "ls"]).as_array().unwrap().len(), 3);
        assert!(fails(&["exec", "h1", "--", "true"], 125).contains("several labs are up"));
        ok(&["--lab", "single-20", "exec", "h1", "--", "true"]);
        ok(&["down", "--all"]);
    });
}

#[test]
fn gc_takes_away_what_a_stopped_up_left() {
    ThrowAwayHost::run(|_| {
        let killed = nslab(["up", "two-node"]).env("NSLAB_TEST_CRASH_AT", "20").output().unwrap();
        assert!(!killed.status.success());
        assert!(ok(&["ls"]).contains("half-made"));
        assert!(ok(&["doctor"]).contains("half-made"));
        assert!(ok(&["gc"]).contains("two-node"));
        assert!(ok(&["gc"]).contains("nothing was left behind"));
        // A link to a lab that a reboot took.
        sh("mkdir -p /etc/netns && ln -s /run/nslab/labs/gone/etc/0 /etc/netns/gone-a");
        assert!(ok(&["gc"]).contains("gone-a"));
        sh("rmdir /etc/netns");
    });
}

#[test]
fn a_half_changed_lab_is_told_and_kept_by_gc() {
    ThrowAwayHost::run(|host| {
        ok(&["up", "two-node"]);
        let more =
            ok(&["topologies", "--show", "two-node"]).replace("net2:\n", "net2:\n  net3:\n") + "  - [net3, br0]\n";
        let file = write(host, "more.yaml", &more);
        // Once to its end, to learn where a step is being carried out; then from the same start to there.
        let points = host.scratch().join("points");
        assert!(nslab(["up", &file]).env("NSLAB_TEST_POINTS", &points).output().unwrap().status.success());
        ok(&["up", "two-node"]);
        let point = walk::point(&points, "after writing plan.json") + 3;
        let killed = nslab(["up", &file]).env("NSLAB_TEST_CRASH_AT", point.to_string()).output().unwrap();
        assert_eq!(killed.status.signal(), Some(9), "{}", text(&killed));
        assert!(ok(&["ls"]).contains("half-changed"), "{}", ok(&["ls"]));
        assert_eq!(json(&["--json", "ls"])[0]["state"], "half_changed");
        let doctor = ok(&["doctor"]);
        assert!(doctor.contains("half-changed lab") && doctor.contains("`nslab down two-node`"), "{doctor}");
        assert!(ok(&["gc"]).contains("nothing was left behind"));
        ok(&["exec", "net1", "--", "ping", "-c1", "-W1", "net2"]);
        ok(&["up", &file]);
        ok(&["check"]);
        ok(&["down"]);
    });
}

#[test]
fn state_directories_do_not_take_each_others_labs() {
    ThrowAwayHost::run(|host| {
        let own = host.scratch().join("deep/er");
        let own = own.to_str().unwrap();
        ok(&["--state-dir", own, "up", "two-node"]);
        assert!(ok(&["ls"]).contains("no lab is up"));
        let message = fails(&["up", "two-node"], 1);
        assert!(message.contains("which another lab two-node made: use that one's `--state-dir`"), "{message}");
        fails(&["down"], 1);
        assert!(ok(&["gc"]).contains("nothing was left behind"));
        assert!(ok(&["doctor"]).contains("leftovers"), "{}", ok(&["doctor"]));
        // The machine's own directories stay for as long as any lab of any state directory is up.
        ok(&["up", "single,2"]);
        ok(&["--state-dir", own, "check"]);
        ok(&["down", "single-2"]);
        ok(&["--state-dir", own, "exec", "net1", "--", "ping", "-c1", "-W1", "net2"]);
        ok(&["up", "single,2"]);
        let output = nslab(["down"]).env("NSLAB_STATE_DIR", own).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        assert!(!Path::new(own).exists() && !host.scratch().join("deep").exists());
        ok(&["check"]);
        ok(&["down"]);
    });
}

#[test]
fn a_state_directory_that_was_there_stays() {
    ThrowAwayHost::run(|host| {
        let theirs = host.scratch().join("theirs");
        std::fs::create_dir_all(theirs.join("labs/not-a-lab")).unwrap();
        std::fs::write(theirs.join("labs/notes"), "mine").unwrap();
        let empty = host.scratch().join("empty");
        std::fs::create_dir(&empty).unwrap();
        for directory in [&theirs, &empty] {
            let directory = directory.to_str().unwrap();
            assert!(ok(&["--state-dir", directory, "ls"]).contains("no lab is up"));
            fails(&["--state-dir", directory, "down"], 1);
            ok(&["--state-dir", directory, "gc"]);
            ok(&["--state-dir", directory, "up", "two-node"]);
            ok(&["--state-dir", directory, "check"]);
            ok(&["--state-dir", directory, "down"]);
        }
        assert_eq!(std::fs::read_to_string(theirs.join("labs/notes")).unwrap(), "mine");
        assert!(theirs.join("labs/not-a-lab").is_dir());
        assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0);
        assert_eq!(sh(&format!("find {} | wc -l", theirs.display())).trim(), "4");
    });
}

#[test]
fn downs_and_ups_and_gcs_at_once_end_with_nothing_left() {
    ThrowAwayHost::run(|_| {
        let start =
            |arguments: &[&str]| nslab(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        for _ in 0..3 {
            ok(&["up", "single,10"]);
            let all = [
                start(&["down", "single-10"]),
                start(&["up", "two-node"]),
                start(&["gc"]),
                start(&["up", "linear,4"]),
                start(&["up", "single,10"]),
                start(&["gc"]),
            ];
            let [down, two_node, gc1, linear, single, gc2] = all.map(|child| child.wait_with_output().unwrap());
            for output in [&down, &two_node, &gc1, &linear, &single, &gc2] {
                assert!(output.status.success(), "{}", text(output));
            }
            // Whoever of the two came last has it.
            for lab in json(&["--json", "ls"]).as_array().unwrap() {
                assert_eq!(lab["state"], "up");
                ok(&["--lab", lab["lab"].as_str().unwrap(), "check", "--probe", "icmp"]);
            }
            ok(&["down", "--all"]);
        }
    });
}

#[test]
fn down_goes_on_with_the_other_labs_and_takes_each_once() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "two-node"]);
        ok(&["up", "single,2"]);
        let output = nslab(["down", "nolab", "two-node", "single-2", "two-node"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        for part in ["no lab nolab is up", "two-node is gone", "single-2 is gone"] {
            assert_eq!(text(&output).matches(part).count(), 1, "{part}: {}", text(&output));
        }
        ok(&["up", "two-node"]);
        ok(&["up", "single,2"]);
        let output = nslab(["exec", "net1", "--", "true"]).env("NSLAB_LAB", "two-node").output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        // One can't be taken down: its journal is no journal.
        std::fs::write("/run/nslab/labs/single-2/lab.json", "{").unwrap();
        let output = nslab(["down", "--all"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains("two-node is gone"), "{}", text(&output));
        assert!(text(&output).contains("single-2/lab.json is not readable as nslab's state"), "{}", text(&output));
        // As the user would who has lost the journal: by hand.
        sh("for n in $(ip netns list | cut -d' ' -f1); do ip netns del $n; done; rm -r /run/nslab/labs/single-2");
        ok(&["gc"]);
        let _ = nslab(["down", "--all"]).output().unwrap();
    });
}
