//! What can go wrong with a lab as a whole, and how far things were put back.

use super::{EffectError, StepFailure, UndoReport};
use crate::host::HostError;
use crate::model::LabName;
use crate::plan::PlanError;
use crate::state::StateError;

/// Why a lab could not be brought up or down.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The plan can't be made as things are; nothing was touched.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The machine could not be looked at; nothing was touched.
    #[error("can't look at what is there of {lab}")]
    Observe {
        /// The lab.
        lab: LabName,
        /// Why not.
        #[source]
        source: HostError,
    },
    /// A NIC can't be the lab's uplink; nothing was touched.
    #[error("nothing was done")]
    Nic {
        /// The lab.
        lab: LabName,
        /// Why not.
        #[source]
        source: HostError,
    },
    /// The journal could not be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// /run/netns or /etc/netns could not be made or removed.
    #[error("can't prepare the machine for namespaces")]
    Shared(#[source] HostError),
    /// Who calls is inside the lab.
    #[error("nothing was done")]
    Caller(#[source] HostError),
    /// The lab could not become what it should; what was begun was undone as far as `undo` says.
    #[error("{lab} could not be {}", if *was_up { "changed" } else { "brought up" })]
    Up {
        /// The lab.
        lab: LabName,
        /// Whether it was up before.
        was_up: bool,
        /// What went wrong.
        #[source]
        cause: Cause,
        /// What undoing came to.
        undo: UndoReport,
    },
    /// Something of a lab that went down is still there.
    #[error("{lab} is not all gone; left: {}", left.join("; "))]
    Left {
        /// The lab.
        lab: LabName,
        /// What is left, in words.
        left: Vec<String>,
        /// The steps that failed.
        failures: Vec<StepFailure>,
    },
}

/// What went wrong while a plan was carried out.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// Steps failed.
    #[error("could not {}", first(.0))]
    Steps(Vec<StepFailure>),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// All steps were done, but reading back shows something else.
    #[error("it did not become what it should be; still to do: {}", .0.join("; "))]
    Different(Vec<String>),
    /// All steps were done, but could not be read back.
    #[error("could not read back what was made")]
    Unreadable(#[source] Box<ApplyError>),
    /// All steps were done, but the kernel does not finish removing namespaces.
    #[error("the namespaces that went are not gone")]
    Lingering(#[source] HostError),
    /// All steps were done, but the journal could not be written.
    #[error("could not write down that it is up")]
    Unrecorded(#[source] StateError),
}

fn first(failures: &[StepFailure]) -> &str {
    failures.first().map_or("finish", |failure| failure.what.as_str())
}

impl ApplyError {
    /// Whether everything that had been begun was put back or taken away again.
    pub fn is_undone(&self) -> bool {
        match self {
            Self::Up { undo, .. } => undo.failures.is_empty(),
            Self::Plan(_)
            | Self::Observe { .. }
            | Self::Nic { .. }
            | Self::State(_)
            | Self::Shared(_)
            | Self::Caller(_)
            | Self::Left { .. } => false,
        }
    }

    /// Whether the reason is something that the machine does not have.
    pub fn is_lacking(&self) -> bool {
        let is_host = |error: &EffectError| matches!(error, EffectError::Host(error) if error.is_lacking());
        match self {
            Self::Plan(error) => error.is_lacking(),
            Self::State(error) => error.is_permission(),
            Self::Shared(error) | Self::Observe { source: error, .. } => error.is_lacking(),
            Self::Up { cause: Cause::Steps(failures), .. } => failures.iter().all(|failure| is_host(&failure.error)),
            Self::Up { .. } | Self::Nic { .. } | Self::Caller(_) | Self::Left { .. } => false,
        }
    }

    /// Whether what was asked for makes no sense on this machine; nothing was touched.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Plan(error) if error.is_usage())
    }

    /// Whether something could not be put back or taken away.
    pub fn is_incomplete(&self) -> bool {
        match self {
            Self::Up { undo, .. } => !undo.failures.is_empty(),
            Self::Left { .. } => true,
            Self::Plan(_)
            | Self::Observe { .. }
            | Self::Nic { .. }
            | Self::State(_)
            | Self::Shared(_)
            | Self::Caller(_) => false,
        }
    }
}
