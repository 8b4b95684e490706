//! Making namespaces.

use super::pin::{self, PinFile};
use crate::fault;
use crate::host::error::{FileContext, NetlinkContext};
use crate::host::netlink::{self, Connection};
use crate::host::{HostError, mark_mismatch};
use crate::model::Netns;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

/// The calling thread's own namespace.
const OWN_NETNS: &str = "/proc/thread-self/ns/net";

/// Makes and pins a namespace, its `lo` up and carrying the mark; or sees to it that the one that is there is so. Runs
/// on a thread of the pool.
///
/// The mark comes before the name: whoever finds the name, after a crash as well, finds the mark.
pub(crate) fn ensure(netns: &Netns) -> Result<(), HostError> {
    // Twice: what was not there at the first look may be when its file is to be made.
    if !try_ensure(netns)? && !try_ensure(netns)? {
        let (path, found) = (pin::path_of(&netns.name), "it comes and goes".to_owned());
        return Err(HostError::NotOurs { path, found });
    }
    Ok(())
}

/// As [`ensure`]; `false` where somebody was faster to make a file of that name.
fn try_ensure(netns: &Netns) -> Result<bool, HostError> {
    let path = pin::path_of(&netns.name);
    let empty_file_is_there = match pin::look(&netns.name)? {
        PinFile::Netns { file, .. } => {
            pin::enter(&netns.name.clone().into(), &file)?;
            let mut connection = Connection::open().when("look into", &netns.name)?;
            let (mark, up) = netlink::loopback(&mut connection).when("look at lo of", &netns.name)?;
            if mark.as_deref() != Some(&netns.mark) {
                return Err(mark_mismatch(&path, mark));
            }
            if !up {
                netlink::set_loopback_up(&mut connection).when("set up lo of", &netns.name)?;
            }
            return Ok(true);
        }
        PinFile::Other(found) => return Err(HostError::NotOurs { path, found: found.to_owned() }),
        PinFile::Empty => true,
        PinFile::Absent => false,
    };
    unshare_netns(netns.name.as_str())?; // whoever was faster finds an unnamed one gone when the thread goes home
    let mut connection = Connection::open().when("look into", &netns.name)?;
    netlink::mark_loopback(&mut connection, &netns.mark).when("mark", &netns.name)?;
    if !empty_file_is_there {
        match OpenOptions::new().write(true).create_new(true).mode(0o444).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            result => drop(result.on_file("make", &path)?),
        }
    }
    fault::point(|| format!("before pinning {}", netns.name));
    mount(Some(OWN_NETNS), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(|source| HostError::Mount {
        action: "pin a network namespace at",
        path,
        source,
    })?;
    Ok(true)
}

/// Takes the calling thread into a new namespace. Only for threads of the pool, which brings it home.
pub(crate) fn unshare_netns(what_for: &str) -> Result<(), HostError> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|source| HostError::Netns {
        action: "make",
        netns: what_for.to_owned(),
        source,
    })
}

/// Opens the calling thread's namespace.
pub(crate) fn own_netns() -> Result<File, HostError> {
    File::open(OWN_NETNS).on_file("open", OWN_NETNS.as_ref())
}

/// Runs something in a new namespace without a name, which is gone right after. Runs on a thread of the pool.
pub(crate) fn in_scratch<T>(job: impl FnOnce() -> Result<T, HostError>) -> Result<T, HostError> {
    unshare_netns("(a scratch one)")?;
    job()
}
