//! What is written down of an image, and of a layer.

use super::super::config::ImageConfig;
use super::super::digest::Digest;
use super::super::unpack::{Contents, LeftOut};
use crate::model::ImageName;
use serde::{Deserialize, Serialize};

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRecord {
    /// Its name.
    pub name: ImageName,
    /// What it was made from, as it was written.
    pub source: String,
    /// When, in seconds after 1970.
    pub imported_at_unix_s: u64,
    /// Its layers, the lowest first; those that nothing is seen of are not among them.
    pub layers: Vec<LayerRecord>,
    /// How it is run.
    pub config: ImageConfig,
    /// What was left out of it.
    pub left_out: LeftOut,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerRecord {
    /// What it is called: the digest of its archive, unpacked; or of its files, where it never was an archive.
    pub digest: Digest,
    /// How many bytes its files have.
    pub bytes: u64,
    /// How many files and directories there are in it.
    pub files: u64,
}

impl ImageRecord {
    /// How many bytes its files have.
    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.bytes).sum()
    }
}

impl LayerRecord {
    pub(super) fn new(digest: Digest, contents: &Contents) -> Self {
        Self { digest, bytes: contents.bytes, files: contents.files }
    }
}
