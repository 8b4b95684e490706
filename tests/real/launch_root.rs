//! The root of a container: what is mounted in it, what is hidden, where its files can't lead, and that nothing of it is left.

use crate::support::run::text;
use crate::support::{ThrowAwayHost, nslab};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

/// What a root file system for the tests can run.
const APPLETS: [&str; 14] =
    ["sh", "ls", "cat", "mkdir", "echo", "true", "mknod", "dd", "touch", "stat", "head", "readlink", "grep", "mount"];

/// A root file system with busybox and the directories that every container mounts on.
pub(crate) fn rootfs(host: &ThrowAwayHost) -> PathBuf {
    let root = host.scratch().join("rootfs");
    for directory in ["bin", "proc", "sys", "dev", "etc", "tmp"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
    for applet in APPLETS {
        link("busybox", &root.join("bin").join(applet));
    }
    root
}

fn link(says: &str, at: &Path) {
    std::os::unix::fs::symlink(says, at).unwrap();
}

/// Runs a shell script in a container with this root.
pub(crate) fn launch(root: &Path, options: &[&str], script: &str) -> Output {
    let mut all = vec!["launch", "--rootfs", root.to_str().unwrap()];
    all.extend(options);
    all.extend(["--", "/bin/sh", "-c", script]);
    nslab(all).output().unwrap()
}

/// What it prints; it must succeed.
#[track_caller]
pub(crate) fn inside(root: &Path, options: &[&str], script: &str) -> String {
    let output = launch(root, options, script);
    assert!(output.status.success(), "{options:?}, {script}: {}\n{}", output.status, text(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The mounts that a process tells of, sorted: place, file system, options.
pub(crate) fn table(mountinfo: &str) -> Vec<String> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let kind = words[words.iter().position(|word| *word == "-").unwrap() + 1];
        format!("{} {kind} {}", words[4], words[5])
    };
    let mut lines: Vec<String> = mountinfo.lines().map(line).collect();
    lines.sort();
    lines
}

pub(crate) fn mounts_inside(root: &Path, options: &[&str]) -> Vec<String> {
    table(&inside(root, options, "cat /proc/self/mountinfo"))
}

/// Every file below a directory, with all that a write would change.
pub(crate) fn listing(host: &ThrowAwayHost, directory: &Path) -> String {
    host.sh(&format!(
        "cd {} && find . -printf '%p %y %m %U:%G %s %T@ %C@ %l\\n' | sort && find . -type f -exec sha256sum {{}} + | sort",
        directory.display()
    ))
}

const EVERYWHERE: [&str; 11] = [
    "/dev tmpfs rw,nosuid,nodev",
    "/dev/full devtmpfs rw,relatime",
    "/dev/mqueue mqueue rw,nosuid,nodev,noexec,relatime",
    "/dev/null devtmpfs rw,relatime",
    "/dev/pts devpts rw,nosuid,noexec,relatime",
    "/dev/random devtmpfs rw,relatime",
    "/dev/shm tmpfs rw,nosuid,nodev,noexec,relatime",
    "/dev/tty devtmpfs rw,relatime",
    "/dev/urandom devtmpfs rw,relatime",
    "/dev/zero devtmpfs rw,relatime",
    "/proc proc rw,nosuid,nodev,noexec,relatime",
];
const MASKED_FILES: [&str; 7] = [
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/timer_list",
    "/proc/timer_stats",
];
const MASKED_DIRECTORIES: [&str; 5] =
    ["/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/devices/virtual/powercap", "/sys/firmware"];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn there_are(paths: &[&'static str]) -> Vec<&'static str> {
    paths.iter().copied().filter(|path| Path::new(path).exists()).collect()
}

/// The mounts of a confined container, besides its root's.
fn expected() -> Vec<String> {
    let mut all: Vec<String> = EVERYWHERE.iter().map(ToString::to_string).collect();
    all.push("/sys sysfs ro,nosuid,nodev,noexec,relatime".into());
    all.extend(there_are(&MASKED_FILES).iter().map(|path| format!("{path} devtmpfs rw,relatime")));
    let read_only = "ro,nosuid,nodev,noexec,relatime";
    all.extend(there_are(&MASKED_DIRECTORIES).iter().map(|path| format!("{path} tmpfs {read_only}")));
    all.extend(there_are(&READ_ONLY).iter().map(|path| format!("{path} proc {read_only}")));
    all.sort();
    all
}

#[test]
fn a_container_sees_these_mounts_and_no_other() {
    ThrowAwayHost::run(|host| {
        let root = rootfs(host);
        let (root_mount, others): (Vec<String>, Vec<String>) =
            mounts_inside(&root, &[]).into_iter().partition(|line| line.starts_with("/ "));
        let [root_mount] = &root_mount[..] else { panic!("{root_mount:?}") };
        assert!(root_mount.contains(" rw,") && root_mount.contains("nodev"), "{root_mount}");
        assert_eq!(others, expected());

        // Where cgroup version 2 is at the usual place, the container's own part of it is seen.
        host.sh("mount -t cgroup2 none /sys/fs/cgroup");
        let seen = inside(&root, &[], "cat /proc/self/mountinfo");
        host.sh("umount /sys/fs/cgroup");
        let cgroups = "/sys/fs/cgroup cgroup2 ro,nosuid,nodev,noexec,relatime".to_owned();
        let all: BTreeSet<String> = expected().into_iter().chain([cgroups, root_mount.clone()]).collect();
        assert_eq!(table(&seen).into_iter().collect::<BTreeSet<_>>(), all);

        let dev =
            inside(&root, &[], "cd /dev && for name in *; do echo $name $(readlink $name); done; stat -c %t:%T null");
        let names = "fd /proc/self/fd\nfull\nmqueue\nnull\nptmx pts/ptmx\npts\nrandom\nshm\nstderr /proc/self/fd/2\n\
                     stdin /proc/self/fd/0\nstdout /proc/self/fd/1\ntty\nurandom\nzero\n1:3\n";
        assert_eq!(dev, names);
    });
}

#[test]
fn what_is_the_kernels_own_is_hidden_or_read_only() {
    ThrowAwayHost::run(|host| {
        let root = rootfs(host);
        let masked: Vec<&str> = [there_are(&MASKED_FILES), there_are(&MASKED_DIRECTORIES)].concat();
        let look =
            format!("set -e; for path in {}; do [ -d $path ] && ls -A $path || cat $path; done", masked.join(" "));
        assert_eq!(inside(&root, &[], &look), "", "{masked:?}");
        let read_only =
            ["/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity", "/sys/kernel/mm"];
        let read_only = there_are(&read_only);
        let write = format!(
            "for path in {}; do
                 [ -d $path ] && file=$path/x || file=$path
                 dd if=/dev/zero count=0 of=$file 2>&1 && echo written: $path; done; true",
            read_only.join(" ")
        );
        let said = inside(&root, &[], &write);
        assert!(!said.contains("written"), "{said}");
        assert_eq!(said.matches("Read-only file system").count(), read_only.len(), "{said}");
        // What is hidden is there where nothing is to be hidden.
        let seen = inside(&root, &["--privileged"], "cat /proc/interrupts");
        assert!(!seen.is_empty());
    });
}

#[test]
fn nothing_is_seen_outside_and_nothing_left() {
    ThrowAwayHost::run(|host| {
        let root = rootfs(host);
        let before = (std::fs::read_to_string("/proc/self/mountinfo").unwrap(), listing(host, &root));
        for options in [&[][..], &["--read-only"], &["--tmpfs", "/tmp"]] {
            let mut all = vec!["launch", "--rootfs", root.to_str().unwrap()];
            all.extend(options);
            all.extend(["--", "/bin/sh", "-c", "echo up; read word"]);
            let mut running = nslab(all).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "up\n");
            assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), before.0, "{options:?}");
            drop(running.stdin.take());
            running.wait().unwrap();
            assert_eq!(listing(host, &root), before.1, "{options:?}");
        }
    });
}

#[test]
fn what_is_written_to_a_layer_goes_with_the_container() {
    ThrowAwayHost::run(|host| {
        let root = rootfs(host);
        std::fs::write(root.join("etc/file"), "old").unwrap();
        let before = listing(host, &root);
        let script = "echo new > /etc/file; echo x > /etc/other; mkdir /made; cat /etc/file; ls -d /made /etc/other";
        assert_eq!(inside(&root, &["--read-only"], script), "new\n/etc/other\n/made\n");
        assert_eq!(listing(host, &root), before);
        inside(&root, &[], script);
        assert_ne!(listing(host, &root), before, "and without a layer it stays");
    });
}

#[test]
fn the_machines_own_root_is_seen_through_a_layer() {
    ThrowAwayHost::run(|host| {
        std::fs::write("/run/secret", "").unwrap();
        let name = format!("/etc/nslab-test-{}", std::process::id());
        let seen = inside(Path::new("host"), &[], &format!("touch {name} && ls {name}; ls -A /run; cat /proc/1/comm"));
        assert!(seen.starts_with(&name) && !seen.contains("secret"), "{seen}");
        assert!(!Path::new(&name).exists());
        let refused = launch(Path::new("host"), &[], "ls /run/secret");
        assert!(!refused.status.success(), "what is mounted at /run is not seen");
        std::fs::remove_file("/run/secret").unwrap();
        let _ = host;
    });
}

#[test]
fn devices_are_of_no_use_but_those_that_are_given() {
    ThrowAwayHost::run(|host| {
        let root = rootfs(host);
        let data = host.scratch().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::create_dir(root.join("data")).unwrap();
        for directory in [&root, &data] {
            host.sh(&format!("mknod {}/zero c 1 5", directory.display()));
        }
        std::fs::write(root.join("given"), "").unwrap();
        let bind = format!("{}:/data", data.display());
        let given = "/dev/zero:/given";
        let options = ["--bind", &bind, "--bind", given, "--tmpfs", "/tmp"];
        let make = "for at in /etc /tmp /dev /dev/shm; do mknod $at/made c 1 5 || echo none made in $at; done";
        let paths =
            ["/zero", "/data/zero", "/etc/made", "/tmp/made", "/dev/made", "/dev/shm/made", "/dev/zero", "/given"];
        let read =
            format!("for path in {}; do head -c 4 $path 2>&1 >/dev/null && echo $path is read; done", paths.join(" "));
        let said = inside(&root, &options, &format!("{make}; {read}"));
        let (usable, refused): (Vec<&str>, Vec<&str>) = said.lines().partition(|line| line.ends_with(" is read"));
        assert_eq!(usable, ["/dev/zero is read", "/given is read"], "{said}");
        assert_eq!(refused.len(), paths.len() - usable.len(), "{said}");
        assert!(refused.iter().all(|line| line.contains("Permission denied")), "they are there: {said}");
        // The files are good: who is not confined can use them.
        inside(&root, &["--privileged", "--bind", &bind], "head -c 4 /zero /data/zero > /dev/null");
    });
}

/// Root inside a user namespace has the same root, though the kernel lets it do less.
#[test]
fn root_of_a_user_namespace_has_the_same_root() {
    ThrowAwayHost::run(|host| {
        let root = rootfs(host);
        let own = mounts_inside(&root, &[]);
        assert_eq!(mounts_inside(&root, &["-U"]), own);
        let script = "touch /etc/x && ls /etc/x";
        assert_eq!(inside(&root, &["-U", "--read-only"], script), "/etc/x\n");
        assert!(!root.join("etc/x").exists());
        // The machine's own root is made by who may, outside, on older kernels as well; a user of the machine can't.
        let name = format!("/etc/nslab-test-u{}", std::process::id());
        for lacking in ["", "overlay_by_descriptor"] {
            let script = format!("touch {name} && ls {name}; id -u");
            let mut launch = nslab(["launch", "--rootfs", "host", "-U", "--", "/bin/sh", "-c", &script]);
            let output = launch.env("NSLAB_TEST_LACKS", lacking).output().unwrap();
            assert_eq!(text(&output), format!("{name}\n0\n"), "without {lacking}");
            assert!(!Path::new(&name).exists());
        }
        let nslab = env!("CARGO_BIN_EXE_nslab");
        let said = host
            .try_sh(&format!("setpriv --reuid 4242 --regid 4242 --clear-groups {nslab} launch -U --rootfs host true"));
        assert!(text(&said).contains("the machine's own root in a user namespace"), "{}", text(&said));
        // A network that is not of its user namespace: the machine's /sys is seen, and is as read-only.
        let shared = mounts_inside(&root, &["-U", "--share", "net"]);
        assert!(shared.contains(&"/sys sysfs ro,nosuid,nodev,noexec,relatime".to_owned()), "{shared:#?}");
    });
}
