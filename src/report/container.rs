//! What `ps` tells.

use crate::model::LabName;
use serde::Serialize;

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerReport {
    /// The lab that it is a node of, where it is.
    pub lab: Option<LabName>,
    /// What it is called; its node's name.
    pub name: String,
    /// Whether it runs.
    pub state: ContainerState,
    /// Its process 1, while it runs.
    pub pid: Option<i32>,
    /// How much memory it uses, in bytes, while it runs and that is counted: with the files that the kernel keeps in memory
    /// for it.
    pub memory_bytes: Option<u64>,
    /// The exit code, as a shell tells it, once it has ended.
    pub exit_code: Option<u8>,
    /// Why it has ended, where that was not by itself.
    pub reason: Option<String>,
    /// When it was started, or has ended, in seconds after 1970.
    pub since_unix_s: Option<u64>,
    /// What runs in it.
    pub command: Vec<String>,
}

/// Whether a container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    /// It does.
    Running,
    /// Its command has ended by itself.
    Exited,
    /// It was ended by a signal, or for want of memory.
    Killed,
    /// It has ended, and nobody was left to say how.
    Gone,
    /// It was never started.
    New,
}
