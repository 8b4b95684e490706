//! A topology's `volumes`, and the `mounts` of containers, as text: as `raw`, of which this is a part.

use super::field::Field;
use super::raw_container::InsidePath;
use crate::model::container::MemorySize;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// A file system that containers can share, and nobody else sees.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawVolume {
    /// What it is.
    pub(super) kind: Field<RawVolumeKind>,
    /// The most that can be in it: for a tmpfs, and a ramdisk.
    pub(super) size: Option<Field<MemorySize>>,
    /// The file system of a ramdisk, as in `mkfs.ext4`; ext4 without it.
    pub(super) filesystem: Option<Field<Filesystem>>,
    /// The directory that a bind shows, from the topology's file on.
    pub(super) source: Option<Field<PathBuf>>,
    /// Whether nothing can be written to it.
    pub(super) read_only: Option<Field<bool>>,
    /// Whether nobody gets a program's owner's rights by it.
    pub(super) nosuid: Option<Field<bool>>,
    /// Whether no device in it can be opened.
    pub(super) nodev: Option<Field<bool>>,
    /// Whether no program in it can be executed.
    pub(super) noexec: Option<Field<bool>>,
    /// Who sees what a container mounts in it; private without it: nobody else.
    pub(super) propagation: Option<Field<RawPropagation>>,
}

/// What a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawVolumeKind {
    /// A directory of the machine's.
    Bind,
    /// A file system in memory.
    Tmpfs,
    /// A file system on a block device in memory.
    Ramdisk,
}

/// Who sees what is mounted in a volume (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawPropagation {
    /// Who mounted it.
    Private,
    /// All containers that have the volume.
    Shared,
    /// Who mounted it, and for what is mounted where the volume comes from, all.
    Slave,
    /// Who mounted it, and the volume can't be bound elsewhere.
    Unbindable,
}

/// Why a text can't be one of those below.
#[derive(Debug, thiserror::Error)]
pub(super) enum VolumeTextError {
    #[error("`{0}` is no file system's name: write one for which there is a mkfs.NAME, as in ext4")]
    Filesystem(String),
    #[error("`{0}` does not say which volume is where: write VOLUME:PATH, or VOLUME:PATH:ro")]
    Mount(String),
}

/// The name of a file system.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Filesystem(pub(super) String);

impl TryFrom<String> for Filesystem {
    type Error = VolumeTextError;
    fn try_from(text: String) -> Result<Self, VolumeTextError> {
        let is_right = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if is_right { Ok(Self(text)) } else { Err(VolumeTextError::Filesystem(text)) }
    }
}

/// The name of a volume, which `validate` looks at: here for the schema.
#[derive(Debug)]
pub(super) struct VolumeName;

/// A volume in a container: VOLUME:PATH, or with more about it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawMount {
    Text(MountText),
    Mapping(RawMountParts),
}

/// A volume in a container.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMountParts {
    /// The volume.
    pub(super) volume: Field<String>,
    /// Where it is.
    pub(super) at: Field<InsidePath>,
    /// Whether nothing can be written there.
    pub(super) read_only: Option<Field<bool>>,
}

/// The same as one text.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct MountText {
    pub(super) volume: String,
    pub(super) at: PathBuf,
    pub(super) read_only: bool,
}

impl TryFrom<String> for MountText {
    type Error = VolumeTextError;
    fn try_from(text: String) -> Result<Self, VolumeTextError> {
        let fields: Vec<&str> = text.split(':').collect();
        let (volume, at, read_only) = match fields[..] {
            [volume, at] | [volume, at, "rw"] => (volume, at, false),
            [volume, at, "ro"] => (volume, at, true),
            _ => return Err(VolumeTextError::Mount(text)),
        };
        if volume.is_empty() || !at.starts_with('/') {
            return Err(VolumeTextError::Mount(text));
        }
        Ok(Self { volume: volume.to_owned(), at: at.into(), read_only })
    }
}
