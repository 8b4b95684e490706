//! Locks that go with the process that holds them, on files that may be removed by whoever holds them.

use super::StateError;
use super::error::file;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A held lock: flock(2) on an open file, given back by the kernel when the process ends in whatever way.
pub(super) type Lock = Flock<File>;

/// Whether a lock's file is made where it isn't there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// It is.
    Make,
    /// It is not: that it is missing says something.
    Fail,
}

/// Takes the lock `path` if nobody holds it; `None` if somebody does.
pub(super) fn try_lock(path: &Path, missing: Missing) -> Result<Option<Lock>, StateError> {
    loop {
        let opened = File::options().create(missing == Missing::Make).truncate(false).write(true).open(path);
        let opened = file("open", path, opened)?;
        let lock = match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, nix::Error::EWOULDBLOCK)) => return Ok(None),
            Err((_, errno)) => return file("lock", path, Err(errno.into())),
        };
        // Whoever held it may have removed the file before giving it back: then this is a lock on nothing.
        let held = file("look at", path, lock.metadata())?;
        match std::fs::metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (held.dev(), held.ino()) => return Ok(Some(lock)),
            _ => drop(lock),
        }
    }
}
