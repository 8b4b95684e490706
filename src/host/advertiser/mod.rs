//! A router's advertisements: a small process of nslab's own in the router's namespace sends them (RFC 4861 section 6.2).
//!
//! The process is a [helper](super::helper): one thread, no runtime, no capability once its socket is open.

mod message;
mod process;
mod schedule;
mod sender;
mod socket;

pub(super) use sender::run;
pub(super) use socket::solicit;

use super::helper::Kind;

/// What a sender is known by.
pub(super) const KIND: Kind = Kind { verb: "__advertise", name: c"nslab-advertise" };
