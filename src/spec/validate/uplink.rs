//! The lab's way to the machine's real network.

use super::names::Things;
use super::value;
use crate::spec::error::Problems;
use crate::spec::raw::RawTopology;
use crate::spec::raw_uplink::{RawUplink, RawUplinkParts};
use crate::spec::uplink::{NatUplink, NicUplink, Uplink, UplinkSwitchError, uplink_switch};

/// What is wrong with an `uplink`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UplinkProblem {
    /// Nothing says by what.
    #[error("an uplink has a NIC, or is by NAT: add `nic: eth0`, or write `uplink: nat`")]
    NoNic,
    /// No address moves with NAT.
    #[error("with `nat` the machine's address stays where it is: remove `address`, or `nat`")]
    AddressOfNat,
    /// The switch.
    #[error(transparent)]
    Switch(#[from] UplinkSwitchError),
}

pub(super) fn check(raw: &RawTopology, things: &Things<'_>, problems: &mut Problems) -> Option<Uplink> {
    let field = raw.uplink.as_ref()?;
    let nothing = RawUplinkParts { nic: None, switch: None, address: None, nat: None };
    let (parts, is_nat) = match field.value.as_ref()? {
        RawUplink::Text(_) => (&nothing, true),
        RawUplink::Mapping(parts) => (parts, value(parts.nat.as_ref()).copied().unwrap_or_default()),
    };
    let RawUplinkParts { nic, switch, address, nat } = parts;
    let switches: Vec<_> = things.switches.iter().map(|def| &def.name).collect();
    let at = switch.as_ref().map_or(field.at, |switch| switch.at);
    let switch = match uplink_switch(value(switch.as_ref()), &switches) {
        Ok(switch) => Some(switch),
        Err(_) if problems.addressing_in_doubt() => None,
        Err(error) => {
            problems.add(at, UplinkProblem::from(error));
            None
        }
    };
    if is_nat {
        if let Some(address) = address {
            problems.add(address.at, UplinkProblem::AddressOfNat);
        }
        return Some(Uplink::Nat(NatUplink { switch: switch?, nic: value(nic.as_ref()).cloned() }));
    }
    let Some(nic) = nic else {
        // What it is by is only spelled wrongly, where that is said already.
        if nat.as_ref().is_none_or(|nat| nat.value.is_some()) && !problems.has_unknown_like(&["nic", "nat"]) {
            problems.add(field.at, UplinkProblem::NoNic);
        }
        return None;
    };
    let address = value(address.as_ref()).copied().unwrap_or_default();
    Some(Uplink::Nic(NicUplink { nic: nic.value.clone()?, switch: switch?, address, confirm_s: None }))
}

#[cfg(test)]
mod tests;
