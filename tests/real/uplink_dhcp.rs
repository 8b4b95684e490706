//! An uplink whose address is a lease: the same before, meanwhile and after, held from the bridge in between, of real servers:
//! dnsmasq, and udhcpd, which lends for seconds.

use crate::support::conversation::Conversation;
use crate::support::keepers::{keepers, kill_all, kill_one};
use crate::support::nic::{assert_same, lifetimes, machine};
use crate::support::run::{fails, json, ok, sh, write};
use crate::support::street::{BEHIND, PATIENCE, ROUTER, Street, assert_reaches, master, reaches};
use crate::support::{ThrowAwayHost, wait_until};
use crate::uplink::lab;
use serde_json::Value;
use std::time::{Duration, Instant};

/// What a client left on the NIC that has a lease of this address, and then was no more.
pub(crate) fn lease_by_hand(address: &str) -> String {
    format!(
        "ip address add {address}/24 brd + dev eth0 valid_lft 100 preferred_lft 100
         ip route add default via {ROUTER} proto dhcp src {address} metric 50"
    )
}

/// dnsmasq with a lease of two minutes for the NIC, of this address, to be renewed every three seconds.
pub(crate) fn dnsmasq(host: &ThrowAwayHost, street: &mut Street, address: &str, router: &str) {
    dnsmasq_with(host, street, address, router, &[]);
}

/// The same, with further options.
pub(crate) fn dnsmasq_with(host: &ThrowAwayHost, street: &mut Street, address: &str, router: &str, further: &[&str]) {
    let directory = host.scratch().display();
    let network = address.rsplit_once('.').unwrap().0;
    let options = [
        "--keep-in-foreground --conf-file=/dev/null --port=0 --interface=nic --bind-interfaces --no-ping --pid-file="
            .to_owned(),
        format!("--dhcp-leasefile={directory}/leases --log-dhcp --log-facility={directory}/dnsmasq.log"),
        format!(
            "--dhcp-range={network}.100,{network}.110,2m --dhcp-host=02:00:00:00:01:10,{address} --dhcp-authoritative"
        ),
        format!(
            "--dhcp-option=option:T1,3 --dhcp-option=option:router,{router} --dhcp-option=option:dns-server,{ROUTER}"
        ),
    ];
    let options: Vec<&str> = options.iter().flat_map(|line| line.split(' ')).chain(further.iter().copied()).collect();
    street.serve("dnsmasq", &options, &host.scratch().join("dnsmasq.out"));
    wait_until("dnsmasq listens", PATIENCE, || street.sh("ss -Hlun 'sport = 67'").contains(":67"));
}

/// What dnsmasq has said.
pub(crate) fn said(host: &ThrowAwayHost) -> String {
    std::fs::read_to_string(host.scratch().join("dnsmasq.log")).unwrap()
}

pub(crate) fn lease() -> Value {
    json(&["--json", "uplink", "status"])["lease"].clone()
}

/// A machine with a lease, as it is before anything is done.
pub(crate) fn begin(host: &ThrowAwayHost, address: &str) -> (Street, String) {
    let street = Street::new();
    sh(&lease_by_hand(address));
    lab(host);
    (street, machine())
}

#[test]
fn a_lease_goes_along_and_comes_back() {
    ThrowAwayHost::run(|host| {
        let (mut street, before) = begin(host, "192.0.2.77");
        dnsmasq(host, &mut street, "192.0.2.77", ROUTER);
        let conversation = Conversation::with(&street, BEHIND);
        // What does not last is a lease.
        println!("{}", ok(&["uplink", "attach", "eth0"]));
        let status = json(&["--json", "uplink", "status"]);
        assert_eq!(status["address"], "dhcp", "{status}");
        assert_eq!((&lease()["address"], &lease()["state"]), (&"192.0.2.77/24".into(), &"held".into()));
        assert_eq!(lease()["dns_servers"], serde_json::json!([ROUTER]));
        assert!(reaches(BEHIND));
        assert!(ok(&["uplink", "status"]).contains("lease 192.0.2.77/24: held"));
        let (preferred, valid) = lifetimes("lab-uplink")["192.0.2.77"];
        assert!(preferred > 100 && valid > 100, "the server prolonged it: {preferred} s, {valid} s");
        wait_until("it is renewed twice", PATIENCE, || lease()["renewals"].as_u64() >= Some(2));
        assert!(!said(host).contains("DHCPNAK"), "{}", said(host));
        assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]));

        // One that is killed has somebody hold the lease after it; nobody has to ask.
        let renewed = said(host).matches("DHCPACK").count();
        kill_one(keepers()[0]);
        wait_until("another one renews it", PATIENCE, || {
            lease()["renewals"].as_u64() >= Some(1) && said(host).matches("DHCPACK").count() > renewed + 1
        });

        ok(&["uplink", "detach"]);
        assert_same(&before, &machine(), "after detach");
        let (preferred, valid) = lifetimes("eth0")["192.0.2.77"];
        assert!((101..=120).contains(&preferred) && (101..=120).contains(&valid), "{preferred} s, {valid} s");
        assert!(reaches(BEHIND));
        println!("{:?}", conversation.end());
        ok(&["down"]);
    });
}

#[test]
fn where_no_server_answers_all_is_undone() {
    ThrowAwayHost::run(|host| {
        let (street, before) = begin(host, "192.0.2.77");
        let conversation = Conversation::with(&street, BEHIND);
        let said = fails(&["uplink", "attach", "eth0"], 1);
        assert!(said.contains("no DHCP server gave lab-uplink a lease within"), "{said}");
        assert!(said.contains("everything was put back as it was"), "{said}");
        assert_eq!((keepers(), master("eth0")), (vec![], None));
        assert_same(&before, &machine(), "after no server answered");
        let (_, valid) = lifetimes("eth0")["192.0.2.77"];
        assert!(valid < 90, "{valid} s are left of 100");
        println!("{:?}", conversation.end());
        ok(&["down"]);
    });
}

/// The bridge is on its link for as long as any port is: whether the cable is the same is asked when the NIC's is back.
#[test]
fn a_lease_is_asked_for_again_when_the_cable_is_back() {
    ThrowAwayHost::run(|host| {
        let (mut street, _) = begin(host, "192.0.2.77");
        dnsmasq_with(host, &mut street, "192.0.2.77", ROUTER, &["--dhcp-option=option:T1,60"]);
        ok(&["uplink", "attach", "eth0"]);
        let acknowledged = || said(host).matches("DHCPACK").count();
        assert!(said(host).contains("T1  1m"), "it is not about to renew the lease:\n{}", said(host));
        let before = acknowledged();
        street.sh("ip link set nic down; ip link set nic up");
        wait_until("the server is asked", PATIENCE, || acknowledged() > before);
        wait_until("it is held", PATIENCE, || lease()["state"] == "held");
        assert_eq!(lease()["address"], "192.0.2.77/24");
        assert_reaches(BEHIND, PATIENCE);
        ok(&["uplink", "detach"]);
        ok(&["down"]);
    });
}

/// What a lease says besides the address is told, and changes nothing of the machine's but how large its packets are.
#[test]
fn what_a_lease_says_is_told() {
    ThrowAwayHost::run(|host| {
        let (mut street, before) = begin(host, "192.0.2.77");
        let further = [
            "--dhcp-option=option:ntp-server,192.0.2.123,192.0.2.124",
            "--dhcp-option=option:domain-search,lab.example,example.org",
            "--dhcp-option=option:mtu,1400",
        ];
        dnsmasq_with(host, &mut street, "192.0.2.77", ROUTER, &further);
        let resolver = sh("cat /etc/resolv.conf");
        ok(&["uplink", "attach", "eth0"]);
        let told = lease();
        assert_eq!(told["dns_servers"], serde_json::json!([ROUTER]));
        assert_eq!(told["ntp_servers"], serde_json::json!(["192.0.2.123", "192.0.2.124"]));
        assert_eq!(told["search_domains"], serde_json::json!(["lab.example", "example.org"]));
        assert_eq!(told["mtu_bytes"], 1400);
        let said = ok(&["uplink", "status"]);
        let line = "name servers 192.0.2.1, names in lab.example, example.org, time servers 192.0.2.123, 192.0.2.124, MTU 1400";
        assert!(said.contains(line), "{said}");
        println!("{}", sh("ip route"));
        // Packets of the machine's are no larger, wherever they go; the link is as it was, and what nodes send is their own.
        for to in [BEHIND, ROUTER] {
            wait_until("its routes are the lease's", PATIENCE, || {
                sh(&format!("ip route get {to}")).contains("mtu 1400")
            });
        }
        for link in ["eth0", "lab-uplink"] {
            assert_eq!(sh(&format!("cat /sys/class/net/{link}/mtu")), "1500\n");
        }
        assert_eq!(sh("cat /etc/resolv.conf"), resolver);
        assert_reaches(BEHIND, PATIENCE);
        ok(&["uplink", "detach"]);
        assert_same(&before, &machine(), "after detach");
        assert!(!sh(&format!("ip route get {BEHIND}")).contains("mtu"));
        ok(&["down"]);
    });
}

/// The server knows nothing of the address that the machine had, and gives one of another subnet.
#[test]
fn a_server_may_move_the_machine_to_another_subnet() {
    ThrowAwayHost::run(|host| {
        let (mut street, _) = begin(host, "192.0.2.77");
        street.sh("ip addr add 203.0.113.1/24 dev nic");
        dnsmasq(host, &mut street, "203.0.113.66", "203.0.113.1");
        println!("{}", ok(&["uplink", "attach", "eth0"]));
        assert!(said(host).contains("DHCPNAK"), "it was asked for the former address:\n{}", said(host));
        assert_eq!(lease()["address"], "203.0.113.66/24");
        assert!(sh("ip route show default").contains("via 203.0.113.1 "), "{}", sh("ip route"));
        assert_reaches(BEHIND, PATIENCE);
        wait_until("it is renewed", PATIENCE, || lease()["renewals"].as_u64() >= Some(1));
        ok(&["uplink", "detach"]);
        // Where the network knows the machine by now.
        let shown = sh("ip -4 address show dev eth0");
        assert!(shown.contains("203.0.113.66/24"), "{shown}");
        assert!(sh("ip route show default").contains("via 203.0.113.1 "), "{}", sh("ip route"));
        assert_reaches(BEHIND, PATIENCE);
        ok(&["down"]);
    });
}

/// A server whose leases last 20 seconds, and which is not heard of any more after a while.
#[test]
fn a_lease_that_nobody_prolongs_ends() {
    ThrowAwayHost::run(|host| {
        let (mut street, _) = begin(host, "192.0.2.77");
        let directory = host.scratch().display().to_string();
        std::fs::write(host.scratch().join("udhcpd.leases"), "").unwrap();
        let configuration = write(
            host,
            "udhcpd.conf",
            &format!(
                "start 192.0.2.70\nend 192.0.2.79\ninterface nic\nmin_lease 10\nlease_file {directory}/udhcpd.leases\n\
                 pidfile {directory}/udhcpd.pid\nstatic_lease 02:00:00:00:01:10 192.0.2.77\n\
                 option subnet 255.255.255.0\noption router {ROUTER}\noption lease 20\n"
            ),
        );
        let log = host.scratch().join("udhcpd.log");
        let serve = |street: &mut Street| street.serve("busybox", &["udhcpd", "-f", &configuration], &log);
        serve(&mut street);
        ok(&["uplink", "attach", "eth0", "--address", "dhcp"]);
        assert_eq!(lease()["address"], "192.0.2.77/24");
        wait_until("it is renewed twice", 2 * PATIENCE, || lease()["renewals"].as_u64() >= Some(2));
        street.end_servers();
        wait_until("it is told that nobody answers", 2 * PATIENCE, || lease()["state"] != "held");
        wait_until("it is over", 2 * PATIENCE, || lease()["state"] == "over");
        assert!(!sh("ip address show dev lab-uplink").contains("192.0.2.77"));
        assert_eq!(master("eth0").as_deref(), Some("lab-uplink"));

        // The server is back, and so is the lease.
        serve(&mut street);
        let back = Duration::from_secs(100);
        wait_until("it is held again", back, || lease()["state"] == "held");
        assert_reaches(BEHIND, PATIENCE);
        ok(&["uplink", "detach"]);
        assert!(sh("ip address show dev eth0").contains("192.0.2.77/24"));
        assert_reaches(BEHIND, PATIENCE);
        ok(&["down"]);
    });
}

/// Killed for good, the machine keeps its address for as long as the lease lasts, and it comes back without anybody.
#[test]
fn a_lease_that_nobody_holds_lasts_and_comes_back() {
    ThrowAwayHost::run(|host| {
        let (mut street, before) = begin(host, "192.0.2.77");
        dnsmasq(host, &mut street, "192.0.2.77", ROUTER);
        ok(&["uplink", "attach", "eth0"]);
        kill_all();
        street.end_servers();
        let begun = Instant::now();
        let (_, valid) = lifetimes("lab-uplink")["192.0.2.77"];
        assert!(valid > 100, "{valid} s");
        assert!(reaches(BEHIND));
        ok(&["uplink", "detach"]);
        let (_, left) = lifetimes("eth0")["192.0.2.77"];
        assert!(left.abs_diff(valid.saturating_sub(begun.elapsed().as_secs())) <= 2, "{left} s left of {valid} s");
        assert_same(&before, &machine(), "after detach");
        assert!(reaches(BEHIND));
        ok(&["down"]);
    });
}
