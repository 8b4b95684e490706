//! A topology's `uplink`, as text: as `raw`, of which this is a part.

use super::field::Field;
use crate::model::{AddressMode, IfName, SwitchName};
use schemars::JsonSchema;
use serde::Deserialize;

/// How the lab reaches the machine's real network: `nat`, or with more about it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawUplink {
    Text(Nat),
    Mapping(RawUplinkParts),
}

/// Masquerading.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(!try_from, rename_all = "lowercase")]
pub(super) enum Nat {
    Nat,
}

/// A word that is none for an uplink: most likely a NIC's name, with what it is left out.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` says nothing of an uplink: write `nat`, or for a NIC of this name `{{nic: {0}}}`")]
pub(super) struct NoUplinkError(String);

impl TryFrom<String> for Nat {
    type Error = NoUplinkError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "nat" { Ok(Self::Nat) } else { Err(NoUplinkError(text)) }
    }
}

/// How the lab reaches the machine's real network.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUplinkParts {
    /// The machine's NIC, which becomes a port of the switch; with `nat`, the one that the lab's packets leave by.
    pub(super) nic: Option<Field<IfName>>,
    /// The switch; may be left out where there is only one.
    pub(super) switch: Option<Field<SwitchName>>,
    /// What becomes of the machine's own address: auto, dhcp, keep or none. `auto` without it.
    pub(super) address: Option<Field<AddressMode>>,
    /// Whether no NIC is moved, and the lab reaches the world by the machine's own address (masquerading).
    pub(super) nat: Option<Field<bool>>,
}
