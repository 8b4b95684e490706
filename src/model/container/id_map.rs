//! How users and groups inside a user namespace are numbered outside (user_namespaces(7)).

use serde::{Deserialize, Serialize};

/// One record of /proc/PID/uid_map or gid_map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdMap {
    /// The first number inside.
    pub inside: u32,
    /// The first number outside.
    pub outside: u32,
    /// How many; at least one.
    pub length: u32,
}

/// The maps of a user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum UserMaps {
    /// Root inside is the caller; who else there is inside, /etc/subuid and /etc/subgid say (subuid(5)).
    CallerIsRoot,
    /// These. Where one is empty, nobody has a number of that sort inside.
    Records {
        /// Users.
        users: Vec<IdMap>,
        /// Groups.
        groups: Vec<IdMap>,
    },
}

/// A text that is no map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdMapError {
    /// It does not read `inside outside length`.
    #[error("`{0}` is no record of a map: write three numbers, `inside outside length`, as in \"0 1000 1\"")]
    Record(String),
    /// No number is mapped.
    #[error("`{0}` maps nothing: its length is to be 1 or more")]
    Empty(String),
    /// The numbers end before the map does.
    #[error("`{0}` goes beyond the last number that there is (4294967294)")]
    TooLong(String),
    /// More than the kernel takes.
    #[error("{0} records are too many: the kernel takes {LONGEST}")]
    TooMany(usize),
    /// Two records of one map are about the same number.
    #[error("`{0}` and `{1}` are about the same numbers")]
    Overlap(String, String),
}

/// As many records as a map can have (UID_GID_MAP_MAX_EXTENTS, linux/user_namespace.h).
const LONGEST: usize = 340;

impl std::fmt::Display for IdMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { inside, outside, length } = self;
        write!(f, "{inside} {outside} {length}")
    }
}

impl std::str::FromStr for IdMap {
    type Err = IdMapError;
    fn from_str(text: &str) -> Result<Self, IdMapError> {
        let wrong = || IdMapError::Record(text.trim().to_owned());
        let numbers: Result<Vec<u32>, _> = text.split_whitespace().map(str::parse).collect();
        let [inside, outside, length] = numbers.map_err(|_| wrong())?[..] else { return Err(wrong()) };
        if length == 0 {
            return Err(IdMapError::Empty(text.trim().to_owned()));
        }
        // The very last number, (uid_t) -1, is nobody's.
        let ends = |first: u32| first.checked_add(length).is_some();
        if !(ends(inside) && ends(outside)) {
            return Err(IdMapError::TooLong(text.trim().to_owned()));
        }
        Ok(Self { inside, outside, length })
    }
}

impl IdMap {
    /// Reads records that are separated by commas: `0 1000 1, 1 100000 65536`.
    ///
    /// # Errors
    /// When one of them is none, or the kernel would not take them.
    pub fn parse_records(text: &str) -> Result<Vec<Self>, IdMapError> {
        let records: Vec<Self> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        if records.len() > LONGEST {
            return Err(IdMapError::TooMany(records.len()));
        }
        for (at, one) in records.iter().enumerate() {
            let same = |a: u32, b: u32, other: &Self| a < b + other.length && b < a + one.length;
            let clash = records[..at]
                .iter()
                .find(|other| same(one.inside, other.inside, other) || same(one.outside, other.outside, other));
            if let Some(other) = clash {
                return Err(IdMapError::Overlap(other.to_string(), one.to_string()));
            }
        }
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_the_kernel_writes_them() {
        let records = IdMap::parse_records("0 1000 1,  1 100000 65536").unwrap();
        assert_eq!(records[1], IdMap { inside: 1, outside: 100_000, length: 65536 });
        assert_eq!(records[0].to_string(), "0 1000 1");
    }

    #[test]
    fn what_the_kernel_refuses_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "three numbers"),
            ("0 1000", "three numbers"),
            ("0 1000 1 2", "three numbers"),
            ("0 -1 1", "three numbers"),
            ("0 1000 0", "maps nothing"),
            ("4294967295 0 1", "beyond the last"),
            ("0 4294967290 6", "beyond the last"),
            ("0 0 10,5 100 1", "about the same"),
            ("0 0 10,10 9 1", "about the same"),
        ] {
            let error = IdMap::parse_records(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let many = vec!["0 0 1"; 341].join(",");
        assert_eq!(IdMap::parse_records(&many).unwrap_err(), IdMapError::TooMany(341));
    }
}
