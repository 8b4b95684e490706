//! Layers of the store.

use super::super::digest::Digest;
use super::super::error::{ImageError, InStore};
use super::super::unpack::Contents;
use super::{Locked, Store, read};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where a layer's files are in its directory.
pub(super) const FILES: &str = "files";

/// What is in it.
pub(super) const CONTENTS: &str = "layer.json";

impl Store {
    /// The directory of a layer, whether it is there or not.
    pub(super) fn layer(&self, digest: &Digest) -> PathBuf {
        self.root.join("layers").join(name_of(digest))
    }

    /// The directory of a layer's files.
    pub fn files_of(&self, digest: &Digest) -> PathBuf {
        self.layer(digest).join(FILES)
    }
}

impl Locked<'_> {
    /// What is in a layer, where that is there.
    pub(super) fn contents(&self, digest: &Digest) -> Result<Option<Contents>, ImageError> {
        read(&self.store.layer(digest).join(CONTENTS))
    }

    /// Puts a layer that was made beside in its place. Where somebody else has made the same meanwhile, that stays.
    pub(super) fn add_layer(&self, made: &Path, digest: &Digest) -> Result<(), ImageError> {
        let place = self.store.layer(digest);
        match fs::rename(made, &place) {
            Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => Ok(()),
            renamed => renamed.in_store("make", &place),
        }
    }
}

/// What a layer's directory is called: a colon separates directories for overlayfs.
pub(super) fn name_of(digest: &Digest) -> String {
    digest.to_string().replace(':', "-")
}

/// The digest of a layer's directory.
pub(super) fn digest_of(name: &str) -> Option<Digest> {
    name.replacen('-', ":", 1).parse().ok()
}
