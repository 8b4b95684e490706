//! What is in an archive, as files. Nothing that it says is believed: each name is looked up in the directory before it, and where
//! a symbolic link is in the way, nothing is followed.

use super::{LeftOut, Side, copy_exactly};
use crate::launcher::failure::{During, Failure, Step};
use nix::errno::Errno;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Timespec, Timestamps, fchmod, fstat, ftruncate, futimens, linkat, mkdirat,
    openat, openat2, statat, symlinkat, unlinkat,
};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use tar::{Archive, EntryType};

/// The uppermost name in an archive that is on its way between two of nslab's processes.
pub(super) const TOP: &str = "top";

/// What becomes of the uppermost name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Top {
    /// It is what it is.
    Kept,
    /// The target's name stands for it.
    Replaced,
}

/// Where it is unpacked to.
#[derive(Debug)]
pub(super) struct Target {
    directory: OwnedFd,
    /// For messages.
    path: PathBuf,
    /// What the uppermost name becomes; `None` for nothing.
    name: Option<OsString>,
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Target {
    /// In the directory of this path, under its own name; or, where there is no such directory, beside it under the path's, as
    /// cp(1) does it.
    pub(super) fn at(side: Side, path: &Path, own_name: Option<&OsStr>) -> Result<Self, Failure> {
        let opened = || Step::Open { path: path.to_owned() };
        match openat2(CWD, path, DIRECTORY, Mode::empty(), side.resolve()) {
            Ok(directory) => Ok(Self { directory, path: path.to_owned(), name: own_name.map(OsStr::to_owned) }),
            // What ends in a slash is to be a directory.
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) if !ends_in_slash(path) => {
                let name = path.file_name().ok_or(Errno::ENOENT).during(opened)?;
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                let target = Self::directory(side, parent.unwrap_or(Path::new(".")))?;
                Ok(Self { name: Some(name.to_owned()), ..target })
            }
            Err(errno) => Err(errno).during(opened),
        }
    }

    /// In this directory.
    pub(super) fn directory(side: Side, path: &Path) -> Result<Self, Failure> {
        let directory = openat2(CWD, path, DIRECTORY, Mode::empty(), side.resolve())
            .during(|| Step::Open { path: path.to_owned() })?;
        Ok(Self { directory, path: path.to_owned(), name: None })
    }
}

fn ends_in_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// What a file may be, apart from who may do what with it: with its owner's rights for whoever runs it.
const SET_ID: u32 = 0o6000;

/// Unpacks an archive to its end. `set_ids` says whether programs may keep the rights of their owners.
pub(super) fn unpack(target: &Target, top: Top, set_ids: bool, from: impl Read) -> Result<LeftOut, Failure> {
    let mut left_out = LeftOut::new();
    let mut modes: Vec<(PathBuf, u32)> = Vec::new();
    let read = || Step::of("read the archive: it comes to an early end, or is none");
    let ended = |error: std::io::Error| if error.raw_os_error().is_some() { error } else { Errno::EPIPE.into() };
    let mut archive = Archive::new(from);
    for entry in archive.entries().during(read)? {
        let mut entry = entry.map_err(ended).during(read)?;
        let inside = entry.path().map_err(ended).during(read)?.into_owned();
        let inside = names(&inside, target, top)?;
        let outside = target.path.join(&inside);
        let header = entry.header();
        let mode = header.mode().map_err(ended).during(read)? & if set_ids { 0o7777 } else { 0o7777 & !SET_ID };
        let (what, mtime) = (header.entry_type(), header.mtime().map_err(ended).during(read)?);
        let Some(name) = inside.file_name() else { continue }; // the target itself
        let parent = descend(target, inside.parent().unwrap_or(Path::new("")))?;
        match what {
            EntryType::Directory => {
                make_directory(parent.as_fd(), name, &outside)?;
                modes.push((inside, mode));
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let size = entry.size();
                let (mut file, is_new) = create(parent.as_fd(), name, &outside)?;
                let written = copy_exactly(&mut entry, &mut file, size, &outside).and_then(|()| {
                    let make = || Step::Make { path: outside.clone() };
                    fchmod(&file, Mode::from_raw_mode(mode)).during(make)?;
                    set_time(&file, mtime).during(make)
                });
                if written.is_err() && is_new {
                    let _ = unlinkat(&parent, name, AtFlags::empty()); // half a file is worse than none
                }
                written?;
            }
            EntryType::Symlink => {
                let link = entry.link_name_bytes().ok_or(Errno::EBADMSG).during(read)?.into_owned();
                make_link(parent.as_fd(), name, OsStr::from_bytes(&link), &outside)?;
            }
            EntryType::Link => {
                let of = entry.link_name().map_err(ended).during(read)?.ok_or(Errno::EBADMSG).during(read)?;
                let of = names(&of, target, top)?;
                let make = || Step::Make { path: outside.clone() };
                let of_parent = descend(target, of.parent().unwrap_or(Path::new("")))?;
                let of_name = of.file_name().ok_or(Errno::EBADMSG).during(make)?;
                let link = || linkat(&of_parent, of_name, &parent, name, AtFlags::empty());
                match link() {
                    Err(rustix::io::Errno::EXIST) => {}
                    answer => {
                        answer.during(make)?;
                        continue;
                    }
                }
                if kind(parent.as_fd(), name, &outside)? != FileType::RegularFile {
                    return Err(in_the_way(&outside, "regular file"));
                }
                unlinkat(&parent, name, AtFlags::empty()).during(make)?;
                link().during(make)?;
            }
            _ => left_out.push(format!("{}: neither a regular file, a directory nor a link", outside.display())),
        }
    }
    // Last, so that nothing had to be written into a directory that can't be written to.
    for (inside, mode) in modes.iter().rev() {
        let make = || Step::Make { path: target.path.join(inside) };
        let directory = descend(target, inside)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(&directory, ".", flags, Mode::empty()).during(make)?;
        fchmod(&directory, Mode::from_raw_mode(*mode)).during(make)?;
    }
    Ok(left_out)
}

/// A name in the archive as one below the target.
fn names(inside: &Path, target: &Target, top: Top) -> Result<PathBuf, Failure> {
    let mut names = PathBuf::new();
    for component in inside.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => {
                let text = format!("unpack {}: the name leads out of the archive", inside.display());
                return Err(Step::of(text).failed()(Errno::EBADMSG));
            }
        }
    }
    if top == Top::Kept {
        return Ok(names);
    }
    let below: PathBuf = names.components().skip(1).collect();
    Ok(target.name.as_ref().map_or_else(|| below.clone(), |name| Path::new(name).join(&below).components().collect()))
}

/// The directory of this path below the target, made where it is missing.
fn descend(target: &Target, path: &Path) -> Result<OwnedFd, Failure> {
    let mut outside = target.path.clone();
    let mut here =
        openat(&target.directory, ".", DIRECTORY, Mode::empty()).during(|| Step::Open { path: outside.clone() })?;
    for name in path.components() {
        let name = name.as_os_str();
        outside.push(name);
        make_directory(here.as_fd(), name, &outside)?;
        here = openat(&here, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
            .during(|| Step::Open { path: outside.clone() })?;
    }
    Ok(here)
}

fn make_directory(parent: BorrowedFd<'_>, name: &OsStr, outside: &Path) -> Result<(), Failure> {
    match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Err(rustix::io::Errno::EXIST) => match kind(parent, name, outside)? {
            FileType::Directory => Ok(()),
            _ => Err(in_the_way(outside, "directory")),
        },
        made => made.during(|| Step::Make { path: outside.to_owned() }),
    }
}

fn in_the_way(path: &Path, wanted: &str) -> Failure {
    let text = format!("write {}: it is there already, and no {wanted}", path.display());
    Step::of(text).failed()(Errno::EEXIST)
}

fn kind(parent: BorrowedFd<'_>, name: &OsStr, outside: &Path) -> Result<FileType, Failure> {
    let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).during(|| Step::Open { path: outside.to_owned() })?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

/// An empty file, and whether it is new.
fn create(parent: BorrowedFd<'_>, name: &OsStr, outside: &Path) -> Result<(File, bool), Failure> {
    let make = || Step::Make { path: outside.to_owned() };
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match openat(parent, name, flags | OFlags::CREATE | OFlags::EXCL, Mode::from_raw_mode(0o600)) {
        Err(rustix::io::Errno::EXIST) => {}
        answer => return Ok((File::from(answer.during(make)?), true)),
    }
    // Not opened before it is known what it is: to open a device does something.
    if kind(parent, name, outside)? != FileType::RegularFile {
        return Err(in_the_way(outside, "regular file"));
    }
    let file = openat(parent, name, flags, Mode::empty()).during(make)?;
    if FileType::from_raw_mode(fstat(&file).during(make)?.st_mode) != FileType::RegularFile {
        return Err(in_the_way(outside, "regular file"));
    }
    ftruncate(&file, 0).during(make)?;
    Ok((File::from(file), false))
}

fn make_link(parent: BorrowedFd<'_>, name: &OsStr, to: &OsStr, outside: &Path) -> Result<(), Failure> {
    let make = || Step::Make { path: outside.to_owned() };
    match symlinkat(to, parent, name) {
        Err(rustix::io::Errno::EXIST) => {}
        answer => return answer.during(make),
    }
    if kind(parent, name, outside)? != FileType::Symlink {
        return Err(in_the_way(outside, "symbolic link"));
    }
    unlinkat(parent, name, AtFlags::empty()).during(make)?;
    symlinkat(to, parent, name).during(make)
}

fn set_time(file: &File, mtime: u64) -> Result<(), rustix::io::Errno> {
    let time = Timespec { tv_sec: i64::try_from(mtime).unwrap_or_default(), tv_nsec: 0 };
    futimens(file, &Timestamps { last_access: time, last_modification: time })
}
