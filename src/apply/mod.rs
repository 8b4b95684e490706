//! Carrying out a plan: write ahead, act, read back; and undo it where anything fails.
//!
//! Behaviour does not belong here: what is done, in which order, and how it is undone, the plan says.

mod containers;
mod down;
mod effects;
mod error;
mod executor;
mod failure;
mod limits;
mod part;
mod planning;
mod shared;
mod stop;
mod transaction;
mod up;

pub use containers::{
    answer_of_launcher, end_container, failure_of_launcher, give_controllers_back, remove_cgroup, start_container,
};
pub use down::down;
pub use effects::{EffectError, Effects, Gap, HostEffects};
pub use error::{ApplyError, Cause};
pub use executor::{Done, Progress};
pub use failure::{StepFailure, UndoReport};
pub use limits::{limit_container, limit_launched};
pub use part::{part, part_without_journal};
pub use planning::{OvsdbOptions, Planned, desired_of, plan_up, script_names_root};
pub use shared::{forget, tidy};
pub use stop::Stop;
pub use transaction::{Context, Outcome};
pub use up::up;
