//! Volumes and limits in the script that `plan --shell` prints: the script's lab is held to what nslab makes of the same topology.

use crate::plan::remove_namespaces;
use crate::support::cgroups::Cgroups;
use crate::support::rootfs::busybox;
use crate::support::run::{json, ok, sh};
use crate::support::walk::topology;
use crate::support::{ThrowAwayHost, wait_until};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// Each kind of volume, each limit, and a node that eats more than it may.
const LAB: &str = "
name: matrix
limits: {memory: 300M, pids: 90}
volumes:
  code: {kind: bind, source: ./src, read_only: true}
  heap: {kind: tmpfs, size: 4MiB, noexec: true}
  disk: {kind: ramdisk, size: 8MiB, filesystem: ext4, nosuid: true}
nodes:
  zion:
    container:
      rootfs: ./root
      command: [sleep, '1000']
      mounts: ['code:/code', 'heap:/heap', 'disk:/disk']
      limits: {memory: 100M, swap: 0, cpus: 0.5, pids: 64}
  moon: {container: {rootfs: ./root, command: [sleep, '1000'], mounts: ['heap:/heap:ro', 'disk:/disk:ro']}}
  hungry: {container: {rootfs: ./root, command: [tail, /dev/zero], limits: {memory: 60M, swap: 0}}}
  plain: {limits: {memory: 50M, pids: 10}}
";

/// All that is to be the same, whoever has made the lab: what is mounted in the containers and what can be done with it, and the
/// files of their cgroups. `inside` runs a shell's command in a container.
fn facts(cgroups: &Cgroups, inside: &dyn Fn(&str, &str) -> String) -> Vec<String> {
    let mut all = Vec::new();
    for (node, at) in [("zion", "/code"), ("zion", "/heap"), ("zion", "/disk"), ("moon", "/heap"), ("moon", "/disk")] {
        let line = inside(node, &format!("grep \" {at} \" /proc/self/mountinfo"));
        let kind = line.split(" - ").nth(1).unwrap().split(' ').next().unwrap();
        let options: Vec<&str> = line.split(' ').nth(5).unwrap().split(',').collect();
        // That no device can be opened in there is nslab's own doing.
        let forbids = ["ro", "nosuid", "noexec"].into_iter().filter(|option| options.contains(option));
        let size = inside(node, &format!("df -k {at} | tail -1 | tr -s \" \" | cut -d \" \" -f 2"));
        let mode = inside(node, &format!("stat -c %a {at}"));
        let kind = if at == "/code" { "the machine's" } else { kind };
        all.push(format!(
            "{node}{at} {kind} {} {} {}",
            forbids.collect::<Vec<_>>().join(","),
            size.trim(),
            mode.trim()
        ));
    }
    for (node, command) in [
        ("zion", "cat /code/main"),
        ("zion", "touch /code/x 2> /dev/null || echo refused"),
        ("zion", "echo here > /heap/file; echo there > /disk/file; ls /heap"),
        ("moon", "cat /heap/file /disk/file; touch /heap/x 2> /dev/null || touch /disk/x 2> /dev/null || echo refused"),
        ("zion", "cp /bin/busybox /heap/true; /heap/true 2> /dev/null; echo $?"),
        ("zion", "cat /proc/1/cgroup | cut -d : -f 3 | sort -u"),
    ] {
        all.push(format!("{node} {command}: {}", inside(node, command)));
    }
    let memory = if cgroups.is_version_2() { "memory.max" } else { "memory.limit_in_bytes" };
    for name in ["", "/zion", "/plain"] {
        let name = format!("nslab/matrix{name}");
        all.push(format!("{name} {} {}", cgroups.read(&name, memory), cgroups.read(&name, "pids.max")));
    }
    let cpu = if cgroups.is_version_2() { "cpu.max" } else { "cpu.cfs_quota_us" };
    all.push(format!("zion {}", cgroups.read("nslab/matrix/zion", cpu)));
    all
}

/// How many processes of a cgroup were killed for want of memory.
fn kills(cgroups: &Cgroups, name: &str) -> String {
    let file = if cgroups.is_version_2() { "memory.events" } else { "memory.oom_control" };
    let text = cgroups.read(name, file);
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")).unwrap().to_owned()
}

#[test]
fn the_script_makes_the_volumes_and_limits_that_nslab_makes() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let root = busybox(host, "root");
        sh(&format!(
            "mkdir {root}/code {root}/heap {root}/disk; cd {}; mkdir src; echo main > src/main",
            host.scratch().display()
        ));
        let file = topology(host, "matrix.yaml", LAB);
        let script = host.scratch().join("lab.sh");
        std::fs::write(&script, ok(&["plan", "--shell", &file])).unwrap();

        let before = host.as_it_is_now();
        ok(&["up", &file]);
        let of_nslab = facts(&cgroups, &|node, command| ok(&["exec", node, "--", "sh", "-c", command]));
        wait_until("the hungry one is killed", PATIENCE, || {
            ok(&["ps"]).contains("killed, out of memory (limit 60 MB)")
        });
        ok(&["down"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
        before.assert_as_it_was("after nslab's lab");

        sh(&format!("sh {} > /dev/null 2>&1", script.display()));
        let of_script = facts(&cgroups, &|node, command| {
            let place = format!("/run/matrix-{node}.container");
            sh(&format!(
                "nsenter --target $(cat {place}/pid) --all unshare --root={place}/root --wd=/ sh -c '{command}'"
            ))
        });
        println!("{}", of_script.join("\n"));
        assert_eq!(of_script, of_nslab);
        // Who runs is in its cgroup, and so bounded.
        for node in ["zion", "moon"] {
            let pid = sh(&format!("cat /run/matrix-{node}.container/pid")).trim().to_owned();
            let own = sh(&format!("cat /proc/{pid}/cgroup"));
            assert!(own.contains(&format!("nslab/matrix/{node}")), "{own}");
        }
        wait_until("the hungry one is killed", PATIENCE, || kills(&cgroups, "nslab/matrix/hungry") == "1");
        assert_eq!(kills(&cgroups, "nslab/matrix/zion"), "0");

        // As the script says. With one of them goes another.
        sh("for node in zion moon; do ip netns pids matrix-$node | xargs kill -KILL 2> /dev/null || :; done");
        wait_until("the containers are gone", PATIENCE, || sh("pgrep -fc matrix-[a-z]*.container || :") == "0\n");
        remove_namespaces();
        sh("umount /run/matrix.volumes/*/; rm -r --one-file-system /run/matrix.volumes /run/matrix-*.container");
        let are_removed = "find /sys/fs/cgroup -depth -type d -path '*/nslab*' -exec rmdir {} + 2> /dev/null || :";
        wait_until("the cgroups are empty", PATIENCE, || {
            sh(are_removed);
            cgroups.all().is_empty()
        });
        before.assert_as_it_was("after the script's lab");
    });
}

/// Of a lab that nslab has made: its volume stays where no command gets to, and what runs goes on.
#[test]
fn the_script_of_a_change_changes_limits_and_gets_past_volumes() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let root = busybox(host, "root");
        sh(&format!("mkdir {root}/heap"));
        let lab = |volume: &str, limits: &str, mounts: &str| {
            let text = format!(
                "name: matrix\nvolumes: {{{volume}}}\nnodes:\n  zion: {{container: {{rootfs: ./root, command: [sleep, '1000'], {mounts}limits: {limits}}}}}\n"
            );
            topology(host, "matrix.yaml", &text)
        };
        ok(&["up", &lab("heap: {kind: tmpfs}", "{memory: 100M}", "")]);
        let script = ok(&["plan", "--shell", &lab("", "{memory: 200M, pids: 30}", "")]);
        let path = host.scratch().join("change.sh");
        std::fs::write(&path, &script).unwrap();
        sh(&format!("sh {}", path.display()));
        let memory = if cgroups.is_version_2() { "memory.max" } else { "memory.limit_in_bytes" };
        assert_eq!(cgroups.read("nslab/matrix/zion", memory), "209715200", "{script}");
        assert_eq!(cgroups.read("nslab/matrix/zion", "pids.max"), "30");
        assert_eq!(json(&["ps", "--json"])[0]["state"], "running", "it went on");
        ok(&["down"]);
    });
}
