//! A file or a directory as an archive. Names below the one that was given are looked up one by one, and no symbolic link among
//! them is followed: it is copied as it is.

use super::{LeftOut, Side};
use crate::launcher::failure::{During, Failure, Step};
use nix::errno::Errno;
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, openat2, readlinkat};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// How something is looked at before it is known what it is: whatever it is, nothing is done to it.
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// How a regular file is read. Where it has become something else meanwhile, that is neither waited for nor followed.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

struct Packer<W: Write> {
    archive: Builder<W>,
    left_out: LeftOut,
}

/// Packs what is at a path under this name; without one, what is in that directory. A symbolic link at the path itself is
/// followed.
pub(super) fn pack(side: Side, path: &Path, name: Option<&OsStr>, to: impl Write) -> Result<LeftOut, Failure> {
    let mut packer = Packer { archive: Builder::new(to), left_out: LeftOut::new() };
    let opened = || Step::Open { path: path.to_owned() };
    let open = |flags: OFlags| openat2(CWD, path, flags, Mode::empty(), side.resolve());
    let found = open(LOOK).during(opened)?;
    let stat = fstat(&found).during(opened)?;
    let inside = name.map(PathBuf::from);
    match (FileType::from_raw_mode(stat.st_mode), inside) {
        (FileType::Directory, inside) => {
            if let Some(inside) = &inside {
                packer.add(EntryType::Directory, &stat, inside, path, &mut std::io::empty())?;
            }
            let directory = open(READ.difference(OFlags::NOFOLLOW) | OFlags::DIRECTORY);
            packer.directory(&directory.during(opened)?, &inside.unwrap_or_default(), path)?;
        }
        (FileType::RegularFile, Some(inside)) => {
            let file = open(READ.difference(OFlags::NOFOLLOW)).during(opened)?;
            packer.file(file, &inside, path)?;
        }
        _ => {
            let copy = format!("copy {}: it is neither a regular file nor a directory", path.display());
            return Err(Step::of(copy).failed()(Errno::EINVAL));
        }
    }
    let finish = || Step::of("write the archive");
    packer.archive.into_inner().and_then(|mut to| to.flush()).during(finish)?;
    Ok(packer.left_out)
}

impl<W: Write> Packer<W> {
    fn directory(&mut self, directory: &OwnedFd, inside: &Path, outside: &Path) -> Result<(), Failure> {
        let read = || Step::Open { path: outside.to_owned() };
        let mut names: Vec<OsString> = Vec::new();
        for entry in Dir::read_from(directory).during(read)? {
            let name = entry.during(read)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort();
        for name in names {
            self.entry(directory, &name, &inside.join(&name), &outside.join(&name))?;
        }
        Ok(())
    }

    fn entry(&mut self, directory: &OwnedFd, name: &OsStr, inside: &Path, outside: &Path) -> Result<(), Failure> {
        let opened = || Step::Open { path: outside.to_owned() };
        let found = match openat(directory, name, LOOK | OFlags::NOFOLLOW, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return Ok(()), // it went meanwhile
            found => found.during(opened)?,
        };
        let stat = fstat(&found).during(opened)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let below = openat(directory, name, READ | OFlags::DIRECTORY, Mode::empty()).during(opened)?;
                self.add(EntryType::Directory, &stat, inside, outside, &mut std::io::empty())?;
                self.directory(&below, inside, outside)
            }
            FileType::RegularFile => {
                let file = openat(directory, name, READ, Mode::empty()).during(opened)?;
                self.file(file, inside, outside)
            }
            FileType::Symlink => {
                let target = readlinkat(&found, "", Vec::new()).during(opened)?;
                self.link(&stat, inside, outside, OsStr::from_bytes(target.to_bytes()))
            }
            _ => {
                self.left_out.push(format!("{}: neither a regular file, a directory nor a link", outside.display()));
                Ok(())
            }
        }
    }

    fn file(&mut self, file: OwnedFd, inside: &Path, outside: &Path) -> Result<(), Failure> {
        let opened = || Step::Open { path: outside.to_owned() };
        let stat = fstat(&file).during(opened)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(opened().failed()(Errno::EAGAIN)); // it was one when it was looked at
        }
        let size = stat.st_size.cast_unsigned();
        let mut file = Counted { from: File::from(file), left: size };
        self.add(EntryType::Regular, &stat, inside, outside, &mut file)?;
        if file.left > 0 {
            let copy = format!("copy {}: it became shorter while it was read", outside.display());
            return Err(Step::of(copy).failed()(Errno::EAGAIN));
        }
        Ok(())
    }

    fn link(&mut self, stat: &Stat, inside: &Path, outside: &Path, target: &OsStr) -> Result<(), Failure> {
        /// What a header has room for: longer ones stand before it.
        const ROOM: usize = 100;
        if target.len() <= ROOM {
            let mut header = header(EntryType::Symlink, stat, 0);
            header.set_link_name_literal(target.as_bytes()).during(|| packing(outside))?;
            return self.archive.append_data(&mut header, inside, std::io::empty()).during(|| packing(outside));
        }
        let mut header = header(EntryType::Symlink, stat, 0);
        self.archive.append_link(&mut header, inside, Path::new(target)).during(|| packing(outside))
    }

    fn add(
        &mut self,
        what: EntryType,
        stat: &Stat,
        inside: &Path,
        outside: &Path,
        content: &mut impl Read,
    ) -> Result<(), Failure> {
        let size = if what == EntryType::Regular { stat.st_size.cast_unsigned() } else { 0 };
        self.archive.append_data(&mut header(what, stat, size), inside, content).during(|| packing(outside))
    }
}

fn packing(path: &Path) -> Step {
    Step::of(format!("copy {}", path.display()))
}

fn header(what: EntryType, stat: &Stat, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(what);
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(stat.st_uid.into());
    header.set_gid(stat.st_gid.into());
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or_default());
    header.set_size(size);
    header
}

/// As many bytes as were announced, and how many of them are still to come.
struct Counted {
    from: File,
    left: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.from.read(&mut buffer[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}
