//! What the launcher is told: the container, and what is outside of it.

use crate::model::container::Container;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A container that is to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// What it is called in messages.
    pub name: String,
    /// The container.
    pub container: Container,
    /// The cgroup that it is to have, below the one that nslab may use: `nslab/LAB/NODE`. None where nothing is limited and
    /// nobody wants to know.
    pub cgroup: Option<PathBuf>,
    /// Where its input comes from and its output goes to.
    pub output: Output,
    /// Whether each step is told on standard error.
    pub verbose: bool,
}

/// Where a container's input comes from and its output goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Output {
    /// The caller's, who waits for its end. Where the input is a terminal and the root is its own, it gets a terminal of
    /// its own (pty(7)), which is joined to the caller's.
    Callers,
    /// Nothing comes in, what comes out is logged; nobody waits.
    Detached {
        /// The directory that is the container's record. It is there, and nobody's but root's to write to.
        directory: PathBuf,
        /// Whether it has a terminal of its own, to which `attach` joins others.
        terminal: bool,
        /// Whether its record, and its cgroup, go with its end.
        remove: bool,
    },
}
