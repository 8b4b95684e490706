//! What `up` and `down` are given, and what comes of them.

use super::Gap;
use super::planning::OvsdbOptions;
use super::{Progress, Stop};
use crate::host::{EndedProcess, Host};
use crate::plan::Plan;

/// What a finished `up` or `down` did.
#[derive(Debug)]
pub struct Outcome {
    /// The steps that were carried out.
    pub plan: Plan,
    /// Processes that were ended because their namespace went.
    pub ended: Vec<EndedProcess>,
    /// What was left alone because it is not the lab's any more.
    pub left_alone: Vec<String>,
    /// What is good to know about it.
    pub notes: Vec<String>,
    /// How long gateways did not answer while the machine's address moved.
    pub gaps: Vec<Gap>,
    /// Whether the lab was up before.
    pub was_up: bool,
}

/// What both need besides the lab.
pub struct Context {
    /// The machine.
    pub host: Host,
    /// The user's wish to stop.
    pub stop: Stop,
    /// Told how far things are.
    pub progress: Progress,
    /// Where Open vSwitch's database is.
    pub ovsdb: OvsdbOptions,
}
