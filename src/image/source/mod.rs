//! Where images come from: each sort of source makes the layers of an image, and says how that is run.

mod archive;
mod directory;
mod made_here;
mod oci;
mod registry;
mod zip;

pub(super) use archive::unpack;

use super::budget::{Budget, Progress};
use super::config::ImageConfig;
use super::error::ImageError;
use super::import::Settings;
use super::store::{LayerRecord, Work};
use super::unpack::{Devices, LeftOut};
use oci_client::Reference;
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
    /// What exactly it was made of, where the source says it more loosely.
    pub(super) origin: Option<String>,
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
    /// An image of a registry.
    Registry(Reference),
    /// The machine's own busybox.
    Busybox,
    /// What debootstrap makes of this.
    Debootstrap(String),
}

/// What can be written, for who has written something else.
const KNOWN: &str = "a source is a directory, an archive (.tar, .tar.gz, .tar.xz, .tar.zst, .zip), an OCI image layout or what `docker save` has written, \
     docker://IMAGE of a registry, busybox, or debootstrap:SUITE";

impl Source {
    pub(super) fn of(text: &str) -> Result<Self, ImageError> {
        if text == "busybox" {
            return Ok(Self::Busybox);
        }
        if let Some(suite) = text.strip_prefix("debootstrap:") {
            return Ok(Self::Debootstrap(suite.to_owned()));
        }
        if let Some(reference) = text.strip_prefix("docker://") {
            return registry::reference_of(reference).map(Self::Registry);
        }
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
        let path = match self {
            Self::Directory(path) | Self::File(path) => path,
            Self::Registry(reference) => return registry::own_name(reference),
            Self::Busybox => return "busybox".to_owned(),
            Self::Debootstrap(suite) => return suite.split(',').next().unwrap_or_default().to_owned(),
        };
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Self::Directory(_) = self {
            return name;
        }
        let packed = [".gz", ".xz", ".zst"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        [".tar", ".tgz", ".txz", ".zip"].iter().find_map(|end| packed.strip_suffix(end)).unwrap_or(packed).to_owned()
    }

    pub(super) fn make(&self, making: &Making<'_>, settings: &Settings) -> Result<Made, ImageError> {
        let tag = settings.tag.as_deref();
        let is_of_registry = matches!(self, Self::Registry(_));
        if settings.plain_http && !is_of_registry {
            return Err(ImageError::Unknown("--plain-http is for docker://IMAGE".to_owned()));
        }
        if let (Some(tag), true) = (tag, is_of_registry) {
            return Err(ImageError::Unknown(format!(
                "of a registry, the tag is in the image's name: docker://IMAGE:{tag}"
            )));
        }
        match self {
            Self::Directory(path) => match oci::form_of(path) {
                Some(form) => oci::make(path, form, tag, making),
                None => directory::make(path, making),
            },
            Self::File(path) if zip::is_one(path) => zip::make(path, making),
            Self::File(path) => archive::make(path, tag, making),
            Self::Registry(reference) => registry::make(reference, settings.plain_http, making),
            Self::Busybox => made_here::busybox(making),
            Self::Debootstrap(suite) => made_here::debootstrap(suite, making),
        }
    }
}
