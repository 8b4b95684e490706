//! The directories of containers that belong to no lab. What is in one is the launcher's to say.

use super::error::file;
use super::paths::IN_TRANSIT;
use super::{LockedRoot, StateError, StateRoot, files};
use crate::model::ContainerName;
use crate::{directory, fault};
use std::io::ErrorKind;
use std::path::PathBuf;

impl StateRoot {
    /// The state directory that such containers are in: this one; or where this is the machine's, which is root's, an ordinary
    /// user's own, in the directory that his session has for such things (XDG Base Directory Specification).
    #[must_use]
    pub fn launched_home(&self) -> Self {
        if !self.is_machines() || nix::unistd::geteuid().is_root() {
            return self.clone();
        }
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
        runtime.map_or_else(|| self.clone(), |runtime| Self(runtime.join("nslab")))
    }

    /// The directory in which each such container has one.
    fn launched_root(&self) -> PathBuf {
        self.launched_home().0.join("launched")
    }

    /// A container's directory, whether it exists or not.
    pub fn launched(&self, name: &ContainerName) -> PathBuf {
        self.launched_root().join(name.as_str())
    }

    /// The containers that have a directory, in alphabetical order: those that run, and those that have ended.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub fn launched_names(&self) -> Result<Vec<ContainerName>, StateError> {
        let directory = self.launched_root();
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => file("read", &directory, other)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = file("read", &directory, entry)?;
            names.extend(entry.file_name().to_str().and_then(|name| ContainerName::try_from(name).ok()));
        }
        names.sort();
        Ok(names)
    }
}

impl LockedRoot {
    /// Makes a container's directory; `None` where there is one already.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn add_launched(&self, name: &ContainerName) -> Result<Option<PathBuf>, StateError> {
        let path = self.root.launched(name);
        if path.exists() {
            return Ok(None);
        }
        // What its command gets, in its environment as well, is nobody else's business.
        let parent = self.root.launched_root();
        let made = directory::make_all(&parent).and_then(|_| directory::make_private(&path));
        file("create", &path, made)?;
        fault::point(|| "after making the container's directory".into());
        Ok(Some(path))
    }

    /// Removes a container's directory with all that is in it, at one moment for whoever looks; fine where there is none.
    ///
    /// # Errors
    /// When it can't be removed.
    pub fn remove_launched(&self, name: &ContainerName) -> Result<(), StateError> {
        let path = self.root.launched(name);
        let gone = self.root.launched_root().join(format!("{IN_TRANSIT}{name}"));
        let injected = fault::at("while the container is forgotten").map_err(std::io::Error::other);
        file("remove", &path, injected)?;
        match std::fs::rename(&path, &gone) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => file("remove", &path, other)?,
        }
        fault::point(|| "while removing the container's directory".into());
        file("remove", &gone, directory::remove_all(&gone))
    }

    /// Whether there is any, or was: the directory of all goes with the last.
    pub(super) fn has_launched(&self) -> Result<bool, StateError> {
        let directory = self.root.launched_root();
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            other => file("read", &directory, other)?,
        };
        for entry in entries {
            let path = file("read", &directory, entry)?.path();
            // A command was stopped while it removed one.
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(IN_TRANSIT)) {
                file("remove", &path, directory::remove_all(&path))?;
            }
        }
        files::remove_empty_directory(&directory).map(|is_gone| !is_gone)
    }
}
