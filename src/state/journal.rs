//! A lab's journal: what it is, what is being done to it, and what was made of it.
//!
//! Write-ahead: the whole plan is on disk before its first step, and what it makes counts as made from then on. So
//! wherever nslab is stopped, what it may have made is known, and whether it did is observed.

use super::error::file;
use super::lock::{Lock, Missing, try_lock};
use super::{LabPaths, StateError, StateRoot, files};
use crate::model::{Instance, LabName};
use crate::plan::{Made, Plan};
use crate::spec::Spec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a command waits for another one that is changing the same lab.
const LOCK_DEADLINE: Duration = Duration::from_mins(2);

/// A lab as it was last brought up to the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its topology.
    pub spec: Spec,
    /// What was made.
    pub made: Made,
}

/// Which command a plan belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// `nslab up`.
    Up,
    /// `nslab down`.
    Down,
}

/// A plan that is being carried out, or was when nslab was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The command that it belongs to.
    pub verb: Verb,
    /// The plan.
    pub plan: Plan,
    /// All that is nslab's of the lab while the plan is carried out: what was made before, by an earlier stopped
    /// command too, and what the plan makes.
    pub made: Made,
    /// The topology that the lab has once the plan is done; of a lab going down, the one that was wanted last.
    pub spec: Option<Spec>,
}

/// What the journal says of a lab.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabState {
    /// What tells it from other labs of its name; `None` where nothing was made yet.
    pub instance: Option<Instance>,
    /// The lab as it was last brought up, if it ever was.
    pub record: Option<Record>,
    /// What was being done to it when nslab was stopped.
    pub pending: Option<Pending>,
}

impl LabState {
    /// Reads a lab's journal. A lab without a directory has an empty one.
    ///
    /// # Errors
    /// When a file can't be read or understood.
    pub fn read(paths: &LabPaths) -> Result<Self, StateError> {
        // The plan first: a command that ends meanwhile renames its record into place before it removes the plan, so
        // that one of the two is always seen.
        let pending = files::read(&paths.pending())?;
        let record = files::read(&paths.record())?;
        Ok(Self { instance: read_instance(paths)?, record, pending })
    }

    /// Everything that nslab has made of the lab, or may have.
    pub fn made(&self) -> Made {
        let recorded = self.record.as_ref().map(|record| record.made.clone()).unwrap_or_default();
        match &self.pending {
            // Taking a node away begins with ending what its commands left running: whoever wants it after all runs them again.
            Some(pending) if pending.verb == Verb::Down => {
                Made { executed: Vec::new(), ..recorded.union(pending.made.clone()) }
            }
            Some(pending) => recorded.union(pending.made.clone()),
            None => recorded,
        }
    }

    /// The topologies that the lab has, and was about to have: something of each may be there.
    pub fn specs(&self) -> impl Iterator<Item = &Spec> {
        let wanted = self.pending.as_ref().and_then(|pending| pending.spec.as_ref());
        self.record.iter().map(|record| &record.spec).chain(wanted)
    }

    /// The topology that the lab has, or was about to have.
    pub fn spec(&self) -> Option<&Spec> {
        self.specs().next()
    }
}

/// What tells a lab from others of its name, without the rest of its journal.
///
/// # Errors
/// When the file can't be read.
pub fn read_instance(paths: &LabPaths) -> Result<Option<Instance>, StateError> {
    match std::fs::read_to_string(paths.instance()) {
        Ok(text) => Ok(Instance::from_text(text.trim_end())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => file("read", &paths.instance(), Err(error)),
    }
}

/// A lab whose lock is held: nobody else changes it.
pub struct LockedLab {
    name: LabName,
    root: StateRoot,
    paths: LabPaths,
    // Released when dropped, by the kernel if need be.
    _lock: Lock,
}

impl StateRoot {
    /// Locks a lab that has a directory; `None` where there is none. While another nslab holds it, `waiting` is called
    /// once and then it is waited for.
    ///
    /// # Errors
    /// When the lock can't be had in two minutes, or not at all.
    ///
    /// # Cancel safety
    /// Nothing is changed by waiting.
    pub async fn lock_lab(&self, lab: &LabName, waiting: impl FnOnce()) -> Result<Option<LockedLab>, StateError> {
        let paths = self.lab(lab);
        let started = Instant::now();
        let mut waiting = Some(waiting);
        loop {
            match try_lock(&paths.lock(), Missing::Fail) {
                Ok(Some(lock)) => {
                    return Ok(Some(LockedLab { name: lab.clone(), root: self.clone(), paths, _lock: lock }));
                }
                Ok(None) => {}
                Err(StateError::File { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            if started.elapsed() > LOCK_DEADLINE {
                return Err(StateError::Busy { lab: lab.clone(), waited_s: LOCK_DEADLINE.as_secs() });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl LockedLab {
    /// The lab's name.
    pub fn name(&self) -> &LabName {
        &self.name
    }

    /// The state directory that it is in.
    pub fn root(&self) -> &StateRoot {
        &self.root
    }

    /// Where its files are.
    pub fn paths(&self) -> &LabPaths {
        &self.paths
    }

    /// Reads the journal.
    ///
    /// # Errors
    /// When a file can't be read or understood.
    pub fn read(&self) -> Result<LabState, StateError> {
        LabState::read(&self.paths)
    }

    /// Writes down what is to tell the lab from others; to be called before anything is made.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn name_instance(&self, instance: &Instance) -> Result<(), StateError> {
        files::write_text(&self.paths.instance(), &format!("{}\n", instance.as_str()))
    }

    /// The stores of images in which something was claimed for the lab since it is there.
    ///
    /// # Errors
    /// When what is written down can't be read.
    pub fn stores(&self) -> Result<BTreeSet<PathBuf>, StateError> {
        Ok(files::read(&self.paths.stores())?.unwrap_or_default())
    }

    /// Writes a store down; to be called before anything is claimed in it.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn add_store(&self, store: &Path) -> Result<(), StateError> {
        let mut stores = self.stores()?;
        if stores.insert(store.to_owned()) { files::write(&self.paths.stores(), &stores) } else { Ok(()) }
    }

    /// Writes down what is about to be done; to be called before any of it is.
    ///
    /// # Errors
    /// When it can't be written: then nothing may be done.
    pub fn begin(&self, pending: &Pending) -> Result<(), StateError> {
        files::write(&self.paths.pending(), pending)
    }

    /// The plan is done: the lab is now what `record` says.
    ///
    /// # Errors
    /// When it can't be written; the lab then counts as half-made.
    pub fn commit(&self, record: &Record) -> Result<(), StateError> {
        files::write(&self.paths.record(), record)?;
        files::remove(&self.paths.pending())
    }

    /// The plan was undone: the lab is what it was before, `previous` included where an earlier command was stopped.
    ///
    /// # Errors
    /// When the plan can't be removed or put back.
    pub fn abandon(&self, previous: Option<&Pending>) -> Result<(), StateError> {
        match previous {
            Some(previous) => files::write(&self.paths.pending(), previous),
            None => files::remove(&self.paths.pending()),
        }
    }

    /// Removes the lab's directory, when nothing of the lab is left, and the state directory with the last one.
    ///
    /// # Errors
    /// When something can't be removed.
    ///
    /// # Cancel safety
    /// Nothing is changed by waiting.
    pub async fn remove(self) -> Result<(), StateError> {
        if let Some(root) = self.root.lock_existing().await? {
            root.remove_lab(&self.name)?;
            root.remove_if_empty()?;
        }
        Ok(())
    }
}
