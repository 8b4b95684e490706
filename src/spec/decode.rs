//! From the positioned tree to the raw types: a serde deserializer that goes on past errors.
//!
//! What serde's own derive would stop at is taken out of its way: keys that a struct does not know and keys that are
//! there twice are reported and left out, and a [`super::field::Field`] whose value fails is reported and stays empty.
//! An enum whose variants are called after kinds of nodes (`text`, `sequence`, …) is decoded by the kind that is there.

use super::field::FIELD;
use super::tree::{Key, Tree, Value};
use super::{Position, Problem, suggest};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as SerdeError, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Display;

/// Why a value could not be decoded, and where, unless it is the value's own place.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub(super) struct DecodeError {
    at: Option<Position>,
    problem: Problem,
}

impl DecodeError {
    fn new(problem: Problem) -> Self {
        Self { at: None, problem }
    }
}

impl SerdeError for DecodeError {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(Problem::Value { message: message.to_string() })
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        let suggestion = suggest::nearest(found, known.iter().copied()).map(str::to_owned);
        Self::new(Problem::UnknownChoice { found: found.to_owned(), known, suggestion })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Problem::MissingKey { key: field })
    }
}

/// Decodes a whole text's tree. The value is missing where it could not even be begun.
pub(super) fn decode<T: DeserializeOwned>(tree: &Tree, source: &str) -> (Option<T>, Vec<(Position, Problem)>) {
    let sink = Sink { source, problems: RefCell::default() };
    let value = T::deserialize(Node { tree, sink: &sink }).map_err(|e| sink.report(e, tree.at)).ok();
    (value, sink.problems.into_inner())
}

struct Sink<'s> {
    source: &'s str,
    problems: RefCell<Vec<(Position, Problem)>>,
}

impl Sink<'_> {
    fn report(&self, error: DecodeError, at: Position) {
        self.problems.borrow_mut().push((error.at.unwrap_or(at), error.problem));
    }
}

#[derive(Clone, Copy)]
struct Node<'t> {
    tree: &'t Tree,
    sink: &'t Sink<'t>,
}

/// The names of enum variants that stand for kinds of nodes.
const KINDS: [&str; 5] = ["boolean", "number", "text", "sequence", "mapping"];

impl<'t> Node<'t> {
    fn wrong_kind(self, expected: impl Into<String>) -> DecodeError {
        let found = self.tree.value.kind();
        DecodeError { at: Some(self.tree.at), problem: Problem::WrongKind { found, expected: expected.into() } }
    }

    /// A scalar as it is spelled.
    fn spelling(self) -> Option<&'t str> {
        match &self.tree.value {
            Value::Text(text) => Some(text),
            Value::Boolean(_) | Value::Integer(_) | Value::OtherNumber => {
                self.sink.source.get(self.tree.bytes.clone()?).map(str::trim)
            }
            Value::Null | Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    fn items(self, expected: &str) -> Result<&'t [Tree], DecodeError> {
        match &self.tree.value {
            Value::Sequence(items) => Ok(items),
            _ => Err(self.wrong_kind(expected)),
        }
    }

    /// The entries with keys that are not there twice and, if `known` says which there are, known.
    fn entries(self, known: Option<&'static [&'static str]>) -> Result<Vec<&'t (Key, Tree)>, DecodeError> {
        let Value::Mapping(all) = &self.tree.value else { return Err(self.wrong_kind("a mapping (`key: value`)")) };
        let mut first: HashMap<&str, Position> = HashMap::with_capacity(all.len());
        let mut entries = Vec::with_capacity(all.len());
        for entry in all {
            let (Key { at, text }, _) = entry;
            if let Some(known) = known
                && !known.contains(&text.as_str())
            {
                let suggestion = suggest::nearest(text, known.iter().copied()).map(str::to_owned);
                let problem = Problem::UnknownKey { key: text.clone(), known, suggestion };
                self.sink.report(DecodeError::new(problem), *at);
            } else if let Some(first) = first.get(text.as_str()) {
                let problem = Problem::DuplicateKey { key: text.clone(), first_line: first.line };
                self.sink.report(DecodeError::new(problem), *at);
            } else {
                first.insert(text, *at);
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    fn natural(self, max: u64) -> Result<u64, DecodeError> {
        match self.tree.value {
            Value::Integer(value) if value <= max => Ok(value),
            Value::Integer(value) => Err(DecodeError::new(Problem::NumberTooBig { value, max })),
            _ => Err(self.wrong_kind("a whole number, 0 or more")),
        }
    }

    fn variant_by_kind(self, variants: &'static [&'static str]) -> Result<&'static str, DecodeError> {
        let kind = match self.tree.value {
            Value::Boolean(_) => "boolean",
            Value::Integer(_) | Value::OtherNumber => "number",
            Value::Text(_) => "text",
            Value::Sequence(_) => "sequence",
            Value::Mapping(_) => "mapping",
            Value::Null => "null",
        };
        let find = |kind: &str| variants.iter().copied().find(|v| *v == kind);
        // Where only a text will do, a number is one: `gateway: 10` may be a node's name.
        let as_text = || self.spelling().and_then(|_| find("text"));
        find(kind).or_else(as_text).ok_or_else(|| {
            let words: Vec<&str> = variants
                .iter()
                .map(|v| match *v {
                    "boolean" => "true or false",
                    "number" => "a number",
                    "text" => "a text",
                    "sequence" => "a list",
                    _ => "a mapping (`key: value`)",
                })
                .collect();
            self.wrong_kind(words.join(" or "))
        })
    }
}

macro_rules! natural {
    ($($method:ident $visit:ident $type:ty)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            let value = self.natural(u64::from(<$type>::MAX))?;
            let value = <$type>::try_from(value).map_err(DecodeError::custom)?;
            visitor.$visit(value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.tree.value {
            Value::Null => visitor.visit_unit(),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Integer(value) => visitor.visit_u64(*value),
            Value::OtherNumber | Value::Text(_) => self.deserialize_str(visitor),
            Value::Sequence(_) => self.deserialize_seq(visitor),
            Value::Mapping(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.tree.value {
            Value::Boolean(value) => visitor.visit_bool(value),
            _ => Err(self.wrong_kind("true or false")),
        }
    }

    natural! { deserialize_u8 visit_u8 u8  deserialize_u16 visit_u16 u16  deserialize_u32 visit_u32 u32  deserialize_u64 visit_u64 u64 }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_str(self.spelling().ok_or_else(|| self.wrong_kind("a text"))?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.tree.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &str, visitor: V) -> Result<V::Value, DecodeError> {
        if name == FIELD {
            let Self { tree, sink } = self;
            visitor.visit_seq(Positioned { at: tree.at, value: self, sink, next: Part::Line })
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_seq(Items { items: self.items("a list")?.iter(), sink: self.sink })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        let items = self.items(&format!("a list of {len}"))?;
        if items.len() != len {
            return Err(DecodeError::new(Problem::WrongLength { found: items.len(), expected: len }));
        }
        visitor.visit_seq(Items { items: items.iter(), sink: self.sink })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let entries = self.entries(None)?.into_iter();
        visitor.visit_map(Mapping { entries, value: None, sink: self.sink })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let entries = self.entries(Some(fields))?.into_iter();
        visitor.visit_map(Mapping { entries, value: None, sink: self.sink })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if variants.iter().all(|v| KINDS.contains(v)) {
            visitor.visit_enum(ByKind { variant: self.variant_by_kind(variants)?, node: self })
        } else {
            let choice = self.spelling().ok_or_else(|| self.wrong_kind(variants.join(" or ")))?;
            visitor.visit_enum(choice.into_deserializer())
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple_struct identifier ignored_any
    }
}

/// The parts of a [`super::field::Field`]: line, column, value.
struct Positioned<'t, D> {
    at: Position,
    value: D,
    sink: &'t Sink<'t>,
    next: Part,
}

enum Part {
    Line,
    Column,
    Value,
}

impl<'de, D: Deserializer<'de, Error = DecodeError> + Copy> SeqAccess<'de> for Positioned<'_, D> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        match self.next {
            Part::Line => {
                self.next = Part::Column;
                seed.deserialize(self.at.line.into_deserializer()).map(Some)
            }
            Part::Column => {
                self.next = Part::Value;
                seed.deserialize(self.at.column.into_deserializer()).map(Some)
            }
            Part::Value => match seed.deserialize(self.value) {
                Ok(value) => Ok(Some(value)),
                Err(error) => {
                    self.sink.report(error, self.at);
                    Ok(None)
                }
            },
        }
    }
}

struct Items<'t> {
    items: std::slice::Iter<'t, Tree>,
    sink: &'t Sink<'t>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        self.items.next().map(|tree| seed.deserialize(Node { tree, sink: self.sink })).transpose()
    }
}

struct Mapping<'t> {
    entries: std::vec::IntoIter<&'t (Key, Tree)>,
    value: Option<&'t Tree>,
    sink: &'t Sink<'t>,
}

impl<'de> MapAccess<'de> for Mapping<'_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(KeyNode { key, sink: self.sink }).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let tree = self.value.take().ok_or_else(|| DecodeError::custom("a value was asked for before its key"))?;
        seed.deserialize(Node { tree, sink: self.sink })
    }
}

#[derive(Clone, Copy)]
struct KeyNode<'t> {
    key: &'t Key,
    sink: &'t Sink<'t>,
}

impl<'de> Deserializer<'de> for KeyNode<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_str(&self.key.text)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &str, visitor: V) -> Result<V::Value, DecodeError> {
        if name == FIELD {
            let Self { key, sink } = self;
            visitor.visit_seq(Positioned { at: key.at, value: self, sink, next: Part::Line })
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct ByKind<'t> {
    variant: &'static str,
    node: Node<'t>,
}

impl<'de, 't> EnumAccess<'de> for ByKind<'t> {
    type Error = DecodeError;
    type Variant = Content<'t>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'t>), DecodeError> {
        Ok((seed.deserialize(self.variant.into_deserializer())?, Content(self.node)))
    }
}

/// What a variant of an enum by kind holds: the very node.
struct Content<'t>(Node<'t>);

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DecodeError> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.0.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.0.deserialize_struct("", fields, visitor)
    }
}
