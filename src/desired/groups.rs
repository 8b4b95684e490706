//! The cgroups that no container makes for itself.

use super::containers;
use crate::model::container::Limits;
use crate::model::{LimitedGroup, group_of};
use crate::spec::Spec;
use std::path::Path;

/// That of the lab, where it is limited as a whole; and those of the nodes that are no containers and are limited, or are to be
/// bounded with all others. `directory` is the lab's.
pub(super) fn groups(spec: &Spec, directory: &Path) -> Vec<LimitedGroup> {
    let cgroup = group_of(containers::state(directory), spec.name.as_str());
    let is_limited = spec.limits != Limits::default();
    let of_lab = LimitedGroup { node: None, cgroup: cgroup.clone(), limits: spec.limits.clone() };
    let bare = spec.nodes.iter().filter(|node| node.container.is_none());
    let of_nodes = bare.filter(|node| is_limited || !node.limits.is_none()).map(|node| LimitedGroup {
        node: Some(node.name.clone()),
        cgroup: cgroup.join(node.name.as_str()),
        limits: node.limits.clone(),
    });
    is_limited.then_some(of_lab).into_iter().chain(of_nodes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::samples::{container, two_node};

    fn shown(spec: &Spec) -> Vec<String> {
        groups(spec, Path::new("/run/nslab/labs/two-node"))
            .iter()
            .map(|group| format!("{}: {}", group.cgroup.display(), group.limits))
            .collect()
    }

    #[test]
    fn who_is_limited_has_a_cgroup() {
        let mut spec = two_node();
        assert_eq!(shown(&spec), [] as [&str; 0]);
        spec.nodes[0].limits.pids = Some(9);
        assert_eq!(shown(&spec), ["nslab/two-node/net1: 9 processes"]);
        // Whoever is bounded with others is in theirs; a container makes its own.
        spec.limits.memory = "100M".parse().ok();
        spec.nodes[1].container = Some(container(&["sleep", "9"]));
        assert_eq!(shown(&spec), ["nslab/two-node: memory 100 MB", "nslab/two-node/net1: 9 processes"]);
        spec.nodes[1].container = None;
        assert_eq!(shown(&spec)[2], "nslab/two-node/net2: no limit");
        // A lab of that name in another state directory is another lab.
        let elsewhere = groups(&spec, Path::new("/tmp/a/labs/two-node"));
        assert_eq!(elsewhere[0].cgroup, Path::new("nslab/two-node@9eb5573a"));
        assert_eq!(elsewhere[1].cgroup, Path::new("nslab/two-node@9eb5573a/net1"));
    }
}
