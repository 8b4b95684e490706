//! A copy of tables that is kept up to date by what a monitor says.

use super::monitor::{RowChange, TableUpdates};
use super::row::Row;
use super::schema::{ColumnSchema, Schema};
use super::value::{Atom, Uuid, Value};
use std::collections::BTreeMap;

/// The rows of some tables at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Replica {
    tables: BTreeMap<String, BTreeMap<Uuid, Row>>,
}

impl Replica {
    /// The rows of a table.
    pub fn rows(&self, table: &str) -> impl Iterator<Item = (Uuid, &Row)> {
        self.tables.get(table).into_iter().flatten().map(|(uuid, row)| (*uuid, row))
    }

    /// One row.
    pub fn row(&self, table: &str, uuid: Uuid) -> Option<&Row> {
        self.tables.get(table)?.get(&uuid)
    }

    /// Takes changes over.
    pub fn apply(&mut self, schema: &Schema, updates: &TableUpdates) {
        for (table, changes) in updates {
            let rows = self.tables.entry(table.clone()).or_default();
            for (&uuid, change) in changes {
                match change {
                    RowChange::Initial(row) | RowChange::Insert(row) => {
                        rows.insert(uuid, row.clone());
                    }
                    RowChange::Modify(difference) => {
                        let row = rows.entry(uuid).or_default();
                        for (name, difference) in difference.columns() {
                            let column = schema.tables.get(table).and_then(|table| table.columns.get(name));
                            change_column(row.column_mut(name), difference, column.copied());
                        }
                    }
                    RowChange::Delete => {
                        rows.remove(&uuid);
                    }
                }
            }
        }
    }
}

/// Takes the difference of a column over, as ovsdb-server(7) section 4.1.14 describes it.
fn change_column(column: &mut Value, difference: &Value, schema: Option<ColumnSchema>) {
    match schema {
        Some(ColumnSchema { is_map: true, .. }) => change_map(column, difference),
        Some(ColumnSchema { holds_several: true, .. }) => change_set(column, difference),
        _ => column.clone_from(difference),
    }
}

fn change_set(column: &mut Value, difference: &Value) {
    let (Value::Set(there), Value::Set(changed)) = (column, difference) else { return };
    for atom in changed {
        match there.iter().position(|other| other == atom) {
            Some(place) => drop(there.remove(place)),
            None => there.push(atom.clone()),
        }
    }
}

fn change_map(column: &mut Value, difference: &Value) {
    let mut pairs: Vec<(Atom, Atom)> = match column {
        Value::Map(pairs) => std::mem::take(pairs),
        Value::Set(_) => Vec::new(), // an empty one
    };
    if let Value::Map(changed) = difference {
        for (key, value) in changed {
            match pairs.iter().position(|(other, _)| other == key) {
                Some(place) if pairs[place].1 == *value => drop(pairs.remove(place)),
                Some(place) => pairs[place].1 = value.clone(),
                None => pairs.push((key.clone(), value.clone())),
            }
        }
    }
    *column = Value::Map(pairs);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_put_together() {
        let schema: Schema = serde_json::from_str(
            r#"{"name":"db","version":"1","tables":{"T":{"columns":{
                "one":{"type":"string"},
                "set":{"type":{"key":"integer","min":0,"max":"unlimited"}},
                "map":{"type":{"key":"string","value":"string","min":0,"max":"unlimited"}}}}}}"#,
        )
        .unwrap();
        let uuid = "550e8400-e29b-41d4-a716-446655440000";
        let mut replica = Replica::default();
        let mut take = |change: &str| {
            let updates = serde_json::from_str(&format!(r#"{{"T":{{"{uuid}":{change}}}}}"#)).unwrap();
            replica.apply(&schema, &updates);
            replica.row("T", uuid.parse().unwrap()).map(|row| serde_json::to_string(row).unwrap()).unwrap_or_default()
        };
        assert_eq!(
            take(r#"{"initial":{"one":"a","set":["set",[1,2]],"map":["map",[["a","1"],["b","2"]]]}}"#),
            r#"{"map":["map",[["a","1"],["b","2"]]],"one":"a","set":["set",[1,2]]}"#
        );
        assert_eq!(
            take(r#"{"modify":{"one":"b","set":["set",[2,3,4]],"map":["map",[["a","1"],["b","3"],["c","4"]]]}}"#),
            r#"{"map":["map",[["b","3"],["c","4"]]],"one":"b","set":["set",[1,3,4]]}"#
        );
        assert_eq!(
            take(r#"{"modify":{"set":1}}"#),
            r#"{"map":["map",[["b","3"],["c","4"]]],"one":"b","set":["set",[3,4]]}"#
        );
        assert_eq!(take(r#"{"delete":null}"#), "");
    }
}
