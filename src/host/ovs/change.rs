//! Changing a lab's rows: one transaction, then waiting for ovs-vswitchd, then a look at what it says of the ports.

use super::columns::{self, Reference, Settings};
use super::{BACKLOG, DATABASE, OvsError, SETTLE, TAKEOVER, TAKEOVER_PER_ROW, connect, observe};
use crate::fault;
use crate::host::ovsdb::{Atom, Client, Condition, Function, NamedUuid, Operation, Transaction, Until, Uuid, Value};
use crate::host::{Host, HostError};
use crate::model::ovs::{
    OvsChange, OvsColumns, OvsGone, OvsParent, OvsRow, OvsRowId, OvsScalar, OvsSet, OvsSetting, OvsTable, OvsThen,
    OvsdbServer, held,
};
use crate::observed::ObservedOvs;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

impl Host {
    /// Changes a lab's rows, all at once. What is to go and isn't there is gone; what is to be made and is there is set.
    ///
    /// # Errors
    /// When the server can't be reached or refuses: then nothing is changed, unless the connection was lost in the middle.
    /// When ovs-vswitchd does not take the change over, or can't make a port: then the rows are there.
    ///
    /// # Cancel safety
    /// A transaction that was sent is done.
    pub async fn change_ovs(&self, change: &OvsChange) -> Result<(), HostError> {
        self.try_change_ovs(change).await.map_err(HostError::Ovs)
    }

    /// Waits until ovs-vswitchd has come to what is in the database now: it may still be taking a former lab away.
    ///
    /// # Errors
    /// When the server can't be reached; when ovs-vswitchd does not come to it.
    pub async fn let_ovs_catch_up(&self, server: &OvsdbServer) -> Result<(), HostError> {
        let caught_up = async { catch_up(&connect(server).await?).await };
        caught_up.await.map_err(HostError::Ovs)
    }

    async fn try_change_ovs(&self, change: &OvsChange) -> Result<(), OvsError> {
        let client = connect(&change.server).await?;
        let tables = observe::read_tables(&client).await?;
        let marked = observe::of_lab(&tables, &change.lab)?;
        let there: BTreeMap<OvsRowId, Uuid> = marked.into_iter().map(|marked| (marked.id, marked.uuid)).collect();
        let mut transaction = if touches(change, &there) {
            // Nothing is written where nothing changes: to undo what was refused needs no room on a full disk.
            transaction(&without_what_holds(change, &observe::observe_on(&client, &change.lab).await?), &there)?
        } else {
            transaction(change, &there)?
        };
        // What ovs-vswitchd has to do before is not this change's fault.
        if change.then == OvsThen::Verify {
            catch_up(&client).await?;
        }
        if transaction.is_empty() && (change.then != OvsThen::Verify || check_ports(&client, change).await.is_ok()) {
            return Ok(());
        }
        transaction.comment(format!("nslab: {}", change.lab));
        let bump = vec![("next_cfg", "+=", 1).into()];
        transaction.mutate(DATABASE, vec![], bump);
        let number = transaction.select(DATABASE, vec![], &["next_cfg"]);
        fault::point(|| "before the transaction".into());
        let results = client.transact(&transaction).await?;
        fault::point(|| "after the transaction".into());
        let number: i64 = results[number].rows.first().map_or(Ok(0), |row| row.get("next_cfg"))?;
        match change.then {
            OvsThen::GoOn => Ok(()),
            OvsThen::LetSettle => {
                let rows = u32::try_from(change.delete.len()).unwrap_or(u32::MAX);
                match wait_for_switch(&client, number, SETTLE + TAKEOVER_PER_ROW * rows).await {
                    Err(OvsError::SwitchSilent { .. }) => Ok(()),
                    other => other,
                }
            }
            OvsThen::Verify => {
                let rows = u32::try_from(change.insert.len() + change.set.len()).unwrap_or(u32::MAX);
                wait_for_switch(&client, number, TAKEOVER + TAKEOVER_PER_ROW * rows).await?;
                check_ports(&client, change).await
            }
        }
    }
}

/// Whether the change sets rows that are there.
fn touches(change: &OvsChange, there: &BTreeMap<OvsRowId, Uuid>) -> bool {
    let mut ids = change.insert.iter().map(|row| &row.id).chain(change.set.iter().map(|setting| &setting.id));
    ids.any(|id| there.contains_key(id))
}

/// The change without the rows that are as it wants them.
fn without_what_holds(change: &OvsChange, seen: &ObservedOvs) -> OvsChange {
    let goes = |id: &OvsRowId| change.delete.iter().any(|gone| gone.id == *id);
    let refers_to_what_goes =
        |value: &OvsSet| value.iter().any(|scalar| matches!(scalar, OvsScalar::Row(id) if goes(id)));
    let holds = |id: &OvsRowId, parent: Option<&OvsParent>, columns: &OvsColumns| {
        let Some(there) = seen.rows.get(id).filter(|_| !goes(id)) else { return false };
        parent.is_none_or(|parent| there.parent.as_ref() == Some(parent) && !parent.row.as_ref().is_some_and(&goes))
            && columns
                .iter()
                .all(|(column, value)| held(&there.columns, column) == *value && !refers_to_what_goes(value))
    };
    let mut change = change.clone();
    change.insert.retain(|row| !holds(&row.id, Some(&row.parent), &row.columns));
    change.set.retain(|setting| !holds(&setting.id, None, &setting.columns));
    change
}

fn transaction(change: &OvsChange, there: &BTreeMap<OvsRowId, Uuid>) -> Result<Transaction, OvsError> {
    let OvsChange { server: _, lab: _, delete, insert, set, then: _ } = change;
    let mut transaction = Transaction::new(DATABASE);
    for gone in delete {
        remove(&mut transaction, gone, delete, there);
    }
    let gone: BTreeSet<&OvsRowId> = delete.iter().map(|gone| &gone.id).collect();
    let new: BTreeMap<&OvsRowId, NamedUuid> = insert
        .iter()
        .filter(|row| gone.contains(&row.id) || !there.contains_key(&row.id))
        .map(|row| (&row.id, NamedUuid::new(&row.id.to_string())))
        .collect();
    let reference = |id: &OvsRowId| {
        let name = new.get(id).map(|name| Reference::New(name.clone()));
        name.or_else(|| there.get(id).map(|uuid| Reference::There(*uuid)))
    };
    let find = |id: &OvsRowId| reference(id).as_ref().map(Atom::from);
    for row in insert {
        let label = format!("add the {} {}", row.id.table.as_str(), row.name().unwrap_or(&row.id.id));
        match new.get(&row.id) {
            Some(name) => {
                let mut columns = columns::new_row(&row.columns, &find);
                for (column, value) in hanging(&row.id, insert, &find) {
                    columns.set(&column, value);
                }
                let table = row.id.table.as_str().to_owned();
                let uuid_name = Some(name.clone());
                transaction.push(Operation::Insert { table, row: columns, uuid_name }, label);
            }
            None => set_columns(&mut transaction, &row.id, &row.columns, there, &find, &label),
        }
        hang(&mut transaction, row, &new, there, &find)?;
    }
    for OvsSetting { id, name, columns } in set {
        let label = format!("change the {} {}", id.table.as_str(), name.as_deref().unwrap_or(&id.id));
        set_columns(&mut transaction, id, columns, there, &find, &label);
    }
    Ok(transaction)
}

/// Takes a row from what it hangs from. It is gone then, with all that hangs from it, unless its table keeps rows that
/// nobody refers to.
fn remove(transaction: &mut Transaction, gone: &OvsGone, all: &[OvsGone], there: &BTreeMap<OvsRowId, Uuid>) {
    let OvsGone { id, parent, name } = gone;
    let Some(&uuid) = there.get(id) else { return };
    let label = format!("remove the {} {}", id.table.as_str(), name.as_deref().unwrap_or(&id.id));
    if let Some(OvsParent { row, column, key }) = parent {
        // The server counts references to what is deleted before it clears away what nobody refers to any more.
        let counts = |row: &OvsRowId| id.table.is_root() && !row.table.is_root();
        let goes_along = row.as_ref().is_some_and(|row| all.iter().any(|gone| gone.id == *row) && !counts(row));
        let value = key.map_or_else(|| Value::from(uuid), Value::from);
        let (table, conditions) = match row {
            None => (DATABASE, Some(vec![])),
            Some(row) => (row.table.as_str(), there.get(row).map(|uuid| vec![Condition::is(*uuid)])),
        };
        if let Some(conditions) = conditions.filter(|_| !goes_along) {
            let mutations = vec![(column.as_str(), "delete", value).into()];
            transaction.push(Operation::Mutate { table: table.to_owned(), conditions, mutations }, label.clone());
        }
    }
    if id.table.is_root() {
        let conditions = vec![Condition::is(uuid)];
        transaction.push(Operation::Delete { table: id.table.as_str().to_owned(), conditions }, label);
    }
}

/// The columns of a new row by which other rows hang from it, together: new ones, and those that outlived the one they hung from.
fn hanging(id: &OvsRowId, insert: &[OvsRow], find: &impl Fn(&OvsRowId) -> Option<Atom>) -> Vec<(String, Value)> {
    let mut sets: BTreeMap<&str, Vec<Atom>> = BTreeMap::new();
    let mut maps: BTreeMap<&str, Vec<(Atom, Atom)>> = BTreeMap::new();
    for child in insert.iter().filter(|child| child.parent.row.as_ref() == Some(id)) {
        let Some(child_row) = find(&child.id) else { continue };
        match child.parent.key {
            None => sets.entry(&child.parent.column).or_default().push(child_row),
            Some(key) => maps.entry(&child.parent.column).or_default().push((key.into(), child_row)),
        }
    }
    let sets = sets.into_iter().map(|(column, atoms)| (column.to_owned(), Value::Set(atoms)));
    sets.chain(maps.into_iter().map(|(column, pairs)| (column.to_owned(), Value::Map(pairs)))).collect()
}

/// Hangs a row from one that is there; from one that is new, [`hanging`] has.
fn hang(
    transaction: &mut Transaction,
    row: &OvsRow,
    new: &BTreeMap<&OvsRowId, NamedUuid>,
    there: &BTreeMap<OvsRowId, Uuid>,
    find: &impl Fn(&OvsRowId) -> Option<Atom>,
) -> Result<(), OvsError> {
    let OvsParent { row: parent, column, key } = &row.parent;
    let (table, conditions) = match parent {
        None => (DATABASE, vec![]),
        Some(parent) if new.contains_key(parent) => return Ok(()),
        Some(parent) => {
            let uuid = there.get(parent).ok_or_else(|| OvsError::NoParent(parent.to_string()))?;
            (parent.table.as_str(), vec![Condition::is(*uuid)])
        }
    };
    let Some(child) = find(&row.id) else { return Ok(()) };
    let value = match key {
        None => Value::from(child),
        Some(key) => Value::Map(vec![((*key).into(), child)]),
    };
    let label = format!("add the {} {}", row.id.table.as_str(), row.name().unwrap_or(&row.id.id));
    let mutations = vec![(column.as_str(), "insert", value).into()];
    transaction.push(Operation::Mutate { table: table.to_owned(), conditions, mutations }, label);
    Ok(())
}

fn set_columns(
    transaction: &mut Transaction,
    id: &OvsRowId,
    columns: &OvsColumns,
    there: &BTreeMap<OvsRowId, Uuid>,
    find: &impl Fn(&OvsRowId) -> Option<Atom>,
    label: &str,
) {
    let Some(&uuid) = there.get(id) else { return };
    let (table, conditions) = (id.table.as_str().to_owned(), vec![Condition::is(uuid)]);
    let Settings { row, remove, add } = columns::settings(columns, find);
    if !row.is_empty() {
        transaction.push(Operation::Update { table: table.clone(), conditions: conditions.clone(), row }, label);
    }
    let mut mutations = Vec::new();
    mutations.extend(remove.iter().map(|(column, keys)| (column.as_str(), "delete", keys.clone()).into()));
    mutations.extend(add.into_iter().map(|(column, pairs)| (column.as_str(), "insert", Value::Map(pairs)).into()));
    if !mutations.is_empty() {
        transaction.push(Operation::Mutate { table, conditions, mutations }, label);
    }
}

async fn catch_up(client: &Client) -> Result<(), OvsError> {
    let mut transaction = Transaction::new(DATABASE);
    transaction.select(DATABASE, vec![], &["next_cfg"]);
    let results = client.transact(&transaction).await?;
    let number: i64 = results[0].rows.first().map_or(Ok(0), |row| row.get("next_cfg"))?;
    wait_for_switch(client, number, BACKLOG).await
}

/// Waits, on the server, until ovs-vswitchd has come to a configuration.
async fn wait_for_switch(client: &Client, number: i64, within: Duration) -> Result<(), OvsError> {
    let mut transaction = Transaction::new(DATABASE);
    let wait = Operation::Wait {
        // Shorter than the request's own.
        timeout: Some(within.min(super::ANSWER.mul_f32(0.9))),
        table: DATABASE.to_owned(),
        conditions: vec![Condition::new("cur_cfg", Function::Less, number)],
        columns: vec!["cur_cfg".to_owned()],
        until: Until::Equal,
        rows: vec![],
    };
    transaction.push(wait, "wait for ovs-vswitchd");
    match client.transact(&transaction).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_timed_out() => Err(OvsError::SwitchSilent { after: within }),
        Err(error) => Err(error.into()),
    }
}

/// Sees whether the interfaces work that were made or set.
async fn check_ports(client: &Client, change: &OvsChange) -> Result<(), OvsError> {
    let of_inserted = change.insert.iter().map(|row| &row.id);
    let touched: BTreeSet<&OvsRowId> = of_inserted
        .chain(change.set.iter().map(|setting| &setting.id))
        .filter(|id| id.table == OvsTable::Interface)
        .collect();
    if touched.is_empty() {
        return Ok(());
    }
    let mut transaction = Transaction::new(DATABASE);
    transaction.select("Interface", vec![], &["_uuid", "name", "ofport", "error", "external_ids"]);
    let results = client.transact(&transaction).await?;
    let mut failed = Vec::new();
    for row in &results[0].rows {
        let marks = observe::marks(row)?;
        let is_lab = marks.get(crate::model::ovs::MARK_LAB).map(String::as_str) == Some(change.lab.as_str());
        let Some(id) = marks.get(crate::model::ovs::MARK_ID).filter(|_| is_lab) else { continue };
        if !touched.contains(&OvsRowId { table: OvsTable::Interface, id: id.clone() }) {
            continue;
        }
        let error: Option<String> = row.get("error")?;
        if error.is_some() || row.get::<Option<i64>>("ofport")? == Some(-1) {
            failed.push((row.get("name")?, error.unwrap_or_else(|| "it has no port number".to_owned())));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(OvsError::Ports(failed)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ovs::{OvsRows, OvsScalar};
    use crate::observed::{ObservedOvsRow, OvsStatus};

    fn port(id: &str, tag: i64) -> OvsRow {
        let bridge = OvsRowId { table: OvsTable::Bridge, id: "br0".into() };
        OvsRow {
            id: OvsRowId { table: OvsTable::Port, id: id.into() },
            parent: OvsParent { row: Some(bridge), column: "ports".into(), key: None },
            columns: OvsColumns::from([("tag".into(), OvsSet::from([OvsScalar::Integer(tag)]))]),
        }
    }

    #[test]
    fn what_is_as_it_is_wanted_is_not_written_again() {
        let server = OvsdbServer { target: "unix:/run/db.sock".into(), tls: None };
        let rows = OvsRows { server, lab: "lab".parse().unwrap(), rows: Vec::new() };
        let seen = port("a", 10);
        let there = ObservedOvsRow { parent: Some(seen.parent), columns: seen.columns, status: OvsStatus::default() };
        let seen = ObservedOvs { rows: [(seen.id, there)].into(), ..ObservedOvs::default() };
        let left = |insert: OvsRow, delete: Vec<OvsGone>| {
            let change = OvsChange { insert: vec![insert], delete, ..OvsChange::of(&rows) };
            without_what_holds(&change, &seen).insert.len()
        };
        assert_eq!(left(port("a", 10), vec![]), 0, "it is as it is wanted");
        assert_eq!(left(port("a", 20), vec![]), 1, "it holds something else");
        assert_eq!(left(port("b", 10), vec![]), 1, "it is not there");
        let elsewhere = OvsParent { row: None, column: "ports".into(), key: None };
        assert_eq!(left(OvsRow { parent: elsewhere, ..port("a", 10) }, vec![]), 1, "it hangs elsewhere");
        for goes in [port("a", 10).id, port("a", 10).parent.row.unwrap()] {
            assert_eq!(left(port("a", 10), vec![OvsGone { id: goes, parent: None, name: None }]), 1, "it goes first");
        }
    }
}
