//! The container launcher: runs a command in namespaces, with a root, rights and limits of its own.
//!
//! One kernel topic a file; `sys` and `springboard` are the only ones with unsafe code. What is asked for is a [`Container`](crate::model::container::Container); nothing of labs is
//! known here. The tree of modules follows the tree of processes:
//!
//! ```text
//! nslab ── is, or executes itself, sealed, as ─── outside    prepares: network, cgroup, maps, files
//!                                                   │ clone3
//!                                                 inside     process 1: mounts, pivots; then the reaper
//!                                                   │ clone
//!                                                 payload    gives up rights, executes the command, by the springboard
//!                                                            where nslab was not sealed (`seal`)
//! ```
//!
//! `outside` and `inside` speak over a socket pair (`handshake`): each says what it did, or which [`Step`] failed and how. Where
//! either of them ends before the command runs, the other one ends too, and the kernel takes back all the rest.

mod arguments;
mod attach;
mod cgroup;
mod command;
mod copy;
mod enclosed;
mod enter;
mod failure;
mod farewell;
mod handshake;
mod init;
mod inside;
mod known;
mod launch;
mod limit;
mod log;
mod maps;
mod namespaces;
mod outside;
mod passed_on;
mod reaper;
mod record;
mod refusal;
mod remover;
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
pub use cgroup::{
    Cgroup, CgroupError, OomCounter, Usage, UsageReader, bases_with_controllers_left, cgroup_of_caller,
    count_left_by_killed, enter_group, find_group, give_controllers_back, group_limits, has_left_slice, in_group,
    protect_from_oom, remove_group, remove_left_by_killed, remove_left_slice, set_group, start_in_group,
};
pub use copy::{LeftOut, Outside, copy_in, copy_out};
pub use enter::Entry;
pub use failure::{Failure, Step};
pub use handshake::Ended;
pub use init::{Answer, Sealed, become_entrant, become_init, become_launcher, entering, environment, starting};
pub use launch::{Launch, Output};
pub use limit::{limit, limits_now};
pub use log::Reader as LogReader;
pub use record::{EndRecord, Record, Running, begin, claim};
pub use root::remove_written;
pub use stop::{kill_launcher, signal, stop};
pub use volume::{attach_volume, detach_volume, mounted_volumes};
