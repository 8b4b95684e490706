//! The digest of files that come one by one and not as an archive: what they are, in one order and one spelling, so that the same
//! files make the same layer.

use super::digest::{Digest, Hasher};
use super::entry::{Entry, Kind};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What comes first: another way of spelling is to be another digest.
const SPELLING: &[u8] = b"nslab files 1\n";

/// What becomes of a digest while files come.
pub(super) struct Fingerprint(Hasher);

impl Fingerprint {
    pub(super) fn new() -> Self {
        let mut hasher = Hasher::default();
        hasher.add(SPELLING);
        Self(hasher)
    }

    /// Adds what is said of an entry. Its data comes after it, by [`Fingerprint::data`].
    pub(super) fn entry(&mut self, entry: &Entry) {
        let Entry { path, kind, mode, uid, gid, modified, attributes } = entry;
        self.path(path);
        for number in [u64::from(*mode), *uid, *gid, modified.seconds.cast_unsigned(), modified.nanoseconds.into()] {
            self.number(number);
        }
        self.number(attributes.len() as u64);
        for (name, value) in attributes {
            self.bytes(name);
            self.bytes(value);
        }
        match kind {
            Kind::File { bytes, parts } => {
                self.0.add(b"f");
                self.number(*bytes);
                self.number(parts.len() as u64);
                for part in parts {
                    self.number(part.offset);
                    self.number(part.bytes);
                }
            }
            Kind::Directory => self.0.add(b"d"),
            Kind::SymbolicLink(target) => {
                self.0.add(b"s");
                self.path(target);
            }
            Kind::HardLink(target) => {
                self.0.add(b"h");
                self.path(target);
            }
            Kind::Fifo => self.0.add(b"p"),
            Kind::Device { is_block, major, minor } => {
                self.0.add(if *is_block { b"b" } else { b"c" });
                self.number((*major).into());
                self.number((*minor).into());
            }
            Kind::Other => self.0.add(b"o"),
        }
    }

    /// Adds some of a file's data.
    pub(super) fn data(&mut self, data: &[u8]) {
        self.0.add(data);
    }

    pub(super) fn digest(self) -> Digest {
        self.0.digest()
    }

    fn number(&mut self, number: u64) {
        self.0.add(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.add(bytes);
    }

    fn path(&mut self, path: &Path) {
        self.bytes(path.as_os_str().as_bytes());
    }
}
