//! The root while it is put together: what can be found in it, and what may be made in it.

use super::{lookup, tree};
use crate::launcher::failure::{During, Failure, Step};
use nix::errno::Errno;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mkdirat, mknodat, openat};
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// What a directory is that is made for something to be mounted on.
const DIRECTORY_MODE: Mode = Mode::from_bits_retain(0o755);

/// How a directory is opened that is to be mounted on: itself and no symbolic link to it.
pub(super) const DIRECTORY: OFlags =
    OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The root of a container, attached to the machine's tree, and not yet its root.
pub(super) struct Inside {
    /// The uppermost directory.
    pub(super) root: OwnedFd,
    /// The file systems (st_dev) that were made for this container: in them it may be made what is missing, since that goes
    /// with the container.
    own: Vec<u64>,
    /// Where its files are, for messages.
    source: PathBuf,
}

/// What is to be mounted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    /// A directory.
    Directory,
    /// Anything else.
    File,
}

impl Inside {
    /// A root in which nothing may be made.
    pub(super) fn new(root: OwnedFd, source: PathBuf) -> Self {
        Self { root, own: Vec::new(), source }
    }

    /// Has what is missing made in the file system that this is in.
    pub(super) fn owns(&mut self, file_system: &OwnedFd) -> Result<(), Errno> {
        self.own.push(fstat(file_system).map_err(tree::errno)?.st_dev);
        Ok(())
    }

    /// Has what is missing made in the root itself.
    pub(super) fn owns_root(&mut self) -> Result<(), Failure> {
        self.own.push(fstat(&self.root).during(|| Step::Open { path: "/".into() })?.st_dev);
        Ok(())
    }

    /// The directory of this name that every container has; what is to be mounted there is for messages.
    ///
    /// A symbolic link is refused: what is mounted one after the other would land in one place, and names below it mean something
    /// else than they say.
    pub(super) fn directory(&self, name: &str, what: &str) -> Result<OwnedFd, Failure> {
        let path = Path::new("/").join(name);
        match openat(&self.root, name, DIRECTORY, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => {
                self.may_make(&self.root, Point::Directory, &path, what)?;
                make(&self.root, OsStr::new(name), Point::Directory, &path)
            }
            Err(errno @ (rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP)) => Err(errno)
                .during(|| Step::of(format!("mount {what} at {}: it is a symbolic link or a file", path.display()))),
            found => found.during(|| Step::Mount { what: what.to_owned(), at: path }),
        }
    }

    /// The directory of this name, with what was mounted there last.
    pub(super) fn mounted(&self, name: &str) -> Result<OwnedFd, Failure> {
        openat(&self.root, name, DIRECTORY, Mode::empty()).during(|| Step::Open { path: Path::new("/").join(name) })
    }

    /// What is at a path, where there is something.
    pub(super) fn find(&self, path: &Path) -> Result<Option<OwnedFd>, Failure> {
        match lookup::find(self.root.as_fd(), path) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(errno) => Err(errno).during(|| Step::Open { path: path.to_owned() }),
        }
    }

    /// What is at a path, made where nothing is.
    pub(super) fn find_or_make(&self, path: &Path, point: Point, what: &str) -> Result<OwnedFd, Failure> {
        if let Some(found) = self.find(path)? {
            return Ok(found);
        }
        let opened = || Step::Open { path: path.to_owned() };
        let mut so_far = PathBuf::from("/");
        let mut here = lookup::find(self.root.as_fd(), &so_far).during(opened)?;
        let mut components = path.components().filter(|component| !matches!(component, Component::RootDir)).peekable();
        while let Some(component) = components.next() {
            so_far.push(component);
            here = match lookup::find(self.root.as_fd(), &so_far) {
                Err(Errno::ENOENT) => {
                    self.may_make(&here, point, path, what)?;
                    let step = if components.peek().is_some() { Point::Directory } else { point };
                    make(&here, component.as_os_str(), step, path)?
                }
                found => found.during(opened)?,
            };
        }
        Ok(here)
    }

    /// What is at a path, made where nothing is and something may be made.
    pub(super) fn find_or_make_own(&self, path: &Path, point: Point, what: &str) -> Result<Option<OwnedFd>, Failure> {
        match self.find_or_make(path, point, what) {
            Ok(found) => Ok(Some(found)),
            // Of the user's files nothing is made; a symbolic link to nothing is left alone (EEXIST).
            Err(Failure { source: Errno::ENOENT | Errno::ENOTDIR | Errno::EEXIST, .. }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Whether something to be mounted on may be made in this directory.
    fn may_make(&self, parent: &OwnedFd, point: Point, path: &Path, what: &str) -> Result<(), Failure> {
        let file_system = fstat(parent).during(|| Step::Make { path: path.to_owned() })?.st_dev;
        if self.own.contains(&file_system) {
            return Ok(());
        }
        Err(self.nothing_there(point, path, what).failed()(Errno::ENOENT))
    }

    /// Says what is to be done: nslab leaves nothing behind, a directory in somebody's files neither.
    fn nothing_there(&self, point: Point, path: &Path, what: &str) -> Step {
        let outside = |path: &Path| self.source.join(path.strip_prefix("/").unwrap_or(path)).display().to_string();
        let (noun, command) = match (point, path.parent()) {
            (Point::File, Some(parent)) => ("file", format!("mkdir -p {} && touch {}", outside(parent), outside(path))),
            (Point::File | Point::Directory, _) => ("directory", format!("mkdir -p {}", outside(path))),
        };
        Step::of(format!(
            "mount {what} at {}: the root has no such {noun}, and nothing is made in its files unasked; make it \
             (`{command}`), or let writes go to a layer above them (`--read-only`; in a topology `read_only: true`)",
            path.display(),
        ))
    }
}

/// Makes something to be mounted on.
fn make(parent: &OwnedFd, name: &OsStr, point: Point, path: &Path) -> Result<OwnedFd, Failure> {
    let made = || Step::Make { path: path.to_owned() };
    match point {
        Point::Directory => mkdirat(parent, name, DIRECTORY_MODE).during(made)?,
        Point::File => mknodat(parent, name, FileType::RegularFile, Mode::from_bits_retain(0o444), 0).during(made)?,
    }
    openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).during(made)
}

/// Opens a directory of the machine's, by its name there.
pub(super) fn open_directory(path: &Path) -> Result<OwnedFd, Failure> {
    openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .during(|| Step::Open { path: path.to_owned() })
}
