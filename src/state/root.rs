//! The state directory itself: it comes with the first lab and goes with the last, if nslab made it.

use super::error::file;
use super::lock::{Lock, Missing, try_lock};
use super::paths::{IN_TRANSIT, LOCK};
use super::{LabPaths, StateError, StateRoot, files};
use crate::model::LabName;
use crate::{directory, fault};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a lock that somebody holds is asked for.
const POLL: Duration = Duration::from_millis(2);

/// The state directory, with its lock held: no lab comes or goes meanwhile.
pub struct LockedRoot {
    pub(super) root: StateRoot,
    // Released when dropped, by the kernel if need be.
    _lock: Lock,
}

/// The directories that nslab made for the state directory, itself and those it is in, the outermost first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct MadeDirectories(Vec<PathBuf>);

impl StateRoot {
    /// Locks the state directory, waiting for whoever holds it; makes it where it is missing. It is held for moments
    /// only, so there is no limit to the waiting.
    ///
    /// # Errors
    /// When the directory can't be made or locked.
    ///
    /// # Cancel safety
    /// Nothing is changed by waiting, but that the directory is there.
    pub async fn lock(&self) -> Result<LockedRoot, StateError> {
        loop {
            let made = file("create", self.path(), directory::make_all(self.path()))?;
            match try_lock(&self.lock_path(), Missing::Make) {
                Ok(Some(lock)) => {
                    let locked = LockedRoot { root: self.clone(), _lock: lock };
                    if let Err(error) = locked.note_made(&made) {
                        locked.remove_unnoted(&made);
                        return Err(error);
                    }
                    return Ok(locked);
                }
                Ok(None) => {}
                // The last lab went, and the directory with it, between our two lines.
                Err(StateError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// As [`StateRoot::lock`], but makes nothing: `None` where there is no state directory.
    ///
    /// # Errors
    /// When it can't be locked.
    ///
    /// # Cancel safety
    /// Nothing is changed by waiting.
    pub async fn lock_existing(&self) -> Result<Option<LockedRoot>, StateError> {
        loop {
            match try_lock(&self.lock_path(), Missing::Fail) {
                Ok(Some(lock)) => return Ok(Some(LockedRoot { root: self.clone(), _lock: lock })),
                Ok(None) => {}
                Err(StateError::File { source, .. }) if is_absence(&source) => {
                    self.remove_bare_directory()?;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// A command that was stopped at its very beginning, or end, leaves the machine's own state directory with nothing in
    /// it. Another one may be empty because somebody made it so.
    fn remove_bare_directory(&self) -> Result<(), StateError> {
        if self.is_machines() { files::remove_empty_directory(self.path()).map(|_| ()) } else { Ok(()) }
    }
}

fn is_absence(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

impl LockedRoot {
    /// Adds to the note what this command made; another one may have made the rest.
    fn note_made(&self, made: &[PathBuf]) -> Result<(), StateError> {
        if made.is_empty() {
            return Ok(());
        }
        fault::point(|| "after making the state directory".into());
        let MadeDirectories(mut noted) = files::read(&self.root.made_path())?.unwrap_or_default();
        noted.extend_from_slice(made);
        noted.sort();
        noted.dedup();
        files::write(&self.root.made_path(), &MadeDirectories(noted))
    }

    /// Removes what this command made where that can't be noted; what somebody put in it meanwhile keeps it.
    fn remove_unnoted(self, made: &[PathBuf]) {
        if made.is_empty() {
            return;
        }
        // The error that it is done for is the one to tell.
        let _ = files::remove_with_new(&self.root.made_path());
        let _ = files::remove(&self.root.lock_path());
        for directory in made.iter().rev() {
            let _ = std::fs::remove_dir(directory);
        }
    }

    /// Makes a lab's directory where it is missing.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn add_lab(&self, lab: &LabName) -> Result<LabPaths, StateError> {
        self.sweep()?;
        let paths = self.root.lab(lab);
        if paths.lock().exists() {
            return Ok(paths);
        }
        // Made aside, so that a lab's directory has its lock from the first moment that it is there.
        let new = self.root.labs().join(format!("{IN_TRANSIT}{lab}"));
        let lock = new.join(LOCK);
        file("create", &new, directory::make_all(&new))?;
        file("create", &lock, std::fs::File::create(&lock))?;
        fault::point(|| "before putting the lab's directory in its place".into());
        file("create", paths.directory(), std::fs::rename(&new, paths.directory()))?;
        fault::point(|| "after making the lab's directory".into());
        Ok(paths)
    }

    /// Removes a lab's directory with all that is in it, at one moment for whoever looks.
    pub(super) fn remove_lab(&self, lab: &LabName) -> Result<(), StateError> {
        self.sweep()?;
        let paths = self.root.lab(lab);
        let gone = self.root.labs().join(format!("{IN_TRANSIT}{lab}"));
        fault::point(|| "before removing the lab's directory".into());
        file("remove", paths.directory(), std::fs::rename(paths.directory(), &gone))?;
        fault::point(|| "while removing the lab's directory".into());
        file("remove", &gone, directory::remove_all(&gone))
    }

    /// Removes what a stopped command left of labs' directories that it was making or removing.
    fn sweep(&self) -> Result<(), StateError> {
        let labs = self.root.labs();
        let entries = match std::fs::read_dir(&labs) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => file("read", &labs, other)?,
        };
        for entry in entries {
            let path = file("read", &labs, entry)?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(IN_TRANSIT)) {
                file("remove", &path, directory::remove_all(&path))?;
            }
        }
        Ok(())
    }

    /// Whether there is no lab at all.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub fn is_empty(&self) -> Result<bool, StateError> {
        Ok(self.root.lab_names()?.is_empty())
    }

    /// Removes the state directory if neither a lab nor a container is in it and nobody needs it, as far as nslab made it, and gives the lock
    /// back.
    ///
    /// # Errors
    /// When something in it can't be removed. What nslab did not put there is left, and the directory with it.
    pub fn remove_if_empty(self) -> Result<(), StateError> {
        if !self.is_empty()? || self.is_needed()? || self.has_launched()? {
            return Ok(());
        }
        self.sweep()?;
        let MadeDirectories(mut made) = files::read(&self.root.made_path())?.unwrap_or_default();
        if made.is_empty() && self.root.is_machines() {
            made.push(self.root.path().to_owned());
        }
        files::remove_empty_directory(&self.root.labs())?;
        files::remove_empty_directory(&self.root.users())?;
        files::remove_with_new(&self.root.shared_path())?;
        files::remove_with_new(&self.root.made_path())?;
        fault::point(|| "before removing the state directory".into());
        // The lock file last: as long as it is there, whoever wants in waits for it.
        files::remove(&self.root.lock_path())?;
        for directory in made.iter().rev() {
            remove_unless_kept(directory)?;
        }
        Ok(())
    }
}

fn remove_unless_kept(directory: &Path) -> Result<(), StateError> {
    match files::remove_empty_directory(directory) {
        // A mount point by now, or in a directory that we may no longer write.
        Err(StateError::File { source, .. })
            if matches!(source.kind(), ErrorKind::ResourceBusy | ErrorKind::PermissionDenied) =>
        {
            Ok(())
        }
        other => other.map(|_| ()),
    }
}
