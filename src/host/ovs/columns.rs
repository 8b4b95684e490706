//! Between a lab's columns and those of the protocol.

use crate::host::ovsdb::{Atom, NamedUuid, Row, Uuid, Value};
use crate::model::ovs::{OvsColumn, OvsColumns, OvsRowId, OvsScalar, OvsSet};
use std::collections::BTreeMap;

/// Columns of every row that say nothing of what it is set to.
const NOT_SETTINGS: [&str; 2] = ["_uuid", "_version"];

/// How a row that is referred to is known to the server.
pub(super) enum Reference {
    There(Uuid),
    New(NamedUuid),
}

impl From<&Reference> for Atom {
    fn from(reference: &Reference) -> Self {
        match reference {
            Reference::There(uuid) => (*uuid).into(),
            Reference::New(name) => name.clone().into(),
        }
    }
}

fn atom(scalar: &OvsScalar, find: &impl Fn(&OvsRowId) -> Option<Atom>) -> Option<Atom> {
    match scalar {
        OvsScalar::Boolean(value) => Some((*value).into()),
        OvsScalar::Integer(number) => Some((*number).into()),
        OvsScalar::Text(text) => Some(text.as_str().into()),
        OvsScalar::Row(id) => find(id),
    }
}

fn set(value: &OvsSet, find: &impl Fn(&OvsRowId) -> Option<Atom>) -> Value {
    Value::Set(value.iter().filter_map(|scalar| atom(scalar, find)).collect())
}

/// The columns of a new row; maps are put together of their keys, and what holds nothing is left out.
pub(super) fn new_row(columns: &OvsColumns, find: &impl Fn(&OvsRowId) -> Option<Atom>) -> Row {
    let mut row = Row::new();
    let mut maps: BTreeMap<&str, Vec<(Atom, Atom)>> = BTreeMap::new();
    for (OvsColumn { name, key }, value) in columns.iter().filter(|(_, value)| !value.is_empty()) {
        match key {
            None => row.set(name, set(value, find)),
            Some(key) => {
                let value = value.first().and_then(|scalar| atom(scalar, find));
                maps.entry(name).or_default().extend(value.map(|value| (key.as_str().into(), value)));
            }
        }
    }
    for (name, pairs) in maps {
        row.set(name, Value::Map(pairs));
    }
    row
}

/// What sets columns of a row that is there: plain columns as a row, maps as keys to remove and pairs to add.
pub(super) struct Settings {
    pub(super) row: Row,
    pub(super) remove: Vec<(String, Vec<String>)>,
    pub(super) add: Vec<(String, Vec<(Atom, Atom)>)>,
}

/// The parts of setting `columns`.
pub(super) fn settings(columns: &OvsColumns, find: &impl Fn(&OvsRowId) -> Option<Atom>) -> Settings {
    let mut row = Row::new();
    let mut remove: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut add: BTreeMap<&str, Vec<(Atom, Atom)>> = BTreeMap::new();
    for (OvsColumn { name, key }, value) in columns {
        match key {
            // The name says which row it is, and never changes.
            None if name == "name" => {}
            None => row.set(name, set(value, find)),
            Some(key) => {
                remove.entry(name).or_default().push(key.clone());
                if let Some(value) = value.first().and_then(|scalar| atom(scalar, find)) {
                    add.entry(name).or_default().push((key.as_str().into(), value));
                }
            }
        }
    }
    let owned = |name: &str| name.to_owned();
    Settings {
        row,
        remove: remove.into_iter().map(|(name, keys)| (owned(name), keys)).collect(),
        add: add.into_iter().map(|(name, pairs)| (owned(name), pairs)).collect(),
    }
}

/// What a row holds, a map's pairs as columns of their own; `find` says which of the lab's rows a reference is to.
pub(super) fn observed(row: &Row, find: &impl Fn(Uuid) -> Option<OvsRowId>) -> OvsColumns {
    let scalar = |atom: &Atom| match atom {
        Atom::Boolean(value) => (*value).into(),
        Atom::Integer(number) => (*number).into(),
        Atom::Real(number) => number.to_string().into(),
        Atom::String(text) => text.as_str().into(),
        Atom::NamedUuid(name) => name.as_str().into(),
        Atom::Uuid(uuid) => find(*uuid).map_or_else(|| uuid.to_string().into(), OvsScalar::Row),
    };
    let key_text = |atom: &Atom| match scalar(atom) {
        OvsScalar::Text(text) => text,
        OvsScalar::Integer(number) => number.to_string(),
        OvsScalar::Boolean(value) => value.to_string(),
        OvsScalar::Row(id) => id.to_string(),
    };
    let mut columns = OvsColumns::new();
    for (name, value) in row.columns().filter(|(name, _)| !NOT_SETTINGS.contains(name)) {
        match value {
            Value::Set(atoms) => {
                columns.insert(OvsColumn { name: name.to_owned(), key: None }, atoms.iter().map(scalar).collect());
            }
            Value::Map(pairs) => columns.extend(pairs.iter().map(|(key, value)| {
                let column = OvsColumn { name: name.to_owned(), key: Some(key_text(key)) };
                (column, OvsSet::from([scalar(value)]))
            })),
        }
    }
    columns
}
