//! Errors with the place in the text that they are about.

use super::Problem;
use std::sync::Arc;

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl Position {
    /// Where every text begins.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong with a topology: `file:line:column: what is wrong: what to do`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}:{at}: {problem}")]
pub struct SpecError {
    /// Where the text came from: a file's path, or the name of a built-in topology.
    pub origin: Arc<str>,
    /// The place in the text.
    pub at: Position,
    /// What is wrong there.
    pub problem: Problem,
}

/// Everything that is wrong with a topology, in the order of the text; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecErrors {
    /// The errors.
    pub errors: Vec<SpecError>,
}

impl std::fmt::Display for SpecErrors {
    /// A line for each.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for SpecErrors {}

/// What has been found wrong so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<(Position, Problem)>,
    addressing_in_doubt: bool,
}

impl Problems {
    pub(super) fn new(found: Vec<(Position, Problem)>) -> Self {
        let addressing_in_doubt = found.iter().any(|(_, problem)| problem.may_hide_addresses());
        Self { found, addressing_in_doubt }
    }

    pub(super) fn add(&mut self, at: Position, problem: impl Into<Problem>) {
        self.found.push((at, problem.into()));
    }

    /// Like [`Self::add`], for what keeps addresses, or the links they are handed out over, from being known.
    pub(super) fn add_to_addressing(&mut self, at: Position, problem: impl Into<Problem>) {
        self.addressing_in_doubt = true;
        self.add(at, problem);
    }

    /// Something that would have had to do with addresses could not be decoded.
    pub(super) fn doubt_addressing(&mut self) {
        self.addressing_in_doubt = true;
    }

    /// Whether a missing address may be the consequence of an error that has been found already, so that complaining
    /// about it would only lead astray.
    pub(super) fn addressing_in_doubt(&self) -> bool {
        self.addressing_in_doubt
    }

    /// Whether there is an unknown key that is likely to mean one of these.
    pub(super) fn has_unknown_like(&self, keys: &[&str]) -> bool {
        let means = |problem: &Problem| match problem {
            Problem::UnknownKey { suggestion, .. } => suggestion.as_deref().is_some_and(|meant| keys.contains(&meant)),
            _ => false,
        };
        self.found.iter().any(|(_, problem)| means(problem))
    }

    /// The errors by position; `None` where nothing is wrong.
    pub(super) fn into_errors(mut self, origin: &str) -> Option<SpecErrors> {
        if self.found.is_empty() {
            return None;
        }
        self.found.sort_by_key(|(at, _)| *at);
        // A value that an alias repeats is decoded as often, and is wrong once.
        self.found.dedup();
        let origin: Arc<str> = origin.into();
        let errors = self.found.into_iter().map(|(at, problem)| SpecError { origin: Arc::clone(&origin), at, problem });
        Some(SpecErrors { errors: errors.collect() })
    }
}
