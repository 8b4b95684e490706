//! How a lab is joined to the machine's real network, checked.

use crate::model::{AddressMode, IfName, SwitchName};
use serde::{Deserialize, Serialize};

/// The lab's way to the machine's real network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uplink {
    /// A NIC of the machine is a port of a switch.
    Nic(NicUplink),
    /// The machine forwards the lab's packets, under its own address.
    Nat(NatUplink),
}

/// A NIC as a port of a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicUplink {
    /// The NIC.
    pub nic: IfName,
    /// The switch.
    pub switch: SwitchName,
    /// What becomes of the machine's address.
    pub address: AddressMode,
    /// Within how many seconds somebody has to confirm that the machine can be reached, or everything is undone.
    pub confirm_s: Option<u32>,
}

/// Masquerading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatUplink {
    /// The switch whose nodes reach the world.
    pub switch: SwitchName,
    /// The NIC that their packets leave by; whichever the machine's routes say without one.
    pub nic: Option<IfName>,
}

impl Uplink {
    /// The switch that it is at.
    pub fn switch(&self) -> &SwitchName {
        match self {
            Self::Nic(uplink) => &uplink.switch,
            Self::Nat(uplink) => &uplink.switch,
        }
    }
}

/// Why there is no switch for an uplink.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UplinkSwitchError {
    /// The lab has none.
    #[error("the lab has no switch that an uplink could be at: add one, and link nodes to it")]
    NoSwitch,
    /// The lab has several.
    #[error("say which switch the uplink is at: {}", .0.join(" or "))]
    Several(Vec<String>),
    /// The lab has none of that name.
    #[error("there is no switch `{name}`: {has}")]
    Unknown {
        /// The name.
        name: SwitchName,
        /// Those that there are, in words.
        has: String,
    },
}

/// The switch that an uplink is at: the one that is named, or the only one.
///
/// # Errors
/// Where there is no such switch, or it is not said which.
pub fn uplink_switch(named: Option<&SwitchName>, switches: &[&SwitchName]) -> Result<SwitchName, UplinkSwitchError> {
    let all = || switches.iter().map(ToString::to_string).collect::<Vec<_>>();
    match (named, switches) {
        (_, []) => Err(UplinkSwitchError::NoSwitch),
        (Some(name), _) if switches.contains(&name) => Ok(name.clone()),
        (Some(name), _) => {
            Err(UplinkSwitchError::Unknown { name: name.clone(), has: format!("there is {}", all().join(", ")) })
        }
        (None, [only]) => Ok((*only).clone()),
        (None, _) => Err(UplinkSwitchError::Several(all())),
    }
}
