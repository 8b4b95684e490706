//! Hearing of changes in a namespace, and looking at it, by sockets that stay open.
//!
//! A thread steps into the namespace just once: whoever takes the namespace away ends the processes that are in it. But
//! sockets keep a namespace alive, without its name: they have to be closed when that is gone.

use super::error::NetlinkContext;
use super::netlink::{self, Connection, Hearing, Listener};
use super::netns::{self, PinFile};
use super::{Host, HostError, Look};
use crate::model::NetnsName;
use crate::observed::ObservedNetns;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// How many files a watched namespace keeps open.
pub const FILES_OF_A_WATCH: u64 = 2;

/// A namespace that is watched. Cloning shares the sockets; they are closed with the last clone.
#[derive(Clone)]
pub struct NetnsWatch {
    name: NetnsName,
    inode: u64,
    connection: Arc<Mutex<Connection>>,
    listener: Arc<Listener>,
}

impl Host {
    /// Begins to watch a namespace, or, of the host's, the interfaces alone; `None` where none of its name is.
    ///
    /// # Errors
    /// When the namespace can't be entered, or the kernel does not answer.
    pub async fn watch_netns(&self, name: &NetnsName) -> Result<Option<NetnsWatch>, HostError> {
        let job_name = name.clone();
        let opened = self.job(move || open(&job_name)).await?;
        let Some((inode, connection, socket)) = opened else { return Ok(None) };
        let listener = Listener::new(socket).when("listen in", name)?;
        Ok(Some(NetnsWatch {
            name: name.clone(),
            inode,
            connection: Arc::new(Mutex::new(connection)),
            listener: Arc::new(listener),
        }))
    }
}

fn open(name: &NetnsName) -> Result<Option<(u64, Connection, OwnedFd)>, HostError> {
    let (inode, hearing) = match name {
        NetnsName::Host => (0, Hearing::Links),
        NetnsName::Pinned(pin) => {
            let PinFile::Netns { file, inode } = netns::look(pin)? else { return Ok(None) };
            netns::enter(name, &file)?;
            (inode, Hearing::All)
        }
    };
    let socket = netlink::listen(hearing).when("listen in", name)?;
    Ok(Some((inode, Connection::open().when("look into", name)?, socket)))
}

impl NetnsWatch {
    /// Whether the namespace still has its name.
    ///
    /// # Errors
    /// When it can't be looked at what has the name.
    pub fn has_its_name(&self) -> Result<bool, HostError> {
        match &self.name {
            NetnsName::Host => Ok(true),
            NetnsName::Pinned(pin) => {
                Ok(matches!(netns::look(pin)?, PinFile::Netns { inode, .. } if inode == self.inode))
            }
        }
    }

    /// Whether the other one is the same watch, and not just of a namespace of the same name.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.listener, &other.listener)
    }

    /// Waits until something has changed, since it was last waited or the watch began.
    ///
    /// # Errors
    /// When the socket fails.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn changed(&self) -> Result<(), HostError> {
        self.listener.heard().await.when("listen in", &self.name)
    }

    /// What is in the namespace: its interfaces, addresses and routes, and its bridge ports' VLANs where they are wanted.
    ///
    /// # Errors
    /// When the kernel does not answer. [`HostError::is_retryable`] where things change too fast to be looked at.
    pub async fn observe(&self, host: &Host, vlans: bool) -> Result<ObservedNetns, HostError> {
        let Self { name, inode, connection, listener: _ } = self.clone();
        host.job(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let look = Look { vlans, ..Look::default() };
            let observed = netlink::observe(&mut connection, &look).when("look into", name)?;
            Ok(ObservedNetns { inode, ..observed })
        })
        .await
    }
}
