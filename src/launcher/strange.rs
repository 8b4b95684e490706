//! Files that somebody else may have put there: what process 1 writes is in a directory that may belong to a user of the machine
//! (whoever is root inside, as numbered outside).
//!
//! No symbolic link is followed, no FIFO waited for, and no more read than nslab would have written.

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, openat, unlinkat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// What every such file is opened with. Of a plain file nothing is to be waited for; a FIFO would be.
pub(super) const CAREFULLY: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Opens a plain file in a directory for reading; `None` where there is nothing.
///
/// # Errors
/// ELOOP where it is a symbolic link, EBADF where it is anything else that is no plain file, and those of open(2).
pub(super) fn open_file(directory: impl AsFd, path: &Path) -> io::Result<Option<File>> {
    let file = match openat(directory, path, OFlags::RDONLY | CAREFULLY, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        result => result?,
    };
    check(&file)?;
    Ok(Some(file.into()))
}

/// Reads a plain file, which is to be no longer than that; `None` where there is nothing.
///
/// # Errors
/// EFBIG where it is longer, and those of [`open_file`].
pub(super) fn read(path: &Path, longest: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open_file(CWD, path)? else { return Ok(None) };
    let mut text = Vec::new();
    file.take(longest + 1).read_to_end(&mut text)?;
    if text.len() as u64 > longest { Err(Errno::FBIG.into()) } else { Ok(Some(text)) }
}

/// Writes a file that is not there yet. One of that name that is in the way, whatever it is, goes first.
///
/// # Errors
/// EEXIST where somebody puts something there meanwhile, and what the kernel answers.
pub(super) fn write_new(directory: impl AsFd, name: &str, mode: Mode, text: &[u8]) -> io::Result<()> {
    let mut file = File::from(make(directory, name, mode)?);
    file.write_all(text)
}

/// Makes a file as [`write_new`] does, and opens it for writing.
///
/// # Errors
/// As those.
pub(super) fn make(directory: impl AsFd, name: &str, mode: Mode) -> io::Result<OwnedFd> {
    match unlinkat(&directory, name, AtFlags::empty()).map_err(io::Error::from) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | CAREFULLY;
    let file = openat(&directory, name, flags, mode)?;
    // Whatever the caller's umask says.
    rustix::fs::fchmod(&file, mode)?;
    Ok(file)
}

/// Refuses what is no plain file.
///
/// # Errors
/// EBADF.
pub(super) fn check(file: &OwnedFd) -> Result<(), Errno> {
    let is_plain = FileType::from_raw_mode(fstat(file)?.st_mode) == FileType::RegularFile;
    if is_plain { Ok(()) } else { Err(Errno::BADF) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn what_is_no_plain_file_is_not_read_and_not_waited_for() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        std::fs::write(path("plain"), "text").unwrap();
        symlink(path("plain"), path("link")).unwrap();
        nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::create_dir(path("directory")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        let errno = |name: &str| read(&path(name), 100).unwrap_err().raw_os_error();
        assert_eq!(read(&path("plain"), 4).unwrap().as_deref(), Some(&b"text"[..]));
        assert_eq!(read(&path("none"), 4).unwrap(), None);
        assert_eq!(errno("link"), Some(nix::libc::ELOOP));
        assert_eq!(errno("fifo"), Some(nix::libc::EBADF));
        assert_eq!(errno("directory"), Some(nix::libc::EBADF));
        assert_eq!(errno("socket"), Some(nix::libc::ENXIO));
        assert_eq!(read(&path("plain"), 3).unwrap_err().raw_os_error(), Some(nix::libc::EFBIG));
    }

    #[test]
    fn what_is_in_the_way_of_a_new_file_is_not_written_to() {
        let scratch = tempfile::tempdir().unwrap();
        let victim = scratch.path().join("victim");
        std::fs::write(&victim, "whole").unwrap();
        symlink(&victim, scratch.path().join("file")).unwrap();
        let directory = File::open(scratch.path()).unwrap();
        write_new(&directory, "file", Mode::RUSR | Mode::WUSR, b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "whole");
        let made = scratch.path().join("file").symlink_metadata().unwrap();
        assert!(made.is_file() && made.permissions().mode() & 0o777 == 0o600, "{made:?}");
    }
}
