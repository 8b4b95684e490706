//! An uplink's lease is asked for under the name by which the server knows the machine so far, be that no MAC address: the
//! server has the address lent to that name, and to nobody else.

use crate::support::keepers::{keepers, kill_one};
use crate::support::managed_street::{NetworkManager, Networkd, Street, SystemBus, address_of_nic, wait_for_address};
use crate::support::nic::lifetimes;
use crate::support::run::{json, ok, sh, write};
use crate::support::{ThrowAwayHost, wait_until};
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

const LAB: &str = "
name: lab
nodes: {n1: {interfaces: {eth0: {}}}}
switches: {br0: }
links: [[n1, br0]]
";

/// What the server has lent: addresses, and by what it knows who has them.
fn lent(scratch: &Path) -> Vec<(String, String)> {
    let leases = std::fs::read_to_string(scratch.join("leases")).unwrap();
    let words = leases.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    words.filter(|words| words.len() == 5 && words[2].contains('.')).map(|w| (w[2].into(), w[4].into())).collect()
}

/// The NIC has a lease of somebody's who calls himself by a DUID, and has the same while it is a port, and after.
fn is_the_same_client(host: &ThrowAwayHost, street: &Street) {
    wait_for_address();
    let before = address_of_nic();
    let known = lent(host.scratch());
    let [(address, id)] = known.as_slice() else { panic!("{known:?}") };
    assert!(id.starts_with("ff:") && before.contains(address), "{before} {known:?}");
    ok(&["up", &write(host, "lab.yaml", LAB)]);
    println!("{}", ok(&["uplink", "attach", "eth0"]));
    let lease = || json(&["--json", "uplink", "status"])["lease"].clone();
    assert_eq!((&lease()["state"], &lease()["address"]), (&"held".into(), &format!("{address}/24").into()));
    wait_until("it is renewed", SOON, || lease()["renewals"].as_u64() >= Some(1));
    assert_eq!(lent(host.scratch()), known);
    assert_eq!((street.messages("DHCPRELEASE"), street.messages("DHCPNAK")), (0, 0));
    ok(&["uplink", "detach"]);
    wait_until("the address is back", SOON, || address_of_nic() == before);
    assert_eq!(lent(host.scratch()), known);
    ok(&["down"]);
}

/// Restarted by systemd, it would give no lease back either.
#[test]
fn the_lease_of_networkd_goes_on_under_its_name() {
    ThrowAwayHost::run(|host| {
        let street = Street::start(host.scratch());
        let _bus = SystemBus::start(host.scratch());
        let _networkd = Networkd::start_with(host.scratch(), "[DHCPv4]\nSendRelease=no\n");
        is_the_same_client(host, &street);
    });
}

#[test]
fn the_lease_of_network_manager_goes_on_under_its_name() {
    ThrowAwayHost::run(|host| {
        let street = Street::start(host.scratch());
        let _bus = SystemBus::start(host.scratch());
        let _manager = NetworkManager::start_with(host.scratch(), "dhcp-client-id=duid\n");
        is_the_same_client(host, &street);
    });
}

/// The address of a lease of DHCPv6 that an interface has, without its length of 128 bits.
fn leased_six(interface: &str) -> Option<String> {
    let shown = sh(&format!("ip -6 -o address show dev {interface} dynamic scope global -tentative"));
    shown.split_whitespace().find_map(|word| word.strip_suffix("/128")).map(str::to_owned)
}

/// The name that networkd has in DHCPv4 holds that which it has in DHCPv6: so the keeper is the same client there, too.
#[test]
fn the_lease_of_networkd_goes_on_in_dhcpv6_as_well() {
    ThrowAwayHost::run(|host| {
        let street = Street::start_with(host.scratch(), "2001:db8::100,2001:db8::1ff,64,2m");
        let _bus = SystemBus::start(host.scratch());
        let _networkd = Networkd::start_with(host.scratch(), "DHCP=yes\n[DHCPv4]\nSendRelease=no\n");
        wait_for_address();
        wait_until("it has a lease of DHCPv6", SOON, || leased_six("eth0").is_some());
        let (before, address) = (address_of_nic(), leased_six("eth0").unwrap());
        ok(&["up", &write(host, "lab.yaml", LAB)]);
        println!("{}", ok(&["uplink", "attach", "eth0"]));
        let lease = || json(&["--json", "uplink", "status"])["lease_six"].clone();
        wait_until("it is held", SOON, || lease()["state"] == "held");
        assert_eq!(
            (leased_six("lab-uplink"), &lease()["address"]),
            (Some(address.clone()), &format!("{address}/128").into())
        );
        let status = ok(&["uplink", "status"]);
        assert!(status.contains(&format!("  lease {address}/128: held, for another 1")), "{status}");
        assert!(!status.contains("nobody prolongs"), "{status}");
        let of_six = || {
            let leases = std::fs::read_to_string(host.scratch().join("leases")).unwrap();
            leases.lines().filter(|line| line.contains(" 2001:db8::")).count()
        };
        assert_eq!((of_six(), lent(host.scratch()).len()), (1, 1), "there is but one client");

        // Nobody but the kernel listens to routers now, which networkd did itself.
        assert_eq!(sh("cat /proc/sys/net/ipv6/conf/eth0/accept_ra"), "0\n");
        // What was moved is a copy, with a metric that is greater by one.
        let heard = || sh("ip -6 route show default dev lab-uplink proto ra").contains("metric 1024 ");
        wait_until("a router is heard by the bridge", SOON, heard);
        assert_eq!(sh("cat /proc/sys/net/ipv6/conf/lab-uplink/accept_ra"), "2\n");

        // Whoever comes after a keeper that was killed has the same, and has it prolonged; so it is once the link is back.
        let about_to_end = || {
            sh(&format!(
                "ip -6 address change {address}/128 dev lab-uplink valid_lft 50 preferred_lft 40 noprefixroute"
            ));
        };
        let is_prolonged = || lifetimes("lab-uplink")[&address].1 > 100 && lease()["state"] == "held";
        about_to_end();
        kill_one(keepers()[0]);
        wait_until("another one holds it", SOON, is_prolonged);
        about_to_end();
        street.sh("sh -euc 'ip link set s0 down; ip link set s0 up; ip addr replace 2001:db8::1/64 dev s0 nodad'");
        wait_until("it is asked for again", SOON, is_prolonged);
        about_to_end();
        let renewed = street.messages("DHCPRENEW");
        wait_until("it is time to renew it", 3 * SOON, || street.messages("DHCPRENEW") > renewed);
        wait_until("it is renewed", SOON, || is_prolonged() && lease()["renewals"].as_u64() >= Some(1));

        ok(&["uplink", "detach"]);
        wait_until("the address is back", SOON, || address_of_nic() == before);
        assert_eq!((of_six(), lent(host.scratch()).len()), (1, 1));
        ok(&["down"]);
    });
}
