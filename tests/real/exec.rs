//! Commands and shells in nodes.

use crate::support::run::{fails, ok, sh, text, write};
use crate::support::walk::topology;
use crate::support::{ThrowAwayHost, nslab, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap())
}

/// How many processes of this host are `sleep SECONDS`.
fn sleeping(seconds: u32) -> usize {
    let command = format!("sleep {seconds}");
    sh("ps -C sleep -o args= || true").lines().filter(|line| *line == command).count()
}

#[test]
fn exec_passes_on_the_code_the_signal_and_the_environment() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "two-node"]);
        fails(&["exec", "net1", "--", "sh", "-c", "exit 7"], 7);
        fails(&["exec", "net1", "--", "no-such-command"], 127);
        fails(&["exec", "net1", "--", "/etc/passwd"], 126);
        assert!(fails(&["exec", "net9", "--", "true"], 125).contains("it has net1, net2"));
        assert!(fails(&["exec", "nolab/net1", "--", "true"], 125).contains("no lab nolab is up"));
        assert_eq!(ok(&["exec", "two-node/net1", "--", "sh", "-c", "echo $NSLAB_LAB/$NSLAB_NODE"]), "two-node/net1\n");
        // /sys shows the node's own interfaces.
        assert_eq!(ok(&["exec", "net1", "--", "ls", "/sys/class/net"]), "eth0\nlo\n");
        // A signal reaches the command itself: the process is the command.
        let mut child = nslab(["exec", "net1", "--", "sleep", "100"]).stdout(Stdio::null()).spawn().unwrap();
        wait_until("the process to become sleep", Duration::from_secs(10), || {
            std::fs::read_to_string(format!("/proc/{}/comm", child.id())).is_ok_and(|comm| comm == "sleep\n")
        });
        child.kill().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
        ok(&["down"]);
    });
}

#[test]
fn a_shell_has_the_terminal_and_the_node_around_it() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "two-node"]);
        // script(1) gives it a terminal, as a person would have.
        let nslab = env!("CARGO_BIN_EXE_nslab");
        let said = sh(&format!(
            "printf 'tty; cat /sys/class/net/eth0/operstate; getent hosts net2; exit 7\n' \
             | SHELL=/bin/sh script -qec '{nslab} shell net1' /dev/null && exit 1 || echo code $?"
        ));
        for part in ["/dev/pts/", "up\r\n", "10.0.0.2        net2", "code 7"] {
            assert!(said.contains(part), "no {part:?} in:\n{said}");
        }
        ok(&["down"]);
    });
}

#[test]
fn exec_all_heads_each_line_with_its_node() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "single,4"]);
        let output = ok(&["exec", "--all", "--", "sh", "-c", "echo $NSLAB_NODE"]);
        let mut lines: Vec<&str> = output.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["h1 | h1", "h2 | h2", "h3 | h3", "h4 | h4"]);
        fails(&["exec", "--all", "--", "sh", "-c", "[ $NSLAB_NODE != h3 ] || exit 9"], 9);
        ok(&["down"]);
    });
}

#[test]
fn exec_all_passes_signals_on_and_ends_with_its_commands() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "single,3"]);
        // What a command leaves in the background, holding its output open, is not waited for.
        let output = ok(&["exec", "--all", "--", "sh", "-c", "sleep 1000 & echo $NSLAB_NODE; printf unfinished"]);
        let mut lines: Vec<&str> = output.lines().collect();
        lines.sort_unstable();
        let of_each = ["h1", "h2", "h3"].map(|node| [format!("{node} | {node}"), format!("{node} | unfinished")]);
        assert_eq!(lines, of_each.concat());
        for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
            let mut all = nslab(["exec", "--all", "--", "sh", "-c", "sleep 2000; true"]).spawn().unwrap();
            // Not before: dash forgets a signal that comes between its vfork and the exec of what it starts.
            wait_until("all sleep", SOON, || sleeping(2000) == 3);
            kill(pid(&all), signal).unwrap();
            assert_eq!(all.wait().unwrap().code(), Some(code));
            assert_eq!(sleeping(2000), 0, "after {signal}");
        }
        // Its own failures are told from the commands'.
        fails(&["exec", "--all", "--", "no-such-command"], 127);
        assert!(fails(&["--lab", "nolab", "exec", "--all", "--", "true"], 125).contains("no lab nolab is up"));
        ok(&["down"]);
    });
}

#[test]
fn a_namespace_that_somebody_replaced_is_not_entered() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "two-node"]);
        sh("ip netns del two-node-net1 && ip netns add two-node-net1");
        assert!(fails(&["exec", "net1", "--", "true"], 125).contains("without nslab's mark"));
        assert!(fails(&["ping", "net1", "net2"], 1).contains("without nslab's mark"));
        assert!(fails(&["check"], 1).contains("without nslab's mark"));
        sh("ip netns del two-node-net1");
        assert!(fails(&["exec", "net1", "--", "true"], 125).contains("has lost its namespace"));
        ok(&["up", "two-node"]);
        ok(&["exec", "net1", "--", "true"]);
        ok(&["down"]);
    });
}

/// `exec` and `down` at the same moment: either the command is in the node and is ended with it, or it never runs.
#[test]
fn a_command_that_is_just_entering_goes_with_the_node_or_does_not_run() {
    ThrowAwayHost::run(|host| {
        let points = host.scratch().join("points");
        ok(&["up", "two-node"]);
        nslab(["exec", "net1", "--", "true"]).env("NSLAB_TEST_POINTS", &points).status().unwrap();
        let all = std::fs::read_to_string(&points).unwrap().lines().count();
        assert!(all >= 3, "only {all} points");
        for point in 1..=all {
            ok(&["up", "two-node"]);
            let ran = host.scratch().join("ran");
            let mut entering = nslab(["exec", "net1", "--", "sh", "-c", "touch $0; sleep 1000", ran.to_str().unwrap()])
                .envs([("NSLAB_TEST_INTERRUPT_AT", point.to_string().as_str()), ("NSLAB_TEST_SIGNAL", "SIGSTOP")])
                .spawn()
                .unwrap();
            let stat = format!("/proc/{}/stat", entering.id());
            wait_until("it stops", SOON, || std::fs::read_to_string(&stat).unwrap().contains(") T "));
            ok(&["down"]);
            kill(pid(&entering), Signal::SIGCONT).unwrap();
            let status = entering.wait().unwrap();
            assert!(!status.success() && !ran.exists(), "point {point}: {status}");
            host.assert_as_it_was(&format!("after down with a command at point {point}"));
        }
    });
}

/// A process whose first thread has ended is still one, in the namespace of the others.
#[test]
fn a_process_without_its_first_thread_is_ended_too() {
    ThrowAwayHost::run(|host| {
        let source = write(
            host,
            "leaderless.c",
            "#include <pthread.h>\n#include <unistd.h>\nstatic void *stay(void *x) { for (;;) pause(); }\n\
             int main(void) { pthread_t t; pthread_create(&t, 0, stay, 0); pthread_exit(0); }\n",
        );
        let program = host.scratch().join("leaderless");
        sh(&format!("gcc -pthread -o {} {source}", program.display()));
        ok(&["up", "two-node"]);
        let mut child = nslab(["exec", "net1", "--", program.to_str().unwrap()]).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        wait_until("its first thread has ended", SOON, || {
            std::fs::read_to_string(&status).is_ok_and(|status| status.contains("State:\tZ"))
        });
        assert!(ok(&["down"]).contains("leaderless"));
        child.wait().unwrap();
    });
}

/// Another nslab steps into nodes to look what there is; whoever does so and goes is not ended.
#[test]
fn a_thread_that_is_only_looking_is_not_ended_and_one_that_stays_is() {
    ThrowAwayHost::run(|host| {
        let source = write(
            host,
            "visitor.c",
            "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <pthread.h>\n#include <sched.h>\n#include <stdlib.h>\n\
             #include <sys/syscall.h>\n#include <unistd.h>\n\
             static void *visit(void *until) {\n  int home = open(\"/proc/thread-self/ns/net\", O_RDONLY);\n  \
             setns(open(\"/run/netns/two-node-net1\", O_RDONLY | O_CLOEXEC), CLONE_NEWNET);\n  \
             close(open(\"inside\", O_CREAT | O_WRONLY, 0600));\n  \
             while (until && access(until, F_OK)) usleep(1000);\n  while (!until) pause();\n  \
             usleep(50000); setns(home, CLONE_NEWNET);\n  return 0;\n}\n\
             int main(int argc, char **argv) {\n  pthread_t t;\n  if (chdir(argv[1])) return 1;\n  \
             pthread_create(&t, 0, visit, argv[2]);\n  pthread_join(t, 0); pause();\n}\n",
        );
        let (program, inside) = (host.scratch().join("visitor"), host.scratch().join("inside"));
        sh(&format!("gcc -pthread -o {} {source}", program.display()));
        for (leaves, is_ended) in [(true, false), (false, true)] {
            ok(&["up", "two-node"]);
            let mut visitor = Command::new(&program);
            visitor.arg(host.scratch());
            // It goes as soon as `down` is under way: the lab's plan is there.
            visitor.args(leaves.then_some("/run/nslab/labs/two-node/plan.json"));
            let mut visitor = visitor.spawn().unwrap();
            wait_until("it is inside", SOON, || inside.exists());
            let down = ok(&["down"]);
            assert_eq!(down.contains("(visitor)"), is_ended, "{down}");
            if !is_ended {
                assert!(visitor.try_wait().unwrap().is_none());
                visitor.kill().unwrap();
            }
            visitor.wait().unwrap();
            std::fs::remove_file(&inside).unwrap();
        }
    });
}

/// What a stopped `up` left of a node's command does not run beside its second run.
#[test]
fn a_command_that_a_kill_left_running_is_ended_before_it_runs_again() {
    ThrowAwayHost::run(|host| {
        let file = topology(
            host,
            "lab.yaml",
            "name: lab\nnodes: {a: {exec: ['echo run >> SCRATCH/runs; [ -e SCRATCH/go ] || sleep 1000; true']}}\n",
        );
        let runs = host.scratch().join("runs");
        let mut up = nslab(["up", &file]).stdout(Stdio::null()).spawn().unwrap();
        wait_until("the command runs", SOON, || runs.exists());
        up.kill().unwrap();
        up.wait().unwrap();
        assert_eq!(sleeping(1000), 1);
        std::fs::write(host.scratch().join("go"), "").unwrap();
        ok(&["up", &file]);
        assert_eq!(std::fs::read_to_string(&runs).unwrap(), "run\nrun\n");
        assert_eq!(sleeping(1000), 0);
        ok(&["down"]);
    });
}

#[test]
fn the_commands_limits_are_those_of_the_caller() {
    ThrowAwayHost::run(|_| {
        ok(&["up", "two-node"]);
        let script = format!("ulimit -Sn 500; {} exec net1 -- sh -c 'ulimit -Sn'", env!("CARGO_BIN_EXE_nslab"));
        assert_eq!(sh(&script).trim(), "500");
        let script = format!("ulimit -Sn 500; {} exec --all -- sh -c 'ulimit -Sn'", env!("CARGO_BIN_EXE_nslab"));
        let mut lines: Vec<String> = sh(&script).lines().map(str::to_owned).collect();
        lines.sort_unstable();
        assert_eq!(lines, ["net1 | 500", "net2 | 500"]);
        let output = Command::new(env!("CARGO_BIN_EXE_nslab")).args(["exec", "net1", "--"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        ok(&["down"]);
    });
}
