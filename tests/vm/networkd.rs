//! systemd-networkd that holds the machine's NIC by DHCP, run by systemd. The machine's own, for there is but one.

use crate::support::managed_street::{Connection, Street, address_of_nic, wait_for_address};
use crate::support::run::{json, ok, sh};
use crate::support::street::master;
use crate::support::wait_until;
use nslab::host::Host;
use nslab::model::{Holder, IfName};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const SOON: Duration = Duration::from_mins(1);

/// Its restarts that systemd allows within ten seconds are five.
const ROUNDS: usize = 7;

/// Held by the test that has the machine's systemd-networkd, or what is nslab's in the machine's /run.
static MACHINE: Mutex<()> = Mutex::new(());

/// Waits until no other test has the machine; one that failed has let go of all.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// systemd-networkd with a file of ours, until this is dropped.
struct Networkd {
    _alone: MutexGuard<'static, ()>,
}

impl Networkd {
    /// Has it take what is in the street by these names, and waits until it has the NIC.
    fn take(names: &str, street: impl FnOnce() -> Street) -> (Self, Street) {
        let this = Self { _alone: alone() };
        let street = street();
        sh(&format!(
            "mkdir -p /etc/systemd/network
             printf '[Match]\nName={names}\n[Network]\nDHCP=ipv4\n' > /etc/systemd/network/50-eth0.network
             systemctl restart systemd-networkd"
        ));
        wait_for_address();
        wait_until("it is through", SOON, configured);
        // What routers advertise is part of what is to stay, and need not have come by now.
        wait_until("a router is heard", SOON, || sh("ip -6 route show dev eth0 proto ra").contains("default"));
        (this, street)
    }
}

impl Drop for Networkd {
    fn drop(&mut self) {
        let _ = std::fs::remove_file("/etc/systemd/network/50-eth0.network");
        let _ = std::process::Command::new("systemctl")
            .args(["stop", "systemd-networkd.socket", "systemd-networkd"])
            .status();
    }
}

fn configured() -> bool {
    sh("networkctl list eth0 || true").contains("configured")
}

/// The NIC's address by DHCP, and the routes out of it.
fn facts() -> (String, String) {
    (address_of_nic(), sh("ip route show dev eth0; ip -6 route show dev eth0 proto ra | sed 's/ expires.*//'"))
}

/// Waits until systemd-networkd has the NIC with what was on it. It need not stay so: what a router advertises next is
/// configured anew, and for that moment the NIC is not.
#[track_caller]
fn assert_has_again<T: PartialEq + std::fmt::Debug>(before: &T, facts: impl Fn() -> T) {
    let begun = std::time::Instant::now();
    let mut last = (configured(), facts());
    while !(last.0 && last.1 == *before) && begun.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(100));
        last = (configured(), facts());
    }
    assert_eq!(
        (last.0, &last.1),
        (true, before),
        "{}{}",
        sh("networkctl --no-pager status eth0; ip addr; ip -6 route"),
        sh("journalctl -u systemd-networkd -n 40 --no-pager")
    );
}

#[test]
fn networkd_lets_go_with_all_in_place_and_takes_back() {
    let scratch = tempfile::tempdir().unwrap();
    // The bridge that nslab is about to make would be its own, too.
    let (_networkd, street) = Networkd::take("eth0 lab-up", || Street::start(scratch.path()));

    let [nic, bridge] = ["eth0", "lab-up"].map(|name| IfName::try_from(name).unwrap());
    let ours = [bridge.clone()];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let find = |nic: &IfName| runtime.block_on(async { Host::new().find_holders(nic).await }).unwrap();

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
    assert_has_again(&before, facts);
    assert_eq!(street.messages("DHCPRELEASE"), 0);
    assert_eq!(sh("ls /run/systemd/network 2> /dev/null || true"), "");
}

const LAB: &str = "
name: lab
nodes: {n1: {interfaces: {eth0: {addresses: [192.0.2.50/24, '2001:db8::50/64']}}}}
switches: {br0: {backend: linux}}
links: [[n1, br0]]
";

/// What of nslab's is on the machine outside of its namespaces.
fn files() -> String {
    sh("find /run/nslab /run/netns /etc/netns /run/systemd/network 2> /dev/null || true")
}

/// The addresses of IPv6 that the NIC has by a router, and whether each is known to be nobody else's.
fn advertised() -> String {
    sh("ip -6 -o addr show dev eth0 scope global | sed 's/ valid_lft.*//'")
}

#[test]
fn a_lab_takes_the_nic_of_networkd_and_gives_it_back() {
    let scratch = tempfile::tempdir().unwrap();
    // The bridge that nslab makes would be its own, too.
    let (_networkd, street) = Networkd::take("eth0 lab-uplink", || Street::start(scratch.path()));
    wait_until("there is an address by the router", SOON, || {
        advertised().contains("2001:db8::") && !advertised().contains("tentative")
    });
    let all = || (facts(), advertised());
    let (before, files_before) = (all(), files());
    let connection = Connection::open(&street);
    let address = before.0.0.split_whitespace().nth(3).unwrap().to_owned();

    let file = scratch.path().join("lab.yaml");
    std::fs::write(&file, LAB).unwrap();
    ok(&["up", file.to_str().unwrap()]);
    let attached = ok(&["uplink", "attach", "eth0"]);
    println!("{attached}");
    assert_eq!(master("eth0").as_deref(), Some("lab-uplink"));
    let on_bridge = sh("ip -4 -o addr show dev lab-uplink");
    assert!(on_bridge.contains(&format!(" {address} ")), "{on_bridge}, and not {address}");
    assert_eq!(sh("ip -4 -o addr show dev eth0"), "");
    connection.assert_alive();
    sh("ping -c1 -W20 -I lab-uplink 192.0.2.1; ping -c1 -W20 2001:db8::1");
    ok(&["exec", "n1", "--", "ping", "-c1", "-W20", "192.0.2.1"]);
    ok(&["exec", "n1", "--", "ping", "-c1", "-W20", "2001:db8::1"]);

    let status = || json(&["--json", "uplink", "status"]);
    wait_until("the keeper has renewed the lease", SOON, || status()["lease"]["renewals"].as_u64() >= Some(1));
    let told = status();
    assert_eq!((&told["address"], &told["trouble"]), (&"dhcp".into(), &serde_json::Value::Null), "{told}");
    assert_eq!(
        (&told["lease"]["address"], &told["lease"]["state"]),
        (&address.as_str().into(), &"held".into()),
        "{told}"
    );
    wait_until("it says that the gateway answers, and what the lease is", SOON, || {
        let said = ok(&["uplink", "status"]);
        said.contains("gateway 192.0.2.1 answers") && said.contains(&format!("lease {address}: held"))
    });
    assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]));
    for ours in ["eth0", "lab-uplink"] {
        assert!(sh(&format!("networkctl --no-pager list {ours}")).contains("unmanaged"), "{ours}");
    }
    let keeper = told["keeper"].as_u64().unwrap();
    assert!(Path::new(&format!("/proc/{keeper}")).exists());

    println!("{}", ok(&["uplink", "detach"]));
    assert_has_again(&before, all);
    assert_eq!(master("eth0"), None);
    connection.assert_alive();
    sh("ping -c1 -W20 192.0.2.1; ping -c1 -W20 2001:db8::1");
    ok(&["down"]);
    connection.assert_alive();
    assert_has_again(&before, all);
    assert_eq!(files(), files_before);
    assert!(!Path::new("/run/nslab").exists());
    assert!(!Path::new(&format!("/proc/{keeper}")).exists());
    for gone in ["lab-uplink", "lab-trunk"] {
        assert!(!Path::new("/sys/class/net").join(gone).exists(), "{gone}");
    }
    assert_eq!(["DHCPRELEASE", "DHCPDECLINE", "DHCPNAK"].map(|kind| street.messages(kind)), [0; 3]);
}
