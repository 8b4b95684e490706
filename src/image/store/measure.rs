//! How much the store takes on its disk.

use super::super::digest::Digest;
use super::super::error::ImageError;
use super::layers::digest_of;
use super::{Damage, ImageRecord, Images, Store, entries};
use crate::model::ImageName;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What takes how much, in bytes on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Images, by their names.
    pub images: BTreeMap<ImageName, ImageUsage>,
    /// Layers that no image names: `prune` removes those that no container has either.
    pub unused_bytes: u64,
    /// What is being imported, and what is left of imports that were ended.
    pub unfinished_bytes: u64,
    /// What containers have written.
    pub containers_bytes: u64,
    /// All of it.
    pub all_bytes: u64,
    /// Images that can't be read: what is theirs is counted as nobody's.
    pub damaged: Vec<Damage>,
}

/// What an image takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImageUsage {
    /// With what other images have, too.
    pub bytes: u64,
    /// What no other image has.
    pub own_bytes: u64,
}

impl Store {
    /// Measures all of it.
    ///
    /// # Errors
    /// When the store can't be read. What comes and goes meanwhile may be counted, or not.
    pub fn usage(&self) -> Result<Usage, ImageError> {
        let layers = self.root.join("layers");
        let sizes: BTreeMap<Digest, u64> = entries(&layers)?
            .iter()
            .filter_map(|name| Some((digest_of(name)?, bytes_below(&layers.join(name)))))
            .collect();
        let Images { all: images, damaged } = self.images()?;
        let mut usage = Usage {
            images: images.iter().map(|image| (image.name.clone(), ImageUsage::default())).collect(),
            unused_bytes: 0,
            unfinished_bytes: bytes_in(&self.root.join("tmp"))?,
            containers_bytes: bytes_in(&self.root.join("containers"))?,
            all_bytes: 0,
            damaged,
        };
        for (digest, bytes) in sizes {
            let is_of = |image: &&ImageRecord| image.layers.iter().any(|one| one.digest == digest);
            let users: Vec<&ImageName> = images.iter().filter(is_of).map(|image| &image.name).collect();
            for name in &users {
                let usage = usage.images.entry((*name).clone()).or_default();
                usage.bytes += bytes;
                usage.own_bytes += if users.len() == 1 { bytes } else { 0 };
            }
            usage.unused_bytes += if users.is_empty() { bytes } else { 0 };
            usage.all_bytes += bytes;
        }
        usage.all_bytes += usage.unfinished_bytes + usage.containers_bytes;
        Ok(usage)
    }
}

/// What is in a directory, itself not counted.
fn bytes_in(directory: &Path) -> Result<u64, ImageError> {
    Ok(entries(directory)?.iter().map(|name| bytes_below(&directory.join(name))).sum())
}

/// What is below a directory, itself counted; a file with several names once.
fn bytes_below(directory: &Path) -> u64 {
    let mut seen = BTreeSet::new();
    let mut bytes = 0;
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if found.nlink() < 2 || found.is_dir() || seen.insert((found.dev(), found.ino())) {
            bytes += found.blocks() * 512; // its unit, whatever the file system's (stat(3type))
        }
        if found.is_dir() {
            left.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
    bytes
}
