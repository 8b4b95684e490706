//! From entries to files of a layer, in the form in which overlayfs has layers.
//!
//! What a layer takes away of those below it says a name in an archive (OCI image specification, layer.md, "Whiteouts") and a
//! device or an attribute in a directory (kernel documentation, filesystems/overlayfs.rst). Devices and attributes of that
//! meaning, or another one for overlayfs, are therefore never taken from a source.

mod contents;

pub(super) use contents::Contents;
pub use contents::LeftOut;

use super::budget::Budget;
use super::digest::Digest;
use super::entry::{Attributes, Entry, Kind, Part};
use super::error::{ImageError, Refusal};
use super::fingerprint::Fingerprint;
use super::tree::{self, Inside, Metadata, Tree, Trouble};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Gid, Mode, Uid, ftruncate, makedev};
use rustix::io::{Errno, pwrite};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What a name begins with that says another one is gone.
const WHITEOUT: &[u8] = b".wh.";

/// The name that says all others are, in the layers below.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What names begin with that were aufs' own.
const OF_AUFS: &[u8] = b".wh..wh.";

/// How much is read at once, in bytes.
const BUFFER: usize = 128 << 10;

/// How long the paths may be together that have to be remembered to the end, in bytes: those of directories, and of what was left
/// out. An archive of a few kilobytes can have gigabytes of them.
const MOST_REMEMBERED: usize = 256 << 20;

/// What becomes of device nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Devices {
    /// They are left out, and that is told.
    LeaveOut,
    /// They are made, which root alone may.
    Make,
}

/// A layer that is being filled.
pub(super) struct Unpacker<'a> {
    tree: Tree,
    budget: &'a Budget,
    devices: Devices,
    /// Root's files stay root's, and others others'. Who is not root makes all of them its own.
    is_root: bool,
    /// What directories are to be in the end: until then, files come into them.
    directories: BTreeMap<Inside, Metadata>,
    left_out: BTreeSet<Inside>,
    /// Those directories that others are in, and nothing else is said of.
    implied: BTreeSet<Inside>,
    /// How many bytes there may still be in paths that are remembered.
    room: usize,
    /// Whether a name can say that another one is gone.
    has_whiteouts: bool,
    contents: Contents,
    fingerprint: Option<Fingerprint>,
    buffer: Vec<u8>,
}

impl<'a> Unpacker<'a> {
    /// For a directory that is there, and empty.
    pub(super) fn new(directory: &Path, budget: &'a Budget, devices: Devices) -> Result<Self, ImageError> {
        let is_root = rustix::process::geteuid().is_root();
        let tree = Tree::open(directory, is_root).map_err(|errno| ImageError::Store {
            action: "open",
            path: directory.to_owned(),
            source: errno.into(),
        })?;
        Ok(Self {
            tree,
            budget,
            devices,
            is_root,
            directories: BTreeMap::new(),
            left_out: BTreeSet::new(),
            implied: [Inside::default()].into(),
            room: MOST_REMEMBERED,
            has_whiteouts: true,
            contents: Contents::default(),
            fingerprint: None,
            buffer: vec![0; BUFFER],
        })
    }

    /// Has the digest be made of what comes.
    pub(super) fn with_fingerprint(mut self) -> Self {
        self.fingerprint = Some(Fingerprint::new());
        self
    }

    /// Takes all names for those of files: where there are no layers, none says that something below is gone.
    pub(super) fn with_plain_names(mut self) -> Self {
        self.has_whiteouts = false;
        self
    }

    /// Adds what an entry says, with its data from a stream that has a name.
    pub(super) fn add(&mut self, entry: &Entry, data: &mut dyn Read, from: &str) -> Result<(), ImageError> {
        self.budget.take_entry()?;
        if let Some(fingerprint) = &mut self.fingerprint {
            fingerprint.entry(entry);
        }
        let of_entry = |trouble: Trouble| trouble.of(&entry.path);
        let path = Inside::of(&entry.path).map_err(|refusal| of_entry(refusal.into()))?;
        let metadata = self.metadata(entry)?;
        let Some((parent, name)) = path.split() else { return self.root(entry, metadata) };
        let is_whiteout = self.has_whiteouts && name.as_bytes().starts_with(WHITEOUT);
        let found = if is_whiteout { self.tree.directory_unless_gone(&parent) } else { self.tree.directory(&parent) };
        let directory = match found {
            // Something of this layer hides all that was there: umoci says it of each file of a directory that is none any more.
            Err(Trouble::Refused(Refusal::ThroughFile | Refusal::ThroughLink)) if is_whiteout => return Ok(()),
            found => found.map_err(of_entry)?,
        };
        for made in self.tree.take_unnamed() {
            self.budget.take_entry()?;
            self.take_room(&made).map_err(|refusal| of_entry(refusal.into()))?;
            self.implied.insert(made);
        }
        let directory = directory.as_fd();
        if is_whiteout {
            return self.take_away(directory, &parent, name).map_err(of_entry);
        }
        if !self.is_kept(&entry.kind) {
            self.leave_out(path).map_err(of_entry)?;
            return Ok(());
        }
        if let Kind::HardLink(target) = &entry.kind {
            return self.link(directory, path, target).map_err(of_entry);
        }
        let is_directory = entry.kind == Kind::Directory;
        let is_there = self.make_room(directory, &path, is_directory).map_err(of_entry)?;
        self.contents.files += u64::from(!is_there);
        match &entry.kind {
            Kind::File { bytes, parts } => {
                let file = tree::make_file(directory, name).map_err(|errno| of_entry(errno.into()))?;
                self.fill(&file, (*bytes, parts), data, (from, &entry.path))?;
                metadata.set(&file).map_err(|errno| of_entry(errno.into()))
            }
            Kind::Directory => self.remember(path, metadata).map_err(of_entry),
            kind => make_other(directory, name, kind, &metadata).map_err(|errno| of_entry(errno.into())),
        }
    }

    /// What comes last, when all files are there. Gives back what is in the layer, and its digest where one was asked for.
    pub(super) fn finish(mut self) -> Result<(Contents, Option<Digest>), ImageError> {
        // Those inside before those that they are in, which may be closed to who is not root.
        for (path, metadata) in self.directories.iter().rev() {
            let set = self.tree.find(path).and_then(|found| Ok(metadata.set(tree::reopen(found.as_fd())?)?));
            set.map_err(|trouble| trouble.of(path.as_path()))?;
        }
        self.contents.implied = self.implied.into_iter().collect();
        Ok((self.contents, self.fingerprint.map(Fingerprint::digest)))
    }

    fn metadata(&self, entry: &Entry) -> Result<Metadata, ImageError> {
        let number = |number: u64| {
            // The very last number, (uid_t) -1, is nobody's.
            let known = u32::try_from(number).ok().filter(|number| *number != u32::MAX);
            known.ok_or_else(|| ImageError::Refused { path: entry.path.clone(), refusal: Refusal::Owner(number) })
        };
        let owner = (Uid::from_raw(number(entry.uid)?), Gid::from_raw(number(entry.gid)?));
        let is_kept = |name: &[u8]| match name {
            b"security.capability" => self.is_root,
            // What overlayfs would take for its own is nobody else's.
            name => name.starts_with(b"user.") && !name.starts_with(b"user.overlay."),
        };
        Ok(Metadata {
            owner: self.is_root.then_some(owner),
            // Nobody's files are to be run as if they were the caller's.
            mode: Mode::from_raw_mode(entry.mode & if self.is_root { 0o7777 } else { 0o1777 }),
            modified: entry.modified,
            attributes: entry.attributes.iter().filter(|(name, _)| is_kept(name)).cloned().collect(),
        })
    }

    fn is_kept(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Other => false,
            Kind::Device { is_block, major, minor } => {
                let is_whiteout = !is_block && (*major, *minor) == (0, 0);
                self.devices == Devices::Make && self.is_root && !is_whiteout
            }
            _ => true,
        }
    }

    /// The entry of the layer's uppermost directory, which is there.
    fn root(&mut self, entry: &Entry, metadata: Metadata) -> Result<(), ImageError> {
        if entry.kind != Kind::Directory {
            return Err(Trouble::from(Refusal::NoPath).of(&entry.path));
        }
        self.remember(Inside::default(), metadata).map_err(|trouble| trouble.of(&entry.path))
    }

    /// Has a directory be what it is to be in the end. Its attributes are set at once: those of many may be more than memory.
    fn remember(&mut self, path: Inside, mut metadata: Metadata) -> Result<(), Trouble> {
        if !metadata.attributes.is_empty() {
            let made = tree::reopen(self.tree.find(&path)?.as_fd())?;
            metadata.set_attributes(made.as_fd())?;
            metadata.attributes = Attributes::default();
        }
        self.implied.remove(&path);
        if !self.directories.contains_key(&path) {
            self.take_room(&path)?;
        }
        self.directories.insert(path, metadata);
        Ok(())
    }

    fn leave_out(&mut self, path: Inside) -> Result<(), Trouble> {
        self.contents.left_out.add(path.as_path());
        if !self.left_out.contains(&path) {
            self.take_room(&path)?;
            self.left_out.insert(path);
        }
        Ok(())
    }

    /// Takes what it is to remember a path.
    fn take_room(&mut self, path: &Inside) -> Result<(), Refusal> {
        // However short it is, it takes something.
        let bytes = path.as_path().as_os_str().len() + size_of::<Inside>();
        self.room = self.room.checked_sub(bytes).ok_or(Refusal::TooManyNames(MOST_REMEMBERED >> 20))?;
        Ok(())
    }

    /// Forgets a directory with all that is in it.
    fn forget(&mut self, path: &Inside) {
        self.tree.forget();
        let is_below = |one: &&Inside| one.as_path().starts_with(path.as_path());
        let below: Vec<Inside> =
            self.directories.range(path..).map(|(one, _)| one).take_while(is_below).cloned().collect();
        for one in below {
            self.directories.remove(&one);
        }
        let below: Vec<Inside> = self.implied.range(path..).take_while(is_below).cloned().collect();
        for one in below {
            self.implied.remove(&one);
        }
    }

    /// Sees to it that nothing, or a directory where one is to be, is at a place; says whether that one was there.
    fn make_room(&mut self, directory: BorrowedFd<'_>, path: &Inside, for_directory: bool) -> Result<bool, Trouble> {
        let Some((_, name)) = path.split() else { return Ok(true) };
        let Some(found) = tree::stat_at(directory, name)? else {
            if for_directory {
                tree::make_directory(directory, name)?;
            }
            return Ok(false);
        };
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            if for_directory {
                return Ok(true);
            }
            // As in an image that is unpacked in one place, what comes later takes its place, with all that is in it.
            self.forget(path);
            tree::remove_all(directory, name)?;
            return Ok(false);
        }
        tree::remove(directory, name)?;
        if for_directory {
            tree::make_directory(directory, name)?;
            // Whatever it was, what is below is gone, and this is another.
            let made = self.tree.find(path)?;
            self.tree.make_opaque(made.as_fd())?;
        }
        Ok(false)
    }

    /// Gives a file of this layer another name; where that was left out, so is this.
    fn link(&mut self, directory: BorrowedFd<'_>, path: Inside, target: &Path) -> Result<(), Trouble> {
        let to = Inside::of(target)?;
        if self.left_out.contains(&to) {
            return self.leave_out(path);
        }
        let no_target = || Refusal::NoTarget(target.to_owned());
        let no_file = || Refusal::LinkToDirectory(target.to_owned());
        let (parent, of) = to.split().ok_or_else(no_file)?;
        // What is in its way goes before it comes.
        if to.as_path().starts_with(path.as_path()) {
            return Err(no_target().into());
        }
        let Some((_, name)) = path.split() else { return Err(Refusal::NoPath.into()) };
        let parent = match self.tree.find(&parent) {
            Err(Trouble::Kernel(Errno::NOENT)) => return Err(no_target().into()),
            found => found?,
        };
        let found = tree::stat_at(parent.as_fd(), of)?.filter(|found| !tree::is_whiteout(found));
        let found = found.ok_or_else(no_target)?;
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            return Err(no_file().into());
        }
        self.make_room(directory, &path, false)?;
        tree::make_name((parent.as_fd(), of), (directory, name))?;
        self.contents.files += 1;
        Ok(())
    }

    /// Writes down that something of the layers below is gone.
    fn take_away(&mut self, directory: BorrowedFd<'_>, parent: &Inside, name: &OsStr) -> Result<(), Trouble> {
        let name = name.as_bytes();
        if name == OPAQUE {
            self.contents.is_opaque |= *parent == Inside::default();
            return self.tree.make_opaque(directory);
        }
        if name.starts_with(OF_AUFS) {
            return Ok(());
        }
        let gone = OsStr::from_bytes(&name[WHITEOUT.len()..]);
        if matches!(gone.as_bytes(), b"" | b"." | b"..") {
            return Err(Refusal::Whiteout.into());
        }
        match tree::kind_at(directory, gone)? {
            None => Ok(tree::make_node(directory, gone, FileType::CharacterDevice, 0)?),
            // It is this layer's, and what is below is not seen through it.
            Some(FileType::Directory) => {
                let own = self.tree.find(&parent.child(gone))?;
                self.tree.make_opaque(own.as_fd())
            }
            Some(_) => Ok(()),
        }
    }

    /// Writes the parts of a file, and leaves its holes.
    fn fill(
        &mut self,
        file: &OwnedFd,
        (bytes, parts): (u64, &[Part]),
        data: &mut dyn Read,
        (from, path): (&str, &Path),
    ) -> Result<(), ImageError> {
        let failed = |errno: Errno| ImageError::Write { path: path.to_owned(), source: errno.into() };
        let mut written = 0;
        // GNU tar says where a file ends by a part of no bytes.
        for part in parts.iter().filter(|part| part.bytes > 0) {
            let mut offset = part.offset;
            let end = part.offset + part.bytes;
            written = end;
            while offset < end {
                let most = usize::try_from(end - offset).map_or(BUFFER, |left| left.min(BUFFER));
                let count = match data.read(&mut self.buffer[..most]) {
                    Ok(0) => return Err(ImageError::Truncated { what: from.to_owned() }),
                    Ok(count) => count,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(ImageError::of_stream(error, from)),
                };
                let read = &self.buffer[..count];
                if let Some(fingerprint) = &mut self.fingerprint {
                    fingerprint.data(read);
                }
                write_all(file, read, offset).map_err(failed)?;
                offset += count as u64;
                self.contents.bytes += count as u64;
            }
        }
        if written < bytes {
            ftruncate(file, bytes).map_err(failed)?;
        }
        Ok(())
    }
}

fn write_all(file: &OwnedFd, mut bytes: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match pwrite(file, bytes, offset) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Makes what has no data, where nothing is.
fn make_other(directory: BorrowedFd<'_>, name: &OsStr, kind: &Kind, metadata: &Metadata) -> Result<(), Errno> {
    let kind = match kind {
        Kind::SymbolicLink(target) => {
            tree::make_link(directory, name, target)?;
            FileType::Symlink
        }
        Kind::Device { is_block, major, minor } => {
            let kind = if *is_block { FileType::BlockDevice } else { FileType::CharacterDevice };
            tree::make_node(directory, name, kind, makedev(*major, *minor))?;
            kind
        }
        _ => {
            tree::make_node(directory, name, FileType::Fifo, 0)?;
            FileType::Fifo
        }
    };
    metadata.set_at(directory, name, kind)
}

#[cfg(test)]
mod tests;
