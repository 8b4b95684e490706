//! Directories of which a layer says only that something is in them: what they are, the layers below say.
//!
//! A layer is unpacked by itself, and once for all images that have it: there, such a directory is nobody's in particular. overlayfs
//! shows of a directory what its uppermost layer says. So an image in which that is not what was meant gets one more layer, of
//! directories alone.

use super::super::entry::{Attributes, Entry, Kind, Time};
use super::super::error::ImageError;
use super::super::store::LayerRecord;
use super::super::tree::{Inside, OPAQUE_ATTRIBUTES};
use super::super::unpack::{Contents, Devices};
use super::Making;
use super::directory::attributes;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, Stat, fgetxattr, fstat, openat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// How a directory is opened that is looked at.
const LOOK: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What a layer has at a path.
enum Found {
    /// Nothing; what is below it is seen.
    Nothing,
    /// Nothing; what is below it is not seen.
    Hidden,
    /// A directory.
    Directory { opened: OwnedFd, shows_below: bool },
}

/// What is said of a directory of an image.
struct Said {
    /// What the uppermost layer makes of it.
    seen: Stat,
    /// What the uppermost layer says that says more than that something is in it; else the same.
    meant: Stat,
    attributes: Attributes,
}

impl Said {
    fn is_seen(&self) -> bool {
        let of = |stat: &Stat| (stat.st_mode, stat.st_uid, stat.st_gid);
        of(&self.seen) == of(&self.meant)
    }
}

/// Makes the layer that is to lie above others, the lowest of which comes first; nothing where they say all themselves.
pub(super) fn make(layers: &[(LayerRecord, Contents)], making: &Making<'_>) -> Result<Option<LayerRecord>, ImageError> {
    let files: Vec<PathBuf> = layers.iter().map(|(layer, _)| making.work.store.files_of(&layer.digest)).collect();
    let implied: Vec<BTreeSet<&Inside>> =
        layers.iter().map(|(_, contents)| contents.implied.iter().collect()).collect();
    // The uppermost first.
    let all: Vec<_> = files.iter().map(PathBuf::as_path).zip(&implied).rev().collect();
    let mut changed = BTreeSet::new();
    for path in implied.iter().flatten().copied().collect::<BTreeSet<_>>() {
        making.budget.take(0)?; // where there are many, it can be stopped
        if look(&all, path)?.is_some_and(|said| !said.is_seen()) {
            // Those that it is in come as well, and hide what is said of them.
            let mut around = Some(path.clone());
            while let Some(one) = around {
                around = one.split().map(|(parent, _)| parent);
                changed.insert(one);
            }
        }
    }
    if changed.is_empty() {
        return Ok(None);
    }
    let (layer, unpacker) = making.work.new_layer(making.budget, Devices::LeaveOut)?;
    let mut unpacker = unpacker.with_fingerprint();
    for path in &changed {
        if let Some(said) = look(&all, path)? {
            unpacker.add(&entry(path, said), &mut io::empty(), "")?;
        }
    }
    let (contents, digest) = unpacker.finish()?;
    let digest = digest.ok_or_else(|| ImageError::Unknown("the files have no digest".to_owned()))?;
    making.work.add_layer(&layer, digest, &contents).map(Some)
}

/// What is said of a directory; nothing where there is none of that name.
fn look(layers: &[(&Path, &BTreeSet<&Inside>)], path: &Inside) -> Result<Option<Said>, ImageError> {
    let mut seen = None;
    for (files, implied) in layers {
        let failed = |errno: Errno| ImageError::Read { what: path_in(files, path), source: errno.into() };
        let (opened, shows_below) = match find(files, path).map_err(failed)? {
            Found::Nothing => continue,
            Found::Hidden => break,
            Found::Directory { opened, shows_below } => (opened, shows_below),
        };
        let meant = fstat(&opened).map_err(failed)?;
        let seen = *seen.get_or_insert(meant);
        if !implied.contains(path) {
            return Ok(Some(Said { seen, meant, attributes: attributes(&opened).map_err(failed)? }));
        }
        if !shows_below {
            break;
        }
    }
    Ok(seen.map(|seen| Said { seen, meant: seen, attributes: Attributes::new() }))
}

fn path_in(files: &Path, path: &Inside) -> String {
    files.join(path.as_path()).display().to_string()
}

fn find(files: &Path, path: &Inside) -> Result<Found, Errno> {
    let mut opened = openat(CWD, files, LOOK, Mode::empty())?;
    let mut shows_below = !is_opaque(&opened);
    for name in path.as_path() {
        opened = match openat(&opened, name, LOOK, Mode::empty()) {
            Err(Errno::NOENT) if shows_below => return Ok(Found::Nothing),
            // A whiteout, something else in its place, or what its owner has no right to look at.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => return Ok(Found::Hidden),
            found => found?,
        };
        shows_below &= !is_opaque(&opened);
    }
    Ok(Found::Directory { opened, shows_below })
}

fn is_opaque(directory: &OwnedFd) -> bool {
    OPAQUE_ATTRIBUTES.iter().any(|name| fgetxattr(directory, *name, &mut [0; 8]).is_ok())
}

fn entry(path: &Inside, said: Said) -> Entry {
    let Said { seen: _, meant, attributes } = said;
    let name = path.as_path();
    Entry {
        path: if name.as_os_str().is_empty() { ".".into() } else { name.to_owned() },
        kind: Kind::Directory,
        mode: meant.st_mode & 0o7777,
        uid: meant.st_uid.into(),
        gid: meant.st_gid.into(),
        modified: Time { seconds: meant.st_mtime, nanoseconds: u32::try_from(meant.st_mtime_nsec).unwrap_or_default() },
        attributes,
    }
}
