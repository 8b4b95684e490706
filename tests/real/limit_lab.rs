//! Limits of a lab as a whole, and of nodes that are no containers.

use crate::support::cgroups::Cgroups;
use crate::support::ps::ended;
use crate::support::rootfs::busybox;
use crate::support::run::{fails, json, ok, sh, text, write};
use crate::support::walk::topology;
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::process::Stdio;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

fn lab(host: &ThrowAwayHost, whole: &str, plain: &str) -> String {
    if !host.scratch().join("root").exists() {
        busybox(host, "root");
    }
    let text = format!(
        "
name: matrix
{whole}
nodes:
  zion: {{container: {{rootfs: root, command: [sleep, '4411']}}}}
  moon: {{container: {{rootfs: root, command: [sleep, '4412']}}}}
  plain: {{{plain}}}
"
    );
    topology(host, "matrix.yaml", &text)
}

fn pid(name: &str) -> serde_json::Value {
    let all = json(&["ps", "--json"]);
    all.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()["pid"].clone()
}

fn memory(cgroups: &Cgroups) -> &'static str {
    if cgroups.is_version_2() { "memory.max" } else { "memory.limit_in_bytes" }
}

#[test]
fn all_nodes_of_a_lab_are_bounded_together() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let file = lab(host, "limits: {memory: 60M, swap: 0, pids: 20, cpus: 0.5}", "");
        ok(&["up", &file]);
        assert!(ok(&["plan", &file]).contains("nothing to do"));
        assert_eq!(cgroups.read("nslab/matrix", memory(&cgroups)), "62914560");
        assert_eq!(cgroups.read("nslab/matrix", "pids.max"), "20");
        // Each alone has room for what it does, both together have not: somebody of the lab is killed for it.
        let eat = |node: &str, megabytes: u32| {
            let block = format!("bs={megabytes}M");
            nslab(["exec", node, "--", "dd", "if=/dev/zero", "of=/dev/null", &block, "count=1"])
                .output()
                .unwrap()
                .status
        };
        assert!(eat("zion", 40).success() && eat("plain", 40).success());
        assert!(!eat("zion", 80).success() && !eat("plain", 80).success());
        let hold = "(head -c 40m /dev/zero; exec sleep 4413) | tail -c 40m > /dev/null; echo held";
        let mut holder = nslab(["exec", "zion", "--", "sh", "-c", hold]).stdout(Stdio::piped()).spawn().unwrap();
        let used = if cgroups.is_version_2() { "memory.current" } else { "memory.usage_in_bytes" };
        let now = || cgroups.read("nslab/matrix", used).parse::<u64>().unwrap();
        wait_until("one of them has it", SOON, || now() > 40 << 20);
        let is_killed = !eat("plain", 40).success();
        let holds = !sh("pgrep -f '^tail -c 40m' || true").is_empty();
        assert!(is_killed || !holds);
        sh("kill -KILL $(pgrep -f '^sleep 4413')");
        holder.wait().unwrap();
        // Processes of all nodes count together.
        let many =
            "for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 4416 > /dev/null 2>&1 & done; wait";
        let output = nslab(["exec", "plain", "--", "sh", "-c", many]).output();
        let said = text(&output.unwrap());
        assert!(said.to_lowercase().contains("fork"), "{said}");
        sh("kill -KILL $(pgrep -f '^sleep 4416')");
        wait_until("they have ended", SOON, || sh("pgrep -f '^sleep 4416' || true").is_empty());
        // Changed in place, up and by `limit`; what runs goes on.
        let before = [pid("zion"), pid("moon")];
        let file = lab(host, "limits: {memory: 90M, pids: 30}", "");
        assert!(ok(&["plan", &file]).contains("limit the lab as a whole to memory 90 MB, 30 processes"));
        ok(&["up", &file]);
        assert_eq!(cgroups.read("nslab/matrix", memory(&cgroups)), "94371840");
        ok(&["limit", "--whole", "matrix", "--memory", "80M", "--pids", "none"]);
        assert_eq!(cgroups.read("nslab/matrix", memory(&cgroups)), "83886080");
        assert_eq!(cgroups.read("nslab/matrix", "pids.max"), "max");
        assert!(ok(&["limit", "--whole"]).contains("80 MB"));
        assert_eq!([pid("zion"), pid("moon")], before);
        // It outlives the last container.
        ok(&["stop", "zion", "moon"]);
        assert_eq!(cgroups.read("nslab/matrix", memory(&cgroups)), "83886080");
        ok(&["down"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn who_is_killed_for_the_labs_limit_is_told_so() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        busybox(host, "root");
        let eater = |limits: &str| {
            format!("{{container: {{rootfs: root, command: [dd, if=/dev/zero, of=/dev/null, bs=300M], {limits}}}}}")
        };
        let nodes = format!("{{own: {}, none: {}}}", eater("limits: {memory: 600M}"), eater(""));
        let file = topology(
            host,
            "matrix.yaml",
            &format!("name: matrix\nlimits: {{memory: 120M, swap: 0}}\nnodes: {nodes}\n"),
        );
        ok(&["up", &file]);
        for node in ["own", "none"] {
            assert_eq!(ended(node)["reason"], "killed, out of memory (limit 120 MB of the lab as a whole)", "{node}");
        }
        // Its own is told as before.
        let own = format!("{{own: {}}}", eater("limits: {memory: 100M, swap: 0}"));
        ok(&["up", &topology(host, "matrix.yaml", &format!("name: matrix\nlimits: {{memory: 800M}}\nnodes: {own}\n"))]);
        assert_eq!(ended("own")["reason"], "killed, out of memory (limit 100 MB)");
        ok(&["down"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn a_lab_that_runs_can_be_limited_and_no_more() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        ok(&["up", &lab(host, "", "")]);
        let before = [pid("zion"), pid("moon")];
        let file = lab(host, "limits: {cpus: 0.5}", "");
        ok(&["up", &file]);
        // Those that ran already are bounded, too.
        let file_of_cpu = if cgroups.is_version_2() { "cpu.max" } else { "cpu.cfs_quota_us" };
        assert!(cgroups.read("nslab/matrix", file_of_cpu).starts_with("50000"));
        for pid in &before {
            let there = sh(&format!("cat /proc/{pid}/cgroup"));
            let counted = there.lines().filter(|line| line.contains("/nslab/matrix/")).count();
            assert_eq!(counted, if cgroups.is_version_2() { 1 } else { 4 }, "{there}");
        }
        assert!(ok(&["show"]).contains("everything is as it should be"));
        ok(&["up", &lab(host, "", "")]);
        assert!(ok(&["show"]).contains("everything is as it should be"));
        assert_eq!([pid("zion"), pid("moon")], before);
        ok(&["down"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn a_node_that_is_no_container_is_limited() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let exec = "limits: {memory: 30M, swap: 0, pids: 9}, exec: ['cat /proc/self/cgroup > /tmp/where']";
        let file = lab(host, "", exec);
        ok(&["up", &file]);
        let is_inside = |text: &str| text.lines().filter(|line| line.ends_with("/nslab/matrix/plain")).count() >= 1;
        assert!(is_inside(&sh("cat /tmp/where; rm /tmp/where")));
        assert!(is_inside(&ok(&["exec", "plain", "--", "cat", "/proc/self/cgroup"])));
        assert!(is_inside(&ok(&["exec", "--all", "--", "cat", "/proc/self/cgroup"]).replace("plain | ", "")));
        let shell = nslab(["shell", "plain"]).env("SHELL", "/usr/bin/env").output().unwrap();
        assert!(shell.status.success());
        let eat = ["exec", "plain", "--", "dd", "if=/dev/zero", "of=/dev/null", "bs=60M", "count=1"];
        assert_eq!(nslab(eat).output().unwrap().status.code(), None, "killed by the kernel");
        ok(&["limit", "plain", "--memory", "120M"]);
        assert_eq!(cgroups.read("nslab/matrix/plain", memory(&cgroups)), "125829120");
        ok(&eat);
        assert!(ok(&["limit", "plain"]).contains("120 MB"));
        // What is lifted beside what stays is lifted, in whichever hierarchy.
        ok(&["limit", "plain", "--cpus", "0.5"]);
        ok(&["limit", "plain", "--cpus", "none"]);
        let file_of_cpu = if cgroups.is_version_2() { "cpu.max" } else { "cpu.cfs_quota_us" };
        assert!(["-1", "max 100000"].contains(&cgroups.read("nslab/matrix/plain", file_of_cpu).as_str()));
        assert!(ok(&["show"]).contains("everything is as it should be"));
        // What runs there goes on when the limit goes.
        let mut sleeper = nslab(["exec", "plain", "--", "sleep", "4414"]).spawn().unwrap();
        let sleeps = || sh("pgrep -f '^sleep 4414' || true").trim().to_owned();
        wait_until("it sleeps", SOON, || !sleeps().is_empty());
        ok(&["up", &lab(host, "", "")]);
        assert!(!is_inside(&sh(&format!("cat /proc/{}/cgroup", sleeps()))));
        ok(&["down"]);
        sleeper.wait().unwrap();
        assert_eq!(cgroups.all(), [] as [&str; 0]);
        let both = lab(host, "", "limits: {pids: 9}, container: {rootfs: root, command: 'true'}");
        assert!(fails(&["up", &both], 2).contains("write them in `container`"));
    });
}

/// A lab without containers, of which all is made and removed fast.
fn bare(host: &ThrowAwayHost, name: &str, limits: &str, nodes: &str) -> String {
    topology(host, name, &format!("name: walk\nlimits: {limits}\nnodes: {nodes}\n"))
}

#[test]
fn wherever_a_command_is_killed_no_cgroup_is_left_in_the_end() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let before = bare(host, "before.yaml", "{pids: 90}", "{a: {limits: {pids: 80}}, b: {}}");
        let after = bare(host, "after.yaml", "{pids: 95, cpus: 0.5}", "{a: {limits: {cpus: 0.25}}, c: {}}");
        let killed = |arguments: &[&str], point: u32| {
            let output = nslab(arguments).env("NSLAB_TEST_CRASH_AT", point.to_string()).output().unwrap();
            !output.status.success()
        };
        let mut points = [0; 3];
        for point in 1.. {
            ok(&["up", &before]);
            let was_killed = killed(&["up", &after], point);
            if point % 2 == 0 {
                ok(&["up", &after]);
                assert_eq!(cgroups.read("nslab/walk", "pids.max"), "95", "point {point}");
                let plan = ok(&["plan", &after]);
                assert!(plan.contains("nothing to do"), "point {point}: {plan}");
            }
            ok(&["down"]);
            assert_eq!(cgroups.all(), [] as [&str; 0], "point {point} of up");
            points[0] = point;
            if !was_killed {
                break;
            }
        }
        for (at, command) in [(1, &["down"][..]), (2, &["up", &before])] {
            for point in 1.. {
                if at == 1 {
                    ok(&["up", &before]);
                }
                let was_killed = killed(command, point);
                let _ = nslab(["down", "--all"]).output().unwrap();
                assert_eq!(cgroups.all(), [] as [&str; 0], "point {point} of {command:?}");
                points[at] = point;
                if !was_killed {
                    break;
                }
            }
        }
        assert!(points.iter().all(|point| *point > 10), "only {points:?} points");
    });
}

#[test]
fn a_lab_of_the_same_name_in_another_state_directory_has_limits_of_its_own() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let text = |node: &str, pids: u32, own: u32| {
            let exec = "exec: ['cat /proc/self/cgroup > /tmp/where']";
            format!("name: matrix\nlimits: {{pids: {pids}}}\nnodes: {{{node}: {{limits: {{pids: {own}}}, {exec}}}}}\n")
        };
        let here = topology(host, "here.yaml", &text("plain", 90, 80));
        let there = topology(host, "there.yaml", &text("other", 70, 60));
        let state = host.scratch().join("state").display().to_string();
        let elsewhere = |arguments: &[&str]| ok(&[&["--state-dir", &state], arguments].concat());
        ok(&["up", &here]);
        elsewhere(&["up", &there]);
        let is_elsewhere = |text: &str| text.contains("/nslab/matrix@") && text.contains("/other\n");
        assert!(is_elsewhere(&sh("cat /tmp/where; rm /tmp/where")));
        assert!(is_elsewhere(&elsewhere(&["exec", "other", "--", "cat", "/proc/self/cgroup"])));
        assert_eq!(cgroups.read("nslab/matrix", "pids.max"), "90");
        assert!(elsewhere(&["limit", "--whole"]).contains("70"));
        elsewhere(&["down"]);
        assert_eq!(cgroups.read("nslab/matrix", "pids.max"), "90");
        assert_eq!(cgroups.read("nslab/matrix/plain", "pids.max"), "80");
        ok(&["down"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn a_lab_of_the_same_name_with_another_run_directory_is_left_alone() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let lab = |pids: u32| format!("name: lab\nlimits: {{pids: {pids}}}\nnodes: {{a: {{limits: {{pids: 50}}}}}}\n");
        let file = write(host, "lab.yaml", &lab(100));
        let other = write(host, "other.yaml", &lab(7));
        ok(&["up", &file]);
        let elsewhere = |command: &str| {
            let hidden = "mount -t tmpfs t /run; mount -t tmpfs t /etc/netns";
            let nslab = env!("CARGO_BIN_EXE_nslab");
            sh(&format!("unshare --net --mount sh -c '{hidden}; {nslab} {command} 2>&1 || echo code $?'"))
        };
        let said = elsewhere(&format!("up {other}"));
        assert!(said.contains("of an nslab that has another /run") && said.ends_with("code 1\n"), "{said}");
        assert!(elsewhere("gc").contains("nothing was left behind"));
        assert_eq!(cgroups.read("nslab/lab", "pids.max").trim(), "100");
        assert_eq!(cgroups.read("nslab/lab/a", "pids.max").trim(), "50");
        assert!(ok(&["plan", &file]).contains("nothing to do"));
        ok(&["down"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}
