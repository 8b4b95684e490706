//! Who stands on which image: a directory of the store for each container, with what that writes.
//!
//! ```text
//! containers/…/claim.json   the container, its image and its layers
//! containers/…/files/       what it writes, as overlayfs has it
//! ```
//!
//! A container is there as long as what was written down of it elsewhere, or the process that has claimed the image; whoever works
//! at the store takes away what is left of those that are not.

use super::super::digest::Digest;
use super::super::error::{ImageError, InStore};
use super::layers::digest_of;
use super::work::WORKS;
use super::{DIRECTORY, Damage, Kept, Locked, Store, Swept, entries, read, write};
use crate::model::ImageName;
use crate::model::container::Upper;
use crate::process::started_ticks;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The place of all of them.
const PLACE: &str = "containers";

const CLAIM: &str = "claim.json";

/// Where what a container writes is in its directory.
const FILES: &str = "files";

/// What a container claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// What it is called in messages.
    pub owner: String,
    /// The image.
    pub image: ImageName,
    /// Whether what it has written is kept when it is no more.
    pub is_kept: bool,
    /// What is there before it and as long as it is; nothing where that is the process alone.
    pub record: Option<PathBuf>,
}

/// A claim as it is written down.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claimed {
    claim: Claim,
    layers: BTreeSet<Digest>,
    /// The process that has made it, or what has become of that by execve(2): its number, and when it was started in clock ticks.
    process: (u32, u64),
    /// Where paths and numbers of processes mean what is meant here.
    world: World,
}

/// Where a claim was made. In other namespaces, a path or a number is another one's: nobody can tell there whether it still holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct World {
    /// Since when the machine runs, as an id.
    boot: String,
    /// The mount namespace.
    mounts: PathBuf,
    /// The PID namespace.
    processes: PathBuf,
}

impl World {
    /// Whether a path means the same in both.
    fn has_paths_of(&self, other: &Self) -> bool {
        (&self.boot, &self.mounts) == (&other.boot, &other.mounts)
    }

    fn here() -> Result<Self, ImageError> {
        let [boot, mounts, processes] =
            ["/proc/sys/kernel/random/boot_id", "/proc/self/ns/mnt", "/proc/self/ns/pid"].map(Path::new);
        Ok(Self {
            boot: fs::read_to_string(boot).in_store("read", boot)?.trim().to_owned(),
            mounts: fs::read_link(mounts).in_store("read", mounts)?,
            processes: fs::read_link(processes).in_store("read", processes)?,
        })
    }
}

/// What a container stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footing {
    /// The directories of its layers, the uppermost first.
    pub layers: Vec<PathBuf>,
    /// Where what it writes comes. It goes with the claim where nobody has taken it away before.
    pub files: PathBuf,
    /// All that there is of the container in the store.
    pub place: PathBuf,
}

impl Footing {
    /// The layer that is written to, which goes with the container.
    ///
    /// The claim goes last, with the place: without one, whoever works at the store takes the place away at the same time, and each
    /// would find something in directories that the other one has just emptied.
    pub fn upper_that_goes(&self) -> Upper {
        Upper { directory: self.files.clone(), goes: vec![self.files.clone(), self.place.clone()] }
    }

    /// The layer that is written to, which whoever works at the store takes away when the container is no more.
    pub fn upper_that_stays(&self) -> Upper {
        Upper { directory: self.files.clone(), goes: Vec::new() }
    }
}

impl Store {
    /// The store that the files of a container are in; `None` where those are in none.
    pub fn of_files(files: &Path) -> Option<Self> {
        let place = files.parent()?.parent()?;
        place.ends_with(PLACE).then(|| place.parent()).flatten().map(Self::new)
    }

    /// What a container of this name would stand on. Nothing is made.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn footing(&self, name: &str, image: &ImageName) -> Result<Footing, ImageError> {
        let layers = self.image(image)?.layers;
        let place = self.root.join(PLACE).join(name);
        // As overlayfs has them, and not as images do.
        let layers = layers.iter().rev().map(|layer| self.files_of(&layer.digest)).collect();
        Ok(Footing { layers, files: place.join(FILES), place })
    }

    /// Has the layers of an image stay for a container that is to stand on them, besides those that it has claimed before: until it
    /// is made anew it stands on those.
    ///
    /// # Errors
    /// When there is no such image, or one of the layers is gone, or it can't be written down.
    pub fn claim(&self, name: &str, claim: &Claim, stands_on: &[PathBuf]) -> Result<(), ImageError> {
        self.write_claim(name, claim, stands_on, true)
    }

    /// The same of a container that stands on them, in place of what it has claimed before.
    ///
    /// # Errors
    /// As those.
    pub fn claim_anew(&self, name: &str, claim: &Claim, stands_on: &[PathBuf]) -> Result<(), ImageError> {
        self.write_claim(name, claim, stands_on, false)
    }

    fn write_claim(
        &self,
        name: &str,
        claim: &Claim,
        stands_on: &[PathBuf],
        keeps_before: bool,
    ) -> Result<(), ImageError> {
        // Where there is no store, none is made.
        self.image(&claim.image)?;
        let locked = self.lock()?;
        let place = self.root.join(PLACE).join(name);
        let process = std::process::id();
        // Since it was looked up, another image may have got the name, and what nobody claimed may have been taken away.
        let digest = |files: &PathBuf| digest_of(files.parent()?.file_name()?.to_str()?).filter(|_| files.is_dir());
        let layers = stands_on.iter().map(|files| digest(files).ok_or_else(|| ImageError::Gone(claim.image.clone())));
        let mut layers = layers.collect::<Result<BTreeSet<Digest>, _>>()?;
        if let Some(before) = claimed_at(&place)?.filter(Claimed::is_alive) {
            if before.claim.record != claim.record || !before.world.has_paths_of(&World::here()?) {
                return Err(ImageError::Claimed { name: name.to_owned(), owner: before.claim.owner });
            }
            if keeps_before {
                layers.extend(before.layers);
            }
        }
        let process = (process, started_ticks(process.cast_signed()).unwrap_or(0));
        let claimed = Claimed { claim: claim.clone(), layers, process, world: World::here()? };
        DirBuilder::new().mode(DIRECTORY).recursive(true).create(&place).in_store("make", &place)?;
        write(&place.join(CLAIM), &claimed)?;
        drop(locked);
        Ok(())
    }

    /// Gives up the claims of which this is the record, but for those that still hold. A name says nothing: others may have
    /// written down containers that are called the same.
    ///
    /// # Errors
    /// When something can't be looked at. What can't be removed is told, and the rest goes.
    pub fn release(&self, record: &Path, holding: &[String]) -> Result<Swept, ImageError> {
        let place = self.root.join(PLACE);
        if entries(&place)?.iter().all(|name| holding.contains(name)) {
            return Ok(Swept::default());
        }
        let Some(locked) = self.lock_existing()? else { return Ok(Swept::default()) };
        let here = World::here()?;
        let is_meant = |place: &Path, claimed: &Claimed| {
            let holds = holding.iter().any(|name| place.ends_with(name));
            let Claim { record: of, is_kept, .. } = &claimed.claim;
            !holds && !is_kept && of.as_deref() == Some(record) && claimed.world.has_paths_of(&here)
        };
        let (places, _) = locked.places()?;
        let meant = places
            .into_iter()
            .filter(|(place, claimed)| claimed.as_ref().is_some_and(|claimed| is_meant(place, claimed)));
        let (taken, swept) = locked.take_away(meant.map(|(place, _)| place).collect(), Vec::new());
        Ok(Swept { containers: taken.len(), ..swept })
    }

    /// What [`Store::sweep`] would take away. Nothing is.
    ///
    /// # Errors
    /// When something can't be looked at.
    pub fn left(&self) -> Result<Swept, ImageError> {
        let Some(locked) = self.lock_existing()? else { return Ok(Swept::default()) };
        let [containers, unfinished] = [locked.gone(Kept::Stays)?.len(), locked.left_behind()?.len()];
        Ok(Swept { containers, unfinished, failed: Vec::new() })
    }

    /// Takes away what is left of containers that are no more, but for what they have written where that is kept; and of imports
    /// and removals that have ended before they were done.
    ///
    /// # Errors
    /// When something can't be looked at. What can't be removed is told, and the rest goes: whoever came for something else has
    /// no reason to fail.
    pub fn sweep(&self) -> Result<Swept, ImageError> {
        let is_empty = |place| entries(&self.root.join(place)).map(|names| names.is_empty());
        if is_empty(PLACE)? && is_empty(WORKS)? {
            return Ok(Swept::default());
        }
        let Some(locked) = self.lock_existing()? else { return Ok(Swept::default()) };
        let (gone, left) = (locked.gone(Kept::Stays)?, locked.left_behind()?);
        let (taken, swept) = locked.take_away(gone, left);
        Ok(Swept { containers: taken.len(), ..swept })
    }
}

/// Where a container's files are, and what is claimed there.
type Place = (PathBuf, Option<Claimed>);

impl Locked<'_> {
    /// The places, with what is claimed there; and those of which that can't be read, which are left alone.
    fn places(&self) -> Result<(Vec<Place>, Vec<Damage>), ImageError> {
        let (mut places, mut damages) = (Vec::new(), Vec::new());
        for place in entries(&self.store.root.join(PLACE))?.iter().map(|name| self.store.root.join(PLACE).join(name)) {
            match read(&place.join(CLAIM)) {
                Ok(claimed) => places.push((place, claimed)),
                Err(error) => damages.push(Damage::of_claim(&place, &place.join(CLAIM), &error)),
            }
        }
        Ok((places, damages))
    }

    /// The places of containers that are no more, of which nothing is to stay.
    pub(super) fn gone(&self, kept: Kept) -> Result<Vec<PathBuf>, ImageError> {
        let is_gone = |claimed: &Option<Claimed>| !claimed.as_ref().is_some_and(|claimed| claimed.stays(kept));
        Ok(self.places()?.0.into_iter().filter(|(_, claimed)| is_gone(claimed)).map(|(place, _)| place).collect())
    }

    /// Who stands on an image; and who does no more, and is kept.
    pub(super) fn users(&self, image: &ImageName) -> Result<[Vec<String>; 2], ImageError> {
        let [mut running, mut kept] = [Vec::new(), Vec::new()];
        for claimed in self.places()?.0.into_iter().filter_map(|(_, claimed)| claimed) {
            let is_alive = claimed.is_alive();
            let Claim { owner, image: of, is_kept, record: _ } = claimed.claim;
            match (is_alive, is_kept) {
                _ if of != *image => {}
                (true, _) => running.push(owner),
                (false, true) => kept.push(owner),
                (false, false) => {}
            }
        }
        running.sort();
        kept.sort();
        Ok([running, kept])
    }

    /// The layers on which containers stand, and of whom that is not known.
    pub(super) fn claimed(&self, kept: Kept) -> Result<(Vec<Digest>, Vec<Damage>), ImageError> {
        let is_needed = |claimed: &Claimed| claimed.stays(kept);
        let (places, damages) = self.places()?;
        let claimed = places.into_iter().filter_map(|(_, claimed)| claimed).filter(is_needed);
        Ok((claimed.flat_map(|claimed| claimed.layers).collect(), damages))
    }
}

/// What is claimed at a place.
fn claimed_at(place: &Path) -> Result<Option<Claimed>, ImageError> {
    let file = place.join(CLAIM);
    read(&file).map_err(|error| ImageError::Unknown(Damage::of_claim(place, &file, &error).to_string()))
}

impl Claimed {
    fn stays(&self, kept: Kept) -> bool {
        self.is_alive() || self.claim.is_kept && kept == Kept::Stays
    }

    fn is_alive(&self) -> bool {
        let (process, started) = self.process;
        match World::here() {
            Ok(here) if here.boot != self.world.boot => return false,
            Ok(here) if here == self.world => {}
            // Whoever is there can tell.
            _ => return true,
        }
        match &self.claim.record {
            Some(record) => record.exists(),
            None => started_ticks(process.cast_signed()) == Some(started),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_claim_goes_after_what_was_written() {
        let [files, place] = ["s/containers/c/files", "s/containers/c"].map(PathBuf::from);
        let footing = Footing { layers: Vec::new(), files: files.clone(), place: place.clone() };
        assert_eq!(footing.upper_that_goes().goes, [files.clone(), place]);
        assert_eq!(footing.upper_that_stays().goes, [] as [PathBuf; 0]);
        assert_eq!(Store::of_files(&files).unwrap().path(), Path::new("s"));
        assert!(Store::of_files(Path::new("/somewhere/else/files")).is_none());
    }
}
