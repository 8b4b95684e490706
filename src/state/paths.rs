//! Where everything is.

use super::StateError;
use super::error::file;
use crate::model::{LabName, NodeName, STATE_DIRECTORY};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What the name of a lab's directory that is being made or removed begins with; no lab's does.
pub(super) const IN_TRANSIT: &str = ".in-transit-";

/// The lock's name in a lab's directory. A directory without one is no lab's.
pub(super) const LOCK: &str = "lock";

/// The state directory: `/run/nslab`, or what `--state-dir` or `NSLAB_STATE_DIR` name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRoot(pub(super) PathBuf);

impl StateRoot {
    /// A state directory of one's own. A relative path is taken from the current directory, now.
    ///
    /// # Errors
    /// When there is no current directory.
    pub fn new(path: &Path) -> Result<Self, StateError> {
        Ok(Self(file("find", path, std::path::absolute(path))?))
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether it is the one that nobody else has a reason to make.
    pub(super) fn is_machines(&self) -> bool {
        self.0 == Path::new(STATE_DIRECTORY)
    }

    /// The directory in which each lab has one.
    pub fn labs(&self) -> PathBuf {
        self.0.join("labs")
    }

    /// Held for the moments in which what is in the directory changes. That it is there says that the directory is a
    /// state directory.
    pub(super) fn lock_path(&self) -> PathBuf {
        self.0.join("nslab.lock")
    }

    /// Which directories nslab made to have this one.
    pub(super) fn made_path(&self) -> PathBuf {
        self.0.join("root.json")
    }

    /// The machine's own directories that nslab made.
    pub(super) fn shared_path(&self) -> PathBuf {
        self.0.join("shared.json")
    }

    /// A link to the directory of each lab, of whatever state directory, that uses the machine's own directories.
    pub(super) fn users(&self) -> PathBuf {
        self.0.join("users")
    }

    /// The files of a lab, whether they exist or not.
    pub fn lab(&self, lab: &LabName) -> LabPaths {
        LabPaths { directory: self.labs().join(lab.as_str()) }
    }

    /// The labs that have a directory here, in alphabetical order: those that are up, and those half-made.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub fn lab_names(&self) -> Result<Vec<LabName>, StateError> {
        let labs = self.labs();
        if !self.lock_path().exists() {
            return Ok(Vec::new()); // whatever `labs` is, it isn't nslab's
        }
        let entries = match std::fs::read_dir(&labs) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => file("read", &labs, other)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = file("read", &labs, entry)?;
            // Anything else was not put there by nslab, or is being removed.
            if let Some(name) = entry.file_name().to_str().and_then(|name| LabName::try_from(name).ok())
                && self.lab(&name).lock().exists()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

impl Default for StateRoot {
    fn default() -> Self {
        Self(PathBuf::from(STATE_DIRECTORY))
    }
}

/// The files of a lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabPaths {
    directory: PathBuf,
}

impl LabPaths {
    /// Those of a lab whose directory this is.
    pub(super) fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The lab's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The state directory.
    pub fn state_directory(&self) -> &Path {
        self.directory.ancestors().nth(2).unwrap_or(&self.directory)
    }

    /// The lock that whoever changes the lab holds.
    pub fn lock(&self) -> PathBuf {
        self.directory.join(LOCK)
    }

    pub(super) fn record(&self) -> PathBuf {
        self.directory.join("lab.json")
    }

    pub(super) fn pending(&self) -> PathBuf {
        self.directory.join("plan.json")
    }

    /// The stores of images in which something is, or may be, claimed for the lab.
    pub(super) fn stores(&self) -> PathBuf {
        self.directory.join("stores.json")
    }

    pub(super) fn instance(&self) -> PathBuf {
        self.directory.join("instance")
    }

    /// The directory below which the hosts files are.
    pub fn names_root(&self) -> PathBuf {
        self.directory.join("etc")
    }

    /// The directory of what is written down of a node's container.
    pub fn container(&self, node: &NodeName) -> PathBuf {
        self.directory.join("containers").join(node.as_str())
    }

    /// The directory of what the nodes' commands printed.
    pub fn logs(&self) -> PathBuf {
        self.directory.join("log")
    }
}
