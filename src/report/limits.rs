//! What `limit` tells.

use crate::model::LabName;
use serde::Serialize;
use std::path::PathBuf;

/// What a container may use; what is `None` is not limited.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LimitsReport {
    /// The lab, where it is of one.
    pub lab: Option<LabName>,
    /// What it is called; `None` of a lab as a whole.
    pub name: Option<String>,
    /// Whether it runs: otherwise this is what it has when it is started.
    pub runs: bool,
    /// Its cgroup in every hierarchy, where it has one.
    pub cgroup: Vec<PathBuf>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Swap in bytes.
    pub swap_bytes: Option<u64>,
    /// Processors.
    pub cpus: Option<f64>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// What is read of each disk, in bytes a second.
    pub io_read_bytes_per_s: Option<u64>,
    /// What is written to each disk, in bytes a second.
    pub io_write_bytes_per_s: Option<u64>,
    /// What of it is used.
    pub used: UsageReport,
}

/// What is used at one moment; `None` where it is not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageReport {
    /// Memory in bytes, with the files that the kernel keeps in memory for it.
    pub memory_bytes: Option<u64>,
    /// Processes and threads, process 1 among them.
    pub pids: Option<u64>,
}
