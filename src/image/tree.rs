//! A directory that is filled with files which somebody else has named.
//!
//! All is done relative to its descriptor. A path is gone along without following any symbolic link, so that it ends in the
//! directory whatever was made there before; what is at its end is made anew or is known to be none. Nobody else writes here.

use super::entry::{Attributes, Time};
use super::error::{ImageError, Refusal};
use crate::directory;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::fs::{chmodat, chownat, unlinkat, utimensat};
use rustix::fs::{fchmod, fchown, fsetxattr, futimens, linkat, mkdirat, mknodat, openat, openat2, statat, symlinkat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

/// What a directory is that nobody has named, but others are in it.
const DIRECTORY: Mode = Mode::from_bits_retain(0o755);

/// How many names a path may have: who removes a tree has a file open for each directory on the way.
const DEEPEST: usize = 200;

/// How long a path may be, and a name in it, in bytes (PATH_MAX without what ends it, and NAME_MAX; linux/limits.h). An archive can
/// have longer ones, up to a megabyte.
const LONGEST: usize = 4095;
const LONGEST_NAME: usize = 255;

/// How a directory is opened that is gone through.
const THROUGH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Where a path may lead.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// A path inside the directory: names alone, none of which is `.` or `..`. The empty one is the directory itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Inside(PathBuf);

impl Inside {
    /// Checks a path that somebody has written.
    pub(super) fn of(path: &Path) -> Result<Self, Refusal> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() || bytes.contains(&0) {
            return Err(Refusal::NoPath);
        }
        let mut names = PathBuf::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => names.push(name),
                Component::CurDir => {}
                Component::ParentDir => return Err(Refusal::DotDot),
                Component::RootDir | Component::Prefix(_) => return Err(Refusal::Absolute),
            }
        }
        if bytes.len() > LONGEST || names.iter().any(|name| name.len() > LONGEST_NAME) {
            return Err(Refusal::TooLong);
        }
        if names.iter().count() > DEEPEST {
            return Err(Refusal::TooDeep(DEEPEST));
        }
        Ok(Self(names))
    }

    pub(super) fn as_path(&self) -> &Path {
        &self.0
    }

    /// The directory that it is in, and its name there; `None` of the directory itself.
    pub(super) fn split(&self) -> Option<(Self, &OsStr)> {
        let name = self.0.file_name()?;
        Some((Self(self.0.parent().map(Path::to_owned).unwrap_or_default()), name))
    }

    /// That of this name in it.
    pub(super) fn child(&self, name: &OsStr) -> Self {
        Self(self.0.join(name))
    }
}

/// Why something of the tree can't be made.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is not to be.
    Refused(Refusal),
    /// The kernel has refused.
    Kernel(Errno),
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NAMETOOLONG => Self::Refused(Refusal::TooLong),
            errno => Self::Kernel(errno),
        }
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Trouble {
    /// As the error of an entry.
    pub(super) fn of(self, path: &Path) -> ImageError {
        match self {
            Self::Refused(refusal) => ImageError::Refused { path: path.to_owned(), refusal },
            Self::Kernel(errno) => ImageError::Write { path: path.to_owned(), source: errno.into() },
        }
    }
}

/// The directory that is filled.
pub(super) struct Tree {
    root: OwnedFd,
    /// The directory that was asked for last: files come directory by directory.
    last: Option<(Inside, Rc<OwnedFd>)>,
    /// The directories that were made since that was asked for, and that nobody has named.
    unnamed: Vec<Inside>,
    /// Whether it is root's.
    is_root: bool,
}

/// By which overlayfs sees that nothing of the layers below is in a directory. Mounted in a user namespace, it looks for the second.
pub(super) const OPAQUE_ATTRIBUTES: [&str; 2] = ["trusted.overlay.opaque", "user.overlay.opaque"];

impl Tree {
    /// A directory that is there, and empty.
    pub(super) fn open(path: &Path, is_root: bool) -> Result<Self, Errno> {
        Ok(Self {
            root: openat(CWD, path, THROUGH.difference(OFlags::NOFOLLOW), Mode::empty())?,
            last: None,
            unnamed: Vec::new(),
            is_root,
        })
    }

    /// A directory of the tree, made where it is missing. Where one of that name was said to be gone, it is that no more, and a new
    /// one.
    pub(super) fn directory(&mut self, path: &Inside) -> Result<Rc<OwnedFd>, Trouble> {
        self.directory_where(path, true)
    }

    /// The same, but what was said to be gone is refused.
    pub(super) fn directory_unless_gone(&mut self, path: &Inside) -> Result<Rc<OwnedFd>, Trouble> {
        self.directory_where(path, false)
    }

    fn directory_where(&mut self, path: &Inside, takes_place: bool) -> Result<Rc<OwnedFd>, Trouble> {
        if let Some((_, found)) = self.last.as_ref().filter(|(last, _)| last == path) {
            return Ok(Rc::clone(found));
        }
        let found = match self.find(path) {
            Err(Trouble::Kernel(Errno::NOENT) | Trouble::Refused(Refusal::ThroughFile)) => {
                self.make_all(path, takes_place)?
            }
            found => found?,
        };
        let found = Rc::new(found);
        self.last = Some((path.clone(), Rc::clone(&found)));
        Ok(found)
    }

    /// A directory of the tree that is there.
    pub(super) fn find(&self, path: &Inside) -> Result<OwnedFd, Trouble> {
        let text = if path.0.as_os_str().is_empty() { Path::new(".") } else { &path.0 };
        match openat2(&self.root, text, THROUGH.difference(OFlags::NOFOLLOW), Mode::empty(), BENEATH) {
            // A kernel before 5.6, or somebody who filters system calls and does not know this one.
            Err(Errno::NOSYS | Errno::PERM) => self.walk(path, |directory, name| enter(directory.as_fd(), name)),
            Err(errno) => Err(not_there(errno)),
            Ok(found) => Ok(found),
        }
    }

    /// Which directories were made since this was asked last that are only named as those in which others are.
    pub(super) fn take_unnamed(&mut self) -> Vec<Inside> {
        std::mem::take(&mut self.unnamed)
    }

    fn make_all(&mut self, path: &Inside, takes_place: bool) -> Result<OwnedFd, Trouble> {
        let mut made_here = Vec::new();
        let mut here = Inside::default();
        let found = self.walk(path, |directory, name| {
            here = here.child(name);
            let is_gone = match mkdirat(directory, name, DIRECTORY) {
                Ok(()) => false,
                Err(Errno::EXIST) if !takes_place => return enter(directory.as_fd(), name),
                Err(Errno::EXIST) => match stat_at(directory.as_fd(), name)? {
                    Some(found) if is_whiteout(&found) => {
                        remove(directory.as_fd(), name)?;
                        make_directory(directory.as_fd(), name)?;
                        true
                    }
                    _ => return enter(directory.as_fd(), name),
                },
                Err(errno) => return Err(errno.into()),
            };
            made_here.push(here.clone());
            // Whatever the umask has made of it.
            let made = enter(directory.as_fd(), name)?;
            chmodat(directory, name, DIRECTORY, AtFlags::empty())?;
            if is_gone {
                self.make_opaque(made.as_fd())?;
            }
            Ok(made)
        });
        self.unnamed.append(&mut made_here);
        found
    }

    /// Has nothing of the layers below be in a directory.
    pub(super) fn make_opaque(&self, directory: BorrowedFd<'_>) -> Result<(), Trouble> {
        let directory = reopen(directory)?;
        let [trusted, of_user] = OPAQUE_ATTRIBUTES;
        if self.is_root {
            fsetxattr(&directory, trusted, b"y", XattrFlags::empty())?;
        }
        match fsetxattr(&directory, of_user, b"y", XattrFlags::empty()) {
            // A file system that has none: then nobody but root can use the layer.
            Err(Errno::OPNOTSUPP) if self.is_root => Ok(()),
            answer => Ok(answer?),
        }
    }

    fn walk(
        &self,
        path: &Inside,
        mut step: impl FnMut(&OwnedFd, &OsStr) -> Result<OwnedFd, Trouble>,
    ) -> Result<OwnedFd, Trouble> {
        let mut here = openat(&self.root, ".", THROUGH, Mode::empty())?;
        for name in &path.0 {
            here = step(&here, name)?;
        }
        Ok(here)
    }

    /// Forgets which directory was asked for last: one may have gone, and something else have taken its place.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }
}

fn enter(directory: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Trouble> {
    match openat(directory, name, THROUGH, Mode::empty()) {
        // Which of both it is, the kernel does not tell of such an open.
        Err(Errno::NOTDIR) if kind_at(directory, name)? == Some(FileType::Symlink) => Err(Refusal::ThroughLink.into()),
        Err(errno) => Err(not_there(errno)),
        Ok(found) => Ok(found),
    }
}

fn not_there(errno: Errno) -> Trouble {
    match errno {
        Errno::LOOP => Refusal::ThroughLink.into(),
        Errno::NOTDIR => Refusal::ThroughFile.into(),
        errno => errno.into(),
    }
}

/// What is in a directory under a name; nothing is followed.
pub(super) fn stat_at(directory: BorrowedFd<'_>, name: &OsStr) -> Result<Option<Stat>, Errno> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        found => found.map(Some),
    }
}

/// Of what sort it is.
pub(super) fn kind_at(directory: BorrowedFd<'_>, name: &OsStr) -> Result<Option<FileType>, Errno> {
    Ok(stat_at(directory, name)?.map(|found| FileType::from_raw_mode(found.st_mode)))
}

/// Whether that is what overlayfs takes for a file that is gone (overlayfs.rst, "whiteouts and opaque directories").
pub(super) fn is_whiteout(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice && found.st_rdev == 0
}

/// Who a file belongs to, and what else is said of it.
#[derive(Debug, Clone)]
pub(super) struct Metadata {
    /// `None` where the caller may not give files away.
    pub(super) owner: Option<(Uid, Gid)>,
    pub(super) mode: Mode,
    pub(super) modified: Time,
    pub(super) attributes: Attributes,
}

impl Metadata {
    fn times(&self) -> Timestamps {
        let time = Timespec { tv_sec: self.modified.seconds, tv_nsec: self.modified.nanoseconds.into() };
        Timestamps { last_access: time, last_modification: time }
    }

    /// Sets all of an open file.
    pub(super) fn set(&self, file: impl AsFd) -> Result<(), Errno> {
        let file = file.as_fd();
        // First: it takes setuid and capabilities away.
        if let Some((uid, gid)) = self.owner {
            fchown(file, Some(uid), Some(gid))?;
        }
        self.set_attributes(file)?;
        fchmod(file, self.mode)?;
        futimens(file, &self.times())
    }

    /// Sets the extended attributes of an open file.
    pub(super) fn set_attributes(&self, file: BorrowedFd<'_>) -> Result<(), Errno> {
        for (name, value) in &self.attributes {
            fsetxattr(file, OsStr::from_bytes(name), value, XattrFlags::empty())?;
        }
        Ok(())
    }

    /// Sets what can be of what can't be opened; the name is known to be that of what was just made.
    pub(super) fn set_at(&self, directory: BorrowedFd<'_>, name: &OsStr, kind: FileType) -> Result<(), Errno> {
        if let Some((uid, gid)) = self.owner {
            chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if kind != FileType::Symlink {
            chmodat(directory, name, self.mode, AtFlags::empty())?;
        }
        utimensat(directory, name, &self.times(), AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// Makes a file that is not there yet, to be written to.
pub(super) fn make_file(directory: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::RUSR | Mode::WUSR)
}

/// Makes a directory.
pub(super) fn make_directory(directory: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    mkdirat(directory, name, DIRECTORY)
}

/// Makes a symbolic link.
pub(super) fn make_link(directory: BorrowedFd<'_>, name: &OsStr, target: &Path) -> Result<(), Errno> {
    symlinkat(target, directory, name)
}

/// Gives what is there another name.
pub(super) fn make_name(from: (BorrowedFd<'_>, &OsStr), to: (BorrowedFd<'_>, &OsStr)) -> Result<(), Errno> {
    linkat(from.0, from.1, to.0, to.1, AtFlags::empty())
}

/// Makes a pipe or a device.
pub(super) fn make_node(directory: BorrowedFd<'_>, name: &OsStr, kind: FileType, device: u64) -> Result<(), Errno> {
    mknodat(directory, name, kind, Mode::empty(), device)
}

/// Removes what is no directory.
pub(super) fn remove(directory: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    unlinkat(directory, name, AtFlags::empty())
}

/// Removes a directory with all that is in it.
pub(super) fn remove_all(directory: BorrowedFd<'_>, name: &OsStr) -> Result<(), Trouble> {
    // Its parent by the descriptor: nothing is followed on the way there.
    let path = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    directory::remove_own(&path)
        .map_err(|error| Errno::from_io_error(&error).map_or(Trouble::Kernel(Errno::IO), Trouble::from))
}

/// Opens a directory such that more than going through it can be done.
pub(super) fn reopen(directory: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    openat(directory, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
