//! What is there: the part of the machine that a plan needs to know, as data.
//!
//! Types only. They are filled by the collectors in `host`, gathered by `observe`, and compared in `plan`.

pub mod nat;

use crate::model::ovs::{Datapath, OvsColumns, OvsParent, OvsRowId, OvsTable};
use crate::model::qdisc::Shaping;
use crate::model::{
    Advertised, GroupFwdMask, GroupState, Leased, LinkStatistics, MacAddress, NetnsName, NodeContainer, PinName, Stp,
    SysctlKey, VlanMode,
};
use ipnetwork::IpNetwork;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

/// What was found on the machine of the things that were asked for; what isn't there has no entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// What is at /run/netns/NAME, and the host's own namespace, of which only the interfaces that were asked for are
    /// told.
    pub namespaces: BTreeMap<NetnsName, Pin>,
    /// What is at /etc/netns/NAME.
    pub name_directories: BTreeMap<PinName, NameEntry>,
    /// The content of hosts files, and of the resolv.conf beside them, by their directory.
    pub hosts_files: BTreeMap<PathBuf, ObservedNames>,
    /// What is in the database of Open vSwitch.
    pub ovs: OvsView,
    /// The NIC that is or is to be the lab's uplink, and what is around it.
    pub uplink: Option<ObservedUplink>,
    /// What the running kernel can do.
    pub kernel: Kernel,
    /// The values that sysctls have in a namespace just made. Those of an interface that does not exist yet are its
    /// `default` entry's.
    pub pristine_sysctls: BTreeMap<SysctlKey, String>,
    /// The rules of the lab in the host's packet filter.
    pub nat: nat::NatView,
    /// What is written down of containers, by the directory that it is in.
    pub containers: BTreeMap<PathBuf, ObservedContainer>,
    /// The cgroups that no container makes for itself, by where they are.
    pub groups: BTreeMap<PathBuf, GroupState>,
    /// The volumes that are mounted in mount namespaces, by what pins these and where they are.
    pub volumes: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// Parameters of the host's that other labs have set too, with what each was before the first of them did.
    pub claimed_sysctls: BTreeMap<SysctlKey, String>,
}

impl Observed {
    /// What stands at /run/netns/NAME, with that name as the map has it.
    pub fn pin(&self, name: &PinName) -> Option<(&NetnsName, &Pin)> {
        self.namespaces.get_key_value(&NetnsName::Pinned(name.clone()))
    }
}

/// What is written down of a container that a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedContainer {
    /// What it was started as; `None` where that was not written down to its end.
    pub started_as: Option<NodeContainer>,
    /// Whether it runs.
    pub runs: bool,
}

/// A NIC of the machine's that is or is to be a lab's uplink, and what is around it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedUplink {
    /// The NIC; `None` where there is none of its name.
    pub nic: Option<ObservedPlace>,
    /// The interface that the machine's address is to move to.
    pub onto: Option<ObservedPlace>,
    /// Whether anybody watches over it, the calling process included.
    pub is_watched: bool,
    /// Who watches over it, but for the calling process and who watches over that: those that are to be ended.
    pub keepers: usize,
    /// Whether who manages the NIC was told to let go of it, and not yet to take it back.
    pub is_released: bool,
    /// Whether the NIC hears less for itself than it did before, as one whose frames a program copies is to.
    pub is_deaf: bool,
}

/// An interface of the host's, as far as it matters to an uplink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedPlace {
    /// Whether it is up.
    pub up: bool,
    /// What it is a port of.
    pub master: Option<String>,
    /// Its alias.
    pub alias: Option<String>,
    /// Its MAC address.
    pub mac: Option<MacAddress>,
    /// The machine's addresses there.
    pub addresses: BTreeSet<IpNetwork>,
}

/// The files that nodes read names from, in one directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedNames {
    /// The content of `hosts`; `None` where it isn't there.
    pub hosts: Option<String>,
    /// The content of `resolv.conf`; `None` where it isn't there.
    pub resolv_conf: Option<String>,
}

/// What stands under a namespace's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// A network namespace.
    Namespace(ObservedNetns),
    /// A network namespace into which the caller may not look (no CAP_SYS_ADMIN).
    Closed,
    /// An empty file that nothing is mounted on: what a stopped `ip netns add`, or nslab, leaves.
    Empty,
    /// Something else.
    Other,
}

/// What stands at /etc/netns/NAME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameEntry {
    /// A symbolic link that points here.
    Link(PathBuf),
    /// Something else.
    Other,
}

/// What could be seen of the database of Open vSwitch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OvsView {
    /// Nothing of the lab is or was there, so nobody looked.
    #[default]
    NotAsked,
    /// The server could not be asked; in words, why not.
    Unreachable(String),
    /// What is there.
    Seen(ObservedOvs),
}

/// What is in the database that matters to a lab.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedOvs {
    /// The rows that carry the lab's mark.
    pub rows: BTreeMap<OvsRowId, ObservedOvsRow>,
    /// The names of everybody else's bridges, ports and interfaces.
    pub others: BTreeSet<(OvsTable, String)>,
    /// Whether ovs-vswitchd is connected to the database, so that what is changed there comes to pass.
    pub switch_lives: bool,
}

/// A row that carries the lab's mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedOvsRow {
    /// Where it hangs; `None` where nothing refers to it.
    pub parent: Option<OvsParent>,
    /// What it holds, in every column but those below; a map's pairs are columns of their own.
    pub columns: OvsColumns,
    /// What ovs-vswitchd says of it.
    pub status: OvsStatus,
}

/// What ovs-vswitchd says of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OvsStatus {
    /// Of an interface: its OpenFlow port number; -1 where it could not be made one.
    pub ofport: Option<i64>,
    /// Of an interface: why it could not.
    pub error: Option<String>,
    /// Of an interface: whether it has carrier.
    pub link_up: Option<bool>,
    /// Of an interface: its counters, by name (`rx_packets`, …).
    pub statistics: BTreeMap<String, i64>,
    /// Of a port: its state in the spanning tree, where the switch runs one (`forwarding`, `blocking`, …).
    pub stp_state: Option<String>,
}

/// What there is of Open vSwitch, as far as it decides what switches are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OvsState {
    /// It can't be used; in words, why not.
    Absent(String),
    /// Its database server answers, and its ovs-vswitchd is connected to that.
    Alive {
        /// Open vSwitch's version.
        version: String,
        /// The best of its datapaths.
        datapath: Datapath,
    },
}

/// What the kernel can do, as far as it was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kernel {
    /// Whether bridges keep VLANs apart (CONFIG_BRIDGE_VLAN_FILTERING); `None` where nothing needs to know.
    pub vlan_filtering: Option<bool>,
    /// Whether bridges can keep multicast from who did not ask for it (CONFIG_BRIDGE_IGMP_SNOOPING); `None` as above.
    pub mcast_snooping: Option<bool>,
    /// Which queueing disciplines there are for links' conditions; `None` as above.
    pub qdiscs: Option<QdiscKinds>,
}

/// The queueing disciplines that links' conditions are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QdiscKinds {
    /// The network emulator (CONFIG_NET_SCH_NETEM).
    pub netem: bool,
    /// The token bucket filter (CONFIG_NET_SCH_TBF).
    pub tbf: bool,
}

/// The inside of a network namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedNetns {
    /// The inode of its file in nsfs: who the namespace is, whatever it is called.
    pub inode: u64,
    /// The alias of its `lo`, where nslab puts its mark.
    pub mark: Option<String>,
    /// Whether `lo` is up.
    pub loopback_up: bool,
    /// Its interfaces other than `lo`, by name.
    pub links: BTreeMap<String, ObservedLink>,
    /// Its unicast routes of the main table that have a next hop, but for those to `routers` and those of
    /// DHCP leases.
    pub routes: BTreeSet<ObservedRoute>,
    /// The routers that its default routes lead to because they advertise themselves, each with the name of the interface
    /// that it is out of.
    pub routers: BTreeSet<(String, Ipv6Addr)>,
    /// What each of nslab's processes there advertises; nothing at all where that can't be made out. Looked for where a
    /// lab has such.
    pub advertisers: Vec<Vec<Advertised>>,
    /// The leases that nslab's processes there hold, sorted. Looked for where a lab has such.
    pub dhcp_clients: Vec<Leased>,
    /// The values of the sysctls that were asked for and exist.
    pub sysctls: BTreeMap<SysctlKey, String>,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedLink {
    /// Its number in its namespace.
    pub index: u32,
    /// What sort of device it is.
    pub kind: ObservedLinkKind,
    /// Its MAC address; `None` for a device that has no Ethernet one.
    pub mac: Option<MacAddress>,
    /// Its MTU in bytes.
    pub mtu_bytes: u32,
    /// Whether it is administratively up (IFF_UP).
    pub up: bool,
    /// Whether it has carrier (IFF_LOWER_UP).
    pub carrier: bool,
    /// The name of the bridge that it is a port of.
    pub master: Option<String>,
    /// What it does as a bridge's port.
    pub port: Option<ObservedPort>,
    /// Its alias.
    pub alias: Option<String>,
    /// Whether the kernel puts checksums into what leaves by it; `None` where nobody needed to know.
    pub software_checksums: Option<bool>,
    /// What shapes what leaves by it; `None` where that is the kernel's own.
    pub shaping: Option<ObservedShaping>,
    /// What went through it; `None` where nobody asked.
    pub statistics: Option<LinkStatistics>,
    /// Its addresses; link-local ones that the kernel made itself (fe80::/64 of scope link) are not among them, nor those
    /// that are `autoconfigured` or `leased`.
    pub addresses: BTreeSet<IpNetwork>,
    /// Those that it made of prefixes that routers advertise (IPv6 addresses with a lifetime, in a /64), once they can be
    /// used.
    pub autoconfigured: BTreeSet<IpNetwork>,
    /// Those that it has by a DHCP lease (their protocol is RTPROT_DHCP); another client's are among `addresses`.
    pub leased: BTreeSet<IpNetwork>,
    /// The routes with a next hop by way of it that a lease brought.
    pub leased_routes: BTreeSet<ObservedRoute>,
}

/// What shapes what leaves by an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObservedShaping {
    /// What nslab could have made.
    Known(Shaping),
    /// Something else, by the name of the discipline at the interface.
    Other(String),
}

/// What sort of device an interface is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObservedLinkKind {
    /// An end of a veth pair.
    Veth {
        /// The index of the other end, in its own namespace (IFLA_LINK).
        peer_index: u32,
    },
    /// A bridge.
    Bridge {
        /// Spanning tree, where it runs one.
        stp: Option<Stp>,
        /// Whether it keeps VLANs apart.
        vlan_filtering: bool,
        /// Whether it sends multicast only to who asked for it; `None` where the kernel's bridges can't.
        mcast_snooping: Option<bool>,
        /// The link-local frames that it forwards.
        group_fwd_mask: GroupFwdMask,
    },
    /// Anything else, by the kernel's name for it (IFLA_INFO_KIND), empty for hardware.
    Other(String),
}

/// What a bridge port is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPort {
    /// Its spanning-tree state.
    pub state: PortState,
    /// Its VLANs; `None` where the bridge does not keep them apart.
    pub vlans: Option<VlanMode>,
    /// The link-local frames that it lets in to be forwarded, beside those that its bridge forwards.
    pub group_fwd_mask: GroupFwdMask,
}

/// A bridge port's spanning-tree state (linux/if_bridge.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortState {
    /// The port is down.
    Disabled,
    /// It hears the other bridges out.
    Listening,
    /// It learns addresses.
    Learning,
    /// It forwards frames.
    Forwarding,
    /// It stands by, so that there is no loop.
    Blocking,
}

/// A unicast route of the main table that has a next hop.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObservedRoute {
    /// The destination network.
    pub to: IpNetwork,
    /// The next hop.
    pub via: IpAddr,
    /// The name of the interface towards it.
    pub dev: String,
    /// The metric: 0 for IPv4 and 1024 for IPv6 where none was given.
    pub metric: u32,
}
