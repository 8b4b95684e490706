//! A directory of the store in which somebody works at something: an import, or a removal.
//!
//! It is locked by who does, until it is gone; the kernel gives the lock back when that process ends in whatever way. So whoever
//! comes next can tell what is being worked at from what was left behind.

use super::super::budget::Budget;
use super::super::digest::Digest;
use super::super::error::{ImageError, InStore};
use super::super::unpack::{Contents, Devices, Unpacker};
use super::layers::{CONTENTS, FILES, digest_of, name_of};
use super::{DIRECTORY, ImageRecord, LayerRecord, Locked, Store, Swept, entries, write, write_by_way_of};
use crate::directory;
use rustix::fs::{FlockOperation, flock, syncfs};
use rustix::io::{FdFlags, fcntl_setfd};
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The place of all of them.
pub(super) const WORKS: &str = "tmp";

/// Where it says which layers of the store it counts on.
const PINS: &str = "pins";

/// Such a directory. It is to be given back by [`Work::end`], whatever has come of it.
pub(in crate::image) struct Work<'a> {
    pub(in crate::image) store: &'a Store,
    path: PathBuf,
    lock: File,
    /// How many names were given in it.
    made: std::cell::Cell<u32>,
}

impl Store {
    /// Begins something; what others have left behind goes first, as far as it can be removed.
    pub(in crate::image) fn begin(&self) -> Result<Work<'_>, ImageError> {
        let locked = self.lock()?;
        let left = locked.left_behind()?;
        let work = locked.begin();
        drop(locked);
        let mut swept = Swept::default();
        swept.remove_left(left);
        swept.warn();
        // There may be room where there was none.
        if work.is_err() && swept.unfinished > 0 { self.lock()?.begin() } else { work }
    }
}

/// What somebody has left behind, and its lock, so that nobody else sees to it at the same time.
pub(super) struct Left {
    pub(super) path: PathBuf,
    _lock: File,
}

impl Left {
    /// Removes it.
    pub(super) fn remove(self) -> Result<(), ImageError> {
        remove_tree(&self.path)
    }
}

impl<'a> Locked<'a> {
    pub(super) fn begin(&self) -> Result<Work<'a>, ImageError> {
        let mut bytes = [0; 8];
        let random = Path::new("/dev/urandom");
        File::open(random).and_then(|mut file| file.read_exact(&mut bytes)).in_store("read", random)?;
        let path = self.store.root.join(WORKS).join(format!("{:016x}", u64::from_ne_bytes(bytes)));
        DirBuilder::new().mode(DIRECTORY).create(&path).in_store("make", &path)?;
        let lock = File::open(&path).in_store("open", &path)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).in_store("lock", &path)?;
        let pins = path.join(PINS);
        DirBuilder::new().mode(DIRECTORY).create(&pins).in_store("make", &pins)?;
        Ok(Work { store: self.store, path, lock, made: 0.into() })
    }

    /// Takes places away, of each all at once for whoever looks, and what others have left behind; says which places.
    pub(super) fn take_away(self, places: Vec<PathBuf>, left: Vec<Left>) -> (Vec<PathBuf>, Swept) {
        let mut swept = Swept::default();
        let work = if places.is_empty() { None } else { Some(self.begin()) };
        let taken = match &work {
            Some(Ok(work)) => work.take(places, &mut swept.failed),
            _ => Vec::new(),
        };
        // What is to go is out of the way: others need not wait until it is gone.
        drop(self);
        // In any case: it may be why there is no room to begin.
        swept.remove_left(left);
        let ended = work.map_or(Ok(()), |work| work.and_then(Work::end));
        swept.failed.extend(ended.err().map(|error| error.chain()));
        (taken, swept)
    }

    /// What is left of those who have ended before they were done.
    pub(super) fn left_behind(&self) -> Result<Vec<Left>, ImageError> {
        let mut left = Vec::new();
        for path in self.works()? {
            if let Some(lock) = lock_of_nobody(&path)? {
                left.push(Left { path, _lock: lock });
            }
        }
        Ok(left)
    }

    /// The layers on which somebody counts who works at something, and not those of who has left something behind.
    pub(super) fn pinned(&self, left: &[Left]) -> Result<Vec<Digest>, ImageError> {
        let mut all = Vec::new();
        for path in self.works()?.into_iter().filter(|path| left.iter().all(|left| left.path != *path)) {
            all.extend(entries(&path.join(PINS))?.iter().filter_map(|name| digest_of(name)));
        }
        Ok(all)
    }

    fn works(&self) -> Result<Vec<PathBuf>, ImageError> {
        let place = self.store.root.join(WORKS);
        Ok(entries(&place)?.iter().map(|name| place.join(name)).collect())
    }
}

/// Its lock, where nobody holds it.
fn lock_of_nobody(work: &Path) -> Result<Option<File>, ImageError> {
    let directory = match File::open(work) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        directory => directory.in_store("open", work)?,
    };
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        answer => {
            answer.in_store("lock", work)?;
            // Who had it may have removed it in between.
            let is_there = directory.metadata().in_store("look at", work)?.nlink() > 0;
            Ok(is_there.then_some(directory))
        }
    }
}

/// A layer that is being made.
pub(in crate::image) struct NewLayer {
    path: PathBuf,
    devices: Devices,
}

impl NewLayer {
    /// Where its files come.
    pub(in crate::image) fn files(&self) -> PathBuf {
        self.path.join(FILES)
    }
}

impl Work<'_> {
    /// A directory for files of any sort.
    pub(in crate::image) fn directory(&self) -> Result<PathBuf, ImageError> {
        let path = self.unused();
        DirBuilder::new().mode(DIRECTORY).create(&path).in_store("make", &path)?;
        Ok(path)
    }

    /// A layer of the store, which is to stay until this ends; `None` where there is none.
    pub(in crate::image) fn use_layer(
        &self,
        digest: &Digest,
        devices: Devices,
    ) -> Result<Option<(LayerRecord, Contents)>, ImageError> {
        let digest = &as_unpacked(*digest, devices);
        let locked = self.store.lock()?;
        let Some(contents) = locked.contents(digest)? else { return Ok(None) };
        self.pin(digest)?;
        Ok(Some((LayerRecord::new(*digest, &contents), contents)))
    }

    /// Begins a layer.
    pub(in crate::image) fn new_layer<'b>(
        &self,
        budget: &'b Budget,
        devices: Devices,
    ) -> Result<(NewLayer, Unpacker<'b>), ImageError> {
        let layer = NewLayer { path: self.directory()?, devices };
        let files = layer.files();
        DirBuilder::new().mode(0o755).create(&files).in_store("make", &files)?;
        // Whatever the umask says.
        fs::set_permissions(&files, fs::Permissions::from_mode(0o755)).in_store("make", &files)?;
        let unpacker = Unpacker::new(&files, budget, devices)?;
        Ok((layer, unpacker))
    }

    /// Puts a layer that is done in its place, where it stays at least until this ends.
    pub(in crate::image) fn add_layer(
        &self,
        layer: &NewLayer,
        digest: Digest,
        contents: &Contents,
    ) -> Result<LayerRecord, ImageError> {
        let digest = as_unpacked(digest, layer.devices);
        write(&layer.path.join(CONTENTS), contents)?;
        // Once it is in its place nobody looks whether all of it is there.
        let directory = File::open(&layer.path).in_store("open", &layer.path)?;
        syncfs(&directory).in_store("write", &layer.path)?;
        let locked = self.store.lock()?;
        self.pin(&digest)?;
        locked.add_layer(&layer.path, &digest)?;
        Ok(LayerRecord::new(digest, contents))
    }

    /// Writes an image down, in place of one of the same name; says whether there was one.
    pub(in crate::image) fn add_image(&self, record: &ImageRecord) -> Result<bool, ImageError> {
        let _locked = self.store.lock()?;
        let path = self.store.image_path(&record.name);
        let is_there = path.exists();
        // First where it goes if nslab is killed before it is done.
        write_by_way_of(&self.path.join("image.json"), &path, record)?;
        Ok(is_there)
    }

    /// Has the programs that are started from now on hold the lock as well.
    pub(in crate::image) fn have_lock_inherited(&self) -> Result<(), ImageError> {
        fcntl_setfd(&self.lock, FdFlags::empty()).in_store("hand on the lock in", &self.path)
    }

    /// Ends it: what is still in it goes.
    pub(in crate::image) fn end(self) -> Result<(), ImageError> {
        crate::fault::at("before what is to go of a store is removed")
            .map_err(io::Error::other)
            .in_store("remove", &self.path)?;
        remove_tree(&self.path)
    }

    /// Takes directories out of their place, to go with this; gives back those of which it has, and adds why others are still there.
    fn take(&self, places: Vec<PathBuf>, failed: &mut Vec<String>) -> Vec<PathBuf> {
        let mut take = |place: &PathBuf| match fs::rename(place, self.unused()).in_store("remove", place) {
            Ok(()) => true,
            // Its launcher was quicker.
            Err(_) if !place.exists() => false,
            Err(error) => {
                failed.push(error.chain());
                false
            }
        };
        places.into_iter().filter(|place| take(place)).collect()
    }

    /// A path in it that nothing has.
    fn unused(&self) -> PathBuf {
        self.made.set(self.made.get() + 1);
        self.path.join(self.made.get().to_string())
    }

    fn pin(&self, digest: &Digest) -> Result<(), ImageError> {
        let path = self.path.join(PINS).join(name_of(digest));
        File::create(&path).map(drop).in_store("make", &path)
    }
}

/// What a layer goes by in the store, of which the archive has this digest: what becomes of devices, owners and attributes is not
/// the same for everybody, and one is not to get what another one has asked for.
fn as_unpacked(digest: Digest, devices: Devices) -> Digest {
    match (rustix::process::geteuid().is_root(), devices) {
        (true, Devices::LeaveOut) => digest,
        (true, Devices::Make) => Digest::of(format!("{digest} with devices").as_bytes()),
        (false, _) => Digest::of(format!("{digest} without owners").as_bytes()),
    }
}

/// Removes a directory and all that is in it, whatever it allows to whom; fine where there is none.
pub(super) fn remove_tree(path: &Path) -> Result<(), ImageError> {
    match directory::remove_all(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.in_store("remove", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_removed_is_nobodys_to_remove_but_what_was_left_is() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::new(scratch.path());
        let left = || store.lock().unwrap().left_behind().unwrap().len();
        let work = store.begin().unwrap();
        // As far as it has come: nothing is in it any more.
        for entry in fs::read_dir(&work.path).unwrap().map(|entry| entry.unwrap().path()) {
            fs::remove_file(&entry).or_else(|_| fs::remove_dir_all(&entry)).unwrap();
        }
        assert_eq!(left(), 0);
        drop(work);
        assert_eq!(left(), 1);
        store.sweep().unwrap();
        assert_eq!((left(), entries(&scratch.path().join(WORKS)).unwrap().len()), (0, 0));
    }
}
