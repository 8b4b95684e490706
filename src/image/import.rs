//! An import, from its source to its place in the store; whatever goes wrong on the way, nothing is left of it.

use super::budget::{Budget, Cancel, Progress};
use super::error::ImageError;
use super::source::{Made, Making, Source};
use super::store::{ImageRecord, Store, Work};
use super::unpack::Devices;
use crate::model::ImageName;
use crate::model::container::MemorySize;
use std::time::{SystemTime, UNIX_EPOCH};

/// What is to be heeded.
#[derive(Clone)]
pub struct Settings {
    /// What the image is to be called; what its source is called where nothing is said.
    pub name: Option<ImageName>,
    /// Which image is meant, where there are several.
    pub tag: Option<String>,
    /// Whether a registry is spoken to without TLS, wherever it is.
    pub plain_http: bool,
    /// How much may be unpacked.
    pub limit: MemorySize,
    /// What becomes of device nodes.
    pub devices: Devices,
    /// By which it can be stopped.
    pub cancel: Cancel,
    /// Who is told how far it is.
    pub progress: Progress,
}

/// What an import has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The image.
    pub image: ImageRecord,
    /// Whether it has taken the place of one of the same name.
    pub has_replaced: bool,
}

/// What an image is called that is made from this and not given a name.
///
/// # Errors
/// When there is no such source, or its name can't be an image's.
pub fn default_name(source: &str) -> Result<ImageName, ImageError> {
    named(&Source::of(source)?)
}

fn named(source: &Source) -> Result<ImageName, ImageError> {
    ImageName::try_from(source.own_name()).map_err(ImageError::NoName)
}

/// Makes an image from a source. It blocks until that is done: from asynchronous code it is to be called on a thread for such.
///
/// # Errors
/// When there is no such source, when it can't be read or is not to be trusted, or when there is no room for it: then nothing of
/// it is left.
pub fn import(store: &Store, source: &str, settings: &Settings) -> Result<Imported, ImageError> {
    let text = source;
    let source = Source::of(text)?;
    let name = settings.name.clone().map_or_else(|| named(&source), Ok)?;
    let work = store.begin()?;
    let done = make(&work, &source, settings).and_then(|made| add(&work, name, text, made));
    // What is told is why it failed, and not that something else did as well then.
    let ended = work.end();
    let imported = done?;
    ended?;
    Ok(imported)
}

fn make(work: &Work<'_>, source: &Source, settings: &Settings) -> Result<Made, ImageError> {
    let budget = Budget::new(settings.limit, settings.cancel.clone());
    let making = Making { work, budget: &budget, devices: settings.devices, progress: &settings.progress };
    source.make(&making, settings)
}

fn add(work: &Work<'_>, name: ImageName, source: &str, made: Made) -> Result<Imported, ImageError> {
    let Made { layers, config, left_out, origin } = made;
    let imported_at_unix_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let source = origin.unwrap_or_else(|| source.to_owned());
    let image = ImageRecord { name, source, imported_at_unix_s, layers, config, left_out };
    let has_replaced = work.add_image(&image)?;
    Ok(Imported { image, has_replaced })
}
