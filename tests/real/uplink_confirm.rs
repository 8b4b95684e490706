//! What nobody confirms is undone, whatever becomes of who attached and of who watches; and nobody has to confirm twice.

use crate::support::conversation::Conversation;
use crate::support::keepers::{keepers, watchers};
use crate::support::nic::{assert_same, machine};
use crate::support::run::{fails, json, ok, sh};
use crate::support::street::{BEHIND, PATIENCE, master, reaches};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use crate::uplink_lockout::{assert_undone, begin};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};

fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// What is sent to all that came of a session when it ends, or of a service.
#[test]
fn the_end_of_a_session_ends_nobody_who_watches() {
    ThrowAwayHost::run(|host| {
        let (_street, before) = begin(host);
        ok(&["uplink", "attach", "eth0", "--confirm", "12"]);
        let (keeper, watcher) = (keepers()[0], watchers()[0]);
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            send(watcher, signal);
            send(keeper, signal);
        }
        let status = json(&["--json", "uplink", "status"]);
        assert_eq!(status["keeper"], keeper, "{status}");
        assert_eq!((keepers(), watchers()), (vec![keeper], vec![watcher]));
        // Nor does it who comes after the first.
        crate::support::keepers::kill_one(keeper);
        wait_until("another watches", PATIENCE, || {
            json(&["--json", "uplink", "status"])["keeper"].as_i64().is_some_and(|pid| pid != i64::from(keeper))
        });
        let keeper = keepers()[0];
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            send(keeper, signal);
        }
        assert_undone(&before, "after nobody confirmed");
        assert!(ok(&["uplink", "status"]).contains("no NIC for an uplink"));
        ok(&["down"]);
    });
}

/// What a command that gives back needs no more, it ends without waiting for it.
#[test]
fn who_watches_is_ended_at_once() {
    ThrowAwayHost::run(|host| {
        let (_street, before) = begin(host);
        ok(&["uplink", "attach", "eth0"]);
        let keeper = keepers()[0];
        // One that is stopped, too.
        send(keeper, Signal::SIGSTOP);
        ok(&["uplink", "detach"]);
        assert_eq!((keepers(), watchers()), (vec![], vec![]));
        assert_same(&before, &machine(), "after detach");
        ok(&["down"]);
    });
}

/// A command that attaches, stopped (Ctrl-Z) once the NIC is a port; it still has the lab's lock.
fn stopped_attach() -> Child {
    // Nothing answers, so that it waits for the gateway, for ten seconds.
    sh("nft 'table inet wall { chain out { type filter hook output priority 0; oifname lab-uplink drop; }; }'");
    let mut attach = nslab(["uplink", "attach", "eth0", "--confirm", "4"]);
    let attach = attach.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the NIC is a port", PATIENCE, || master("eth0").is_some());
    send(attach.id().cast_signed(), Signal::SIGSTOP);
    sh("nft delete table inet wall");
    assert!(Path::new("/run/nslab/labs/lab/plan.json").exists());
    attach
}

#[test]
fn a_command_that_was_stopped_keeps_nobody_from_undoing() {
    ThrowAwayHost::run(|host| {
        let (street, before) = begin(host);
        let conversation = Conversation::with(&street, BEHIND);
        let mut attach = stopped_attach();
        // It goes on to undo what it did, or is killed and the keeper does.
        wait_until("the command has ended", PATIENCE, || attach.try_wait().unwrap().is_some());
        assert!(!attach.wait().unwrap().success());
        assert_undone(&before, "after a command that was stopped was not confirmed");
        println!("{:?}", conversation.end());
        ok(&["down"]);
    });
}

/// It would not be armed: so it is not passed over either.
#[test]
fn what_is_attached_can_not_be_confirmed_again() {
    ThrowAwayHost::run(|host| {
        let (_street, before) = begin(host);
        ok(&["uplink", "attach", "eth0"]);
        let said = fails(&["uplink", "attach", "eth0", "--confirm", "4"], 2);
        assert!(said.contains("eth0 is lab's uplink already, so `--confirm` would undo nothing"), "{said}");
        assert!(said.contains("nslab uplink detach"), "{said}");
        assert_eq!(master("eth0").as_deref(), Some("lab-uplink"));
        assert_eq!(json(&["--json", "uplink", "status"])["confirm_left_s"], serde_json::Value::Null);
        ok(&["uplink", "detach"]);
        assert_same(&before, &machine(), "after detach");
        ok(&["down"]);
    });
}

/// There is no journal any more, and nobody but who watches knows what was what.
#[test]
fn a_lab_whose_directory_is_gone_gives_the_nic_back() {
    ThrowAwayHost::run(|host| {
        let (street, before) = begin(host);
        let conversation = Conversation::with(&street, BEHIND);
        ok(&["uplink", "attach", "eth0"]);
        sh("mv /run/nslab/labs/lab /run/away");
        assert_undone(&before, "after the lab's directory was gone");
        assert!(reaches(BEHIND));
        println!("{:?}", conversation.end());
        sh("mv /run/away /run/nslab/labs/lab");
        ok(&["down"]);
    });
}

/// What a keeper says that is asked itself: `nslab uplink status` needs the journal.
fn sight() -> Option<serde_json::Value> {
    let mut stream = UnixStream::connect("/run/nslab/labs/lab/uplink.sock").ok()?;
    stream.write_all(b"sight\n").ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).ok()?;
    serde_json::from_str(&said).ok()
}

/// A journal that can't be read now may be read later: nobody gives up over it.
#[test]
fn a_journal_that_can_not_be_read_ends_nobody() {
    ThrowAwayHost::run(|host| {
        let (_street, before) = begin(host);
        ok(&["uplink", "attach", "eth0", "--confirm", "8"]);
        let record = "/run/nslab/labs/lab/lab.json";
        sh(&format!("cp {record} /run/record; echo broken > {record}"));
        let keeper = keepers()[0];
        crate::support::keepers::kill_one(keeper);
        wait_until("another watches", PATIENCE, || keepers().iter().any(|pid| *pid != keeper));
        let another = keepers()[0];
        wait_until("it says what is wrong", PATIENCE, || {
            sight().is_some_and(|sight| sight["trouble"].as_str().is_some_and(|said| said.contains("lab.json")))
        });
        assert_eq!((keepers(), watchers().len()), (vec![another], 1));
        sh(&format!("cp /run/record {record}; rm /run/record"));
        assert_undone(&before, "once the journal could be read again");
        ok(&["down"]);
    });
}
