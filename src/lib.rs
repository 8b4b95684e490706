//! nslab: virtual-network labs on one Linux machine.
//!
//! The way of the data, which is also the way through the modules:
//!
//! ```text
//! topology text → RawSpec → Spec → Resources ─┐
//!              parse   validate  resolve      ├─ diff → Plan → apply (effects) → journal → report
//! kernel ────────── observe ───→ Observed ────┘              ↑ undo in reverse on failure
//! ```
//!
//! Everything left of `apply` is pure: no tokio, no system calls, no files, no clock, no randomness.

pub mod apply;
pub mod check;
#[doc(hidden)]
pub mod cli;
pub mod desired;
mod directory;
mod error;
mod fault;
pub mod host;
pub mod image;
mod lab;
pub mod launcher;
pub mod model;
mod name_service;
pub mod observe;
pub mod observed;
pub mod plan;
mod process;
pub mod report;
pub mod spec;
pub mod state;
pub mod topology;

pub use error::Error;
pub use lab::{Lab, LabWatch, LinkChange, Node, Nslab, Options, UplinkWish, WatchEvent, doctor, gc};
pub use state::StateRoot;

/// Becomes a helper of nslab's, where the process was started as one: `nslab` is its own helper, and so is any program that
/// uses it as a library and has labs in which routers advertise themselves, nodes take their addresses by DHCP, or which
/// have an uplink; or that removes, for a user who is not root, what containers on images have written.
///
/// To be called first thing in `main`, before there is any thread, or anything else is opened: what the process has
/// inherited is closed. Where it returns a code, the process is to exit with that.
pub fn become_helper() -> Option<std::process::ExitCode> {
    launcher::become_init().or_else(|| host::become_helper(lab::keep))
}
