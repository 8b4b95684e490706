//! How fast disks are read and written: limited, shown, changed while it runs, and given up at the end.

use crate::support::cgroups::Cgroups;
use crate::support::ps::ps;
use crate::support::rootfs::busybox;
use crate::support::run::{fails, json, ok, sh, text, write};
use crate::support::walk::topology;
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);

/// A directory on the disk on which this was built: the host's own scratch directory may be in memory.
fn on_disk(host: &ThrowAwayHost) -> PathBuf {
    let name = host.scratch().file_name().unwrap().to_owned();
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Takes it away at the end.
struct Gone(PathBuf);

impl Gone {
    fn make(host: &ThrowAwayHost) -> (Self, String) {
        let place = on_disk(host);
        std::fs::create_dir_all(&place).unwrap();
        let text = place.to_str().unwrap().to_owned();
        (Self(place), text)
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the cgroup says: of each whole disk, reading and writing.
fn rates(cgroups: &Cgroups, name: &str) -> Vec<[Option<u64>; 2]> {
    let numbers = sh(
        "cd /sys/block; for disk in *; do case $disk in loop*|ram*|zram*) ;; *) [ $(cat $disk/size) = 0 ] || cat $disk/dev;; esac; done",
    );
    let of = |number: &str| {
        if cgroups.is_version_2() {
            let text = cgroups.read(name, "io.max");
            let line = text.lines().find_map(|line| line.strip_prefix(number)?.strip_prefix(' ')).unwrap_or_default();
            let word = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key)?.parse().ok());
            return [word("rbps="), word("wbps=")];
        }
        ["read", "write"].map(|way| {
            let text = cgroups.read(name, &format!("blkio.throttle.{way}_bps_device"));
            text.lines().find_map(|line| line.strip_prefix(number)?.trim().parse().ok())
        })
    };
    let rates: Vec<_> = numbers.lines().map(of).collect();
    assert!(!rates.is_empty(), "this machine has no disk");
    rates
}

#[test]
fn a_disk_is_written_and_read_as_fast_as_is_allowed() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let (_gone, place) = Gone::make(host);
        // 2 MB past the page cache take 2 s at 1 MB/s; a throttle's first slice lets a bit more pass.
        let took = |options: &[&str], command: &str| {
            let begun = Instant::now();
            let arguments = [&["launch"], options, &["--", "sh", "-c", command]].concat();
            let output = nslab(arguments).output().unwrap();
            assert!(output.status.success(), "{}", text(&output));
            begun.elapsed()
        };
        let write = format!("dd if=/dev/zero of={place}/file bs=64k count=32 oflag=direct");
        let read = format!("dd if={place}/file of=/dev/null bs=64k count=32 iflag=direct");
        let slow = Duration::from_millis(1200);
        assert!(took(&["--io-write", "1MB/s"], &write) > slow);
        assert!(took(&["--io-read", "1MB/s"], &read) > slow);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
        let told = fails(&["launch", "--io-write", "0", "true"], 2);
        assert!(told.contains("from 1KB/s on"), "{told}");
    });
}

#[test]
fn rates_change_while_it_runs() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let cgroups = Cgroups::mount(host);
        ok(&["launch", "--detach", "--name", "zion", "--rootfs", &root, "--pids", "50", "sleep", "4420"]);
        let (name, pid) = ("nslab/:launched/zion", ps("zion")["pid"].clone());
        // Where it was not counted before.
        ok(&["limit", "zion", "--io-write", "5MB/s"]);
        let all = |wanted: [Option<u64>; 2]| rates(&cgroups, name).iter().all(|one| *one == wanted);
        assert!(all([None, Some(5 << 20)]));
        ok(&["limit", "zion", "--io-read", "10M"]);
        assert!(all([Some(10 << 20), Some(5 << 20)]));
        let shown = ok(&["limit", "zion"]);
        assert!(shown.contains("io-read   10 MB/s") && shown.contains("io-write  5 MB/s"), "{shown}");
        let told = json(&["limit", "zion", "--json"]);
        assert_eq!(told["io_read_bytes_per_s"], 10 << 20, "{told}");
        assert_eq!((&told["io_write_bytes_per_s"], &told["pids"]), (&(5 << 20).into(), &50.into()), "{told}");
        ok(&["limit", "zion", "--io-write", "none", "--pids", "none"]);
        assert!(all([Some(10 << 20), None]));
        assert_eq!(ps("zion")["pid"], pid, "it goes on");
        assert!(fails(&["limit", "zion", "--io-read", "fast"], 2).contains("or `none`"));
        ok(&["rm", "zion"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

/// Who waits for a disk can't be killed, and waits as long as he is held back.
#[test]
fn a_slow_disk_keeps_nobody_from_being_stopped() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        let cgroups = Cgroups::mount(host);
        let (_gone, place) = Gone::make(host);
        let bind = format!("{place}:/disk");
        std::fs::create_dir(host.scratch().join("root/disk")).unwrap();
        // One block would take more than four minutes.
        let script =
            "trap : TERM; echo begun; /bin/dd if=/dev/zero of=/disk/file bs=1M count=1 oflag=direct; sleep 4421";
        let launch =
            ["launch", "--detach", "--name", "slow", "--rootfs", &root, "--bind", &bind, "--io-write", "4KB/s"];
        ok(&[&launch[..], &["sh", "-c", script]].concat());
        wait_until("it waits for the disk", SOON, || {
            let states = sh("for pid in $(pidof dd); do cut -d' ' -f3 /proc/$pid/stat; done");
            states.lines().any(|state| state == "D")
        });
        ok(&["stop", "slow"]);
        assert_ne!(ps("slow")["state"], "running");
        ok(&["rm", "slow"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

fn lab(host: &ThrowAwayHost, whole: &str, zion: &str, plain: &str) -> String {
    if !host.scratch().join("root").exists() {
        busybox(host, "root");
    }
    let zion = format!("{{container: {{rootfs: root, command: [sleep, '4422'], limits: {zion}}}}}");
    topology(
        host,
        "matrix.yaml",
        &format!("name: matrix\n{whole}\nnodes: {{zion: {zion}, plain: {{limits: {plain}}}}}\n"),
    )
}

#[test]
fn nodes_of_a_lab_have_rates_of_their_own() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let all = |node: &str, wanted: [Option<u64>; 2]| {
            rates(&cgroups, &format!("nslab/matrix/{node}")).iter().all(|one| *one == wanted)
        };
        let file = lab(host, "", "{io: {read: 10MB/s, write: 10MB/s}}", "{io: {write: 1MB/s}}");
        ok(&["up", &file]);
        let pid = ps("zion")["pid"].clone();
        assert!(all("zion", [Some(10 << 20); 2]) && all("plain", [None, Some(1 << 20)]));
        assert!(ok(&["plan", &file]).contains("nothing to do"));
        assert!(ok(&["show"]).contains("everything is as it should be"));
        let inside = ok(&["exec", "plain", "--", "cat", "/proc/self/cgroup"]);
        assert!(inside.contains("/nslab/matrix/plain"), "{inside}");
        // What somebody else has changed, be it of one disk, is drift.
        let place = cgroups.places().into_iter().map(|place| place.join("nslab/matrix/zion"));
        let lift = |place: &std::path::Path| {
            let (file, none) =
                if cgroups.is_version_2() { ("io.max", "wbps=max") } else { ("blkio.throttle.write_bps_device", "0") };
            let file = place.join(file);
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let Some((number, _)) = text.lines().next().and_then(|line| line.split_once(' ')) else { return false };
            std::fs::write(&file, format!("{number} {none}")).unwrap();
            true
        };
        assert_eq!(place.filter(|place| lift(place)).count(), 1);
        let shown = ok(&["show"]);
        assert!(shown.contains("limit the container zion to reading 10 MB/s, writing 10 MB/s"), "{shown}");
        assert_eq!(json(&["limit", "zion", "--json"])["io_write_bytes_per_s"], serde_json::Value::Null);
        ok(&["up", &file]);
        assert!(all("zion", [Some(10 << 20); 2]));
        // Changed in place, by another topology and by `limit`.
        let file = lab(host, "", "{io: {read: 20MB/s}}", "{pids: 9}");
        let plan = ok(&["plan", &file]);
        assert!(plan.contains("limit the container zion to reading 20 MB/s"), "{plan}");
        ok(&["up", &file]);
        assert!(all("zion", [Some(20 << 20), None]) && all("plain", [None, None]));
        assert!(ok(&["show"]).contains("everything is as it should be"));
        ok(&["limit", "zion", "--io-read", "none", "--io-write", "3MB/s"]);
        ok(&["limit", "plain", "--io-write", "2MB/s"]);
        assert!(all("zion", [None, Some(3 << 20)]) && all("plain", [None, Some(2 << 20)]));
        assert_eq!(ps("zion")["pid"], pid, "it goes on");
        ok(&["down"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn the_script_of_a_plan_writes_the_same() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let text = "name: matrix\nnodes: {plain: {limits: {pids: 9, io: {read: 7MB/s}}}}\n";
        let file = topology(host, "plain.yaml", text);
        let script = ok(&["plan", "--shell", &file]);
        sh(&format!("sh {}", write(host, "script", &script)));
        // A script keeps out of the way of what nslab makes.
        let name = script.split("-path '*/").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
        assert!(rates(&cgroups, name).iter().all(|one| *one == [Some(7 << 20), None]), "{script}");
        // It leaves no mark, and the cgroups are whoever's who made them.
        sh("ip netns del matrix-plain; umount /run/netns; rm -r /run/netns /etc/netns");
        sh("find /sys/fs/cgroup -depth -type d -path '*/nslab*' -exec rmdir {} +");
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}

#[test]
fn who_can_not_limit_disks_is_told_why() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        if !cgroups.is_version_2() {
            // Version 1 does not count those below together.
            let file = lab(host, "limits: {io: {write: 1MB/s}}", "{}", "{}");
            let told = fails(&["up", &file], 1);
            assert!(told.contains("can't limit io of the lab as a whole: cgroup version 1"), "{told}");
            assert_eq!(cgroups.all(), [] as [&str; 0]);
            sh("umount /sys/fs/cgroup/blkio");
            let output = nslab(["launch", "--io-write", "1MB/s", "true"]).output().unwrap();
            assert_eq!(output.status.code(), Some(125), "{}", text(&output));
            let told = text(&output);
            assert!(told.contains("can't limit io: no cgroup hierarchy with the controller `io` is mounted"), "{told}");
            sh("mount -t tmpfs none /sys/fs/cgroup/blkio"); // for the test's own clean-up
        }
        sh("mount -t tmpfs none /sys/block");
        ok(&["launch", "--io-write", "1MB/s", "true"]);
        sh("umount /sys/block");
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}
