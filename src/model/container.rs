//! A container, as it is asked for: a command, the namespaces it gets, its root, what it may do, what it may use.
//!
//! The terms are those of the OCI runtime specification and of namespaces(7). Plain data: what is made of it is `launcher`'s
//! to do.

mod capability;
mod id_map;
mod io;
mod limits;
mod namespaces;

pub use capability::{Capability, CapabilityError};
pub use id_map::{IdMap, IdMapError, UserMaps};
pub use io::{IoRate, IoRateError};
pub use limits::{Cpus, CpusError, Limits, LimitsChange, MemorySize, MemorySizeError};
pub use namespaces::{Namespaces, NetworkOf};

use super::volume::Propagation;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A command and everything that is around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// The program and its arguments; never empty. A program without a slash is looked for in the PATH of its environment.
    pub command: Vec<String>,
    /// The namespaces that it does not share with its caller.
    pub namespaces: Namespaces,
    /// What it sees as its root.
    pub root: Root,
    /// What the kernel tells it to be called (sethostname(2)).
    pub hostname: Option<String>,
    /// Its environment.
    pub environment: Environment,
    /// The directory that it starts in; where none is given, `/` of a root of its own, and else the caller's.
    pub working_directory: Option<PathBuf>,
    /// Who it is inside.
    pub user: User,
    /// What it may do.
    pub rights: Rights,
    /// What it may use; nothing is limited where nothing is said.
    pub limits: Limits,
}

/// What a container sees as its root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Root {
    /// The caller's, as it is: nothing is mounted, and nothing hidden.
    Callers,
    /// One of its own, with /proc, /sys and /dev in it (runtime-spec, config-linux.md: default filesystems).
    Own(RootFileSystem),
}

impl Root {
    /// The layers that it stands on; none where it is no such one.
    pub fn layers(&self) -> &[PathBuf] {
        match self {
            Self::Own(RootFileSystem { source: RootSource::Layers(layers), .. }) => layers,
            Self::Own(_) | Self::Callers => &[],
        }
    }
}

/// A root file system and what is mounted into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootFileSystem {
    /// Where its files are.
    pub source: RootSource,
    /// Where what it writes goes.
    pub writes: Writes,
    /// What is mounted into it, in this order, over what every container has.
    pub mounts: Vec<Mount>,
}

/// Where the files of a root are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum RootSource {
    /// In this directory; an absolute path.
    Directory(PathBuf),
    /// In the machine's own root. What is mounted there is not seen.
    Host,
    /// In these directories, one above the other as overlayfs has them, the uppermost first; absolute paths. Nothing is ever
    /// written to them.
    Layers(Vec<PathBuf>),
}

/// Where a container's writes to its root go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Writes {
    /// Into its source.
    Through,
    /// Into a layer in memory above it, which goes with the container (overlayfs on tmpfs).
    Layer,
    /// Into a layer above it that is on a disk.
    Above(Upper),
}

/// A layer on a disk for what a container writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upper {
    /// The directory that it is in, made where it is missing; an absolute path. It is no other container's.
    pub directory: PathBuf,
    /// What goes when the container does: the directory, and what else was written down of it. Nothing where it is kept, or where
    /// somebody else sees to that.
    pub goes: Vec<PathBuf>,
}

/// A mount of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Where in the root; an absolute path. What a symbolic link there says is taken inside the root.
    pub target: PathBuf,
    /// What is mounted.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum MountKind {
    /// A file or directory of the machine's, with what is mounted below it.
    Bind {
        /// Its absolute path.
        source: PathBuf,
        /// Whether nothing can be written there.
        read_only: bool,
        /// Whether it is left out where the root has nothing at the target, and nothing may be made in it, in place of failing.
        if_target_exists: bool,
    },
    /// A file system in memory, which goes with the container.
    Tmpfs,
    /// What is mounted in another mount namespace: a copy of that mount.
    Volume {
        /// The namespace's file.
        namespace: PathBuf,
        /// The mount's absolute path in it.
        path: PathBuf,
        /// Whether nothing can be written there.
        read_only: bool,
        /// Who sees what the container mounts in it.
        propagation: Propagation,
    },
}

/// A container's environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Whether it begins with all that the caller has; otherwise with a PATH, and HOME of its user, and TERM where it has
    /// a terminal.
    pub inherited: bool,
    /// What is set on top.
    pub variables: BTreeMap<String, String>,
}

/// Who a container's command is, by numbers inside its user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum User {
    /// Who the caller is; root, in a user namespace of its own.
    Callers,
    /// This user, in this group, and in no other one.
    Ids {
        /// The user's number.
        uid: u32,
        /// The group's number.
        gid: u32,
    },
}

/// What a container may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Rights {
    /// All that the caller may: nothing is taken away (and nothing hidden).
    Callers,
    /// What somebody may who is not trusted: these capabilities, the system calls that Docker allows by default, no
    /// privileges gained by executing something, and no look at the kernel's own files.
    Confined {
        /// The capabilities (capabilities(7)), inside its user namespace where it has one.
        capabilities: BTreeSet<Capability>,
    },
    /// All capabilities, all system calls, devices, and the kernel's own files.
    Privileged,
}
