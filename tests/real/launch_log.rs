//! What containers print that nobody waits for: logged, followed, and seen by who joins.

use crate::launch_terminal::{SOON, end_by, sleeper};
use crate::support::run::{ok, sh, text};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};
use nslab::launcher::{LogReader, Output, Record};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;

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
fn what_a_container_prints_is_logged_and_how_it_ended_written_down() {
    ThrowAwayHost::run(|host| {
        let record = detach(host, "one", "echo out; echo err >&2; cat; exit 5");
        assert_eq!(ended(&record)["ended"]["code"], 5);
        assert_eq!(log(&record), "out\nerr\n");
        // It ends a moment after it has written that down.
        let is_alive = || Record::read(&record).unwrap().unwrap().is_alive();
        wait_until("process 1 has ended", SOON, || !is_alive());
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
