//! What went wrong, and what could not be put back.

use super::EffectError;
use crate::plan::StepId;

/// A step that could not be done.
#[derive(Debug)]
pub struct StepFailure {
    /// Which one.
    pub step: StepId,
    /// What it was to do, in words.
    pub what: String,
    /// Why it could not.
    pub error: EffectError,
}

/// What undoing a plan came to.
#[derive(Debug, Default)]
pub struct UndoReport {
    /// How many operations put something back.
    pub undone: usize,
    /// Whether commands of the nodes were run: what they did, nobody can undo.
    pub commands_ran: bool,
    /// What could not be put back, and why.
    pub failures: Vec<(String, EffectError)>,
}
