//! What sources are made of: files and directories, one after the other. Data only.

use std::path::PathBuf;

/// A file, directory or the like, as a source has it; nothing of it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where in the image.
    pub(super) path: PathBuf,
    /// What it is.
    pub(super) kind: Kind,
    /// Its permissions, with those for setuid and the like.
    pub(super) mode: u32,
    /// Whose it is.
    pub(super) uid: u64,
    /// Which group's.
    pub(super) gid: u64,
    /// When it was changed.
    pub(super) modified: Time,
    /// Its extended attributes (xattr(7)): name and value.
    pub(super) attributes: Attributes,
}

/// Names and values.
pub(super) type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// A time since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Time {
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file, of which there is more to be read: its parts, one after the other.
    File {
        /// Its size, with its holes.
        bytes: u64,
        /// Where something is; the rest are holes.
        parts: Vec<Part>,
    },
    /// A directory.
    Directory,
    /// A symbolic link to this, whatever it means.
    SymbolicLink(PathBuf),
    /// Another name of a file in the same layer.
    HardLink(PathBuf),
    /// A named pipe.
    Fifo,
    /// A device.
    Device {
        /// Whether it is a block device; else it is a character device.
        is_block: bool,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A socket, or something else that can't be in an image.
    Other,
}

/// A part of a file that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Where it begins.
    pub(super) offset: u64,
    /// How long it is.
    pub(super) bytes: u64,
}

impl Kind {
    /// A file without holes.
    pub(super) fn whole_file(bytes: u64) -> Self {
        Self::File { bytes, parts: vec![Part { offset: 0, bytes }] }
    }
}
