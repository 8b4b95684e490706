//! systemd-networkd that holds the machine's NIC by DHCP, run by systemd. The machine's own, for there is but one.

use crate::support::managed_street::{Street, address_of_nic, wait_for_address};
use crate::support::run::sh;
use crate::support::wait_until;
use nslab::host::Host;
use nslab::model::{Holder, IfName};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// Its restarts that systemd allows within ten seconds are five.
const ROUNDS: usize = 7;

#[test]
fn networkd_lets_go_with_all_in_place_and_takes_back() {
    let scratch = tempfile::tempdir().unwrap();
    let street = Street::start(scratch.path());
    // The bridge that nslab is about to make would be its own, too.
    sh("mkdir -p /etc/systemd/network
        printf '[Match]\nName=eth0 lab-up\n[Network]\nDHCP=ipv4\n' > /etc/systemd/network/50-eth0.network
        systemctl restart systemd-networkd");
    wait_for_address();
    let configured = || sh("networkctl list eth0 || true").contains("configured");
    wait_until("it is through", SOON, configured);
    // What routers advertise is part of what is to stay, and need not have come by now.
    wait_until("a router is heard", SOON, || sh("ip -6 route show dev eth0 proto ra").contains("default"));

    let [nic, bridge] = ["eth0", "lab-up"].map(|name| IfName::try_from(name).unwrap());
    let ours = [bridge.clone()];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let find = |nic: &IfName| runtime.block_on(async { Host::new().find_holders(nic).await }).unwrap();
    let facts =
        || (address_of_nic(), sh("ip route show dev eth0; ip -6 route show dev eth0 proto ra | sed 's/ expires.*//'"));

    let found = find(&nic);
    let [holder @ Holder::Networkd { .. }] = found.as_slice() else { panic!("{found:?}") };
    let before = facts();
    for round in 0..ROUNDS {
        runtime.block_on(async { Host::new().release_nic(holder, &nic, &ours).await }).unwrap();
        assert_eq!((find(&nic), facts()), (vec![], before.clone()), "round {round}");
        runtime.block_on(async { Host::new().take_back_nic(holder, &nic).await }).unwrap();
        wait_until("it has the NIC as before", SOON, || configured() && facts() == before);
        assert_eq!(find(&nic), found);
    }

    for _ in 0..2 {
        runtime.block_on(async { Host::new().release_nic(holder, &nic, &ours).await }).unwrap();
    }
    sh("ip link add lab-up address 02:00:00:00:00:02 up type bridge; ip link set eth0 master lab-up
        systemctl restart systemd-networkd; networkctl --no-pager list");
    assert_eq!((find(&nic), find(&bridge), facts().0), (vec![], vec![], before.0.clone()));
    sh("ip link del lab-up");
    for _ in 0..2 {
        runtime.block_on(async { Host::new().take_back_nic(holder, &nic).await }).unwrap();
    }
    let begun = std::time::Instant::now();
    while !(configured() && facts() == before) && begun.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(
        (configured(), facts()),
        (true, before.clone()),
        "{}{}",
        sh("networkctl --no-pager status eth0; ip addr; ip -6 route"),
        sh("journalctl -u systemd-networkd -n 40 --no-pager")
    );
    assert_eq!(street.messages("DHCPRELEASE"), 0);
    assert_eq!(sh("ls /run/systemd/network 2> /dev/null || true"), "");
    sh("systemctl stop systemd-networkd.socket systemd-networkd; rm /etc/systemd/network/50-eth0.network");
}
