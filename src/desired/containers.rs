//! The containers that nodes are.

use super::dhcp;
use super::netns::node_netns;
use crate::model::container::{
    Container, Environment, Mount, MountKind, Namespaces, NetworkOf, Root, RootSource, UserMaps,
};
use crate::model::{HostsFile, Identity, NameDirectory, NodeContainer, STATE_DIRECTORY, Volume, cgroup_of};
use crate::spec::{Node, Spec};
use std::path::{Path, PathBuf};

/// Where what is written down of a node's container is, in the lab's directory.
pub(super) fn record(directory: &Path, node: &Node) -> PathBuf {
    directory.join("containers").join(node.name.as_str())
}

/// The containers, in the order of their nodes; the directories of names are those of all nodes, in their order.
pub(super) fn containers(
    spec: &Spec,
    identity: &Identity,
    directory: &Path,
    (files, directories): (&[HostsFile], &[NameDirectory]),
    volumes: &[Volume],
) -> Vec<NodeContainer> {
    let state = state(directory);
    let mut all = Vec::new();
    for (node, names) in spec.nodes.iter().zip(directories) {
        let Some(wanted) = &node.container else { continue };
        let mut root = wanted.root.clone();
        // What an image lacks is made in the container's own layer, and goes with that.
        let if_target_exists = !matches!(root.source, RootSource::Layers(_));
        root.mounts.splice(0..0, name_files(node, files, &names.directory, if_target_exists));
        root.mounts.extend(super::volumes::mounts(node, volumes));
        let mut variables = wanted.env.clone();
        for (name, value) in [("NSLAB_LAB", spec.name.as_str()), ("NSLAB_NODE", node.name.as_str())] {
            variables.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        let user = wanted.user_namespace.then_some(UserMaps::CallerIsRoot);
        let container = Container {
            command: wanted.command.clone(),
            // Started inside the node's network namespace, it keeps that one.
            namespaces: Namespaces { user, ..Namespaces::all(NetworkOf::Caller) },
            root: Root::Own(root),
            hostname: Some(wanted.hostname.clone().unwrap_or_else(|| node.name.to_string())),
            environment: Environment { inherited: false, variables },
            working_directory: wanted.workdir.clone(),
            user: wanted.user,
            rights: wanted.rights.clone(),
            limits: wanted.limits.clone(),
        };
        all.push(NodeContainer {
            netns: node_netns(spec, node, identity),
            node: node.name.clone(),
            container,
            directory: record(directory, node),
            cgroup: cgroup_of(state, spec.name.as_str(), node.name.as_str()),
            terminal: wanted.terminal,
        });
    }
    all
}

/// The state directory that a lab's directory is in: `labs` is between them. The lab of a script has none, and its cgroups are
/// where somebody would look for them.
pub(super) fn state(directory: &Path) -> &Path {
    let labs = directory.parent().filter(|above| above.ends_with("labs"));
    labs.and_then(Path::parent).unwrap_or(Path::new(STATE_DIRECTORY))
}

/// The files by which the node knows names, over those of the root: where one that is not ours has none, nobody there reads them.
fn name_files(node: &Node, files: &[HostsFile], directory: &Path, if_target_exists: bool) -> Vec<Mount> {
    let bind = |name: &str| Mount {
        target: Path::new("/etc").join(name),
        kind: MountKind::Bind { source: directory.join(name), read_only: true, if_target_exists },
    };
    let file = files.iter().find(|file| file.directory == directory);
    // What a lease says may be nothing, and then there is no file.
    let has_resolver = file.is_some_and(|file| file.resolv_conf.is_some()) && !dhcp::has_client(node);
    std::iter::once(bind("hosts")).chain(has_resolver.then(|| bind("resolv.conf"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::samples::{container, identity, two_node};
    use crate::desired::{Backends, resolve};

    #[test]
    fn a_container_has_the_nodes_network_name_and_names() {
        let mut spec = two_node();
        spec.nodes[1].container = Some(container(&["sleep", "9"]));
        let root = Path::new("/run/nslab/labs/two-node/etc");
        let of = resolve(&spec, root, &identity(), &Backends::linux(&spec), None, None).containers;
        let [of] = &of[..] else { panic!("{of:?}") };
        assert_eq!(of.netns.name.as_str(), "two-node-net2");
        assert_eq!(of.directory, Path::new("/run/nslab/labs/two-node/containers/net2"));
        assert_eq!(of.cgroup, Path::new("nslab/two-node/net2"));
        assert_eq!(of.container.hostname.as_deref(), Some("net2"));
        assert_eq!(of.container.namespaces, Namespaces::all(NetworkOf::Caller));
        let Root::Own(files) = &of.container.root else { panic!("{of:?}") };
        let hosts = MountKind::Bind { source: root.join("10.0.0.0-24/hosts"), read_only: true, if_target_exists: true };
        assert_eq!(files.mounts, [Mount { target: "/etc/hosts".into(), kind: hosts }]);
        let names: Vec<&str> = of.container.environment.variables.keys().map(String::as_str).collect();
        assert_eq!(names, ["NSLAB_LAB", "NSLAB_NODE"]);
    }
}
