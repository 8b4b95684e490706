//! Volumes: mounts in a mount namespace of a lab's own, which is pinned by a file.

mod loop_device;
mod make;
mod namespace;

use super::HostError;
use super::error::FileContext;
use crate::fault;
use crate::model::Volume;
use namespace::Pinned;
use nix::mount::{MntFlags, umount2};
use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where a volume is mounted until it is whole.
const UNFINISHED: &str = "/.unfinished";

/// Sees to it that there is this volume.
pub(super) fn ensure(volume: &Volume) -> Result<(), HostError> {
    let namespace = namespace::ensure(&volume.namespace)?;
    if namespace::inside(&namespace, || Ok(is_mounted(&volume.at)))? {
        return Ok(());
    }
    let tree = make::tree(volume)?;
    fault::point(|| format!("before mounting the volume {}", volume.name));
    namespace::inside(&namespace, || make::attach(volume, &tree))
}

/// Removes a volume, and with the last one the namespace.
pub(super) fn remove(volume: &Volume) -> Result<(), HostError> {
    let namespace = match namespace::look(&volume.namespace)? {
        Pinned::Nothing => return Ok(()),
        Pinned::Empty => return namespace::unpin(&volume.namespace),
        Pinned::Namespace(namespace) => namespace,
    };
    let rest = namespace::inside(&namespace, || {
        unmount(Path::new(UNFINISHED))?;
        unmount(&volume.at)?;
        mounted()
    })?;
    fault::point(|| format!("after unmounting the volume {}", volume.name));
    if rest.is_empty() { namespace::unpin(&volume.namespace) } else { Ok(()) }
}

/// The volumes that are mounted in a namespace, by where they are; `None` where nothing is there that could pin one. Who is not
/// root is told that there is one of which nothing is known.
pub(super) fn observe_volumes(pin: &Path) -> Result<Option<BTreeSet<PathBuf>>, HostError> {
    match namespace::look(pin)? {
        Pinned::Nothing => Ok(None),
        Pinned::Empty => Ok(Some(BTreeSet::new())),
        Pinned::Namespace(namespace) => namespace::inside(&namespace, mounted).map(Some),
    }
}

/// To be called in the namespace.
fn mounted() -> Result<BTreeSet<PathBuf>, HostError> {
    let root = Path::new("/");
    let entries = std::fs::read_dir(root).on_file("read the volumes in", root)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>();
    let paths = paths.on_file("read the volumes in", root)?;
    Ok(paths.into_iter().filter(|path| path != Path::new(UNFINISHED) && is_mounted(path)).collect())
}

/// Whether something is mounted there; to be called in the namespace, whose root is a file system that nothing else is in.
fn is_mounted(path: &Path) -> bool {
    let look = |path: &Path| std::fs::symlink_metadata(path).map(|file| file.dev());
    match (look(path), look(Path::new("/"))) {
        (Ok(there), Ok(root)) => there != root,
        // What does not answer any more, as a server's that is gone, is mounted all the same.
        (Err(error), _) => error.kind() != io::ErrorKind::NotFound,
        (Ok(_), Err(_)) => false,
    }
}

/// To be called in the namespace.
fn unmount(path: &Path) -> Result<(), HostError> {
    while is_mounted(path) {
        umount2(path, MntFlags::MNT_DETACH).map_err(|source| HostError::Mount {
            action: "unmount the volume at",
            path: path.to_owned(),
            source,
        })?;
    }
    match std::fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.on_file("remove", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_looked_at_counts_as_mounted() {
        assert!(is_mounted(Path::new("/proc/self")));
        assert!(!is_mounted(Path::new("/no-such-directory")));
        assert!(is_mounted(Path::new("/dev/null/below")), "neither is it there, nor is it known that it is not");
    }
}
