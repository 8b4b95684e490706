//! The names of the network namespaces that a lab's parts are in.

use super::{LabName, NodeName};
use serde::{Deserialize, Serialize};

/// The part of a lab's namespace name that stands for its switches; no node may be called so.
const FABRIC: &str = "fabric";

/// The name of a network namespace pinned in /run/netns, always `<lab>-<node>` or `<lab>-fabric`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PinName(String);

impl PinName {
    /// The namespace of a node.
    pub fn of_node(lab: &LabName, node: &NodeName) -> Self {
        Self(format!("{lab}-{node}"))
    }

    /// The namespace that a lab's Linux bridges live in.
    pub fn of_fabric(lab: &LabName) -> Self {
        Self(format!("{lab}-{FABRIC}"))
    }

    /// A namespace that was found in /run/netns, whoever made it.
    pub fn existing(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// Whether a node of this name would take the fabric's place.
    pub fn is_reserved(node: &NodeName) -> bool {
        node.as_str() == FABRIC
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for PinName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// A network namespace that parts of a lab are in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum NetnsName {
    /// The one that nslab was started in, "the host". As text it is empty.
    Host,
    /// One of the lab's own.
    Pinned(PinName),
}

impl NetnsName {
    /// The namespace of a node.
    pub fn of_node(lab: &LabName, node: &NodeName) -> Self {
        Self::Pinned(PinName::of_node(lab, node))
    }

    /// The namespace that a lab's Linux bridges live in.
    pub fn of_fabric(lab: &LabName) -> Self {
        Self::Pinned(PinName::of_fabric(lab))
    }

    /// Its name in /run/netns; `None` for the host's.
    pub fn pinned(&self) -> Option<&PinName> {
        match self {
            Self::Host => None,
            Self::Pinned(name) => Some(name),
        }
    }
}

impl From<PinName> for NetnsName {
    fn from(name: PinName) -> Self {
        Self::Pinned(name)
    }
}

impl From<String> for NetnsName {
    fn from(text: String) -> Self {
        if text.is_empty() { Self::Host } else { Self::Pinned(PinName(text)) }
    }
}

impl From<NetnsName> for String {
    fn from(name: NetnsName) -> String {
        match name {
            NetnsName::Host => String::new(),
            NetnsName::Pinned(name) => name.0,
        }
    }
}

impl std::fmt::Display for NetnsName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Host => f.pad("host"),
            Self::Pinned(name) => name.fmt(f),
        }
    }
}
