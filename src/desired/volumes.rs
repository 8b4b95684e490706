//! The volumes of a lab.

use crate::model::Volume;
use crate::model::container::{Mount, MountKind};
use crate::model::hash;
use crate::spec::{Node, Spec};
use std::path::{Path, PathBuf};

/// The file that pins the mount namespace in which a lab's volumes are, in its directory.
const PIN: &str = "volumes";

/// All of a lab's, in the topology's order. The lab of a script has no directory, and nothing there but its name is used.
pub(super) fn volumes(spec: &Spec, directory: &Path) -> Vec<Volume> {
    let name = spec.name.as_str();
    let directory = if directory.ends_with(name) { directory.to_owned() } else { directory.join(name) };
    spec.volumes.iter().map(|wanted| volume(wanted, directory.join(PIN))).collect()
}

fn volume(wanted: &crate::spec::Volume, namespace: PathBuf) -> Volume {
    let crate::spec::Volume { name, kind, limits, propagation } = wanted.clone();
    // Where it is says all that it is: one that is to be another is made beside the one that is there.
    let all = serde_json::to_string(wanted).unwrap_or_default();
    let at = Path::new("/").join(format!("{name}-{:016x}", hash::stable(&all)));
    Volume { name, kind, limits, propagation, namespace, at }
}

/// Those that a node's container has.
pub(super) fn mounts(node: &Node, volumes: &[Volume]) -> Vec<Mount> {
    let wanted = node.container.iter().flat_map(|container| &container.volumes);
    let mounts = wanted.filter_map(|wanted| {
        let volume = volumes.iter().find(|volume| volume.name == wanted.volume)?;
        let kind = MountKind::Volume {
            namespace: volume.namespace.clone(),
            path: volume.at.clone(),
            read_only: wanted.read_only,
            propagation: volume.propagation,
        };
        Some(Mount { target: wanted.at.clone(), kind })
    });
    mounts.collect()
}
