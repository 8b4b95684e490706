//! What can go wrong with Open vSwitch.

use crate::host::ovsdb::{OvsdbError, RowError};
use std::time::Duration;

/// Why Open vSwitch could not be looked at or changed.
#[derive(Debug, thiserror::Error)]
pub enum OvsError {
    /// Its database server could not be reached, or refused.
    #[error("Open vSwitch's database")]
    Database(#[from] OvsdbError),
    /// A row does not hold what it should.
    #[error("Open vSwitch's database")]
    Row(#[from] RowError),
    /// Its ovs-vswitchd does not take over what is in the database.
    #[error(
        "ovs-vswitchd has not taken over the change in {} s: it hangs or is dead (`systemctl restart openvswitch-switch`, \
         or see its log)",
        after.as_secs()
    )]
    SwitchSilent {
        /// How long it was waited for.
        after: Duration,
    },
    /// Ports that ovs-vswitchd can't make.
    #[error("ovs-vswitchd can't use {}", .0.iter().map(|(port, why)| format!("{port}: {why}")).collect::<Vec<_>>().join("; "))]
    Ports(Vec<(String, String)>),
    /// A row to hang another from is gone.
    #[error("the row `{0}` is not in Open vSwitch's database any more: bring the lab up again")]
    NoParent(String),
}
