//! Everything that a verb can fail with, and the exit code that it comes to.

use crate::apply::ApplyError;
use crate::check::CheckError;
use crate::host::HostError;
use crate::host::enter::EnterError;
use crate::model::{LabName, NodeName};
use crate::spec::{LinkNameError, SpecErrors};
use crate::state::StateError;
use crate::topology::TopologyError;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The topology can't be found or read.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The topology is wrong.
    #[error(transparent)]
    Spec(#[from] SpecErrors),
    /// The caller may not do what a lab takes.
    #[error("labs need root: run `sudo nslab …` (what is missing is CAP_NET_ADMIN and CAP_SYS_ADMIN)")]
    NotRoot,
    /// Numbers of processes can't be believed.
    #[error(
        "/proc does not show the processes of this PID namespace, so that others would be taken for a lab's: mount it, by \
         `mount -t proc proc /proc`"
    )]
    OtherProc,
    /// No lab of that name.
    #[error("no lab {lab} is up{}", up_are(up))]
    NoSuchLab {
        /// The name.
        lab: LabName,
        /// The labs that are up.
        up: Vec<LabName>,
    },
    /// No lab at all.
    #[error("no lab is up: bring one up with `nslab up two-node`")]
    NoLab,
    /// Several labs, and none was named.
    #[error("several labs are up ({}): say which with --lab NAME, or LAB/NODE", join(up))]
    WhichLab {
        /// The labs that are up.
        up: Vec<LabName>,
    },
    /// No node of that name.
    #[error("{lab} has no node {node:?}{}", has(nodes))]
    NoSuchNode {
        /// The lab.
        lab: LabName,
        /// What was asked for.
        node: String,
        /// The nodes that it has.
        nodes: Vec<NodeName>,
    },
    /// The lab was stopped half-way.
    #[error("{lab} is half-made, a command was stopped: `nslab up` finishes it, `nslab down {lab}` takes it away")]
    HalfMade {
        /// The lab.
        lab: LabName,
    },
    /// Changing the lab was stopped half-way.
    #[error(
        "{lab} is half-changed, a command was stopped: `nslab up` finishes that, and then its links can be changed"
    )]
    HalfChanged {
        /// The lab.
        lab: LabName,
    },
    /// No such link.
    #[error(transparent)]
    Link(#[from] LinkNameError),
    /// Bringing a lab up or down failed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The state directory can't be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The kernel refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A node can't be entered.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// A container can't be launched, or looked at.
    #[error(transparent)]
    Launcher(#[from] crate::launcher::Failure),
    /// A container of a lab could not be started.
    #[error(transparent)]
    Container(#[from] crate::apply::EffectError),
    /// An image can't be had.
    #[error(transparent)]
    Image(#[from] crate::image::ImageError),
    /// A probe can't be made.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The switches' spanning tree does not come to rest.
    #[error("the switches' spanning tree did not settle in {waited_s} s: see `nslab show`")]
    Unsettled {
        /// How long was waited, in seconds.
        waited_s: u64,
    },
    /// A lab is too large to be watched.
    #[error("watching {lab} takes {needed} open files, and {limit} are allowed: raise that (`ulimit -n {needed}`)")]
    OpenFiles {
        /// The lab.
        lab: LabName,
        /// How many files it takes.
        needed: u64,
        /// How many may be open.
        limit: u64,
    },
    /// A file can't be read or written, or the terminal.
    #[error("can't {action}")]
    Io {
        /// What was to be done.
        action: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The user asked to stop before anything was done.
    #[error("interrupted")]
    Interrupted,
    /// Something else that the caller asked for makes no sense.
    #[error("{0}")]
    Usage(String),
}

/// An error and what it came from, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn join<T: ToString>(names: &[T]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn up_are(labs: &[LabName]) -> String {
    if labs.is_empty() { String::new() } else { format!("; there is {}", join(labs)) }
}

/// How many nodes a message lists.
const LISTED_NODES: usize = 12;

fn has(nodes: &[NodeName]) -> String {
    match nodes.len() {
        0 => String::new(),
        n if n > LISTED_NODES => format!("; it has {}, … ({n} in all)", join(&nodes[..LISTED_NODES])),
        _ => format!("; it has {}", join(nodes)),
    }
}

impl Error {
    /// The exit code, as the design has them: 1 it failed, 2 bad usage or topology, 3 the machine lacks something,
    /// 4 undo was incomplete.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Topology(_)
            | Self::Spec(_)
            | Self::WhichLab { .. }
            | Self::NoSuchNode { .. }
            | Self::Link(_)
            | Self::Usage(_) => 2,
            Self::NotRoot | Self::OtherProc | Self::OpenFiles { .. } => 3,
            Self::State(error) if error.is_permission() => 3,
            Self::Apply(error) if error.is_incomplete() => 4,
            Self::Apply(error) if error.is_lacking() => 3,
            Self::Apply(error) if error.is_usage() => 2,
            Self::Host(error) if error.is_lacking() => 3,
            Self::Image(error) if error.is_usage() => 2,
            Self::Image(error) if error.is_lacking() => 3,
            _ => 1,
        }
    }
}
