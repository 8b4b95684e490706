//! A host with a real network: its NIC `eth0` is one end of a cable into the street, a namespace with a router and what lies
//! behind it, where the servers are that a real network has.
//!
//! The street's namespace has no name: nothing of it is in /run/netns, where nslab's are.

use super::run::sh;
use super::wait_until;
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long what the kernel, or a server, does by itself may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The router's addresses, and one behind it.
pub(crate) const ROUTER: &str = "192.0.2.1";
pub(crate) const ROUTER_V6: &str = "2001:db8::1";
pub(crate) const BEHIND: &str = "198.51.100.1";
pub(crate) const BEHIND_V6: &str = "2001:db8:f::1";

/// What a machine has by hand on its NIC.
pub(crate) const STATIC_V4: &str = "
ip address add 192.0.2.10/24 brd + dev eth0
ip route add default via 192.0.2.1 proto static metric 100
";
pub(crate) const STATIC_V6: &str = "
ip -6 address add 2001:db8::10/64 dev eth0 nodad
ip -6 route add default via 2001:db8::1 proto static metric 100
# The kernel makes an address's own route when it comes to it.
until ip -6 route show table local | grep -q 2001:db8::10; do sleep 0.02; done
";

/// The street, from when there is a cable until this is dropped; servers that run in it end then.
pub(crate) struct Street {
    netns: File,
    servers: Vec<Child>,
}

impl Street {
    /// A street whose router has addresses of both families, and a cable to `eth0`, which is up and has no address but that
    /// which the kernel gives it.
    pub(crate) fn new() -> Self {
        let made = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        let street = Self { netns: made.join().unwrap(), servers: Vec::new() };
        street.sh(&format!(
            "ip link set lo up; ip link add far type bridge; ip link set far up
             ip addr add {BEHIND}/24 dev far; ip addr add {BEHIND_V6}/64 dev far nodad
             echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"
        ));
        street.plug();
        street
    }

    /// Lays the cable.
    pub(crate) fn plug(&self) {
        // An address that no rule about who comes first leaves open.
        sh(&format!(
            "ip link add eth0 address 02:00:00:00:01:10 type veth peer name nic address 02:00:00:00:01:01 netns {}",
            self.path()
        ));
        self.sh(&format!(
            "ip addr add {ROUTER}/24 dev nic; ip addr add {ROUTER_V6}/64 dev nic nodad; ip link set nic up"
        ));
        sh("ip link set eth0 up");
        wait_until("the NIC's own address is known to be nobody else's", PATIENCE, || {
            let shown = sh("ip -6 address show dev eth0");
            shown.contains("fe80:") && !shown.contains("tentative")
        });
    }

    /// Has both ends of the cable put their checksums in themselves, as a real NIC does: ovs-vswitchd takes frames as they are.
    pub(crate) fn without_offloads(&self) {
        self.sh("ethtool -K nic tx off > /dev/null");
        sh("ethtool -K eth0 tx off > /dev/null");
    }

    /// Lays another cable, to `eth1`.
    pub(crate) fn plug_another(&self) {
        sh(&format!("ip link add eth1 type veth peer name side netns {}", self.path()));
        self.sh("ip addr add 203.0.113.1/24 dev side; ip link set side up");
        sh("ip address add 203.0.113.10/24 dev eth1; ip link set eth1 up");
        wait_until("the other NIC's own address is known to be nobody else's", PATIENCE, || {
            let shown = sh("ip -6 address show dev eth1");
            shown.contains("fe80:") && !shown.contains("tentative")
        });
    }

    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.netns.as_raw_fd())
    }

    /// A command in the street.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).arg(program);
        command
    }

    /// Runs a shell script in the street, which must succeed.
    #[track_caller]
    pub(crate) fn sh(&self, script: &str) -> String {
        let output = self.command("sh").args(["-euc", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Does something in a thread that is in the street.
    pub(crate) fn inside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        let netns = self.netns.try_clone().unwrap();
        std::thread::spawn(move || {
            setns(netns, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        })
    }

    /// Starts a server, what it says in a file; it ends with the street, or by [`Street::end_servers`].
    pub(crate) fn serve(&mut self, program: &str, arguments: &[&str], log: &std::path::Path) {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = self.command(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.servers.push(command.spawn().unwrap_or_else(|error| panic!("{program} can't be run: {error}")));
    }

    /// Ends the servers, without a word to anybody.
    pub(crate) fn end_servers(&mut self) {
        for mut server in self.servers.drain(..) {
            let _ = server.kill(); // where it has ended by itself
            server.wait().unwrap();
        }
    }
}

impl Drop for Street {
    fn drop(&mut self) {
        self.end_servers();
        for nic in ["eth0", "eth1"] {
            let _ = Command::new("ip").args(["link", "delete", nic]).output(); // there may be just the one
        }
    }
}

/// Whether the machine reaches an address, by whichever way its routes say.
pub(crate) fn reaches(address: &str) -> bool {
    let family = if address.contains(':') { "-6" } else { "-4" };
    let ping = Command::new("ping").args([family, "-c1", "-W1", "-q", address]).output().unwrap();
    ping.status.success()
}

/// Waits until the machine reaches an address.
#[track_caller]
pub(crate) fn assert_reaches(address: &str, within: Duration) {
    wait_until(&format!("the machine reaches {address}"), within, || reaches(address));
}

/// What an interface is a port of.
pub(crate) fn master(interface: &str) -> Option<String> {
    let master = std::fs::read_link(format!("/sys/class/net/{interface}/master")).ok()?;
    Some(master.file_name().unwrap().to_str().unwrap().to_owned())
}
