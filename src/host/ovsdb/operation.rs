//! What a transaction can do (RFC 7047 section 5.2), and the clauses that it does it by (section 5.1).

use super::row::Row;
use super::value::{NamedUuid, Uuid, Value};
use serde::Serialize;
use std::time::Duration;

/// Which rows are meant: a column, a function and a value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Condition(String, Function, Value);

/// How a column is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Function {
    /// Less.
    #[serde(rename = "<")]
    Less,
    /// Less or the same.
    #[serde(rename = "<=")]
    LessOrEqual,
    /// The same.
    #[serde(rename = "==")]
    Equal,
    /// Not the same.
    #[serde(rename = "!=")]
    NotEqual,
    /// More or the same.
    #[serde(rename = ">=")]
    GreaterOrEqual,
    /// More.
    #[serde(rename = ">")]
    Greater,
    /// All of the value's elements or pairs are in the column.
    Includes,
    /// None of them is.
    Excludes,
}

impl Condition {
    /// Any condition.
    pub fn new(column: &str, function: Function, value: impl Into<Value>) -> Self {
        Self(column.to_owned(), function, value.into())
    }

    /// The column holds just this.
    pub fn equal(column: &str, value: impl Into<Value>) -> Self {
        Self::new(column, Function::Equal, value)
    }

    /// The column holds this and maybe more.
    pub fn includes(column: &str, value: impl Into<Value>) -> Self {
        Self::new(column, Function::Includes, value)
    }

    /// The one row that is this.
    pub fn is(uuid: Uuid) -> Self {
        Self::equal("_uuid", uuid)
    }
}

/// A change of a column by what is in it: the column, a mutator (`+=`, `-=`, `*=`, `/=`, `%=`, `insert`, `delete`) and
/// a value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mutation(String, &'static str, Value);

impl<V: Into<Value>> From<(&str, &'static str, V)> for Mutation {
    fn from((column, mutator, value): (&str, &'static str, V)) -> Self {
        Self(column.to_owned(), mutator, value.into())
    }
}

/// Until when a `wait` waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Until {
    /// Until the rows are these.
    #[serde(rename = "==")]
    Equal,
    /// Until they are others.
    #[serde(rename = "!=")]
    NotEqual,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Adds a row; columns that are not given get their type's default.
    Insert {
        /// To which table.
        table: String,
        /// Its columns.
        row: Row,
        /// The name by which other operations of the transaction refer to it.
        #[serde(rename = "uuid-name", skip_serializing_if = "Option::is_none", serialize_with = "name")]
        uuid_name: Option<NamedUuid>,
    },
    /// Reads rows.
    Select {
        /// Of which table.
        table: String,
        /// Those that meet all of these.
        #[serde(rename = "where")]
        conditions: Vec<Condition>,
        /// Which columns; all where there are none.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        columns: Vec<String>,
    },
    /// Sets columns of rows.
    Update {
        /// Of which table.
        table: String,
        /// Those that meet all of these.
        #[serde(rename = "where")]
        conditions: Vec<Condition>,
        /// The columns.
        row: Row,
    },
    /// Changes columns of rows by what is in them.
    Mutate {
        /// Of which table.
        table: String,
        /// Those that meet all of these.
        #[serde(rename = "where")]
        conditions: Vec<Condition>,
        /// The changes, in order.
        mutations: Vec<Mutation>,
    },
    /// Removes rows.
    Delete {
        /// From which table.
        table: String,
        /// Those that meet all of these.
        #[serde(rename = "where")]
        conditions: Vec<Condition>,
    },
    /// Waits until rows are, or are no longer, as given; the transaction fails when the time is up.
    Wait {
        /// For how long; without end where it is `None`.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "milliseconds")]
        timeout: Option<Duration>,
        /// Of which table.
        table: String,
        /// Those that meet all of these.
        #[serde(rename = "where")]
        conditions: Vec<Condition>,
        /// Which columns are compared.
        columns: Vec<String>,
        /// Until they are, or are not, as given.
        until: Until,
        /// How they are given.
        rows: Vec<Row>,
    },
    /// Whether the server is to answer only when all is on its disk.
    Commit {
        /// Whether.
        durable: bool,
    },
    /// Fails the transaction, after the operations before were tried.
    Abort,
    /// Says in the database's log what the transaction is for.
    Comment {
        /// What it says.
        comment: String,
    },
    /// Fails the transaction unless the client owns a lock (section 4.1.8).
    Assert {
        /// The lock's name.
        lock: String,
    },
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn name<S: serde::Serializer>(name: &Option<NamedUuid>, serializer: S) -> Result<S::Ok, S::Error> {
    name.as_ref().map(NamedUuid::as_str).serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn milliseconds<S: serde::Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).serialize(serializer)
}

impl Operation {
    /// What it does, in a few words.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Insert { table, .. } => format!("insert a row of {table}"),
            Self::Select { table, .. } => format!("read {table}"),
            Self::Update { table, .. } | Self::Mutate { table, .. } => format!("change {table}"),
            Self::Delete { table, .. } => format!("remove from {table}"),
            Self::Wait { table, .. } => format!("wait for {table}"),
            Self::Commit { .. } => "write to the disk".to_owned(),
            Self::Abort => "abort".to_owned(),
            Self::Comment { .. } => "leave a comment".to_owned(),
            Self::Assert { lock } => format!("make sure of the lock {lock}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_written_as_the_rfc_has_them() {
        let json = |operation: Operation| serde_json::to_string(&operation).unwrap();
        assert_eq!(
            json(Operation::Insert {
                table: "T".into(),
                row: Row::new().with("a", 1),
                uuid_name: Some(NamedUuid::new("x"))
            }),
            r#"{"op":"insert","table":"T","row":{"a":1},"uuid-name":"_x"}"#
        );
        assert_eq!(
            json(Operation::Wait {
                timeout: Some(Duration::from_secs(1)),
                table: "T".into(),
                conditions: vec![Condition::new("n", Function::Less, 3)],
                columns: vec!["n".into()],
                until: Until::Equal,
                rows: vec![],
            }),
            r#"{"op":"wait","timeout":1000,"table":"T","where":[["n","<",3]],"columns":["n"],"until":"==","rows":[]}"#
        );
        assert_eq!(
            json(Operation::Mutate { table: "T".into(), conditions: vec![], mutations: vec![("n", "+=", 1).into()] }),
            r#"{"op":"mutate","table":"T","where":[],"mutations":[["n","+=",1]]}"#
        );
        assert_eq!(json(Operation::Abort), r#"{"op":"abort"}"#);
        assert_eq!(json(Operation::Commit { durable: true }), r#"{"op":"commit","durable":true}"#);
    }
}
