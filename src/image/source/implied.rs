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

#[cfg(test)]
mod tests {
    use super::super::super::budget::Cancel;
    use super::super::super::digest::Digest;
    use super::super::super::import::{Settings, import};
    use super::super::super::store::Store;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::Path;
    use std::sync::Arc;
    use tar::{Builder, EntryType, Header};

    fn layer(entries: &[(&str, u32)]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (name, mode) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(if name.ends_with('/') { EntryType::Directory } else { EntryType::Regular });
            header.set_mode(*mode);
            header.set_uid(rustix::process::geteuid().as_raw().into());
            header.set_gid(rustix::process::getegid().as_raw().into());
            header.set_mtime(1000);
            header.set_size(0);
            builder.append_data(&mut header, name, std::io::empty()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// The permissions of what is in the uppermost layer of an image that is made from these; and how many layers it has.
    fn imported(scratch: &Path, layers: &[Vec<u8>]) -> (Vec<(String, u32)>, usize) {
        let source = scratch.join("source");
        fs::create_dir_all(&source).unwrap();
        let names: Vec<String> = (0..layers.len()).map(|at| format!("{at}.tar")).collect();
        for (name, layer) in names.iter().zip(layers) {
            fs::write(source.join(name), layer).unwrap();
        }
        let digests: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
        let config = serde_json::json!({"rootfs": {"diff_ids": digests}});
        fs::write(source.join("config.json"), config.to_string()).unwrap();
        let manifest = serde_json::json!([{"Config": "config.json", "Layers": names}]);
        fs::write(source.join("manifest.json"), manifest.to_string()).unwrap();
        let store = Store::new(scratch.join("store"));
        let settings = Settings {
            plain_http: false,
            name: None,
            tag: None,
            limit: "1G".parse().unwrap(),
            devices: super::Devices::LeaveOut,
            cancel: Cancel::default(),
            progress: Arc::new(|_, _| ()),
        };
        let image = import(&store, source.to_str().unwrap(), &settings).unwrap().image;
        let top = store.files_of(&image.layers.last().unwrap().digest);
        let mut found = Vec::new();
        let mut left = vec![top.clone()];
        while let Some(directory) = left.pop() {
            let metadata = directory.symlink_metadata().unwrap();
            let name = directory.strip_prefix(&top).unwrap().to_str().unwrap().to_owned();
            found.push((name, metadata.permissions().mode() & 0o7777));
            assert_eq!(metadata.uid(), rustix::process::geteuid().as_raw(), "{}", directory.display());
            left.extend(fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path()));
        }
        found.sort();
        (found, image.layers.len())
    }

    #[test]
    fn a_directory_is_what_the_uppermost_layer_says_that_says_something() {
        let scratch = tempfile::tempdir().unwrap();
        let base = layer(&[("./", 0o750), ("tmp/", 0o1777), ("root/", 0o700), ("root/a/", 0o711), ("etc/", 0o755)]);
        let above = layer(&[("tmp/x", 0o644), ("root/a/.wh.secret", 0), ("etc/y", 0o644), ("new/z", 0o644)]);
        let (said, count) = imported(scratch.path(), &[base.clone(), above.clone()]);
        let expected = [("", 0o750), ("root", 0o700), ("root/a", 0o711), ("tmp", 0o1777)];
        assert_eq!((said, count), (expected.map(|(name, mode)| (name.to_owned(), mode)).to_vec(), 3));
        // Made again it is the same one, and where nothing is to be said there is none.
        assert_eq!(imported(scratch.path(), &[base.clone(), above.clone()]).1, 3);
        assert_eq!(fs::read_dir(scratch.path().join("store/layers")).unwrap().count(), 3);
        let all = layer(&[("./", 0o750), ("tmp/", 0o700), ("root/", 0o700), ("root/a/", 0o711), ("etc/", 0o755)]);
        assert_eq!(imported(scratch.path(), &[base.clone(), above.clone(), all]).1, 3);
        // One that was gone in between is another one.
        let gone = layer(&[("./", 0o755), (".wh.root", 0), ("tmp/", 0o755), ("tmp/.wh..wh..opq", 0)]);
        let again = layer(&[("./", 0o755), ("root/a/x", 0o644)]);
        assert_eq!(imported(scratch.path(), &[base, gone, again]).1, 3);
    }
}
