//! By what a DHCP server knows who has a NIC's lease so far, so that it gives the same address to whoever holds it meanwhile.
//!
//! systemd-networkd and NetworkManager name themselves by a DUID (RFC 4361) that nobody else knows to make up. The others
//! name themselves by the NIC's MAC address or not at all, unless they are configured otherwise: a server takes both for the
//! same as a MAC address.

use super::{network_manager, networkd};
use crate::host::HostError;
use crate::host::facade::Host;
use crate::model::{ClientId, Holder, Nic};

impl Host {
    /// By what a DHCP server knows who manages a NIC; `None` where that is the MAC address, as far as is known.
    ///
    /// # Errors
    /// When the bus can't be asked, or what is known of the lease can't be read.
    pub async fn former_client_id(&self, nic: &Nic, holders: &[Holder]) -> Result<Option<ClientId>, HostError> {
        for holder in holders {
            let found = match holder {
                Holder::NetworkManager { profile: Some(_), .. } => {
                    let Some(bus) = self.bus_of(network_manager::SERVICE).await? else { continue };
                    network_manager::client_id(&bus, &nic.name).await?
                }
                Holder::Networkd { .. } => networkd::client_id(nic.index)?,
                Holder::NetworkManager { profile: None, .. } | Holder::Client { .. } => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}
