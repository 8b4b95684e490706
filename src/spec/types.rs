//! A topology that has been checked: every reference resolved, every interface named, every address handed out.
//!
//! This is the normalised form that a lab's state keeps. What it means in kernel objects is `desired`'s to say.

use super::container::NodeContainer;
use super::ovs::{Limit, OvsSettings};
use super::uplink::Uplink;
use super::volume::Volume;
use crate::model::conditions::Conditions;
use crate::model::container::Limits;
use crate::model::{IfName, LabName, LinkLocal, MacAddress, Mtu, NodeName, Stp, SwitchName, SysctlKey, VlanMode};
use ipnetwork::{IpNetwork, Ipv6Network};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, Ipv6Addr};

/// A lab as its topology describes it. Order is the text's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The lab's name.
    pub name: LabName,
    /// A line on what the lab is for.
    pub description: Option<String>,
    /// The switches.
    pub switches: Vec<Switch>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// What joins them.
    pub links: Vec<Link>,
    /// The way to the machine's real network, where it has one.
    pub uplink: Option<Uplink>,
    /// What all of its nodes may use together.
    #[serde(default)]
    pub limits: Limits,
    /// The file systems that containers share.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// What `check` holds the lab to; every pair of nodes must reach each other where this is empty.
    pub expect: Vec<Expectation>,
}

/// Which software switches the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The best that the machine has.
    #[default]
    Auto,
    /// Open vSwitch.
    Ovs,
    /// The Linux bridge.
    Linux,
}

/// An Ethernet switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// Its name, and its bridge's.
    pub name: SwitchName,
    /// What it is made of.
    pub backend: Backend,
    /// The MTU of its bridge.
    pub mtu: Mtu,
    /// Spanning tree, where it runs one.
    pub stp: Option<Stp>,
    /// The subnets whose addresses are handed out to the nodes on its segment.
    pub subnets: Vec<IpNetwork>,
    /// The link-local frames that it is to forward.
    pub forward: BTreeSet<LinkLocal>,
    /// Whether it sends multicast only to who asked for it (IGMP and MLD snooping), where the topology says.
    pub mcast_snooping: Option<bool>,
    /// What only Open vSwitch has.
    pub ovs: OvsSettings,
}

/// A host or router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// Its interfaces in the order of its links; each is on exactly one link.
    pub interfaces: Vec<NodeInterface>,
    /// Its static routes, the default ones (`gateway`) among them.
    pub routes: Vec<NodeRoute>,
    /// Whether it forwards packets, both IPv4 and IPv6.
    pub forwarding: bool,
    /// Parameters of its network stack, beyond those that nslab sets itself.
    pub sysctls: BTreeMap<SysctlKey, String>,
    /// Commands run in it, in this order, once its network is up; each has a program at least.
    pub exec: Vec<Vec<String>>,
    /// What runs in it may use this together; a container's limits are its own.
    #[serde(default)]
    pub limits: Limits,
    /// The container that it is, where it is one.
    pub container: Option<NodeContainer>,
}

/// An interface of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInterface {
    /// Its name.
    pub name: IfName,
    /// The MAC address that the topology gives it; otherwise one is derived.
    pub mac: Option<MacAddress>,
    /// Its MTU.
    pub mtu: Mtu,
    /// Its addresses with their subnets' prefix length: those that the topology gives it, those handed out, and those
    /// that it makes itself ([`Slaac::addresses`]).
    pub addresses: Vec<IpNetwork>,
    /// The prefixes that its node advertises there; none where it does not.
    pub advertises: Vec<Ipv6Network>,
    /// How it configures itself, where it does.
    pub slaac: Option<Slaac>,
    /// Whether it takes an IPv4 address by DHCP, which is not among `addresses`.
    pub dhcp: bool,
}

/// What an interface makes of what the routers on its link advertise (RFC 4862).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slaac {
    /// Its addresses of the advertised prefixes.
    pub addresses: Vec<IpNetwork>,
    /// The routers, by their link-local addresses.
    pub routers: Vec<Ipv6Addr>,
}

/// A static route of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRoute {
    /// The destination network.
    pub to: IpNetwork,
    /// The next hop, in a subnet of `dev`.
    pub via: IpAddr,
    /// The interface towards it.
    pub dev: IfName,
    /// The metric, where the topology gives one.
    pub metric: Option<u32>,
}

/// A link between two ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its two ends, in the text's order.
    pub ends: [LinkEnd; 2],
    /// The MTU of those of its ends that are switch ports; a node's end has its interface's.
    pub mtu: Mtu,
    /// What its switch ports do with VLAN tags, where it says.
    pub vlan: Option<VlanMode>,
    /// How fast frames may come in by its port on a switch of Open vSwitch.
    pub ingress_policing: Option<Limit>,
    /// How fast frames go out by that.
    pub egress_qos: Option<Limit>,
    /// How it behaves.
    pub behaviour: LinkBehaviour,
    /// How it does in place of that since `nslab link` changed it.
    pub at_run_time: Option<LinkBehaviour>,
}

/// How a link behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkBehaviour {
    /// What happens to the frames that each of its ends sends, in the order of the ends.
    pub conditions: [Conditions; 2],
    /// Whether it is up.
    pub up: bool,
}

impl Default for LinkBehaviour {
    fn default() -> Self {
        Self { conditions: [Conditions::default(); 2], up: true }
    }
}

impl Spec {
    /// The same without an uplink.
    #[must_use]
    pub fn without_uplink(self) -> Self {
        Self { uplink: None, ..self }
    }

    /// The nodes' interfaces whose link is down: the kernel takes their IPv6 addresses and their routes from them.
    pub fn interfaces_down(&self) -> HashSet<(&NodeName, &IfName)> {
        let links = self.links.iter().filter(|link| !link.current().up);
        let ends = links.flat_map(|link| &link.ends).filter_map(|end| match end {
            LinkEnd::Node { node, interface } => Some((node, interface)),
            LinkEnd::Switch(_) => None,
        });
        ends.collect()
    }
}

impl Link {
    /// How the link behaves now.
    pub fn current(&self) -> LinkBehaviour {
        self.at_run_time.unwrap_or(self.behaviour)
    }
}

/// What a link ends at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkEnd {
    /// An interface of a node.
    Node {
        /// The node.
        node: NodeName,
        /// One of its [`Node::interfaces`].
        interface: IfName,
    },
    /// A port of a switch.
    Switch(SwitchName),
}

/// What `check` is to find between two nodes, one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// The node that asks.
    pub from: NodeName,
    /// The node that is asked.
    pub to: NodeName,
    /// What must be found.
    pub outcome: Outcome,
}

/// What is expected of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An answer comes, and in at most so many milliseconds where a number is given.
    Reachable {
        /// The longest round trip that is accepted, in milliseconds.
        within_ms: Option<u64>,
    },
    /// No answer comes.
    Unreachable,
}
