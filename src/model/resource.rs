//! The kernel objects and files that a lab is made of: what `desired` computes, `plan` orders and `host` makes.
//!
//! Plain data. What can be made of them, and in what order, is decided in `plan`.

use super::container::{Container, Limits};
use super::{GroupFwdMask, IfName, MacAddress, Mtu, NetnsName, NodeName, PinName, Stp, SysctlKey, VlanMode};
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

/// A network namespace, pinned at /run/netns/NAME as ip-netns(8) does it, its loopback interface up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Netns {
    /// Its name in /run/netns.
    pub name: PinName,
    /// nslab's mark: the alias of the namespace's `lo` (IFLA_IFALIAS), set before the name can be seen. A namespace
    /// without it is somebody else's.
    pub mark: String,
}

/// One network interface, by where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Interface {
    /// The namespace it is in.
    pub netns: NetnsName,
    /// Its name there.
    pub name: IfName,
}

impl std::fmt::Display for Interface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.netns, self.name)
    }
}

/// A parameter of a namespace's network stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctl {
    /// The namespace it is set in.
    pub netns: NetnsName,
    /// Which one.
    pub key: SysctlKey,
    /// Its value, as the file reads without the newline; columns are separated by a tab where there are several.
    pub value: String,
}

/// A Linux bridge, up, with an address of its own so that it does not change with its ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// Where it is and what it is called.
    pub interface: Interface,
    /// Its MAC address.
    pub mac: MacAddress,
    /// Its MTU.
    pub mtu: Mtu,
    /// Spanning tree, where it runs one.
    pub stp: Option<Stp>,
    /// Whether frames are kept to their VLANs (IFLA_BR_VLAN_FILTERING).
    pub vlan_filtering: bool,
    /// Whether multicast goes only to who asked for it (IFLA_BR_MCAST_SNOOPING); `None` leaves that to the kernel, which
    /// does it where it can.
    pub mcast_snooping: Option<bool>,
    /// The link-local frames that it forwards (IFLA_BR_GROUP_FWD_MASK); the kernel lets neither STP, nor MAC pause, nor LACP
    /// be among them (BR_GROUPFWD_RESTRICTED, net/bridge/br_private.h).
    pub group_fwd_mask: GroupFwdMask,
}

impl Bridge {
    /// Whether it is to snoop on multicast where the kernel can. A kernel that can't floods, whatever it is told.
    pub fn snoops(&self) -> bool {
        self.mcast_snooping.unwrap_or(true)
    }
}

/// One end of a veth pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VethEnd {
    /// Where it is and what it is called.
    pub interface: Interface,
    /// Its MAC address.
    pub mac: MacAddress,
    /// Its MTU.
    pub mtu: Mtu,
    /// The bridge it is a port of; in the same namespace.
    pub master: Option<IfName>,
    /// nslab's mark, on an end in the host's namespace: its alias (IFLA_IFALIAS), `nslab:LAB/SWITCH/PORT`. An interface
    /// there without it is somebody else's, unless its other end is in a namespace of the lab's.
    pub mark: Option<String>,
    /// Whether the kernel is to put checksums into what leaves by it (NETIF_F_CSUM_MASK off), and not to leave that to
    /// a card that isn't there: who takes frames off the other end as bytes wants them whole.
    pub software_checksums: bool,
    /// Whether it takes no advice of routers (`accept_ra`), from before it is up on.
    pub ignores_routers: bool,
    /// Whether it is up.
    pub up: bool,
}

/// A veth pair (veth(4)). If just one end is a bridge's port, it is `a`: one netlink message can then make all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Veth {
    /// The end that the message is about.
    pub a: VethEnd,
    /// Its peer.
    pub b: VethEnd,
}

/// What a bridge port does with VLAN tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortVlans {
    /// The port.
    pub port: Interface,
    /// Access or trunk.
    pub mode: VlanMode,
}

/// The link-local frames that a bridge's port lets in to be forwarded, beside those that its bridge forwards
/// (IFLA_BRPORT_GROUP_FWD_MASK); the kernel lets MAC pause alone not be among them (net/bridge/br_netlink.c).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortFwdMask {
    /// The port.
    pub port: Interface,
    /// What it lets in.
    pub mask: GroupFwdMask,
}

/// An address of an interface, with its prefix length.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// The interface that has it.
    pub interface: Interface,
    /// The address itself (not the network's), with the prefix length of its subnet.
    pub address: IpNetwork,
}

/// A static unicast route in the main table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Route {
    /// The namespace whose table it is in.
    pub netns: NetnsName,
    /// Where to; 0.0.0.0/0 or ::/0 is the default route.
    pub to: IpNetwork,
    /// The next hop.
    pub via: IpAddr,
    /// The interface out of which the next hop is.
    pub dev: IfName,
    /// The priority among routes to the same place, lower wins; the kernel's own choice (0, or 1024 for IPv6) without.
    pub metric: Option<u32>,
}

/// The files that one or more nodes read names from: a hosts(5) file with their neighbours', and where they are to ask for
/// all others a resolv.conf(5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostsFile {
    /// The directory they are in, below the lab's state directory; their own names are `hosts` and `resolv.conf`.
    pub directory: PathBuf,
    /// What the hosts file says.
    pub content: String,
    /// What the resolv.conf says, where there is to be one.
    pub resolv_conf: Option<String>,
    /// Whether the `resolv.conf` beside it is what a DHCP lease says: then whoever holds that writes it.
    pub leased: bool,
}

/// /etc/netns/NAME as a symbolic link: its files stand in for those in /etc inside the namespace (ip-netns(8)).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NameDirectory {
    /// The namespace.
    pub netns: PinName,
    /// Where the link points: a [`HostsFile`]'s directory. A link that points elsewhere is somebody else's.
    pub directory: PathBuf,
}

/// A command run once in a node after its network is up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Exec {
    /// The namespace it runs in.
    pub netns: PinName,
    /// The node that it belongs to.
    pub node: NodeName,
    /// Its place in the node's list, from 0.
    pub index: usize,
    /// The program and its arguments; never empty.
    pub argv: Vec<String>,
    /// The record of the container that it runs in, where its node is one.
    pub container: Option<PathBuf>,
}

/// The container that a node is. It is started inside the node's network namespace, which is the one that it keeps of its
/// caller's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeContainer {
    /// The node's namespace.
    pub netns: Netns,
    /// The node.
    pub node: NodeName,
    /// What it is.
    pub container: Container,
    /// The directory of what is written down of it.
    pub directory: PathBuf,
    /// Its cgroup, below the one that nslab may use.
    pub cgroup: PathBuf,
    /// Whether it has a terminal of its own.
    pub terminal: bool,
}

/// A cgroup that no container makes for itself: that of a lab, which all of its nodes are in, or of a node that is no container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitedGroup {
    /// The node; `None` for the lab as a whole.
    pub node: Option<NodeName>,
    /// Where it is, below the one that nslab may use: `nslab/LAB`, or `nslab/LAB/NODE`.
    pub cgroup: PathBuf,
    /// What all in it may use together.
    pub limits: Limits,
}

/// What there is of such a cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupState {
    /// Its maker was killed before it was done.
    Begun,
    /// It is there, and limited to this.
    Limited(Limits),
}
