//! The lab's namespaces: one for its switches, one for each node.

use super::backends::Backends;
use crate::model::{self, Identity, Netns, PinName};
use crate::spec::{Node, Spec};

/// The fabric's namespace, where the lab has a Linux bridge, then the nodes'.
pub(super) fn namespaces(spec: &Spec, identity: &Identity, backends: &Backends) -> Vec<Netns> {
    let fabric = backends
        .has_linux()
        .then(|| Netns { name: PinName::of_fabric(&spec.name), mark: mark(spec, "fabric", identity) });
    let nodes = spec.nodes.iter().map(|node| node_netns(spec, node, identity));
    fabric.into_iter().chain(nodes).collect()
}

/// A node's.
pub(super) fn node_netns(spec: &Spec, node: &Node, identity: &Identity) -> Netns {
    Netns { name: PinName::of_node(&spec.name, &node.name), mark: mark(spec, node.name.as_str(), identity) }
}

/// What a namespace's `lo` has as its alias, to say whose it is.
fn mark(spec: &Spec, what: &str, identity: &Identity) -> String {
    model::mark(&spec.name, what, identity.instance.as_ref())
}
