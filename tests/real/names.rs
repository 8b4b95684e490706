//! Names inside the lab.

use crate::support::ThrowAwayHost;
use crate::support::run::{ok, sh, write};
use std::path::Path;

const LAB: &str = "
name: lab
switches: {s1: {subnets: [10.0.0.0/24, 'fd00::/64']}}
nodes: {a: , b: }
links: [[a, s1], [b, s1]]
";

#[test]
fn whoever_a_command_runs_as_looks_names_up_whatever_the_umask_was() {
    ThrowAwayHost::run(|host| {
        let file = write(host, "lab.yaml", LAB);
        sh(&format!("umask 077; {} up {file}", env!("CARGO_BIN_EXE_nslab")));
        let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
        for inside in ["ip netns exec lab-a", concat!(env!("CARGO_BIN_EXE_nslab"), " exec a --")] {
            assert_eq!(sh(&format!("{inside} {nobody} getent ahostsv4 b | head -1 | cut -d' ' -f1")), "10.0.0.2\n");
            assert_eq!(sh(&format!("{inside} {nobody} getent ahostsv6 b | head -1 | cut -d' ' -f1")), "fd00::2\n");
            sh(&format!("{inside} ping -6 -c1 -W1 b"));
        }
        // And whoever asks which labs there are.
        sh(&format!("{nobody} {} ls | grep lab", env!("CARGO_BIN_EXE_nslab")));
        ok(&["down"]);
    });
}

#[test]
fn a_name_goes_with_its_node() {
    ThrowAwayHost::run(|host| {
        ok(&["up", &write(host, "lab.yaml", LAB)]);
        let smaller = LAB.replace("a: , b: ", "a: ").replace(", [b, s1]", "");
        ok(&["up", &write(host, "lab.yaml", &smaller)]);
        assert!(!Path::new("/etc/netns/lab-b").is_symlink());
        assert!(!sh("ip netns exec lab-a cat /etc/hosts").contains(" b"));
        ok(&["down"]);
        assert!(!Path::new("/etc/netns").exists());
    });
}

/// A reboot takes /run and leaves /etc/netns: what leads into the lab's own directory is the lab's.
#[test]
fn links_that_a_reboot_left_are_taken_over() {
    ThrowAwayHost::run(|host| {
        sh("mkdir -p /etc/netns && ln -s /run/nslab/labs/lab/etc/elsewhere /etc/netns/lab-a");
        ok(&["up", &write(host, "lab.yaml", LAB)]);
        ok(&["exec", "a", "--", "ping", "-c1", "-W1", "b"]);
        ok(&["down"]);
        sh("rmdir /etc/netns");
    });
}
