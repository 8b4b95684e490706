//! Hearing that an interface is on its link again: it may be another link, and what was lost with the old one is put back.
//!
//! An interface that is set down loses its routes, be they of a lease that goes on. One whose cable was pulled may be in
//! another network now. So a client asks whether its lease is good still (RFC 2131 section 3.7).

use super::error::DhcpError;
use super::kernel::failed;
use crate::host::NetlinkError;
use crate::host::netlink::{self, Connection, Hearing, Listener};
use crate::model::IfName;

/// The carrier of an interface, watched.
pub(super) struct Carrier {
    interface: IfName,
    listener: Listener,
    is_on: bool,
}

impl Carrier {
    /// Begins to watch.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub(super) fn watch(interface: &IfName) -> Result<Self, DhcpError> {
        let watch = || {
            let listener = netlink::listen(Hearing::Links).and_then(Listener::new)?;
            Ok(Self { interface: interface.clone(), listener, is_on: is_on(interface)? })
        };
        watch().map_err(failed("watch", interface))
    }

    /// Waits until the interface has been without its link, and has it again.
    ///
    /// # Errors
    /// What the kernel refuses.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn returned(&mut self) -> Result<(), DhcpError> {
        loop {
            self.listener.heard().await.map_err(failed("watch", &self.interface))?;
            let is_on = is_on(&self.interface).map_err(failed("watch", &self.interface))?;
            if !std::mem::replace(&mut self.is_on, is_on) && is_on {
                return Ok(());
            }
        }
    }
}

fn is_on(interface: &IfName) -> Result<bool, NetlinkError> {
    netlink::has_carrier(&mut Connection::open()?, interface.as_str())
}
