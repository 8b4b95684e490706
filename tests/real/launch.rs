//! `nslab launch`: namespaces, maps, names, exit codes, and what it leaves.

use crate::support::rootfs::busybox;
use crate::support::run::{fails, ok, sh, text};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// The options, and the namespace that each makes, as it is called in /proc/PID/ns.
const FLAGS: [(&str, &str); 8] = [
    ("-i", "ipc"),
    ("-m", "mnt"),
    ("-n", "net"),
    ("-p", "pid"),
    ("-u", "uts"),
    ("-U", "user"),
    ("-C", "cgroup"),
    ("-T", "time"),
];

/// Prints every namespace of whoever runs it.
const NAMESPACES: &str = "for ns in ipc mnt net pid uts user cgroup time; do readlink /proc/self/ns/$ns; done";

/// The namespaces that a command launched with these options does not share with this process.
fn new_namespaces(options: &[&str]) -> BTreeSet<String> {
    let own = sh(NAMESPACES);
    let mut arguments = vec!["launch"];
    arguments.extend(options);
    // Without a /proc of its own, a process of a new PID namespace finds itself nowhere: it asks outside.
    let theirs = if options.contains(&"-p") && !options.contains(&"--rootfs") {
        let mut child = nslab(arguments).args(["sleep", "1000"]).spawn().unwrap();
        let mut found = None;
        wait_until("the command to run", SOON, || {
            found = sleeper(child.id());
            found.is_some()
        });
        let pid = found.unwrap();
        let theirs = sh(&NAMESPACES.replace("/proc/self", &format!("/proc/{pid}")));
        sh(&format!("kill -TERM {}", child.id()));
        assert_eq!(child.wait().unwrap().code(), Some(128 + 15), "{options:?}");
        theirs
    } else {
        arguments.extend(["sh", "-c", NAMESPACES]);
        ok(&arguments)
    };
    own.lines().zip(theirs.lines()).filter(|(own, theirs)| own != theirs).map(|(own, _)| name_of(own)).collect()
}

fn name_of(link: &str) -> String {
    link.split(':').next().unwrap().to_owned()
}

/// The process called `sleep` among the descendants of one.
fn sleeper(ancestor: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{ancestor}/task/{ancestor}/children")).ok()?;
    for child in children.split_whitespace().map(|pid| pid.parse().unwrap()) {
        let name = std::fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
        if name == "sleep\n" {
            return Some(child);
        }
        if let Some(found) = sleeper(child) {
            return Some(found);
        }
    }
    None
}

#[test]
fn each_option_makes_its_namespace_and_no_other() {
    ThrowAwayHost::run(|_| {
        assert_eq!(new_namespaces(&[]), BTreeSet::new());
        for (option, namespace) in FLAGS {
            assert_eq!(new_namespaces(&[option]), BTreeSet::from([namespace.to_owned()]), "{option}");
        }
    });
}

#[test]
fn each_pair_of_options_makes_its_two_namespaces() {
    ThrowAwayHost::run(|_| {
        for (at, (one, first)) in FLAGS.iter().enumerate() {
            for (other, second) in &FLAGS[at + 1..] {
                let expected = BTreeSet::from([(*first).to_owned(), (*second).to_owned()]);
                assert_eq!(new_namespaces(&[one, other]), expected, "{one} {other}");
            }
        }
    });
}

#[test]
fn a_root_of_its_own_comes_with_all_namespaces_but_that_of_users() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let all = ["ipc", "mnt", "net", "pid", "uts", "cgroup", "time"].map(str::to_owned);
        assert_eq!(new_namespaces(&["--rootfs", &root]), BTreeSet::from(all.clone()));
        let but_two = BTreeSet::from(all).into_iter().filter(|name| name != "net" && name != "time").collect();
        assert_eq!(new_namespaces(&["--rootfs", &root, "--share", "net,time"]), but_two);
    });
}

#[test]
fn the_line_of_the_old_notes_works_as_it_did() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        sh("ip netns add net1; ip -n net1 link add ve0 type veth peer name ve1");
        let line =
            ["launch", "-n", "-u", "-i", "-m", "-p", "-N", "net1", "-H", "zion", "chroot", &root, "/bin/sh", "-c"];
        let script = "hostname; mount -t proc proc /proc; ip -o link | cut -d: -f2 | cut -d@ -f1 | sort; id -u; ps -e -o args= | grep -c '^nslab __init'";
        let said = ok(&[&line[..], &[script]].concat());
        assert_eq!(said, "zion\n lo\n ve0\n ve1\n0\n1\n");
        sh("ip netns del net1; umount /run/netns; rmdir /run/netns");
        // What was mounted inside went with the namespace.
        assert_eq!(sh(&format!("grep -c {root} /proc/self/mountinfo || true")), "0\n");
    });
}

#[test]
fn a_network_namespace_is_found_by_all_its_names() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "two-node"]);
        sh("ip netns add other");
        let address = "ip -o -4 addr show dev eth0 | grep -o '10.0.0.[0-9]*/24'";
        for name in ["net2", "two-node/net2", "two-node-net2", "/run/netns/two-node-net2"] {
            assert_eq!(ok(&["launch", "-N", name, "sh", "-c", address]), "10.0.0.2/24\n", "{name}");
            // It wins over a new one.
            assert_eq!(ok(&["launch", "-n", "-N", name, "sh", "-c", address]), "10.0.0.2/24\n", "{name}");
        }
        assert_eq!(ok(&["launch", "-N", "other", "sh", "-c", "ip -o link | wc -l"]), "1\n");
        let pid = std::process::id();
        let own = sh("readlink /proc/self/ns/net");
        assert_eq!(ok(&["launch", "-N", &format!("pid:{pid}"), "readlink", "/proc/self/ns/net"]), own);
        let said = fails(&["launch", "-N", "nowhere", "true"], 2);
        let there = "where there is other, two-node-fabric, two-node-net1, two-node-net2";
        assert!(said.contains("neither a node nor a network namespace") && said.contains(there), "{said}");
        let said = fails(&["launch", "-N", "two-node/nowhere", "true"], 2);
        assert!(said.contains("two-node has no node \"nowhere\"") && said.contains("net1, net2"), "{said}");
        assert!(fails(&["launch", "-N", "no-lab/net1", "true"], 125).contains("no lab no-lab is up"));
        let said = fails(&["launch", "-N", "/etc/passwd", "true"], 125);
        assert!(said.contains("enter the network namespace /etc/passwd"), "{said}");
        sh("ip netns del other");
        ok(&["down"]);
    });
}

#[test]
fn a_root_in_a_nodes_network_has_the_nodes_names() {
    ThrowAwayHost::run(|host| {
        ok(&["up", "two-node"]);
        let root = busybox(host, "root");
        let names = |options: &[&str]| {
            let mut launch = nslab(["launch", "-N"]);
            let output = launch.args(options).args(["--", "cat", "/etc/hosts"]).output().unwrap();
            (output.status.success(), text(&output))
        };
        let (with_net2, without) = ("10.0.0.2 net2\n", std::fs::read_to_string("/etc/hosts").unwrap());
        for options in [["two-node/net1", "--rootfs", "host"], ["two-node-net1", "--rootfs", "host"]] {
            let (is_there, said) = names(&options);
            assert!(is_there && said.contains(with_net2), "{options:?}: {said}");
        }
        assert!(names(&["net1", "--rootfs", &root, "--read-only"]).1.contains(with_net2), "a layer has room for it");
        assert!(!names(&["net1", "--rootfs", &root]).0, "nothing is made in somebody's directory");
        std::fs::write(format!("{root}/etc/hosts"), "").unwrap();
        assert!(names(&["net1", "--rootfs", &root]).1.contains(with_net2));
        // A file of the user's comes after it; and who only joins the network sees what the caller sees.
        let own = format!("{root}/etc/hosts:/etc/hosts");
        assert_eq!(names(&["net1", "--rootfs", "host", "--bind", &own]), (true, String::new()));
        assert_eq!(names(&["net1"]), (true, without));
        ok(&["down"]);
    });
}

#[test]
fn users_are_numbered_as_the_maps_say() {
    ThrowAwayHost::run(|host| {
        let maps = "tr -s ' ' < /proc/self/uid_map; tr -s ' ' < /proc/self/gid_map; id -u; id -g";
        let said = ok(&["launch", "-U", "-M", "0 1000 1, 5 3000 2", "-G", "0 2000 10", "sh", "-c", maps]);
        assert_eq!(said, " 0 1000 1\n 5 3000 2\n 0 2000 10\n0\n0\n");
        // Outside, it is who the map says: what it makes belongs to him.
        let file = host.scratch().join("made");
        sh(&format!("chmod 777 {}", host.scratch().display()));
        ok(&["launch", "-U", "-M", "0 1000 1", "-G", "0 2000 1", "touch", file.to_str().unwrap()]);
        assert_eq!(sh(&format!("stat -c '%u %g' {}", file.display())), "1000 2000\n");
        // Without maps, root inside is the caller.
        let said = ok(&["launch", "-U", "sh", "-c", "tr -s ' ' < /proc/self/uid_map | head -1; id -u"]);
        assert_eq!(said, " 0 0 1\n0\n");
        for (map, reason) in [("0 1000", "three numbers"), ("0 0 0", "maps nothing"), ("0 0 9, 3 50 1", "same numbers")]
        {
            let said = fails(&["launch", "-U", "-M", map, "true"], 2);
            assert!(said.contains(reason), "{map}: {said}");
        }
        assert!(fails(&["launch", "-M", "0 0 1", "true"], 2).contains("-U"));
        assert!(fails(&["launch", "-G", "0 0 1", "true"], 2).contains("-U"));
    });
}

#[test]
fn a_map_that_the_kernel_refuses_is_named() {
    ThrowAwayHost::run(|_| {
        // Root of a user namespace with a single number has no other one to give.
        let nslab = env!("CARGO_BIN_EXE_nslab");
        let said = ok(&["launch", "-U", "sh", "-c", &format!("{nslab} launch -U -M '0 5 1' true 2>&1; echo code $?")]);
        assert!(said.contains("can't write the map `0 5 1` (uid_map)"), "{said}");
        assert!(said.contains("code 125"), "{said}");
    });
}

#[test]
fn it_tells_each_step_where_asked_to() {
    ThrowAwayHost::run(|_| {
        sh("ip netns add net1");
        let output =
            nslab(["launch", "-v", "-U", "-p", "-u", "-N", "net1", "-H", "zion", "hostname"]).output().unwrap();
        let said = text(&output);
        for part in [
            "zion\n",
            "entered the network namespace /run/netns/net1",
            "into new namespaces: user, pid, uts",
            "wrote the maps of its user namespace: users 0 0 1",
        ] {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
        assert!(said.lines().any(|line| line.starts_with("nslab: cloned process ")), "{said}");
        sh("ip netns del net1; umount /run/netns; rmdir /run/netns");
    });
}

#[test]
fn no_open_file_comes_in() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let nslab = env!("CARGO_BIN_EXE_nslab");
        let list = "for file in 0 1 2 3 4 5 6 7 8 9 10 11 12; do [ -e /proc/self/fd/$file ] && echo $file; done; true";
        for options in ["-m", "", &format!("--rootfs {root}")] {
            let said =
                sh(&format!("exec 5</etc/passwd 7</ 9>/dev/null; {nslab} launch {options} sh -c '{list}' < /dev/null"));
            assert_eq!(said, "0\n1\n2\n", "{options}");
        }
        // Nor does process 1 have any of the caller's: the shell outside is the only one that has this.
        let list = "ls -l /proc/[0-9]*/fd | grep -c \"[/]etc/passwd\"";
        let said = sh(&format!("exec 5</etc/passwd 7</; {nslab} launch -p sh -c '{list}' < /dev/null"));
        assert_eq!(said, "1\n");
    });
}

#[test]
fn a_killed_launcher_takes_its_command_along() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        for options in [&["-p"][..], &[], &["--rootfs", &root], &["--rootfs", &root, "-U"], &["-U"]] {
            let arguments = [&["launch"], options, &["sleep", "4321"]].concat();
            let mut child = nslab(&arguments).stdin(Stdio::null()).spawn().unwrap();
            let mut found = None;
            wait_until("the command to run", SOON, || {
                found = sleeper(child.id()).or_else(|| is_sleep(child.id()).then_some(child.id()));
                found.is_some()
            });
            child.kill().unwrap();
            assert_eq!(child.wait().unwrap().signal(), Some(9));
            wait_until("the command to be gone", SOON, || sh("ps -C sleep -o args= || true").trim().is_empty());
        }
    });
}

fn is_sleep(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n")
}

#[test]
fn without_maps_root_inside_is_its_caller_though_he_may_have_other_users() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        sh("echo root:200000:1000 > /etc/subuid; echo root:200000:1000 > /etc/subgid");
        let maps = ["sh", "-c", "tr -s ' ' < /proc/self/uid_map; tr -s ' ' < /proc/self/gid_map"];
        for options in [&["-U"][..], &["-U", "--rootfs", &root]] {
            let said = ok(&[&["launch"], options, &maps].concat());
            assert_eq!(said, " 0 0 1\n 1 200000 1000\n".repeat(2), "{options:?}");
        }
        // So he can write where his files are, and inside nobody else can for him.
        let script = "touch /made; stat -c %u /made; chown 7 /made";
        assert_eq!(ok(&["launch", "-U", "--rootfs", &root, "sh", "-c", script]), "0\n");
        assert_eq!(sh(&format!("stat -c %u {root}/made")), "200006\n");
    });
}
