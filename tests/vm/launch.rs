//! Containers' cgroups as users have them: in systemd's hands, or delegated.

use crate::support::cgroups::Cgroups;
use crate::support::run::{sh, text};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use nslab::launcher::{Cgroup, CgroupError};
use nslab::model::container::Limits;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_mins(1);

/// Takes as much memory as it is told, and there is no Python.
const EAT: &str = "dd if=/dev/zero of=/dev/null bs=200M count=1";

fn launch(options: &[&str], command: &[&str]) -> Command {
    let arguments = ["launch"].iter().chain(options).chain(&["--"]).chain(command);
    let mut nslab = nslab(arguments);
    nslab.stdin(Stdio::null());
    nslab
}

/// A container that sleeps for so long, which is what it is known by.
fn running(options: &[&str], seconds: &str) -> Child {
    let child = launch(options, &["sleep", seconds]).spawn().unwrap();
    wait_until("its command runs", SOON, || !sleeper(seconds).is_empty());
    child
}

/// What the cgroup of a container is called that a process waits for: it is named for that.
fn cgroup_of(child: &Child) -> String {
    let namespace = sh("stat -L -c %i /proc/self/ns/pid");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let ticks = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().to_owned();
    format!("by:{}:{}:{ticks}", namespace.trim(), child.id())
}

fn sleeper(seconds: &str) -> String {
    sh(&format!("pgrep -f '^sleep {seconds}' || true")).trim().to_owned()
}

#[test]
fn what_a_killed_launcher_has_left_goes_with_the_next() {
    let script = "sleep 2231 & exec sleep 2232";
    let mut child = launch(&["--memory", "100M"], &["sh", "-c", script]).spawn().unwrap();
    wait_until("both run", SOON, || !sleeper("2231").is_empty() && !sleeper("2232").is_empty());
    let unit = format!("nslab-{}.scope", cgroup_of(&child));
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the command has ended with it", SOON, || sleeper("2232").is_empty());
    assert!(!sleeper("2231").is_empty() && scopes().contains(&unit), "nobody was there to end what it has started");
    assert!(launch(&["--memory", "100M"], &["true"]).status().unwrap().success());
    assert_eq!(sleeper("2231"), "");
    wait_until("its scope is gone", SOON, || !scopes().contains(&unit));
}

#[test]
fn a_controller_that_others_use_by_now_is_theirs() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let limits = Limits { memory: Some("100M".parse().unwrap()), ..Limits::default() };
        let own = Cgroup::create(Path::new("nslab/lab/own"), &limits).unwrap();
        let enabled = cgroups.enabled();
        let mut enabled: Vec<&str> = enabled.split(' ').collect();
        enabled.sort_unstable();
        assert_eq!(enabled, ["memory", "pids", "user.nslab.memory", "user.nslab.pids"]);
        let theirs = "/sys/fs/cgroup/unified/theirs";
        sh(&format!("mkdir {theirs}; echo +memory > {theirs}/cgroup.subtree_control"));
        own.remove().unwrap();
        assert_eq!(cgroups.enabled(), "memory", "what they use stays, and is nslab's no more");
        let said = sh(&format!("{} gc", env!("CARGO_BIN_EXE_nslab")));
        assert!(!said.contains("had changed"), "{said}");
        sh(&format!(
            "echo -memory > {theirs}/cgroup.subtree_control; echo -memory > {theirs}/../cgroup.subtree_control"
        ));
        // One that hands nothing on is limited all the same.
        let own = Cgroup::create(Path::new("nslab/lab/own"), &limits).unwrap();
        sh(&format!("echo 50M > {theirs}/memory.max"));
        own.remove().unwrap();
        assert_eq!(cgroups.enabled(), "memory");
        assert_eq!(sh(&format!("cat {theirs}/memory.max")), "52428800\n");
        sh(&format!("rmdir {theirs}; echo -memory > /sys/fs/cgroup/unified/cgroup.subtree_control"));
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

/// The scopes of nslab's that systemd knows.
fn scopes() -> String {
    sh("systemctl list-units --all --no-legend --plain 'nslab-*.scope'")
}

#[test]
fn systemd_makes_a_scope_and_removes_it() {
    let options = ["-p", "-m", "--memory", "100M", "--cpus", "0.5", "--pids", "64"];
    let mut child = running(&options, "2222");
    let own = cgroup_of(&child);
    let unit = format!("nslab-{own}.scope");
    let status = sh(&format!("systemctl status --no-pager {unit}"));
    assert!(status.contains("nslab container nslab/by:"), "{status}");
    assert!(status.contains("limit: 64") && status.contains("max: 100.0M"), "{status}");
    assert!(sh("systemd-cgls --no-pager /system.slice").contains("sleep 2222"));
    let threads = sh(&format!("ls /proc/{}/task", child.id()));
    assert_eq!(threads.lines().count(), 1, "asking over D-Bus has left no thread");
    let directory = format!("/sys/fs/cgroup/system.slice/{unit}");
    assert_eq!(sh(&format!("cat {directory}/cpu.max")), "50000 100000\n");
    assert_eq!(
        sh(&format!("wc -l < {directory}/cgroup.procs")).trim(),
        "2",
        "process 1 and the command, no placeholder"
    );

    // systemd writes again what it has in mind, and that is the same.
    sh("systemctl daemon-reload");
    assert_eq!(sh(&format!("cat {directory}/memory.max {directory}/pids.max")), "104857600\n64\n");

    let found = Cgroup::find(Path::new(&format!("nslab/{own}"))).unwrap().unwrap();
    assert_eq!(found.directories(), [Path::new(&directory)]);
    assert_eq!(found.usage().unwrap().pids, Some(2));
    // Somebody further down keeps it, with what is beside him.
    sh(&format!(
        "cd {directory}; mkdir one other; for pid in $(cat cgroup.procs); do echo $pid > one/cgroup.procs; done"
    ));
    assert!(matches!(found.remove(), Err(CgroupError::Occupied { .. })));
    assert!(Path::new(&directory).join("other").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    found.end(SOON).unwrap();
    found.remove().unwrap();
    assert!(!Path::new(&directory).exists());
    wait_until("systemd has forgotten it", SOON, || !scopes().contains(&unit));
    assert!(!Path::new("/sys/fs/cgroup/nslab").exists());
}

#[test]
fn an_oom_kill_in_a_scope_is_told() {
    let output = launch(&["-p", "-m", "-H", "zion", "--memory", "100M", "--swap", "0"], &["sh", "-c", EAT]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(137), "{}", text(&output));
    assert!(text(&output).contains("zion: killed, out of memory (limit 100 MB)"), "{}", text(&output));
}

#[test]
fn a_user_has_limits_where_cgroups_are_delegated() {
    let nslab = env!("CARGO_BIN_EXE_nslab");
    sh("echo walker:x:4001:4001::/tmp:/bin/sh >> /etc/passwd; echo walker:x:4001: >> /etc/group");
    let run = |properties: &str, script: &str| {
        let command = format!(
            "systemd-run --quiet --wait --pipe --collect --uid=walker {properties} sh -c '{script}' 2>&1 || echo code $?"
        );
        sh(&command)
    };
    // The shell that it is started from has to leave its own cgroup for that, and is back there afterwards.
    let script = format!(
        "{nslab} launch -U -p -m --memory 100M --swap 0 --cpus 0.5 --pids 64 -- sh -c \"
             cat /proc/self/cgroup; cd /sys/fs/cgroup\\$(cut -d: -f3- /proc/self/cgroup)
             cat memory.max cpu.max pids.max\"
         cat /proc/self/cgroup; cd /sys/fs/cgroup$(cut -d: -f3- /proc/self/cgroup); ls -d */; echo [$(cat cgroup.subtree_control)]"
    );
    let told = run("-p Delegate=yes", &script);
    assert!(told.contains("/nslab/by:"), "{told}");
    assert!(told.contains("104857600\n50000 100000\n64\n"), "{told}");
    assert!(!told.contains("nslab-callers/\n") && told.contains("[]"), "all is as it was: {told}");

    let told = run("-p Delegate=yes", &format!("{nslab} launch -U -p -m -H zion --memory 100M --swap 0 -- {EAT}"));
    assert!(told.contains("zion: killed, out of memory (limit 100 MB)") && told.contains("code 137"), "{told}");

    // One that is to be forgotten takes its cgroup along; where its caller is goes with the next one.
    let script = format!(
        "{nslab} --state-dir /tmp/walker launch -U -p -m --memory 100M --detach --rm -- true
         cd /sys/fs/cgroup$(dirname $(cut -d: -f3- /proc/self/cgroup))
         timeout 60 sh -c \"while [ -e nslab ]; do sleep 0.1; done\"; ls -d */; echo [$(cat cgroup.subtree_control)]
         {nslab} launch -U -p -m --memory 100M -- true; ls -d */ || echo nothing"
    );
    let told = run("-p Delegate=yes", &script);
    assert!(told.contains("nslab-callers/\n[]\n") && told.ends_with("nothing\n"), "{told}");

    let limited = format!("{nslab} launch -U -p -m --memory 100M --cpus 0.5 -- true");
    let told = run("", &limited);
    assert!(told.contains("none is delegated to this user"), "{told}");

    // As systemd delegates to users' own: no processors.
    let told = sh(&format!(
        "cd /sys/fs/cgroup; mkdir -p given/walker; echo +memory +pids > cgroup.subtree_control
         echo +memory +pids > given/cgroup.subtree_control; cd given/walker
         chown walker . cgroup.procs cgroup.subtree_control
         (sh -c 'echo $PPID' > cgroup.procs; exec setpriv --reuid=4001 --regid=4001 --clear-groups {limited}) 2>&1 ||
             echo code $?"
    ));
    assert!(told.contains("can't limit cpus: the controller `cpu` is not delegated"), "{told}");
    assert!(told.contains("Delegate=cpu") && told.contains("code 125"), "{told}");
    let left = || sh("cd /sys/fs/cgroup; find given -mindepth 1 -type d; cat given/walker/cgroup.procs");
    wait_until("nothing is left but what was given", SOON, || left() == "given/walker\n");
    sh("cd /sys/fs/cgroup; rmdir given/walker given");
}

#[test]
fn a_users_own_systemd_makes_a_scope() {
    let nslab = env!("CARGO_BIN_EXE_nslab");
    let id = "4002";
    sh("echo lingerer:x:4002:4002::/tmp:/bin/sh >> /etc/passwd; echo lingerer:x:4002: >> /etc/group; echo lingerer:*:19000:::::: >> /etc/shadow
        systemctl start user@4002.service");
    let bus = format!("/run/user/{id}/bus");
    assert!(
        Path::new(&bus).exists(),
        "{}",
        sh(
            "systemctl status --no-pager user@4002.service; ls -la /run/user/4002; systemctl --no-pager list-unit-files dbus.socket; ls /usr/lib/systemd/user | grep dbus; true"
        )
    );
    // From outside of what is the user's: systemd has to move the process.
    let script = format!(
        "{nslab} launch -U -p -m --memory 100M --pids 64 -- sh -c \"
             cat /proc/self/cgroup; cd /sys/fs/cgroup\\$(cut -d: -f3- /proc/self/cgroup); cat memory.max pids.max\""
    );
    let told = sh(&format!(
        "systemd-run --quiet --wait --pipe --collect --uid=lingerer sh -c '{script}' 2>&1 || echo code $?"
    ));
    assert!(told.contains(&format!("/user@{id}.service/app.slice/nslab-by:")), "{told}");
    assert!(told.contains("104857600\n64\n"), "{told}");
    wait_until("the scope is gone", SOON, || {
        sh(&format!("ls /sys/fs/cgroup/user.slice/user-{id}.slice/user@{id}.service/app.slice")).find("nslab").is_none()
    });
    sh("systemctl stop user@4002.service");
}
