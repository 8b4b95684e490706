//! Volumes: file systems that the containers of a lab share, and nobody else sees.

use crate::support::rootfs::busybox;
use crate::support::run::{fails, json, ok, sh, text, write};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// A lab of two containers with these mounts, and a third one with none.
fn lab(host: &ThrowAwayHost, volumes: &str, zion: &str, moon: &str) -> String {
    let root = host.scratch().join("root");
    if !root.exists() {
        busybox(host, "root");
        sh(&format!("mkdir {0}/shared {0}/private {0}/code", root.display()));
    }
    let node = |mounts: &str| format!("{{container: {{rootfs: ./root, command: [sleep, '1000'], {mounts}}}}}");
    let (zion, moon, third) = (node(zion), node(moon), node(""));
    let text = format!("name: matrix\nvolumes:\n{volumes}nodes: {{zion: {zion}, moon: {moon}, third: {third}}}\n");
    write(host, "matrix.yaml", &text)
}

/// Loop devices of this name that there are.
fn disks(name: &str) -> String {
    let found = sh("cat /sys/block/loop*/loop/backing_file 2> /dev/null || true");
    found.lines().filter(|line| line.contains(name)).collect()
}

/// The tables of mounts in which there is a mount of this source, by their mount namespaces.
fn seen_in(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let process = entry.unwrap().path();
        let Ok(table) = std::fs::read_to_string(process.join("mountinfo")) else { continue };
        let Ok(namespace) = std::fs::read_link(process.join("ns/mnt")) else { continue };
        if table.lines().any(|line| line.split(" - ").nth(1).is_some_and(|end| end.split(' ').nth(1) == Some(source))) {
            found.push(namespace.display().to_string());
        }
    }
    found.sort();
    found.dedup();
    found
}

fn namespace_of(node: &str) -> String {
    ok(&["exec", node, "--", "readlink", "/proc/self/ns/mnt"]).trim().to_owned()
}

#[test]
fn a_file_written_in_one_container_is_in_the_other_at_once_and_nowhere_else() {
    ThrowAwayHost::run(|host| {
        let before = host.as_it_is_now();
        let volumes = "  secret-of-two: {kind: tmpfs, size: 4MiB}\n";
        let file = lab(
            host,
            volumes,
            "mounts: ['secret-of-two:/shared']",
            "mounts: [{volume: secret-of-two, at: /shared, read_only: true}]",
        );
        ok(&["up", &file]);
        ok(&["exec", "zion", "--", "sh", "-c", "echo here > /shared/file"]);
        assert_eq!(ok(&["exec", "moon", "--", "cat", "/shared/file"]), "here\n");
        fails(&["exec", "moon", "--", "touch", "/shared/file"], 1);
        assert!(ok(&["exec", "zion", "--", "df", "-k", "/shared"]).contains(" 4096 "), "its size");
        let mut expected = [namespace_of("zion"), namespace_of("moon")];
        expected.sort();
        assert_eq!(seen_in("secret-of-two"), expected);
        assert_eq!(ok(&["exec", "third", "--", "ls", "/shared"]), "");
        // What is in it stays while containers come and go.
        ok(&["restart", "zion"]);
        assert_eq!(ok(&["exec", "zion", "--", "cat", "/shared/file"]), "here\n");
        assert!(ok(&["up", &file]).contains("matrix"));
        ok(&["down"]);
        before.assert_as_it_was("after down");
        assert_eq!(seen_in("secret-of-two"), [] as [&str; 0]);
    });
}

#[test]
fn a_ramdisk_has_a_real_file_system_and_goes_with_its_lab() {
    ThrowAwayHost::run(|host| {
        let volumes = "  disk-of-test: {kind: ramdisk, size: 8MiB, filesystem: ext4, noexec: true, nosuid: true}\n";
        let file = lab(host, volumes, "mounts: ['disk-of-test:/shared']", "mounts: ['disk-of-test:/shared:ro']");
        ok(&["up", &file]);
        ok(&["exec", "zion", "--", "sh", "-c", "echo here > /shared/file; cp /bin/busybox /shared/true"]);
        assert_eq!(ok(&["exec", "moon", "--", "cat", "/shared/file"]), "here\n");
        let table = ok(&["exec", "zion", "--", "grep", " /shared ", "/proc/self/mountinfo"]);
        assert!(table.contains(" - ext4 /dev/loop") && table.contains("nosuid") && table.contains("noexec"), "{table}");
        fails(&["exec", "zion", "--", "/shared/true"], 126);
        assert_eq!(disks("disk-of-test").lines().count(), 1, "{}", disks(""));
        ok(&["down"]);
        wait_until("the kernel has taken the device back", SOON, || disks("disk-of-test").is_empty());
    });
}

#[test]
fn a_ramdisk_without_its_mkfs_says_which_package_has_it() {
    ThrowAwayHost::run(|host| {
        let before = host.as_it_is_now();
        let file = lab(host, "  disk: {kind: ramdisk, size: 8MiB, filesystem: f2fs}\n", "mounts: ['disk:/shared']", "");
        assert!(!Path::new("/sbin/mkfs.f2fs").exists());
        let said = fails(&["up", &file], 3);
        assert!(said.contains("there is no mkfs.f2fs for the volume disk: install the package f2fs-tools"), "{said}");
        before.assert_as_it_was("after it failed");
    });
}

#[test]
fn a_bind_shows_a_directory_and_propagation_is_as_the_volume_says() {
    ThrowAwayHost::run(|host| {
        sh(&format!("mkdir {0}/src; echo main > {0}/src/main", host.scratch().display()));
        let volumes = "  code: {kind: bind, source: ./src, read_only: true}
  shared: {kind: tmpfs, propagation: shared}
  private: {kind: tmpfs, propagation: unbindable}
";
        let mounts = "privileged: true, mounts: ['shared:/shared', 'private:/private', 'code:/code']";
        let file = lab(host, volumes, mounts, mounts);
        ok(&["up", &file]);
        assert_eq!(ok(&["exec", "zion", "--", "cat", "/code/main"]), "main\n");
        fails(&["exec", "zion", "--", "touch", "/code/main"], 1);
        let sh = |node: &str, script: &str| nslab(["exec", node, "--", "sh", "-c", script]).output().unwrap();
        for (at, is_seen) in [("/shared", true), ("/private", false)] {
            let made = sh("zion", &format!("mkdir {at}/below; mount -t tmpfs below {at}/below; touch {at}/below/file"));
            assert!(made.status.success(), "{}", text(&made));
            assert_eq!(sh("moon", &format!("test -e {at}/below/file")).status.success(), is_seen, "{at}");
        }
        let bound = sh("zion", "mkdir /tmp/elsewhere; mount --bind /private /tmp/elsewhere");
        assert!(!bound.status.success(), "an unbindable one was bound");
        ok(&["down"]);
    });
}

#[test]
fn a_bind_forbids_what_its_sources_mount_forbids() {
    ThrowAwayHost::run(|host| {
        let at = host.scratch().join("src").display().to_string();
        sh(&format!("mkdir {at}; mount -t tmpfs -o ro,nosuid,nodev,noexec none {at}"));
        let mounts = "privileged: true, mounts: ['code:/code']";
        ok(&["up", &lab(host, "  code: {kind: bind, source: ./src}\n", mounts, "")]);
        let table = ok(&["exec", "zion", "--", "grep", " /code ", "/proc/self/mountinfo"]);
        let options = table.split(' ').nth(5).unwrap();
        for option in ["ro", "nosuid", "nodev", "noexec"] {
            assert!(options.split(',').any(|one| one == option), "{option}: {table}");
        }
        ok(&["down"]);
        sh(&format!("umount {at}"));
    });
}

/// Mounts a file system in memory below each volume in the mount namespace of the lab's own, where the volumes are.
fn mount_below_all_of(lab: &str) {
    let namespace = std::fs::File::open(format!("/run/nslab/labs/{lab}/volumes")).unwrap();
    let inside = move || {
        // Threads share their working directory and root, and who enters a mount namespace is to have his own.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).unwrap();
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        let volumes = std::fs::read_dir("/").unwrap().map(|entry| entry.unwrap().path());
        for volume in volumes.filter(|path| !path.starts_with("/.unfinished")) {
            let at = volume.join("from-lab");
            std::fs::create_dir(&at).unwrap();
            let flags = nix::mount::MsFlags::empty();
            nix::mount::mount(Some("none"), &at, Some("tmpfs"), flags, None::<&str>).unwrap();
            std::fs::write(at.join("file"), "").unwrap();
        }
    };
    std::thread::spawn(inside).join().unwrap();
}

#[test]
fn a_slave_sees_what_is_mounted_in_the_labs_namespace_and_shows_nobody_its_own() {
    ThrowAwayHost::run(|host| {
        let volumes = "  slave: {kind: tmpfs, propagation: slave}\n  private: {kind: tmpfs}\n";
        let mounts = "privileged: true, mounts: ['slave:/shared', 'private:/private']";
        ok(&["up", &lab(host, volumes, mounts, mounts)]);
        let sh = |node: &str, script: &str| nslab(["exec", node, "--", "sh", "-c", script]).output().unwrap();
        let made = sh("zion", "mkdir /shared/below; mount -t tmpfs below /shared/below; touch /shared/below/file");
        assert!(made.status.success(), "{}", text(&made));
        assert!(sh("zion", "test -e /shared/below/file").status.success());
        assert!(sh("moon", "test -d /shared/below && ! test -e /shared/below/file").status.success());
        mount_below_all_of("matrix");
        for node in ["zion", "moon"] {
            assert!(sh(node, "test -e /shared/from-lab/file").status.success(), "{node}");
            assert!(
                sh(node, "test -d /private/from-lab && ! test -e /private/from-lab/file").status.success(),
                "{node}"
            );
        }
        ok(&["down"]);
    });
}

/// In privileged containers, in which everything else could be done.
#[test]
fn what_a_volume_forbids_is_forbidden_where_everything_is_allowed() {
    ThrowAwayHost::run(|host| {
        let volumes = "  strict: {kind: tmpfs, nodev: true, noexec: true, nosuid: true}\n  free: {kind: tmpfs}\n";
        let mounts = "privileged: true, mounts: ['strict:/shared', 'free:/private']";
        ok(&["up", &lab(host, volumes, mounts, "privileged: true")]);
        // One that came with the container, and one that is attached while it runs.
        ok(&["volume", "attach", "strict", "moon:/shared"]);
        ok(&["volume", "attach", "free", "moon:/private"]);
        let script = "rm -f DIR/null DIR/busybox; mknod DIR/null c 1 3; cp /bin/busybox DIR/busybox; chmod 4755 DIR/busybox
            (echo x > DIR/null) 2> /dev/null && echo device
            DIR/busybox true 2> /dev/null && echo program
            grep ' DIR ' /proc/self/mountinfo | cut -d ' ' -f 6 | tr , '\\n' | grep '^no[des]' | grep -v noatime | sort | tr '\\n' ' '";
        for node in ["zion", "moon"] {
            let said =
                |at: &str| ok(&["exec", node, "--", "sh", "-c", &format!("{}; true", script.replace("DIR", at))]);
            assert_eq!(said("/shared"), "nodev noexec nosuid ", "{node}");
            assert_eq!(said("/private"), "device\nprogram\n", "{node}");
        }
        ok(&["down"]);
    });
}

#[test]
fn a_volume_that_is_to_be_another_restarts_its_containers_alone() {
    ThrowAwayHost::run(|host| {
        let before = host.as_it_is_now();
        let mounts = "mounts: ['shared:/shared']";
        let pid = |node: &str| {
            let all: serde_json::Value = serde_json::from_str(&ok(&["ps", "--json"])).unwrap();
            all.as_array().unwrap().iter().find(|one| one["name"] == node).unwrap()["pid"].clone()
        };
        ok(&["up", &lab(host, "  shared: {kind: tmpfs, size: 4MiB}\n", mounts, "")]);
        ok(&["exec", "zion", "--", "touch", "/shared/file"]);
        let (zion, moon) = (pid("zion"), pid("moon"));
        let file = lab(host, "  shared: {kind: tmpfs, size: 5MiB}\n", mounts, "");
        ok(&["up", &file]);
        assert_ne!(pid("zion"), zion);
        assert_eq!(pid("moon"), moon);
        assert!(ok(&["exec", "zion", "--", "df", "-k", "/shared"]).contains(" 5120 "));
        assert_eq!(ok(&["exec", "zion", "--", "ls", "/shared"]), "");
        // Somebody has taken the pin away: the volume is made anew, and who had the old one gets it.
        sh("umount /run/nslab/labs/matrix/volumes");
        ok(&["up", &file]);
        assert_eq!(ok(&["exec", "zion", "--", "touch", "/shared/file"]), "");
        ok(&["down"]);
        before.assert_as_it_was("after down");
    });
}

#[test]
fn what_can_not_be_a_volume_is_said_at_its_place() {
    ThrowAwayHost::run(|host| {
        let volumes = "  a b: {kind: tmpfs}
  one: {kind: bind}
  two: {kind: tmpfs, filesystem: ext4, source: ./x, size: 1K}
  disk: {kind: ramdisk}
";
        let file =
            lab(host, volumes, "mounts: ['dusk:/shared', 'two:shared', 'two:/code', {volume: two, at: /code}]", "");
        let said = fails(&["validate", &file], 2);
        for expected in [
            "`a b` can't be a volume's name",
            "a bind needs `source`",
            "a tmpfs has no `filesystem`",
            "a tmpfs has no `source`",
            "write at least 1M",
            "a ramdisk needs `size`",
            "there is no volume `dusk`: did you mean `disk`?",
            "`two:shared` does not say which volume is where",
            "`/code` is there already",
        ] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
    });
}

#[test]
fn a_volume_goes_into_containers_that_run_and_out_again() {
    ThrowAwayHost::run(|host| {
        let before = host.as_it_is_now();
        let file = lab(host, "  attached-to-two: {kind: tmpfs}\n", "", "user_namespace: true");
        ok(&["up", &file]);
        assert_eq!(seen_in("attached-to-two"), [] as [&str; 0]);
        ok(&["volume", "attach", "attached-to-two", "zion:/private"]);
        ok(&["volume", "attach", "attached-to-two", "matrix/moon:/private", "--ro"]);
        ok(&["exec", "zion", "--", "sh", "-c", "echo here > /private/file"]);
        assert_eq!(ok(&["exec", "moon", "--", "cat", "/private/file"]), "here\n");
        fails(&["exec", "moon", "--", "touch", "/private/file"], 1);
        let mut expected = [namespace_of("zion"), namespace_of("moon")];
        expected.sort();
        assert_eq!(seen_in("attached-to-two"), expected);
        let places = || json(&["--json", "volume", "ls"])[0]["mounts"].clone();
        assert_eq!(places(), serde_json::json!(["zion:/private", "moon:/private"]));
        for (arguments, said) in [
            (&["attach", "attached-to-two", "zion:/no/such"][..], "`nslab exec zion -- mkdir -p /no/such` makes it"),
            (&["attach", "attached-to-two", "zion:/"], "can't mount the volume"),
            (&["attach", "attached-to-two", "zion:/proc"], "can't mount the volume"),
            (&["attach", "other", "zion:/private"], "matrix has no volume other: it has attached-to-two"),
            (&["detach", "zion:/proc"], "it is no volume of the lab's"),
            (&["detach", "zion:/shared"], "it is no volume of the lab's"),
        ] {
            let told = nslab(["volume"].iter().chain(arguments)).output().unwrap();
            assert!(!told.status.success() && text(&told).contains(said), "{arguments:?}: {}", text(&told));
        }
        ok(&["volume", "detach", "zion:/private"]);
        assert_eq!(ok(&["exec", "zion", "--", "ls", "/private"]), "");
        assert_eq!(seen_in("attached-to-two"), [namespace_of("moon")]);
        assert_eq!(places(), serde_json::json!(["moon:/private"]));
        assert_eq!(ok(&["exec", "moon", "--", "cat", "/private/file"]), "here\n");
        ok(&["down"]);
        before.assert_as_it_was("after down");
        assert_eq!(seen_in("attached-to-two"), [] as [&str; 0]);
    });
}
