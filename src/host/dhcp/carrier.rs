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
    /// Whose link it is on besides. A bridge is on its own for as long as any port is.
    port: Option<IfName>,
    listener: Listener,
    on: Option<On>,
}

/// How often it changed for each interface whether it is on its link, where all are: a link may have been lost and be back
/// before anybody looks.
type On = Vec<u32>;

impl Carrier {
    /// Begins to watch.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub(super) fn watch(interface: &IfName, port: Option<&IfName>) -> Result<Self, DhcpError> {
        let watch = || {
            let listener = netlink::listen(Hearing::Links).and_then(Listener::new)?;
            let on = on(interface, port)?;
            Ok(Self { interface: interface.clone(), port: port.cloned(), listener, on })
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
            let on = on(&self.interface, self.port.as_ref()).map_err(failed("watch", &self.interface))?;
            let was = std::mem::replace(&mut self.on, on);
            if self.on.is_some() && self.on != was {
                return Ok(());
            }
        }
    }
}

/// An interface that is not there is not on its link.
fn on(interface: &IfName, port: Option<&IfName>) -> Result<Option<On>, NetlinkError> {
    let mut connection = Connection::open()?;
    let all = std::iter::once(interface).chain(port);
    all.map(|name| netlink::carrier_changes(&mut connection, name.as_str())).collect()
}
