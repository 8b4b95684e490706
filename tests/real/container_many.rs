//! Five hundred containers in one lab: started, listed, stopped, and what each of them costs while it runs.

use crate::support::ThrowAwayHost;
use crate::support::cgroups::Cgroups;
use crate::support::rootfs::busybox;
use crate::support::run::{json, ok};
use crate::support::walk::topology;
use std::fmt::Write as _;
use std::time::Instant;

const MANY: usize = 500;

/// What a container may add to its command, in KiB. A debug build has a megabyte more of tables that the dynamic loader
/// writes to.
const MOST_KIB: u64 = if cfg!(debug_assertions) { 3 * 1024 } else { 1536 };

/// A number of KiB in one of a process's files in /proc.
fn kib(pid: u64, file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
}

/// How often a process has been given a processor.
fn turns(pid: u64) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    text.split_whitespace().nth(2).unwrap().parse().unwrap()
}

#[test]
fn five_hundred_containers_are_started_listed_and_stopped() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let root = busybox(host, "root");
        let mut text = "name: many\nnodes:\n".to_owned();
        for number in 1..=MANY {
            writeln!(text, "  n{number}: {{container: {{rootfs: {root}, command: [sleep, '100000']}}}}").unwrap();
        }
        let file = topology(host, "many.yaml", &text);
        let begun = Instant::now();
        ok(&["up", &file]);
        let up = begun.elapsed();

        let begun = Instant::now();
        let all = json(&["ps", "many", "--json"]);
        let ps = begun.elapsed();
        let all = all.as_array().unwrap();
        assert_eq!(all.len(), MANY);
        assert!(all.iter().all(|one| one["state"] == "running"), "{all:?}");

        // Its share of what processes share, what is its own, and the tables by which the processor finds both.
        let pids: Vec<u64> = all.iter().map(|one| one["pid"].as_u64().unwrap()).collect();
        let costs = |pid: &u64| kib(*pid, "smaps_rollup", "Pss:") + kib(*pid, "status", "VmPTE:");
        let each = pids.iter().map(costs).sum::<u64>() / MANY as u64;
        let before: Vec<u64> = pids.iter().map(|pid| turns(*pid)).collect();

        let begun = Instant::now();
        ok(&["ps", "many"]);
        let after: Vec<u64> = pids.iter().map(|pid| turns(*pid)).collect();
        assert_eq!(after, before, "process 1 of a container that does nothing does nothing, for {:?}", begun.elapsed());

        let begun = Instant::now();
        ok(&["down"]);
        let down = begun.elapsed();
        for pid in pids {
            assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "process {pid} is left");
        }
        assert_eq!(cgroups.all(), [] as [&str; 0]);
        println!("{MANY} containers: up {up:.2?}, ps {ps:.2?}, down {down:.2?}, {each} KiB each besides its command");
        assert!(each < MOST_KIB, "{each} KiB for each container, besides its command");
    });
}
