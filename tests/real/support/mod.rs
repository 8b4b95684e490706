//! A throw-away host for tests that need root: a network, mount and PID namespace of their own, with an empty /run, a
//! private /etc without /etc/netns, and a /sys that shows this network namespace.
//!
//! ```ignore
//! mod support;
//! use support::{ThrowAwayHost, nslab};
//!
//! #[test]
//! fn two_nodes_reach_each_other() {
//!     ThrowAwayHost::run(|host| {
//!         assert!(nslab(["up", "two-node"]).status().unwrap().success());
//!         host.sh("ip netns exec two-node-net1 ping -c1 -W1 10.0.0.2");
//!         assert!(nslab(["down"]).status().unwrap().success());
//!     });
//! }
//! ```
//!
//! - Tests are plain `#[test]` functions and run in parallel, as threads (cargo test) or as processes (cargo nextest).
//! - The call to [`ThrowAwayHost::run`] must be the whole of the test function: the test starts its own executable
//!   anew inside the namespaces, with itself as the only test, and just waits outside.
//! - The closure must be written inside the test function, because the test is found by the closure's type name.
//! - Without root the test fails and says so.
//! - When the closure is done, the host must be as it was: no interface, address, route, file in /run or /etc/netns,
//!   mount, process, rule of nftables or changed `net.` sysctl may be left. The kernel gets some seconds to clean up. Where an Open
//!   vSwitch runs when a snapshot is taken, every row of its database counts too.
//! - Inside, /run is empty and writable; the rest of the file system is the machine's own. Write to /run (or to a
//!   temporary directory), never elsewhere. `lo` is up; there is no other interface.
//! - A test that is killed takes its host along (PR_SET_PDEATHSIG, and the PID namespace's init).

pub(crate) mod cgroups;
pub(crate) mod console;
pub(crate) mod conversation;
pub(crate) mod database;
pub(crate) mod document;
pub(crate) mod frames;
pub(crate) mod keepers;
pub(crate) mod managed_street;
pub(crate) mod nic;
pub(crate) mod outside;
pub(crate) mod ovs;
pub(crate) mod ps;
pub(crate) mod rootfs;
pub(crate) mod run;
mod snapshot;
pub(crate) mod street;
pub(crate) mod terminal;
pub(crate) mod tmux;
pub(crate) mod traffic;
pub(crate) mod walk;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use snapshot::Snapshot;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Names the test that runs inside the throw-away host to the executable that is started there.
const INSIDE: &str = "NSLAB_TEST_INSIDE";

/// Printed when the test's closure and the checks after it are through: an executable that ran no test at all, because
/// it knows none of that name, exits with 0 as well.
const DONE: &str = "the throw-away host is as it was";

/// PID 1 of the host: reaps what is orphaned, and ends when the test does.
const INIT: &str = r#""$@"; code=$?; exit $code"#;

/// How long the kernel may take to clean up after a test.
const CLEANUP: Duration = Duration::from_secs(10);

/// The host that a test runs in.
pub(crate) struct ThrowAwayHost {
    before: Snapshot,
    scratch: Rc<tempfile::TempDir>,
}

impl ThrowAwayHost {
    /// Runs a test in a host of its own; see the head of this file.
    pub(crate) fn run<Test: FnOnce(&Self)>(test: Test) {
        let name = test_name(std::any::type_name::<Test>());
        if std::env::var(INSIDE).is_ok_and(|inside| inside == name) {
            let host = Self::set_up();
            test(&host);
            host.assert_as_it_was("at the end of the test");
            println!("{DONE}");
        } else {
            start_inside(name);
        }
    }

    /// Makes the namespaces that this process was started in a host.
    fn set_up() -> Self {
        let plain = |kind: &str, on: &str, options: Option<&str>| {
            let result = mount(Some(kind), on, Some(kind), MsFlags::empty(), options);
            result.unwrap_or_else(|e| panic!("can't mount {kind} on {on} in the throw-away host: {e}"));
        };
        // What the machine has mounted in there at the moment (a lab's pins, a user's own) would be under the next mount, and vanish
        // when the machine removes its place.
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        for place in places.filter(|place| place.starts_with("/run/")) {
            let _ = umount2(place, MntFlags::MNT_DETACH); // it went with the one that it was in
        }
        // The overlay's upper directory is on a tmpfs that the next one hides.
        plain("tmpfs", "/run", Some("mode=0755"));
        for directory in ["/run/upper", "/run/work"] {
            std::fs::create_dir(directory).unwrap();
        }
        plain("overlay", "/etc", Some("lowerdir=/etc,upperdir=/run/upper,workdir=/run/work"));
        plain("tmpfs", "/run", Some("mode=0755"));
        plain("sysfs", "/sys", None);
        if Path::new("/etc/netns").exists() {
            std::fs::remove_dir_all("/etc/netns").unwrap();
        }
        must_succeed("ip link set lo up");
        let scratch = Rc::new(tempfile::tempdir().expect("a directory can be made"));
        Self { before: Snapshot::take(), scratch }
    }

    /// The same host, to be left as it is now: with what the test itself has started.
    pub(crate) fn as_it_is_now(&self) -> Self {
        Self { before: Snapshot::take(), scratch: Rc::clone(&self.scratch) }
    }

    /// Runs a shell command, which must succeed, and returns its standard output.
    #[track_caller]
    pub(crate) fn sh(&self, command: &str) -> String {
        must_succeed(command)
    }

    /// Runs a shell command that may fail.
    pub(crate) fn try_sh(&self, command: &str) -> Output {
        shell(command)
    }

    /// Runs a shell command that prints JSON (`ip -d -j …`), and returns that.
    #[track_caller]
    pub(crate) fn json(&self, command: &str) -> serde_json::Value {
        let text = must_succeed(command);
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("`{command}` printed no JSON ({e}): {text}"))
    }

    /// Runs a future on a multi-threaded runtime, as the program does.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(2).enable_all().build().expect("a runtime can be made").block_on(future)
    }

    /// Whether the host is as it was at the start of the test; otherwise what differs, a line each.
    pub(crate) fn differences(&self) -> Vec<String> {
        self.before.differences_to(&Snapshot::take())
    }

    /// A directory for files of the test's own; it goes with the test.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Waits for the host to be as it was at the start of the test; `when` says in the message at what point it was to
    /// be. Done at the test's end anyway.
    #[track_caller]
    pub(crate) fn assert_as_it_was(&self, when: &str) {
        let deadline = Instant::now() + CLEANUP;
        loop {
            let differences = self.differences();
            if differences.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "the host is changed {when}:\n{}", differences.join("\n"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// `nslab` with these arguments, to be run.
pub(crate) fn nslab<Arg: AsRef<OsStr>>(arguments: impl IntoIterator<Item = Arg>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nslab"));
    command.args(arguments);
    command
}

/// Waits until `holds`, for at most `within`; panics with `what` was waited for where it never does.
#[track_caller]
pub(crate) fn wait_until(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !holds() {
        assert!(Instant::now() < deadline, "waited {within:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn shell(command: &str) -> Output {
    Command::new("sh").args(["-c", command]).output().expect("sh can be run")
}

#[track_caller]
fn must_succeed(command: &str) -> String {
    let output = shell(command);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "`{command}`: {}\n{out}{err}", output.status);
    out.into_owned()
}

/// The test that a closure was written in: `crate::module::test::{{closure}}` without its ends.
fn test_name(closure: &str) -> &str {
    let path = closure.split_once("::").map_or(closure, |(_crate, path)| path);
    path.strip_suffix("::{{closure}}").unwrap_or_else(|| panic!("{closure} is no closure inside a test function"))
}

/// Starts this executable anew in namespaces of its own, with just the one test, and waits for it.
fn start_inside(name: &str) {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root: it makes network namespaces");
    let output = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"])
        .args(["--propagation", "private", "--mount-proc", "sh", "-c", INIT, "sh"])
        .arg(std::env::current_exe().expect("the test knows its own executable"))
        .args([name, "--exact", "--nocapture", "--test-threads", "1"])
        .env(INSIDE, name)
        .output()
        .expect("setpriv and unshare (package util-linux) can be run");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "in the throw-away host: {}\n{out}{err}", output.status);
    assert!(out.contains(DONE), "the throw-away host ran no test `{name}`:\n{out}{err}");
    print!("{out}");
}
