//! An uplink's lease is asked for under the name by which the server knows the machine so far, be that no MAC address: the
//! server has the address lent to that name, and to nobody else.

use crate::support::managed_street::{NetworkManager, Networkd, Street, SystemBus, address_of_nic, wait_for_address};
use crate::support::run::{json, ok, write};
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
