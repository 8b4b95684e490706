//! Ways out of a container, each refused as Docker's defaults do, and each shown to be one: who may all of it gets further.

use crate::support::nslab;
use crate::support::rootfs::{RootFs, program_x86_64};
use crate::support::run::{sh, text};
use crate::support::{ThrowAwayHost, wait_until};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// The attempts themselves: a program of Python's, which every Debian has.
const ATTEMPTS: &str = include_str!("launch_escapes/attempts.py");

/// A root in which the attempts can be made, and what they are told of the machine.
struct Cell {
    root: RootFs,
    arguments: Vec<String>,
}

impl Cell {
    fn new(host: &ThrowAwayHost) -> Self {
        let root = RootFs::new(host);
        for (name, says) in [("lib", "usr/lib"), ("lib64", "usr/lib64")] {
            std::os::unix::fs::symlink(says, root.path().join(name)).unwrap();
        }
        std::fs::create_dir(root.path().join("usr")).unwrap();
        root.put("inside", b"", 0o644);
        root.put("attempts.py", ATTEMPTS.as_bytes(), 0o644);
        root.put("bin/set-user-id", &program_x86_64(107, [0; 3]), 0o4755);
        // Numbers inside begin at 1: one that is far from there is nobody's.
        sh("echo 30000 > /proc/sys/kernel/ns_last_pid");
        let secret = host.scratch().join("secret");
        std::fs::write(&secret, "secret").unwrap();
        let (kind, handle) = handle_of(secret.to_str().unwrap());
        let disk = sh("cat /sys/block/*/dev | grep -v '^[17]:' | head -1");
        let arguments = ["PID".to_owned(), kind, handle, disk.trim().to_owned()];
        Self { root, arguments: arguments.into() }
    }

    /// What comes of each attempt in a container with these options.
    fn attempt(&self, options: &[&str]) -> BTreeMap<String, String> {
        let mut outside = Command::new("sleep").arg("1000").spawn().unwrap();
        let mut arguments = self.arguments.clone();
        arguments[0] = outside.id().to_string();
        let mut command = vec!["/usr/bin/python3", "-IS", "/attempts.py"];
        command.extend(arguments.iter().map(String::as_str));
        let output = self.root.launch(&[options, &["--bind", "/usr:/usr:ro"]].concat(), &command);
        outside.kill().unwrap();
        outside.wait().unwrap();
        assert!(output.status.success(), "{options:?}: {}", text(&output));
        let said = String::from_utf8(output.stdout).unwrap();
        said.lines().map(|line| line.split_once(' ').unwrap()).map(|(one, two)| (one.into(), two.into())).collect()
    }
}

/// A file's handle (name_to_handle_at(2)): its kind, and the rest in hexadecimal.
fn handle_of(path: &str) -> (String, String) {
    let script = "import ctypes, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
handle, mount = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128)), ctypes.c_int()
assert libc.name_to_handle_at(-100, sys.argv[1].encode(), handle, ctypes.byref(mount), 0) == 0, ctypes.get_errno()
size, kind = struct.unpack('Ii', handle.raw[:8])
print(kind, handle.raw[8:8 + size].hex())";
    let said = sh(&format!("/usr/bin/python3 -ISc \"{script}\" {path}"));
    let (kind, handle) = said.trim().split_once(' ').unwrap();
    (kind.to_owned(), handle.to_owned())
}

/// What a confined container is answered, in a user namespace of its own as well, where nothing else is said.
const REFUSED: [(&str, &[&str]); 6] = [
    (
        "EPERM",
        &[
            "acct",
            "add_key",
            "another_proc",
            "another_sys",
            "attach_process_1",
            "bind",
            "binfmt_misc",
            "bpf",
            "by_handle",
            "cgroup_version_1",
            "cgroup_version_2",
            "clock_settime",
            "clone_user",
            "delete_module",
            "finit_module",
            "fsopen",
            "init_module",
            "io_uring",
            "ioperm",
            "iopl",
            "kexec",
            "keyctl",
            "mount",
            "mount_api",
            "mount_setattr",
            "move_mount",
            "own_map",
            "perf_event_open",
            "pivot_root",
            "quotactl",
            "reboot",
            "remount",
            "remount_sys",
            "request_key",
            "select_for_the_console",
            "sethostname",
            "setns",
            "settimeofday",
            "swapon",
            "syslog",
            "type_for_it_with_high_bits",
            "type_for_the_terminal",
            "umount_mask",
            "unshare_cgroup",
            "unshare_mount",
            "unshare_user",
            "userfaultfd",
        ],
    ),
    ("ENOSYS", &["clone3_user"]),
    ("EROFS", &["core_pattern", "hostname", "irq", "modprobe", "panic", "sys", "sysrq"]),
    (
        "EACCES",
        &[
            "disk",
            "memory_device",
            "process_1_directory",
            "process_1_environment",
            "process_1_files",
            "process_1_memory",
            "process_1_namespaces",
            "process_1_program",
            "process_1_root",
        ],
    ),
    ("ESRCH", &["attach_outside", "pidfd_outside", "read_outside", "signal_outside"]),
    ("empty", &["interrupts"]),
];

/// What nobody gets further with, whatever his rights: the root is his only one, what is mounted stays, and a map is written
/// once.
const BY_NATURE: [(&str, &str); 5] = [
    ("descriptors_outwards", "in"),
    ("null_swapped", "EBUSY"),
    ("own_map", "EPERM"),
    ("two_chroots", "in"),
    ("upwards", "in"),
];

/// Who is not root outside can't make a device at all.
const WITH_OWN_USERS: [(&str, &str); 2] = [("disk", "EPERM"), ("memory_device", "EPERM")];

/// What not every kernel has, and where it would be.
const OF_SOME_KERNELS: [(&str, &str); 3] = [
    ("modprobe", "/proc/sys/kernel/modprobe"),
    ("sys", "/sys/kernel/mm/transparent_hugepage/enabled"),
    ("sysrq", "/proc/sysrq-trigger"),
];

#[cfg(target_arch = "x86_64")]
#[test]
fn every_way_out_is_closed_and_is_one_for_who_may_all() {
    ThrowAwayHost::run(|host| {
        let cell = Cell::new(host);
        let refused = REFUSED.iter().flat_map(|(answer, names)| names.iter().map(move |name| (*name, *answer)));
        let mut expected: BTreeMap<&str, &str> = refused.chain(BY_NATURE).collect();
        for (name, path) in OF_SOME_KERNELS {
            if !std::fs::exists(path).unwrap() {
                expected.insert(name, "ENOENT");
            }
        }
        let as_expected = |options: &[&str], expected: &BTreeMap<&str, &str>| {
            let answers = cell.attempt(options);
            let names: Vec<&str> = answers.keys().map(String::as_str).collect();
            assert_eq!(names, expected.keys().copied().collect::<Vec<_>>());
            let others: Vec<_> = answers.iter().filter(|(name, answer)| expected[name.as_str()] != *answer).collect();
            assert!(others.is_empty(), "{options:?}: {others:?}");
        };
        as_expected(&[], &expected);
        let with_own_users: BTreeMap<&str, &str> = expected.clone().into_iter().chain(WITH_OWN_USERS).collect();
        as_expected(&["-U"], &with_own_users);

        // None is refused for another reason than that it is a container which asks. Hierarchies of version 1 that the machine has
        // not got are made where its cgroups are seen.
        let free = [&["--cap-add", "all"][..], &["--privileged", "--share", "pid,cgroup"]]
            .map(|options| cell.attempt(options));
        for (name, answer) in expected {
            let is_free = free.iter().any(|answers| answers[name] != answer);
            let is_by_nature = BY_NATURE.iter().any(|(one, _)| *one == name) || answer == "ENOENT";
            assert!(is_free != is_by_nature, "{name}: {answer} for everybody, or not");
        }
        assert_eq!(free.map(|answers| answers["by_handle"].clone()), ["secret", "secret"]);
    });
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_root_is_left_where_it_is_none_of_its_own() {
    ThrowAwayHost::run(|host| {
        let cell = Cell::new(host);
        let root = cell.root.path().display();
        let nslab = env!("CARGO_BIN_EXE_nslab");
        // The old way, with an open directory of the machine's: the same attempts lead out of it.
        let chroot = format!("exec 7</; exec chroot {root} /usr/bin/python3 -IS /attempts.py 1 1 00 1:1");
        let said = sh(&format!("{nslab} launch -m sh -c 'mount --bind /usr {root}/usr; {chroot}'"));
        let said: Vec<&str> = said.lines().collect();
        for out in ["two_chroots out", "descriptors_outwards out"] {
            assert!(said.contains(&out), "{out}: {said:?}");
        }
    });
}

#[test]
fn a_program_that_was_the_launcher_can_not_be_written_to_when_it_has_ended() {
    ThrowAwayHost::run(|host| {
        // The worst case (CVE-2019-5736): who holds it open is root of the machine, and nobody runs it any more.
        let copy = host.scratch().join("copy");
        let owned = |mut command: Command, descendants: usize| {
            let mut first = command.stdin(Stdio::null()).spawn().unwrap();
            let mut family = vec![first.id()];
            wait_until("it runs", PATIENCE, || {
                family = vec![first.id()];
                while let Some(child) = child_of(*family.last().unwrap()) {
                    family.push(child);
                }
                family.len() > descendants && runs_sleep(*family.last().unwrap())
            });
            // The last one is the command, where that is another program.
            let programs = family.iter().take(descendants.max(1));
            let held: Vec<File> = programs.map(|pid| File::open(format!("/proc/{pid}/exe")).unwrap()).collect();
            first.kill().unwrap();
            first.wait().unwrap();
            let write = |held: &File| loop {
                let file = File::options().write(true).open(format!("/proc/self/fd/{}", held.as_raw_fd()));
                match file.and_then(|mut file| file.write_all(b"owned")) {
                    // The kernel is still ending it.
                    Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
                    result => break result.map_err(|error| error.kind()),
                }
            };
            held.iter().map(write).collect::<Vec<_>>()
        };
        let of_copy = |program: &str| {
            let _ = std::fs::remove_file(&copy);
            std::fs::copy(program, &copy).unwrap();
            Command::new(&copy)
        };
        let mut plain = of_copy("/bin/busybox");
        plain.arg0("sleep").arg("1000");
        assert_eq!(owned(plain, 0), [Ok(())], "any other program is overwritten");
        assert!(std::fs::read(&copy).unwrap().starts_with(b"owned"));

        let root = RootFs::new(host);
        let own_root = ["--rootfs", root.path().to_str().unwrap(), "--privileged"];
        for (options, lacks, answer) in [
            (&["-p"][..], "", ErrorKind::ReadOnlyFilesystem),
            (&own_root, "", ErrorKind::ReadOnlyFilesystem),
            (&own_root, "mount-api", ErrorKind::PermissionDenied), // a sealed copy in memory
        ] {
            let mut launch = of_copy(env!("CARGO_BIN_EXE_nslab"));
            launch.arg("launch").args(options).args(["sleep", "1000"]).env("NSLAB_TEST_LACKS", lacks);
            assert_eq!(owned(launch, 2), [Err(answer), Err(answer)], "{options:?} {lacks}");
            assert!(std::fs::read(&copy).unwrap().starts_with(b"\x7fELF"));
        }
    });
}

#[test]
fn a_command_that_is_executed_by_its_own_process_finds_no_launcher() {
    ThrowAwayHost::run(|host| {
        // What the kernel executes for a command, it looks for as the process that is still the launcher's (CVE-2019-5736).
        let root = RootFs::new(host);
        root.put("bin/script", b"#!/proc/self/exe\n", 0o755);
        std::os::unix::fs::symlink("/proc/self/exe", root.path().join("bin/link")).unwrap();
        for command in ["/proc/self/exe", "/proc/thread-self/exe", "/bin/link", "/bin/script"] {
            let output = root.launch(&[], &[command, "--version"]);
            assert_eq!(output.status.code(), Some(127), "{command}: {output:?}");
            assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{command}: {output:?}");
        }
    });
}

#[test]
fn what_the_launcher_was_told_is_not_to_be_read_inside() {
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        let arguments = |lacks: &str| {
            let mut launch = nslab(["launch", "--env", "SECRET=word", "--rootfs"]);
            launch.arg(root.path()).env("NSLAB_TEST_LACKS", lacks);
            launch.args(["--", "/bin/sh", "-c", "tr -d '\\0' < /proc/1/cmdline"]);
            let output = launch.output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(arguments(""), "nslab");
        // Executed anew, it is told by other means.
        let anew = arguments("springboard");
        assert!(anew.starts_with("nslab__init") && !anew.contains("word"), "{anew}");
    });
}

/// The first child of a process.
fn child_of(pid: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// By its arguments: the program's own name may be another one.
fn runs_sleep(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|arguments| arguments.starts_with(b"sleep\0"))
}
