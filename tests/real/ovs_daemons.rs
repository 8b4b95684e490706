//! What a lab leaves in Open vSwitch's database, and what its daemons may do in the midst of a change: whatever that is,
//! `down` takes everything away.

use crate::support::ovs::OpenVswitch;
use crate::support::run::{fails, ok, sh, text, write};
use crate::support::{ThrowAwayHost, database, nslab, wait_until, walk};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const LAB: &str = "
name: lab
switches: {s1: {backend: ovs, subnets: [10.0.0.0/24]}, s2: {backend: ovs}, s3: {backend: ovs, stp: true}}
nodes: {a: , b: , c: }
links: [[a, s1], [b, s2], [c, s3], [s1, s2], {endpoints: [s2, s3], vlan: {trunk: [10, 20]}}]
";

#[test]
fn the_database_is_after_down_what_it_was_before_up() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        // Somebody else's, with a row of every sort that one may have.
        sh("ovs-vsctl add-br other -- set Bridge other datapath_type=netdev -- set-controller other tcp:127.0.0.1:1 \
            -- add-port other theirs -- set Interface theirs type=internal -- --id=@p get Port theirs \
            -- --id=@m create Mirror name=m output_port=@p -- add Bridge other mirrors @m \
            -- --id=@q create QoS type=linux-htb queues:0=@z -- --id=@z create Queue other_config:max-rate=1000000 -- set Port theirs qos=@q");
        let host = host.as_it_is_now();
        let shown = "ovs-vsctl show; for t in Bridge Port Mirror QoS Queue Controller; do ovs-vsctl list $t; done | \
                     grep -vE '^(statistics|status|is_connected|role)'";
        let before = (sh(shown), database::rows(), database::uuids());
        let families = ["single,4", "linear,4", "tree,2,3", "torus,3,3", "mesh,4"];
        for topology in ["two-node", "three-tier", "dumbbell", "ring", "vlan", "slaac"].into_iter().chain(families) {
            ok(&["up", topology]);
            let is_made = database::rows() != before.1;
            assert_eq!(is_made, topology != "mesh,4", "{topology}"); // that has no switch
            ok(&["down"]);
            host.assert_as_it_was(&format!("after {topology}"));
            assert_eq!((sh(shown), database::rows(), database::uuids()), before, "after {topology}");
        }
        sh("ovs-vsctl del-br other; ovs-vsctl --all destroy QoS; ovs-vsctl --all destroy Queue");
    });
}

/// The transactions that make or remove rows, as the database's log has them: comment, made, removed.
fn transactions(ovs: &OpenVswitch) -> Vec<(String, usize, usize)> {
    let log = sh(&format!("ovsdb-tool show-log -m {}", ovs.file().display()));
    let records = log.split("\nrecord ").map(|record| {
        let head = record.lines().next().unwrap_or_default();
        let comment = head.split('"').nth(1).unwrap_or_default().to_owned();
        // `table Port insert row …`, or `table Port row …` and `delete row` on the next line.
        let body = record.lines().skip(1).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        let of_lab = |change: &&str| ["Bridge ", "Port ", "Interface "].iter().any(|table| change.starts_with(table));
        let count = |what: &str| body.split("table ").filter(of_lab).filter(|change| change.contains(what)).count();
        (comment, count("insert row"), count("delete row"))
    });
    records.filter(|(_, made, removed)| made + removed > 0).collect()
}

#[test]
fn a_whole_lab_is_one_transaction() {
    ThrowAwayHost::run(|host| {
        let ovs = OpenVswitch::start(host);
        let file = write(host, "lab.yaml", LAB);
        ok(&["up", &file]);
        // Three bridges with their own port; three nodes' ports, and four of two patches.
        let rows = 3 * 3 + (3 + 4) * 2;
        assert_eq!(database::rows().keys().filter(|row| !row.starts_with("Open_vSwitch")).count(), rows);
        assert_eq!(transactions(&ovs), [("nslab: lab".to_owned(), rows, 0)]);
        // What changes columns alone is one too, and nothing to do is none.
        let all = || sh(&format!("ovsdb-tool show-log {} | grep -c nslab:", ovs.file().display()));
        ok(&["up", &file]);
        assert_eq!(all().trim(), "1");
        let edited = LAB.replace("[10, 20]", "[10, 30]");
        ok(&["up", &write(host, "edited.yaml", &edited)]);
        assert_eq!(all().trim(), "2");
        ok(&["down"]);
        let removed = ("nslab: lab".to_owned(), 0, rows);
        assert_eq!(transactions(&ovs), [("nslab: lab".to_owned(), rows, 0), removed]);
    });
}

/// An `up` that has stopped at a point, and goes on by [`Stopped::finish`].
struct Stopped(Child);

impl Stopped {
    fn at(host: &ThrowAwayHost, point: &str, file: &str) -> Self {
        let points = host.scratch().join("points");
        let _ = std::fs::remove_file(&points);
        assert!(nslab(["up", file]).env("NSLAB_TEST_POINTS", &points).output().unwrap().status.success());
        let number = walk::point(&points, point);
        ok(&["down"]);
        Self::spawn(file, number)
    }

    fn spawn(file: &str, number: u32) -> Self {
        let number = number.to_string();
        let child = nslab(["up", file])
            .envs([("NSLAB_TEST_INTERRUPT_AT", number.as_str()), ("NSLAB_TEST_SIGNAL", "SIGSTOP")])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        wait_until("it stops", Duration::from_secs(20), || std::fs::read_to_string(&stat).unwrap().contains(") T "));
        Self(child)
    }

    fn go_on(&self) {
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGCONT).unwrap();
    }

    fn stop(&self) {
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGSTOP).unwrap();
    }

    fn finish(self) -> Output {
        self.go_on();
        self.0.wait_with_output().unwrap()
    }
}

/// Whether the server has been sent a lab's transaction, and has not read it. What ovs-vswitchd sends is shorter.
fn is_transaction_sent() -> bool {
    let sockets = sh("ss -xH src /run/openvswitch/db.sock");
    let connected = sockets.lines().filter(|line| line.contains("ESTAB"));
    let mut unread = connected.filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok());
    unread.any(|bytes| bytes > 3000)
}

/// After a failure: what is left is said, or nothing is; `down` takes it away, and the lab comes up.
fn assert_recovers(host: &ThrowAwayHost, file: &str, failed: &Output, when: &str) {
    let said = text(failed);
    match failed.status.code() {
        Some(1 | 3) => assert!(said.contains("everything was put back as it was"), "{when}: {said}"),
        Some(4) => {
            assert!(said.contains("take the lab's switches from Open vSwitch"), "{when}: {said}");
            assert!(ok(&["ls"]).contains("half-made"), "{when}");
            ok(&["down"]);
        }
        _ => panic!("{when}: {said}"),
    }
    host.assert_as_it_was(when);
    ok(&["up", file]);
    ok(&["ping", "a", "b"]);
    ok(&["down"]);
    host.assert_as_it_was(&format!("{when}, up and down"));
}

#[test]
fn the_server_may_be_killed_before_during_and_after_the_transaction() {
    ThrowAwayHost::run(|host| {
        let mut ovs = OpenVswitch::start(host);
        let here = host.as_it_is_now();
        let file = write(host, "lab.yaml", LAB);
        for point in ["before the transaction", "after the transaction"] {
            let up = Stopped::at(host, point, &file);
            ovs.kill_server();
            let output = up.finish();
            assert_eq!(output.status.code(), Some(4), "{point}: {}", text(&output));
            assert!(text(&output).contains("the connection to the OVSDB server was lost"), "{}", text(&output));
            ovs.restart_server(&[]);
            assert_eq!(
                sh("ovs-vsctl --no-wait list-br | wc -l").trim(),
                if point.starts_with("after") { "3" } else { "0" }
            );
            assert_recovers(&here, &file, &output, point);
        }

        // It is killed with the request in its hands.
        let up = Stopped::at(host, "before the transaction", &file);
        ovs.hang_server(true);
        up.go_on();
        wait_until("the transaction is sent", Duration::from_secs(10), is_transaction_sent);
        ovs.kill_server();
        let output = up.finish();
        assert!(text(&output).contains("was lost during `transact`"), "{}", text(&output));
        ovs.restart_server(&[]);
        assert_eq!(sh("ovs-vsctl --no-wait list-br"), "");
        assert_recovers(&here, &file, &output, "killed with the request in its hands");

        // It has done the transaction, and nobody has heard of it.
        let up = Stopped::at(host, "before the transaction", &file);
        ovs.hang_server(true);
        up.go_on();
        wait_until("the transaction is sent", Duration::from_secs(10), is_transaction_sent);
        up.stop();
        ovs.hang_server(false);
        wait_until("the rows are there", Duration::from_secs(10), || !sh("ovs-vsctl --no-wait list-br").is_empty());
        ovs.kill_server();
        let output = up.finish();
        ovs.restart_server(&[]);
        assert_ne!(sh("ovs-vsctl --no-wait list-br"), "");
        assert_recovers(&here, &file, &output, "killed with the answer on its way");
    });
}

#[test]
fn the_switch_may_be_killed_before_and_after_the_transaction() {
    ThrowAwayHost::run(|host| {
        let mut ovs = OpenVswitch::start(host);
        let here = host.as_it_is_now();
        let file = write(host, "lab.yaml", LAB);
        for point in ["before the transaction", "after the transaction"] {
            let up = Stopped::at(host, "before the transaction", &file);
            // It must not be through with it before it is killed.
            ovs.hang_switch(true);
            if point == "after the transaction" {
                up.go_on();
                wait_until("it is done", Duration::from_secs(10), || !sh("ovs-vsctl --no-wait list-br").is_empty());
            }
            ovs.kill_switch();
            let output = up.finish();
            assert_eq!(output.status.code(), Some(1), "{point}: {}", text(&output));
            assert!(text(&output).contains("ovs-vswitchd has not taken over the change in"), "{}", text(&output));
            assert_eq!(sh("ovs-vsctl --no-wait list-br"), "", "{point}");
            assert!(!sh("ip -o link").contains("lab-"), "{point}");
            assert!(text(&output).contains("everything was put back as it was"), "{}", text(&output));
            ovs.start_switch();
            // What a killed ovs-vswitchd leaves of its own (ovs-netdev), its next one takes over, and takes along with the
            // last bridge.
            ok(&["up", &file]);
            ok(&["ping", "a", "b"]);
            ok(&["down"]);
            here.assert_as_it_was(point);
        }
    });
}

/// Until ovs-vswitchd has seen that a port is gone, it sets the flags of whatever device comes under the port's name.
#[test]
fn a_change_waits_until_the_switch_has_given_up_what_goes() {
    ThrowAwayHost::run(|host| {
        let ovs = OpenVswitch::start(host);
        let (file, points) = (write(host, "lab.yaml", LAB), host.scratch().join("points"));
        // Another switch's port, with another row, and a device of the same name.
        let edited = write(host, "edited.yaml", &LAB.replace("[b, s2]", "[b, s1]"));
        ok(&["up", &file]);
        assert!(nslab(["up", &edited]).env("NSLAB_TEST_POINTS", &points).output().unwrap().status.success());
        let behind = walk::point(&points, "after the transaction") + 1;
        ok(&["up", &file]);
        ovs.hang_switch(true);
        let begun = Instant::now();
        let up = Stopped::spawn(&edited, behind);
        // It gives up waiting after three seconds, and not before.
        assert!(begun.elapsed() >= Duration::from_secs(3), "it went on after {:?}", begun.elapsed());
        ovs.hang_switch(false);
        let output = up.finish();
        assert!(output.status.success(), "{}", text(&output));
        assert!(ok(&["plan", &edited]).contains("nothing to do"));
        ok(&["down"]);
    });
}

/// A disk that is really full, and what nslab does then and afterwards.
#[test]
fn a_database_whose_disk_is_full_takes_no_lab_and_gives_one_up_when_there_is_room() {
    ThrowAwayHost::run(|host| {
        let disk = host.scratch().join("disk");
        std::fs::create_dir(&disk).unwrap();
        sh(&format!("mount -t tmpfs -o size=256k tmpfs {}", disk.display()));
        let ovs = OpenVswitch::start_in(host, &disk);
        let here = host.as_it_is_now();
        let file = write(host, "lab.yaml", LAB);
        // To the last byte: what is left of the last page is filled with transactions.
        let fill_up = || {
            let _ = Command::new("dd").args(["if=/dev/zero", "bs=512"]).arg(of(&disk)).output().unwrap();
            let set = ["--no-wait", "set", "Open_vSwitch", "."];
            for length in [200, 50, 1] {
                for number in 0.. {
                    let value = format!("external_ids:full={number}{}", "x".repeat(length));
                    if !Command::new("ovs-vsctl").args(set).arg(value).output().unwrap().status.success() {
                        break;
                    }
                }
            }
        };
        let make_room = || {
            std::fs::remove_file(disk.join("filler")).unwrap();
            sh("ovs-vsctl --no-wait remove Open_vSwitch . external_ids full");
        };

        fill_up();
        let message = fails(&["up", &file], 1);
        assert!(message.contains("I/O error") && message.contains("its disk may be full"), "{message}");
        assert!(message.contains("everything was put back as it was"), "{message}");
        make_room();
        here.assert_as_it_was("after an up with a full disk");
        ok(&["up", &file]);
        ok(&["ping", "a", "b"]);

        // A change can't be made either, and is put back.
        let edited = write(host, "edited.yaml", &LAB.replace("[c, s3]", "[c, s2]"));
        let rows = database::rows();
        fill_up();
        let message = fails(&["up", &edited], 1);
        assert!(message.contains("its disk may be full"), "{message}");
        // Everything but the rows goes, and what is left is said.
        let message = fails(&["down"], 4);
        assert!(message.contains("is not all gone; left: take the bridges"), "{message}");
        assert!(message.contains("its disk may be full"), "{message}");
        assert_eq!(sh("ip netns list"), "");
        make_room();
        assert_eq!(database::rows().keys().collect::<Vec<_>>(), rows.keys().collect::<Vec<_>>());
        ok(&["down"]);
        here.assert_as_it_was("after down, when there was room again");
        ok(&["up", &file]);
        ok(&["down"]);
        drop(ovs);
        sh(&format!("umount {}", disk.display()));
    });
}

fn of(disk: &Path) -> String {
    format!("of={}", disk.join("filler").display())
}

#[test]
fn up_says_that_it_waits_for_what_came_before() {
    ThrowAwayHost::run(|host| {
        let ovs = OpenVswitch::start(host);
        ovs.hang_switch(true);
        sh("ovs-vsctl --timeout=1 add-br other 2>/dev/null && exit 1 || true");
        let said = host.scratch().join("said");
        let mut up = nslab(["up", "two-node"])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&said).unwrap())
            .spawn()
            .unwrap();
        wait_until("it says so", Duration::from_secs(10), || {
            std::fs::read_to_string(&said).unwrap().contains("ovs-vswitchd is still busy with what came before")
        });
        ovs.hang_switch(false);
        assert!(up.wait().unwrap().success(), "{}", std::fs::read_to_string(&said).unwrap());
        ok(&["down"]);
        sh("ovs-vsctl del-br other");
    });
}
