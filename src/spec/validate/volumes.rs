//! The volumes of a lab, and which of them containers have.

use super::{items, value};
use crate::model::container::MemorySize;
use crate::model::{Propagation, VolumeKind, VolumeLimits};
use crate::spec::error::Problems;
use crate::spec::field::Field;
use crate::spec::raw::RawTopology;
use crate::spec::raw_container::RawContainer;
use crate::spec::raw_volume::{RawMount, RawMountParts, RawPropagation, RawVolume, RawVolumeKind};
use crate::spec::{Position, Volume, VolumeMount, suggest};

/// What is wrong with a volume, or with a container's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VolumeProblem {
    /// Its name can't be one.
    #[error("`{name}` can't be a volume's name: use 1 to 32 letters, digits, `-` and `_`")]
    Name {
        /// What is there.
        name: String,
    },
    /// A key that is of another kind.
    #[error("a {kind} has no `{key}`: remove it")]
    Key {
        /// What the volume is.
        kind: &'static str,
        /// The key.
        key: &'static str,
    },
    /// A key that its kind needs.
    #[error("a {kind} needs `{key}`: write it")]
    Missing {
        /// What the volume is.
        kind: &'static str,
        /// The key.
        key: &'static str,
    },
    /// No file system has room there.
    #[error("nothing can be in a volume of this size: write at least 1M")]
    Size,
    /// No such volume.
    #[error("there is no volume `{name}`{}", suggestion.as_ref().map_or(String::new(), |near| format!(": did you mean `{near}`?")))]
    Unknown {
        /// What is there.
        name: String,
        /// The nearest that there is.
        suggestion: Option<String>,
    },
}

/// The least that a volume holds, in bytes.
const LEAST_BYTES: u64 = 1 << 20;

/// Checks all of a topology's.
pub(super) fn check(raw: &RawTopology, problems: &mut Problems) -> Vec<Volume> {
    let entries = value(raw.volumes.as_ref()).map_or(&[][..], |all| &all.entries);
    entries.iter().filter_map(|(name, raw)| check_one(name, raw, problems)).collect()
}

fn check_one(name: &Field<String>, field: &Field<RawVolume>, problems: &mut Problems) -> Option<Volume> {
    let text = name.value.clone()?;
    let is_right = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !(1..=32).contains(&text.len()) || !text.bytes().all(is_right) {
        problems.add(name.at, VolumeProblem::Name { name: text });
        return None;
    }
    let RawVolume { kind, size, filesystem, source, read_only, nosuid, nodev, noexec, propagation } =
        field.value.as_ref()?;
    if let Some(size) = size.as_ref().filter(|size| size.value.is_some_and(|size| size.bytes() < LEAST_BYTES)) {
        problems.add(size.at, VolumeProblem::Size);
    }
    let is_on = |field: &Option<Field<bool>>| value(field.as_ref()).copied().unwrap_or_default();
    let limits =
        VolumeLimits { read_only: is_on(read_only), nosuid: is_on(nosuid), nodev: is_on(nodev), noexec: is_on(noexec) };
    let raw_kind = kind.value?;
    let word = match raw_kind {
        RawVolumeKind::Bind => "bind",
        RawVolumeKind::Tmpfs => "tmpfs",
        RawVolumeKind::Ramdisk => "ramdisk",
    };
    let mut has_no = |key, at: Option<Position>| {
        if let Some(at) = at {
            problems.add(at, VolumeProblem::Key { kind: word, key });
        }
    };
    if raw_kind == RawVolumeKind::Bind {
        has_no("size", size.as_ref().map(|field| field.at));
    } else {
        has_no("source", source.as_ref().map(|field| field.at));
    }
    if raw_kind != RawVolumeKind::Ramdisk {
        has_no("filesystem", filesystem.as_ref().map(|field| field.at));
    }
    let bytes: Option<MemorySize> = value(size.as_ref()).copied();
    let mut missing = |key| problems.add(kind.at, VolumeProblem::Missing { kind: word, key });
    let kind = match raw_kind {
        RawVolumeKind::Bind => {
            if source.is_none() {
                missing("source");
            }
            VolumeKind::Bind { source: value(source.as_ref())?.clone() }
        }
        RawVolumeKind::Tmpfs => VolumeKind::Tmpfs { size: bytes },
        RawVolumeKind::Ramdisk => {
            if size.is_none() {
                missing("size");
            }
            let filesystem = value(filesystem.as_ref()).map_or_else(|| "ext4".to_owned(), |name| name.0.clone());
            VolumeKind::Ramdisk { size: bytes?, filesystem }
        }
    };
    let propagation = match value(propagation.as_ref()) {
        None | Some(RawPropagation::Private) => Propagation::Private,
        Some(RawPropagation::Shared) => Propagation::Shared,
        Some(RawPropagation::Slave) => Propagation::Slave,
        Some(RawPropagation::Unbindable) => Propagation::Unbindable,
    };
    Some(Volume { name: text, kind, limits, propagation })
}

/// Those of a container, each with where it stands.
pub(super) fn mounts(raw: &RawContainer, known: &[String], problems: &mut Problems) -> Vec<(Position, VolumeMount)> {
    let mut mounts = Vec::new();
    for field in items(raw.mounts.as_ref()) {
        let mount = match &field.value {
            None => None,
            Some(RawMount::Text(text)) => {
                Some(VolumeMount { volume: text.volume.clone(), at: text.at.clone(), read_only: text.read_only })
            }
            Some(RawMount::Mapping(RawMountParts { volume, at, read_only })) => {
                volume.value.clone().zip(at.value.as_ref()).map(|(volume, at)| VolumeMount {
                    volume,
                    at: at.0.clone(),
                    read_only: value(read_only.as_ref()).copied().unwrap_or_default(),
                })
            }
        };
        let Some(mount) = mount else { continue };
        if known.contains(&mount.volume) {
            mounts.push((field.at, mount));
        } else {
            let suggestion = suggest::nearest(&mount.volume, known.iter().map(String::as_str)).map(str::to_owned);
            problems.add(field.at, VolumeProblem::Unknown { name: mount.volume, suggestion });
        }
    }
    mounts
}

/// The names that are there, be their volumes right or not.
pub(super) fn names(raw: &RawTopology) -> Vec<String> {
    let entries = value(raw.volumes.as_ref()).map_or(&[][..], |all| &all.entries);
    entries.iter().filter_map(|(name, _)| name.value.clone()).collect()
}
