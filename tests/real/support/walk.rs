//! Walks through every point at which a run of nslab can be stopped, or fail, for a lab with each kind of resource.

use super::outside::Outside;
use super::ovs::OpenVswitch;
use super::run::{sh, text, write};
use super::street::{PATIENCE, STATIC_V4, STATIC_V6, Street};
use super::{ThrowAwayHost, nslab, wait_until};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Output;

/// A lab with each kind of resource: fabric, two switches and the link between them, spanning tree, link-local frames that
/// pass, a link between nodes, addresses handed out and given, both families, routes, sysctls of a namespace and of an
/// interface, what happens to a link's frames, hosts files, a command that leaves a process behind.
pub(crate) const BEFORE: &str = "
name: walk
switches:
  s1: {subnets: [10.0.0.0/24, 'fd00:0::/64'], stp: true, forward: [lldp, lacp], mcast_snooping: false}
  s2: {stp: true}
nodes:
  a: {gateway: r}
  b: {interfaces: {eth0: {addresses: [10.0.0.77]}}, sysctls: {net.ipv4.tcp_ecn: 1}}
  r: {forwarding: true, routes: ['10.9.0.0/24 via 10.1.0.2'], exec: ['sleep 1000 & echo started > SCRATCH/exec-ran']}
  x: {sysctls: {net.ipv4.conf.eth0.rp_filter: 1}}
links:
  - [s1, s2]
  - {endpoints: [a, s1], rate: 50mbit}
  - [b, s2]
  - {endpoints: [r, s1], towards: {s1: {rate: 60mbit}}}
  - {endpoints: [r, x], subnets: [10.1.0.0/30], rate: 70mbit, queue: 10}
";

/// The same lab after an edit that adds, changes and removes each kind of resource.
pub(crate) const AFTER: &str = "
name: walk
switches:
  s1: {subnets: [10.0.0.0/24, 'fd00:0::/64'], stp: true, forward: [lacp]}
  s3: {mtu: 1400, forward: [lldp]}
nodes:
  a: {gateway: r, sysctls: {net.ipv4.tcp_ecn: 0}}
  b: {interfaces: {eth0: {addresses: [10.0.0.78], mac: '02:00:00:00:00:01'}}}
  r: {forwarding: true}
  y: {exec: ['echo again > SCRATCH/exec-ran']}
links:
  - {endpoints: [a, s1], rate: 55mbit, queue: 5}
  - {endpoints: [b, s1], towards: {b: {rate: 40mbit}}}
  - [r, s1]
  - [r, s3]
  - {endpoints: [y, s3], mtu: 1400, rate: 20mbit}
";

/// A lab of Open vSwitch with each kind of resource: spanning tree, a patch between its switches, a cable from one to a
/// Linux bridge, VLANs of a port and of the patch, and what a Linux lab has in its nodes.
const OVS_BEFORE: &str = "
name: walk
switches:
  s1: {backend: ovs, subnets: [10.0.0.0/24, 'fd00:0::/64'], stp: true, mirror: {select: all, output: m}, netflow: {targets: ['127.0.0.1:1']}}
  s2: {backend: ovs, stp: true, forward: [lldp]}
  s4: {rstp: true, controller: 'ptcp:6653'}
  l1: {backend: linux, forward: [lacp]}
nodes:
  a: {gateway: r}
  b: {interfaces: {eth0: {addresses: [10.0.0.77]}}, sysctls: {net.ipv4.tcp_ecn: 1}}
  r: {forwarding: true, routes: ['10.9.0.0/24 via 10.1.0.2'], exec: ['sleep 1000 & echo started > SCRATCH/exec-ran']}
  v:
  m:
  x: {sysctls: {net.ipv4.conf.eth0.rp_filter: 1}}
links:
  - {endpoints: [s1, s2], vlan: {trunk: [10, 20]}}
  - [s2, l1]
  - {endpoints: [a, s1], egress_qos: {rate: 10mbit}}
  - [m, s1]
  - [s4, s2]
  - {endpoints: [b, s2], rate: 50mbit}
  - {endpoints: [r, s1], rate: 60mbit}
  - {endpoints: [v, s1], vlan: 10}
  - {endpoints: [r, x], subnets: [10.1.0.0/30], rate: 70mbit}
";

/// The same lab after an edit that adds, changes and removes each kind of resource.
const OVS_AFTER: &str = "
name: walk
switches:
  s1: {backend: ovs, subnets: [10.0.0.0/24, 'fd00:0::/64'], stp: {priority: 4096}, mirror: {select: [b], output: m}}
  s2: {backend: ovs, stp: true}
  s3: {backend: ovs, mtu: 1400}
  l2: {backend: linux, mtu: 1400}
nodes:
  m:
  a: {gateway: r, sysctls: {net.ipv4.tcp_ecn: 0}}
  b: {interfaces: {eth0: {addresses: [10.0.0.78], mac: '02:00:00:00:00:01'}}}
  r: {forwarding: true}
  v:
  y: {exec: ['echo again > SCRATCH/exec-ran']}
links:
  - {endpoints: [s1, s2], vlan: {trunk: [30, 40], native: 20}}
  - {endpoints: [s1, s2], rate: 80mbit}
  - {endpoints: [s3, l2], mtu: 1400}
  - [a, s1]
  - {endpoints: [b, s1], egress_qos: {rate: 20mbit}}
  - [m, s1]
  - {endpoints: [r, s1], rate: 65mbit, towards: {r: {queue: 9}}}
  - [r, s3]
  - {endpoints: [v, s1], vlan: 20}
  - {endpoints: [y, s3], mtu: 1400}
";

/// A lab of IPv6 alone in which a router advertises itself to hosts that configure themselves.
const ADVERTISED_BEFORE: &str = "
name: walk
switches: {s: {subnets: ['fd00:0::/64']}}
nodes:
  r: {forwarding: true, interfaces: {eth0: {advertise: true}}, exec: ['echo started > SCRATCH/exec-ran']}
  a: {interfaces: {eth0: {addresses: [slaac]}}, routes: ['fd00:9::/64 via fd00::1']}
  b: {interfaces: {eth0: {addresses: [slaac]}}}
links: [[r, s], [a, s], [b, s]]
";

/// The same lab with another prefix, a host that takes no advice any more, and another router with a host of its own.
const ADVERTISED_AFTER: &str = "
name: walk
switches: {s: {subnets: ['fd00:1::/64']}}
nodes:
  r: {forwarding: true, interfaces: {eth0: {advertise: true}}}
  a: {interfaces: {eth0: {addresses: [slaac]}}, routes: ['fd00:8::/64 via fd00:1::1']}
  b:
  q: {forwarding: true, interfaces: {eth0: {advertise: true}}}
  c: {interfaces: {eth0: {addresses: [slaac], mtu: 1400}}}
links: [[r, s], [a, s], [b, s], {endpoints: [q, c], subnets: ['fd00:2::/64']}]
";

/// A lab that the machine's NIC is the uplink of, at a switch.
const UPLINKED_BEFORE: &str = "
name: walk
switches: {s: {backend: BACKEND, subnets: [10.0.0.0/24]}, t: {backend: BACKEND}}
nodes:
  a: {exec: ['echo started > SCRATCH/exec-ran']}
  b:
links: [[a, s], [b, t]]
uplink: {nic: eth0, switch: s, address: keep}
";

/// The same lab with the NIC at another switch, and without it.
const UPLINKED_AFTER: &str = "
name: walk
switches: {s: {backend: BACKEND, subnets: [10.0.0.0/24]}, t: {backend: BACKEND}}
nodes: {a: , c: {exec: ['echo again > SCRATCH/exec-ran']}}
links: [[a, s], [c, t]]
uplink: {nic: eth0, switch: t, address: keep}
";
const PARTED_AFTER: &str = "
name: walk
switches: {s: {backend: BACKEND, subnets: [10.0.0.0/24]}, t: {backend: BACKEND}}
nodes:
  a: {exec: ['echo again > SCRATCH/exec-ran']}
  b:
links: [[a, s], [b, t]]
";

/// A lab with a DHCP server, and nodes that take their addresses from it.
const LEASED_BEFORE: &str = "
name: walk
switches: {s: }
nodes:
  r:
    interfaces: {eth0: {addresses: [10.9.0.1/24]}}
    exec:
      - echo started > SCRATCH/exec-ran
      - >-
        dnsmasq -C /dev/null --port=0 --interface=eth0 --bind-interfaces --no-ping --dhcp-leasefile=SCRATCH/leases
        --pid-file --dhcp-range=10.9.0.50,10.9.0.60,2m --dhcp-option=option:dns-server,10.9.0.53
  a: {interfaces: {eth0: {address: dhcp}}}
  b: {interfaces: {eth0: {address: dhcp}}}
links: [[r, s], [a, s], [b, s]]
";

/// The same lab with a client that has an address of its own now, another one that has changed its, and a new one.
const LEASED_AFTER: &str = "
name: walk
switches: {s: }
nodes:
  r:
    interfaces: {eth0: {addresses: [10.9.0.1/24]}}
    exec:
      - echo started > SCRATCH/exec-ran
      - >-
        dnsmasq -C /dev/null --port=0 --interface=eth0 --bind-interfaces --no-ping --dhcp-leasefile=SCRATCH/leases
        --pid-file --dhcp-range=10.9.0.50,10.9.0.60,2m --dhcp-option=option:dns-server,10.9.0.53
  a: {interfaces: {eth0: {addresses: [10.9.0.9/24]}}}
  b: {interfaces: {eth0: {address: dhcp, mac: '02:00:00:00:00:0b'}}}
  c: {interfaces: {eth0: {address: dhcp}}}
links: [[r, s], [a, s], [b, s], [c, s]]
";

/// A lab that reaches the world through the machine, in both families, and may not by any NIC.
const NAT_BEFORE: &str = "
name: walk
switches: {s: {backend: BACKEND, subnets: [10.0.0.0/24, 'fd00:0::/64']}}
nodes:
  a: {exec: ['echo started > SCRATCH/exec-ran']}
  b:
links: [[a, s], [b, s]]
uplink: nat
";

/// The same lab with another subnet, a VLAN, and a NIC that is named.
const NAT_AFTER: &str = "
name: walk
switches: {s: {backend: BACKEND, subnets: [10.0.1.0/24]}, t: {backend: BACKEND}}
nodes:
  a: {exec: ['echo again > SCRATCH/exec-ran']}
  c:
links: [[a, s], [c, s], [s, t]]
uplink: {nat: true, nic: eth0, switch: t}
";

/// A lab with nodes that are containers. What they run ends as soon as it is told to.
const CONTAINED_BEFORE: &str = "
name: walk
switches: {s: {subnets: [10.0.0.0/24]}}
volumes: {v: {kind: tmpfs, size: 1MiB}, d: {kind: ramdisk, size: 2MiB, filesystem: ext2}}
nodes:
  a: {exec: ['echo started > SCRATCH/exec-ran']}
  b: {container: {rootfs: host, command: [sleep, infinity]}, exec: ['true']}
  c: {container: {rootfs: host, command: [sleep, infinity], hostname: see, mounts: ['v:/mnt/v', 'd:/mnt/d']}}
links: [[a, s], [b, s], [c, s]]
";

/// The same lab with one that is none any more, one that is another one, and a new one.
const CONTAINED_AFTER: &str = "
name: walk
switches: {s: {subnets: [10.0.0.0/24]}}
volumes: {v: {kind: tmpfs, size: 2MiB}, e: {kind: tmpfs, propagation: shared}}
nodes:
  a: {container: {rootfs: host, command: [sleep, infinity], mounts: ['e:/mnt/e:ro']}}
  b: {exec: ['echo again > SCRATCH/exec-ran']}
  c: {container: {rootfs: host, command: [sleep, '999999'], hostname: see, mounts: ['v:/mnt/v']}}
links: [[a, s], [b, s], [c, s]]
";

/// A lab to walk with, before and after an edit, and the host that it is walked on.
pub(crate) struct WalkedLab {
    pub(crate) host: ThrowAwayHost,
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) on_ovs: bool,
    /// Of how many points one is walked through, and which.
    one_of: u32,
    which: u32,
    _ovs: Option<OpenVswitch>,
    _outside: Option<Outside>,
    _street: Option<Street>,
}

impl WalkedLab {
    /// With Linux bridges.
    pub(crate) fn linux(host: &ThrowAwayHost) -> Self {
        Self::new(host, [BEFORE, AFTER], None)
    }

    /// With DHCP.
    pub(crate) fn leased(host: &ThrowAwayHost) -> Self {
        Self::new(host, [LEASED_BEFORE, LEASED_AFTER], None)
    }

    /// With router advertisements.
    pub(crate) fn advertised(host: &ThrowAwayHost) -> Self {
        Self::new(host, [ADVERTISED_BEFORE, ADVERTISED_AFTER], None)
    }

    /// With containers.
    pub(crate) fn contained(host: &ThrowAwayHost) -> Self {
        Self::new(host, [CONTAINED_BEFORE, CONTAINED_AFTER], None)
    }

    /// With the machine's NIC at one switch, and then at another.
    pub(crate) fn uplinked(host: &ThrowAwayHost) -> Self {
        Self::on_street(host, [UPLINKED_BEFORE, UPLINKED_AFTER], "linux", None)
    }

    /// With the machine's NIC, and then without.
    pub(crate) fn parted(host: &ThrowAwayHost) -> Self {
        Self::on_street(host, [UPLINKED_BEFORE, PARTED_AFTER], "linux", None)
    }

    /// With the machine's NIC at a switch of Open vSwitch, and then with other nodes: at another switch it would have to be given
    /// back first.
    pub(crate) fn uplinked_on_ovs(host: &ThrowAwayHost) -> Self {
        let after = UPLINKED_AFTER.replace("switch: t", "switch: s");
        Self::on_street(host, [UPLINKED_BEFORE, &after], "ovs", Some(OpenVswitch::start(host)))
    }

    /// With the machine's NIC at a switch of Open vSwitch, and then without.
    pub(crate) fn parted_on_ovs(host: &ThrowAwayHost) -> Self {
        Self::on_street(host, [UPLINKED_BEFORE, PARTED_AFTER], "ovs", Some(OpenVswitch::start(host)))
    }

    fn on_street(host: &ThrowAwayHost, texts: [&str; 2], backend: &str, ovs: Option<OpenVswitch>) -> Self {
        let street = Street::new();
        if ovs.is_some() {
            street.without_offloads();
        }
        sh(STATIC_V4);
        sh(STATIC_V6);
        wait_until("the address is the machine's own", PATIENCE, || {
            sh("ip -6 route show table local").contains("db8::10")
        });
        let [before, after] = texts.map(|text| text.replace("BACKEND", backend));
        Self { _street: Some(street), ..Self::new(host, [&before, &after], ovs) }
    }

    /// With Open vSwitch, which the host has as long as this is there.
    pub(crate) fn ovs(host: &ThrowAwayHost) -> Self {
        Self::new(host, [OVS_BEFORE, OVS_AFTER], Some(OpenVswitch::start(host)))
    }

    /// With masquerading, and Docker's chain.
    pub(crate) fn nat(host: &ThrowAwayHost) -> Self {
        Self::with_nat(host, "linux", None)
    }

    /// The same with Open vSwitch.
    pub(crate) fn nat_on_ovs(host: &ThrowAwayHost) -> Self {
        Self::with_nat(host, "ovs", Some(OpenVswitch::start(host)))
    }

    fn with_nat(host: &ThrowAwayHost, backend: &str, ovs: Option<OpenVswitch>) -> Self {
        let outside = Outside::start(host);
        let [before, after] = [NAT_BEFORE, NAT_AFTER].map(|text| text.replace("BACKEND", backend));
        let lab = Self::new(host, [&before, &after], ovs);
        Self { host: host.as_it_is_now(), _outside: Some(outside), ..lab }
    }

    fn new(host: &ThrowAwayHost, texts: [&str; 2], ovs: Option<OpenVswitch>) -> Self {
        let [before, after] = texts;
        let (before, after) = (topology(host, "before.yaml", before), topology(host, "after.yaml", after));
        Self {
            host: host.as_it_is_now(),
            before,
            after,
            on_ovs: ovs.is_some(),
            one_of: 1,
            which: 0,
            _ovs: ovs,
            _outside: None,
            _street: None,
        }
    }

    /// The same, of whose points only one of so many is walked through: a test for each part, which run at once.
    pub(crate) fn part(self, which: u32, one_of: u32) -> Self {
        Self { one_of, which, ..self }
    }

    /// The points to walk through, from one on. Whoever walks ends where there are no more.
    pub(crate) fn points(&self, from: u32) -> impl Iterator<Item = u32> {
        (from..MOST_POINTS).filter(|point| point % self.one_of == self.which)
    }

    /// Has `at` done for each point, until it says that what it ran has no so many.
    pub(crate) fn through_all_points(&self, mut at: impl FnMut(u32) -> bool) {
        let last = self.points(1).find(|point| at(*point)).expect("it comes to an end");
        assert!(last > 10, "only {last} points: is the feature fault-injection on?");
    }
}

/// Makes tests of functions that take a [`WalkedLab`]: each once with Linux bridges, and once with Open vSwitch; that in
/// halves where it is said.
macro_rules! on_each_backend {
    ($($test:ident),+ $(,)?) => {
        $crate::support::walk::walks!(linux, |host| WalkedLab::linux(host), $($test),+);
        $crate::support::walk::walks!(ovs, |host| WalkedLab::ovs(host), $($test),+);
    };
    (in halves: $($test:ident),+ $(,)?) => {
        $crate::support::walk::walks!(linux, |host| WalkedLab::linux(host), $($test),+);
        $crate::support::walk::walks!(ovs_even, |host| WalkedLab::ovs(host).part(0, 2), $($test),+);
        $crate::support::walk::walks!(ovs_odd, |host| WalkedLab::ovs(host).part(1, 2), $($test),+);
    };
}

/// A module of tests of one kind of lab.
macro_rules! walks {
    ($module:ident, |$host:ident| $lab:expr, $($test:ident),+) => {
        mod $module {
            use $crate::support::{ThrowAwayHost, walk::WalkedLab};
            $(
                #[test]
                fn $test() {
                    ThrowAwayHost::run(|$host| super::$test(&$lab));
                }
            )+
        }
    };
}
pub(crate) use on_each_backend;
pub(crate) use walks;

/// No walk needs more: a run that never gets through would otherwise go on for ever.
pub(crate) const MOST_POINTS: u32 = 2000;

/// A topology of [`BEFORE`] or [`AFTER`] as a file.
pub(crate) fn topology(host: &ThrowAwayHost, name: &str, text: &str) -> String {
    write(host, name, &text.replace("SCRATCH", host.scratch().to_str().unwrap()))
}

#[track_caller]
pub(crate) fn succeeded(output: &Output) {
    assert!(
        output.status.success(),
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// `down` after a stop at `point`: either it takes the lab away, or there is none any more.
pub(crate) fn down(host: &ThrowAwayHost, point: u32) {
    let output = nslab(["down", "walk"]).output().unwrap();
    let gone = text(&output).contains("no lab walk is up");
    assert!(output.status.success() || gone, "down after point {point}: {}", text(&output));
    host.assert_as_it_was(&format!("after point {point} and down"));
}

/// The points that a run passes, or its chances to fail.
pub(crate) fn count(host: &ThrowAwayHost, what: &str, arguments: &[&str]) -> u32 {
    let file = host.scratch().join("points");
    let _ = std::fs::remove_file(&file);
    succeeded(&nslab(arguments).env("NSLAB_TEST_POINTS", &file).output().unwrap());
    let points = std::fs::read_to_string(&file).unwrap();
    let count = points.lines().filter(|line| line.starts_with(what)).count();
    assert!(count > 10, "only {count} times {what}: is the feature fault-injection on?");
    u32::try_from(count).unwrap()
}

/// The number of the first point called `name` in a file that NSLAB_TEST_POINTS named.
pub(crate) fn point(file: &Path, name: &str) -> u32 {
    let points = std::fs::read_to_string(file).unwrap();
    let numbers = points.lines().filter_map(|line| line.strip_prefix("point ")?.split_once(' '));
    let mut named = numbers.filter(|(_, point)| *point == name);
    named.next().unwrap_or_else(|| panic!("no point {name}:\n{points}")).0.parse().unwrap()
}

/// Runs `nslab ARGUMENTS` once for each point, killed there; `before` brings things to where the walk starts, `after`
/// shows that all is well. Gives back how many points there were.
pub(crate) fn walk(
    lab: &WalkedLab,
    arguments: &[&str],
    variable: &str,
    mut before: impl FnMut(),
    mut stopped: impl FnMut(&Output, u32),
    mut after: impl FnMut(u32),
) -> u32 {
    for point in lab.points(1) {
        before();
        let output = nslab(arguments).env(variable, point.to_string()).output().unwrap();
        let passed_all = output.status.success();
        if !passed_all {
            stopped(&output, point);
        }
        after(point);
        if passed_all {
            assert!(point > 10, "only {point} points: is the feature fault-injection on?");
            println!("{arguments:?}: {} points", point - 1);
            return point - 1;
        }
    }
    panic!("{arguments:?} did not come to an end in {MOST_POINTS} points");
}

#[track_caller]
pub(crate) fn was_killed(output: &Output, point: u32) {
    assert_eq!(output.status.signal(), Some(9), "point {point}: {}", text(output));
}

pub(crate) fn assert_converged(file: &str, point: u32) {
    let output = nslab(["plan", file]).output().unwrap();
    succeeded(&output);
    assert!(text(&output).contains("nothing to do"), "after point {point}: {}", text(&output));
}
