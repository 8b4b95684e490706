//! As `raw`, what only switches of Open vSwitch have.

use super::field::Field;
use super::ovs::{Collector, ConnectionMethod};
use super::values::{All, Endpoint};
use crate::model::{ByteSize, Rate};
use schemars::JsonSchema;
use serde::Deserialize;

/// Rapid spanning tree: on, off, or on with these parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawRstp {
    Boolean(bool),
    Mapping(RawRstpParameters),
}

/// Rapid spanning-tree parameters of a switch.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRstpParameters {
    /// Bridge priority, a multiple of 4096; the lowest becomes the root.
    #[schemars(range(max = 61440), extend("multipleOf" = 4096))]
    pub(super) priority: Option<Field<u16>>,
    /// Seconds after which a MAC address that is not heard of is forgotten.
    #[schemars(range(min = 10, max = 1_000_000))]
    pub(super) ageing_time: Option<Field<u32>>,
    /// Seconds after which a silent neighbour is taken for gone.
    #[schemars(range(min = 6, max = 40))]
    pub(super) max_age: Option<Field<u8>>,
    /// Seconds a port spends learning before it forwards, where the neighbour does not answer at once.
    #[schemars(range(min = 4, max = 30))]
    pub(super) forward_delay: Option<Field<u8>>,
    /// Messages that a port sends within a second at most.
    #[schemars(range(min = 1, max = 10))]
    pub(super) transmit_hold_count: Option<Field<u8>>,
}

/// A controller, or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawControllers {
    Text(Field<ConnectionMethod>),
    Sequence(Vec<Field<ConnectionMethod>>),
}

/// NetFlow: a record of each flow.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNetFlow {
    /// Where the records go.
    #[schemars(length(min = 1))]
    pub(super) targets: Field<Vec<Field<Collector>>>,
    /// Seconds after which a flow that goes on is told of.
    pub(super) active_timeout: Option<Field<u32>>,
}

/// sFlow: samples of frames.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSFlow {
    /// Where the samples go.
    #[schemars(length(min = 1))]
    pub(super) targets: Field<Vec<Field<Collector>>>,
    /// One frame of so many is sampled.
    #[schemars(range(min = 1))]
    pub(super) sampling: Option<Field<u32>>,
    /// Seconds between reports of the ports' counters.
    pub(super) polling: Option<Field<u32>>,
    /// How much of a frame is sent, in bytes.
    pub(super) header: Option<Field<u32>>,
}

/// IPFIX: records of flows, and samples.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIpfix {
    /// Where the records go.
    #[schemars(length(min = 1))]
    pub(super) targets: Field<Vec<Field<Collector>>>,
    /// One frame of so many is sampled.
    #[schemars(range(min = 1))]
    pub(super) sampling: Option<Field<u32>>,
    /// What the records name as the place of observation.
    pub(super) observation_domain: Option<Field<u32>>,
    /// The point in it.
    pub(super) observation_point: Option<Field<u32>>,
}

/// A mirror, or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawMirrors {
    Mapping(Field<RawMirror>),
    Sequence(Vec<Field<RawMirror>>),
}

/// Copies of frames, to a port that gets nothing else.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMirror {
    /// What is copied: `all`, or what comes in or goes out by the ports to these nodes or switches.
    pub(super) select: Field<RawSelection>,
    /// The node, or its interface, or the switch, whose port gets the copies.
    pub(super) output: Field<Endpoint>,
}

/// All frames, or those of some ports.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawSelection {
    Text(All),
    Sequence(Vec<Field<Endpoint>>),
}

/// How fast frames may go through a port.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimit {
    /// The rate in the long run.
    pub(super) rate: Field<Rate>,
    /// How much may go at once.
    pub(super) burst: Option<Field<ByteSize>>,
}
