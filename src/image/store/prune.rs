//! What goes: images that somebody wants gone, and what nobody needs any more.

use super::super::digest::Digest;
use super::super::error::{ImageError, InStore};
use super::layers::digest_of;
use super::work::{Left, Work, remove_tree};
use super::{Damage, Images, Locked, Store, entries};
use crate::model::ImageName;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Layers that nobody needed.
    pub layers: Vec<Digest>,
    /// How many imports had been ended before they were done.
    pub unfinished: usize,
    /// How many containers were no more whose files were there.
    pub containers: usize,
    /// What can't be read of images and of what containers have claimed: as long as nobody knows which layers those need, all
    /// stay.
    pub damaged: Vec<Damage>,
}

impl Store {
    /// Removes an image, and its layers as far as nobody else needs them.
    ///
    /// # Errors
    /// When there is no such image, a container stands on it, or something of it can't be removed.
    pub fn remove(&self, name: &ImageName) -> Result<Pruned, ImageError> {
        // Where there is no store, none is made. One that can't be read can be removed all the same.
        if let Err(error @ ImageError::NoSuchImage { .. }) = self.image(name) {
            return Err(error);
        }
        let locked = self.lock()?;
        let users = locked.users(name)?;
        if !users.is_empty() {
            return Err(ImageError::InUse { name: name.clone(), users });
        }
        let path = self.image_path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(ImageError::NoSuchImage { name: name.clone(), there: self.names()? });
            }
            removed => removed.in_store("remove", &path)?,
        }
        locked.prune()
    }

    /// Removes what nobody needs: layers, what is left of imports that were ended, and of containers that are no more.
    ///
    /// # Errors
    /// When something can't be looked at or removed.
    pub fn prune(&self) -> Result<Pruned, ImageError> {
        let containers = self.sweep()?;
        let Some(locked) = self.lock_existing()? else { return Ok(Pruned::default()) };
        Ok(Pruned { containers, ..locked.prune()? })
    }
}

impl Locked<'_> {
    fn prune(self) -> Result<Pruned, ImageError> {
        let left = self.left_behind()?;
        let (needed, damaged) = self.needed(&left)?;
        let work = self.begin()?;
        let layers = if damaged.is_empty() { self.take_layers_but(&needed, &work)? } else { Vec::new() };
        // What is to go is out of the way: others need not wait until it is gone.
        drop(self);
        let unfinished = left.len();
        for Left { path, .. } in &left {
            remove_tree(path)?;
        }
        work.end()?;
        Ok(Pruned { layers, unfinished, containers: 0, damaged })
    }

    /// The layers that images and containers have, and those on which a running import counts; and of whom that is not known.
    fn needed(&self, left: &[Left]) -> Result<(BTreeSet<Digest>, Vec<Damage>), ImageError> {
        let mut needed: BTreeSet<Digest> = self.pinned(left)?.into_iter().collect();
        let (claimed, of_claims) = self.claimed()?;
        needed.extend(claimed);
        let Images { all, damaged: mut damages } = self.store.images()?;
        needed.extend(all.iter().flat_map(|image| &image.layers).map(|layer| layer.digest));
        damages.extend(of_claims);
        Ok((needed, damages))
    }

    /// Takes all other layers out of their place.
    fn take_layers_but(&self, needed: &BTreeSet<Digest>, work: &Work<'_>) -> Result<Vec<Digest>, ImageError> {
        let mut gone = Vec::new();
        for name in entries(&self.store.root.join("layers"))? {
            let Some(digest) = digest_of(&name).filter(|digest| !needed.contains(digest)) else { continue };
            let path = self.store.layer(&digest);
            fs::rename(&path, work.to_go(&name)).in_store("remove", &path)?;
            gone.push(digest);
        }
        Ok(gone)
    }
}
