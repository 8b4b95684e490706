//! Files of the store that can't be read: of one image or one container, and no reason to do nothing for the others.

use super::super::error::ImageError;
use crate::model::ImageName;
use serde::Serialize;
use std::error::Error;
use std::path::Path;

/// What can't be read, why, and what to do about it: a sentence for whoever looks at the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Damage(String);

impl Damage {
    pub(super) fn of_image(name: &ImageName, path: &Path, error: &ImageError) -> Self {
        let what = why(path, error);
        Self(format!(
            "{what}; `nslab image rm {name}` removes the image {name}, and `nslab image import` makes it anew"
        ))
    }

    pub(super) fn of_claim(place: &Path, path: &Path, error: &ImageError) -> Self {
        let what = why(path, error);
        let (name, place) = (place.file_name().unwrap_or_default().display(), place.display());
        Self(format!("{what}; when the container {name} is no more, `rm -r {place}` removes what it has written"))
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn why(path: &Path, error: &ImageError) -> String {
    match (error, error.source()) {
        (ImageError::Damaged { what, why }, _) => format!("{what} is damaged: {why}"),
        (_, Some(source)) => format!("{} can't be read: {source}", path.display()),
        (error, None) => format!("{} can't be read: {error}", path.display()),
    }
}
