//! The arguments of `nslab uplink`.

use crate::model::{AddressMode, IfName, SwitchName};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum UplinkVerb {
    /// Make one of the machine's NICs a port of a lab's switch, and move the machine's address there
    Attach {
        /// The NIC
        nic: IfName,
        /// The switch; may be left out where the lab has only one
        #[arg(long, value_name = "NAME")]
        switch: Option<SwitchName>,
        /// What becomes of the machine's address: auto, dhcp, keep or none
        #[arg(long, value_name = "MODE", default_value_t)]
        address: AddressMode,
        /// Undo everything unless `nslab uplink confirm` comes within so many seconds
        #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
        confirm: Option<u32>,
    },
    /// Let the lab's nodes reach the world by the machine's own address (masquerading); no NIC is moved
    Nat {
        /// The NIC that their packets leave by; whichever the machine's routes say without it
        nic: Option<IfName>,
        /// The switch; may be left out where the lab has only one
        #[arg(long, value_name = "NAME")]
        switch: Option<SwitchName>,
    },
    /// Tell how the lab is joined to the machine's network
    Status,
    /// Keep what `attach --confirm` did
    Confirm,
    /// Give the NIC and the machine's address back, or end the masquerading
    Detach,
}
