//! The container launcher: runs a command in namespaces, with a root, rights and limits of its own.
//!
//! One kernel topic a file; `sys` is the only one with unsafe code. What is asked for is a [`Container`](crate::model::container::Container); nothing of labs is
//! known here. The tree of modules follows the tree of processes:
//!
//! ```text
//! nslab ── executes itself, sealed, as `__init` ─ outside    prepares: network, cgroup, maps, files
//!                                                   │ clone3
//!                                                 inside     process 1: mounts, pivots; then the reaper
//!                                                   │ fork
//!                                                 payload    gives up rights, executes the command
//! ```
//!
//! `outside` and `inside` speak over a socket pair (`handshake`): each says what it did, or which [`Step`] failed and how. Where
//! either of them ends before the command runs, the other one ends too, and the kernel takes back all the rest.

mod arguments;
mod attach;
mod cgroup;
mod command;
mod copy;
mod enter;
mod failure;
mod farewell;
mod handshake;
mod init;
mod inside;
mod launch;
mod log;
mod maps;
mod namespaces;
mod outside;
mod reaper;
mod record;
mod refusal;
mod rights;
mod root;
mod seal;
mod springboard;
mod stop;
mod strange;
mod sys;
mod terminal;
mod volume;

pub use attach::{Left, join as attach};
pub use cgroup::{Cgroup, CgroupError, OomCounter, Usage, cgroup_of_caller, protect_from_oom, remove_left_by_killed};
pub use copy::{LeftOut, Outside, copy_in, copy_out};
pub use enter::Entry;
pub use failure::{Failure, Step};
pub use handshake::Ended;
pub use init::{Answer, Sealed, become_entrant, become_init, become_launcher, entering, starting};
pub use launch::{Launch, Output};
pub use log::Reader as LogReader;
pub use record::{EndRecord, Record, Running, begin, claim};
pub use stop::{kill_launcher, signal, stop};
pub use volume::{attach_volume, detach_volume};
