//! What the process outside and the one inside both know, since one is a copy of the other.

use super::cgroup::OomCounter;
use super::command::Prepared;
use super::launch::Launch;
use super::springboard::Springboard;
use super::{rights, root};
use nix::sys::signal::SigSet;

/// What is made before the clone, and known on either side of it.
#[derive(Debug)]
pub(super) struct Known<'a> {
    /// What is asked for.
    pub(super) launch: &'a Launch,
    /// The command.
    pub(super) command: Prepared,
    /// Its root, where that could not be made inside.
    pub(super) root: Option<root::Prepared>,
    /// Copies of the mounts of others that it gets.
    pub(super) volumes: root::Volumes,
    /// What the command may do.
    pub(super) rights: rights::Prepared,
    /// Whether it gets a terminal of its own.
    pub(super) has_terminal: bool,
    /// What counts those of it whom the kernel kills for want of memory.
    pub(super) oom: Option<&'a OomCounter>,
    /// The signals that the caller had blocked: the command is to find it so.
    pub(super) mask: SigSet,
    /// By way of what the command is executed, where this process was not executed out of a sealed file.
    pub(super) springboard: Option<Springboard>,
}
