//! The rows of Open vSwitch: what goes, what is new, what is to hold something else. Each in one transaction.

use super::world::{World, place};
use crate::model::ovs::{
    MARK_BOOT, MARK_INSTANCE, OvsChange, OvsColumn, OvsColumns, OvsGone, OvsParent, OvsRow, OvsRowId, OvsRows,
    OvsScalar, OvsSet, OvsSetting, OvsTable, OvsThen, held, mark_of, text_of,
};
use crate::model::{Interface, NetnsName};
use crate::observed::{ObservedOvs, ObservedOvsRow, OvsView};
use crate::plan::error::NotOurs;
use crate::plan::steps::Steps;
use crate::plan::types::{Made, Op, Reason, Stage};
use std::collections::{BTreeMap, HashSet};

/// A desired row of a device in the host's namespace, which has to be there before its port.
fn device(row: &OvsRow) -> Option<&str> {
    let is_device = row.id.table == OvsTable::Interface && text_of(&row.columns, "type") == Some("");
    row.name().filter(|_| is_device)
}

/// What is in the way and isn't the lab's.
pub(super) fn check(rows: &OvsRows, made: &Made, seen: &ObservedOvs) -> Vec<NotOurs> {
    let made = ours(made, seen);
    let mut not_ours = Vec::new();
    for row in &rows.rows {
        if let Some(there) = seen.rows.get(&row.id)
            && !made.contains(&row.id)
            && !is_leftover(there, &row.columns)
        {
            not_ours.push(NotOurs::OvsRow(row.id.clone()));
        }
        not_ours.extend(taken_place(row, &made, seen).map(|taken| NotOurs::OvsPlace(Box::new(taken))));
        if let Some(name) = row.name()
            && row.id.table != OvsTable::Interface
            && seen.others.contains(&(row.id.table, name.to_owned()))
        {
            not_ours.push(NotOurs::OvsName { table: row.id.table, name: name.to_owned() });
        }
    }
    not_ours
}

/// The place of a row to be made, where it is a place for one and somebody else's row is there.
fn taken_place(row: &OvsRow, made: &HashSet<&OvsRowId>, seen: &ObservedOvs) -> Option<OvsParent> {
    const FOR_ONE: [&str; 5] = ["qos", "queues", "netflow", "sflow", "ipfix"];
    let OvsParent { row: parent, column, key } = &row.parent;
    let parent = parent.as_ref().filter(|parent| FOR_ONE.contains(&column.as_str()) && made.contains(parent))?;
    let column = OvsColumn { name: column.clone(), key: key.map(|key| key.to_string()) };
    let there = held(&seen.rows.get(parent)?.columns, &column);
    let is_foreign = |scalar: &OvsScalar| !matches!(scalar, OvsScalar::Row(_));
    there.iter().any(is_foreign).then(|| row.parent.clone())
}

/// The rows that the journal says were made, and that carry the mark that they were made with.
pub(in crate::plan) fn ours<'a>(made: &'a Made, seen: &ObservedOvs) -> HashSet<&'a OvsRowId> {
    let is_ours = |row: &&OvsRow| {
        seen.rows
            .get(&row.id)
            .is_some_and(|there| mark_of(&there.columns, MARK_INSTANCE) == mark_of(&row.columns, MARK_INSTANCE))
    };
    made.resources.ovs.iter().flat_map(|made| &made.rows).filter(is_ours).map(|row| &row.id).collect()
}

/// Whether a row with the lab's mark that its journal does not know is one that a lab of this name left: the machine was
/// started anew since.
fn is_leftover(there: &ObservedOvsRow, wanted: &OvsColumns) -> bool {
    mark_of(&there.columns, MARK_BOOT) != mark_of(wanted, MARK_BOOT)
}

pub(super) fn steps(world: &World<'_>, steps: &mut Steps) {
    let OvsView::Seen(seen) = &world.observed.ovs else { return };
    let made = ours(world.made, seen);
    let (desired, of) = match (&world.desired.ovs, &world.made.resources.ovs) {
        (Some(desired), _) => (desired.rows.as_slice(), desired),
        (None, Some(made)) => (&[][..], made),
        (None, None) => return,
    };
    let wanted: BTreeMap<&OvsRowId, &OvsRow> = desired.iter().map(|row| (&row.id, row)).collect();
    let keeps = keeping(world, seen, &made, &wanted);

    // The switch has to have seen that a port is gone to take one of the same name for another. Until then it also sets
    // the flags of a new device of that name to what the old one's were, so that it is down.
    let mut change = OvsChange { then: OvsThen::LetSettle, ..OvsChange::of(of) };
    let mut undo = OvsChange { then: OvsThen::LetSettle, ..OvsChange::of(of) };
    for (id, there) in &seen.rows {
        let is_ours = made.contains(id) || wanted.get(id).is_some_and(|row| is_leftover(there, &row.columns));
        if is_ours && !keeps.contains(id) {
            change.delete.push(gone(id, there));
            undo.insert.extend(as_it_was(world, id, there));
        }
    }
    undo.insert.sort_by_key(|row| row.id.table); // what others hang from first
    // What hung from nothing, or from what did, is nobody's loss.
    let mut back: HashSet<OvsRowId> = HashSet::new();
    undo.insert.retain(|row| {
        let hangs = |parent: &OvsRowId| keeps.contains(parent) || back.contains(parent);
        row.parent.row.as_ref().is_none_or(hangs) && back.insert(row.id.clone())
    });
    for row in desired.iter().filter(|row| keeps.contains(&row.id)) {
        // A reference to what goes is gone with it, and comes back only when it is set.
        let Some(there) = seen.rows.get(&row.id) else { continue };
        let columns: OvsColumns = row
            .columns
            .keys()
            .map(|column| (column.clone(), held(&there.columns, column)))
            .filter(|(_, value)| value.iter().any(|scalar| goes(scalar, &keeps)))
            .collect();
        if !columns.is_empty() {
            undo.set.push(OvsSetting { id: row.id.clone(), name: row.name().map(str::to_owned), columns });
        }
    }
    if !change.delete.is_empty() {
        let all_come_back = change.delete.iter().all(|gone| wanted.contains_key(&gone.id));
        let reason = if all_come_back { Reason::Repair } else { Reason::Gone };
        steps.push(Stage::UnplugSwitches, reason, Op::ChangeOvs(change), vec![Op::ChangeOvs(undo)]);
    }

    let mut change = OvsChange { then: OvsThen::Verify, ..OvsChange::of(of) };
    let mut undo = OvsChange { then: OvsThen::LetSettle, ..OvsChange::of(of) };
    let (mut new, mut known) = (false, true);
    for row in desired {
        if let Some(there) = seen.rows.get(&row.id).filter(|_| keeps.contains(&row.id)) {
            let (columns, before) = difference(&row.columns, &staying(&there.columns, &keeps));
            if !columns.is_empty() {
                known &= is_made_so(world.made, row);
                change.set.push(OvsSetting { id: row.id.clone(), name: row.name().map(str::to_owned), columns });
                undo.set.push(OvsSetting { id: row.id.clone(), name: row.name().map(str::to_owned), columns: before });
            }
        } else {
            new |= !is_known(world.made, &row.id);
            change.insert.push(row.clone());
            let OvsRow { id, parent, .. } = row.clone();
            undo.delete.push(OvsGone { name: row.name().map(str::to_owned), id, parent: Some(parent) });
        }
    }
    if change.insert.is_empty() && change.set.is_empty() {
        return;
    }
    let reason = match (new, known) {
        (true, _) if change.set.is_empty() && world.made.resources.ovs.is_none() => Reason::New,
        (false, true) => Reason::Repair,
        _ => Reason::Changed,
    };
    steps.push(Stage::PlugSwitches, reason, Op::ChangeOvs(change), vec![Op::ChangeOvs(undo)]);
}

/// Whether a desired row is there and stays.
pub(super) fn stays(world: &World<'_>, id: &OvsRowId) -> bool {
    let OvsView::Seen(seen) = &world.observed.ovs else { return false };
    let wanted = world.desired.ovs.iter().flat_map(|desired| &desired.rows).map(|row| (&row.id, row)).collect();
    keeping(world, seen, &ours(world.made, seen), &wanted).contains(id)
}

/// The rows that stay: those that are ours, wanted, hang where they are to hang, from a row that stays, and whose device
/// does too.
fn keeping<'a>(
    world: &World<'a>,
    seen: &'a ObservedOvs,
    made: &HashSet<&OvsRowId>,
    wanted: &BTreeMap<&OvsRowId, &'a OvsRow>,
) -> HashSet<&'a OvsRowId> {
    let mut lost: HashSet<&OvsRowId> = HashSet::new();
    for (id, row) in wanted {
        let Some(there) = seen.rows.get(id) else { continue };
        let is_broken = match device(row) {
            Some(name) => !has_device(world, name) || there.status.error.is_some(),
            None => false,
        };
        let is_broken = is_broken || is_another(row, there);
        if !made.contains(id) || there.parent.as_ref() != Some(&row.parent) || is_broken {
            lost.insert(id);
            // An interface goes with its port: a port without one can't be.
            if row.id.table == OvsTable::Interface {
                lost.extend(row.parent.row.as_ref());
            }
        }
    }
    let mut keeps = HashSet::new();
    // Rows are behind what they hang from.
    for row in world.desired.ovs.iter().flat_map(|desired| &desired.rows) {
        let hangs_well = row.parent.row.as_ref().is_none_or(|parent| keeps.contains(parent));
        if let Some((id, _)) = seen.rows.get_key_value(&row.id)
            && hangs_well
            && !lost.contains(id)
        {
            keeps.insert(id);
        }
    }
    keeps
}

/// Whether a row is to become what ovs-vswitchd (3.1) makes only of a new one. Where a spanning tree is turned off, be it
/// to undo that it was turned on, its ports go on as if they were blocked; its times are held against those that it had
/// before, and left as they are where the two don't go together; an interface does not change its sort without leaving
/// traces.
fn is_another(row: &OvsRow, there: &ObservedOvsRow) -> bool {
    let is_of_a_tree = |column: &OvsColumn| {
        let (name, key) = (column.name.as_str(), column.key.as_deref().unwrap_or_default());
        matches!(name, "stp_enable" | "rstp_enable") || key.starts_with("stp-") || key.starts_with("rstp-")
    };
    match row.id.table {
        OvsTable::Bridge => {
            let mut tree = row.columns.iter().filter(|(column, _)| is_of_a_tree(column));
            tree.any(|(column, value)| held(&there.columns, column) != *value)
        }
        OvsTable::Interface => text_of(&row.columns, "type") != text_of(&there.columns, "type"),
        _ => false,
    }
}

/// Whether the device of a port is there and stays.
fn has_device(world: &World<'_>, name: &str) -> bool {
    let ends = world.desired.veths.iter().flat_map(|veth| [&veth.a, &veth.b]).map(|end| &end.interface);
    let mut ends = ends.filter(|Interface { netns, name: end }| *netns == NetnsName::Host && end.as_str() == name);
    ends.next().is_some_and(|interface| world.kept(place(interface)).is_some())
}

fn gone(id: &OvsRowId, there: &ObservedOvsRow) -> OvsGone {
    OvsGone { id: id.clone(), parent: there.parent.clone(), name: text_of(&there.columns, "name").map(str::to_owned) }
}

/// An observed row as one that can be made again: of its columns those that are ours to set.
fn as_it_was(world: &World<'_>, id: &OvsRowId, there: &ObservedOvsRow) -> Option<OvsRow> {
    let known = [&world.made.resources.ovs, &world.desired.ovs].into_iter().flatten().flat_map(|rows| &rows.rows);
    let known = known.into_iter().find(|row| row.id == *id)?;
    let columns = known.columns.keys().map(|column| (column.clone(), held(&there.columns, column))).collect();
    Some(OvsRow { id: id.clone(), parent: there.parent.clone()?, columns })
}

/// Whether a value refers to a row that does not stay.
fn goes(scalar: &OvsScalar, keeps: &HashSet<&OvsRowId>) -> bool {
    matches!(scalar, OvsScalar::Row(id) if !keeps.contains(id))
}

/// What columns hold once the rows are gone that do not stay.
fn staying(columns: &OvsColumns, keeps: &HashSet<&OvsRowId>) -> OvsColumns {
    let stays = |value: &OvsSet| value.iter().filter(|scalar| !goes(scalar, keeps)).cloned().collect();
    columns.iter().map(|(column, value)| (column.clone(), stays(value))).collect()
}

/// The columns that are to hold something else, and what they hold now.
fn difference(wanted: &OvsColumns, there: &OvsColumns) -> (OvsColumns, OvsColumns) {
    let different = wanted.iter().filter(|(column, value)| held(there, column) != **value);
    different.map(|(column, value)| ((column.clone(), value.clone()), (column.clone(), held(there, column)))).unzip()
}

fn is_known(made: &Made, id: &OvsRowId) -> bool {
    made.resources.ovs.iter().flat_map(|made| &made.rows).any(|row| row.id == *id)
}

fn is_made_so(made: &Made, row: &OvsRow) -> bool {
    made.resources.ovs.iter().flat_map(|made| &made.rows).any(|made| made == row)
}
