//! Making directories: those that everybody may look into, whatever the caller's umask, and those that nobody else may. And removing them.

mod removal;

pub(crate) use removal::{REMOVER, remove_all, remove_own};

use std::fs::{DirBuilder, Permissions, set_permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What every directory of nslab's has: the rights to change it are root's.
const MODE: u32 = 0o755;

/// Makes a directory, mode 0755; says whether it had to.
///
/// # Errors
/// When it can't be made, or something else is there.
pub(crate) fn make(path: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(MODE).create(path) {
        Ok(()) => {
            set_permissions(path, Permissions::from_mode(MODE))?;
            Ok(true)
        }
        Err(_) if path.is_dir() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a directory that nobody but its owner may look into.
///
/// # Errors
/// When it can't be made, or something is there.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Makes a directory and those that it is in, as far as they are missing; gives back those that it made, the outermost
/// first.
///
/// # Errors
/// As [`make`].
pub(crate) fn make_all(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut made = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() && !path.is_dir() => make_all(parent)?,
        _ => Vec::new(),
    };
    match make(path) {
        Ok(true) => made.push(path.to_owned()),
        Ok(false) => {}
        // Somebody removed the directory that it is in, which was empty a moment ago.
        Err(error) if error.kind() == ErrorKind::NotFound && path.parent().is_some_and(|parent| !parent.exists()) => {
            return make_all(path);
        }
        Err(error) => return Err(error),
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_told() {
        let scratch = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "a/b"].map(|name| scratch.path().join(name));
        assert_eq!(make_all(&b).unwrap(), [a, b.clone()]);
        assert_eq!(make_all(&b).unwrap(), [] as [PathBuf; 0]);
        assert_eq!(b.metadata().unwrap().permissions().mode() & 0o777, MODE);
        std::fs::write(b.join("file"), "").unwrap();
        assert!(make_all(&b.join("file")).is_err());
        assert!(make_all(&b.join("file/c")).is_err());
    }
}
