//! Why there is no lease, or none any more.

use crate::host::NetlinkError;
use crate::model::IfName;

/// Why a lease can't be taken, or held.
#[derive(Debug, thiserror::Error)]
pub enum DhcpError {
    /// Nobody gave one in time.
    #[error(
        "no DHCP server gave {interface} a lease within {seconds} s: see that one runs on its link, and that its answers \
         come"
    )]
    NoAnswer {
        /// The interface.
        interface: IfName,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The interface is not there, or not any more.
    #[error("there is no interface {interface}")]
    NoInterface {
        /// The interface.
        interface: IfName,
        /// The kernel's answer.
        #[source]
        source: NetlinkError,
    },
    /// The client could not be made, or failed.
    #[error("the DHCP client of {interface} failed")]
    Client {
        /// The interface.
        interface: IfName,
        /// What it says.
        #[source]
        source: mozim::DhcpError,
    },
    /// The kernel does not take what the lease says.
    #[error("can't {action} {interface}")]
    Kernel {
        /// What was tried: `give its lease to`…
        action: &'static str,
        /// The interface.
        interface: IfName,
        /// The kernel's answer.
        #[source]
        source: NetlinkError,
    },
}
