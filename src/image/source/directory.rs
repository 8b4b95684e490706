//! A directory of the machine's that is a root file system. It is read, and nothing in it is followed anywhere.

use super::super::budget::Metered;
use super::super::config::ImageConfig;
use super::super::entry::{Attributes, Entry, Kind, Part, Time};
use super::super::error::ImageError;
use super::super::unpack::Unpacker;
use super::archive::one_layer;
use super::{Made, Making};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, SeekFrom, Stat, StatxAttributes, StatxFlags, fgetxattr, flistxattr,
    fstat, major, minor, openat, readlinkat, seek, statat, statx,
};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// How a file or directory is opened that is to be read. Nothing is waited for, and no terminal taken.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Makes its one layer.
pub(super) fn make(path: &Path, making: &Making<'_>) -> Result<Made, ImageError> {
    make_with(path, None, making)
}

/// The same of what was just made: when that was, has no meaning, and the same files are to be the same layer.
pub(super) fn make_timeless(path: &Path, config: ImageConfig, making: &Making<'_>) -> Result<Made, ImageError> {
    Ok(Made { config, ..make_with(path, Some(Time::default()), making)? })
}

fn make_with(path: &Path, time: Option<Time>, making: &Making<'_>) -> Result<Made, ImageError> {
    let (layer, unpacker) = making.work.new_layer(making.budget, making.devices)?;
    let own = std::fs::metadata(making.work.store.path()).ok();
    let own = own.map(|own| (std::os::unix::fs::MetadataExt::dev(&own), std::os::unix::fs::MetadataExt::ino(&own)));
    let reader = Reader { top: path, file_system: 0, links: BTreeMap::new(), store: own, time, making };
    let (contents, digest) = reader.read(unpacker.with_fingerprint().with_plain_names())?.finish()?;
    let digest = digest.ok_or_else(|| ImageError::Unknown("the files have no digest".to_owned()))?;
    one_layer(making.work, &layer, digest, contents)
}

struct Reader<'a> {
    top: &'a Path,
    file_system: u64,
    /// The first name of each file that has several.
    links: BTreeMap<(u64, u64), PathBuf>,
    /// The store, which is not to come into itself.
    store: Option<(u64, u64)>,
    /// When all is said to have been changed, where that is not what the files say.
    time: Option<Time>,
    making: &'a Making<'a>,
}

impl Reader<'_> {
    fn read(mut self, mut unpacker: Unpacker<'_>) -> Result<Unpacker<'_>, ImageError> {
        let top = openat(CWD, self.top, READ.difference(OFlags::NOFOLLOW) | OFlags::DIRECTORY, Mode::empty());
        let top = self.of(Path::new(""), top)?;
        let found = self.of(Path::new(""), fstat(&top))?;
        self.file_system = found.st_dev;
        unpacker.add(&self.directory(Path::new("."), &found, &top)?, &mut io::empty(), "")?;
        // What is still to be read, the next one last: in the order of the names, whatever that of the file system's is.
        let mut left = vec![PathBuf::new()];
        let mut count = 0;
        while let Some(directory) = left.pop() {
            let (opened, names) = self.names(&top, &directory)?;
            let mut below = Vec::new();
            for name in names {
                let path = directory.join(&name);
                if self.add(&mut unpacker, opened.as_fd(), &name, &path)? {
                    below.push(path);
                }
                count += 1;
            }
            (self.making.progress)(count, count + left.len() as u64 + below.len() as u64);
            left.extend(below.into_iter().rev());
        }
        Ok(unpacker)
    }

    /// Opens a directory by its path from the top, in which nobody is to have changed anything for a link meanwhile.
    fn names(&self, top: &OwnedFd, path: &Path) -> Result<(OwnedFd, Vec<OsString>), ImageError> {
        let mut opened = self.of(path, openat(top, ".", READ | OFlags::DIRECTORY, Mode::empty()))?;
        for name in path {
            opened = self.of(path, openat(&opened, name, READ | OFlags::DIRECTORY, Mode::empty()))?;
        }
        let mut names = Vec::new();
        for entry in self.of(path, Dir::read_from(&opened))? {
            let entry = self.of(path, entry)?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        names.sort();
        Ok((opened, names))
    }

    /// Adds what is under a name in a directory; says whether that is a directory to go on with.
    fn add(
        &mut self,
        unpacker: &mut Unpacker<'_>,
        directory: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
    ) -> Result<bool, ImageError> {
        let found = self.of(path, statat(directory, name, AtFlags::SYMLINK_NOFOLLOW))?;
        let identity = (found.st_dev, found.st_ino);
        let kind = FileType::from_raw_mode(found.st_mode);
        if self.store == Some(identity) {
            return Ok(false);
        }
        let from = self.top.join(path).display().to_string();
        let is_mounted = self.of(path, is_mounted(directory, name))?;
        if is_mounted && kind != FileType::Directory {
            // What it lies on nobody sees.
            return Ok(false);
        }
        if let Some(first) = self.links.get(&identity) {
            let entry = self.entry(path, Kind::HardLink(first.clone()), &found, Vec::new());
            return unpacker.add(&entry, &mut io::empty(), &from).map(|()| false);
        }
        if kind == FileType::Directory {
            let opened = self.of(path, openat(directory, name, READ | OFlags::DIRECTORY, Mode::empty()))?;
            let entry = self.directory(path, &self.of(path, fstat(&opened))?, &opened)?;
            unpacker.add(&entry, &mut io::empty(), &from)?;
            // What is mounted in it is not part of it, be it of another file system or a directory of the same one.
            return Ok(found.st_dev == self.file_system && !is_mounted);
        }
        if found.st_nlink > 1 {
            self.links.insert(identity, path.to_owned());
        }
        if kind == FileType::RegularFile {
            let opened = self.of(path, openat(directory, name, READ, Mode::empty()))?;
            return self.add_file(unpacker, opened, path, &from).map(|()| false);
        }
        let kind = match kind {
            FileType::Symlink => {
                let target = self.of(path, readlinkat(directory, name, Vec::new()))?;
                Kind::SymbolicLink(OsString::from_vec(target.into_bytes()).into())
            }
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice | FileType::BlockDevice => Kind::Device {
                is_block: kind == FileType::BlockDevice,
                major: major(found.st_rdev),
                minor: minor(found.st_rdev),
            },
            _ => Kind::Other,
        };
        unpacker.add(&self.entry(path, kind, &found, Vec::new()), &mut io::empty(), &from).map(|()| false)
    }

    fn add_file(&self, unpacker: &mut Unpacker<'_>, file: OwnedFd, path: &Path, from: &str) -> Result<(), ImageError> {
        let found = self.of(path, fstat(&file))?;
        let bytes = found.st_size.cast_unsigned();
        let parts = self.of(path, parts(&file, bytes))?;
        let attributes = self.of(path, attributes(&file))?;
        let entry = self.entry(path, Kind::File { bytes, parts: parts.clone() }, &found, attributes);
        let data = PartsOf { file: file.into(), parts: parts.into_iter(), left: 0 };
        unpacker.add(&entry, &mut Metered::new(data, self.making.budget), from)
    }

    fn directory(&self, path: &Path, found: &Stat, opened: &OwnedFd) -> Result<Entry, ImageError> {
        Ok(self.entry(path, Kind::Directory, found, self.of(path, attributes(opened))?))
    }

    fn entry(&self, path: &Path, kind: Kind, found: &Stat, attributes: Attributes) -> Entry {
        let nanoseconds = u32::try_from(found.st_mtime_nsec).unwrap_or_default();
        Entry {
            path: path.to_owned(),
            kind,
            mode: found.st_mode & 0o7777,
            uid: found.st_uid.into(),
            gid: found.st_gid.into(),
            modified: self.time.unwrap_or(Time { seconds: found.st_mtime, nanoseconds }),
            attributes,
        }
    }

    fn of<T>(&self, path: &Path, answer: Result<T, Errno>) -> Result<T, ImageError> {
        let what = || self.top.join(path).display().to_string();
        answer.map_err(|errno| ImageError::Read { what: what(), source: errno.into() })
    }
}

/// Whether something is mounted there. Kernels before 5.8 don't say it.
fn is_mounted(directory: BorrowedFd<'_>, name: &OsStr) -> Result<bool, Errno> {
    let found = statx(directory, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, StatxFlags::TYPE)?;
    Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Where something is in a file, and not a hole.
fn parts(file: &OwnedFd, bytes: u64) -> Result<Vec<Part>, Errno> {
    let mut parts = Vec::new();
    let mut end = 0;
    while end < bytes {
        let offset = match seek(file, SeekFrom::Data(end)) {
            Err(Errno::NXIO) => break, // a hole up to the end
            offset => offset?,
        };
        end = seek(file, SeekFrom::Hole(offset))?.min(bytes);
        if end <= offset {
            break; // somebody has shortened it
        }
        parts.push(Part { offset, bytes: end - offset });
    }
    Ok(parts)
}

/// The extended attributes that may be kept.
pub(super) fn attributes(file: &OwnedFd) -> Result<Attributes, Errno> {
    let mut names = Vec::with_capacity(LONGEST_ATTRIBUTE);
    match flistxattr(file, rustix::buffer::spare_capacity(&mut names)) {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        answer => answer?,
    };
    let mut all = Vec::new();
    let mut names: Vec<&[u8]> = names.split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    for name in names.into_iter().filter(|name| name.starts_with(b"user.") || *name == b"security.capability") {
        let mut value = Vec::with_capacity(LONGEST_ATTRIBUTE);
        fgetxattr(file, OsStr::from_bytes(name), rustix::buffer::spare_capacity(&mut value))?;
        all.push((name.to_vec(), value));
    }
    Ok(all)
}

/// As long as a value can be, or all names together (XATTR_SIZE_MAX, linux/limits.h).
const LONGEST_ATTRIBUTE: usize = 64 << 10;

/// The parts of a file, one after the other.
struct PartsOf {
    file: File,
    parts: std::vec::IntoIter<Part>,
    left: u64,
}

impl Read for PartsOf {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let Some(part) = self.parts.next() else { return Ok(0) };
            io::Seek::seek(&mut self.file, io::SeekFrom::Start(part.offset))?;
            self.left = part.bytes;
        }
        let count = (&mut self.file).take(self.left).read(into)?;
        self.left -= count as u64;
        Ok(count)
    }
}
