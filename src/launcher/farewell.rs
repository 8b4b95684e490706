//! What a container that nobody waits for takes away with its end, where it is to be forgotten then: its record and its cgroup.

use super::cgroup::WaysOut;
use super::enclosed::enclosed;
use super::failure::{During, Failure, Step};
use super::launch::{Launch, Output};
use super::record::names;
use rustix::fs::{AtFlags, unlinkat};
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Open files of outside by which process 1 takes it all away.
#[derive(Debug)]
pub(super) struct Farewell {
    /// The directory of the record.
    record: OwnedFd,
    /// The directory that it is in, and its name there.
    place: (OwnedFd, OsString),
    ways_out: Option<WaysOut>,
}

impl Farewell {
    /// What there is to be taken away; nothing where the container is to be remembered.
    ///
    /// # Errors
    /// When it can't be opened.
    pub(super) fn prepare(
        launch: &Launch,
        ways_out: impl FnOnce() -> Result<Option<WaysOut>, Failure>,
    ) -> Result<Option<Self>, Failure> {
        let Output::Detached { directory, remove: true, .. } = &launch.output else { return Ok(None) };
        let open = || Step::Open { path: directory.clone() };
        let record = enclosed(File::open(directory).during(open)?);
        let (Some(parent), Some(name)) = (directory.parent(), directory.file_name()) else { return Ok(None) };
        let place = (enclosed(File::open(parent).during(open)?), name.to_owned());
        Ok(Some(Self { record, place, ways_out: ways_out()? }))
    }

    /// Takes it away. What can't be is left for `nslab gc`.
    pub(super) fn say(self) {
        let Self { record, place: (parent, name), ways_out } = self;
        if let Some(ways_out) = ways_out {
            ways_out.take();
        }
        // Where the record is not root's of the container to remove, it stays whole.
        if unlinkat(&record, names::CONTAINER, AtFlags::empty()).is_err() {
            return;
        }
        let in_init = names::OF_INIT.map(|file| Path::new(names::INIT).join(file));
        for file in in_init.iter().map(PathBuf::as_path).chain(names::ALL.map(Path::new)) {
            // Not all of them need to be there.
            let _ = unlinkat(&record, file, AtFlags::empty());
        }
        let _ = unlinkat(&record, names::INIT, AtFlags::REMOVEDIR);
        let _ = unlinkat(&parent, &name, AtFlags::REMOVEDIR);
    }
}
