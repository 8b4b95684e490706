//! A NIC whose IPv6 address is a lease of DHCPv6, of a real server and a real client: it moves with what is left of its
//! lifetime, and nobody prolongs it meanwhile.

use crate::support::managed_street::Daemon;
use crate::support::nic::{assert_same, lifetimes, machine};
use crate::support::run::{json, ok, sh};
use crate::support::street::{BEHIND, PATIENCE, ROUTER, Street, assert_reaches};
use crate::support::{ThrowAwayHost, wait_until};
use crate::uplink::lab;
use crate::uplink_dhcp::{dnsmasq_with, lease_by_hand, said};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// The address of its lease that an interface has, without its length of 128 bits.
fn leased(interface: &str) -> Option<String> {
    let shown = sh(&format!("ip -6 -o address show dev {interface} dynamic scope global"));
    let mut all = shown.split_whitespace().filter_map(|word| word.strip_suffix("/128"));
    all.next().map(str::to_owned)
}

/// dhclient for DHCPv6 alone, which has the NIC's lease once this returns.
fn dhclient(host: &ThrowAwayHost) -> Daemon {
    let script = host.scratch().join("script6");
    let text = "#!/bin/sh
case $reason in
    BOUND6 | RENEW6 | REBIND6)
        ip -6 address replace $new_ip6_address/128 dev eth0 nodad valid_lft $new_max_life preferred_lft $new_preferred_life ;;
esac
";
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let place = |name: &str| host.scratch().join(name).display().to_string();
    let mut command = Command::new("dhclient");
    command.args(["-6", "-d", "-q", "-cf", "/dev/null", "-sf", script.to_str().unwrap()]);
    command.args(["-lf", &place("leases6"), "-pf", &place("pid6"), "eth0"]);
    let daemon = Daemon::start(host.scratch(), "dhclient6", &mut command);
    wait_until("dhclient has a lease", PATIENCE, || leased("eth0").is_some());
    daemon
}

fn running_out() -> Vec<String> {
    let status = json(&["--json", "uplink", "status"]);
    let all = status["running_out"].as_array().unwrap().clone();
    all.iter().map(|end| end["address"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_lease_of_dhcpv6_moves_and_is_not_prolonged() {
    ThrowAwayHost::run(|host| {
        let mut street = Street::new();
        sh(&lease_by_hand("192.0.2.77"));
        let further = ["--dhcp-range=2001:db8::100,2001:db8::1ff,64,2m", "--enable-ra"];
        dnsmasq_with(host, &mut street, "192.0.2.77", ROUTER, &further);
        let _dhclient = dhclient(host);
        wait_until("the router has told of itself", PATIENCE, || sh("ip -6 route").contains("default via fe80"));
        let address = leased("eth0").unwrap();
        lab(host);
        let before = machine();
        let asked = || ["DHCPSOLICIT", "DHCPRENEW", "DHCPREBIND"].map(|kind| said(host).matches(kind).count());
        let asked_before = asked();

        // There and back, with what is left.
        println!("{}", ok(&["uplink", "attach", "eth0"]));
        assert_eq!((leased("eth0"), leased("lab-uplink")), (None, Some(address.clone())));
        let (preferred, valid) = lifetimes("lab-uplink")[&address];
        assert!((60..=120).contains(&preferred) && (60..=120).contains(&valid), "{preferred} s, {valid} s");
        assert_eq!(running_out(), [format!("{address}/128")]);
        let status = ok(&["uplink", "status"]);
        assert!(status.contains(&format!("  {address}/128 lasts another ")), "{status}");
        ok(&["uplink", "detach"]);
        assert_same(&before, &machine(), "after detach");
        let (_, left) = lifetimes("eth0")[&address];
        assert!(left <= valid, "{left} s are left of {valid} s");

        // As if it were about to be renewed.
        sh(&format!("ip -6 address change {address}/128 dev eth0 valid_lft 12 preferred_lft 6"));
        ok(&["uplink", "attach", "eth0"]);
        assert_eq!(running_out(), [format!("{address}/128")]);
        wait_until("it is over", PATIENCE, || leased("lab-uplink").is_none());
        assert_eq!((running_out(), asked()), (vec![], asked_before));
        assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]));
        assert_reaches(BEHIND, PATIENCE);
        ok(&["uplink", "detach"]);
        assert_eq!(leased("eth0"), None, "nobody makes it last longer than the server said");
        assert_reaches(BEHIND, PATIENCE);
        ok(&["down"]);
    });
}
