//! What becomes of a NIC in the model of the machine.

use super::types::Op;
use crate::model::{HostBridge, Uplink, UplinkAddress};
use crate::observed::{ObservedPlace, ObservedUplink};
use std::collections::BTreeSet;

pub(super) fn apply(there: Option<&mut ObservedUplink>, op: &Op) -> Result<(), String> {
    let there = there.ok_or_else(|| "nobody looked at the NIC".to_owned())?;
    match op {
        Op::SetHostBridge(of) => there.onto = Some(bridge(of)),
        Op::RemoveHostBridge(_) => there.onto = None,
        Op::StartKeeper(_) => (there.is_watched, there.keepers) = (true, 1),
        Op::StopKeeper(_) => (there.is_watched, there.keepers) = (false, 0),
        Op::ReleaseNic(_) => there.is_released = true,
        Op::TakeBackNic(_) => there.is_released = false,
        Op::AttachUplink(of) => attach(there, of)?,
        Op::DetachUplink(of) => detach(there, of)?,
        _ => {}
    }
    Ok(())
}

fn bridge(bridge: &HostBridge) -> ObservedPlace {
    ObservedPlace { alias: Some(bridge.mark.clone()), mac: Some(bridge.mac), ..ObservedPlace::default() }
}

fn attach(there: &mut ObservedUplink, of: &Uplink) -> Result<(), String> {
    let (Some(nic), Some(onto)) = (&mut there.nic, &mut there.onto) else { return Err("no NIC, or no bridge".into()) };
    if of.master().is_some() {
        nic.master = Some(of.onto.to_string());
    }
    let known: BTreeSet<_> = of.nic.addresses.iter().map(|address| address.address).collect();
    nic.addresses.retain(|address| !known.contains(address));
    if of.address != UplinkAddress::None {
        onto.addresses.extend(known);
    }
    Ok(())
}

fn detach(there: &mut ObservedUplink, of: &Uplink) -> Result<(), String> {
    let Some(nic) = &mut there.nic else { return Err("no NIC".into()) };
    if nic.master.as_deref() == Some(of.onto.as_str()) {
        nic.master = None;
    }
    for known in &of.nic.addresses {
        nic.addresses.insert(known.address);
        if let Some(onto) = &mut there.onto {
            onto.addresses.remove(&known.address);
        }
    }
    Ok(())
}
