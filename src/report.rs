//! What verbs return. Text and JSON are made from it in `cli/render.rs`.

mod container;
mod limits;
mod top;
mod uplink;
mod uplink_status;

pub use container::{ContainerReport, ContainerState};
pub use limits::{LimitsReport, UsageReport};
pub use top::{NodeSample, NodeUsage, TopReport, UsageSample};
pub use uplink::{NatReport, NicReport, UplinkReport};
pub use uplink_status::{UplinkEnd, UplinkGateway, UplinkLease, UplinkStatus};

use crate::model::qdisc::Shaping;
use crate::model::{IfName, LabName, LinkLocal, LinkStatistics, NodeName, SwitchName};
use crate::plan::Reason;
use serde::Serialize;

/// What `up` did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UpReport {
    /// The lab.
    pub lab: LabName,
    /// What became of it.
    pub result: UpResult,
    /// How many nodes it has.
    pub nodes: usize,
    /// How many switches.
    pub switches: usize,
    /// How many links.
    pub links: usize,
    /// What was done, in words, in order.
    pub steps: Vec<StepReport>,
    /// Processes that were ended because their node went.
    pub ended: Vec<String>,
    /// What is good to know: what its switches were made of where its topology leaves that open, and why.
    pub notes: Vec<String>,
    /// How long gateways did not answer while the machine's address moved.
    pub gaps: Vec<GapReport>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// How long a gateway did not answer while the machine's address moved to or from a NIC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GapReport {
    /// The NIC.
    pub nic: IfName,
    /// The longest time without an answer, in milliseconds.
    pub longest_ms: f64,
}

/// What became of a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UpResult {
    /// It is new.
    Created,
    /// It was up, and was changed or repaired.
    Changed,
    /// It was up, and is as it should be.
    Unchanged,
}

/// One step, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// Why it is done.
    pub reason: Reason,
    /// What is done.
    pub what: String,
}

/// What `down` did to one lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DownReport {
    /// The lab.
    pub lab: LabName,
    /// How many namespaces went.
    pub namespaces: usize,
    /// Processes that were ended because their node went.
    pub ended: Vec<String>,
    /// What was left alone because it is not the lab's any more.
    pub left_alone: Vec<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What `plan` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanReport {
    /// The lab.
    pub lab: LabName,
    /// The steps, in order.
    pub steps: Vec<StepReport>,
    /// What is good to know about it.
    pub notes: Vec<String>,
}

/// A lab in `ls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabSummary {
    /// The lab.
    pub lab: LabName,
    /// Whether it is whole.
    pub state: LabCondition,
    /// How many nodes it has.
    pub nodes: usize,
    /// How many switches.
    pub switches: usize,
    /// How many links.
    pub links: usize,
    /// A line on what it is for.
    pub description: Option<String>,
}

/// Whether a lab is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LabCondition {
    /// It is up.
    Up,
    /// Making it or taking it away was stopped half-way, or is under way.
    HalfMade,
    /// It was up, and changing it was stopped half-way, or is under way.
    HalfChanged,
}

/// A lab in `show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabReport {
    /// The lab.
    pub lab: LabName,
    /// Whether it is whole.
    pub state: LabCondition,
    /// A line on what it is for.
    pub description: Option<String>,
    /// Its nodes.
    pub nodes: Vec<NodeReport>,
    /// Its switches.
    pub switches: Vec<SwitchReport>,
    /// Its links.
    pub links: Vec<LinkReport>,
    /// How it is joined to the machine's real network, where it is.
    pub uplink: Option<UplinkReport>,
    /// What is not as the lab's topology has it, in words: what `up` would do about it.
    pub drift: Vec<String>,
}

/// A node in `show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeReport {
    /// The node.
    pub node: NodeName,
    /// Its namespace in /run/netns.
    pub netns: String,
    /// Whether it forwards packets.
    pub forwarding: bool,
    /// Its interfaces.
    pub interfaces: Vec<InterfaceReport>,
    /// Its routes with a next hop, as ip-route(8) writes them: static ones, and those that routers' advertisements
    /// (`proto ra`) and DHCP leases (`proto dhcp`) made.
    pub routes: Vec<String>,
    /// What it is to advertise as a router. Where it does not, `drift` says so.
    pub advertises: Vec<AdvertisementReport>,
}

/// What a router advertises on one of its interfaces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AdvertisementReport {
    /// The interface.
    pub interface: String,
    /// The prefixes that hosts make addresses of.
    pub prefixes: Vec<String>,
}

impl std::fmt::Display for AdvertisementReport {
    /// `2001:db8:1::/64 on eth0`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}", self.prefixes.join(" "), self.interface)
    }
}

/// An interface in `show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InterfaceReport {
    /// Its name.
    pub name: String,
    /// What is there of it.
    pub state: LinkState,
    /// Its MAC address, where it is there and has one.
    pub mac: Option<String>,
    /// Its MTU in bytes, where it is there.
    pub mtu: Option<u32>,
    /// The addresses that it has.
    pub addresses: Vec<String>,
    /// What it is linked to: a switch, or NODE:INTERFACE.
    pub peer: String,
}

/// What is there of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Up, and the other end too.
    Up,
    /// Set down.
    Down,
    /// Up, but the other end is down.
    NoCarrier,
    /// Not there.
    Missing,
}

/// A link in `show` and in `link show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkReport {
    /// Its name: its ends with `--` between them.
    pub link: String,
    /// What is there of it: of both ends, the worst.
    pub state: LinkState,
    /// Whether `nslab link` has changed it since the lab was brought up.
    pub at_run_time: bool,
    /// Its two ways.
    pub ways: [WayReport; 2],
}

/// One way of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WayReport {
    /// The end that sends: NODE:INTERFACE, or a switch.
    pub from: String,
    /// The end that is sent to.
    pub to: String,
    /// What happens to the frames, in words; none where nothing does.
    pub conditions: Option<String>,
    /// The same as the queueing disciplines that do it, where nslab knows them.
    pub disciplines: Option<Shaping>,
    /// Who has set them, or that there are none.
    pub set_by: SetBy,
}

/// Who has set the conditions of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SetBy {
    /// The topology.
    Topology,
    /// `nslab link`, since the lab was brought up.
    Link,
    /// Neither: they are not what the lab is to have.
    SomebodyElse,
}

/// A switch in `show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SwitchReport {
    /// The switch.
    pub switch: SwitchName,
    /// What it is made of.
    pub backend: BackendReport,
    /// The namespace that its bridge is in: one of the lab's own, or `host`.
    pub netns: String,
    /// What its bridge is called there.
    pub bridge: String,
    /// Whether the bridge is there; `None` where that can't be seen.
    pub present: Option<bool>,
    /// The spanning tree that it runs.
    pub spanning_tree: Option<SpanningTree>,
    /// The protocols between neighbours whose frames it forwards; a Linux bridge, all of whose ports do so.
    pub forwards: Vec<LinkLocal>,
    /// Whether it sends multicast only to who asked for it; `None` where that can't be seen.
    pub mcast_snooping: Option<bool>,
    /// Why what Open vSwitch says of it can't be seen, or may be of the past.
    pub trouble: Option<String>,
    /// Its ports.
    pub ports: Vec<PortReport>,
}

/// What a switch is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendReport {
    /// A Linux bridge.
    Linux,
    /// A bridge of Open vSwitch.
    Ovs,
}

/// A spanning tree protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanningTree {
    /// IEEE 802.1D-1998.
    Stp,
    /// Its rapid heir, IEEE 802.1D-2004.
    Rstp,
}

/// A switch port in `show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PortReport {
    /// What it is called inside the lab.
    pub name: String,
    /// Its interface in the bridge's namespace; `None` for a patch port, which has none.
    pub device: Option<String>,
    /// What is there of it.
    pub state: LinkState,
    /// What it does with frames: `forwarding`, `blocking`, …
    pub forwarding: Option<String>,
    /// What it does with VLAN tags.
    pub vlan: Option<String>,
    /// The number by which OpenFlow knows it, where its switch is one of Open vSwitch.
    pub ofport: Option<u32>,
    /// What went through it.
    pub statistics: Option<LinkStatistics>,
    /// Why Open vSwitch could not make it.
    pub error: Option<String>,
}

/// One change of a lab, as `show --watch` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The lab, a node, a switch, NODE:INTERFACE or SWITCH:PORT.
    pub what: String,
    /// What of it has changed.
    pub property: Property,
    /// What it was, as it stands in the report; null where it had none.
    pub from: serde_json::Value,
    /// What it is; null where it has none any more.
    pub to: serde_json::Value,
}

/// What of a thing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Property {
    /// Whether the lab is whole: [`LabCondition`].
    Condition,
    /// Whether the node is part of the lab: its namespace.
    Node,
    /// Whether the node forwards packets.
    Router,
    /// Whether the interface is part of the node: its [`LinkState`].
    Interface,
    /// The [`LinkState`] of an interface or port.
    State,
    /// A MAC address.
    Mac,
    /// An MTU in bytes.
    Mtu,
    /// One of an interface's addresses.
    Address,
    /// One of a node's routes.
    Route,
    /// What a router is to advertise on one of its interfaces.
    Advertisement,
    /// What an interface is linked to.
    Peer,
    /// What happens to the frames of one way of a link.
    Conditions,
    /// Whether the switch is part of the lab: what its bridge is called.
    Switch,
    /// What a switch is made of.
    Backend,
    /// Whether a switch's bridge is there.
    Present,
    /// The spanning tree that a switch runs.
    SpanningTree,
    /// The protocols between neighbours whose frames a switch forwards.
    Forwards,
    /// Whether a switch sends multicast only to who asked for it.
    McastSnooping,
    /// Why what Open vSwitch says of a switch can't be seen.
    Trouble,
    /// Whether the port is part of the switch: its [`LinkState`].
    Port,
    /// What a port does with frames.
    Forwarding,
    /// What a port does with VLAN tags.
    Vlan,
    /// A port's OpenFlow number.
    Ofport,
    /// Why Open vSwitch could not make a port.
    Error,
    /// How the lab is joined to the machine's real network.
    Uplink,
}

/// What `doctor` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoctorReport {
    /// One finding for each thing looked at.
    pub findings: Vec<Finding>,
}

/// One thing that `doctor` looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub detail: String,
    /// What to do about it, where something is to be done.
    pub remedy: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Some labs, or some features, won't work.
    Warning,
    /// No lab will work.
    Bad,
}

/// What `gc` removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GcReport {
    /// What went, in words.
    pub removed: Vec<String>,
    /// What could not be removed, and why.
    pub failed: Vec<String>,
}
