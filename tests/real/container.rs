//! Nodes that are containers.

use crate::support::cgroups::Cgroups;
use crate::support::run::{fails, json, ok, sh, text};
use crate::support::walk::topology;
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// A root file system with busybox and nothing else, in the host's own files.
fn root(host: &ThrowAwayHost) -> String {
    let root = host.scratch().join("root");
    let path = root.to_str().unwrap().to_owned();
    sh(&format!(
        "mkdir -p {path}/bin {path}/etc {path}/proc {path}/sys {path}/dev {path}/tmp
         [ -e {path}/bin/busybox ] || cp /usr/bin/busybox {path}/bin/
         for applet in sh sleep tail cat ping nc hostname true ls echo id test; do ln -sf busybox {path}/bin/$applet; done
         : > {path}/etc/hosts"
    ));
    path
}

/// Two containers and a node that is none.
fn lab(host: &ThrowAwayHost, zion: &str) -> String {
    root(host);
    let text = format!(
        "
name: matrix
switches: {{br0: {{subnets: [10.0.0.0/24]}}}}
nodes:
  zion:
    container: {{rootfs: root, {zion}}}
    exec: ['hostname > /tmp/executed']
  io: {{container: {{rootfs: ./root, command: [sleep, '1000'], hostname: moon}}}}
  plain:
links: [[zion, br0], [io, br0], [plain, br0]]
"
    );
    topology(host, "matrix.yaml", &text)
}

fn ps(node: &str) -> serde_json::Value {
    let all = json(&["ps", "matrix", "--json"]);
    all.as_array().unwrap().iter().find(|one| one["name"] == node).unwrap().clone()
}

const SERVER: &str = "command: exec nc -ll -p 80 -e echo hello";

#[test]
fn containers_are_nodes_of_their_lab() {
    ThrowAwayHost::run(|host| {
        let file = lab(host, SERVER);
        ok(&["up", &file]);
        // What exec runs is in the container: its root, its name, its processes, its network and its names.
        assert_eq!(ok(&["exec", "zion", "--", "hostname"]), "zion\n");
        assert_eq!(ok(&["exec", "io", "--", "hostname"]), "moon\n");
        assert_eq!(ok(&["exec", "zion", "--", "cat", "/tmp/executed"]), "zion\n");
        assert_eq!(ok(&["exec", "zion", "--", "sh", "-c", "echo $NSLAB_LAB/$NSLAB_NODE"]), "matrix/zion\n");
        assert!(ok(&["exec", "zion", "--", "ls", "/"]).contains("bin"));
        fails(&["exec", "zion", "--", "test", "-e", "/usr"], 1);
        fails(&["exec", "zion", "--", "no-such-command"], 127);
        assert!(ok(&["exec", "zion", "--", "cat", "/proc/1/cmdline"]).starts_with("nslab"));
        ok(&["exec", "io", "--", "ping", "-c1", "-W5", "zion"]);
        ok(&["exec", "plain", "--", "ping", "-c1", "-W5", "io"]);
        assert_eq!(ok(&["exec", "io", "--", "sh", "-c", "nc zion 80 < /dev/null"]), "hello\n");
        let shown = ok(&["exec", "--all", "--", "hostname"]);
        assert!(shown.contains("| zion\n") && shown.contains("| moon\n"), "{shown}");
        ok(&["check"]);
        assert!(ok(&["show"]).contains("everything is as it should be"));
        let shown = ok(&["ps"]);
        assert!(shown.contains("zion") && shown.contains("running") && !shown.contains("plain"), "{shown}");
        ok(&["down"]);
    });
}

#[test]
fn a_container_that_has_ended_is_started_again() {
    ThrowAwayHost::run(|host| {
        let file = lab(host, SERVER);
        ok(&["up", &file]);
        let io = ps("io")["pid"].clone();
        assert!(text(&nslab(["up", &file]).output().unwrap()).contains("nothing to do") || ps("io")["pid"] == io);
        ok(&["stop", "zion"]);
        assert_ne!(ps("zion")["state"], "running");
        assert_eq!(ps("zion")["pid"], serde_json::Value::Null);
        assert!(fails(&["exec", "zion", "--", "true"], 125).contains("does not run"));
        assert!(fails(&["kill", "zion"], 2).contains("does not run"));
        assert!(ok(&["show"]).contains("start the container zion"));
        ok(&["start", "zion"]);
        let first = ps("zion")["pid"].clone();
        ok(&["start", "zion"]);
        assert_eq!(ps("zion")["pid"], first, "one that runs is let run");
        ok(&["kill", "zion"]);
        assert_ne!(ps("zion")["state"], "running");
        ok(&["restart", "zion"]);
        assert_eq!(ps("zion")["state"], "running");
        ok(&["kill", "zion"]);
        ok(&["up", &file]);
        assert_eq!(ps("zion")["state"], "running");
        assert_eq!(ps("io")["pid"], io, "what did not change goes on");
        assert!(fails(&["stop", "plain"], 2).contains("those of matrix are zion, io"));
        assert!(fails(&["kill", "--signal", "LOUD", "io"], 2).contains("there is no signal"));
        ok(&["down"]);
    });
}

#[test]
fn a_changed_container_is_started_anew_and_no_other_one() {
    ThrowAwayHost::run(|host| {
        ok(&["up", &lab(host, SERVER)]);
        let before = [ps("zion")["pid"].clone(), ps("io")["pid"].clone()];
        let file = lab(host, "command: [sleep, '1001']");
        let plan = ok(&["plan", &file]);
        assert!(plan.contains("stop the container zion") && plan.contains("start the container zion: `sleep 1001`"));
        assert!(!plan.contains("container io"), "{plan}");
        ok(&["up", &file]);
        assert_ne!(ps("zion")["pid"], before[0]);
        assert_eq!(ps("io")["pid"], before[1]);
        assert!(ok(&["plan", &file]).contains("nothing to do"));
        // A node that is none any more.
        let text = std::fs::read_to_string(&file).unwrap();
        let without: String = text.split_inclusive('\n').filter(|line| !line.contains("sleep, '1001'")).collect();
        let file = topology(host, "matrix.yaml", &without.replace("    exec: ['hostname > /tmp/executed']\n", ""));
        ok(&["up", &file]);
        assert_eq!(json(&["ps", "--json"]).as_array().unwrap().len(), 1);
        assert!(ok(&["exec", "zion", "--", "ls", "/"]).contains("usr"));
        ok(&["down"]);
    });
}

#[test]
fn who_will_know_no_names_is_told() {
    ThrowAwayHost::run(|host| {
        let file = lab(host, "command: [sleep, '1000'], read_only: true");
        let hosts = host.scratch().join("root/etc/hosts");
        std::fs::remove_file(&hosts).unwrap();
        let told =
            format!("`mkdir -p {root}/etc && touch {root}/etc/hosts`", root = host.scratch().join("root").display());
        assert!(ok(&["plan", &file]).contains(&told));
        assert!(ok(&["up", &file]).contains(&told));
        assert!(!hosts.exists());
        fails(&["exec", "io", "--", "cat", "/etc/hosts"], 1);
        assert!(ok(&["exec", "zion", "--", "cat", "/etc/hosts"]).contains("10.0.0.2 io\n"), "a layer has room for it");
        assert!(!ok(&["up", &file]).contains("touch"), "nothing is started");
        std::fs::write(&hosts, "").unwrap();
        ok(&["kill", "io"]);
        assert!(!ok(&["up", &file]).contains("touch"));
        assert!(ok(&["exec", "io", "--", "cat", "/etc/hosts"]).contains("10.0.0.1 zion\n"));
        ok(&["down"]);
    });
}

#[test]
fn a_container_that_can_not_be_started_fails_the_up_and_leaves_nothing() {
    ThrowAwayHost::run(|host| {
        for (zion, said) in [
            ("command: [no-such-command]", "can't run `no-such-command`"),
            ("command: [/etc/hosts]", "can't run `/etc/hosts`"),
            ("command: [sleep, '9'], binds: ['/no/such/thing:/tmp/x']", "/no/such/thing"),
        ] {
            let file = lab(host, zion);
            let told = fails(&["up", &file], 1);
            assert!(told.contains("can't start the container zion") && told.contains(said), "{told}");
            host.assert_as_it_was("after an up that failed");
        }
    });
}

#[test]
fn down_takes_containers_along_whatever_has_become_of_them() {
    ThrowAwayHost::run(|host| {
        let file = lab(host, SERVER);
        ok(&["up", &file]);
        ok(&["kill", "io"]);
        ok(&["down"]);
        host.assert_as_it_was("after down with a container that had ended");
        ok(&["up", &file]);
        // Somebody deletes the node by hand.
        let pid = ps("zion")["pid"].to_string();
        sh("ip netns delete matrix-zion");
        ok(&["down"]);
        let is_gone = || !std::path::Path::new(&format!("/proc/{pid}")).exists();
        wait_until("the container is gone", PATIENCE, is_gone);
    });
}

#[test]
fn a_container_has_a_cgroup_until_its_lab_goes() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let file = lab(host, SERVER);
        ok(&["up", &file]);
        let all = cgroups.all();
        assert!(all.iter().any(|name| name.ends_with("nslab/matrix/zion")), "{all:?}");
        assert!(ps("zion")["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{}", ps("zion"));
        // One that is started anew has one of the same name.
        ok(&["restart", "zion"]);
        assert_eq!(cgroups.all(), all);
        ok(&["down"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn what_killed_a_container_is_told() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        // It eats memory without end: a line of zeros that never does.
        let eater = "command: [tail, /dev/zero], limits: {memory: 100MB, swap: 0}";
        ok(&["up", &lab(host, eater)]);
        wait_until("the eater is killed", PATIENCE, || ps("zion")["state"] == "killed");
        let told = ps("zion");
        assert_eq!(told["reason"], "killed, out of memory (limit 100 MB)", "{told}");
        assert_eq!(told["exit_code"], 137, "{told}");
        assert!(ok(&["ps"]).contains("killed, out of memory (limit 100 MB)"));
        // The lab is unharmed.
        assert_eq!(ps("io")["state"], "running");
        ok(&["check"]);
        ok(&["kill", "io"]);
        let told = ps("io");
        assert_eq!(
            (told["reason"].as_str(), told["exit_code"].as_i64()),
            (Some("killed by SIGKILL"), Some(137)),
            "{told}"
        );
        ok(&["down"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}
