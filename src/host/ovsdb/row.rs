//! Rows, written and read by the columns' names.

use super::value::{Atom, Uuid, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A row, or some of its columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Row(BTreeMap<String, Value>);

/// A column that does not hold what it should.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the column `{column}` should hold {expected}, and holds {}", found(value.as_ref()))]
pub struct RowError {
    column: String,
    expected: &'static str,
    value: Option<Value>,
}

fn found(value: Option<&Value>) -> String {
    match value {
        None => "nothing, for it was not asked for".to_owned(),
        Some(value) => serde_json::to_string(value).unwrap_or_default(),
    }
}

impl Row {
    /// A row of no columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same row with a column more.
    #[must_use]
    pub fn with(mut self, column: &str, value: impl Into<Value>) -> Self {
        self.set(column, value);
        self
    }

    /// Sets a column.
    pub fn set(&mut self, column: &str, value: impl Into<Value>) {
        self.0.insert(column.to_owned(), value.into());
    }

    /// A column as the server sent it.
    pub fn value(&self, column: &str) -> Option<&Value> {
        self.0.get(column)
    }

    /// A column as what it should hold.
    ///
    /// # Errors
    /// When the row has no such column, or it holds something else.
    pub fn get<T: FromValue>(&self, column: &str) -> Result<T, RowError> {
        self.0.get(column).and_then(T::from_value).ok_or_else(|| RowError {
            column: column.to_owned(),
            expected: T::EXPECTED,
            value: self.0.get(column).cloned(),
        })
    }

    /// The columns, by name.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn column_mut(&mut self, column: &str) -> &mut Value {
        self.0.entry(column.to_owned()).or_insert_with(Value::empty)
    }
}

/// What a column can be read as.
pub trait FromValue: Sized {
    /// What it should hold, in words.
    const EXPECTED: &'static str;

    /// The value, if it is one of these.
    fn from_value(value: &Value) -> Option<Self>;
}

/// What an atom can be read as.
trait FromAtom: Sized {
    fn from_atom(atom: &Atom) -> Option<Self>;
}

macro_rules! from_atom {
    ($($type:ty, $expected:literal, $several:literal, $pattern:pat => $result:expr;)*) => {$(
        impl FromAtom for $type {
            fn from_atom(atom: &Atom) -> Option<Self> {
                match atom {
                    $pattern => $result,
                    _ => None,
                }
            }
        }

        impl FromValue for $type {
            const EXPECTED: &'static str = $expected;
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Set(atoms) if atoms.len() == 1 => Self::from_atom(&atoms[0]),
                    _ => None,
                }
            }
        }

        impl FromValue for Option<$type> {
            const EXPECTED: &'static str = concat!($expected, " or nothing");
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Set(atoms) if atoms.is_empty() => Some(None),
                    other => <$type>::from_value(other).map(Some),
                }
            }
        }

        impl FromValue for Vec<$type> {
            const EXPECTED: &'static str = $several;
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Set(atoms) => atoms.iter().map(FromAtom::from_atom).collect(),
                    Value::Map(_) => None,
                }
            }
        }
    )*};
}

from_atom! {
    i64, "an integer", "integers", Atom::Integer(number) => Some(*number);
    bool, "true or false", "truth values", Atom::Boolean(value) => Some(*value);
    String, "a text", "texts", Atom::String(text) => Some(text.clone());
    Uuid, "a reference", "references", Atom::Uuid(uuid) => Some(*uuid);
}

impl<K: FromAtom + Ord, V: FromAtom> FromValue for BTreeMap<K, V> {
    const EXPECTED: &'static str = "a map";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Map(pairs) => {
                pairs.iter().map(|(key, value)| Some((K::from_atom(key)?, V::from_atom(value)?))).collect()
            }
            Value::Set(atoms) if atoms.is_empty() => Some(Self::new()),
            Value::Set(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_as_what_they_hold() {
        let row: Row = serde_json::from_str(
            r#"{"name":"br0","ofport":["set",[]],"tag":7,"up":true,"ids":["map",[["a","b"]]],"none":["map",[]]}"#,
        )
        .unwrap();
        assert_eq!(row.get::<String>("name").unwrap(), "br0");
        assert_eq!(row.get::<Option<i64>>("ofport").unwrap(), None);
        assert_eq!(row.get::<Option<i64>>("tag").unwrap(), Some(7));
        assert_eq!(row.get::<Vec<i64>>("tag").unwrap(), [7]);
        assert!(row.get::<bool>("up").unwrap());
        assert_eq!(row.get::<BTreeMap<String, String>>("ids").unwrap(), BTreeMap::from([("a".into(), "b".into())]));
        assert!(row.get::<BTreeMap<String, i64>>("none").unwrap().is_empty());
        let wrong = row.get::<i64>("name").unwrap_err().to_string();
        assert_eq!(wrong, "the column `name` should hold an integer, and holds \"br0\"");
        assert!(row.get::<Uuid>("ports").unwrap_err().to_string().contains("not asked for"));
    }
}
