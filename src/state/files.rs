//! Reading and writing the state's JSON files whole.

use super::StateError;
use super::error::file;
use crate::fault;
use serde::{Serialize, de::DeserializeOwned};
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The format of the files; to be raised when an older nslab could misread them.
pub(super) const FORMAT: u32 = 4;

#[derive(serde::Serialize, serde::Deserialize)]
struct Versioned<T> {
    format: u32,
    content: T,
}

#[derive(serde::Deserialize)]
struct VersionOnly {
    format: u32,
}

/// Writes `content` to `path` so that a reader, or a nslab that comes after a SIGKILL, finds the old file or the new
/// one, never a part. No fsync: the state lives as long as the kernel objects it speaks of, which a power cut ends.
pub(super) fn write<T: Serialize>(path: &Path, content: &T) -> Result<(), StateError> {
    replace(path, |new| serde_json::to_writer(new, &Versioned { format: FORMAT, content }).map_err(Into::into))
}

/// As [`write()`], a plain text.
pub(super) fn write_text(path: &Path, text: &str) -> Result<(), StateError> {
    replace(path, |new| new.write_all(text.as_bytes()))
}

fn replace(path: &Path, fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), StateError> {
    let beside = path.with_extension("json.new");
    fault::point(|| format!("before writing {}", name(path)));
    let mut new = BufWriter::new(file("create", &beside, File::create(&beside))?);
    // `ls` and `plan` work for everybody, whatever the umask of whoever brought the lab up.
    let readable = new.get_ref().set_permissions(Permissions::from_mode(0o644));
    let written = readable
        .and_then(|()| fill(&mut new))
        .and_then(|()| new.flush())
        .and_then(|()| fault::chance().map_err(io::Error::other));
    file("write", &beside, written)?;
    fault::point(|| format!("before renaming {}", name(path)));
    file("replace", path, std::fs::rename(&beside, path))?;
    fault::point(|| format!("after writing {}", name(path)));
    Ok(())
}

/// What `path` holds; `None` where there is no such file.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StateError> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => file("read", path, other)?,
    };
    let content_error = |source| StateError::Content { path: path.to_owned(), source };
    let VersionOnly { format } = serde_json::from_str(&text).map_err(content_error)?;
    if format != FORMAT {
        return Err(StateError::Version { path: path.to_owned(), found: format, expected: FORMAT });
    }
    let Versioned { content, .. } = serde_json::from_str::<Versioned<T>>(&text).map_err(content_error)?;
    Ok(Some(content))
}

/// Removes `path`; fine where it isn't.
pub(super) fn remove(path: &Path) -> Result<(), StateError> {
    fault::point(|| format!("before removing {}", name(path)));
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        other => file("remove", path, other)?,
    }
    fault::point(|| format!("after removing {}", name(path)));
    Ok(())
}

/// Removes `path`, and what a stopped write left beside it.
pub(super) fn remove_with_new(path: &Path) -> Result<(), StateError> {
    remove(&path.with_extension("json.new"))?;
    remove(path)
}

/// Removes the directory `path` if it is empty, and says whether it is gone.
pub(super) fn remove_empty_directory(path: &Path) -> Result<bool, StateError> {
    match std::fs::remove_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(error) => file("remove", path, Err(error)),
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
