//! Operations that are done together or not at all (RFC 7047 section 4.1.3), and what comes of each.

use super::error::OvsdbError;
use super::operation::{Condition, Mutation, Operation};
use super::row::Row;
use super::value::{NamedUuid, Uuid};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeSet;

/// A transaction. Each operation has a label, by which an error says what it was for.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    database: String,
    operations: Vec<Operation>,
    labels: Vec<String>,
}

/// What came of an operation.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct OpResult {
    /// Of an `insert`: the new row.
    #[serde(default, deserialize_with = "uuid")]
    pub uuid: Option<Uuid>,
    /// Of a `select`: what was read.
    #[serde(default)]
    pub rows: Vec<Row>,
    /// Of an `update`, a `mutate` or a `delete`: how many rows were meant.
    #[serde(default)]
    pub count: u64,
}

fn uuid<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
    use super::value::Atom;
    match Atom::deserialize(deserializer)? {
        Atom::Uuid(uuid) => Ok(Some(uuid)),
        _ => Err(serde::de::Error::custom("expected a UUID")),
    }
}

/// What the server sends for an operation; null for one that it did not come to.
#[derive(Deserialize)]
#[serde(untagged)]
enum Outcome {
    Failed {
        error: String,
        #[serde(default)]
        details: Option<String>,
    },
    Done(OpResult),
}

/// The server's answer to a transaction, not looked at yet.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Outcomes(Vec<Option<Outcome>>);

impl Transaction {
    /// A transaction of no operations on a database.
    pub fn new(database: &str) -> Self {
        Self { database: database.to_owned(), operations: Vec::new(), labels: Vec::new() }
    }

    /// Adds an operation; `label` says what it is for, as it would stand behind "can't". Its place among the results is
    /// given back.
    pub fn push(&mut self, operation: Operation, label: impl Into<String>) -> usize {
        self.operations.push(operation);
        self.labels.push(label.into());
        self.operations.len() - 1
    }

    fn add(&mut self, operation: Operation) -> usize {
        let label = operation.in_words();
        self.push(operation, label)
    }

    /// Adds a row.
    pub fn insert(&mut self, table: &str, row: Row, uuid_name: Option<NamedUuid>) -> usize {
        self.add(Operation::Insert { table: table.to_owned(), row, uuid_name })
    }

    /// Reads columns of rows; all columns where none is named.
    pub fn select(&mut self, table: &str, conditions: Vec<Condition>, columns: &[&str]) -> usize {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        self.add(Operation::Select { table: table.to_owned(), conditions, columns })
    }

    /// Sets columns of rows.
    pub fn update(&mut self, table: &str, conditions: Vec<Condition>, row: Row) -> usize {
        self.add(Operation::Update { table: table.to_owned(), conditions, row })
    }

    /// Changes columns of rows by what is in them.
    pub fn mutate(&mut self, table: &str, conditions: Vec<Condition>, mutations: Vec<Mutation>) -> usize {
        self.add(Operation::Mutate { table: table.to_owned(), conditions, mutations })
    }

    /// Removes rows.
    pub fn delete(&mut self, table: &str, conditions: Vec<Condition>) -> usize {
        self.add(Operation::Delete { table: table.to_owned(), conditions })
    }

    /// Says in the database's log what the transaction is for.
    pub fn comment(&mut self, comment: impl Into<String>) -> usize {
        self.add(Operation::Comment { comment: comment.into() })
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there is no operation.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The results, or the error of the operation that failed.
    pub(super) fn results(&self, outcomes: Outcomes) -> Result<Vec<OpResult>, OvsdbError> {
        let mut results = Vec::with_capacity(self.len());
        for (index, outcome) in outcomes.0.into_iter().enumerate() {
            match outcome {
                Some(Outcome::Done(result)) => results.push(result),
                Some(Outcome::Failed { error, details }) => {
                    let details = details.unwrap_or_default();
                    return Err(match self.labels.get(index) {
                        Some(label) => OvsdbError::Operation { label: label.clone(), index, error, details },
                        // One more than there are operations: the commit's.
                        None => OvsdbError::Commit { labels: self.all_labels(), error, details },
                    });
                }
                // Behind an operation that failed, which was met before.
                None => results.push(OpResult::default()),
            }
        }
        results.resize(self.len(), OpResult::default());
        Ok(results)
    }

    fn all_labels(&self) -> String {
        const SHOWN: usize = 4;
        let all: BTreeSet<&str> = self.labels.iter().map(String::as_str).collect();
        let shown = all.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
        if all.len() > SHOWN { format!("{shown}, …") } else { shown }
    }
}

impl Serialize for Transaction {
    /// The parameters of the method `transact`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut parameters = serializer.serialize_seq(Some(1 + self.len()))?;
        parameters.serialize_element(&self.database)?;
        for operation in &self.operations {
            parameters.serialize_element(operation)?;
        }
        parameters.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Transaction {
        let mut transaction = Transaction::new("db");
        transaction.push(Operation::Abort, "add the bridge br0");
        transaction.delete("Port", vec![]);
        transaction
    }

    fn results(answer: &str) -> Result<Vec<OpResult>, String> {
        two().results(serde_json::from_str(answer).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn errors_are_told_with_what_they_are_of() {
        assert_eq!(
            results(r#"[{"error":"constraint violation","details":"why"},null]"#).unwrap_err(),
            "can't add the bridge br0: constraint violation (why)"
        );
        assert_eq!(
            results(r#"[{},{"count":1},{"error":"referential integrity violation","details":"why"}]"#).unwrap_err(),
            "can't commit the transaction (add the bridge br0, remove from Port): referential integrity violation (why)"
        );
        let done = results(r#"[{"uuid":["uuid","550e8400-e29b-41d4-a716-446655440000"]},{"count":2}]"#).unwrap();
        assert_eq!((done[0].uuid.is_some(), done[1].count), (true, 2));
    }

    #[test]
    fn a_transaction_is_the_parameters_of_its_method() {
        let text = serde_json::to_string(&two()).unwrap();
        assert_eq!(text, r#"["db",{"op":"abort"},{"op":"delete","table":"Port","where":[]}]"#);
    }
}
