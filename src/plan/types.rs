//! A plan: what is to be done, in what order, and how each part of it is undone. Data that a journal can hold.

use crate::desired::Resources;
use crate::model::nat::{ForwardPass, NatTable};
use crate::model::ovs::OvsChange;
use crate::model::qdisc::Qdiscs;
use crate::model::{
    Address, Advertiser, Autoconfigured, Bridge, DhcpClient, Exec, HostBridge, HostsFile, IfName, Interface,
    LimitedGroup, MacAddress, Mtu, NameDirectory, Netns, NetnsName, NodeContainer, PinName, PortFwdMask, PortVlans,
    Route, Sysctl, Uplink, Veth, Volume,
};
use serde::{Deserialize, Serialize};

/// One thing to do to the machine. Each is idempotent: done twice, or on top of a half-done one, it ends the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Make and pin a namespace with its mark and its loopback up.
    AddNetns(Netns),
    /// Unpin namespaces, and end the processes that are still in them.
    DeleteNetns(Vec<Netns>),
    /// Set a namespace's `lo` up.
    SetLoopbackUp(PinName),
    /// Set a parameter of a namespace.
    SetSysctl(Sysctl),
    /// Make a bridge, or set the attributes of the one that is there.
    SetBridge(Bridge),
    /// Make a veth pair.
    AddVeth(Veth),
    /// Remove an interface (a veth's other end goes with it).
    DeleteLink(Interface),
    /// Remove several interfaces of one namespace in one message: the kernel waits once for all of them.
    DeleteLinks(NetnsName, Vec<IfName>),
    /// Change attributes of an interface.
    SetLink(LinkChange),
    /// Set a bridge port's VLANs, in place of those it has.
    SetPortVlans(PortVlans),
    /// Give an interface these queueing disciplines, in place of those it has.
    SetQdiscs(Qdiscs),
    /// Set which link-local frames a bridge's port lets in.
    SetPortFwdMask(PortFwdMask),
    /// Give an interface an address.
    AddAddress(Address),
    /// Take an address from an interface.
    DeleteAddress(Address),
    /// Start the process that advertises a router, in place of one that says something else.
    StartAdvertiser(Advertiser),
    /// Stop it.
    StopAdvertiser(Advertiser),
    /// Let an interface configure itself, and wait until it has.
    Autoconfigure(Autoconfigured),
    /// Take from an interface what it has configured itself with, and let it listen no more.
    Deconfigure(Autoconfigured),
    /// Start the process that takes a lease for an interface and holds it, in place of one that does otherwise, and wait until
    /// it has one.
    StartDhcpClient(DhcpClient),
    /// Stop it, and take from the interface what the lease gave it.
    StopDhcpClient(DhcpClient),
    /// Add a route.
    AddRoute(Route),
    /// Remove a route.
    DeleteRoute(Route),
    /// Write a hosts file, and the resolv.conf beside it.
    WriteHosts(HostsFile),
    /// Remove a hosts file, the resolv.conf beside it, and their directory.
    RemoveHosts(HostsFile),
    /// Make /etc/netns/NAME.
    AddNameDirectory(NameDirectory),
    /// Remove /etc/netns/NAME.
    RemoveNameDirectory(NameDirectory),
    /// Make the bridge that a NIC is to be a port of, or set the attributes of the one that is there.
    SetHostBridge(HostBridge),
    /// Remove it.
    RemoveHostBridge(HostBridge),
    /// Start the process that watches over an uplink, unless it runs.
    StartKeeper(Box<Uplink>),
    /// Stop it.
    StopKeeper(Box<Uplink>),
    /// Have who manages a NIC let go of it.
    ReleaseNic(Box<Uplink>),
    /// Have him manage it again.
    TakeBackNic(Box<Uplink>),
    /// Make a NIC a port, and move the machine's address along.
    AttachUplink(Box<Uplink>),
    /// Have the keeper take a lease, and wait for it.
    TakeLease(Box<Uplink>),
    /// Give the NIC and the machine's address back.
    DetachUplink(Box<Uplink>),
    /// Change the database of Open vSwitch, in one transaction.
    ChangeOvs(OvsChange),
    /// Start the container that a node is, in place of what is left of one, and wait until its command runs.
    StartContainer(Box<NodeContainer>),
    /// Stop it, and forget it.
    StopContainer(Box<NodeContainer>),
    /// Hold the container that runs to these limits from now on.
    LimitContainer(Box<NodeContainer>),
    /// Make a cgroup of the lab's or of a node's, or change its limits.
    SetGroup(LimitedGroup),
    /// Remove it; what still runs in it is taken out.
    RemoveGroup(LimitedGroup),
    /// Make a volume.
    AddVolume(Volume),
    /// Remove it, with what is in it, and with the last one the mount namespace that they are in.
    RemoveVolume(Volume),
    /// Run a command in a node and wait for it to end.
    Run(Exec),
    /// End what a node's command left running.
    EndRun(Exec),
    /// Give the host's packet filter this table, in place of one of its name.
    SetNatTable(NatTable),
    /// Remove such a table.
    RemoveNatTable(NatTable),
    /// Let a lab's packets pass in the host's packet filter.
    AddForwardPass(ForwardPass),
    /// Let them pass no more.
    RemoveForwardPass(ForwardPass),
}

/// Attributes of an interface that are to be changed; `None` leaves one as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkChange {
    /// The interface.
    pub interface: Interface,
    /// A new MAC address.
    pub mac: Option<MacAddress>,
    /// A new MTU.
    pub mtu: Option<Mtu>,
    /// Up or down.
    pub up: Option<bool>,
    /// Another bridge, or none.
    pub master: Option<Master>,
    /// Whether the kernel is to put checksums into what leaves by it.
    pub software_checksums: Option<bool>,
}

impl LinkChange {
    /// A change of nothing yet.
    pub fn of(interface: Interface) -> Self {
        Self { interface, mac: None, mtu: None, up: None, master: None, software_checksums: None }
    }
}

/// The bridge that an interface is to be a port of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Master {
    /// None: it becomes an interface on its own.
    Nothing,
    /// This one, in the same namespace.
    Bridge(IfName),
}

/// The order in which kinds of steps are done. All steps of one stage are independent of one another.
///
/// What can be put back with nothing lost is removed first, so that names and addresses are free for what comes;
/// what can't be put back whole (a namespace takes the processes in it along) goes last, when nothing can fail
/// any more that would want it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Give a NIC and the machine's address back: before anything that they lead through goes.
    DetachUplink,
    /// Stop containers: while they have their network still, so that they can end well.
    StopContainers,
    /// Have the host forward no more: before the rules go, so that nothing leaves that is not masqueraded.
    StopForwarding,
    /// Remove rules of the host's packet filter.
    StopMasquerade,
    /// Remove routes: they need their interface's address.
    RemoveRoutes,
    /// Take from interfaces what routers have told them: before these fall silent, so that undo finds them speaking.
    Deconfigure,
    /// Stop advertising routers.
    StopAdvertisers,
    /// Stop DHCP clients.
    StopDhcpClients,
    /// Remove addresses.
    RemoveAddresses,
    /// Take ports and bridges from Open vSwitch: before their devices go.
    UnplugSwitches,
    /// Remove interfaces, and /etc/netns/NAME where it is to point elsewhere.
    RemoveLinks,
    /// Remove the bridge that a NIC was a port of: after the trunk to it.
    RemoveHostBridge,
    /// Have who managed a NIC before manage it again: once it is all its own.
    TakeBackNic,
    /// Make namespaces, and the files that go by their names.
    Namespaces,
    /// Make volumes: before containers.
    Volumes,
    /// Set parameters that interfaces take over when they are made (IPv6 off, no DAD): before any interface.
    NamespaceSysctls,
    /// Make bridges: before their ports.
    Bridges,
    /// Make veth pairs.
    Links,
    /// Change interfaces that are there.
    ChangeLinks,
    /// Set ports' VLANs.
    PortVlans,
    /// Set which link-local frames ports let in.
    PortFwdMasks,
    /// Set rules of the host's packet filter: before anything is forwarded.
    Masquerade,
    /// Set parameters of single interfaces.
    LinkSysctls,
    /// Have the host forward: once its interfaces listen to routers all the same, or it would lose its own way to the world.
    Forwarding,
    /// Give Open vSwitch its bridges and ports: their devices must be there.
    PlugSwitches,
    /// Set what happens to what leaves interfaces: Open vSwitch leaves it alone from the stage before on.
    Qdiscs,
    /// Give addresses.
    Addresses,
    /// Advertise routers: once their interfaces are there, and who is to hear them is plugged in.
    Advertise,
    /// Let interfaces configure themselves: they hear the routers now.
    Autoconfigure,
    /// Add routes: their next hops must be in a subnet that is there.
    Routes,
    /// Have somebody watch over the uplink: before anything of the machine's own moves.
    StartKeeper,
    /// Have who manages a NIC let go of it, so that he does not give it addresses while it is a port.
    ReleaseNic,
    /// Make a NIC a port of a switch of Open vSwitch: its own port to the host is up by then.
    PlugUplink,
    /// Make a NIC a port: the lab is whole by then.
    AttachUplink,
    /// Take a lease from there.
    TakeLease,
    /// Limit the lab as a whole: before anything runs in it, and before what is in it is limited.
    LimitLab,
    /// Limit its nodes, and those that run already.
    Limits,
    /// Start the containers of nodes that take no address by DHCP: a server may be one.
    StartContainers,
    /// Where nodes take addresses by DHCP, run the commands of those that do not: the servers' are among them.
    Serve,
    /// Take addresses by DHCP.
    Lease,
    /// Start the containers of nodes that take addresses by DHCP: they find their network finished, too.
    StartLeasedContainers,
    /// Run the nodes' commands, or those of nodes that take addresses by DHCP: they find the network finished.
    Exec,
    /// Let nobody watch over an uplink that is given back any more.
    StopKeeper,
    /// Remove namespaces and the files that go by their names.
    RemoveNamespaces,
    /// Remove cgroups: once nobody is in them.
    RemoveGroups,
}

impl Stage {
    /// Whether nothing that comes after may be taken away where a step of this stage is not to be had: the machine's own
    /// address is on an interface of the lab's until its NIC is given back.
    pub fn holds_the_machine(self) -> bool {
        matches!(self, Self::DetachUplink | Self::AttachUplink)
    }
}

/// The number of a step in its plan, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub u32);

/// Why a step is in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The topology has something that isn't there yet.
    New,
    /// The topology has something other than when the lab was last brought up.
    Changed,
    /// Something was changed behind nslab's back, or an interrupted command left it half-done.
    Repair,
    /// The topology does not have it any more, or the lab is going down.
    Gone,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its number; steps are numbered in the order of the plan.
    pub id: StepId,
    /// When it is done.
    pub stage: Stage,
    /// Why it is done.
    pub reason: Reason,
    /// What is done.
    pub op: Op,
    /// What puts things back as they were, in this order; empty where another step's undo does (a new interface goes
    /// with its new namespace) or where there is no way back.
    pub undo: Vec<Op>,
}

/// Everything that is to be done to a lab, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The steps, by stage.
    pub steps: Vec<Step>,
}

/// What the journal says nslab has made of a lab, or was about to make when it was stopped: all that it may remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The resources, those of a stopped command included.
    pub resources: Resources,
    /// The value that each sysctl had before nslab set it.
    pub previous_sysctls: Vec<Sysctl>,
    /// The commands that are known to have been run to their end.
    pub executed: Vec<Exec>,
}
