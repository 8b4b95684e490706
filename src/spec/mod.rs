//! From the text of a topology to a [`Spec`], all of its errors at once. Pure.
//!
//! ```text
//! text ── tree ──→ positioned tree ── decode ──→ raw types ── validate ──→ Spec
//! ```
//!
//! The raw types (`raw.rs`) are the one description of the format: they are what the text is decoded into, and what
//! [`schema()`] is made of. A value that can't be decoded does not stop its neighbours from being looked at.

mod conditions;
mod container;
mod decode;
mod error;
mod field;
mod link_name;
mod ovs;
mod parse;
mod problem;
mod profile;
mod raw;
mod raw_conditions;
mod raw_container;
mod raw_ovs;
mod raw_uplink;
mod raw_volume;
mod schema;
mod suggest;
mod tree;
mod types;
mod uplink;
mod validate;
mod values;
mod volume;

pub use conditions::{Change, ConditionsChange, ConditionsProblem};
pub use container::{FromImage, NodeContainer};
pub use error::{Position, SpecError, SpecErrors};
pub use link_name::{LinkNameError, LinkWay, find_link};
pub use ovs::{
    Collector, ConnectionMethod, DatapathId, FailMode, Ipfix, Limit, Mirror, NetFlow, OpenFlow, OvsSettings,
    OvsTextError, Rstp, SFlow, Selection,
};
pub use parse::{MAX_TEXT_BYTES, parse};
pub use problem::Problem;
pub use profile::{Profile, ProfileError};
pub use schema::schema;
pub(crate) use suggest::nearest;
pub use types::{
    Backend, Expectation, Link, LinkBehaviour, LinkEnd, Node, NodeInterface, NodeRoute, Outcome, Slaac, Spec, Switch,
};
pub use uplink::{NatUplink, NicUplink, Uplink, UplinkSwitchError, uplink_switch};
pub use validate::{
    AddressProblem, AutoconfigurationProblem, BehaviourProblem, ContainerProblem, DhcpProblem, ExpectProblem,
    LinkProblem, NameProblem, NodeProblem, OvsProblem, RouteProblem, SubnetProblem, SwitchProblem, UplinkProblem,
    VolumeProblem,
};
pub use volume::{Volume, VolumeMount};
