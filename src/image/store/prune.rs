//! What goes: images that somebody wants gone, and what nobody needs any more.

use super::super::digest::Digest;
use super::super::error::{ImageError, InStore};
use super::layers::digest_of;
use super::work::Left;
use super::{Damage, Images, Locked, Store, Swept, entries};
use crate::model::ImageName;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// What is to become of what containers have written that are no more, and that was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It stays.
    Stays,
    /// It goes as well.
    Goes,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Layers that nobody needed.
    pub layers: Vec<Digest>,
    /// What can't be read of images and of what containers have claimed: as long as nobody knows which layers those need, all
    /// stay.
    pub damaged: Vec<Damage>,
    /// The rest of what nobody needed, and what could not be removed.
    #[serde(flatten)]
    pub swept: Swept,
}

impl Store {
    /// Removes an image, and its layers as far as nobody else needs them.
    ///
    /// # Errors
    /// When there is no such image, or a container stands on it. What can't be removed of its layers is told.
    pub fn remove(&self, name: &ImageName) -> Result<Pruned, ImageError> {
        // Where there is no store, none is made. One that can't be read can be removed all the same.
        if let Err(error @ ImageError::NoSuchImage { .. }) = self.image(name) {
            return Err(error);
        }
        let locked = self.lock()?;
        let [running, kept] = locked.users(name)?;
        if !(running.is_empty() && kept.is_empty()) {
            return Err(ImageError::InUse { name: name.clone(), running, kept });
        }
        let path = self.image_path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(ImageError::NoSuchImage { name: name.clone(), there: self.names()? });
            }
            removed => removed.in_store("remove", &path)?,
        }
        locked.prune(Kept::Stays)
    }

    /// Removes what nobody needs: layers, what is left of imports and removals that were ended, and of containers that are no more.
    ///
    /// # Errors
    /// When something can't be looked at. What can't be removed is told, and the rest goes.
    pub fn prune(&self, kept: Kept) -> Result<Pruned, ImageError> {
        self.lock_existing()?.map_or_else(|| Ok(Pruned::default()), |locked| locked.prune(kept))
    }
}

impl Locked<'_> {
    fn prune(self, kept: Kept) -> Result<Pruned, ImageError> {
        let (gone, left) = (self.gone(kept)?, self.left_behind()?);
        let (needed, damaged) = self.needed(&left, kept)?;
        let unneeded = if damaged.is_empty() { self.layers_but(&needed)? } else { Vec::new() };
        let (taken, swept) = self.take_away([&gone[..], &unneeded].concat(), left);
        let (containers, layers): (Vec<_>, Vec<_>) = taken.into_iter().partition(|place| gone.contains(place));
        let layers = layers.iter().filter_map(|layer| digest_of(layer.file_name()?.to_str()?)).collect();
        Ok(Pruned { layers, damaged, swept: Swept { containers: containers.len(), ..swept } })
    }

    /// The layers that images and containers have, and those on which a running import counts; and of whom that is not known.
    fn needed(&self, left: &[Left], kept: Kept) -> Result<(BTreeSet<Digest>, Vec<Damage>), ImageError> {
        let mut needed: BTreeSet<Digest> = self.pinned(left)?.into_iter().collect();
        let (claimed, of_claims) = self.claimed(kept)?;
        needed.extend(claimed);
        let Images { all, damaged: mut damages } = self.store.images()?;
        needed.extend(all.iter().flat_map(|image| &image.layers).map(|layer| layer.digest));
        damages.extend(of_claims);
        Ok((needed, damages))
    }

    /// Where all other layers are.
    fn layers_but(&self, needed: &BTreeSet<Digest>) -> Result<Vec<PathBuf>, ImageError> {
        let layers = entries(&self.store.root.join("layers"))?;
        let unneeded = layers.iter().filter_map(|name| digest_of(name)).filter(|digest| !needed.contains(digest));
        Ok(unneeded.map(|digest| self.store.layer(&digest)).collect())
    }
}
