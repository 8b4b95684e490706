//! What a node, or a container of no lab, uses and has used at one moment.

use super::LinkStatistics;
use std::collections::BTreeMap;

/// What the processes in a cgroup use, may use, and have used since they are there; what is `None` is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResourceUsage {
    /// Memory in bytes, with the files that the kernel keeps in memory for it.
    pub memory_bytes: Option<u64>,
    /// How much that may be; `None` too where it is not limited.
    pub memory_limit_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// How many those may be; `None` too where they are not limited.
    pub pids_limit: Option<u64>,
    /// Time of processors, in microseconds, of all of them together.
    pub cpu_us: Option<u64>,
    /// What went from and to block devices.
    pub io: Option<IoBytes>,
}

/// What went from and to block devices, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IoBytes {
    /// What was read.
    pub read: u64,
    /// What was written.
    pub written: u64,
}

/// What went into a network namespace and out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The namespace's inode: who it is.
    pub netns_inode: u64,
    /// By which interfaces, by their indices: those with another end that is not in the namespace.
    pub links: BTreeMap<u32, LinkStatistics>,
}
