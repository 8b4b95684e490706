//! The files of a root, attached above the machine's own root, from where `pivot` takes them.

use super::inside::{Inside, open_directory};
use super::{layer, tree};
use crate::launcher::failure::{During, Failure, Step};
use crate::model::container::{RootSource, Writes};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::path::Path;

/// Attaches the root. What is mounted below a directory belongs to it; a layer, however, lies above one file system, and what is
/// mounted below that is not seen. Nor is it below the machine's own root.
pub(super) fn attach(source: &RootSource, writes: Writes, in_user_namespace: bool) -> Result<Inside, Failure> {
    let (path, extent) = match source {
        RootSource::Directory(directory) => (directory.as_path(), tree::Extent::WithBelow),
        RootSource::Host => (Path::new("/"), tree::Extent::One),
    };
    let files = open_directory(path)?;
    let machine = open_directory(Path::new("/"))?;
    match writes {
        Writes::Through => {
            let mounted = || Step::Mount { what: path.display().to_string(), at: "/".into() };
            let root = match tree::bind(&files, extent, &machine).during(mounted)? {
                Some(root) => root,
                None => uppermost().during(mounted)?,
            };
            Ok(Inside::new(root, path.to_owned()))
        }
        Writes::Layer => {
            let root = layer::attach(&files, &machine, in_user_namespace)?;
            let mut inside = Inside::new(root, path.to_owned());
            inside.owns_root()?;
            Ok(inside)
        }
    }
}

/// The mount that was attached last above the root that this process still has. `/` is the root itself; the kernel follows
/// what is mounted above it only from below, by `..`.
pub(super) fn uppermost() -> Result<OwnedFd, rustix::io::Errno> {
    openat(CWD, "/..", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
