//! Where images are kept: every layer once, whoever's it is, and for each image a file that names its layers.
//!
//! ```text
//! lock                        held for moments: while something comes to its place, or goes
//! layers/sha256-…/files/      a layer as overlayfs has it; never changed, and written to by nobody
//! layers/sha256-…/layer.json  what is in it
//! images/NAME.json            an image: its layers, and how it is run
//! containers/…/               what a container writes that stands on an image, and which that is
//! tmp/…/                      what is being imported, and what is being removed; locked by who does that
//! ```
//!
//! Only root looks in: what is in an image may be executable as root, by whoever finds it.

mod claims;
mod damage;
mod layers;
mod measure;
mod prune;
mod record;
mod swept;
mod work;

pub use claims::{Claim, Footing};
pub use damage::Damage;
pub use measure::Usage;
pub use prune::{Kept, Pruned};
pub use record::{ImageRecord, LayerRecord};
pub use swept::Swept;

pub(super) use work::{NewLayer, Work};

use super::error::{ImageError, InStore};
use crate::model::ImageName;
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Only root's, or whoever's the store is.
const DIRECTORY: u32 = 0o700;

/// The places in it.
const PLACES: [&str; 4] = ["layers", "images", "containers", work::WORKS];

/// The store of a directory.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// The images of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Images {
    /// Those that can be read, in alphabetical order.
    pub all: Vec<ImageRecord>,
    /// What there is to say of the others.
    pub damaged: Vec<Damage>,
}

/// The store, locked.
pub(super) struct Locked<'a> {
    store: &'a Store,
    _lock: File,
}

impl Store {
    /// That in this directory, which is made when something is to come into it.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Locks it, waiting for whoever has; makes it where it is missing.
    pub(super) fn lock(&self) -> Result<Locked<'_>, ImageError> {
        let mut directories = DirBuilder::new();
        directories.mode(DIRECTORY).recursive(true);
        for place in PLACES.map(|place| self.root.join(place)) {
            directories.create(&place).in_store("make", &place)?;
        }
        let path = self.root.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let lock = lock.in_store("open", &path)?;
        loop {
            match flock(&lock, FlockOperation::LockExclusive) {
                Err(rustix::io::Errno::INTR) => {}
                answer => break answer.in_store("lock", &path)?,
            }
        }
        Ok(Locked { store: self, _lock: lock })
    }

    /// As [`Store::lock`]; `None` where there is no store, which is not made then.
    pub(super) fn lock_existing(&self) -> Result<Option<Locked<'_>>, ImageError> {
        if self.root.join("lock").exists() { self.lock().map(Some) } else { Ok(None) }
    }

    /// All images. One that can't be read is no reason not to tell of the others.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn images(&self) -> Result<Images, ImageError> {
        let mut images = Images::default();
        for name in self.names()? {
            match self.find(&name) {
                // One may have gone meanwhile.
                Ok(found) => images.all.extend(found),
                Err(error) => images.damaged.push(Damage::of_image(&name, &self.image_path(&name), &error)),
            }
        }
        Ok(images)
    }

    /// The image of a name.
    ///
    /// # Errors
    /// When there is none, or it can't be read.
    pub fn image(&self, name: &ImageName) -> Result<ImageRecord, ImageError> {
        match self.find(name)? {
            Some(found) => Ok(found),
            None => Err(ImageError::NoSuchImage { name: name.clone(), there: self.names()? }),
        }
    }

    fn find(&self, name: &ImageName) -> Result<Option<ImageRecord>, ImageError> {
        read(&self.image_path(name))
    }

    fn names(&self) -> Result<Vec<ImageName>, ImageError> {
        let name = |file: &str| ImageName::try_from(file.strip_suffix(".json")?).ok();
        let mut names: Vec<ImageName> =
            entries(&self.root.join("images"))?.iter().filter_map(|file| name(file)).collect();
        names.sort();
        Ok(names)
    }

    fn image_path(&self, name: &ImageName) -> PathBuf {
        self.root.join("images").join(format!("{name}.json"))
    }
}

/// The names in a directory that are text; none where it is not there.
fn entries(directory: &Path) -> Result<Vec<String>, ImageError> {
    let all = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        all => all.in_store("read", directory)?,
    };
    let mut names = Vec::new();
    for entry in all {
        names.extend(entry.in_store("read", directory)?.file_name().into_string().ok());
    }
    Ok(names)
}

/// What a file of the store says; `None` where it is not there.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ImageError> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.in_store("read", path)?,
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| ImageError::Damaged { what: path.display().to_string(), why: error.to_string() })
}

/// Writes a file of the store: beside, and then in its place, so that nobody reads half of one, and none is lost with the power.
fn write(path: &Path, what: &impl Serialize) -> Result<(), ImageError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    write_by_way_of(&path.with_file_name(format!(".{name}")), path, what)
}

/// The same, written at another place first.
fn write_by_way_of(beside: &Path, path: &Path, what: &impl Serialize) -> Result<(), ImageError> {
    let text = serde_json::to_vec_pretty(what).map_err(io::Error::other).in_store("write", path)?;
    let write = || {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        if path.parent().is_some_and(|directory| directory.ends_with("images")) {
            crate::fault::at("before an image is in its place").map_err(io::Error::other)?;
        }
        fs::rename(beside, path)?;
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(beside); // the error that is told is the first one
    }
    written.in_store("write", path)
}
