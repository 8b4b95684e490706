//! File systems that containers share.

use super::container::MemorySize;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A file system that containers of a lab can have mounted. It is mounted in a mount namespace of the lab's own, where nobody else
/// sees it, and containers get copies of that mount.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Its name in the topology.
    pub name: String,
    /// What it is.
    pub kind: VolumeKind,
    /// What can't be done in it.
    pub limits: VolumeLimits,
    /// Whether what is mounted in it is seen by all.
    pub propagation: Propagation,
    /// The file that pins the mount namespace.
    pub namespace: PathBuf,
    /// Where it is mounted in that; volumes that differ in anything are mounted at different places.
    pub at: PathBuf,
}

/// What a volume is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum VolumeKind {
    /// A directory of the machine's, without what is mounted below it.
    Bind {
        /// Its absolute path.
        source: PathBuf,
    },
    /// A file system in memory, which takes as much of that as there is in it.
    Tmpfs {
        /// The most that can be in it; half of the machine's memory where nothing is said.
        size: Option<MemorySize>,
    },
    /// A file system as on a disk, on a block device in memory.
    Ramdisk {
        /// The size of the device.
        size: MemorySize,
        /// Its name, as in `mkfs.ext4`.
        filesystem: String,
    },
}

/// What can't be done in a mount (mount(8)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are options of mount(8), each by itself")]
pub struct VolumeLimits {
    /// Nothing is written.
    pub read_only: bool,
    /// Nobody gets a program's owner's rights.
    pub nosuid: bool,
    /// No device is opened.
    pub nodev: bool,
    /// Nothing is executed.
    pub noexec: bool,
}

/// What becomes of what is mounted below a mount (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// Only who mounts it sees it.
    #[default]
    Private,
    /// All who have the same mount see it.
    Shared,
    /// Only who mounts it sees it, and what is mounted in the lab's namespace.
    Slave,
    /// As private, and the mount can't be copied by those who have it.
    Unbindable,
}

impl std::fmt::Display for VolumeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bind { source } => write!(f, "the directory {}", source.display()),
            Self::Tmpfs { size: None } => f.write_str("a file system in memory"),
            Self::Tmpfs { size: Some(size) } => write!(f, "a file system in memory of {size}"),
            Self::Ramdisk { size, filesystem } => write!(f, "a RAM disk of {size} with {filesystem}"),
        }
    }
}
