//! What is written down of a layer beside its files. Data only.

use super::super::tree::Inside;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What is in a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::image) struct Contents {
    /// How many bytes its files have, without holes.
    pub(in crate::image) bytes: u64,
    /// How many files and directories there are.
    pub(in crate::image) files: u64,
    /// Whether nothing of the layers below is to be seen.
    pub(in crate::image) is_opaque: bool,
    /// Its directories of which it says only that others are in them; the uppermost one by no name.
    #[serde(default, with = "names")]
    pub(in crate::image) implied: Vec<Inside>,
    /// What was left out.
    pub(in crate::image) left_out: LeftOut,
}

/// What was left out of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// How many devices, sockets and the like.
    pub count: u64,
    /// The first of them, in characters where they are something else.
    pub first: Vec<PathBuf>,
}

/// How many are told by name.
const TOLD: usize = 5;

impl LeftOut {
    pub(super) fn add(&mut self, path: &Path) {
        self.count += 1;
        if self.first.len() < TOLD {
            // What is written down is text.
            self.first.push(path.to_string_lossy().into_owned().into());
        }
    }

    /// With another layer's.
    pub(in crate::image) fn join(&mut self, other: &Self) {
        self.count += other.count;
        let room = TOLD - self.first.len().min(TOLD);
        self.first.extend(other.first.iter().take(room).cloned());
    }
}

/// Paths as text: each byte is the character of its number, as nobody says that names are of characters.
mod names {
    use super::Inside;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::Path;

    pub(super) fn serialize<S: Serializer>(all: &[Inside], to: S) -> Result<S::Ok, S::Error> {
        let text = |one: &Inside| one.as_path().as_os_str().as_bytes().iter().map(|byte| char::from(*byte)).collect();
        to.collect_seq(all.iter().map(text).collect::<Vec<String>>())
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<Inside>, D::Error> {
        let path = |text: String| {
            if text.is_empty() {
                return Ok(Inside::default());
            }
            let bytes: Result<Vec<u8>, _> = text.chars().map(|one| u8::try_from(u32::from(one))).collect();
            let bytes = OsString::from_vec(bytes.map_err(D::Error::custom)?);
            Inside::of(Path::new(&bytes)).map_err(D::Error::custom)
        };
        Vec::<String>::deserialize(from)?.into_iter().map(path).collect()
    }
}
