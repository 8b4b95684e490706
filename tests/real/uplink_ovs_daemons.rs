//! What becomes of the machine when something happens to the Open vSwitch that its NIC is a port of.

use crate::support::conversation::Conversation;
use crate::support::keepers::{keepers, kill_all};
use crate::support::run::{fails, json, ok, sh};
use crate::support::street::{BEHIND, PATIENCE, ROUTER, ROUTER_V6, assert_reaches};
use crate::support::{ThrowAwayHost, wait_until};
use crate::uplink_crash::{Machine, SOON};
use crate::uplink_ovs::begin;

/// The NIC attached.
fn attached(host: &ThrowAwayHost) -> Machine {
    let on = begin(host);
    ok(&["uplink", "attach", "eth0"]);
    on
}

/// The machine reaches its gateways soon, whoever has the NIC.
#[track_caller]
fn assert_gateways() {
    assert_reaches(ROUTER, SOON);
    assert_reaches(ROUTER_V6, SOON);
}

/// Whether the lab is what it should be, and the NIC its uplink.
fn is_well() -> bool {
    let status = json(&["--json", "uplink", "status"]);
    let answers = status["gateways"].as_array().unwrap().iter().all(|gateway| gateway["answers"] == true);
    status["nic"] == "eth0"
        && answers
        && status["trouble"].is_null()
        && json(&["--json", "show"])["drift"] == serde_json::json!([])
}

/// Whether the lab is what it should be, and has no uplink any more.
fn is_parted() -> bool {
    let port = sh("ovs-vsctl --no-wait list-ports lab-br0").contains("eth0");
    !port && keepers().is_empty() && json(&["--json", "uplink", "status"])["nic"].is_null()
}

#[test]
fn what_somebody_else_took_apart_is_repaired() {
    ThrowAwayHost::run(|host| {
        let on = attached(host);
        let conversation = Conversation::with(&on.street, BEHIND);
        for damage in [
            "ovs-vsctl del-port lab-br0 eth0",
            "ip link set lab-br0 down",
            "ip address delete 192.0.2.10/24 dev lab-br0",
            "ip -6 address delete 2001:db8::10/64 dev lab-br0",
        ] {
            sh(damage);
            wait_until(&format!("`{damage}` is noticed"), PATIENCE, || !is_well());
            wait_until(&format!("all is well after `{damage}`"), 2 * PATIENCE, is_well);
            assert_gateways();
        }
        ok(&["uplink", "detach"]);
        on.assert_as_it_was("after detach");
        println!("{:?}", conversation.end());
        ok(&["down"]);
    });
}

#[test]
fn the_switch_may_be_killed_and_started_again() {
    ThrowAwayHost::run(|host| {
        let mut on = attached(host);
        let conversation = Conversation::with(&on.street, BEHIND);
        for _ in 0..3 {
            let ovs = on.ovs.as_mut().unwrap();
            ovs.kill_switch();
            ovs.start_switch();
            assert_gateways();
            wait_until("all is well", 2 * PATIENCE, is_well);
        }
        ok(&["uplink", "detach"]);
        on.assert_as_it_was("after detach");
        println!("{:?}", conversation.end());
        ok(&["down"]);
    });
}

/// As an upgrade does it: its devices go with it, and the machine's addresses with those.
#[test]
fn the_switch_may_be_restarted() {
    ThrowAwayHost::run(|host| {
        let mut on = attached(host);
        let conversation = Conversation::with(&on.street, BEHIND);
        for _ in 0..3 {
            let ovs = on.ovs.as_mut().unwrap();
            ovs.stop_switch();
            ovs.start_switch();
            assert_gateways();
            wait_until("all is well", 2 * PATIENCE, is_well);
        }
        ok(&["uplink", "detach"]);
        assert_gateways();
        println!("{:?}", conversation.end());
        ok(&["down"]);
    });
}

#[test]
fn where_the_switch_is_gone_for_good_the_nic_is_given_back() {
    ThrowAwayHost::run(|host| {
        let mut on = attached(host);
        let conversation = Conversation::with(&on.street, BEHIND);
        for dies in [true, false] {
            let ovs = on.ovs.as_mut().unwrap();
            if dies {
                ovs.kill_switch();
            } else {
                ovs.stop_switch();
            }
            assert_gateways();
            wait_until("it is given back", PATIENCE, is_parted);
            // It does not come back by itself.
            on.ovs.as_mut().unwrap().start_switch();
            assert_gateways();
            wait_until("the lab is whole", PATIENCE, || json(&["--json", "show"])["drift"] == serde_json::json!([]));
            if dies {
                on.assert_as_it_was("after ovs-vswitchd was killed");
            }
            ok(&["uplink", "attach", "eth0"]);
        }
        ok(&["uplink", "detach"]);
        println!("{:?}", conversation.end());
        ok(&["down"]);
    });
}

/// All of Open vSwitch is stopped, and started again much later.
#[test]
fn where_all_of_it_is_gone_the_nic_is_given_back() {
    ThrowAwayHost::run(|host| {
        let mut on = attached(host);
        let conversation = Conversation::with(&on.street, BEHIND);
        let ovs = on.ovs.as_mut().unwrap();
        ovs.kill_switch();
        ovs.kill_server();
        assert_gateways();
        let ovs = on.ovs.as_mut().unwrap();
        ovs.start_server(&[]);
        ovs.start_switch();
        wait_until("it is given back", 2 * PATIENCE, is_parted);
        on.assert_as_it_was("after all was stopped");
        println!("{:?}", conversation.end());
        ok(&["down"]);
    });
}

/// The NIC is given back although nobody can be told so, and the rest by whoever watches, or by who asks again.
fn detach_without_a_server(on: &mut Machine, goes: fn(&mut Machine), comes: fn(&mut Machine)) {
    let conversation = Conversation::with(&on.street, BEHIND);
    for is_watched in [true, false] {
        if !is_watched {
            kill_all();
        }
        goes(on);
        let said = fails(&["uplink", "detach"], 4);
        assert!(said.contains("left: its port in Open vSwitch's database"), "{said}");
        let shown = sh("ip address show dev eth0");
        assert!(shown.contains("192.0.2.10/24") && shown.contains("2001:db8::10/64"), "{shown}");
        assert_gateways();
        assert_eq!(!keepers().is_empty(), is_watched);
        comes(on);
        if !is_watched {
            ok(&["uplink", "detach"]);
        }
        wait_until("the rest is given back", 2 * PATIENCE, is_parted);
        on.assert_as_it_was("after detach");
        assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]));
        ok(&["uplink", "attach", "eth0"]);
    }
    println!("{:?}", conversation.end());
    ok(&["down"]);
}

#[test]
fn a_server_that_does_not_answer_keeps_nobody_from_his_nic() {
    ThrowAwayHost::run(|host| {
        let hang = |on: &mut Machine| on.ovs.as_ref().unwrap().hang_server(true);
        let go_on = |on: &mut Machine| on.ovs.as_ref().unwrap().hang_server(false);
        detach_without_a_server(&mut attached(host), hang, go_on);
    });
}

#[test]
fn a_server_that_is_gone_keeps_nobody_from_his_nic() {
    ThrowAwayHost::run(|host| {
        let kill = |on: &mut Machine| on.ovs.as_mut().unwrap().kill_server();
        let start = |on: &mut Machine| on.ovs.as_mut().unwrap().start_server(&[]);
        detach_without_a_server(&mut attached(host), kill, start);
    });
}
