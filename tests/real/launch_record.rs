//! What is written down of a detached container: whose it is, who reads it, and what becomes of it whoever meddles with it.

use crate::support::cgroups::Cgroups;
use crate::support::rootfs::RootFs;
use crate::support::run::{fails, json, ok, sh, text, write};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

const RECORD: &str = "/run/nslab/launched/one";

/// Options of a container whose root is user 100000 of the machine.
const MAPPED: [&str; 5] = ["-U", "-M", "0 100000 65536", "-G", "0 100000 65536"];

fn state(name: &str) -> String {
    let all = json(&["ps", "--json"]);
    let one = all.as_array().unwrap().iter().find(|one| one["name"] == name);
    one.map_or_else(String::new, |one| one["state"].as_str().unwrap().replace("new", "not started"))
}

fn path(root: &RootFs) -> &str {
    root.path().to_str().unwrap()
}

/// Launches one in the background.
fn detach(root: &RootFs, options: &[&str], script: &str) {
    let launch = ["launch", "--detach", "--name", "one", "--rootfs", path(root)];
    ok(&[&launch[..], options, &["--", "sh", "-c", script]].concat());
}

/// A script of the machine's user who is root inside; what it prints in the end.
fn as_root_inside(script: &str) -> String {
    sh(&format!("setpriv --reuid=100000 --regid=100000 --clear-groups sh -c '{script}' 2>&1"))
}

#[test]
fn root_inside_changes_nothing_but_what_its_process_1_writes() {
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        detach(&root, &MAPPED, "seq 300000; sleep 4321");
        wait_until("its log was turned over", SOON, || sh(&format!("ls {RECORD}/init")).contains("log.1"));
        let owners = |files: &str| sh(&format!("cd {RECORD}; stat -c '%n %u %a' {files}"));
        assert_eq!(
            owners(". container.json running.json init"),
            ". 0 700\ncontainer.json 0 600\nrunning.json 0 600\ninit 100000 700\n"
        );
        // Though he may look into it, as into that of a lab's container.
        sh(&format!("chmod 755 {RECORD}"));
        let tries = "for name in running.json container.json; do
                         echo [] > $name; mv -f $name $name.old; rm -f $name; ln -sf /etc/passwd $name
                     done; mv init there; rmdir init; touch more; true";
        let said = as_root_inside(&format!("cd {RECORD}; {tries}"));
        assert_eq!(said.matches("Permission denied").count(), 11, "{said}");
        assert_eq!(state("one"), "running");
        ok(&["stop", "one"]);
        assert_eq!(state("one"), "killed");
        ok(&["rm", "one"]);
    });
}

#[test]
fn what_somebody_puts_in_place_of_its_log_and_its_end_is_neither_followed_nor_waited_for() {
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        detach(&root, &MAPPED, "echo hello; sleep 4322");
        wait_until("it has said so", SOON, || ok(&["logs", "one"]) == "hello\n");
        sh(&format!("chmod 755 {RECORD}; echo secret > {RECORD}/secret; chmod 600 {RECORD}/secret"));
        let put = |script: &str| as_root_inside(&format!("cd {RECORD}/init; rm -f log ended.json attach; {script}"));
        let timely = |arguments: &[&str]| {
            let nslab = env!("CARGO_BIN_EXE_nslab");
            let output = Command::new("timeout").args(["-s", "KILL", "60", nslab]).args(arguments).output().unwrap();
            assert!(output.status.code().is_some(), "{arguments:?} hangs");
            text(&output)
        };
        put("mkfifo log ended.json attach");
        assert_eq!(state("one"), "running");
        assert!(timely(&["logs", "one"]).contains("can't open the log's file log"));
        assert!(timely(&["attach", "one"]).contains("does not run"));
        let other = host.scratch().join("other");
        let listener = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(listener.as_raw_fd(), &UnixAddr::new(&other).unwrap()).unwrap();
        listen(&listener, Backlog::new(1).unwrap()).unwrap();
        put(&format!("ln -s ../secret log; ln -s ../secret ended.json; ln -s {} attach", other.display()));
        assert_eq!(state("one"), "running");
        assert!(!timely(&["logs", "one"]).contains("secret"));
        assert!(timely(&["attach", "one"]).contains("symbolic links"));
        put("truncate -s 1T log; truncate -s 1T ended.json");
        // One file of a log is never longer.
        let output = nslab(["logs", "one"]).output().unwrap();
        assert_eq!((output.stdout.len(), output.status.success()), (1 << 20, true));
        sh(&format!("kill -KILL {}", json(&["ps", "--json"])[0]["pid"]));
        wait_until("it has ended", SOON, || state("one") == "gone");
        ok(&["rm", "one"]);
        assert!(!std::path::Path::new("/run/nslab").exists());
    });
}

#[test]
fn what_is_written_down_of_a_container_of_no_lab_is_its_owners_alone() {
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        detach(&root, &["--env", "TOKEN=secret"], "sleep 4323");
        let others = format!("cd {RECORD}/..; find . -mindepth 1 -perm /077");
        assert_eq!(sh(&format!("{others}; grep -rl secret . | sort")), "./one/container.json\n");
        let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
        assert!(!sh(&format!("{nobody} cat {RECORD}/container.json 2>&1 || true")).contains("secret"));
        ok(&["rm", "one"]);
        // Of a lab, everybody may see what it is made of: so do `plan` and `ps`.
        let container = format!("{{rootfs: {}, command: [sleep, '4324']}}", path(&root));
        let file = write(host, "open.yaml", &format!("name: open\nnodes: {{zion: {{container: {container}}}}}\n"));
        sh(&format!("chmod 644 {file}"));
        sh(&format!("umask 077; {} up {file}", env!("CARGO_BIN_EXE_nslab")));
        let seen = sh(&format!("{nobody} {} ps open", env!("CARGO_BIN_EXE_nslab")));
        assert!(seen.contains("running") && seen.contains("sleep 4324"), "{seen}");
        ok(&["down"]);
    });
}

#[test]
fn one_that_is_to_be_forgotten_and_is_root_inside_by_another_number_goes_with_gc_or_the_next_of_its_name() {
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        let cgroups = Cgroups::mount(host);
        let options = [&MAPPED[..], &["--rm", "--memory", "100M"]].concat();
        for _ in 0..2 {
            detach(&root, &options, "exit 3");
            wait_until("it has ended", SOON, || state("one") == "exited");
        }
        assert!(ok(&["gc"]).contains("the container one, which has ended"));
        assert_eq!(state("one"), "");
        assert_eq!(cgroups.all(), [] as [&str; 0]);
        assert!(fails(&["logs", "one"], 2).contains("there is no container one"));
    });
}

#[test]
fn one_that_was_never_started_goes_with_gc_and_one_that_is_being_started_does_not() {
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        let cgroups = Cgroups::mount(host);
        // From the clone on, process 1 itself forgets one that is to be forgotten.
        for (place, rm) in
            [("before the clone", Some("--rm")), ("after the clone", None), ("when process 1 is ready", None)]
        {
            let mut command = nslab(["launch", "--detach", "--name", "one", "--memory", "100M"]);
            command.args(rm).args(["--rootfs", path(&root), "--", "sleep", "4325"]).env("NSLAB_TEST_HANG_AT", place);
            let mut client = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
            let cgroup = || cgroups.all().iter().any(|one| one.ends_with("launched/one"));
            wait_until("it is being started", SOON, || state("one") == "not started" && cgroup());
            let children = || sh(&format!("cat /proc/{}/task/*/children", client.id()));
            wait_until("the launcher is there", SOON, || !children().trim().is_empty());
            let launcher = children();
            assert!(!ok(&["gc"]).contains("the container"));
            // Who waits for it is no more, and it may still get there.
            client.kill().unwrap();
            client.wait().unwrap();
            assert!(!ok(&["gc"]).contains("the container"));
            assert!(
                fails(&["launch", "--detach", "--name", "one", "-p", "true"], 2).contains("there is a container one")
            );
            sh(&format!("kill -KILL {launcher}"));
            assert_eq!(state("one"), "not started");
            let doctor = || sh(&format!("{} doctor || true", env!("CARGO_BIN_EXE_nslab")));
            wait_until("it is told", SOON, || doctor().contains("the container one, which was never started"));
            // It may be ending still.
            let is_removed = || ok(&["gc"]).contains("the container one, which was never started");
            wait_until("all of it has ended", SOON, is_removed);
            assert_eq!(cgroups.all(), [] as [&str; 0]);
            assert!(!std::path::Path::new("/run/nslab").exists());
        }
    });
}

#[test]
fn from_what_process_1_has_open_nothing_above_it_can_be_reached() {
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        let _cgroups = Cgroups::mount(host);
        for rm in [&[][..], &["--rm"]] {
            detach(&root, &[&["--cap-add", "SYS_PTRACE", "--memory", "100M"], rm].concat(), "sleep 4326");
            let found =
                |names: &str| ok(&["exec", "one", "--", "sh", "-c", &format!("ls -d {names} 2> /dev/null || true")]);
            // It can look into them.
            wait_until("its log is there", SOON, || found("/proc/1/fd/*/log").lines().count() > 0);
            assert_eq!(found("/proc/1/fd/*/../../../../etc/debian_version"), "", "{rm:?}");
            // Both the record and the cgroup are called so in what they are in, which only who is to remove them has open.
            if rm.is_empty() {
                assert_eq!(found("/proc/1/fd/*/../one /proc/1/fd/*/../../one"), "");
            }
            ok(&["rm", "one"]);
        }
    });
}
