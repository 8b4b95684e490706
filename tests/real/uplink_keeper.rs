//! Who watches over an uplink: nobody gets rid of it by accident, and without it nothing is lost.

use crate::support::conversation::Conversation;
use crate::support::keepers::{keepers, kill_all, kill_one, watchers};
use crate::support::nic::{assert_same, machine};
use crate::support::run::{fails, json, ok, sh, write};
use crate::support::street::{
    BEHIND, PATIENCE, ROUTER, ROUTER_V6, STATIC_V4, STATIC_V6, Street, assert_reaches, master, reaches,
};
use crate::support::{ThrowAwayHost, wait_until};
use crate::uplink::lab;

/// The NIC attached, and the machine as it was before.
fn attached(host: &ThrowAwayHost) -> (Street, String) {
    let street = Street::new();
    sh(STATIC_V4);
    sh(STATIC_V6);
    lab(host);
    let before = machine();
    ok(&["uplink", "attach", "eth0"]);
    (street, before)
}

/// Gives the NIC back, and sees that all is as it was.
fn part(before: &str) {
    ok(&["uplink", "detach"]);
    assert_eq!((keepers(), watchers()), (vec![], vec![]));
    assert_same(before, &machine(), "after detach");
    ok(&["down"]);
}

/// The keeper, by what it says itself. It says nothing before it has asked the gateway.
fn told() -> Option<i64> {
    let status = json(&["--json", "uplink", "status"]);
    let keeper = status["keeper"].as_i64();
    assert!(keeper.is_none() || !status["gateways"].as_array().unwrap().is_empty(), "{status}");
    keeper
}

#[test]
fn it_is_started_anew_where_it_is_killed() {
    ThrowAwayHost::run(|host| {
        let (street, before) = attached(host);
        let conversation = Conversation::with(&street, BEHIND);
        for _ in 0..5 {
            wait_until("one watches, and another over it", PATIENCE, || {
                told().is_some() && keepers().len() == 1 && watchers().len() == 1
            });
            let (keeper, watcher) = (keepers()[0], watchers()[0]);
            assert_eq!(told(), Some(keeper.into()));
            kill_one(keeper);
            wait_until("another watches", PATIENCE, || told().is_some_and(|pid| pid != i64::from(keeper)));
            wait_until("one watches over that", PATIENCE, || watchers().iter().any(|pid| *pid != watcher));
            let watcher = watchers()[0];
            kill_one(watcher);
            wait_until("another watches over it", PATIENCE, || watchers().iter().any(|pid| *pid != watcher));
        }
        assert!(reaches(ROUTER));
        part(&before);
        println!("{:?}", conversation.end());
    });
}

#[test]
fn without_any_the_machine_keeps_what_it_has() {
    ThrowAwayHost::run(|host| {
        let (street, before) = attached(host);
        let conversation = Conversation::with(&street, BEHIND);
        let meanwhile = machine();
        kill_all();
        assert_same(&meanwhile, &machine(), "after all were killed");
        assert!(reaches(ROUTER) && reaches(ROUTER_V6));
        assert_eq!(told(), None);
        assert!(ok(&["uplink", "status"]).contains("nobody watches over it"));
        let drift = json(&["--json", "show"])["drift"].clone();
        assert_eq!(drift, serde_json::json!(["start the keeper of the uplink eth0"]));
        let shown =
            "uplink at br0 by the NIC eth0: 192.0.2.10/24 2001:db8::10/64 on lab-uplink (keep), nobody watches over it";
        assert!(ok(&["show"]).contains(shown), "{}", ok(&["show"]));
        // Asked for what it has, the lab starts one anew.
        ok(&["uplink", "attach", "eth0"]);
        assert_eq!(told(), Some(keepers()[0].into()));
        let shown = json(&["--json", "show"]);
        assert_eq!(shown["drift"], serde_json::json!([]));
        assert_eq!(shown["uplink"]["nic"]["attached"], true);
        assert_eq!(shown["uplink"]["nic"]["watched"], true);
        kill_all();
        part(&before);
        println!("{:?}", conversation.end());
    });
}

#[test]
fn it_repairs_what_somebody_else_took_away() {
    ThrowAwayHost::run(|host| {
        let (street, before) = attached(host);
        let keeper = keepers()[0];
        for damage in [
            "ip link set eth0 nomaster",
            "ip address delete 192.0.2.10/24 dev lab-uplink",
            "ip -6 address delete 2001:db8::10/64 dev lab-uplink",
            "ip link delete lab-uplink",
        ] {
            sh(damage);
            wait_until(&format!("the NIC is a port after `{damage}`"), PATIENCE, || master("eth0").is_some());
            assert_reaches(ROUTER, PATIENCE);
            assert_reaches(ROUTER_V6, PATIENCE);
            assert_reaches(BEHIND, PATIENCE);
            wait_until(&format!("nothing is wrong any more after `{damage}`"), PATIENCE, || {
                json(&["--json", "uplink", "status"])["trouble"].is_null()
                    && json(&["--json", "show"])["drift"] == serde_json::json!([])
            });
            // Who repairs it watches over it: nobody else is wanted.
            assert_eq!((keepers(), watchers().len()), (vec![keeper], 1), "after `{damage}`");
        }
        let conversation = Conversation::with(&street, BEHIND);
        part(&before);
        println!("{:?}", conversation.end());
    });
}

#[test]
fn it_is_a_process_of_its_own_that_root_alone_may_ask() {
    ThrowAwayHost::run(|host| {
        let (_street, before) = attached(host);
        let directory = "/run/nslab/labs/lab";
        assert_eq!(sh(&format!("stat -c '%a %F' {directory}/uplink.sock")), "600 socket\n");
        let pid = keepers()[0];
        assert_eq!(sh(&format!("ps -o sid= -p {pid}")).trim(), pid.to_string());
        let open = sh(&format!("readlink /proc/{pid}/cwd /proc/{pid}/fd/0 /proc/{pid}/fd/1 /proc/{pid}/fd/2"));
        assert_eq!(open, "/\n/dev/null\n/dev/null\n/dev/null\n");
        // Nothing is told to who is not root.
        let asked = host.try_sh(&format!(
            "setpriv --reuid 65534 --regid 65534 --clear-groups {} uplink status",
            env!("CARGO_BIN_EXE_nslab")
        ));
        assert!(!asked.status.success());
        part(&before);
    });
}

#[test]
fn down_gives_back_first() {
    ThrowAwayHost::run(|host| {
        let (street, _) = attached(host);
        let conversation = Conversation::with(&street, BEHIND);
        ok(&["down"]);
        assert_eq!((keepers(), watchers()), (vec![], vec![]));
        assert!(reaches(ROUTER) && reaches(ROUTER_V6));
        assert!(sh("ip address show dev eth0").contains("192.0.2.10/24"));
        assert_eq!(sh("ls /run"), "");

        // The same without anybody who watches.
        lab(host);
        ok(&["uplink", "attach", "eth0"]);
        kill_all();
        ok(&["down"]);
        assert!(reaches(ROUTER) && reaches(ROUTER_V6));
        println!("{:?}", conversation.end());
    });
}

/// Of two NICs at once nobody could say afterwards what each of them was.
#[test]
fn another_nic_has_to_wait_until_the_first_is_given_back() {
    ThrowAwayHost::run(|host| {
        let (_street, before) = attached(host);
        sh("ip link add eth1 type veth peer name nic1; ip link set eth1 up; ip link set nic1 up
            ip address add 203.0.113.10/24 dev eth1");
        for arguments in [["eth1", "auto"], ["eth0", "dhcp"]] {
            let said = fails(&["uplink", "attach", arguments[0], "--address", arguments[1]], 1);
            let why = "the lab's uplink is eth0 by way of lab-uplink, with `--address keep`: give that back first";
            assert!(said.contains(why), "{said}");
        }
        assert_eq!((master("eth0").as_deref(), master("eth1")), (Some("lab-uplink"), None));
        assert!(reaches(ROUTER) && reaches(ROUTER_V6));
        ok(&["uplink", "detach"]);
        ok(&["uplink", "attach", "eth1"]);
        assert_eq!((master("eth0"), master("eth1").as_deref()), (None, Some("lab-uplink")));
        ok(&["uplink", "detach"]);
        sh("ip link delete eth1");
        assert_same(&before, &machine(), "after detach");
        ok(&["down"]);
    });
}

/// As the topology says it, and with another state directory.
#[test]
fn it_finds_its_lab_wherever_that_is() {
    ThrowAwayHost::run(|host| {
        let _street = Street::new();
        sh(STATIC_V4);
        let before = machine();
        let root = host.scratch().join(format!("state/{}", "deep/".repeat(12)));
        std::fs::create_dir_all(&root).unwrap();
        let root = root.to_str().unwrap();
        let text =
            "name: lab\nnodes: {n: }\nswitches: {br0: }\nlinks: [[n, br0]]\nuplink: {nic: eth0, address: keep}\n";
        ok(&["--state-dir", root, "up", &write(host, "with.yaml", text)]);
        let keeper = json(&["--state-dir", root, "--json", "uplink", "status"])["keeper"].clone();
        assert_eq!(keeper.as_i64(), Some(keepers()[0].into()));
        kill_one(keepers()[0]);
        wait_until("another watches", PATIENCE, || {
            json(&["--state-dir", root, "--json", "uplink", "status"])["keeper"]
                .as_i64()
                .is_some_and(|pid| Some(pid) != keeper.as_i64())
        });
        ok(&["--state-dir", root, "down"]);
        assert_same(&before, &machine(), "after down");
    });
}
