//! Where nslab runs: mount namespaces, kernels and machines that lack something, others who are faster.

use crate::support::run::{fails, ok, sh, text, write};
use crate::support::{ThrowAwayHost, nslab, wait_until, walk};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

const NSLAB: &str = env!("CARGO_BIN_EXE_nslab");

#[test]
fn what_is_pinned_is_seen_from_other_mount_namespaces_and_gone_there_too() {
    ThrowAwayHost::run(|_| {
        // One that was there before the lab, as a service's with private mounts is.
        sh("mount --make-rshared /");
        let mut other = std::process::Command::new("unshare")
            .args(["--mount", "--propagation", "slave", "sleep", "1000"])
            .spawn()
            .unwrap();
        let there = format!("nsenter --target {} --mount", other.id());
        wait_until("the other is there", Duration::from_secs(10), || {
            sh(&format!("cat /proc/{}/comm", other.id())).trim() == "sleep"
        });
        ok(&["up", "two-node"]);
        sh(&format!("{there} ip netns exec two-node-net1 ping -c1 -W1 10.0.0.2"));
        // What is made in there would be seen in there alone.
        let output = sh(&format!("{there} {NSLAB} up single,2 2>&1 && exit 1 || echo code $?"));
        assert!(output.contains("in a mount namespace of its own") && output.contains("code 3"), "{output}");
        let output = sh(&format!("{NSLAB} exec net1 -- {NSLAB} down 2>&1 && exit 1 || echo code $?"));
        assert!(output.contains("in a mount namespace of its own") && output.contains("code 3"), "{output}");
        ok(&["down"]);
        assert_eq!(sh(&format!("{there} sh -c 'grep -c netns/ /proc/self/mountinfo || true'")).trim(), "0");
        other.kill().unwrap();
        other.wait().unwrap();
        sh("mount --make-rprivate /");
    });
}

#[test]
fn whoever_is_inside_a_node_is_told_to_leave_first() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "two-node"]);
        let before = sh("ip netns list");
        // nsenter(1) changes the network namespace alone.
        let output = sh(&format!("nsenter --net=/run/netns/two-node-net1 {NSLAB} down 2>&1 && exit 1 || true"));
        assert!(output.contains("nslab is running inside `two-node-net1`"), "{output}");
        assert_eq!(sh("ip netns list"), before);
        ok(&["check"]);
        ok(&["down"]);
    });
}

#[test]
fn somebody_who_is_faster_keeps_what_he_made() {
    ThrowAwayHost::run(|host| {
        let points = host.scratch().join("points");
        nslab(["up", "two-node"]).env("NSLAB_TEST_POINTS", &points).output().unwrap();
        ok(&["down"]);
        let point = walk::point(&points, "after writing plan.json").to_string();
        let up = nslab(["up", "two-node"])
            .envs([("NSLAB_TEST_INTERRUPT_AT", point.as_str()), ("NSLAB_TEST_SIGNAL", "SIGSTOP")])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stat = format!("/proc/{}/stat", up.id());
        wait_until("it stops", Duration::from_secs(10), || std::fs::read_to_string(&stat).unwrap().contains(") T "));
        sh("ip netns add two-node-net2");
        let inode = sh("stat -L -c %i /run/netns/two-node-net2");
        kill(Pid::from_raw(up.id().try_into().unwrap()), Signal::SIGCONT).unwrap();
        let output = up.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains("/run/netns/two-node-net2 is not nslab's"), "{}", text(&output));
        assert!(text(&output).contains("everything was put back as it was"), "{}", text(&output));
        assert_eq!(sh("stat -L -c %i /run/netns/two-node-net2"), inode);
        assert_eq!(sh("ip netns list").trim(), "two-node-net2");
        assert!(!Path::new("/run/nslab").exists());
        sh("ip netns del two-node-net2; umount /run/netns; rmdir /run/netns; rmdir /etc/netns 2>/dev/null || true");
    });
}

#[test]
fn what_the_machine_lacks_is_exit_code_3() {
    ThrowAwayHost::run(|host| {
        // No namespaces. The limit is the user namespace's own, so this is one of its own.
        let output = sh(&format!(
            "unshare --user --map-root-user --net --mount --propagation private sh -c '
                 mount -t tmpfs tmpfs /run; sysctl -qw user.max_net_namespaces=0
                 {NSLAB} doctor; echo code $?; {NSLAB} up two-node; echo code $?; ls /run' 2>&1"
        ));
        assert!(output.contains("bad      network namespaces"), "{output}");
        assert!(output.contains("sysctl user.max_net_namespaces must not be 0"), "{output}");
        assert_eq!(output.matches("code 3").count(), 2, "{output}");
        assert!(output.trim_end().ends_with("code 3"), "something is left in /run: {output}");

        sh("mount --bind -o ro /etc /etc");
        let message = fails(&["up", "two-node"], 3);
        assert!(message.contains("/etc/netns"), "{message}");
        sh("umount /etc");
        host.assert_as_it_was("after a read-only /etc");

        // A kernel that was started with ipv6.disable=1 has nothing there.
        sh("mount -t tmpfs tmpfs /proc/sys/net/ipv6");
        let dual = write(
            host,
            "dual.yaml",
            "name: dual\nnodes: {a: , b: }\nlinks: [{endpoints: [a, b], subnets: ['fd00::/64']}]\n",
        );
        let message = fails(&["up", &dual], 3);
        assert!(message.contains("this kernel has no IPv6"), "{message}");
        ok(&["up", "two-node"]);
        ok(&["check"]);
        assert!(ok(&["plan", "two-node"]).contains("nothing to do"));
        ok(&["down"]);
        sh("umount /proc/sys/net/ipv6");
    });
}

/// A mount on /run/netns that another one on /run covers: what a container's /run was before it got its own.
#[test]
fn what_is_mounted_under_run_is_not_taken_for_its_own() {
    ThrowAwayHost::run(|host| {
        sh("mkdir /run/netns; mount --bind /run/netns /run/netns; mount -t tmpfs tmpfs /run");
        let covered = host.as_it_is_now();
        ok(&["up", "two-node"]);
        ok(&["down"]);
        covered.assert_as_it_was("after down");
        sh("umount /run; umount /run/netns; rmdir /run/netns");
    });
}
