//! YAML as a tree whose every node knows where it stands. Knows nothing of topologies.

use super::Position;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// A node of the tree.
#[derive(Debug)]
pub(super) struct Tree {
    /// Where it begins; inside an alias, where the anchor's text stands.
    pub(super) at: Position,
    /// Its bytes in the text, for scalars whose spelling matters (`010`, `1e3` and `true` may be names).
    pub(super) bytes: Option<std::ops::Range<usize>>,
    /// What it is.
    pub(super) value: Value,
}

/// What a node is, by the YAML 1.2 core schema.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    Integer(u64),
    /// A number that is no natural one; no value of a topology is.
    OtherNumber,
    Text(String),
    Sequence(Vec<Tree>),
    Mapping(Vec<(Key, Tree)>),
}

/// A key of a mapping. The same key may be there twice.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) at: Position,
    pub(super) text: String,
}

impl Value {
    /// The kind of node in words, as it stands after "found".
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Boolean(_) => "a truth value",
            Self::Integer(_) | Self::OtherNumber => "a number",
            Self::Text(_) => "a text",
            Self::Sequence(_) => "a list",
            Self::Mapping(_) => "a mapping",
        }
    }
}

pub(super) fn position(location: serde_saphyr::Location) -> Position {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    Position { line: number(location.line()), column: number(location.column()) }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced: _, defined } = Spanned::<Value>::deserialize(deserializer)?;
        let span = defined.span();
        let bytes = span.byte_offset().zip(span.byte_len()).and_then(|(offset, len)| {
            let start = usize::try_from(offset).ok()?;
            Some(start..start.checked_add(usize::try_from(len).ok()?)?)
        });
        Ok(Self { at: position(defined), bytes, value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::OtherNumber, Value::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::OtherNumber)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = items.next_element()? {
            nodes.push(node);
        }
        Ok(Value::Sequence(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = items.next_key::<Spanned<String>>()? {
            let key = Key { at: position(key.defined), text: key.value };
            entries.push((key, items.next_value()?));
        }
        Ok(Value::Mapping(entries))
    }
}
