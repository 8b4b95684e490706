//! [`Host`]'s looks at what went into namespaces, and out of them.

use super::error::{FileContext, NetlinkContext};
use super::netlink::{self, Connection};
use super::netns::{self, PinFile};
use super::{Host, HostError};
use crate::model::{Netns, NetnsName, PinName, Traffic};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

impl Host {
    /// What went into a lab's namespace, and out of it; `None` where none is there with its mark.
    ///
    /// # Errors
    /// When it can't be entered, or the kernel does not answer.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn traffic(&self, netns: &Netns) -> Result<Option<Traffic>, HostError> {
        let netns = netns.clone();
        self.job(move || {
            let PinFile::Netns { file, inode } = netns::look(&netns.name)? else { return Ok(None) };
            let name = NetnsName::from(netns.name);
            let (mark, traffic) = look_into(&name, &file, inode)?;
            Ok((mark.as_deref() == Some(&netns.mark)).then_some(traffic))
        })
        .await
    }

    /// What went into the namespace of a process, and out of it; `None` where there is no such process, or it is in the caller's.
    /// Whether it is the one that was meant is to be seen after.
    ///
    /// # Errors
    /// As [`Host::traffic`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn traffic_of_process(&self, pid: i32) -> Result<Option<Traffic>, HostError> {
        self.job(move || {
            let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
            let file = match File::open(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                result => result.on_file("open", &path)?,
            };
            let inode = file.metadata().on_file("look at", &path)?.ino();
            let own = netns::own_netns()?.metadata().on_file("look at", "/proc/thread-self/ns/net".as_ref())?.ino();
            if inode == own {
                return Ok(None);
            }
            let name = NetnsName::from(PinName::existing(&format!("(that of process {pid})")));
            look_into(&name, &file, inode).map(|(_, traffic)| Some(traffic))
        })
        .await
    }
}

/// The namespace's mark, and what went by.
fn look_into(name: &NetnsName, file: &File, inode: u64) -> Result<(Option<String>, Traffic), HostError> {
    netns::enter(name, file)?;
    let mut connection = Connection::open().when("look into", name)?;
    let (mark, links) = netlink::traffic(&mut connection).when("look into", name)?;
    Ok((mark, Traffic { netns_inode: inode, links }))
}
