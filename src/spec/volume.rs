//! The volumes of a lab, checked.

use crate::model::{Propagation, VolumeKind, VolumeLimits};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A file system that containers can share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: VolumeKind,
    /// What can't be done in it.
    pub limits: VolumeLimits,
    /// Who sees what is mounted in it.
    pub propagation: Propagation,
}

/// A volume in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeMount {
    /// The volume's name.
    pub volume: String,
    /// Where it is, an absolute path in the container.
    pub at: PathBuf,
    /// Whether nothing can be written there, whatever the volume says.
    pub read_only: bool,
}
