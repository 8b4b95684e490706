//! `nslab launch` by an ordinary user, and from where a process has not all that is usual.

use crate::support::rootfs::busybox;
use crate::support::run::{sh, text};
use crate::support::{ThrowAwayHost, wait_until};
use nslab::launcher::{Entry, Record};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// `nslab` with these arguments, as a user of this machine who is nobody in particular.
fn as_user(arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=4242", "--regid=4242", "--clear-groups", env!("CARGO_BIN_EXE_nslab")]).args(arguments);
    command.env_remove("XDG_RUNTIME_DIR").current_dir("/");
    command
}

#[track_caller]
fn said(arguments: &[&str]) -> String {
    let output = as_user(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}\n{}", output.status, text(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refused(arguments: &[&str], code: i32) -> String {
    let output = as_user(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
    text(&output)
}

/// A root file system of the user's.
fn rootfs(host: &ThrowAwayHost) -> String {
    let root = busybox(host, "root");
    sh(&format!("chmod 755 {}; chown -R 4242:4242 {root}", host.scratch().display()));
    root
}

#[test]
fn each_option_works_with_a_user_namespace_and_is_refused_with_advice_without() {
    ThrowAwayHost::run(|_| {
        for option in ["-i", "-m", "-n", "-p", "-u", "-C", "-T"] {
            assert_eq!(said(&["launch", "-U", option, "id", "-u"]), "0\n", "{option}");
            let told = refused(&["launch", option, "true"], 125);
            assert!(told.contains("run nslab by `sudo`, or add -U"), "{option}: {told}");
        }
        let all =
            ["launch", "-U", "-i", "-m", "-n", "-p", "-u", "-C", "-T", "-H", "zion", "sh", "-c", "hostname; id -u"];
        assert_eq!(said(&all), "zion\n0\n");
        let told = refused(&["launch", "-N", "/proc/self/ns/net", "true"], 125);
        assert!(told.contains("enter the network namespace") && told.contains("by -U and -n"), "{told}");
    });
}

#[test]
fn a_users_own_directory_is_a_root() {
    ThrowAwayHost::run(|host| {
        let root = rootfs(host);
        let options = ["launch", "-U", "--rootfs", &root];
        let run = |more: &[&str], script| said(&[&options[..], more, &["sh", "-c", script]].concat());
        assert_eq!(run(&[], "touch /made; stat -c %u /made; echo $$"), "0\n2\n");
        assert_eq!(sh(&format!("stat -c %u {root}/made")), "4242\n");
        assert_eq!(run(&["--read-only"], "rm /made; echo new > /etc/new; cat /etc/new"), "new\n");
        assert_eq!(sh(&format!("ls {root}/made; ls {root}/etc")), format!("{root}/made\n"));
        let told = refused(&["launch", "--rootfs", &root, "true"], 125);
        assert!(told.contains("add -U"), "{told}");
    });
}

#[test]
fn maps_are_those_that_a_user_may_have() {
    ThrowAwayHost::run(|_| {
        let ids = ["sh", "-c", "id -u; id -g"];
        let own = said(&[&["launch", "-U", "-M", "7 4242 1", "-G", "8 4242 1"][..], &ids].concat());
        assert_eq!(own, "7\n8\n");
        let range = ["launch", "-U", "-M", "0 4242 1, 1 100000 1000", "-G", "0 4242 1, 1 100000 1000"];
        let map = ["sh", "-c", "tr -s ' ' < /proc/self/uid_map"];
        let told = refused(&[&range[..], &map].concat(), 125);
        assert!(told.contains("as /etc/subgid allows them, by newgidmap (package uidmap)"), "{told}");
        sh("echo walker:x:4242:4242::/tmp:/bin/sh >> /etc/passwd; echo walker:x:4242: >> /etc/group
            echo walker:100000:1000 > /etc/subuid; echo walker:100000:1000 > /etc/subgid");
        assert_eq!(said(&[&range[..], &map].concat()), " 0 4242 1\n 1 100000 1000\n");
        assert_eq!(said(&[&["launch", "-U"][..], &map].concat()), " 0 4242 1\n 1 100000 1000\n");
    });
}

/// As in a company's directory: here it is Debian's libnss-extrausers that knows him.
#[test]
fn a_user_who_is_not_in_etc_passwd_has_the_ranges_of_his_name() {
    ThrowAwayHost::run(|_| {
        sh("mount -t tmpfs tmpfs /var/lib/extrausers; chmod 755 /var/lib/extrausers
            printf 'passwd: files extrausers\\ngroup: files extrausers\\n' > /etc/nsswitch.conf
            echo walker:x:4242:4242::/tmp:/bin/sh > /var/lib/extrausers/passwd; echo walker:x:4242: > /var/lib/extrausers/group
            echo walker:100000:1000 > /etc/subuid; echo walker:100000:1000 > /etc/subgid");
        let map = ["launch", "-U", "sh", "-c", "tr -s ' ' < /proc/self/uid_map"];
        assert_eq!(said(&map), " 0 4242 1\n 1 100000 1000\n");
        sh("umount /var/lib/extrausers");
    });
}

// Linked otherwise, nslab loads what it is told to.
#[cfg(target_feature = "crt-static")]
#[test]
fn no_library_is_loaded_to_find_who_a_user_is() {
    ThrowAwayHost::run(|host| {
        let at = host.scratch().display().to_string();
        sh(&format!(
            "chmod 755 {at}; cd {at}; echo '#include <stdlib.h>
            int _nss_deadly_getpwuid_r() {{ abort(); }}' > deadly.c; gcc -shared -fPIC -o libnss_deadly.so.2 deadly.c
            printf 'passwd: deadly files\\ngroup: files\\n' > /etc/nsswitch.conf
            echo walker:x:4242:4242::/tmp:/bin/sh >> /etc/passwd; echo walker:x:4242: >> /etc/group
            echo walker:100000:1000 > /etc/subuid; echo walker:100000:1000 > /etc/subgid"
        ));
        // It is where a program finds it.
        let found = Command::new("getent").args(["passwd", "4242"]).env("LD_LIBRARY_PATH", &at).output().unwrap();
        assert!(!found.status.success(), "{}", text(&found));
        // setpriv(1) would look the user up, too.
        let script = format!(
            "setpriv --reuid=4242 --regid=4242 --clear-groups env LD_LIBRARY_PATH={at} {} launch -U cat /proc/self/uid_map | tr -s ' '",
            env!("CARGO_BIN_EXE_nslab")
        );
        assert_eq!(sh(&script), " 0 4242 1\n 1 100000 1000\n");
    });
}

#[test]
fn a_users_detached_container_is_entered_and_ends() {
    ThrowAwayHost::run(|host| {
        let root = rootfs(host);
        let launch = ["launch", "-U", "--rootfs", &root, "-H", "zion", "-d", "--name", "one", "sleep", "7777"];
        let told = refused(&launch, 2);
        assert!(told.contains("--state-dir DIR") && told.contains("XDG_RUNTIME_DIR"), "{told}");
        sh("mkdir -p /run/user/4242; chown 4242 /run/user/4242");
        let output = as_user(&launch).env("XDG_RUNTIME_DIR", "/run/user/4242").output().unwrap();
        assert_eq!(text(&output), "one\n");
        let directory = Path::new("/run/user/4242/nslab/launched/one");
        let record = Record::read(directory).unwrap().unwrap();
        let enter = |script: &str| -> Output {
            let command = ["sh", "-c", script].map(str::to_owned).to_vec();
            let entry = serde_json::to_string(&Entry::new(&record, command, &[]).unwrap()).unwrap();
            as_user(&["__enter"]).env("NSLAB_ENTRY", entry).output().unwrap()
        };
        assert_eq!(text(&enter("hostname; id -u; ls /; tr '\\0' ' ' < /proc/2/cmdline")).lines().next(), Some("zion"));
        assert_eq!(text(&enter("id -u; tr '\\0' ' ' < /proc/2/cmdline")), "0\nsleep 7777 ");
        let pid = record.running.as_ref().unwrap().pid;
        sh(&format!("setpriv --reuid=4242 --regid=4242 --clear-groups kill -TERM {pid}"));
        wait_until("it has ended", SOON, || !record.is_alive());
        wait_until("that is written down", SOON, || Record::read(directory).unwrap().unwrap().ended.is_some());
        sh("rm -r /run/user");
    });
}

#[test]
fn signals_and_files_that_the_caller_has_not_do_no_harm() {
    ThrowAwayHost::run(|host| {
        let root = rootfs(host);
        let nslab = env!("CARGO_BIN_EXE_nslab");
        for options in ["-p", "", &format!("--rootfs {root}")] {
            for ignored in ["CHLD", "TERM", "HUP"] {
                let script = format!(
                    "timeout -s KILL 60 env --ignore-signal={ignored} {nslab} launch {options} sh -c 'exit 3' || echo $?"
                );
                assert_eq!(sh(&script), "3\n", "{options} {ignored}");
            }
            let script =
                format!("{nslab} launch {options} sh -c 'ls /proc/self/fd >/dev/null; exit 3' <&- >&- 2>&- || echo $?");
            assert_eq!(sh(&script), "3\n", "{options}");
        }
        let script = format!("prlimit --nofile=4:4 {nslab} launch -p true 2>&1 || echo $?");
        let told = sh(&script);
        assert!(told.contains("Too many open files") && told.ends_with("125\n"), "{told}");
        let script =
            format!("mkdir /run/gone; cd /run/gone; rmdir /run/gone; {nslab} launch --rootfs {root} sh -c pwd");
        assert_eq!(sh(&script), "/\n");
    });
}
