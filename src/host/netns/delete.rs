//! Removing namespaces.

use super::pin::{self, PinFile};
use crate::fault;
use crate::host::error::{FileContext, NetlinkContext};
use crate::host::netlink::{self, Connection};
use crate::host::{HostError, mark_mismatch};
use crate::model::{Netns, PinName};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use std::fs::File;
use std::io;

/// A namespace that is held open: as long as it is, no other has its inode.
pub(crate) struct Held {
    /// What it is, or was, called.
    pub(crate) name: PinName,
    /// Who it is.
    pub(crate) inode: u64,
    file: File,
}

/// Opens a namespace that is to go, if it is there and carries the mark. Runs on a thread of the pool.
pub(crate) fn hold(netns: &Netns) -> Result<Option<Held>, HostError> {
    let path = pin::path_of(&netns.name);
    match pin::look(&netns.name)? {
        PinFile::Absent | PinFile::Empty => Ok(None),
        PinFile::Other(found) => Err(HostError::NotOurs { path, found: found.to_owned() }),
        PinFile::Netns { file, inode } => {
            pin::enter(&netns.name.clone().into(), &file)?;
            let mut connection = Connection::open().when("look into", &netns.name)?;
            let (mark, _) = netlink::loopback(&mut connection).when("look at lo of", &netns.name)?;
            if mark.as_deref() != Some(&netns.mark) {
                return Err(mark_mismatch(&path, mark));
            }
            Ok(Some(Held { name: netns.name.clone(), inode, file }))
        }
    }
}

/// Ends the TCP connections that nobody's process has any more, which would hold the namespace. Runs on a thread of the
/// pool.
pub(crate) fn destroy_connections(held: Held) -> Result<(), HostError> {
    let Held { name, inode: _, file } = held;
    pin::enter(&name.clone().into(), &file)?;
    netlink::destroy_tcp().when("end the TCP connections of", name)
}

/// Takes a namespace's name away, if it has one and carries the mark; an empty file of that name goes too. Runs on a
/// thread of the pool.
pub(crate) fn unpin(netns: &Netns) -> Result<(), HostError> {
    let path = pin::path_of(&netns.name);
    if hold(netns)?.is_some() {
        match umount2(&path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {} // somebody was faster
            Err(source) => return Err(HostError::Mount { action: "unmount", path, source }),
        }
        fault::point(|| format!("before removing the file of {}", netns.name));
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.on_file("remove", &path),
    }
}
