//! The files in /run/netns by which namespaces are known (ip-netns(8)).

use crate::host::error::{FileContext, NetlinkContext};
use crate::host::netlink::{self, Connection};
use crate::host::{HostError, PIN_DIRECTORY, mark_mismatch};
use crate::model::{Netns, NetnsName, PinName};
use nix::sched::{CloneFlags, setns};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What stands at /run/netns/NAME.
pub(crate) enum PinFile {
    /// Nothing.
    Absent,
    /// An empty file that nothing is mounted on.
    Empty,
    /// A namespace, opened.
    Netns {
        /// Its file in nsfs.
        file: File,
        /// The inode of that: who the namespace is.
        inode: u64,
    },
    /// Something else, in words.
    Other(&'static str),
}

/// Where a namespace is pinned.
pub(crate) fn path_of(name: &PinName) -> PathBuf {
    Path::new(PIN_DIRECTORY).join(name.as_str())
}

/// Looks at what stands at /run/netns/NAME.
pub(crate) fn look(name: &PinName) -> Result<PinFile, HostError> {
    let path = path_of(name);
    // Not followed and not opened before it is known to be a plain file: opening a FIFO would hang.
    match std::fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Ok(PinFile::Other("it is no plain file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(PinFile::Absent),
        Err(source) => return Err(source).on_file("look at", &path),
    }
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(PinFile::Absent),
        result => result.on_file("open", &path)?,
    };
    let metadata = file.metadata().on_file("look at", &path)?;
    let is_nsfs = fstatfs(&file).map_err(io::Error::from).on_file("look at", &path)?.filesystem_type() == NSFS_MAGIC;
    Ok(if is_nsfs {
        PinFile::Netns { file, inode: metadata.ino() }
    } else if metadata.len() == 0 {
        PinFile::Empty
    } else {
        PinFile::Other("it is a file with something in it")
    })
}

/// Opens a namespace. To be called before the job on the calling thread goes to one: until then the host's is its own.
///
/// # Errors
/// [`HostError::NoNetns`] where there is none of that name.
pub(crate) fn open(name: &NetnsName) -> Result<File, HostError> {
    match name {
        NetnsName::Host => super::own_netns(),
        NetnsName::Pinned(name) => open_pin(name),
    }
}

/// Opens the namespace that is pinned under this name.
///
/// # Errors
/// [`HostError::NoNetns`] where there is none.
pub fn open_pin(name: &PinName) -> Result<File, HostError> {
    match look(name)? {
        PinFile::Netns { file, .. } => Ok(file),
        PinFile::Absent | PinFile::Empty => Err(HostError::NoNetns(name.clone())),
        PinFile::Other(found) => Err(HostError::NotOurs { path: path_of(name), found: found.to_owned() }),
    }
}

/// Sees to it that the namespace that the calling thread is in is the one of this name, and carries the mark.
///
/// # Errors
/// [`HostError::NoNetns`] where it has lost its name; [`HostError::NotOurs`] where it is another one.
pub(crate) fn require_own(netns: &Netns) -> Result<(), HostError> {
    let mut connection = Connection::open().when("look into", &netns.name)?;
    let (mark, _) = netlink::loopback(&mut connection).when("look at lo of", &netns.name)?;
    if mark.as_deref() != Some(&netns.mark) {
        return Err(mark_mismatch(&path_of(&netns.name), mark));
    }
    let own = super::own_netns()?.metadata().on_file("look at", "/proc/thread-self/ns/net".as_ref())?.ino();
    match look(&netns.name)? {
        PinFile::Netns { inode, .. } if inode == own => Ok(()),
        _ => Err(HostError::NoNetns(netns.name.clone())),
    }
}

/// Takes the calling thread into a namespace. Only for threads of the [`Pool`](super::Pool), which brings it home.
pub(crate) fn enter(name: &NetnsName, file: &File) -> Result<(), HostError> {
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|source| HostError::Netns {
        action: "enter",
        netns: name.to_string(),
        source,
    })
}
