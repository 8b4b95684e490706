//! What can go wrong with the files of the state directory.

use crate::model::LabName;
use std::path::PathBuf;

/// Why the state directory could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file operation failed.
    #[error("can't {action} {}", path.display())]
    File {
        /// What was to be done, as a verb.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what nslab writes there.
    #[error("{} is not readable as nslab's state: another version of nslab wrote it, or it was edited", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// A file was written by another version of nslab.
    #[error(
        "{} has format {found}, this nslab writes format {expected}: use the nslab that brought the lab up to take it down",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The format it has.
        found: u32,
        /// The format that this nslab knows.
        expected: u32,
    },
    /// Another nslab kept the lab locked for too long.
    #[error("another nslab has been changing the lab {lab} for {waited_s} s: wait for it to end, or end it")]
    Busy {
        /// The lab.
        lab: LabName,
        /// How long this one waited, in seconds.
        waited_s: u64,
    },
    /// Another nslab kept the host's network stack locked for too long.
    #[error(
        "another nslab has been changing the machine's own network for {waited_s} s: wait for it to end, or end it"
    )]
    HostBusy {
        /// How long this one waited, in seconds.
        waited_s: u64,
    },
}

impl StateError {
    /// Whether the reason is that there is no room.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::File { source, .. } if matches!(
            source.kind(),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
        ))
    }

    /// Whether the reason is that the caller may not.
    pub fn is_permission(&self) -> bool {
        matches!(self, Self::File { source, .. } if matches!(
            source.kind(),
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem
        ))
    }
}

/// Gives a file operation's error its context.
pub(super) fn file<T>(
    action: &'static str,
    path: &std::path::Path,
    result: std::io::Result<T>,
) -> Result<T, StateError> {
    result.map_err(|source| StateError::File { action, path: path.to_owned(), source })
}
