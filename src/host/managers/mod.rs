//! Who else manages a NIC, and having them let go of it and take it back.
//!
//! NetworkManager and systemd-networkd are asked over D-Bus; dhclient, dhcpcd and udhcpc are known by their command lines.
//! Nothing here sees to addresses: who takes a NIC looks at them before, and puts them back where a manager took them.

mod bus;
mod clients;
mod command_line;
mod error;
mod network_manager;
mod networkd;

use super::HostError;
use super::error::FileContext;
use super::facade::Host;
use super::processes::is_in_netns;
use crate::model::{Holder, IfName, Reach};
use bus::Bus;
use clients::Action;
pub use error::ManagerError;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often it is looked whether something has come about.
const LOOK: Duration = Duration::from_millis(20);

impl Host {
    /// Who manages a NIC of the host. Those on the system bus count only where they run in the host's network namespace:
    /// the bus of a machine may be seen in a namespace whose NICs are none of theirs.
    ///
    /// # Errors
    /// When there is a system bus that can't be asked, or hangs; when /proc can't be read.
    pub async fn find_holders(&self, nic: &IfName) -> Result<Vec<Holder>, HostError> {
        let own = self.own_netns().await?;
        let mut found = Vec::new();
        if let Some(bus) = Bus::connect().await? {
            if serves(&bus, network_manager::SERVICE, own).await? {
                found.extend(network_manager::find(&bus, nic).await?);
            }
            if serves(&bus, networkd::SERVICE, own).await? {
                found.extend(networkd::find(&bus, nic).await?);
            }
        }
        let wanted = nic.clone();
        found.extend(self.job(move || clients::find(&wanted, own)).await?);
        Ok(found)
    }

    /// Has somebody let go of a NIC, and leave alone those that nslab is about to make in the host, `ours`. One that has let
    /// go, or has ended, is left as it is.
    ///
    /// NetworkManager, and systemd-networkd where systemd runs it, leave the addresses on the NIC; nobody promises it.
    ///
    /// # Errors
    /// [`ManagerError`], which says what to do.
    ///
    /// # Cancel safety
    /// What was asked for may come about later. [`Host::take_back_nic`] undoes it.
    pub async fn release_nic(&self, holder: &Holder, nic: &IfName, ours: &[IfName]) -> Result<(), HostError> {
        match holder {
            Holder::NetworkManager { profile, .. } => {
                let Some(bus) = self.bus_of(network_manager::SERVICE).await? else { return Ok(()) };
                Ok(network_manager::release(&bus, holder, profile.is_some(), nic).await?)
            }
            Holder::Networkd { .. } => {
                let Some(bus) = self.bus_of(networkd::SERVICE).await? else { return Ok(()) };
                networkd::release(&bus, holder, nic, ours).await
            }
            Holder::Client { reach: Reach::OtherNics, .. } => {
                Err(ManagerError::OtherNics { holder: holder.clone(), nic: nic.clone() }.into())
            }
            Holder::Client { process, reach: Reach::ThisNic, .. } => {
                Ok(clients::act(Action::Pause, holder, *process, nic).await.map(drop)?)
            }
        }
    }

    /// Has somebody manage a NIC as before [`Host::release_nic`]. One that does, or that never let go, is left as it is.
    ///
    /// NetworkManager and systemd-networkd take all addresses off the NIC and have them anew from the server some ten
    /// milliseconds later, IPv6 ones after duplicate address detection.
    ///
    /// # Errors
    /// [`ManagerError::Ended`] where its process has ended meanwhile; other [`ManagerError`]s; when nslab's own file can't
    /// be removed.
    ///
    /// # Cancel safety
    /// Idempotent: to be called again.
    pub async fn take_back_nic(&self, holder: &Holder, nic: &IfName) -> Result<(), HostError> {
        let ended = || ManagerError::Ended { holder: holder.clone(), nic: nic.clone() };
        match holder {
            Holder::NetworkManager { profile, autoconnect } => {
                // It remembers in /run that the NIC is none of its business, and would after its next start.
                let bus = self.bus_of(network_manager::SERVICE).await?.ok_or_else(ended)?;
                Ok(network_manager::take_back(&bus, profile.as_ref(), *autoconnect, nic).await?)
            }
            Holder::Networkd { had_runtime_directory, client_id: _ } => {
                // Even where the bus does not work: it is read whenever systemd-networkd starts.
                let had_file = networkd::remove_file(nic, *had_runtime_directory)?;
                let Some(bus) = self.bus_of(networkd::SERVICE).await? else { return Ok(()) };
                Ok(networkd::take_back(&bus, holder, nic, had_file).await?)
            }
            Holder::Client { reach: Reach::OtherNics, .. } => Ok(()),
            Holder::Client { process, reach: Reach::ThisNic, .. } => {
                if clients::act(Action::Continue, holder, *process, nic).await? { Ok(()) } else { Err(ended().into()) }
            }
        }
    }

    /// The bus, where somebody on it runs in the host's network namespace.
    async fn bus_of(&self, service: &'static str) -> Result<Option<Bus>, HostError> {
        let own = self.own_netns().await?;
        let Some(bus) = Bus::connect().await? else { return Ok(None) };
        Ok(serves(&bus, service, own).await?.then_some(bus))
    }

    /// The inode of the host's network namespace.
    async fn own_netns(&self) -> Result<u64, HostError> {
        let path = Path::new("/proc/thread-self/ns/net");
        self.job(move || Ok(std::fs::metadata(path).on_file("look at", path)?.ino())).await
    }
}

/// Whether a name on the bus is that of a process in the network namespace with this inode.
async fn serves(bus: &Bus, service: &'static str, netns: u64) -> Result<bool, ManagerError> {
    Ok(bus.process_of(service).await?.is_some_and(|pid| is_in_netns(pid, netns)))
}

/// Waits until `holds`, and says whether it did before the time was up.
async fn wait_for<F: Future<Output = Result<bool, ManagerError>>>(
    within: Duration,
    holds: impl Fn() -> F,
) -> Result<bool, ManagerError> {
    let deadline = Instant::now() + within;
    while !holds().await? {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(true)
}
