//! Where images come from: each sort of source makes the layers of an image, and says how that is run.

mod archive;
mod directory;

#[cfg(test)]
pub(super) use archive::unpack;

use super::budget::{Budget, Progress};
use super::config::ImageConfig;
use super::error::ImageError;
use super::import::Settings;
use super::store::{LayerRecord, Work};
use super::unpack::{Devices, LeftOut};
use std::path::{Path, PathBuf};

/// What a source was made into.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// The lowest first.
    pub(super) layers: Vec<LayerRecord>,
    /// How it is run.
    pub(super) config: ImageConfig,
    /// What was left out.
    pub(super) left_out: LeftOut,
}

/// What every source needs.
pub(super) struct Making<'a> {
    pub(super) work: &'a Work<'a>,
    pub(super) budget: &'a Budget,
    pub(super) devices: Devices,
    pub(super) progress: &'a Progress,
}

/// A source, by what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A directory of the machine's.
    Directory(PathBuf),
    /// A file of the machine's.
    File(PathBuf),
}

/// What can be written, for who has written something else.
const KNOWN: &str = "a source is a directory, or an archive (.tar, .tar.gz, .tar.xz, .tar.zst)";

impl Source {
    pub(super) fn of(text: &str) -> Result<Self, ImageError> {
        let path = Path::new(text);
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => Ok(Self::Directory(path.to_owned())),
            Ok(_) => Ok(Self::File(path.to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(ImageError::Unknown(format!("{text} is not there: {KNOWN}")))
            }
            Err(source) => Err(ImageError::Read { what: text.to_owned(), source }),
        }
    }

    /// What it calls itself.
    pub(super) fn own_name(&self) -> String {
        let (Self::Directory(path) | Self::File(path)) = self;
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Self::Directory(_) = self {
            return name;
        }
        let packed = [".gz", ".xz", ".zst"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        [".tar", ".tgz", ".txz", ".zip"].iter().find_map(|end| packed.strip_suffix(end)).unwrap_or(packed).to_owned()
    }

    pub(super) fn make(&self, making: &Making<'_>, _settings: &Settings) -> Result<Made, ImageError> {
        match self {
            Self::Directory(path) => directory::make(path, making),
            Self::File(path) => archive::make(path, making),
        }
    }
}
