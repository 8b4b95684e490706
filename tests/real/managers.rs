//! Those who manage a NIC besides nslab: the real ones, with a lease of a real DHCP server. Each is found, lets go, and
//! takes back.

use crate::support::managed_street::{
    Connection, Daemon, NetworkManager, Networkd, Street, SystemBus, address_of_nic, nm_state, wait_for_address,
};
use crate::support::{ThrowAwayHost, wait_until};
use nslab::host::{Host, HostError, ManagerError};
use nslab::model::{ClientKind, ClientProcess, Holder, IfName, Profile, Reach};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);

fn nic() -> IfName {
    IfName::try_from("eth0").unwrap()
}

fn find(host: &ThrowAwayHost) -> Vec<Holder> {
    host.block_on(async { Host::new().find_holders(&nic()).await }).unwrap()
}

/// The one that is found. A client is two for a moment where it starts a program.
fn find_one(host: &ThrowAwayHost) -> Holder {
    let mut found = Vec::new();
    wait_until("one is found", SOON, || {
        found = find(host);
        found.len() == 1
    });
    found.remove(0)
}

fn release(host: &ThrowAwayHost, holder: &Holder) -> Result<(), HostError> {
    let ours = [IfName::try_from("lab-up").unwrap()];
    host.block_on(async { Host::new().release_nic(holder, &nic(), &ours).await })
}

fn take_back(host: &ThrowAwayHost, holder: &Holder) -> Result<(), HostError> {
    host.block_on(async { Host::new().take_back_nic(holder, &nic()).await })
}

/// The state of a process: `S`, `T`…
fn state(pid: i32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap();
    line.trim().chars().take(1).collect()
}

#[test]
fn where_there_is_no_bus_nobody_is_found() {
    ThrowAwayHost::run(|host| {
        let _street = Street::start(host.scratch());
        assert_eq!(find(host), []);
        // One that has ended and left its socket, and one that hangs.
        std::fs::create_dir("/run/dbus").unwrap();
        let listener = UnixListener::bind("/run/dbus/system_bus_socket").unwrap();
        let begun = Instant::now();
        let error = host.block_on(async { Host::new().find_holders(&nic()).await }).unwrap_err();
        assert!(matches!(error, HostError::Manager(ManagerError::Silent { .. })), "{error:?}");
        assert!(error.to_string().starts_with("can't connect to the system bus: there is no answer"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        drop(listener);
        assert_eq!(find(host), []);
        std::fs::remove_dir_all("/run/dbus").unwrap();
        // One with nobody on it.
        let _bus = SystemBus::start(host.scratch());
        assert_eq!(find(host), []);
    });
}

#[test]
fn network_manager_lets_go_with_all_in_place_and_takes_back() {
    ThrowAwayHost::run(|host| {
        let street = Street::start(host.scratch());
        let _bus = SystemBus::start(host.scratch());
        let mut manager = NetworkManager::start(host.scratch());
        wait_for_address();
        wait_until("it is connected", SOON, || nm_state().contains("(connected)"));
        let holder = find_one(host);
        let profile = Profile { name: "street".into(), uuid: "6f1c9a5e-0f0f-4c6a-9d6a-2b6f6c1d7a10".into() };
        assert_eq!(holder, Holder::NetworkManager { profile: Some(profile), autoconnect: true });

        let facts = || {
            (address_of_nic(), host.sh("ip route; ip -6 route show dev eth0"), host.sh("ip -6 -o addr show dev eth0"))
        };
        wait_until("it has its IPv6 address", SOON, || {
            facts().2.contains("2001:db8::") && !facts().2.contains("tentative")
        });
        let (before, connection) = (facts(), Connection::open(&street));
        for _ in 0..2 {
            release(host, &holder).unwrap();
            assert!(nm_state().contains("unmanaged"), "{}", nm_state());
            assert_eq!(find(host), []);
            assert_eq!(facts(), before);
        }
        // It remembers over a restart, and leaves alone what it did not make.
        manager.start_daemon(host.scratch());
        host.sh("ip link add lab-up address 02:00:00:00:00:02 up type bridge; ip link set eth0 master lab-up");
        assert_eq!((find(host), facts()), (vec![], before.clone()));
        host.sh("ip link del lab-up");

        for _ in 0..2 {
            take_back(host, &holder).unwrap();
            wait_until("it is connected again", SOON, || nm_state().contains("(connected)"));
        }
        assert_eq!(find_one(host), holder);
        wait_until("all is as before", SOON, || facts() == before);
        connection.assert_alive();
        assert_eq!(street.messages("DHCPRELEASE"), 0);
    });
}

#[test]
fn a_profile_that_does_not_connect_by_itself_is_put_back() {
    ThrowAwayHost::run(|host| {
        let _street = Street::start(host.scratch());
        let _bus = SystemBus::start(host.scratch());
        let mut manager = NetworkManager::start(host.scratch());
        host.sh("nmcli connection modify street connection.autoconnect no");
        wait_for_address();
        wait_until("it is connected", SOON, || nm_state().contains("(connected)"));
        let holder = find_one(host);
        release(host, &holder).unwrap();
        take_back(host, &holder).unwrap();
        wait_until("it is connected again", SOON, || nm_state().contains("(connected)"));
        wait_for_address();

        // NetworkManager has ended meanwhile: that has to be told.
        release(host, &holder).unwrap();
        manager.end();
        let error = take_back(host, &holder).unwrap_err();
        assert!(matches!(error, HostError::Manager(ManagerError::Ended { .. })), "{error:?}");
        assert!(error.to_string().contains("nmcli connection up \"street\" ifname eth0"), "{error}");
        release(host, &holder).unwrap();
    });
}

/// An address that somebody else gave the NIC is just seen by NetworkManager, whose profile would fit, too.
#[test]
fn network_manager_that_looks_on_does_not_connect_the_nic() {
    ThrowAwayHost::run(|host| {
        let street = Street::start(host.scratch());
        let _bus = SystemBus::start(host.scratch());
        host.sh("ip addr add 192.0.2.50/24 dev eth0; ip link set eth0 up");
        let _manager = NetworkManager::start(host.scratch());
        wait_until("it sees the address", SOON, || nm_state().contains("externally"));
        let holder = find_one(host);
        assert_eq!(holder, Holder::NetworkManager { profile: None, autoconnect: true });

        let before = address_of_nic();
        release(host, &holder).unwrap();
        host.sh("ip link add lab-up address 02:00:00:00:00:02 up type bridge; ip addr del 192.0.2.50/24 dev eth0");
        host.sh("ip link set eth0 master lab-up; ip addr add 192.0.2.50/24 dev lab-up");
        host.sh("ping -c2 -W5 -I lab-up 192.0.2.1");
        host.sh("ip link del lab-up; ip addr add 192.0.2.50/24 dev eth0");
        take_back(host, &holder).unwrap();
        wait_until("it sees the address again", SOON, || nm_state().contains("externally"));
        assert_eq!((find_one(host), address_of_nic()), (holder, before));
        assert_eq!(street.messages("DHCPREQUEST"), 0);
    });
}

/// No systemd runs it here, that could restart it: so it gives its lease back. How it goes otherwise is in tests/vm.
#[test]
fn networkd_lets_go_and_takes_back() {
    ThrowAwayHost::run(|host| {
        let street = Street::start(host.scratch());
        let _bus = SystemBus::start(host.scratch());
        let _networkd = Networkd::start(host.scratch());
        wait_for_address();
        let connection = Connection::open(&street);
        let before = address_of_nic();
        let holder = find_one(host);
        assert_eq!(holder, Holder::Networkd { had_runtime_directory: false });

        for _ in 0..2 {
            release(host, &holder).unwrap();
            assert_eq!((find(host), address_of_nic()), (vec![], String::new()));
        }
        let file = std::fs::read_to_string("/run/systemd/network/00-nslab-eth0.network").unwrap();
        assert!(file.starts_with("# Made by nslab") && file.contains("Name=eth0 lab-up\n"), "{file}");

        for _ in 0..2 {
            take_back(host, &holder).unwrap();
        }
        assert_eq!(find_one(host), holder);
        wait_until("the address is back", SOON, || address_of_nic() == before);
        connection.assert_alive();

        // A file of somebody else's is no business of nslab's.
        host.sh("mkdir -p /run/systemd/network; echo '[Match]' > /run/systemd/network/00-nslab-eth0.network");
        for error in [release(host, &holder), take_back(host, &holder)] {
            assert!(matches!(error, Err(HostError::NotOurs { .. })), "{error:?}");
        }
        host.sh("rm -r /run/systemd/network");
    });
}

/// A script for dhclient and udhcpc that gives the NIC the address of its lease.
fn script(host: &ThrowAwayHost) -> String {
    let path = host.scratch().join("script").display().to_string();
    let text = "#!/bin/sh
case \"${reason:-$1}\" in
    bound | BOUND | REBOOT) ip addr replace \"${new_ip_address:-$ip}/24\" dev eth0 ;;
esac
";
    std::fs::write(&path, text).unwrap();
    host.sh(&format!("chmod 755 {path}; ip link set eth0 up"));
    path
}

/// A client is found, paused and let go on; it asks the server for nothing meanwhile, and does after.
fn client_is_held(host: &ThrowAwayHost, street: &Street, kind: ClientKind) {
    wait_for_address();
    let holder = find_one(host);
    let Holder::Client { kind: found, process, reach: Reach::ThisNic } = holder else { panic!("{holder:?}") };
    assert_eq!((found, holder.to_string()), (kind, format!("{kind} (process {})", process.pid)));

    for _ in 0..2 {
        release(host, &holder).unwrap();
        assert_eq!(state(process.pid), "T");
    }
    assert_eq!(find_one(host), holder, "it is still known to be there");
    let asked = street.messages("DHCPREQUEST");
    if kind == ClientKind::Udhcpc {
        host.sh(&format!("kill -USR1 {}", process.pid)); // it renews for that, and not when the server says
    }
    let begun = Instant::now();
    wait_until("the lease should have been renewed", SOON, || begun.elapsed() > Duration::from_secs(5));
    assert_eq!(street.messages("DHCPREQUEST"), asked);

    // A process that has got its number is not it.
    let ticks = process.started_ticks + 1;
    let other =
        Holder::Client { kind, process: ClientProcess { started_ticks: ticks, ..process }, reach: Reach::ThisNic };
    let error = take_back(host, &other).unwrap_err();
    assert!(error.to_string().contains("has ended meanwhile: start it as before"), "{error}");
    assert_eq!(state(process.pid), "T");

    for _ in 0..2 {
        take_back(host, &holder).unwrap();
        assert_ne!(state(process.pid), "T");
    }
    wait_until("it renews its lease", SOON, || street.messages("DHCPREQUEST") > asked);
    release(host, &other).unwrap();
    assert_ne!(state(process.pid), "T", "another process was paused");

    wait_until("it has ended", SOON, || {
        host.try_sh(&format!("kill {}", process.pid)); // dhcpcd loses one now and then
        find(host).is_empty()
    });
    release(host, &holder).unwrap();
    assert!(matches!(take_back(host, &holder), Err(HostError::Manager(ManagerError::Ended { .. }))));
}

#[test]
fn dhclient_is_paused_and_goes_on() {
    ThrowAwayHost::run(|host| {
        let street = Street::start(host.scratch());
        // That of another namespace is not the host's.
        let (files, script) = (host.scratch().display().to_string(), script(host));
        let pid_of_street = street.pid().to_string();
        let options = |name: &str| {
            format!("-4 -d -q -cf /dev/null -sf {script} -lf {files}/{name}.leases -pf {files}/{name}.pid eth0")
        };
        let mut elsewhere = Command::new("nsenter");
        elsewhere.args(["-t", &pid_of_street, "-n", "dhclient"]).args(options("elsewhere").split(' '));
        street.sh("ip link add eth0 up type veth peer name eth1");
        let _elsewhere = Daemon::start(host.scratch(), "elsewhere", &mut elsewhere);
        let mut dhclient = Command::new("dhclient");
        let _dhclient = Daemon::start(host.scratch(), "dhclient", dhclient.args(options("here").split(' ')));
        client_is_held(host, &street, ClientKind::Dhclient);
    });
}

#[test]
fn udhcpc_is_paused_and_goes_on() {
    ThrowAwayHost::run(|host| {
        let street = Street::start(host.scratch());
        let mut udhcpc = Command::new("udhcpc");
        let _udhcpc = Daemon::start(host.scratch(), "udhcpc", udhcpc.args(["-f", "-i", "eth0", "-s", &script(host)]));
        client_is_held(host, &street, ClientKind::Udhcpc);
    });
}

#[test]
fn dhcpcd_of_the_one_nic_is_paused_and_goes_on() {
    ThrowAwayHost::run(|host| {
        let street = Street::start(host.scratch());
        host.sh("mount -t tmpfs tmpfs /var/lib/dhcpcd");
        let mut dhcpcd = Command::new("dhcpcd");
        let arguments = ["-4", "-B", "-q", "-f", "/dev/null", "-c", "/bin/true", "eth0"];
        let dhcpcd = Daemon::start(host.scratch(), "dhcpcd", dhcpcd.args(arguments));
        client_is_held(host, &street, ClientKind::Dhcpcd);
        drop(dhcpcd);
        host.sh("umount /var/lib/dhcpcd; rm -rf /run/dhcpcd");
    });
}

#[test]
fn dhcpcd_of_every_nic_is_named_and_let_be() {
    ThrowAwayHost::run(|host| {
        let _street = Street::start(host.scratch());
        host.sh("mount -t tmpfs tmpfs /var/lib/dhcpcd");
        let mut dhcpcd = Command::new("dhcpcd");
        let mut dhcpcd = Daemon::start(
            host.scratch(),
            "dhcpcd",
            dhcpcd.args(["-4", "-B", "-q", "--nodev", "-f", "/dev/null", "-c", "/bin/true"]),
        );
        wait_for_address();
        let holder = find_one(host);
        let Holder::Client { kind: ClientKind::Dhcpcd, process, reach: Reach::OtherNics } = holder else {
            panic!("{holder:?}")
        };
        let error = release(host, &holder).unwrap_err().to_string();
        assert!(error.starts_with(&format!("dhcpcd (process {}) manages eth0 and other NICs", process.pid)), "{error}");
        assert!(error.contains("write `denyinterfaces eth0` into /etc/dhcpcd.conf"), "{error}");
        take_back(host, &holder).unwrap();
        assert_ne!(state(process.pid), "T");
        dhcpcd.end();
        host.sh("umount /var/lib/dhcpcd; rm -rf /run/dhcpcd");
    });
}
