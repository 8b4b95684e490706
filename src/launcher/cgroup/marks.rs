//! The marks by which nslab knows its own cgroups: extended attributes (xattr(7)), which the kernel keeps as long as the cgroup.

use super::error::{CgroupError, While};
use rustix::fs::{XattrFlags, fremovexattr, fsetxattr, getxattr, removexattr, setxattr};
use rustix::io::Errno;
use std::fs::{self, File};
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
    set([ROOTS, USERS], directory, what)
}

/// Marks a file such that whose it is can take the mark away when he has no capabilities any more, where the kernel has that.
pub(super) fn mark_for_owner(file: &Path, what: &str) -> Result<(), CgroupError> {
    set([USERS, ROOTS], file, what)
}

fn set([first, other]: [&str; 2], path: &Path, what: &str) -> Result<(), CgroupError> {
    let set = |kind: &str| setxattr(path, format!("{kind}{what}"), own(), XattrFlags::empty());
    let result = match set(first) {
        Err(Errno::PERM | Errno::OPNOTSUPP) => set(other),
        result => result,
    };
    result.while_to("mark", path)
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

/// A mark that its owner has taken from a file.
pub(super) struct Taken(String);

/// Takes the mark from an open file; `None` where there is none, or it is not the caller's to take.
pub(super) fn take(file: &File, what: &str) -> Option<Taken> {
    let name = format!("{USERS}{what}");
    fremovexattr(file, &name).ok().map(|()| Taken(name))
}

impl Taken {
    /// Puts it back.
    pub(super) fn back(self, file: &File) {
        let _ = fsetxattr(file, self.0, own(), XattrFlags::empty()); // there is nobody to be told
    }
}

fn value(directory: &Path, kind: &str, what: &str) -> Option<Vec<u8>> {
    let mut text = [0_u8; 64];
    let bytes = getxattr(directory, format!("{kind}{what}"), &mut text[..]).ok()?;
    Some(text[..bytes].to_vec())
}
