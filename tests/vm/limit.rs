//! Limits in the hands of systemd: slices for labs, scopes for their containers.

use crate::networkd::alone;
use crate::support::run::{json, ok, sh};
use crate::support::wait_until;
use std::time::Duration;

const SOON: Duration = Duration::from_mins(1);

const LAB: &str = "
name: matrix
limits: {memory: 300M, pids: 100}
nodes:
  zion: {container: {rootfs: host, command: [sleep, '5501'], limits: {memory: 100M}}}
  plain: {limits: {pids: 50}}
";

const DISKS: &str = "
name: disks
limits: {io: {write: 20MB/s}}
nodes:
  zion: {container: {rootfs: host, command: [sleep, '5502'], binds: ['/var/tmp:/disk'], limits: {io: {read: 10MB/s, write: 1MB/s}}}}
  plain: {limits: {io: {write: 5MB/s}}}
";

#[test]
fn systemd_and_nslab_limit_disks_together() {
    let _alone = alone();
    let file = std::env::temp_dir().join("disks.yaml");
    std::fs::write(&file, DISKS).unwrap();
    let file = file.to_str().unwrap();
    ok(&["up", file]);
    let slice = "/sys/fs/cgroup/nslab.slice/nslab-disks.slice";
    // Each disk, by its numbers, has a line.
    let all = |name: &str, wanted: [&str; 2]| {
        let text = sh(&format!("cat {slice}/{name}io.max"));
        let disks = sh("cat /sys/block/vd*/dev");
        let line = |disk: &str| text.lines().find(|line| line.starts_with(&format!("{disk} "))).unwrap_or_default();
        assert!(disks.lines().count() >= 2, "{disks}");
        disks.lines().all(|disk| wanted.iter().all(|word| line(disk).split(' ').any(|there| there == *word)))
    };
    let (none, zion, plain) = ("rbps=max", "nslab-disks-zion.scope/", "nslab-disks-plain.slice/");
    assert!(all("", [none, "wbps=20971520"]) && all(zion, ["rbps=10485760", "wbps=1048576"]));
    assert!(all(plain, [none, "wbps=5242880"]));
    assert!(ok(&["plan", file]).contains("nothing to do"));
    let show = |unit: &str| sh(&format!("systemctl show -p IOReadBandwidthMax -p IOWriteBandwidthMax {unit}"));
    let told = show("nslab-disks-zion.scope");
    assert!(told.contains("IOReadBandwidthMax=/dev/vda 10485760"), "{told}");
    assert!(told.contains("IOWriteBandwidthMax=/dev/vda 1048576"), "{told}");
    // 3 MB through the page cache, written back for him, take 3 s.
    let begun = std::time::Instant::now();
    ok(&["exec", "zion", "--", "dd", "if=/dev/zero", "of=/disk/written", "bs=64k", "count=48", "conv=fsync"]);
    assert!(begun.elapsed() > Duration::from_millis(1800), "{:?}", begun.elapsed());
    sh("rm /var/tmp/written");
    // Changed and lifted, by nslab; changed by systemd, which is drift.
    ok(&["limit", "zion", "--io-read", "none", "--io-write", "3MB/s"]);
    assert!(all(zion, [none, "wbps=3145728"]));
    ok(&["limit", "--whole", "disks", "--io-write", "none", "--io-read", "30MB/s"]);
    assert!(all("", ["rbps=31457280", "wbps=max"]));
    sh("systemctl set-property --runtime nslab-disks-plain.slice 'IOWriteBandwidthMax=/dev/vda 7M'");
    wait_until("the kernel has it", SOON, || sh(&format!("cat {slice}/{plain}io.max")).contains("wbps=7000000"));
    assert!(ok(&["show", "disks"]).contains("limit the node plain"));
    ok(&["up", file]);
    assert!(all("", [none, "wbps=20971520"]) && all(zion, ["rbps=10485760", "wbps=1048576"]));
    assert!(all(plain, [none, "wbps=5242880"]));
    ok(&["down", "disks"]);
    assert!(!std::path::Path::new(slice).exists());
}

#[test]
fn a_lab_is_a_slice_with_a_scope_for_each_container() {
    let _alone = alone();
    let file = std::env::temp_dir().join("matrix.yaml");
    std::fs::write(&file, LAB).unwrap();
    let file = file.to_str().unwrap();
    ok(&["up", file]);
    let slice = "/sys/fs/cgroup/nslab.slice/nslab-matrix.slice";
    let read = |name: &str| sh(&format!("cat {slice}/{name}")).trim().to_owned();
    assert_eq!((read("memory.max"), read("pids.max")), ("314572800".to_owned(), "100".to_owned()));
    assert_eq!(read("nslab-matrix-zion.scope/memory.max"), "104857600");
    let tree = sh("systemd-cgls --no-pager /nslab.slice");
    assert!(tree.contains("nslab-matrix.slice") && tree.contains("sleep 5501"), "{tree}");
    let inside = ok(&["exec", "plain", "--", "cat", "/proc/self/cgroup"]);
    assert!(inside.contains("/nslab.slice/nslab-matrix.slice/nslab-matrix-plain.slice"), "{inside}");
    // systemd and nslab steer the same.
    ok(&["limit", "zion", "--memory", "200M", "--cpus", "0.5"]);
    let told = sh("systemctl show -p MemoryMax -p CPUQuotaPerSecUSec nslab-matrix-zion.scope");
    assert!(told.contains("MemoryMax=209715200") && told.contains("CPUQuotaPerSecUSec=500ms"), "{told}");
    assert_eq!(read("nslab-matrix-zion.scope/cpu.max"), "50000 100000");
    sh("systemctl set-property --runtime nslab-matrix.slice TasksMax=77");
    wait_until("the kernel has it", SOON, || read("pids.max") == "77");
    assert_eq!(json(&["limit", "--whole", "--json"])["pids"], 77);
    assert!(ok(&["show"]).contains("limit the lab as a whole"));
    ok(&["limit", "--whole", "--memory", "400M"]);
    assert_eq!((read("memory.max"), read("pids.max")), ("419430400".to_owned(), "100".to_owned()));
    ok(&["down"]);
    assert!(!std::path::Path::new(slice).exists());
    let units = sh("systemctl list-units --all --no-legend --plain 'nslab-matrix*'");
    assert!(units.trim().is_empty(), "{units}");
}

const SCRIPTED: &str = "
name: scripted
limits: {memory: 300M, pids: 100}
nodes:
  zion: {container: {rootfs: host, command: [sleep, '5502'], limits: {memory: 100M, cpus: 0.5}}}
  moon: {container: {rootfs: host, command: [sleep, '5503']}}
  hungry: {container: {rootfs: host, command: [tail, /dev/zero], limits: {memory: 60M, swap: 0}}}
  plain: {limits: {pids: 50}}
";

/// Beside systemd's own, as anybody makes cgroups by hand.
#[test]
fn a_script_makes_plain_cgroups_and_puts_its_containers_into_them() {
    let _alone = alone();
    let directory = std::env::temp_dir();
    let (file, script) = (directory.join("scripted.yaml"), directory.join("scripted.sh"));
    std::fs::write(&file, SCRIPTED).unwrap();
    std::fs::write(&script, ok(&["plan", "--shell", file.to_str().unwrap()])).unwrap();
    sh(&format!("sh {} > /dev/null 2>&1", script.display()));
    let read = |name: &str| sh(&format!("cat /sys/fs/cgroup/nslab/scripted{name}")).trim().to_owned();
    assert_eq!((read("/memory.max"), read("/pids.max")), ("314572800".to_owned(), "100".to_owned()));
    assert_eq!((read("/zion/memory.max"), read("/zion/cpu.max")), ("104857600".to_owned(), "50000 100000".to_owned()));
    assert_eq!((read("/moon/memory.max"), read("/plain/pids.max")), ("max".to_owned(), "50".to_owned()));
    for (node, command) in [("zion", "sleep 5502"), ("moon", "sleep 5503")] {
        let pid = sh(&format!("pgrep -x -f '{command}'"));
        assert!(read(&format!("/{node}/cgroup.procs")).lines().any(|one| one == pid.trim()), "{node}");
    }
    let kills = || read("/hungry/memory.events").lines().any(|line| line == "oom_kill 1");
    wait_until("the hungry one is killed", SOON, kills);
    // Nothing in the cgroups of others.
    assert_eq!(sh("find /sys/fs/cgroup -path '*.slice/*nslab/scripted*' | head -3"), "");
    sh("for node in zion moon; do ip netns pids scripted-$node | xargs kill -KILL 2> /dev/null || :; done
        ip netns list | grep -o '^scripted-[a-z]*' | xargs -n 1 ip netns delete
        rm -r /etc/netns/scripted-* /etc/netns/.scripted");
    let remove = "find /sys/fs/cgroup/nslab -depth -type d -exec rmdir {} + 2> /dev/null; test ! -e /sys/fs/cgroup/nslab && echo gone || :";
    wait_until("the cgroups are empty", SOON, || sh(remove) == "gone\n");
    sh("rm -r --one-file-system /run/scripted-*.container");
}
