//! Removing a directory with all that is in it, however deep that is.
//!
//! Who goes down into it holds an open file and a piece of the stack for each level, and a container can make more levels than there
//! are of either. Here what is two levels down moves up by one, again and again, until nothing is.

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::ffi::{CStr, CString};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

/// The hidden verb of a process that removes what is partly other users', with the path to follow.
pub(crate) const REMOVER: &str = "__remove";

/// Removes it, whatever it allows to its owner. No symbolic link in it is followed.
///
/// Root in a user namespace of a caller who is not root can make files of users who are the caller's by /etc/subuid, and whom he can
/// be in such a namespace only. What of those is in the way is removed by a process in one: see [`REMOVER`].
///
/// # Errors
/// When it can't be looked at or something in it can't be removed; where it is not there.
pub(crate) fn remove_all(path: &Path) -> io::Result<()> {
    match remove_own(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied && !geteuid().is_root() => {
            if remove_by_helper(path) {
                Ok(())
            } else {
                Err(error)
            }
        }
        removed => removed,
    }
}

/// Says whether it is gone. Why not, the helper tells whoever reads what the caller tells.
fn remove_by_helper(path: &Path) -> bool {
    let mut helper = Command::new("/proc/self/exe");
    helper.arg(REMOVER).arg(path).stdin(Stdio::null()).stdout(Stdio::null());
    match helper.status() {
        Ok(status) => status.success(),
        Err(error) => {
            let what = format!("can't start the process that removes other users' files in {}", path.display());
            let _ = writeln!(io::stderr(), "nslab: {what}: {error}");
            false
        }
    }
}

/// As [`remove_all`], by the calling process itself.
pub(crate) fn remove_own(path: &Path) -> io::Result<()> {
    let removal = Removal { is_root: geteuid().is_root() };
    if !removal.is_root {
        chmodat(CWD, path, Mode::RWXU, AtFlags::empty())?;
    }
    let top = openat(CWD, path, DIRECTORY, Mode::empty())?;
    let mut moved = 0;
    while removal.take_a_level(&top, &mut moved)? {}
    std::fs::remove_dir(path)
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

struct Removal {
    is_root: bool,
}

impl Removal {
    /// Removes what is in a directory, but for what is in directories in it, which move up; says whether there was anything.
    fn take_a_level(&self, top: &OwnedFd, moved: &mut u64) -> Result<bool, Errno> {
        let entries = entries(top)?;
        for (name, is_directory) in &entries {
            if !is_directory {
                unlink(top, name, AtFlags::empty())?;
                continue;
            }
            self.open_up(top, name)?;
            let inner = match openat(top, name.as_c_str(), DIRECTORY, Mode::empty()) {
                Err(Errno::NOENT) => continue,
                inner => inner?,
            };
            for (below, is_directory) in self::entries(&inner)? {
                if is_directory {
                    self.open_up(&inner, &below)?;
                    move_up(&inner, &below, top, moved)?;
                } else {
                    unlink(&inner, &below, AtFlags::empty())?;
                }
            }
            unlink(top, name, AtFlags::REMOVEDIR)?;
        }
        Ok(!entries.is_empty())
    }

    /// Allows its owner all, who else could neither empty nor move it.
    fn open_up(&self, parent: &OwnedFd, name: &CStr) -> Result<(), Errno> {
        match (self.is_root, chmodat(parent, name, Mode::RWXU, AtFlags::empty())) {
            (true, _) | (false, Err(Errno::NOENT)) => Ok(()),
            (false, changed) => changed,
        }
    }
}

/// What is in a directory, and which of it are directories.
fn entries(directory: &OwnedFd) -> Result<Vec<(CString, bool)>, Errno> {
    let mut all = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_owned();
        if [c".", c".."].contains(&name.as_c_str()) {
            continue;
        }
        let kind = match entry.file_type() {
            // Not every file system says it here.
            FileType::Unknown => match statat(directory, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                found => FileType::from_raw_mode(found?.st_mode),
            },
            kind => kind,
        };
        all.push((name, kind == FileType::Directory));
    }
    Ok(all)
}

/// Fine where somebody else was quicker.
fn unlink(parent: &OwnedFd, name: &CStr, flags: AtFlags) -> Result<(), Errno> {
    match unlinkat(parent, name, flags) {
        Err(Errno::NOENT) => Ok(()),
        removed => removed,
    }
}

/// Moves a directory to the top, by a name that nothing there has. An empty directory of that name may be replaced: it goes as well.
fn move_up(inner: &OwnedFd, name: &CStr, top: &OwnedFd, moved: &mut u64) -> Result<(), Errno> {
    loop {
        let new_name = format!(".nslab-removal-{moved}");
        *moved += 1;
        match renameat(inner, name, top, new_name.as_str()) {
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            Err(Errno::NOENT) => return Ok(()),
            renamed => return renamed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::mkdirat;

    #[test]
    fn a_tree_goes_that_is_deeper_than_files_can_be_open() {
        const DEPTH: usize = 25_000;
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("tree");
        std::fs::create_dir(&path).unwrap();
        let mut at = openat(CWD, &path, DIRECTORY, Mode::empty()).unwrap();
        for level in 0..DEPTH {
            if level % 1000 == 0 {
                openat(&at, "file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
                mkdirat(&at, "beside", Mode::RWXU).unwrap();
            }
            mkdirat(&at, "a", Mode::RWXU).unwrap();
            at = openat(&at, "a", DIRECTORY, Mode::empty()).unwrap();
        }
        remove_all(&path).unwrap();
        assert!(!path.exists());
        assert_eq!(remove_all(&path).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn links_are_removed_and_not_followed_and_names_do_not_clash() {
        let scratch = tempfile::tempdir().unwrap();
        let [path, kept] = ["tree", "kept"].map(|name| scratch.path().join(name));
        std::fs::create_dir_all(path.join("a/b/c")).unwrap();
        std::fs::create_dir_all(path.join(".nslab-removal-0/full")).unwrap();
        std::fs::write(path.join(".nslab-removal-1"), "").unwrap();
        std::fs::create_dir(&kept).unwrap();
        std::fs::write(kept.join("file"), "").unwrap();
        std::os::unix::fs::symlink(&kept, path.join("a/link")).unwrap();
        std::os::unix::fs::symlink(&kept, path.join("link")).unwrap();
        remove_all(&path).unwrap();
        assert!(!path.exists() && kept.join("file").exists());
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(&kept, &link).unwrap();
        assert!(remove_all(&link).is_err(), "what is to go is a directory");
        assert!(kept.join("file").exists());
    }
}
