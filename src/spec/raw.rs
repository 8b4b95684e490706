//! The topology's text as types: what may be written where. Their comments are the descriptions in `nslab schema`.
//!
//! Nothing here says what goes together; that is for `validate`. A [`Field`] has its place in the text.

use super::Backend;
use super::Profile;
use super::field::{Entries, Field};
use super::ovs::{DatapathId, FailMode, OpenFlow};
use super::raw_conditions::{RawChance, RawConditions, RawJitter, RawLoss};
use super::raw_container::{RawContainer, RawLimits};
use super::raw_ovs::{RawControllers, RawIpfix, RawLimit, RawMirrors, RawNetFlow, RawRstp, RawSFlow};
use super::raw_uplink::RawUplink;
use super::raw_volume::{RawVolume, VolumeName};
use super::values::{All, Destination, Endpoint, InterfaceAddress, Milliseconds, NumberText, ShortRoute, Subnet, Via};
use crate::model::{IfName, LabName, LinkLocal, MacAddress, Mtu, NodeName, Rate, Span, SwitchName, SysctlKey, VlanId};
use schemars::JsonSchema;
use serde::Deserialize;

/// A virtual-network lab of nslab.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "nslab topology")]
pub(super) struct RawTopology {
    /// The lab's name, the head of its namespaces' names.
    pub(super) name: Field<LabName>,
    /// A line on what the lab is for.
    pub(super) description: Option<Field<String>>,
    /// The MTU of every interface that nothing else says one for, in bytes; 1500 without it.
    pub(super) mtu: Option<Field<Mtu>>,
    /// The Ethernet switches, by name.
    pub(super) switches: Option<Field<Entries<SwitchName, Option<RawSwitch>>>>,
    /// The hosts and routers, by name.
    pub(super) nodes: Option<Field<Entries<NodeName, Option<RawNode>>>>,
    /// What joins them.
    pub(super) links: Option<Field<Vec<Field<RawLink>>>>,
    /// How the lab reaches the machine's real network; not at all without it.
    pub(super) uplink: Option<Field<RawUplink>>,
    /// What all of its nodes may use together, by what `exec` and their containers run; nothing is limited without it.
    pub(super) limits: Option<Field<RawLimits>>,
    /// File systems that containers can share, by name.
    pub(super) volumes: Option<Field<Entries<VolumeName, RawVolume>>>,
    /// What `nslab check` holds the lab to; every pair of nodes must reach each other without it.
    pub(super) expect: Option<Field<Vec<Field<RawExpectation>>>>,
}

/// An Ethernet switch.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSwitch {
    /// Which software switches the frames.
    pub(super) backend: Option<Field<Backend>>,
    /// Its MTU in bytes, also of the interfaces on it.
    pub(super) mtu: Option<Field<Mtu>>,
    /// Whether it runs the spanning-tree protocol, or with which parameters; needed where switches form a loop.
    pub(super) stp: Option<Field<RawStp>>,
    /// Subnets whose addresses are handed out to the nodes on it, in the order of the links.
    pub(super) subnets: Option<Field<Vec<Field<Subnet>>>>,
    /// The protocols between neighbours whose frames it forwards, and does not keep from those behind it: lldp, lacp, stp.
    pub(super) forward: Option<Field<Vec<Field<LinkLocal>>>>,
    /// Whether it sends multicast only to who asked for it (IGMP and MLD snooping); without it, what Open vSwitch (false) or
    /// the kernel (true, where it can) does by itself.
    pub(super) mcast_snooping: Option<Field<bool>>,
    /// Whether it runs the rapid spanning-tree protocol, or with which parameters. As all that follows: Open vSwitch alone.
    pub(super) rstp: Option<Field<RawRstp>>,
    /// What it does while no controller answers.
    pub(super) fail_mode: Option<Field<FailMode>>,
    /// The OpenFlow controllers that it talks to.
    pub(super) controller: Option<Field<RawControllers>>,
    /// The versions of OpenFlow that it speaks.
    pub(super) protocols: Option<Field<Vec<Field<OpenFlow>>>>,
    /// What it is called in OpenFlow.
    pub(super) datapath_id: Option<Field<DatapathId>>,
    /// How many MAC addresses it learns.
    #[schemars(range(min = 10, max = 1_000_000))]
    pub(super) mac_table_size: Option<Field<u32>>,
    /// Where its NetFlow records go.
    pub(super) netflow: Option<Field<RawNetFlow>>,
    /// Where its sFlow samples go.
    pub(super) sflow: Option<Field<RawSFlow>>,
    /// Where its IPFIX records go.
    pub(super) ipfix: Option<Field<RawIpfix>>,
    /// Copies of its frames, to a port that gets nothing else.
    pub(super) mirror: Option<Field<RawMirrors>>,
}

/// Spanning tree: on, off, or on with these parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawStp {
    Boolean(bool),
    Mapping(RawStpParameters),
}

/// Spanning-tree parameters of a switch.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStpParameters {
    /// Bridge priority, usually a multiple of 4096; the lowest becomes the root.
    pub(super) priority: Option<Field<u16>>,
    /// Seconds a port spends listening, and again learning, before it forwards.
    #[schemars(range(min = 2, max = 30))]
    pub(super) forward_delay: Option<Field<u8>>,
    /// Seconds between the root's hellos.
    #[schemars(range(min = 1, max = 10))]
    pub(super) hello_time: Option<Field<u8>>,
    /// Seconds after which a silent neighbour is taken for gone.
    #[schemars(range(min = 6, max = 40))]
    pub(super) max_age: Option<Field<u8>>,
}

/// A host or router.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNode {
    /// Its interfaces' settings, by name. They are called eth0, eth1, … in the order of the links, unless a link's end
    /// names one (`net1:lan0`).
    pub(super) interfaces: Option<Field<Entries<IfName, Option<RawInterface>>>>,
    /// Its static routes.
    pub(super) routes: Option<Field<Vec<Field<RawRoute>>>>,
    /// Where its default routes lead: an address, a node (its address in a subnet that they share, for each family), or
    /// a list of these.
    pub(super) gateway: Option<Field<RawGateway>>,
    /// Whether it forwards packets, both IPv4 and IPv6, as a router does.
    pub(super) forwarding: Option<Field<bool>>,
    /// Parameters of its network stack, `net.…`.
    pub(super) sysctls: Option<Field<Entries<SysctlKey, RawSysctl>>>,
    /// Commands run in it, one after the other, once its network is up.
    pub(super) exec: Option<Field<Vec<Field<RawCommand>>>>,
    /// What runs in it by `exec` and `shell` may use this together; a container has limits of its own.
    pub(super) limits: Option<Field<RawLimits>>,
    /// What the node is besides a place in the network: a container. Just that place without it.
    pub(super) container: Option<Field<RawContainer>>,
}

/// An interface of a node.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInterface {
    /// Its addresses; in a subnet in which it has none, it is handed one. With `slaac` it makes its IPv6 addresses of what
    /// routers advertise, and is handed none; with `dhcp` it takes an IPv4 address of a DHCP server, and has no other.
    pub(super) addresses: Option<Field<Vec<Field<InterfaceAddress>>>>,
    /// Its address, where it is just one: `addresses` in short.
    pub(super) address: Option<Field<InterfaceAddress>>,
    /// Its MAC address; one is derived from its name without it.
    pub(super) mac: Option<Field<MacAddress>>,
    /// Its MTU in bytes.
    pub(super) mtu: Option<Field<Mtu>>,
    /// Whether its node, a router, advertises itself there, and the interface's /64 prefixes.
    pub(super) advertise: Option<Field<bool>>,
}

/// A next hop, or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawGateway {
    Text(Field<Via>),
    Sequence(Vec<Field<Via>>),
}

/// A static route, in short or in full.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawRoute {
    Text(ShortRoute),
    Mapping(RawRouteParts),
}

/// A static route.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRouteParts {
    /// The destination.
    pub(super) to: Field<Destination>,
    /// The next hop.
    pub(super) via: Field<Via>,
    /// The interface towards it; found by the next hop's address without it.
    pub(super) dev: Option<Field<IfName>>,
    /// The metric: of routes to the same place, the one with the lowest is taken.
    pub(super) metric: Option<Field<u32>>,
}

/// A value of a kernel parameter; true and false are 1 and 0.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawSysctl {
    Boolean(bool),
    Number(NumberText),
    Text(String),
}

/// A command: a line for /bin/sh, or a program with its arguments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawCommand {
    Text(String),
    Sequence(Vec<String>),
}

/// A link: its two ends, or the same with more about it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawLink {
    Sequence([Field<Endpoint>; 2]),
    Mapping(Box<RawLinkParts>),
}

/// A link with more about it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLinkParts {
    /// Its two ends.
    pub(super) endpoints: Field<[Field<Endpoint>; 2]>,
    /// Subnets whose addresses are handed out to its ends; only where both are nodes.
    pub(super) subnets: Option<Field<Vec<Field<Subnet>>>>,
    /// Its MTU in bytes.
    pub(super) mtu: Option<Field<Mtu>>,
    /// What its switch ports do with VLAN tags; only where an end is a switch.
    pub(super) vlan: Option<Field<RawVlan>>,
    /// How fast frames may come in by its switch port; what is above that is dropped. Open vSwitch alone.
    pub(super) ingress_policing: Option<Field<RawLimit>>,
    /// How fast frames go out by its switch port; what is above that waits. Open vSwitch alone.
    pub(super) egress_qos: Option<Field<RawLimit>>,
    /// A sort of link, to which the keys below are exceptions; as they, both ways.
    pub(super) profile: Option<Field<Profile>>,
    /// How long frames take.
    pub(super) delay: Option<Field<Span>>,
    /// How the delay varies.
    pub(super) jitter: Option<Field<RawJitter>>,
    /// Which frames are lost.
    pub(super) loss: Option<Field<RawLoss>>,
    /// How many arrive twice.
    pub(super) duplicate: Option<Field<RawChance>>,
    /// How many have one bit wrong.
    pub(super) corrupt: Option<Field<RawChance>>,
    /// How many overtake those that are delayed.
    pub(super) reorder: Option<Field<RawChance>>,
    /// How fast frames go.
    pub(super) rate: Option<Field<Rate>>,
    /// How many frames of 1514 bytes wait for their turn; more are lost.
    #[schemars(range(min = 1))]
    pub(super) queue: Option<Field<u32>>,
    /// What is different on the way to one of the ends, by its name.
    pub(super) towards: Option<Field<Entries<NodeName, RawConditions>>>,
}

/// VLANs of a switch port: a number is an access port's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawVlan {
    Number(Field<VlanId>),
    Mapping(RawVlanPort),
}

/// An access port (`access`), or a trunk (`trunk`, perhaps `native`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawVlanPort {
    /// Untagged frames belong to this VLAN and leave untagged.
    pub(super) access: Option<Field<VlanId>>,
    /// Frames of these VLANs pass with their tag.
    pub(super) trunk: Option<Field<Vec<Field<VlanId>>>>,
    /// The VLAN of a trunk's untagged frames; they are dropped without it.
    pub(super) native: Option<Field<VlanId>>,
    /// Whether frames of the native VLAN leave with their tag.
    pub(super) native_tagged: Option<Field<bool>>,
}

/// Something that must hold: `reachable` or `unreachable`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExpectation {
    /// Nodes each of which must reach each other one; `all` are all there are.
    pub(super) reachable: Option<Field<RawAmong>>,
    /// Nodes none of which may reach another one.
    pub(super) unreachable: Option<Field<RawAmong>>,
    /// The longest round trip that is accepted, as in 20ms or 2s.
    pub(super) within: Option<Field<Milliseconds>>,
}

/// Some nodes, or all.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawAmong {
    Text(All),
    Sequence(Vec<Field<NodeName>>),
}
