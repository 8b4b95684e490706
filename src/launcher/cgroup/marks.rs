//! The marks by which nslab knows what is its own of cgroups: extended attributes (xattr(7)), which the kernel keeps as long as the
//! cgroup. What each of them means is said where it is used.

use super::error::{CgroupError, While};
use rustix::fs::{XattrFlags, fremovexattr, fsetxattr, getxattr, removexattr, setxattr};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::LazyLock;

/// The mark that takes CAP_SYS_ADMIN, in both versions.
const ROOTS: &str = "trusted.nslab";

/// The mark of whoever may write to what is marked, in version 2 from Linux 5.7 on.
const USERS: &str = "user.nslab";

/// Whose a cgroup is that is marked here: the machine's, or that of somebody who has another /run, and with it labs and
/// containers that may be called the same.
fn own() -> &'static [u8] {
    static OWN: LazyLock<String> = LazyLock::new(|| {
        let run = fs::metadata("/run").ok();
        run.map_or_else(|| "-".to_owned(), |run| format!("{}:{}", run.dev(), run.ino()))
    });
    OWN.as_bytes()
}

/// Marks a directory as nslab's.
pub(super) fn mark(directory: &Path, what: &str) -> Result<(), CgroupError> {
    let set = |kind: &str| setxattr(directory, format!("{kind}{what}"), own(), XattrFlags::empty());
    let result = match set(ROOTS) {
        Err(Errno::PERM | Errno::OPNOTSUPP) => set(USERS),
        result => result,
    };
    result.while_to("mark", directory)
}

/// Takes a mark from a directory; fine where somebody else has just done so.
pub(super) fn unmark(directory: &Path, what: &str) -> Result<(), CgroupError> {
    let kinds = [ROOTS, USERS].iter().filter(|kind| value(directory, kind, what).is_some());
    let mut kinds = kinds.map(|kind| removexattr(directory, format!("{kind}{what}")));
    kinds.try_for_each(|removed| match removed {
        Err(Errno::NODATA | Errno::NOENT) => Ok(()),
        removed => removed.while_to("take the mark from", directory),
    })
}

/// Whether a directory has a mark, whosever it is.
pub(super) fn is_marked(directory: &Path, what: &str) -> bool {
    [ROOTS, USERS].iter().any(|kind| value(directory, kind, what).is_some())
}

/// Whether a directory has a mark of who has this /run.
pub(super) fn is_own(directory: &Path, what: &str) -> bool {
    [ROOTS, USERS].iter().any(|kind| value(directory, kind, what).is_some_and(|whose| whose == own()))
}

/// Marks an open file; where the kernel has that, so that whose the file is can take the mark without any capability.
pub(super) fn put(file: &File, what: &str) -> io::Result<()> {
    let set = |kind: &str| fsetxattr(file, format!("{kind}{what}"), own(), XattrFlags::empty());
    Ok(match set(USERS) {
        Err(Errno::PERM | Errno::OPNOTSUPP) => set(ROOTS),
        result => result,
    }?)
}

/// Whether an open file has a mark, and that is the caller's to take.
pub(super) fn is_to_take(file: &File, what: &str) -> bool {
    let set = |kind: &str| fsetxattr(file, format!("{kind}{what}"), own(), XattrFlags::REPLACE);
    [USERS, ROOTS].into_iter().any(|kind| set(kind).is_ok())
}

/// Takes a mark from an open file; fine where somebody else has just done so.
pub(super) fn take(file: &File, what: &str) -> io::Result<()> {
    [USERS, ROOTS].into_iter().try_for_each(|kind| match fremovexattr(file, format!("{kind}{what}")) {
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        // Who has no capability does not see whether there is one of root's.
        Err(Errno::PERM) if kind == ROOTS => Ok(()),
        removed => Ok(removed?),
    })
}

fn value(directory: &Path, kind: &str, what: &str) -> Option<Vec<u8>> {
    let mut text = [0_u8; 64];
    let bytes = getxattr(directory, format!("{kind}{what}"), &mut text[..]).ok()?;
    Some(text[..bytes].to_vec())
}
