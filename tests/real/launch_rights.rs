//! What a container may do: its capabilities, its user, the system calls that it may make. Each refusal is shown to be no more
//! than that by a container that is privileged.

use crate::support::rootfs::{RootFs, busybox, program_i386, program_x86_64};
use crate::support::run::{ok, sh, text};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

const STATUS: &str = "cat /proc/self/status";

/// The lines of /proc/PID/status.
fn fields(status: &str) -> BTreeMap<&str, String> {
    status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name, value.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect()
}

/// The capabilities that a process has, those that it could get, those it hands on, and what it can't leave.
fn assert_rights(status: &str, effective: u64, bounding: u64, [no_new_privs, seccomp]: [&str; 2]) {
    let fields = fields(status);
    let set = |number: u64| format!("{number:016x}");
    for (field, expected) in [
        ("CapEff", set(effective)),
        ("CapPrm", set(effective)),
        ("CapBnd", set(bounding)),
        ("CapInh", set(0)),
        ("CapAmb", set(0)),
        ("NoNewPrivs", no_new_privs.to_owned()),
        ("Seccomp", seccomp.to_owned()),
    ] {
        assert_eq!(fields[field], expected, "{field} of\n{status}");
    }
}

const DOCKERS: u64 = 0xa804_25fb;
const CONFINED: [&str; 2] = ["1", "2"];
const FREE: [&str; 2] = ["0", "0"];

/// All capabilities that the tests' own process has.
fn mine() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    u64::from_str_radix(&fields(&status)["CapEff"], 16).unwrap()
}

#[test]
fn a_container_has_the_capabilities_that_docker_gives_or_those_asked_for() {
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        assert_rights(&root.said(&[], STATUS), DOCKERS, DOCKERS, CONFINED);
        // SYS_TIME is the 25th.
        let other = root.said(&["--cap-add", "sys_time", "--cap-drop", "CAP_CHOWN"], STATUS);
        assert_rights(&other, (DOCKERS | 1 << 25) & !1, (DOCKERS | 1 << 25) & !1, CONFINED);
        assert_rights(&root.said(&["--cap-drop", "all"], STATUS), 0, 0, CONFINED);
        assert_rights(&root.said(&["--privileged"], STATUS), mine(), mine(), FREE);
        // In a user namespace of its own as well.
        assert_rights(&root.said(&["-U"], STATUS), DOCKERS, DOCKERS, CONFINED);
        // Without a root of its own nothing is taken away.
        let callers = ok(&["launch", "-u", "--", "cat", "/proc/self/status"]);
        assert_rights(&callers, mine(), mine(), FREE);
        // All that there is to give is given, whether or not that is all that there is.
        assert_rights(&root.said(&["--cap-add", "all"], STATUS), mine(), mine(), CONFINED);
    });
}

#[test]
fn a_capability_that_nslab_has_not_got_can_not_be_asked_for() {
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        let nslab = env!("CARGO_BIN_EXE_nslab");
        let launch = |drop: &str, options: &str| {
            let root = root.path().display();
            let script = format!("setpriv --bounding-set {drop} {nslab} launch --rootfs {root} {options} -- {STATUS}");
            Command::new("sh").args(["-c", &script]).output().unwrap()
        };
        let refused = launch("-sys_time", "--cap-add sys_time");
        assert_eq!(refused.status.code(), Some(125), "{}", text(&refused));
        assert!(
            text(&refused).contains("give the container SYS_TIME, which nslab hasn't got itself"),
            "{}",
            text(&refused)
        );
        // One of the default set is left out, as is one of all.
        let without = launch("-audit_write", "");
        let left = DOCKERS & !(1 << 29);
        assert_rights(&text(&without), left, left, CONFINED);
        let all = launch("-sys_time", "--cap-add all");
        let left = mine() & !(1 << 25);
        assert_rights(&text(&all), left, left, CONFINED);
    });
}

#[test]
fn another_user_has_no_capabilities_no_groups_and_gets_none() {
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        let user = ["--user", "1000:1001"];
        let status = root.said(&user, STATUS);
        assert_rights(&status, 0, DOCKERS, CONFINED);
        let who = fields(&status);
        assert_eq!([&who["Uid"], &who["Gid"], &who["Groups"]], ["1000 1000 1000 1000", "1001 1001 1001 1001", ""]);

        // Who was in groups when it called nslab is in none inside, even as root.
        let nslab = env!("CARGO_BIN_EXE_nslab");
        let grouped = |options: &str| {
            let all =
                sh(&format!("setpriv --groups 4,5 {nslab} launch {options} -- /bin/busybox cat /proc/self/status"));
            fields(&all)["Groups"].clone()
        };
        let path = root.path().display();
        assert_eq!(grouped(&format!("--rootfs {path}")), "");
        assert_eq!(grouped(&format!("--rootfs {path} --privileged")), "");
        assert_eq!(grouped("-u"), "4 5");
        assert_eq!(grouped("-u --user 1000:1001"), "");

        // A user that its namespace has no number for.
        let nobody = root.sh(&["-U", "-M", "0 0 1", "-G", "0 0 1", "--user", "1000"], "true");
        assert_eq!(nobody.status.code(), Some(125), "{}", text(&nobody));
        assert!(text(&nobody).contains("its user namespace has none such"), "{}", text(&nobody));
    });
}

#[test]
fn process_1_can_do_next_to_nothing_and_is_not_to_be_looked_into() {
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        // It gives up its rights while the command begins already.
        let settled = "until grep -q 'Seccomp:.2' /proc/1/status; do :; done; cat /proc/1/status";
        let kill = 1 << 5;
        for options in [&[][..], &["-U"], &["--user", "1000"], &["--cap-add", "sys_admin"]] {
            assert_rights(&root.said(options, settled), kill, kill, CONFINED);
        }
        let settled = "until grep -q 'NoNewPrivs:.1' /proc/1/status; do :; done; cat /proc/1/status";
        assert_rights(&root.said(&["--privileged"], settled), kill, kill, ["1", "0"]);
        for options in [&[][..], &["-U"], &["-U", "--cap-add", "sys_ptrace"], &["--user", "1000"]] {
            let looks =
                ["cat /proc/1/exe", "cat /proc/1/environ", "cat /proc/1/maps", "cat /proc/1/fd/0", "ls /proc/1/root/"];
            let output = root.sh(options, &looks.join("; "));
            let said = text(&output);
            assert!(output.stdout.is_empty(), "{options:?}: {said}");
            assert_eq!(said.matches("ermission denied").count(), looks.len(), "{options:?}: {said}");
        }
    });
}

#[test]
fn limits_are_those_of_a_login_whatever_the_caller_has() {
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        let nslab = env!("CARGO_BIN_EXE_nslab");
        let limits = |options: &str, command: &str| {
            let raise = "ulimit -Sn 4000; ulimit -Hn 5000; ulimit -Sc unlimited";
            sh(&format!("{raise}; {nslab} launch {options} -- /bin/busybox sh -c '{command}'"))
        };
        let all = "ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Hc";
        let path = root.path().display();
        assert_eq!(limits(&format!("--rootfs {path}"), all), "1024\n5000\n0\nunlimited\n");
        assert_eq!(limits(&format!("--rootfs {path} --privileged"), all), "1024\n5000\n0\nunlimited\n");
        assert_eq!(limits("-u", all), "4000\n5000\nunlimited\nunlimited\n");
    });
}

#[test]
fn a_container_can_ping_only_with_the_right_to() {
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        let ping = "ping -c1 -W10 127.0.0.1";
        assert!(root.said(&[], ping).contains("1 packets received"));
        assert!(!root.sh(&["--cap-drop", "net_raw"], ping).status.success());
    });
}

#[test]
fn a_container_makes_no_namespaces_and_mounts_nothing() {
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        let commands = ["unshare -U true", "unshare -m true", "mount -t tmpfs x /tmp", "mount -o remount,rw /proc/sys"];
        let script = commands.map(|command| format!("{command} 2>&1 && echo done: {command}")).join("\n");
        for options in [&[][..], &["-U"], &["--user", "1000"]] {
            let said = root.said(options, &format!("{script}\necho the end"));
            assert!(!said.contains("done") && said.ends_with("the end\n"), "{options:?}: {said}");
        }
        assert!(text(&root.sh(&[], "unshare -U true")).contains("Operation not permitted"));
        root.said(&["--privileged"], &commands[..3].join(" && "));
        root.said(&["--cap-add", "sys_admin"], "unshare -U true");
    });
}

#[cfg(target_arch = "x86_64")]
#[test]
fn system_calls_are_refused_by_either_way_into_the_kernel() {
    const NONE: [u32; 3] = [0; 3];
    const BAD: u32 = u32::MAX;
    const EPERM: i32 = 1;
    const ENOSYS: i32 = 38;
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        // Its number, on 32-bit x86 as well, its arguments, and the answer to a confined container.
        let refused: &[(&str, u32, u32, [u32; 3], i32)] = &[
            ("keyctl", 250, 288, [99, 0, 0], EPERM),
            ("add_key", 248, 286, NONE, EPERM),
            ("unshare", 272, 310, NONE, EPERM),
            ("setns", 308, 346, [BAD, 0, 0], EPERM),
            ("mount", 165, 21, NONE, EPERM),
            ("open_by_handle_at", 304, 342, [BAD, 0, 0], EPERM),
            ("bpf", 321, 357, [99, 0, 0], EPERM),
            ("io_uring_setup", 425, 425, NONE, EPERM),
            ("userfaultfd", 323, 374, [BAD, 0, 0], EPERM),
            ("personality", 135, 136, [0x0040_0000, 0, 0], EPERM), // READ_IMPLIES_EXEC
            ("socket", 41, 359, [40, 77, 0], EPERM),               // AF_VSOCK
            ("ioctl", 16, 54, [0, 0x5412, 0], EPERM),              // TIOCSTI
            ("clone3", 435, 435, NONE, ENOSYS),
            ("open_tree_attr", 467, 467, [BAD, BAD, 0], ENOSYS), // newer than the lists
        ];
        let done: &[(&str, u32, u32, [u32; 3], i32)] = &[
            ("personality", 135, 136, [0xffff_ffff, 0, 0], 0),
            ("ptrace", 101, 26, NONE, 0),        // PTRACE_TRACEME
            ("socket", 41, 359, [99, 0, 0], 97), // no such family: the kernel's own answer
            ("setuid", 105, 213, NONE, 0),
        ];
        let mut calls = Vec::new();
        for (name, x86_64, i386, arguments, expected) in refused.iter().chain(done) {
            let wide = arguments.map(u64::from);
            for (bits, program) in [(64, program_x86_64(*x86_64, wide)), (32, program_i386(*i386, *arguments))] {
                calls.push((format!("{name}-of-{bits}-bits-{}", calls.len()), program, *expected));
            }
        }
        // What the kernel does not look at doesn't count: 2^32 + 40 is AF_VSOCK, too.
        calls.push(("socket-with-high-bits".to_owned(), program_x86_64(41, [0x1_0000_0028, 77, 0]), EPERM));
        // getpid(2) with the bit of x32.
        calls.push(("getpid-of-x32".to_owned(), program_x86_64(0x4000_0027, [0; 3]), ENOSYS));
        let names: Vec<&str> = calls.iter().map(|(name, ..)| name.as_str()).collect();
        for (name, program, _) in &calls {
            root.put(&format!("bin/{name}"), program, 0o755);
        }
        // The shell is their parent, so that it can be the tracer of one that asks for that.
        let script = format!("for name in {}; do $name; echo $name $?; done", names.join(" "));
        let answers = |options: &[&str]| -> BTreeMap<String, i32> {
            let said = root.said(options, &script);
            let one = |line: &str| line.split_once(' ').map(|(name, code)| (name.to_owned(), code.parse().unwrap()));
            said.lines().filter_map(one).collect()
        };
        let (confined, free) = (answers(&[]), answers(&["--privileged"]));
        for (name, _, expected) in &calls {
            assert_eq!(confined[name], *expected, "{name}");
            if *expected == EPERM {
                assert_ne!(free[name], EPERM, "{name} is refused to who is privileged");
            }
            // What the kernel itself lacks is for nobody.
            if *expected == ENOSYS && free[name] == ENOSYS {
                let outside = Command::new(root.path().join("bin").join(name)).status().unwrap();
                assert_eq!(outside.code(), Some(ENOSYS), "{name} is refused to who is privileged");
            }
        }
    });
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_program_that_makes_everybody_root_does_not_in_a_container() {
    const GETEUID: u32 = 107;
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        root.put("bin/geteuid", &program_x86_64(GETEUID, [0; 3]), 0o4755);
        let user = |options: &[&str]| {
            let output = root.launch(&[options, &["--user", "77"]].concat(), &["geteuid"]);
            output.status.code().unwrap_or_else(|| panic!("{}", text(&output)))
        };
        assert_eq!(user(&[]), 256 - 77);
        assert_eq!(user(&["--privileged"]), 0);
    });
}

#[test]
fn a_command_of_another_user_ends_with_its_launcher() {
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        // Without a PID namespace, the kernel is to end it: it forgets about that where a process becomes somebody else.
        let mut launch = nslab(["launch", "--share", "pid", "--user", "1000", "--rootfs"]);
        launch.arg(root.path()).args(["--", "sleep", "1000"]).stdin(Stdio::null());
        let mut launcher = launch.spawn().unwrap();
        let children = format!("/proc/{0}/task/{0}/children", launcher.id());
        let mut command = String::new();
        wait_until("the command runs", PATIENCE, || {
            command = std::fs::read_to_string(&children).unwrap_or_default().trim().to_owned();
            !command.is_empty()
                && std::fs::read_to_string(format!("/proc/{command}/comm")).is_ok_and(|name| name == "sleep\n")
        });
        launcher.kill().unwrap();
        launcher.wait().unwrap();
        wait_until("the command has ended", PATIENCE, || !std::fs::exists(format!("/proc/{command}")).unwrap());
    });
}

/// Whether two processes have the same memory (kcmp(2), KCMP_VM).
fn have_the_same_memory(one: &str, other: &str) -> bool {
    sh(&format!("python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(312, {one}, {other}, 1, 0, 0))'")) == "0\n"
}

/// Where fs.suid_dumpable is 1, others may look into who has become their user: he is to have nothing of process 1's.
#[test]
fn who_is_to_be_another_user_has_memory_of_its_own() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        for (options, is_same) in [(&[][..], true), (&["--user", "4242"], false)] {
            let mut launch = nslab(["launch", "--rootfs", &root]);
            launch.args(options).args(["--", "true"]).stdin(Stdio::null()).stderr(Stdio::null());
            let mut launcher = launch.env("NSLAB_TEST_HANG_AT", "without the command's rights").spawn().unwrap();
            let child =
                |of: &str| sh(&format!("cat /proc/{of}/task/{of}/children 2> /dev/null || true")).trim().to_owned();
            let (mut init, mut payload) = (String::new(), String::new());
            wait_until("the command's process has given up its rights", PATIENCE, || {
                init = child(&launcher.id().to_string());
                payload = child(&init);
                let status = sh(&format!("cat /proc/{payload}/status 2> /dev/null || true"));
                status.contains("Seccomp:\t2\n")
            });
            assert_eq!(have_the_same_memory(&init, &payload), is_same, "{options:?}");
            sh(&format!("kill -KILL {init}"));
            assert_eq!(launcher.wait().unwrap().code(), Some(137));
        }
    });
}
