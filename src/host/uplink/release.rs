//! Having who manages a NIC let go of it while it is an uplink, and take it back.

use super::keeper::KeeperFiles;
use crate::host::error::FileContext;
use crate::host::facade::Host;
use crate::host::{HostError, ManagerError};
use crate::model::{IfName, Uplink};

impl Host {
    /// Has everybody who manages a NIC let go of it, and notes that before.
    ///
    /// # Errors
    /// [`ManagerError`], which says what to do; when it can't be noted.
    ///
    /// # Cancel safety
    /// What was asked for may come about later; [`Host::take_back_nics`] undoes it.
    pub async fn release_nics(&self, of: &Uplink, ours: &[IfName]) -> Result<(), HostError> {
        let note = KeeperFiles::of(&of.directory).released();
        std::fs::write(&note, "").on_file("write", &note)?;
        for holder in &of.holders {
            self.release_nic(holder, &of.nic.name, ours).await?;
        }
        Ok(())
    }

    /// Has everybody who managed a NIC before do so again. Those that have ended meanwhile are named, with what to do.
    ///
    /// # Errors
    /// Other [`ManagerError`]s; when a file can't be removed.
    ///
    /// # Cancel safety
    /// Idempotent: to be called again.
    pub async fn take_back_nics(&self, of: &Uplink) -> Result<Vec<String>, HostError> {
        let mut ended = Vec::new();
        for holder in &of.holders {
            match self.take_back_nic(holder, &of.nic.name).await {
                Err(HostError::Manager(error @ ManagerError::Ended { .. })) => ended.push(error.to_string()),
                result => result?,
            }
        }
        let note = KeeperFiles::of(&of.directory).released();
        match std::fs::remove_file(&note) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            result => result.on_file("remove", &note)?,
        }
        Ok(ended)
    }
}
