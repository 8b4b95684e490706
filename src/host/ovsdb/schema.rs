//! What is in a database: its tables and their columns (RFC 7047 section 3.2), and what a user needs of them.

use serde::Deserialize;
use std::collections::BTreeMap;

/// A database's schema.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Schema {
    /// The database.
    pub name: String,
    /// The schema's version.
    pub version: String,
    /// The tables, by name.
    pub tables: BTreeMap<String, TableSchema>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TableSchema {
    /// Its columns, by name.
    pub columns: BTreeMap<String, ColumnSchema>,
}

/// A column, as far as it matters for putting together what has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "RawColumn")]
pub struct ColumnSchema {
    /// Whether it holds a map.
    pub is_map: bool,
    /// Whether it can hold more than one value.
    pub holds_several: bool,
}

#[derive(Deserialize)]
struct RawColumn {
    r#type: RawType,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawType {
    /// An atomic type's name: one value, no more and no less.
    Atomic(#[expect(dead_code, reason = "which one does not matter")] String),
    Full {
        #[serde(default)]
        value: Option<serde::de::IgnoredAny>,
        #[serde(default)]
        max: Option<RawMax>,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawMax {
    Number(u64),
    Unlimited(serde::de::IgnoredAny),
}

impl From<RawColumn> for ColumnSchema {
    fn from(RawColumn { r#type }: RawColumn) -> Self {
        match r#type {
            RawType::Full { value, max } => Self {
                is_map: value.is_some(),
                holds_several: match max {
                    None => false,
                    Some(RawMax::Number(max)) => max > 1,
                    Some(RawMax::Unlimited(_)) => true,
                },
            },
            RawType::Atomic(_) => Self { is_map: false, holds_several: false },
        }
    }
}

/// The tables and columns that a user of a database needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    database: String,
    columns: Vec<(String, Vec<String>)>,
    remedy: String,
}

/// A database that lacks something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the database {database} of schema version {version} has no {}: {remedy}", missing.join(", "))]
pub struct SchemaError {
    database: String,
    version: String,
    /// `table NAME` or `column TABLE.NAME`.
    missing: Vec<String>,
    remedy: String,
}

impl Requirement {
    /// Nothing of a database yet; `remedy` says what to do where something is missing.
    pub fn new(database: &str, remedy: &str) -> Self {
        Self { database: database.to_owned(), columns: Vec::new(), remedy: remedy.to_owned() }
    }

    /// The same, and these columns of a table.
    #[must_use]
    pub fn table(mut self, table: &str, columns: &[&str]) -> Self {
        self.columns.push((table.to_owned(), columns.iter().map(|&column| column.to_owned()).collect()));
        self
    }

    /// The database.
    pub fn database(&self) -> &str {
        &self.database
    }
}

impl Schema {
    /// Whether everything is there that is needed.
    ///
    /// # Errors
    /// All that is missing.
    pub fn check(&self, requirement: &Requirement) -> Result<(), SchemaError> {
        let mut missing = Vec::new();
        for (table, columns) in &requirement.columns {
            match self.tables.get(table) {
                None => missing.push(format!("table {table}")),
                Some(there) => missing.extend(
                    columns
                        .iter()
                        .filter(|column| !there.columns.contains_key(*column))
                        .map(|column| format!("column {table}.{column}")),
                ),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(SchemaError {
            database: self.name.clone(),
            version: self.version.clone(),
            missing,
            remedy: requirement.remedy.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        serde_json::from_str(
            r#"{"name":"db","version":"1.2.3","cksum":"0 0","tables":{"T":{"isRoot":true,"columns":{
                "one":{"type":"string"},
                "optional":{"type":{"key":"integer","min":0,"max":1},"ephemeral":true},
                "several":{"type":{"key":{"type":"uuid","refTable":"T"},"min":0,"max":"unlimited"}},
                "map":{"type":{"key":"string","value":"string","min":0,"max":"unlimited"}}}}}}"#,
        )
        .unwrap()
    }

    #[test]
    fn columns_are_known_by_what_they_can_hold() {
        let schema = schema();
        let column = |name: &str| {
            let ColumnSchema { is_map, holds_several } = schema.tables["T"].columns[name];
            (is_map, holds_several)
        };
        assert_eq!(
            ["one", "optional", "several", "map"].map(column),
            [(false, false), (false, false), (false, true), (true, true)]
        );
    }

    #[test]
    fn what_is_missing_is_named_all_at_once() {
        let needed = Requirement::new("db", "use a newer one").table("T", &["one", "two"]).table("U", &["x"]);
        assert_eq!(
            schema().check(&needed).unwrap_err().to_string(),
            "the database db of schema version 1.2.3 has no column T.two, table U: use a newer one"
        );
        assert_eq!(schema().check(&Requirement::new("db", "").table("T", &["one"])), Ok(()));
    }
}
