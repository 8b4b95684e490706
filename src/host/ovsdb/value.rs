//! The values of columns: atoms, sets and maps of them (RFC 7047 section 5.1).

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Who a row is: 128 bits, written as 36 characters (RFC 4122 section 3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(u128);

/// A text that is no UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no UUID")]
pub struct UuidError(String);

/// Where the hyphens are.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl std::str::FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        let digits: String = text.char_indices().filter(|(at, _)| !HYPHENS.contains(at)).map(|(_, c)| c).collect();
        let well_formed = text.len() == 36
            && HYPHENS.iter().all(|&at| text.as_bytes()[at] == b'-')
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u128::from_str_radix(&digits, 16) {
            Ok(number) if well_formed => Ok(Self(number)),
            _ => Err(UuidError(text.to_owned())),
        }
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let (a, b, c, d, e) = (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
        write!(f, "{a}-{b}-{c}-{d}-{e}")
    }
}

impl<'de> Deserialize<'de> for Uuid {
    /// From the plain text, as in the keys of what a monitor says; in a column it is a tagged [`Atom`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of a row within the transaction that inserts it: an identifier as in C.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedUuid(String);

impl NamedUuid {
    /// A name made of `text`; what an identifier can't have in it becomes an underscore.
    pub fn new(text: &str) -> Self {
        let rest = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
        Self(std::iter::once('_').chain(rest).collect())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A single value.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub enum Atom {
    /// A number without a fraction.
    Integer(i64),
    /// Any number.
    Real(f64),
    /// True or false.
    Boolean(bool),
    /// A text.
    String(String),
    /// A reference to a row.
    Uuid(Uuid),
    /// A reference to a row that the same transaction inserts.
    NamedUuid(NamedUuid),
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Atoms without order. One is a set of one, and the other way round: servers write it as they like.
    Set(Vec<Atom>),
    /// Pairs without order, each key once.
    Map(Vec<(Atom, Atom)>),
}

impl Value {
    /// A set of nothing, which is also what an optional column without a value holds.
    pub fn empty() -> Self {
        Self::Set(Vec::new())
    }

    /// Whether the two hold the same; order does not count.
    pub fn is_same(&self, other: &Self) -> bool {
        fn same<T: PartialEq>(a: &[T], b: &[T]) -> bool {
            a.len() == b.len() && a.iter().all(|item| b.contains(item))
        }
        match (self, other) {
            (Self::Set(a), Self::Set(b)) => same(a, b),
            (Self::Map(a), Self::Map(b)) => same(a, b),
            // An empty map may be written as an empty set.
            (Self::Set(a), Self::Map(b)) | (Self::Map(b), Self::Set(a)) => a.is_empty() && b.is_empty(),
        }
    }
}

macro_rules! atom_from {
    ($($type:ty => |$value:ident| $atom:expr;)*) => {$(
        impl From<$type> for Atom {
            fn from($value: $type) -> Self {
                $atom
            }
        }

        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::Set(vec![value.into()])
            }
        }
    )*};
}

atom_from! {
    i64 => |value| Self::Integer(value);
    i32 => |value| Self::Integer(value.into());
    u32 => |value| Self::Integer(value.into());
    u16 => |value| Self::Integer(value.into());
    f64 => |value| Self::Real(value);
    bool => |value| Self::Boolean(value);
    &str => |value| Self::String(value.to_owned());
    String => |value| Self::String(value);
    Uuid => |value| Self::Uuid(value);
    NamedUuid => |value| Self::NamedUuid(value);
}

impl From<Atom> for Value {
    fn from(atom: Atom) -> Self {
        Self::Set(vec![atom])
    }
}

impl<T: Into<Atom>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::Set(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Atom>> From<BTreeSet<T>> for Value {
    fn from(items: BTreeSet<T>) -> Self {
        Self::Set(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Atom>> From<Option<T>> for Value {
    fn from(item: Option<T>) -> Self {
        Self::Set(item.into_iter().map(Into::into).collect())
    }
}

impl<K: Into<Atom>, V: Into<Atom>> From<BTreeMap<K, V>> for Value {
    fn from(pairs: BTreeMap<K, V>) -> Self {
        Self::Map(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl Serialize for Atom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Real(number) => serializer.serialize_f64(*number),
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::String(text) => serializer.serialize_str(text),
            Self::Uuid(uuid) => tagged(serializer, "uuid", &uuid.to_string()),
            Self::NamedUuid(name) => tagged(serializer, "named-uuid", name.as_str()),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Set(atoms) => match atoms.as_slice() {
                [one] => one.serialize(serializer),
                many => tagged(serializer, "set", many),
            },
            Self::Map(pairs) => tagged(serializer, "map", pairs),
        }
    }
}

fn tagged<S: Serializer, T: Serialize + ?Sized>(serializer: S, tag: &str, content: &T) -> Result<S::Ok, S::Error> {
    let mut pair = serializer.serialize_tuple(2)?;
    pair.serialize_element(tag)?;
    pair.serialize_element(content)?;
    pair.end()
}

impl<'de> Deserialize<'de> for Atom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Set(mut atoms) if atoms.len() == 1 => Ok(atoms.remove(0)),
            _ => Err(D::Error::custom("expected one value, found a set or a map")),
        }
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
        f.write_str("a number, a truth value, a text, or [\"uuid\", …], [\"set\", […]], [\"map\", […]]")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        // Integers are of 64 bits with a sign (section 3.1).
        i64::try_from(value).map(Value::from).map_err(E::custom)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let missing = || A::Error::custom("a value's list has a tag and a content");
        let tag: String = items.next_element()?.ok_or_else(missing)?;
        let value = match tag.as_str() {
            "set" => items.next_element()?.map(Value::Set),
            "map" => items.next_element()?.map(Value::Map),
            "uuid" => {
                let text: Option<String> = items.next_element()?;
                let uuid = text.map(|text| text.parse::<Uuid>().map_err(A::Error::custom)).transpose()?;
                uuid.map(Value::from)
            }
            "named-uuid" => items.next_element()?.map(|name| Value::from(NamedUuid(name))),
            other => return Err(A::Error::custom(format!("`{other}` is no tag of a value"))),
        };
        if items.next_element::<serde::de::IgnoredAny>()?.is_some() {
            return Err(A::Error::custom("a value's list has more than a tag and a content"));
        }
        value.ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn atom() -> impl Strategy<Value = Atom> {
        prop_oneof![
            any::<i64>().prop_map(Atom::from),
            any::<bool>().prop_map(Atom::from),
            prop::num::f64::NORMAL.prop_map(Atom::from),
            ".{0,8}".prop_map(Atom::from),
            any::<u128>().prop_map(|number| Atom::Uuid(Uuid(number))),
            "[a-z-]{1,8}".prop_map(|text| Atom::from(NamedUuid::new(&text))),
        ]
    }

    proptest! {
        #[test]
        fn values_come_back_as_they_were(
            set in prop::collection::vec(atom(), 0..4),
            map in prop::collection::vec((atom(), atom()), 0..4),
        ) {
            for value in [Value::Set(set), Value::Map(map)] {
                let text = serde_json::to_string(&value).unwrap();
                prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value, "{}", text);
            }
        }

        #[test]
        fn any_json_is_a_value_or_an_error(text in "[\\[\\]\",a-z0-9{}: -]{0,40}") {
            let _ = serde_json::from_str::<Value>(&text);
        }
    }

    #[test]
    fn values_are_written_as_the_rfc_has_them() {
        let uuid: Uuid = "550e8400-e29b-41d4-a716-446655440000".parse().unwrap();
        let json = |value: Value| serde_json::to_string(&value).unwrap();
        assert_eq!(json("x".into()), r#""x""#);
        assert_eq!(json(vec![1, 2].into()), r#"["set",[1,2]]"#);
        assert_eq!(json(None::<bool>.into()), r#"["set",[]]"#);
        assert_eq!(json(uuid.into()), r#"["uuid","550e8400-e29b-41d4-a716-446655440000"]"#);
        assert_eq!(json(NamedUuid::new("two-node/br0").into()), r#"["named-uuid","_two_node_br0"]"#);
        assert_eq!(json(BTreeMap::from([("a", "b")]).into()), r#"["map",[["a","b"]]]"#);
        let one: Value = serde_json::from_str(r#"["set",["x"]]"#).unwrap();
        assert_eq!(one, "x".into());
        assert!(Value::Map(vec![]).is_same(&Value::empty()) && !Value::from("a").is_same(&"b".into()));
        for wrong in
            [r#"["set"]"#, r#"["uuid","x"]"#, r#"["what",1]"#, r#"["set",[],1]"#, "null", "{}", "18446744073709551615"]
        {
            assert!(serde_json::from_str::<Value>(wrong).is_err(), "{wrong}");
        }
        for wrong in [
            "",
            "550e8400e29b41d4a716446655440000",
            "550e8400-e29b-41d4-a716-44665544000g",
            "é50e8400-e29b-41d4-a716-44665544000",
        ] {
            assert!(wrong.parse::<Uuid>().is_err(), "{wrong}");
        }
    }
}
