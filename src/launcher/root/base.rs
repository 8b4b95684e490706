//! The files of a root, attached above the machine's own root, from where `pivot` takes them.

use super::inside::{Inside, open_directory};
use super::{layer, tree};
use crate::launcher::failure::{During, Failure, Step};
use crate::model::container::{RootSource, Writes};
use nix::errno::Errno;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::path::{Path, PathBuf};

/// Attaches the root. What is mounted below a directory belongs to it; a layer, however, lies above one file system, and what is
/// mounted below that is not seen. Nor is it below the machine's own root.
pub(super) fn attach(
    source: &RootSource,
    writes: &Writes,
    in_user_namespace: bool,
    prepared: Option<&layer::Prepared>,
) -> Result<Inside, Failure> {
    let (paths, extent) = files_of(source);
    let path = paths.first().copied().unwrap_or(Path::new("/"));
    let machine = open_directory(Path::new("/"))?;
    let attached = match (writes, prepared) {
        (Writes::Layer | Writes::Above(_), Some(prepared)) => prepared.attach(&machine),
        // Several can't be seen as one without overlayfs.
        (Writes::Through, _) if paths.len() == 1 => bound(&open_directory(path)?, extent, &machine, path),
        (writes, _) => layer::attach(&layer::Layers::open(&paths, writes)?, &machine, in_user_namespace),
    };
    let root = attached.map_err(|failure| {
        // The kernel keeps together what was mounted by somebody who has more rights (mount_namespaces(7)).
        if *source == RootSource::Host && in_user_namespace && failure.source == Errno::EINVAL {
            let step = "show the machine's own root in a user namespace, where nothing that is mounted in it can be left out; \
                        give a directory in place of it";
            return Step::of(step).failed()(failure.source);
        }
        failure
    })?;
    let mut inside = Inside::new(root, path.to_owned());
    if *writes != Writes::Through || paths.len() > 1 {
        inside.owns_root()?;
    }
    Ok(inside)
}

/// Where the files of a root are, the uppermost first, and how much of what is there.
pub(super) fn files_of(source: &RootSource) -> (Vec<&Path>, tree::Extent) {
    match source {
        RootSource::Directory(directory) => (vec![directory.as_path()], tree::Extent::WithBelow),
        RootSource::Host => (vec![Path::new("/")], tree::Extent::One),
        RootSource::Layers(layers) => (layers.iter().map(PathBuf::as_path).collect(), tree::Extent::One),
    }
}

fn bound(files: &OwnedFd, extent: tree::Extent, machine: &OwnedFd, path: &Path) -> Result<OwnedFd, Failure> {
    let mounted = || Step::Mount { what: path.display().to_string(), at: "/".into() };
    match tree::bind(files, extent, machine).during(mounted)? {
        Some(root) => Ok(root),
        None => uppermost().during(mounted),
    }
}

/// The mount that was attached last above the root that this process still has. `/` is the root itself; the kernel follows
/// what is mounted above it only from below, by `..`.
pub(super) fn uppermost() -> Result<OwnedFd, rustix::io::Errno> {
    openat(CWD, "/..", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
