//! A container's limits: written, kept, told of, and gone with it.

use crate::support::cgroups::Cgroups;
use crate::support::run::{sh, text};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use nslab::launcher::Cgroup;
use nslab::model::container::Limits;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);

/// Reads /dev/urandom, 10 MB at a time, and keeps it: a hundred times, if nobody minds.
const EATER: &str = "import sys
eaten = []
for n in range(100):
    eaten.append(open('/dev/urandom', 'rb').read(10 << 20))
    print(n + 1, flush=True)";

fn launch(options: &[&str], command: &[&str]) -> Command {
    let arguments = ["launch"].iter().chain(options).chain(&["--"]).chain(command);
    let mut nslab = nslab(arguments);
    nslab.stdin(Stdio::null());
    nslab
}

fn run(options: &[&str], command: &[&str]) -> Output {
    launch(options, command).output().unwrap()
}

/// A container that runs until it is killed; and the name of its cgroup.
fn running(cgroups: &Cgroups, options: &[&str]) -> (Child, String) {
    let child = launch(options, &["sleep", "1000"]).spawn().unwrap();
    (child, name_of_running(cgroups))
}

/// The name of the cgroup in which the one container runs; waits until it does.
fn name_of_running(cgroups: &Cgroups) -> String {
    let mut name = String::new();
    wait_until("its command runs in its cgroup", SOON, || {
        // It is the only one in the test's own hierarchies.
        let launched = cgroups.places().into_iter().filter_map(|place| place.join("nslab").read_dir().ok());
        let Some(its) = launched.flatten().flatten().find(|entry| entry.path().is_dir()) else { return false };
        name = format!("nslab/{}", its.file_name().to_str().unwrap());
        let there = cgroups.places().into_iter().map(|place| place.join(&name).join("cgroup.procs"));
        let pids: Vec<String> = there.filter_map(|file| std::fs::read_to_string(file).ok()).collect();
        let is_sleep = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|it| it == "sleep\n");
        !pids.is_empty() && pids.iter().all(|list| list.lines().any(is_sleep))
    });
    name
}

/// The points that a container that ends at once comes by, a line each.
fn points(host: &ThrowAwayHost, options: &[&str]) -> String {
    let file = host.scratch().join("points");
    let output = launch(options, &["true"]).env("NSLAB_TEST_POINTS", &file).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    std::fs::read_to_string(&file).unwrap()
}

/// The numbers of those points of a cgroup whose names end so.
fn numbers(points: &str, end: &str) -> Vec<String> {
    let is_of_cgroup = |line: &&str| ["cgroup", "controller", "enabled"].iter().any(|word| line.contains(word));
    let lines = points.lines().filter(is_of_cgroup).filter(|line| line.ends_with(end));
    let numbers: Vec<String> = lines.map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
    assert!(!numbers.is_empty(), "{points}");
    numbers
}

/// Ends its command, and so the container.
fn end(mut child: Child) {
    sh("kill -KILL $(pidof sleep)");
    assert_eq!(child.wait().unwrap().code(), Some(137));
}

#[test]
fn limits_are_written_and_gone_with_the_container() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let options = ["-p", "-m", "--memory", "100M", "--swap", "10M", "--cpus", "0.5", "--pids", "64"];
        let (child, name) = running(&cgroups, &options);
        if cgroups.is_version_2() {
            assert_eq!(cgroups.read(&name, "memory.max"), (100 << 20).to_string());
            assert_eq!(cgroups.read(&name, "memory.swap.max"), (10 << 20).to_string());
            assert_eq!(cgroups.read(&name, "cpu.max"), "50000 100000");
        } else {
            assert_eq!(cgroups.read(&name, "memory.limit_in_bytes"), (100 << 20).to_string());
            assert_eq!(cgroups.read(&name, "memory.memsw.limit_in_bytes"), (110 << 20).to_string());
            assert_eq!(cgroups.read(&name, "cpu.cfs_quota_us"), "50000");
            assert_eq!(cgroups.read(&name, "cpu.cfs_period_us"), "100000");
        }
        assert_eq!(cgroups.read(&name, "pids.max"), "64");

        let found = Cgroup::find(Path::new(&name)).unwrap().unwrap();
        let usage = found.usage().unwrap();
        assert_eq!(usage.pids, Some(2), "process 1 and the command");
        assert!((1..100 << 20).contains(&usage.memory_bytes.unwrap()), "{usage:?}");
        assert_eq!(found.oom_counter().unwrap().unwrap().kills().unwrap(), 0);
        assert!(found.remove().is_err(), "it has processes");
        end(child);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
        assert!(Cgroup::find(Path::new(&name)).unwrap().is_none());
    });
}

#[test]
fn who_eats_more_than_its_memory_is_killed_and_that_is_told() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let options = ["-p", "-m", "-H", "zion", "--memory", "100M", "--swap", "0"];
        let output = run(&options, &["python3", "-c", EATER]);
        let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(137), "{said}{told}");
        assert!(told.contains("zion: killed, out of memory (limit 100 MB)"), "{told}");
        let last: u32 = said.lines().last().unwrap().parse().unwrap();
        assert!((7..10).contains(&last), "of 100 MB, {last} times 10 MB were eaten");

        // Without a limit, it is nobody's business.
        let enough = EATER.replace("100", "15");
        let output = run(&["-p", "-m", "--memory", "400M"], &["python3", "-c", &enough]);
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn a_child_that_is_killed_is_told_and_process_1_is_never_it() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let script = "python3 -c \"$0\" > /dev/null; echo it returned $?; exit 7";
        let output = run(&["-p", "-m", "-H", "zion", "--memory", "100M", "--swap", "0"], &["sh", "-c", script, EATER]);
        let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(7), "{said}{told}");
        assert!(said.contains("it returned 137"), "{said}");
        assert!(told.contains("out of memory (limit 100 MB)"), "{told}");

        let (child, name) = running(&cgroups, &["-p", "-m", "--pids", "10"]);
        let pids = cgroups.places().into_iter().map(|place| place.join(&name).join("cgroup.procs"));
        let pids: BTreeSet<String> = pids.filter(|file| file.exists()).flat_map(|file| lines(&file)).collect();
        let scores = || pids.iter().map(|pid| sh(&format!("cat /proc/{pid}/oom_score_adj"))).collect::<Vec<_>>();
        let own = sh("cat /proc/self/oom_score_adj");
        // It sees to that as soon as the command runs, which so does not inherit it.
        let may = host.try_sh("echo -1000 > /proc/self/oom_score_adj").status.success();
        let of_process_1 = if may { "-1000\n" } else { own.as_str() }; // no root but in name may not say so
        wait_until("process 1 is not to be killed", SOON, || scores() == [of_process_1, own.as_str()]);
        end(child);
    });
}

fn lines(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_fork_bomb_stays_within_its_number() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let bomb = "import os
started = 0
for _ in range(100):
    try:
        if os.fork() == 0:
            os.pause() if hasattr(os, 'pause') else __import__('signal').pause()
        started += 1
    except BlockingIOError:
        pass
print(started)";
        let output = run(&["-p", "-m", "--pids", "16"], &["python3", "-c", bomb]);
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "14", "process 1 and the command count");
        assert_eq!(cgroups.all(), [] as [&str; 0], "and all of them have gone");
    });
}

#[test]
fn a_limit_of_one_process_is_told_to_be_too_low() {
    ThrowAwayHost::run(|host| {
        let _cgroups = Cgroups::mount(host);
        let output = run(&["-p", "-m", "--pids", "1"], &["true"]);
        assert_eq!(output.status.code(), Some(125), "{}", text(&output));
        assert!(text(&output).contains("leaves no room for both; allow 2 or more"), "{}", text(&output));
        let output = run(&["-p", "-m", "--pids", "2"], &["true"]);
        assert!(output.status.success(), "{}", text(&output));
    });
}

#[test]
fn half_a_processor_is_half_of_one() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        // By the clock of its own, so that a busy machine only makes it take longer: in a time in which it gets less than it
        // may, it is not held back either.
        let burner = "import time
start, done = time.monotonic(), time.process_time()
while time.process_time() - done < 1:
    pass
print(time.monotonic() - start)";
        let begun = Instant::now();
        let output = run(&["-p", "-m", "--cpus", "0.5"], &["python3", "-c", burner]);
        assert!(output.status.success(), "{}", text(&output));
        let took: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
        assert!(took > 1.7, "a second of processor time in {took} s, {:?} in all", begun.elapsed());
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn a_cgroup_is_ended_and_removed_after_its_launcher_was_killed() {
    ThrowAwayHost::run(|host| {
        for cgroups in Cgroups::of_both_versions(host) {
            let (mut child, name) = running(&cgroups, &["-p", "-m", "--memory", "100M", "--pids", "64", "--cpus", "1"]);
            child.kill().unwrap();
            child.wait().unwrap();
            let found = Cgroup::find(Path::new(&name)).unwrap().unwrap();
            found.end(SOON).unwrap();
            // One that has ended counts until who inherited it has waited for it.
            wait_until("nothing is in it", SOON, || found.usage().unwrap().pids == Some(0));
            found.remove().unwrap();
            found.remove().unwrap();
            assert_eq!(cgroups.all(), [] as [&str; 0]);
            assert!(Cgroup::find(Path::new(&name)).unwrap().is_none());
        }
    });
}

/// How many run whose command line begins so.
fn running_now(command: &str) -> usize {
    sh(&format!("pgrep -f '^{command}' || true")).lines().count()
}

#[test]
fn who_is_left_when_the_command_has_ended_ends_with_it() {
    ThrowAwayHost::run(|host| {
        for cgroups in Cgroups::of_both_versions(host) {
            let below = format!("for of in $(find {} -name 'by:*'); do mkdir $of/below; MOVE; done", Cgroups::HERE);
            let moved = below.replace("MOVE", "echo $! > $of/below/cgroup.procs");
            for then in [":".to_owned(), below.replace("MOVE", ":"), moved] {
                let script = format!("sleep 4310 > /dev/null 2>&1 & {then}; exit 3");
                let output = run(&["--memory", "50M", "--pids", "20"], &["sh", "-c", &script]);
                assert_eq!(output.status.code(), Some(3), "{then}: {}", text(&output));
                assert_eq!(running_now("sleep 4310"), 0, "{then}");
                assert_eq!(cgroups.all(), [] as [&str; 0], "{then}");
            }
        }
    });
}

#[test]
fn what_a_killed_launcher_has_left_is_gone_before_the_next_command_runs() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let lock = host.scratch().join("lock").to_str().unwrap().to_owned();
        let script = format!("flock {lock} sleep 4320 & exec sleep 4321");
        for is_detached in [false, true] {
            let mut child = launch(&["--memory", "100M"], &["sh", "-c", &script]).spawn().unwrap();
            wait_until("both run", SOON, || running_now("sleep 4320") == 1 && running_now("sleep 4321") == 1);
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(running_now("sleep 4320"), 1, "nobody was there to end what its command has started");
            let named = ["--detach", "--rm", "--name", "next", "-p", "-m"];
            let options = [&["--memory", "100M"][..], if is_detached { &named[..] } else { &[] }].concat();
            let output = run(&options, &["flock", "--nonblock", &lock, "true"]);
            assert!(output.status.success(), "{}", text(&output));
            assert_eq!(running_now("sleep 4320"), 0);
            wait_until("nothing is left", SOON, || cgroups.all().is_empty());
        }
        sh(&format!("{} gc", env!("CARGO_BIN_EXE_nslab")));
    });
}

#[test]
fn gc_removes_what_a_killed_launcher_left() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let (mut child, _) = running(&cgroups, &["-p", "-m", "--pids", "64"]);
        // That of one which is there stays.
        sh(&format!("{} gc", env!("CARGO_BIN_EXE_nslab")));
        assert_ne!(cgroups.all(), [] as [&str; 0]);
        child.kill().unwrap();
        child.wait().unwrap();
        // Who only looks says so, and leaves it there.
        let doctor = sh(&format!("{} doctor || true", env!("CARGO_BIN_EXE_nslab")));
        assert!(doctor.contains("the cgroup of a container whose launcher was killed"), "{doctor}");
        let said = sh(&format!("{} gc", env!("CARGO_BIN_EXE_nslab")));
        assert!(said.contains("the cgroup of a container whose launcher was killed"), "{said}");
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn what_others_have_made_stays() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let limits = Limits { pids: Some(10), ..Limits::default() };
        let mut places = cgroups.places().into_iter();
        let place = places.find(|place| place.ends_with("pids") || place.ends_with("unified")).unwrap();
        sh(&format!("mkdir -p {}/nslab/lab/theirs", place.display()));
        let error = Cgroup::create(Path::new("nslab/lab/theirs"), &limits).unwrap_err();
        assert!(error.to_string().contains("it is there already"), "{error}");
        assert!(Cgroup::find(Path::new("nslab/lab/theirs")).unwrap().is_none(), "it is not nslab's");

        let own = Cgroup::create(Path::new("nslab/lab/own"), &limits).unwrap();
        own.remove().unwrap();
        let left: BTreeSet<String> = cgroups.all().into_iter().collect();
        let place = place.file_name().unwrap().to_str().unwrap();
        let theirs = ["nslab", "nslab/lab", "nslab/lab/theirs"].map(|name| format!("./{place}/{name}"));
        assert_eq!(left, BTreeSet::from(theirs), "the directories that they made, and no other one");
        sh(&format!("cd {}/{place} && rmdir -p nslab/lab/theirs", Cgroups::HERE));

        // A name that a process left, which was killed between making its cgroup and going into it, can be had again.
        let name = Path::new("nslab/lab/own");
        drop(Cgroup::create(name, &limits).unwrap());
        Cgroup::create(name, &limits).unwrap().remove().unwrap();
        assert_eq!(cgroups.all(), [] as [&str; 0]);
        // So can one that was killed before it could mark what it had made, and it is found to be removed.
        let lab = Path::new(Cgroups::HERE).join(place).join("nslab/lab");
        for cut_off in [lab.join("own"), lab.clone()] {
            let beside = Cgroup::create(Path::new("nslab/other"), &limits).unwrap();
            std::fs::create_dir_all(&cut_off).unwrap();
            if cut_off != lab {
                rustix::fs::setxattr(&lab, "trusted.nslab", b"1", rustix::fs::XattrFlags::empty()).unwrap();
            }
            Cgroup::find(name).unwrap().expect("it is found").remove().unwrap();
            assert!(!lab.exists(), "{}", cut_off.display());
            std::fs::create_dir(&lab).unwrap();
            Cgroup::create(name, &limits).unwrap().remove().unwrap();
            beside.remove().unwrap();
            assert_eq!(cgroups.all(), [] as [&str; 0], "{}", cut_off.display());
        }
        assert!(Cgroup::create(Path::new("nslab/../x"), &limits).is_err());
    });
}

#[test]
fn what_is_left_of_the_topmost_is_found() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let place = cgroups.places().into_iter().find(|place| place.ends_with("pids") || place.ends_with("unified"));
        let place = place.unwrap();
        let gc = || sh(&format!("{} gc", env!("CARGO_BIN_EXE_nslab")));
        // An empty one that somebody else has made is his.
        std::fs::create_dir(place.join("nslab")).unwrap();
        gc();
        assert!(place.join("nslab").exists());
        // One that nslab was about to make when it was killed is nslab's.
        let begin = || {
            let _ = std::fs::create_dir(place.join("nslab"));
            rustix::fs::setxattr(&place, "trusted.nslab.making", b"1", rustix::fs::XattrFlags::empty()).unwrap();
        };
        begin();
        let said = gc();
        assert!(said.contains("the cgroup of a container whose launcher was killed"), "{said}");
        assert_eq!(cgroups.all(), [] as [&str; 0]);
        begin();
        let output = run(&["-p", "-m", "--pids", "10"], &["true"]);
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(cgroups.all(), [] as [&str; 0]);
        let name = "trusted.nslab.making";
        assert!(rustix::fs::getxattr(&place, name, &mut [0_u8; 8][..]).is_err(), "the mark goes with it");
    });
}

#[test]
fn many_at_once_leave_nothing() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let limits = Limits { pids: Some(10), memory: Some("10M".parse().unwrap()), ..Limits::default() };
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let limits = &limits;
                scope.spawn(move || {
                    for round in 0..100 {
                        let name = format!("nslab/lab/n{thread}-{round}");
                        Cgroup::create(Path::new(&name), limits).unwrap().remove().unwrap();
                    }
                });
            }
        });
        assert_eq!(cgroups.all(), [] as [&str; 0]);
        assert_eq!(cgroups.enabled(), "", "as it was");
    });
}

#[test]
fn what_it_is_in_may_be_made_anew_by_somebody_who_has_come_no_further() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let options = ["-p", "-m", "--memory", "100M", "--pids", "10"];
        for point in numbers(&points(host, &options), "before the cgroup itself is made") {
            let mut stopping = launch(&options, &["sleep", "1000"]);
            stopping.envs([("NSLAB_TEST_INTERRUPT_AT", point.as_str()), ("NSLAB_TEST_SIGNAL", "SIGSTOP")]);
            let child = stopping.spawn().unwrap();
            let mut stopped = String::new();
            wait_until("it stops", SOON, || {
                stopped = sh("grep -l '^State:.T' /proc/[0-9]*/status | cut -d/ -f3");
                !stopped.is_empty()
            });
            // Another launcher has removed its own cgroup, with what that was in, and a third one has begun to make that.
            for place in cgroups.places() {
                let above = place.join("nslab");
                if std::fs::remove_dir(&above).is_ok() {
                    rustix::fs::setxattr(&place, "trusted.nslab.making", b"1", rustix::fs::XattrFlags::empty())
                        .unwrap();
                    std::fs::create_dir(&above).unwrap();
                }
            }
            sh(&format!("kill -CONT {stopped}"));
            let name = name_of_running(&cgroups);
            assert_eq!(cgroups.read(&name, "pids.max"), "10");
            end(child);
            assert_eq!(cgroups.all(), [] as [&str; 0]);
            assert_eq!(cgroups.enabled(), "", "as it was");
        }
    });
}

#[test]
fn wherever_its_launcher_is_killed_what_it_had_enabled_is_given_back() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let options = ["-p", "-m", "--memory", "100M", "--pids", "10"];
        let points = points(host, &options);
        assert_eq!(points.contains("before a controller is enabled"), cgroups.is_version_2());
        for point in numbers(&points, "") {
            let output = launch(&options, &["true"]).env("NSLAB_TEST_CRASH_AT", &point).output().unwrap();
            assert!(!output.status.success(), "point {point}: {}", text(&output));
            sh(&format!("{} gc", env!("CARGO_BIN_EXE_nslab")));
            assert_eq!(cgroups.all(), [] as [&str; 0], "point {point}");
            assert_eq!(cgroups.enabled(), "", "point {point}");
        }
    });
}

#[test]
fn who_may_have_no_cgroup_is_told_what_is_missing() {
    ThrowAwayHost::run(|host| {
        let missing = run(&["-p", "-m", "--memory", "100M"], &["true"]);
        assert!(text(&missing).contains("can't limit memory: no cgroup hierarchy"), "{}", text(&missing));
        assert_eq!(missing.status.code(), Some(125));
        let cgroups = Cgroups::mount(host);
        sh(&format!("for place in {}/*; do mount -o remount,bind,ro $place; done", Cgroups::HERE));
        let read_only = run(&["-p", "-m", "--memory", "100M"], &["true"]);
        assert!(text(&read_only).contains("has to be mounted writable"), "{}", text(&read_only));
        sh(&format!("for place in {}/*; do mount -o remount,bind,rw $place; done", Cgroups::HERE));

        let user = ["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", env!("CARGO_BIN_EXE_nslab")];
        let as_user = format!("{} launch -U -p -m --memory 100M -- true 2>&1 || echo code $?", user.join(" "));
        let told = sh(&as_user);
        assert!(told.contains("none is delegated to this user"), "{told}");
        assert!(told.contains("systemd-run --user --scope -p Delegate=yes"), "{told}");
        assert!(told.contains("code 125"), "{told}");
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}
