//! The NIC that is the lab's uplink, the bridge that it is a port of, and who watches over it.

use super::missing;
use super::world::World;
use crate::model::ovs::{
    MARK_INSTANCE, OvsChange, OvsColumn, OvsColumns, OvsGone, OvsRow, OvsRowId, OvsScalar, OvsSet, OvsSetting,
    OvsTable, OvsThen, held, mark_of,
};
use crate::model::{Holder, HostBridge, Interface, NetnsName, NicAddress, OvsUplink, Uplink, UplinkAddress};
use crate::observed::{Observed, ObservedUplink, OvsView};
use crate::plan::error::{NotOurs, PlanError};
use crate::plan::steps::Steps;
use crate::plan::types::{LinkChange, Op, Reason, Stage};

pub(super) fn steps(world: &World<'_>, steps: &mut Steps) -> Result<(), PlanError> {
    let made = world.made.resources.uplink.as_ref();
    let desired = world.desired.uplink.as_ref();
    let there = world.observed.uplink.as_ref();
    if let (Some(made), Some(desired)) = (made, desired)
        && !is_same(made, desired)
    {
        let Uplink { nic, address, onto, .. } = made;
        return Err(PlanError::AnotherUplink { nic: nic.name.clone(), address: *address, onto: onto.clone() });
    }
    let Some(wanted) = desired else {
        if let Some(going) = made {
            give_back(world, going, steps);
        }
        return Ok(());
    };
    let is_repair = made.is_some();
    let is_attached = there.is_some_and(|there| is_attached(wanted, there));
    let switch_stays = wanted.ovs().is_none_or(|ovs| switch_stays(world, ovs));
    if is_repair && !switch_stays {
        // What is on its port to the host would go with the former one.
        let back = if is_attached { attaching(wanted) } else { Vec::new() };
        let detach = Op::DetachUplink(Box::new(wanted.clone()));
        steps.push(Stage::DetachUplink, missing(is_repair), detach, back);
        unplug(world, wanted, missing(is_repair), is_attached, steps);
    } else if is_repair && is_attached && wanted.ovs().is_none_or(|ovs| is_plugged(ovs, &world.observed.ovs)) {
        if there.is_some_and(|there| !there.is_watched) {
            start_keeper(wanted, true, false, steps);
        }
        return Ok(());
    }
    if wanted.address == UplinkAddress::None
        && let Some(gateway) = wanted.nic.gateways.iter().find(|gateway| gateway.answers.is_some())
    {
        return Err(PlanError::CutsOff { nic: wanted.nic.name.clone(), gateway: gateway.address });
    }
    let held: Vec<Holder> = wanted.holders.iter().filter(|holder| !holder.lets_go()).cloned().collect();
    if !held.is_empty() {
        return Err(PlanError::Held { nic: wanted.nic.name.clone(), holders: held });
    }
    if let (Some(bridge), Some(there)) = (&world.desired.host_bridge, there)
        && there.onto.is_some()
        && !is_host_bridge(bridge, world.observed)
    {
        return Err(PlanError::NotOurs(vec![NotOurs::HostLink(bridge.name.clone())]));
    }
    if let Some(bridge) = &world.desired.host_bridge
        && !is_host_bridge(bridge, world.observed)
    {
        let undo = vec![Op::RemoveHostBridge(bridge.clone())];
        steps.push(Stage::Bridges, missing(is_repair), Op::SetHostBridge(bridge.clone()), undo);
    }
    start_keeper(wanted, is_repair, there.is_some_and(|there| there.is_watched), steps);
    if !wanted.holders.is_empty() {
        let (release, back) = (Op::ReleaseNic(Box::new(wanted.clone())), Op::TakeBackNic(Box::new(wanted.clone())));
        let was_released = is_repair && there.is_some_and(|there| there.is_released);
        let undo = if was_released { Vec::new() } else { vec![back] };
        steps.push(Stage::ReleaseNic, missing(is_repair), release, undo);
    }
    plug(world, wanted, missing(is_repair), switch_stays, steps);
    let attach = Op::AttachUplink(Box::new(wanted.clone()));
    let undo = vec![Op::DetachUplink(Box::new(wanted.clone()))];
    steps.push(Stage::AttachUplink, missing(is_repair), attach, undo);
    if wanted.address == UplinkAddress::Dhcp {
        // What it gives is given back with the rest.
        let take = Op::TakeLease(Box::new(wanted.clone()));
        steps.push(Stage::TakeLease, missing(is_repair), take, Vec::new());
    }
    Ok(())
}

/// Makes the NIC a port of a switch of Open vSwitch, whose own port to the host is up before: from then on, that is where what
/// is for the machine comes in.
fn plug(world: &World<'_>, wanted: &Uplink, reason: Reason, switch_stays: bool, steps: &mut Steps) {
    let Some(ovs) = wanted.ovs() else { return };
    // Of one that is up already, nothing is to be undone.
    let was_up = switch_stays && world.link((&NetnsName::Host, wanted.onto.as_str())).is_some_and(|link| link.up);
    let undo = if was_up { Vec::new() } else { vec![raised(wanted, false)] };
    steps.push(Stage::StartKeeper, reason, raised(wanted, true), undo);
    if !switch_stays || !is_plugged(ovs, &world.observed.ovs) {
        let change = OvsChange { insert: ovs.rows.rows.clone(), then: OvsThen::Verify, ..OvsChange::of(&ovs.rows) };
        steps.push(Stage::PlugUplink, reason, Op::ChangeOvs(change), vec![Op::ChangeOvs(unplugging(ovs))]);
    }
}

/// Sets a switch's own port to the host up or down.
fn raised(of: &Uplink, up: bool) -> Op {
    let onto = Interface { netns: NetnsName::Host, name: of.onto.clone() };
    Op::SetLink(LinkChange { up: Some(up), ..LinkChange::of(onto) })
}

/// What makes a NIC a port again that was one, once its bridge is there: one of Open vSwitch that has come back is down.
fn attaching(of: &Uplink) -> Vec<Op> {
    let attach = Op::AttachUplink(Box::new(of.clone()));
    of.ovs().map(|_| raised(of, true)).into_iter().chain([attach]).collect()
}

/// Whether the switch of Open vSwitch that a NIC is a port of is there and stays the one that it is.
fn switch_stays(world: &World<'_>, ovs: &OvsUplink) -> bool {
    ovs.rows
        .rows
        .iter()
        .filter_map(|row| row.parent.row.as_ref())
        .all(|parent| parent.table != OvsTable::Bridge || super::ovs::stays(world, parent))
}

/// Takes the NIC from its switch: before the switch goes, so that undo finds it there.
fn unplug(world: &World<'_>, going: &Uplink, reason: Reason, was_attached: bool, steps: &mut Steps) {
    let Some(ovs) = going.ovs().filter(|ovs| has_rows(ovs, world.observed)) else { return };
    let insert = ovs.rows.rows.clone();
    let back = OvsChange { insert, then: OvsThen::LetSettle, ..OvsChange::of(&ovs.rows) };
    let undo = if was_attached { vec![Op::ChangeOvs(back)] } else { Vec::new() };
    steps.push(Stage::UnplugSwitches, reason, Op::ChangeOvs(unplugging(ovs)), undo);
}

/// What takes a NIC from its switch.
pub(in crate::plan) fn unplugging(ovs: &OvsUplink) -> OvsChange {
    let gone = |row: &OvsRow| OvsGone {
        id: row.id.clone(),
        parent: Some(row.parent.clone()),
        name: row.name().map(str::to_owned),
    };
    // An interface goes with its port.
    let named = ovs.rows.rows.iter().filter(|row| row.id.table != OvsTable::Interface);
    OvsChange { delete: named.map(gone).collect(), then: OvsThen::LetSettle, ..OvsChange::of(&ovs.rows) }
}

/// What gives the internal port of a switch that stays its own MAC address and MTU back, where it has the NIC's: two interfaces
/// of one network that have the same address would both be heard.
pub(in crate::plan) fn own_settings(of: &Uplink, ovs: &OvsUplink, observed: &Observed) -> Vec<OvsSetting> {
    let OvsView::Seen(seen) = &observed.ovs else { return Vec::new() };
    let Some(port) = ovs.rows.rows.iter().find(|row| row.id.table == OvsTable::Port) else { return Vec::new() };
    let Some(bridge) = &port.parent.row else { return Vec::new() };
    let setting = |table, column: &str, nics: OvsScalar, own: OvsScalar| {
        let id = OvsRowId { table, id: bridge.id.clone() };
        let (there, column) = (&seen.rows.get(&id)?.columns, OvsColumn::from(column));
        let is_ours = mark_of(there, MARK_INSTANCE) == mark_of(&port.columns, MARK_INSTANCE);
        let is_nics = nics != own && held(there, &column) == OvsSet::from([nics]);
        let columns = OvsColumns::from([(column, OvsSet::from([own]))]);
        (is_ours && is_nics).then(|| OvsSetting { id, name: Some(of.onto.to_string()), columns })
    };
    let [nics_mac, own_mac] = [of.nic.mac, ovs.own_mac].map(|mac| OvsScalar::from(mac.to_string()));
    let [nics_mtu, own_mtu] = [of.nic.mtu, ovs.own_mtu].map(|mtu| OvsScalar::from(i64::from(mtu.bytes())));
    let mac = setting(OvsTable::Bridge, "other_config:hwaddr", nics_mac, own_mac);
    mac.into_iter().chain(setting(OvsTable::Interface, "mtu_request", nics_mtu, own_mtu)).collect()
}

/// Whether all that makes a NIC a port of its switch is in the database.
pub(crate) fn is_plugged(ovs: &OvsUplink, view: &OvsView) -> bool {
    let OvsView::Seen(seen) = view else { return false };
    ovs.rows.rows.iter().all(|row| {
        let there = seen.rows.get(&row.id);
        there.is_some_and(|there| there.parent.as_ref() == Some(&row.parent) && there.status.error.is_none())
    })
}

/// Whether any of it is.
pub(in crate::plan) fn has_rows(ovs: &OvsUplink, observed: &Observed) -> bool {
    let OvsView::Seen(seen) = &observed.ovs else { return false };
    ovs.rows.rows.iter().any(|row| {
        let instance = |columns| mark_of(columns, MARK_INSTANCE).map(str::to_owned);
        seen.rows.get(&row.id).is_some_and(|there| instance(&there.columns) == instance(&row.columns))
    })
}

/// Of a repair, undo is not to leave an uplink with nobody that watches over it where somebody did.
fn start_keeper(wanted: &Uplink, is_repair: bool, was_watched: bool, steps: &mut Steps) {
    // What was confirmed once is not to be confirmed again, and what is still to be not later than it was.
    let confirm_s = wanted.confirm_s.filter(|_| !is_repair);
    let start = Op::StartKeeper(Box::new(Uplink { confirm_s, ..wanted.clone() }));
    let stop = Op::StopKeeper(Box::new(wanted.clone()));
    let undo = if is_repair && was_watched { Vec::new() } else { vec![stop] };
    steps.push(Stage::StartKeeper, missing(is_repair), start, undo);
}

fn give_back(world: &World<'_>, going: &Uplink, steps: &mut Steps) {
    let there = world.observed.uplink.as_ref();
    let reason = Reason::Gone;
    let was_attached = there.is_some_and(|there| is_attached(going, there));
    let undo = |op| if was_attached { vec![op] } else { Vec::new() };
    let of = || Box::new(going.clone());
    let back = if was_attached { attaching(going) } else { Vec::new() };
    steps.push(Stage::DetachUplink, reason, Op::DetachUplink(of()), back);
    if let Some(bridge) = world.made.resources.host_bridge.as_ref().filter(|b| is_host_bridge(b, world.observed)) {
        let remove = Op::RemoveHostBridge(bridge.clone());
        steps.push(Stage::RemoveHostBridge, reason, remove, undo(Op::SetHostBridge(bridge.clone())));
    }
    unplug(world, going, reason, was_attached, steps);
    // One that goes takes its port along.
    if going.ovs().is_some_and(|ovs| switch_stays(world, ovs)) {
        steps.push(Stage::RemoveHostBridge, reason, raised(going, false), undo(raised(going, true)));
    }
    if there.is_some_and(|there| there.is_released) {
        steps.push(Stage::TakeBackNic, reason, Op::TakeBackNic(of()), undo(Op::ReleaseNic(of())));
    }
    steps.push(Stage::StopKeeper, reason, Op::StopKeeper(of()), undo(Op::StartKeeper(of())));
}

/// Whether two are the same uplink, whatever has become of the NIC's addresses since.
fn is_same(made: &Uplink, desired: &Uplink) -> bool {
    let Uplink { nic, address, onto, port, holders: _, client_id: _, confirm_s: _, lab: _, directory: _ } = desired;
    made.nic.name == nic.name
        && made.address == *address
        && made.onto == *onto
        && std::mem::discriminant(&made.port) == std::mem::discriminant(port)
}

/// Whether the NIC is the port that it is to be, and the addresses that the machine has for good are where they are to be. (A
/// switch's internal port may be a new one, and down, where ovs-vswitchd was started anew.)
pub(crate) fn is_attached(of: &Uplink, there: &ObservedUplink) -> bool {
    let (Some(nic), Some(onto)) = (&there.nic, &there.onto) else { return false };
    // Of a switch of Open vSwitch it is one if the database says so.
    let is_port = match of.master() {
        Some(bridge) => nic.master.as_deref() == Some(bridge.as_str()),
        None => onto.up,
    };
    let mut lasting = of.nic.addresses.iter().filter(|address| address.is_lasting());
    is_port && (of.address == UplinkAddress::None || lasting.all(|address| onto.addresses.contains(&address.address)))
}

/// Whether nothing of an uplink is left to be given back.
pub(in crate::plan) fn is_given_back(of: &Uplink, there: &ObservedUplink) -> bool {
    let Some(nic) = &there.nic else { return true };
    let is_port = of.master().is_some_and(|bridge| nic.master.as_deref() == Some(bridge.as_str()));
    // Where it is a port of somebody else's, that has seen to it.
    let is_anothers = of.master().is_some() && nic.master.is_some() && !is_port;
    let is_away = |known: &NicAddress| {
        let is_on_onto = there.onto.as_ref().is_some_and(|onto| onto.addresses.contains(&known.address));
        let is_missing = known.is_lasting() && !nic.addresses.contains(&known.address);
        is_on_onto || is_missing && !is_anothers
    };
    !is_port && !there.is_deaf && !of.nic.addresses.iter().any(is_away)
}

/// Whether the bridge is there, and nslab's.
pub(in crate::plan) fn is_host_bridge(bridge: &HostBridge, observed: &Observed) -> bool {
    let onto = observed.uplink.as_ref().and_then(|uplink| uplink.onto.as_ref());
    onto.is_some_and(|onto| match &onto.alias {
        Some(alias) => *alias == bridge.mark,
        // Made and not yet marked.
        None => onto.mac == Some(bridge.mac),
    })
}

#[cfg(test)]
mod tests;
