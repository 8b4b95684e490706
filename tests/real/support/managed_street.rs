//! A street: a namespace at the other end of the host's NIC, with a router and a DHCP server in it. And the programs that
//! manage that NIC on real machines.

use super::{must_succeed, wait_until};
use nix::sched::{CloneFlags, setns};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a daemon may take to come up, and a client to get its lease.
const START: Duration = Duration::from_secs(30);

/// Where the system bus is.
const BUS: &str = "/run/dbus/system_bus_socket";

/// A daemon that ends with the test.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts a program, its output in a directory for files of the test's own.
    pub(crate) fn start(scratch: &Path, name: &str, command: &mut Command) -> Self {
        let log = scratch.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let out = file.try_clone().unwrap();
        let spawned = command.stdin(Stdio::null()).stdout(out).stderr(file).spawn();
        Self { child: spawned.unwrap_or_else(|error| panic!("{name} can't be run: {error}")), log }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// One that is paused has to go on to end.
    pub(crate) fn end(&mut self) {
        wait_until("a daemon has ended", START, || {
            let ended = self.child.try_wait().unwrap().is_some();
            if !ended {
                must_succeed(&format!("kill -CONT {0}; kill {0}", self.pid())); // dhcpcd loses one now and then
            }
            ended
        });
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

/// The host's NIC `eth0`, and what is at its other end: 192.0.2.1 and 2001:db8::1, which give addresses away.
pub(crate) struct Street {
    server: Daemon,
    namespace: Daemon,
}

impl Street {
    /// Makes the street; its DHCP server has leases of two minutes renewed after three seconds.
    pub(crate) fn start(scratch: &Path) -> Self {
        Self::start_with(scratch, "2001:db8::,ra-only,64")
    }

    /// With this for dnsmasq's range of IPv6.
    pub(crate) fn start_with(scratch: &Path, range_six: &str) -> Self {
        let namespace = Daemon::start(scratch, "street", Command::new("unshare").args(["--net", "sleep", "infinity"]));
        let pid = namespace.pid();
        let netns = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        wait_until("the street has a namespace", START, || netns(&pid.to_string()) != netns("self"));
        let inside = format!("nsenter -t {pid} -n");
        must_succeed(&format!(
            "ip link add eth0 address 02:00:00:00:00:02 type veth peer name s0 netns {pid}
             {inside} sh -euc 'ip link set lo up; ip addr add 192.0.2.1/24 dev s0; ip addr add 2001:db8::1/64 dev s0 nodad
             ip link set s0 up'"
        ));
        let leases = scratch.join("leases");
        let mut dnsmasq = Command::new("nsenter");
        dnsmasq
            .args([
                "-t",
                &pid.to_string(),
                "-n",
                "dnsmasq",
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--port=0",
            ])
            .args(["--interface=s0", "--bind-interfaces", "--user=root", "--pid-file=", "--log-facility=-"])
            .args(["--dhcp-range=192.0.2.100,192.0.2.110,2m", "--dhcp-option=option:T1,3", "--dhcp-authoritative"])
            .args(["--enable-ra", &format!("--dhcp-range={range_six}"), "--no-ping"])
            .arg(format!("--dhcp-leasefile={}", leases.display()));
        let server = Daemon::start(scratch, "dnsmasq", &mut dnsmasq);
        Self { server, namespace }
    }

    /// A process in the street's namespace.
    pub(crate) fn pid(&self) -> u32 {
        self.namespace.pid()
    }

    /// Runs a command in the street.
    pub(crate) fn sh(&self, command: &str) -> String {
        must_succeed(&format!("nsenter -t {} -n {command}", self.namespace.pid()))
    }

    /// How often a DHCP message of a kind (`DHCPREQUEST`) has come in or gone out.
    pub(crate) fn messages(&self, kind: &str) -> usize {
        self.server.said().matches(&format!("{kind}(")).count()
    }
}

/// A TCP connection between the host and the street.
pub(crate) struct Connection {
    near: TcpStream,
    far: TcpStream,
}

impl Connection {
    pub(crate) fn open(street: &Street) -> Self {
        let netns = File::open(format!("/proc/{}/ns/net", street.pid())).unwrap();
        let listen = move || {
            setns(netns, CloneFlags::CLONE_NEWNET).unwrap();
            TcpListener::bind("192.0.2.1:0").unwrap()
        };
        let listener = std::thread::spawn(listen).join().unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let far = listener.accept().unwrap().0;
        near.set_read_timeout(Some(START)).unwrap();
        far.set_read_timeout(Some(START)).unwrap();
        Self { near, far }
    }

    /// Something said in either direction arrives.
    pub(crate) fn assert_alive(&self) {
        for [from, to] in [[&self.near, &self.far], [&self.far, &self.near]] {
            let (mut from, mut to, mut heard) = (from, to, [0; 5]);
            from.write_all(b"hello").unwrap();
            to.read_exact(&mut heard).unwrap();
            assert_eq!(&heard, b"hello");
        }
    }
}

/// The address that the host's NIC has, with its prefix and flags but not its lifetime; empty where it has none.
pub(crate) fn address_of_nic() -> String {
    let lines = must_succeed("ip -4 -o addr show dev eth0");
    lines.split(" valid_lft").next().unwrap_or_default().trim_end_matches(['\\', '\n', ' ']).to_owned()
}

/// Waits until the host's NIC has an address.
pub(crate) fn wait_for_address() {
    wait_until("eth0 has an address", START, || address_of_nic().contains("192.0.2.1"));
}

/// A system bus of the host's own.
pub(crate) struct SystemBus(Daemon);

impl SystemBus {
    pub(crate) fn start(scratch: &Path) -> Self {
        fs::create_dir_all("/run/dbus").unwrap();
        let mut daemon = Command::new("dbus-daemon");
        let daemon = Daemon::start(scratch, "dbus", daemon.args(["--system", "--nofork", "--nopidfile", "--nosyslog"]));
        wait_until("there is a system bus", START, || Path::new(BUS).exists());
        Self(daemon)
    }
}

impl Drop for SystemBus {
    fn drop(&mut self) {
        self.0.end();
        let _ = fs::remove_dir_all("/run/dbus");
    }
}

/// A writable directory of the test's own over one of the machine's; and a /sys that can't be written to, by which daemons
/// know that no udevd sees to their NICs.
struct Apart(&'static str);

impl Apart {
    fn make(directory: &'static str) -> Self {
        must_succeed(&format!("mount -t tmpfs tmpfs {directory}; mount -o remount,ro /sys"));
        Self(directory)
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        must_succeed(&format!("umount {}; mount -o remount,rw /sys", self.0));
    }
}

/// NetworkManager with a profile `street` for the host's NIC. It leaves other veths alone, as udevd has it do on a machine
/// (85-nm-unmanaged.rules).
pub(crate) struct NetworkManager {
    daemon: Option<Daemon>,
    configuration: String,
    _state: Apart,
}

impl NetworkManager {
    pub(crate) fn start(scratch: &Path) -> Self {
        Self::start_with(scratch, "")
    }

    /// With further lines of its profile's `[ipv4]`.
    pub(crate) fn start_with(scratch: &Path, ipv4: &str) -> Self {
        let directory = scratch.join("nm");
        fs::create_dir_all(directory.join("profiles")).unwrap();
        let configuration = directory.display().to_string();
        fs::write(
            directory.join("NetworkManager.conf"),
            format!(
                "[main]\nplugins=keyfile\ndhcp=internal\ndns=none\n[keyfile]\npath={configuration}/profiles\n\
                 unmanaged-devices=driver:veth,except:interface-name:eth*\n"
            ),
        )
        .unwrap();
        let profile = format!(
            "[connection]\nid=street\nuuid=6f1c9a5e-0f0f-4c6a-9d6a-2b6f6c1d7a10\ntype=ethernet\n\
             interface-name=eth0\n[ipv4]\nmethod=auto\n{ipv4}[ipv6]\nmethod=auto\n"
        );
        fs::write(directory.join("profiles/street.nmconnection"), profile).unwrap();
        must_succeed(&format!("chmod 600 {configuration}/profiles/*"));
        let state = Apart::make("/var/lib/NetworkManager");
        let mut this = Self { daemon: None, configuration, _state: state };
        this.start_daemon(scratch);
        this
    }

    /// Ends it; what it remembers in /run stays.
    pub(crate) fn end(&mut self) {
        self.daemon = None;
    }

    /// Starts it, anew where it runs.
    pub(crate) fn start_daemon(&mut self, scratch: &Path) {
        self.end();
        let directory = &self.configuration;
        let mut command = Command::new("NetworkManager");
        command
            .arg("--no-daemon")
            .arg(format!("--config={directory}/NetworkManager.conf"))
            .arg(format!("--config-dir={directory}/none"))
            .arg(format!("--system-config-dir={directory}/none"))
            .arg(format!("--intern-config={directory}/intern.conf"))
            .arg(format!("--pid-file={directory}/pid"));
        self.daemon = Some(Daemon::start(scratch, "NetworkManager", &mut command));
        wait_until("NetworkManager knows the NIC", START, || !nm_state().is_empty());
    }
}

/// What NetworkManager says of the host's NIC: `connected`, `unmanaged`…; nothing where it does not run.
pub(crate) fn nm_state() -> String {
    let output = Command::new("nmcli").args(["-g", "general.state", "device", "show", "eth0"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Drop for NetworkManager {
    fn drop(&mut self) {
        self.daemon = None;
        let _ = fs::remove_dir_all("/run/NetworkManager");
    }
}

/// systemd-networkd that has the host's NIC by DHCP. No systemd runs it.
pub(crate) struct Networkd {
    _daemon: Daemon,
    _apart: Apart,
}

impl Networkd {
    pub(crate) fn start(scratch: &Path) -> Self {
        Self::start_with(scratch, "")
    }

    /// With further lines of its file for the NIC.
    pub(crate) fn start_with(scratch: &Path, further: &str) -> Self {
        must_succeed("mkdir -p /run/systemd/netif /etc/systemd/network; chown systemd-network /run/systemd/netif");
        let file = format!("[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n{further}");
        fs::write("/etc/systemd/network/50-eth0.network", file).unwrap();
        let apart = Apart::make("/var/lib/systemd");
        let mut command = Command::new("/usr/lib/systemd/systemd-networkd");
        Self { _daemon: Daemon::start(scratch, "networkd", command.env("SYSTEMD_LOG_LEVEL", "info")), _apart: apart }
    }
}

impl Drop for Networkd {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all("/run/systemd/netif");
        let _ = fs::remove_dir("/run/systemd");
    }
}
