//! What all labs of the machine share, whatever state directory they are in: the directories that namespaces are pinned
//! in. nslab makes them for the first lab, and removes them after the last.
//!
//! Who uses them is noted in /run/nslab, under its lock, so that a lab going down never takes away what another one,
//! coming up, just found there.

use super::error::file;
use super::root::LockedRoot;
use super::{LabPaths, StateError, StateRoot, files, read_instance};
use crate::directory;
use crate::model::Instance;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::os::unix::fs::symlink;

/// Which of the machine's shared directories nslab made, or was about to, and so removes after the last lab.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedDirectories {
    /// /run/netns was not there.
    pub pin_directory: bool,
    /// /run/netns was no shared mount point.
    pub pin_mount: bool,
    /// /etc/netns was not there.
    pub names_directory: bool,
}

/// What is shared, with its lock held.
pub struct LockedShared(LockedRoot);

impl LockedShared {
    /// Locks it, and makes /run/nslab where it is missing.
    ///
    /// # Errors
    /// When it can't be made or locked.
    ///
    /// # Cancel safety
    /// As [`StateRoot::lock`].
    pub async fn lock() -> Result<Self, StateError> {
        StateRoot::default().lock().await.map(Self)
    }

    /// Locks it, where there is anything.
    ///
    /// # Errors
    /// When it can't be locked.
    ///
    /// # Cancel safety
    /// As [`StateRoot::lock_existing`].
    pub async fn lock_existing() -> Result<Option<Self>, StateError> {
        Ok(StateRoot::default().lock_existing().await?.map(Self))
    }

    /// Notes that a lab uses the shared directories. It does for as long as it has a directory of its own.
    ///
    /// # Errors
    /// When that can't be written.
    pub fn add_user(&self, lab: &LabPaths) -> Result<(), StateError> {
        let users = self.0.root.users();
        file("create", &users, directory::make_all(&users))?;
        // Any name will do that the same lab has again.
        let mut hasher = DefaultHasher::new();
        lab.directory().hash(&mut hasher);
        let link = users.join(format!("{:016x}", hasher.finish()));
        match symlink(lab.directory(), &link) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            result => file("create", &link, result),
        }
    }

    /// Whether any lab uses them.
    ///
    /// # Errors
    /// When it can't be read who does.
    pub fn has_users(&self) -> Result<bool, StateError> {
        self.0.has_users()
    }

    /// What nslab made of the shared directories.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn noted(&self) -> Result<SharedDirectories, StateError> {
        Ok(files::read(&self.0.root.shared_path())?.unwrap_or_default())
    }

    /// Notes what is about to be made of the shared directories; to be called before it is.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn note(&self, shared: &SharedDirectories) -> Result<(), StateError> {
        files::write(&self.0.root.shared_path(), shared)
    }

    /// Forgets the shared directories, after they were removed or left to others, and /run/nslab with them where nothing
    /// else is in it.
    ///
    /// # Errors
    /// When something can't be removed.
    pub fn forget(self) -> Result<(), StateError> {
        files::remove(&self.0.root.shared_path())?;
        self.0.remove_if_empty()
    }
}

/// The instances of all labs of the machine, whatever state directory they are in.
///
/// # Errors
/// When a directory or a file can't be read.
pub fn instances() -> Result<BTreeSet<Instance>, StateError> {
    let users = StateRoot::default().users();
    let entries = match std::fs::read_dir(&users) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        other => file("read", &users, other)?,
    };
    let mut instances = BTreeSet::new();
    for entry in entries {
        let link = file("read", &users, entry)?.path();
        if let Ok(directory) = std::fs::read_link(&link) {
            instances.extend(read_instance(&LabPaths::at(directory))?);
        }
    }
    Ok(instances)
}

impl LockedRoot {
    /// Whether what is noted here has still to be looked after.
    pub(super) fn is_needed(&self) -> Result<bool, StateError> {
        Ok(self.has_users()? || self.root.shared_path().exists())
    }

    /// Whether labs of any state directory use what is noted here. Those that are no more are forgotten.
    fn has_users(&self) -> Result<bool, StateError> {
        let users = self.root.users();
        let entries = match std::fs::read_dir(&users) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            other => file("read", &users, other)?,
        };
        let mut any = false;
        for entry in entries {
            let link = file("read", &users, entry)?.path();
            if link.exists() { any = true } else { files::remove(&link)? }
        }
        Ok(any)
    }
}
