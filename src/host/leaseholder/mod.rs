//! A node's DHCP client: a small process of nslab's own in the node's namespace takes a lease for an interface and holds it.
//!
//! The process is a [helper](super::helper): the engine ([`dhcp`](super::dhcp)) in a runtime of one thread, and just the
//! capabilities that this takes. Where it is killed, the interface keeps the address until the lease ends, and no longer.

mod holder;
mod process;
mod resolver;

pub(super) use holder::run;

use super::helper::Kind;

/// What a holder is known by.
pub(super) const KIND: Kind = Kind { verb: "__lease", name: c"nslab-lease" };
