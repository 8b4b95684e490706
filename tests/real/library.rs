//! The library as a program uses it; the example in examples/ is run as it is.

use crate::support::ThrowAwayHost;
use crate::support::cgroups::Cgroups;
use nslab::Lab;
use nslab::check::CheckOptions;
use std::path::Path;
use std::process::Command;

const PAIR: &str = "
name: pair
nodes: {a: , b: }
links:
  - {endpoints: [a, b], subnets: [10.0.0.0/30]}
";

#[test]
fn a_lab_as_an_object() {
    ThrowAwayHost::run(|host| {
        host.block_on(async {
            let lab = Lab::from_yaml(PAIR).unwrap();
            assert!(lab.up().await.unwrap().took_ms < 10_000);

            let a = lab.node("a").unwrap();
            let output = a.run("cat", ["/sys/class/net/eth0/operstate"]).await.unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), "up\n");
            let inside = a.enter(|| std::fs::read_link("/proc/thread-self/ns/net").unwrap()).await.unwrap();
            assert_ne!(inside, std::fs::read_link("/proc/self/ns/net").unwrap());
            assert_eq!(lab.node("c").err().unwrap().to_string(), "pair has no node \"c\"; it has a, b");

            assert!(lab.check(&CheckOptions::default()).await.unwrap().holds());
            lab.down().await.unwrap();
            assert!(lab.check(&CheckOptions::default()).await.is_err(), "a lab that is down can't be checked");
        });
    });
}

#[test]
fn what_is_started_in_a_node_is_under_its_limits() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        host.block_on(async {
            let text = "name: few\nlimits: {memory: 200M}\nnodes: {a: {limits: {pids: 9}}, b: }\n";
            let lab = Lab::from_yaml(text).unwrap();
            lab.up().await.unwrap();
            for node in ["a", "b"] {
                let output = lab.node(node).unwrap().run("cat", ["/proc/self/cgroup"]).await.unwrap();
                let told = String::from_utf8(output.stdout).unwrap();
                assert!(told.lines().any(|line| line.ends_with(&format!("/nslab/few/{node}"))), "{told}");
            }
            let script = "for n in 1 2 3 4 5 6 7 8 9 10; do sleep 4431 >/dev/null 2>&1 & done; wait";
            let output = lab.node("a").unwrap().run("sh", ["-c", script]).await.unwrap();
            assert!(String::from_utf8_lossy(&output.stderr).to_lowercase().contains("fork"), "{output:?}");
            let _ = Command::new("pkill").args(["-KILL", "-f", "^sleep 4431"]).status();
            lab.down().await.unwrap();
        });
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn the_example_does_what_it_says() {
    ThrowAwayHost::run(|_| {
        // Cargo builds examples beside the tests, but tells tests nothing of where.
        let executable = std::env::current_exe().unwrap();
        let example = executable.ancestors().map(|directory| directory.join("examples/lab")).find(|path| path.exists());
        let example = example.expect("cargo builds the example with the tests");
        let output = Command::new(Path::new(&example)).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
        for line in ["ping: exit status: 0", "says hello", "every node reaches every other one: true"] {
            assert!(printed.contains(line), "no `{line}` in:\n{printed}");
        }
    });
}
