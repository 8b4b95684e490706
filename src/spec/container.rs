//! The container that a node is, checked.

use super::{Node, Spec, VolumeMount};
use crate::model::container::{Limits, MountKind, Rights, RootFileSystem, RootSource, User};
use crate::model::{ImageName, VolumeKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The container that a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeContainer {
    /// Its root, and what is mounted into it. Of one from an image that nobody has looked up yet, the layers are none.
    pub root: RootFileSystem,
    /// The image that it stands on, where that is what was written.
    pub image: Option<FromImage>,
    /// The lab's volumes that it has.
    #[serde(default)]
    pub volumes: Vec<VolumeMount>,
    /// The program that runs in it, and its arguments; empty only of one from an image, which says one.
    pub command: Vec<String>,
    /// Its host name, where that is not the node's.
    pub hostname: Option<String>,
    /// Variables of its environment.
    pub env: BTreeMap<String, String>,
    /// The directory that the command starts in, where the topology says one.
    pub workdir: Option<PathBuf>,
    /// Who runs the command.
    pub user: User,
    /// Whether it has a user namespace of its own.
    pub user_namespace: bool,
    /// What it may do.
    pub rights: Rights,
    /// What it may use.
    pub limits: Limits,
    /// Whether it has a terminal.
    pub terminal: bool,
}

/// The image that a container stands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FromImage {
    /// Its name.
    pub name: ImageName,
    /// Whether what is written is still there when the container is made again.
    pub keep: bool,
}

impl Spec {
    /// The same with the machine's files that it names taken from `directory` on, which is absolute: that of the topology's
    /// own file.
    #[must_use]
    pub fn with_files_below(mut self, directory: &Path) -> Self {
        let containers = self.nodes.iter_mut().filter_map(|node: &mut Node| node.container.as_mut());
        for root in containers.map(|container| &mut container.root) {
            let sources = root.mounts.iter_mut().filter_map(|mount| match &mut mount.kind {
                MountKind::Bind { source, .. } => Some(source),
                MountKind::Tmpfs | MountKind::Volume { .. } => None,
            });
            let own = match &mut root.source {
                RootSource::Directory(path) => Some(path),
                RootSource::Host | RootSource::Layers(_) => None,
            };
            for path in sources.chain(own) {
                // Without `.` and what is there twice, so that the same is called the same.
                *path = directory.join(&*path).components().collect();
            }
        }
        for volume in &mut self.volumes {
            if let VolumeKind::Bind { source } = &mut volume.kind {
                *source = directory.join(&*source).components().collect();
            }
        }
        self
    }
}
