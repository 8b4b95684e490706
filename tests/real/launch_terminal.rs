//! Containers' process 1, terminals and logs.

use crate::support::run::{fails, ok, sh, text};
use crate::support::terminal::Terminal;
use crate::support::{ThrowAwayHost, nslab, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};
use nix::unistd::Pid;
use nslab::launcher::{LogReader, Output, Record};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
const NSLAB: &str = env!("CARGO_BIN_EXE_nslab");

/// The process of this host that is `sleep SECONDS`, once there is one.
fn sleeper(seconds: u32) -> i32 {
    let mut found = None;
    let line = format!("sleep {seconds}");
    wait_until(&line.clone(), SOON, || {
        let all = sh("ps -C sleep -o pid=,args= || true");
        let pid = |entry: &str| entry.trim().split_once(' ').filter(|(_, args)| *args == line)?.0.parse().ok();
        found = all.lines().find_map(pid);
        found.is_some()
    });
    found.unwrap()
}

fn parent(pid: i32) -> i32 {
    sh(&format!("ps -o ppid= -p {pid}")).trim().parse().unwrap()
}

fn end_by(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

fn is_gone(pid: i32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

fn pid(child: &Child) -> i32 {
    child.id().try_into().unwrap()
}

/// The record of a container that was launched, and nobody waits for.
fn record(host: &ThrowAwayHost, name: &str) -> PathBuf {
    host.scratch().join("state/launched").join(name)
}

fn detach(host: &ThrowAwayHost, name: &str, script: &str) -> PathBuf {
    let state = host.scratch().join("state");
    std::fs::create_dir_all(&state).unwrap();
    ok(&["--state-dir", state.to_str().unwrap(), "launch", "-p", "--detach", "--name", name, "--", "sh", "-c", script]);
    record(host, name)
}

fn ended(record: &Path) -> serde_json::Value {
    let path = record.join("init/ended.json");
    wait_until("the container's end is written down", SOON, || path.exists());
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn log(record: &Path) -> String {
    let mut text = Vec::new();
    LogReader::read(record, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn a_container_ends_with_its_commands_code_or_128_and_its_signal() {
    ThrowAwayHost::run(|_| {
        let launch = |script| ["launch", "-p", "--", "sh", "-c", script];
        ok(&launch("exit 0"));
        fails(&launch("exit 7"), 7);
        fails(&launch("kill -9 $$"), 137);
        fails(&launch("kill -TERM $$"), 143);
        // Nobody whom it leaves behind lives on.
        ok(&launch("sleep 4201 > /dev/null 2>&1 & exit 0"));
        assert_eq!(sh("ps -C sleep -o args= || true"), "");
    });
}

#[test]
fn process_1_waits_for_those_who_have_lost_their_parent() {
    ThrowAwayHost::run(|_| {
        // A process whose parent has ended is there, as a zombie, until process 1 has waited for it.
        let script = "mount -t proc proc /proc
            orphan=$(sh -c 'true > /dev/null & echo $!')
            for _ in $(seq 1000); do [ -e /proc/$orphan ] || exit 4; sleep 0.01; done; exit 9";
        fails(&["launch", "-p", "-m", "--", "sh", "-c", script], 4);
    });
}

#[test]
fn signals_are_passed_on_to_the_command() {
    ThrowAwayHost::run(|_| {
        for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGQUIT] {
            let name = &signal.as_str()[3..];
            let script = format!("trap 'exit 33' {name}; echo ready; while :; do read -t 0.1 x < /dev/zero; done");
            let mut child =
                nslab(["launch", "-p", "--", "bash", "-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "ready\n");
            end_by(pid(&child), signal);
            assert_eq!(child.wait().unwrap().code(), Some(33), "{signal}");
        }
    });
}

#[test]
fn a_container_ends_with_who_waits_for_it() {
    ThrowAwayHost::run(|_| {
        let mut child = nslab(["launch", "-p", "--", "sleep", "4202"]).spawn().unwrap();
        let sleeper = sleeper(4202);
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        wait_until("the container has ended", SOON, || is_gone(sleeper));
    });
}

#[test]
fn ctrl_z_stops_a_container_like_any_job_and_fg_has_it_go_on() {
    ThrowAwayHost::run(|_| {
        let mut terminal = Terminal::shell();
        terminal.line("echo the-shell-is-$((1 + 1))");
        terminal.until("the-shell-is-2");
        let before = terminal.modes();
        // A command that knows nothing of job control.
        terminal.line(&format!("{NSLAB} launch --rootfs host sleep 4203"));
        let sleeper = sleeper(4203);
        wait_until("the terminal is raw", SOON, || terminal.modes() != before);
        terminal.press("\x1a");
        terminal.until("Stopped");
        assert_eq!(sh(&format!("ps -o state= -p {sleeper}")), "T\n");
        terminal.line("stty -a | grep -c ' icanon'; echo mode-$?");
        terminal.until("mode-0");
        // Not typed later: as long as the container has the terminal, it gets what is typed.
        terminal.line("fg; echo code-$?");
        wait_until("it goes on", SOON, || sh(&format!("ps -o state= -p {sleeper}")) == "S\n");
        terminal.press("\x03");
        terminal.until("code-130");
        assert_eq!(terminal.modes(), before);
        terminal.line("exit 5");
        assert_eq!(terminal.end().code(), Some(5));
    });
}

#[test]
fn a_shell_in_a_container_has_jobs_and_the_size_of_the_terminal_and_loses_no_output() {
    ThrowAwayHost::run(|_| {
        let mut terminal = Terminal::shell();
        terminal.line(&format!("{NSLAB} launch --rootfs host bash --norc --noediting -i"));
        terminal.line("echo inside-$$; stty size; tty");
        terminal.until("inside-2");
        terminal.until("24 80");
        terminal.until("/dev/pts/0");
        terminal.resize(41, 111);
        // The size follows a moment later.
        terminal.line("until [ \"$(stty size)\" = '41 111' ]; do :; done; echo resized-$((1 + 1))");
        terminal.until("resized-2");
        terminal.line("sleep 4204");
        let sleeper = sleeper(4204);
        terminal.press("\x1a");
        terminal.until("Stopped");
        terminal.line("fg");
        wait_until("it goes on", SOON, || sh(&format!("ps -o state= -p {sleeper}")) == "S\n");
        terminal.press("\x03");
        terminal.line("echo code-$?");
        terminal.until("code-130");
        // The shell stops itself, and its launcher with it.
        terminal.line("suspend");
        terminal.until("Stopped");
        terminal.line("echo outside-$((1 + 1))");
        terminal.until("outside-2");
        terminal.line("fg");
        terminal.line("echo again-$$");
        terminal.until("again-2");
        terminal.line("seq 200000; exit 9");
        let printed = terminal.until("\n200000\r\n");
        assert_eq!(printed.lines().filter(|line| line.trim().parse::<u32>().is_ok()).count(), 200_000);
        terminal.line("echo code-$?");
        terminal.until("code-9");
        terminal.line("exit");
        terminal.end();
    });
}

#[test]
fn the_terminal_is_as_it_was_however_a_container_ends() {
    ThrowAwayHost::run(|_| {
        let mut terminal = Terminal::shell();
        terminal.line("echo the-shell-is-$((1 + 1))");
        terminal.until("the-shell-is-2");
        let before = terminal.modes();
        let launch = format!("{NSLAB} launch --rootfs host");
        for (seconds, code) in [(4205, 137), (4206, 143), (4207, 129)] {
            terminal.line(&format!("{launch} sleep {seconds}; echo code-$?"));
            let init = parent(sleeper(seconds));
            wait_until("the terminal is raw", SOON, || terminal.modes() != before);
            match code {
                137 => end_by(init, Signal::SIGKILL),
                143 => end_by(parent(init), Signal::SIGTERM),
                _ => end_by(parent(init), Signal::SIGHUP),
            }
            terminal.until(&format!("code-{code}"));
            assert_eq!(terminal.modes(), before, "{code}");
        }
        terminal.line(&format!("{launch} no-such-command; echo code-$?"));
        terminal.until("code-127");
        assert_eq!(terminal.modes(), before);
        terminal.line("exit");
        terminal.end();
    });
}

#[test]
fn what_a_container_prints_is_logged_and_how_it_ended_written_down() {
    ThrowAwayHost::run(|host| {
        let record = detach(host, "one", "echo out; echo err >&2; cat; exit 5");
        assert_eq!(ended(&record)["ended"]["code"], 5);
        assert_eq!(log(&record), "out\nerr\n");
        assert!(!Record::read(&record).unwrap().unwrap().is_alive());
        // As much as it prints, two files are kept, whose last line is the last one that was printed.
        let record = detach(host, "many", "seq 1000000; (sleep 4208; echo late) & exit 0");
        assert_eq!(ended(&record)["log_bytes_lost"], 0);
        let text = log(&record);
        assert!(text.ends_with("\n999999\n1000000\n"));
        assert!((1 << 20..=2 << 20).contains(&text.len()), "{}", text.len());
        assert_eq!(sh("ps -C sleep -o args= || true"), "");
    });
}

#[test]
fn who_follows_a_log_sees_all_of_it_until_the_container_ends() {
    ThrowAwayHost::run(|host| {
        let record = detach(host, "followed", "for i in $(seq 30000); do echo line $i; done; exec sleep 4209");
        let follower = std::thread::spawn({
            let record = record.clone();
            move || {
                let mut text = Vec::new();
                LogReader::read(&record, &mut text).unwrap().follow(&mut text).unwrap();
                String::from_utf8(text).unwrap()
            }
        });
        wait_until("all is printed", SOON, || log(&record).ends_with("line 30000\n"));
        end_by(sleeper(4209), Signal::SIGTERM);
        let seen = follower.join().unwrap();
        let mut lines = seen.lines();
        assert!((1..=30000).all(|number| lines.next() == Some(&format!("line {number}"))));
        assert_eq!(lines.next(), None);
        assert_eq!(ended(&record)["ended"]["signal"], 15);
    });
}

#[test]
fn a_full_disk_for_the_log_holds_nobody_up() {
    ThrowAwayHost::run(|host| {
        let state = host.scratch().join("state");
        std::fs::create_dir_all(&state).unwrap();
        sh(&format!("mount -t tmpfs -o size=512k tmpfs {}", state.display()));
        let go_on = host.scratch().join("go-on");
        let script = format!(
            "seq 200000; until [ -e {} ]; do sleep 0.05; done; echo there is room; until [ -e {}2 ]; do sleep 0.05; done; \
             seq 200000; exit 6",
            go_on.display(),
            go_on.display()
        );
        let record = detach(host, "full", &script);
        let is_full = || sh(&format!("df --output=avail {} | tail -1", state.display())).trim() == "0";
        wait_until("the disk is full", SOON, is_full);
        // Who writes the log anew, and what is missing is said there.
        wait_until("all is printed", SOON, || sh("ps -C seq -o pid= || true").is_empty());
        sh(&format!("truncate -s 0 {}", record.join("init/log").display()));
        std::fs::write(&go_on, "").unwrap();
        wait_until("it is said what is missing", SOON, || {
            log(&record).contains("bytes are missing here: No space left")
        });
        wait_until("it is logged again", SOON, || log(&record).ends_with("there is room\n"));
        std::fs::write(host.scratch().join("go-on2"), "").unwrap();
        let ended = ended(&record);
        assert_eq!(ended["ended"]["code"], 6);
        assert!(ended["log_bytes_lost"].as_u64().unwrap() > 500_000, "{ended}");
        sh(&format!("umount {}", state.display()));
    });
}

/// Joins a container, as `nslab attach` does it.
fn join(record: &Path) -> OwnedFd {
    let client = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    connect(client.as_raw_fd(), &UnixAddr::new(&record.join("init/attach")).unwrap()).unwrap();
    client
}

fn hear(client: &OwnedFd) -> Vec<u8> {
    let mut text = [0; 8192];
    let count = recv(client.as_raw_fd(), &mut text, MsgFlags::empty()).unwrap();
    text[..count].to_vec()
}

#[test]
fn two_who_have_joined_see_what_is_printed_and_how_it_ends_and_nobody_waits_for_one_who_does_not_read() {
    ThrowAwayHost::run(|host| {
        let go_on = host.scratch().join("go-on");
        let wait = format!("until [ -e {} ]; do sleep 0.05; done", go_on.display());
        let record = detach(host, "joined", &format!("echo before; {wait}; echo after; exit 3"));
        wait_until("something is printed", SOON, || log(&record) == "before\n");
        assert_eq!(sh(&format!("stat -c %a {}", record.join("init/attach").display())), "600\n");
        let (one, other) = (join(&record), join(&record));
        for client in [&one, &other] {
            assert_eq!(hear(client), b"w\0");
            assert_eq!(hear(client), b"pbefore\n");
        }
        // What is no message ends who says it, and nobody else.
        let wrong = join(&record);
        hear(&wrong);
        send(wrong.as_raw_fd(), b"?", MsgFlags::empty()).unwrap();
        while !hear(&wrong).is_empty() {}
        std::fs::write(&go_on, "").unwrap();
        for client in [&one, &other] {
            assert_eq!(hear(client), b"pafter\n");
            assert_eq!(hear(client), b"c\x03");
        }
        // One who does not read.
        std::fs::remove_file(&go_on).unwrap();
        let record = detach(host, "flood", &format!("{wait}; seq 1000000"));
        let _lazy = join(&record);
        std::fs::write(&go_on, "").unwrap();
        assert_eq!(ended(&record)["ended"]["code"], 0);
        assert!(log(&record).ends_with("\n1000000\n"));
    });
}

/// The same with a terminal of its own.
fn detach_with_terminal(host: &ThrowAwayHost, name: &str, script: &str) -> PathBuf {
    let mut launch = Record::read(&detach(host, "template", "true")).unwrap().unwrap().launch;
    let directory = record(host, name);
    std::fs::create_dir(&directory).unwrap();
    launch.container.command = ["sh", "-c", script].map(str::to_owned).to_vec();
    launch.output = Output::Detached { directory: directory.clone(), terminal: true, remove: false };
    let mut init = nslab(["__init"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    init.stdin.take().unwrap().write_all(&serde_json::to_vec(&launch).unwrap()).unwrap();
    let answer = init.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&answer.stdout).contains("started"), "{}", text(&answer));
    directory
}

#[test]
fn who_has_joined_a_terminal_types_and_says_how_large_it_is() {
    ThrowAwayHost::run(|host| {
        let script = "read line; echo \"got $line, $(stty size)\"; exec sleep 4210";
        let record = detach_with_terminal(host, "typed", script);
        let (client, other) = (join(&record), join(&record));
        assert_eq!(hear(&client), b"w\x01");
        let say = |text: &[u8]| send(client.as_raw_fd(), text, MsgFlags::empty()).unwrap();
        say(b"z\x32\x00\x78\x00");
        say(b"thello\n");
        wait_until("it has answered", SOON, || log(&record).contains("got hello, 50 120\r\n"));
        // There is no shell that could have it go on.
        let sleeper = sleeper(4210);
        say(b"t\x1a");
        wait_until("the key is shown", SOON, || log(&record).contains("^Z"));
        wait_until("it goes on", SOON, || sh(&format!("ps -o state= -p {sleeper}")) == "S\n");
        say(b"t\x03");
        for client in [&client, &other] {
            let mut all = Vec::new();
            let end = loop {
                match hear(client) {
                    printed if printed[0] == b'p' => all.extend_from_slice(&printed[1..]),
                    other if other == b"w\x01" => {}
                    other => break other,
                }
            };
            assert_eq!(end, b"s\x02\0\0\0");
            assert!(String::from_utf8_lossy(&all).ends_with("got hello, 50 120\r\n^Z^C"), "{all:?}");
        }
        assert_eq!(ended(&record)["ended"]["signal"], 2);
    });
}

#[test]
fn without_a_terminal_files_are_handed_on_as_they_are() {
    ThrowAwayHost::run(|_| {
        let mut command = nslab(["launch", "--rootfs", "host", "sh", "-c", "tty; cat; seq 200000 >&2; exit 8"]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(8), "{}", text(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "not a tty\n");
        assert!(output.stderr.ends_with(b"\n200000\n"));
    });
}
