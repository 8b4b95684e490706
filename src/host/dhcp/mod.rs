//! A DHCP client (RFC 2131): takes a lease for an interface of the namespace that it is called in, puts it on the interface,
//! and holds it for as long as somebody polls it.
//!
//! The messages, sockets and retransmissions are the crate mozim's. What is done between one exchange and the next is here:
//! mozim hears no refusal but to a request that it makes with a former lease at hand (RFC 2131's INIT-REBOOT), asks for
//! once too seldom where a lease is short, and asks to be renewed by any server in a message that names one. So a lease is
//! renewed as it does that, of the server that gave it; and where that does not answer, with a request as of INIT-REBOOT,
//! which any server may grant or refuse.
//!
//! What it puts into the kernel carries the mark of DHCP and ends by itself with the lease. Names of servers (DNS, NTP) are
//! told and not written anywhere: whoever embeds it knows whose they are.

mod carrier;
mod clock;
mod error;
mod exchange;
mod hold;
mod kernel;
mod lease;
mod options;
mod six;

pub(super) use clock::now_ms;
pub use error::DhcpError;
pub(crate) use hold::hold;
pub(crate) use kernel::let_go;
pub(crate) use lease::Lease;
pub(crate) use options::{LeaseEvent, LeaseOptions};
pub(crate) use six::{Lease6, Lease6Event, hold_six};
