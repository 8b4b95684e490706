//! What is to be done: the pure difference between what is desired and what is observed, in order, with its undo.

mod destroy;
mod diff;
mod error;
mod explain;
mod made;
mod ovs_vsctl;
mod place;
mod shell;
mod shell_advertise;
mod shell_container;
mod shell_lease;
mod shell_limits;
mod shell_names;
mod shell_nat;
mod shell_uplink;
mod shell_volume;
mod steps;
mod tc;
mod types;

pub use destroy::{LeftAlone, destroy};
pub use diff::{diff, previous_sysctls};
pub(crate) use diff::{is_attached, is_plugged};
pub use error::{NotOurs, PlanError};
pub use place::Place;
pub use shell::shell;
pub use types::{LinkChange, Made, Master, Op, Plan, Reason, Stage, Step, StepId};

#[cfg(test)]
pub(crate) mod simulator;
