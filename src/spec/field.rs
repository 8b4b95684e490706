//! Pieces of the raw types that let a value fail without failing what it is in.

use super::Position;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// The name by which [`Field`] asks the decoder for a value with its position; no other deserializer knows it.
pub(super) const FIELD: &str = "$nslab::spec::Field";

/// A value and where it stands, or just where it stands if it could not be decoded; the decoder has reported why.
#[derive(Debug)]
pub(super) struct Field<T> {
    pub(super) at: Position,
    pub(super) value: Option<T>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(FIELD, FieldVisitor(PhantomData))
    }
}

struct FieldVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for FieldVisitor<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value with its position")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Field<T>, A::Error> {
        let line = parts.next_element()?.ok_or_else(|| A::Error::missing_field("line"))?;
        let column = parts.next_element()?.ok_or_else(|| A::Error::missing_field("column"))?;
        // The decoder keeps the error: here it is enough to know that there is no value.
        let value = parts.next_element().unwrap_or_default();
        Ok(Field { at: Position { line, column }, value })
    }
}

impl<T: JsonSchema> JsonSchema for Field<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A mapping in the order of the text. Its keys are names of type `K`, which `validate` makes of them: a name that is
/// refused must still be known, or every mention of it would be an error too.
#[derive(Debug)]
pub(super) struct Entries<K, V> {
    pub(super) entries: Vec<(Field<String>, Field<V>)>,
    keys: PhantomData<K>,
}

impl<K, V> Default for Entries<K, V> {
    fn default() -> Self {
        Self { entries: Vec::new(), keys: PhantomData }
    }
}

impl<'de, K, V: Deserialize<'de>> Deserialize<'de> for Entries<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<K, V>(PhantomData<(K, V)>);

impl<'de, K, V: Deserialize<'de>> Visitor<'de> for EntriesVisitor<K, V> {
    type Value = Entries<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<K, V>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries { entries, keys: PhantomData })
    }
}

impl<K: JsonSchema, V: JsonSchema> JsonSchema for Entries<K, V> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}Of{}", V::schema_name(), K::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": generator.subschema_for::<K>(),
            "additionalProperties": generator.subschema_for::<V>(),
        })
    }
}
