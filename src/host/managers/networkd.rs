//! systemd-networkd: a NIC is let go of by a file of nslab's own in /run/systemd/network (systemd.network(5)).
//!
//! It says `Unmanaged=yes`, and then systemd-networkd is restarted by systemd. Restarted, it leaves addresses, routes and
//! leases as they are, and finds that the NIC is none of its business. Told to reload its files instead, it would give the
//! lease back to the server (DHCPRELEASE) and take the addresses off the NIC; so that is done only where no systemd runs
//! that could restart it. The file does not outlive a reboot. It is taken back by
//! removing it and restarting again.

use super::bus::{Bus, Object};
use super::{ManagerError, wait_for};
use crate::directory;
use crate::host::HostError;
use crate::host::error::FileContext;
use crate::host::names::remove_directory_if_empty;
use crate::model::{ClientId, Holder, IfName};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zbus::OwnedObjectPath;

/// Its name on the bus.
pub(super) const SERVICE: &str = "org.freedesktop.network1";

const PATH: &str = "/org/freedesktop/network1";
const MANAGER: &str = "org.freedesktop.network1.Manager";
const LINK: &str = "org.freedesktop.network1.Link";
const NO_SUCH_LINK: &str = "org.freedesktop.network1.NoSuchLink";

const SYSTEMD: &str = "org.freedesktop.systemd1";
const SYSTEMD_PATH: &str = "/org/freedesktop/systemd1";
const SYSTEMD_MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "systemd-networkd.service";

/// Where files for systemd-networkd go that are gone after a reboot.
const DIRECTORY: &str = "/run/systemd/network";

/// Where it writes down its leases, each in a file by its link's index.
const LEASES: &str = "/run/systemd/netif/leases";

/// The first line of nslab's files there, by which they are known.
const MARK: &str = "# Made by nslab, which has this NIC for a lab; `nslab uplink detach` removes it.\n";

/// How long it may take to let go: it may have to be restarted.
const RELEASE: Duration = Duration::from_secs(30);

/// How long it may take to see that a NIC is its own again.
const RETURN: Duration = Duration::from_secs(30);

/// Whether systemd-networkd manages the NIC.
pub(super) async fn find(bus: &Bus, nic: &IfName) -> Result<Option<Holder>, ManagerError> {
    let had_runtime_directory = Path::new(DIRECTORY).is_dir();
    Ok(manages(bus, nic).await?.then(|| Holder::Networkd { had_runtime_directory, client_id: client_id(nic) }))
}

/// By what servers know it: not by the MAC address, unless its files say so (`ClientIdentifier=`, systemd.network(5)). Nothing
/// where it has no lease, or does not write it down: what it says of leases over the bus differs from version to version.
fn client_id(nic: &IfName) -> Option<ClientId> {
    let index = nix::net::if_::if_nametoindex(nic.as_str()).ok()?;
    client_id_in(&fs::read_to_string(Path::new(LEASES).join(index.to_string())).ok()?)
}

fn client_id_in(lease: &str) -> Option<ClientId> {
    lease.lines().find_map(|line| line.strip_prefix("CLIENTID=")).and_then(|id| ClientId::try_from(id).ok())
}

/// Has systemd-networkd let go of the NIC, and never take `ours`. That it does not run is fine.
pub(super) async fn release(bus: &Bus, holder: &Holder, nic: &IfName, ours: &[IfName]) -> Result<(), HostError> {
    write(nic, ours)?;
    if !manages(bus, nic).await? {
        return Ok(());
    }
    if read_anew(bus, RELEASE, || async { Ok(!manages(bus, nic).await?) }).await? {
        return Ok(());
    }
    Err(ManagerError::Holds { holder: holder.clone(), nic: nic.clone(), after: RELEASE }.into())
}

/// Has systemd-networkd see that nslab's file has gone, where it runs. That the NIC is not there any more is fine.
///
/// By a restart, again: systemd-networkd 252 takes a port that leaves its bridge for a link that is gone, forgets the
/// addresses on it, and would wait for ever for the link-local one ("configuring").
pub(super) async fn take_back(bus: &Bus, holder: &Holder, nic: &IfName, had_file: bool) -> Result<(), ManagerError> {
    // With the file there, it may be about to let go: who told it to was ended before it had.
    if link(bus, nic).await?.is_none() || (!had_file && manages(bus, nic).await?) {
        return Ok(());
    }
    if read_anew(bus, RETURN, || manages(bus, nic)).await? {
        return Ok(());
    }
    Err(ManagerError::StaysAway { holder: holder.clone(), nic: nic.clone(), after: RETURN })
}

/// Has systemd-networkd read its files anew, and waits until what they say `holds`; says whether it did before the time was
/// up. That it does not run is fine.
async fn read_anew<F: Future<Output = Result<bool, ManagerError>>>(
    bus: &Bus,
    within: Duration,
    holds: impl Fn() -> F,
) -> Result<bool, ManagerError> {
    let Some(before) = bus.process_of(SERVICE).await? else { return Ok(true) };
    let restarted = restart(bus, before).await?;
    if !restarted {
        reload(bus).await?;
    }
    let is_new = || async { Ok(bus.process_of(SERVICE).await?.is_some_and(|now| now != before || !restarted)) };
    let holds = &holds;
    wait_for(within, || async move { Ok(is_new().await? && holds().await?) }).await
}

async fn reload(bus: &Bus) -> Result<(), ManagerError> {
    bus.object(SERVICE, PATH, MANAGER)?.call("Reload", &()).await
}

/// Has systemd restart systemd-networkd; says whether there is a systemd which started it.
async fn restart(bus: &Bus, pid: i32) -> Result<bool, ManagerError> {
    if bus.process_of(SYSTEMD).await?.is_none() {
        return Ok(false);
    }
    let systemd = bus.object(SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER)?;
    let unit: OwnedObjectPath = systemd.call("GetUnit", &(UNIT,)).await?;
    let service = bus.object(SYSTEMD, &unit, "org.freedesktop.systemd1.Service")?;
    if service.get::<u32>("MainPID").await?.cast_signed() != pid {
        return Ok(false);
    }
    // Or systemd would refuse where it was restarted often in the last seconds, and leave it dead.
    systemd.call::<()>("ResetFailedUnit", &(UNIT,)).await?;
    systemd.call::<OwnedObjectPath>("RestartUnit", &(UNIT, "replace")).await?;
    Ok(true)
}

/// Whether a NIC is there and managed.
async fn manages(bus: &Bus, nic: &IfName) -> Result<bool, ManagerError> {
    let Some(link) = link(bus, nic).await? else { return Ok(false) };
    match link.get::<String>("AdministrativeState").await {
        // networkctl(1), "list": `linger` is one that is gone.
        Ok(state) => Ok(!matches!(state.as_str(), "unmanaged" | "linger")),
        Err(error) if error.is_gone() => Ok(false),
        Err(error) => Err(error),
    }
}

async fn link<'a>(bus: &'a Bus, nic: &IfName) -> Result<Option<Object<'a>>, ManagerError> {
    let manager = bus.object(SERVICE, PATH, MANAGER)?;
    match manager.call::<(i32, OwnedObjectPath)>("GetLinkByName", &(nic.as_str(),)).await {
        Ok((_, path)) => bus.object(SERVICE, &path, LINK).map(Some),
        Err(error) if error.is_answer(NO_SUCH_LINK) || error.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The file of a NIC. Of all files that fit a link, the first by name counts.
fn path_of(nic: &IfName) -> PathBuf {
    Path::new(DIRECTORY).join(format!("00-nslab-{nic}.network"))
}

fn text(nic: &IfName, ours: &[IfName]) -> String {
    let names: Vec<&str> = std::iter::once(nic).chain(ours).map(IfName::as_str).collect();
    format!("{MARK}[Match]\nName={}\n\n[Link]\nUnmanaged=yes\n", names.join(" "))
}

/// Whether nslab's file is there.
fn is_there(path: &Path) -> Result<bool, HostError> {
    match fs::read_to_string(path) {
        Ok(text) if text.starts_with(MARK) => Ok(true),
        Ok(_) => {
            Err(HostError::NotOurs { path: path.to_owned(), found: "it does not begin with nslab's mark".to_owned() })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).on_file("read", path),
    }
}

/// Writes the file, whatever the umask: systemd-networkd is no root.
fn write(nic: &IfName, ours: &[IfName]) -> Result<(), HostError> {
    const MODE: u32 = 0o644;
    directory::make_all(Path::new(DIRECTORY)).on_file("make", Path::new(DIRECTORY))?;
    let path = path_of(nic);
    is_there(&path)?;
    // Beside it, and then moved: half a file would be read as what it says so far. Only `.network` files are read.
    let new = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&new)?;
        file.set_permissions(fs::Permissions::from_mode(MODE))?;
        file.write_all(text(nic, ours).as_bytes())
    };
    write().on_file("write", &new)?;
    fs::rename(&new, &path).on_file("write", &path)
}

/// Removes the file where it is nslab's, and the directory where nslab made it and nothing else is in it. Gives whether the
/// file was there.
pub(super) fn remove_file(nic: &IfName, had_runtime_directory: bool) -> Result<bool, HostError> {
    let path = path_of(nic);
    let was_there = is_there(&path)?;
    if was_there {
        fs::remove_file(&path).on_file("remove", &path)?;
    }
    match fs::remove_file(path.with_extension("new")) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).on_file("remove", &path),
        _ => {}
    }
    if !had_runtime_directory {
        remove_directory_if_empty(Path::new(DIRECTORY))?;
    }
    Ok(was_there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_says_by_what_servers_know_the_client() {
        let lease = "# This is private data. Do not parse.\nADDRESS=192.0.2.106\nLIFETIME=120\nCLIENTID=ff12345678ab\n";
        assert_eq!(client_id_in(lease), ClientId::try_from("ff12345678ab").ok());
        assert_eq!(client_id_in("ADDRESS=192.0.2.106\nCLIENTID=?\n"), None);
        assert_eq!(client_id_in(""), None);
    }

    #[test]
    fn the_file_names_the_nic_and_what_nslab_made() {
        let name = |name: &str| IfName::try_from(name).unwrap();
        let text = text(&name("eth0"), &[name("lab-up")]);
        assert!(text.starts_with(MARK) && text.contains("\nName=eth0 lab-up\n"), "{text}");
        assert_eq!(path_of(&name("eth0")), Path::new("/run/systemd/network/00-nslab-eth0.network"));
    }
}
