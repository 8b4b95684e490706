//! What can go wrong with those who manage a NIC.

use crate::model::{Holder, IfName};
use std::io;
use std::time::Duration;

/// Why it is not known who manages a NIC, or why one did not let go of it or take it back.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// There is a system bus, and it can't be asked.
    #[error("can't {action}: see whether the system bus works (`busctl status`)")]
    Bus {
        /// What was tried.
        action: String,
        /// What the bus, or who was asked over it, answered.
        #[source]
        source: zbus::Error,
    },
    /// Nobody answers on the system bus.
    #[error("can't {action}: there is no answer on the system bus in {} s (`busctl status`, or see what hangs)", after.as_secs())]
    Silent {
        /// What was tried.
        action: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// It manages other NICs as well, and can't leave out one.
    #[error("{holder} manages {nic} and other NICs, and can't be made to let go of the one: {}", holder.advice(nic))]
    OtherNics {
        /// Who.
        holder: Holder,
        /// Of which NIC.
        nic: IfName,
    },
    /// It was told to let go, and has not.
    #[error("{holder} still manages {nic} {} s after it was told to let go: make it, then try again: {}", after.as_secs(), holder.advice(nic))]
    Holds {
        /// Who.
        holder: Holder,
        /// Of which NIC.
        nic: IfName,
        /// How long it was waited for.
        after: Duration,
    },
    /// It was told to take the NIC back, and has not.
    #[error("{holder} does not manage {nic} again, {} s after it was told to: {}", after.as_secs(), holder.remedy(nic))]
    StaysAway {
        /// Who.
        holder: Holder,
        /// Which NIC.
        nic: IfName,
        /// How long it was waited for.
        after: Duration,
    },
    /// It does not run any more.
    #[error("{holder}, which managed {nic} before, has ended meanwhile: {}", holder.remedy(nic))]
    Ended {
        /// Who.
        holder: Holder,
        /// Which NIC.
        nic: IfName,
    },
    /// Its process could not be paused, or told to go on.
    #[error("can't {action} {holder}, which manages {nic}: {}", holder.advice(nic))]
    Signal {
        /// `pause` or `continue`.
        action: &'static str,
        /// Who.
        holder: Holder,
        /// Of which NIC.
        nic: IfName,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}
