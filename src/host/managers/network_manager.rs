//! NetworkManager: a NIC is let go of by its device's properties (NetworkManager's D-Bus API, nm-dbus-interface.h).
//!
//! A device whose `Managed` is set to false keeps its addresses and routes, and no lease is given back. NetworkManager
//! remembers it in /run over a restart of its own. Of one that it has no profile on, only `Autoconnect` is set to false:
//! made managed again, it would be connected by whatever profile fits, as it was not before.

use super::bus::{Bus, Object};
use super::{ManagerError, wait_for};
use crate::model::{ClientId, Holder, IfName, Profile};
use std::collections::HashMap;
use std::time::Duration;
use zbus::{OwnedObjectPath, OwnedVariant};

/// Its name on the bus.
pub(super) const SERVICE: &str = "org.freedesktop.NetworkManager";

const PATH: &str = "/org/freedesktop/NetworkManager";
const SETTINGS_PATH: &str = "/org/freedesktop/NetworkManager/Settings";
const DEVICE: &str = "org.freedesktop.NetworkManager.Device";
const ACTIVE: &str = "org.freedesktop.NetworkManager.Connection.Active";
const LEASE: &str = "org.freedesktop.NetworkManager.DHCP4Config";
const SETTINGS: &str = "org.freedesktop.NetworkManager.Settings";

/// NM_DEVICE_STATE_UNMANAGED, NM_DEVICE_STATE_DISCONNECTED: from there on a device can be connected.
const UNMANAGED: u32 = 10;
const DISCONNECTED: u32 = 30;

/// NM_ACTIVATION_STATE_FLAG_EXTERNAL: the "profile" is what NetworkManager found there.
const EXTERNAL: u32 = 0x80;

/// The path that stands for no object.
const NOTHING: &str = "/";

/// How long a device may take to become unmanaged.
const RELEASE: Duration = Duration::from_secs(5);

/// How long one may take to be ready for its profile. One without a carrier is not: it is connected when it gets it.
const READY: Duration = Duration::from_secs(5);

/// The answers by which it says that it knows no such device or profile.
const UNKNOWN_DEVICE: &str = "org.freedesktop.NetworkManager.UnknownDevice";
const INVALID_CONNECTION: &str = "org.freedesktop.NetworkManager.Settings.InvalidConnection";

/// Whether NetworkManager manages the NIC, and how.
pub(super) async fn find(bus: &Bus, nic: &IfName) -> Result<Option<Holder>, ManagerError> {
    let Some(device) = device(bus, nic).await? else { return Ok(None) };
    if !device.get::<bool>("Managed").await? {
        return Ok(None);
    }
    let (profile, autoconnect) = (profile(bus, &device).await?, device.get("Autoconnect").await?);
    Ok(Some(Holder::NetworkManager { profile, autoconnect }))
}

/// By what a server knows NetworkManager as the client that has the NIC's lease; `None` where it has none.
pub(super) async fn client_id(bus: &Bus, nic: &IfName) -> Result<Option<ClientId>, ManagerError> {
    let Some(device) = device(bus, nic).await? else { return Ok(None) };
    let read = async {
        let path: OwnedObjectPath = device.get("Dhcp4Config").await?;
        if path.as_str() == NOTHING {
            return Ok(None);
        }
        let options: HashMap<String, OwnedVariant> = bus.object(SERVICE, &path, LEASE)?.get("Options").await?;
        let told = options.get("dhcp_client_identifier").and_then(|value| <&str>::try_from(value).ok());
        // What is not written as bytes is a text (nm-settings(5), ipv4.dhcp-client-id).
        Ok(told.and_then(|told| told.parse().ok().or_else(|| ClientId::of_text(told))))
    };
    read.await.or_else(none_where_gone)
}

/// Has NetworkManager let go of the NIC. That it does not run, or does not know the NIC, is fine.
pub(super) async fn release(bus: &Bus, holder: &Holder, has_profile: bool, nic: &IfName) -> Result<(), ManagerError> {
    let Some(device) = device(bus, nic).await? else { return Ok(()) };
    if !has_profile {
        return device.set("Autoconnect", false).await;
    }
    device.set("Managed", false).await?;
    let unmanaged = || async { Ok(device.get::<u32>("State").await? == UNMANAGED) };
    if wait_for(RELEASE, unmanaged).await? {
        return Ok(());
    }
    Err(ManagerError::Holds { holder: holder.clone(), nic: nic.clone(), after: RELEASE })
}

/// Has NetworkManager take the NIC back, with the profile that was on it.
pub(super) async fn take_back(
    bus: &Bus,
    profile: Option<&Profile>,
    autoconnect: bool,
    nic: &IfName,
) -> Result<(), ManagerError> {
    let Some(device) = device(bus, nic).await? else { return Ok(()) };
    let Some(profile) = profile else { return device.set("Autoconnect", autoconnect).await };
    device.set("Managed", true).await?;
    device.set("Autoconnect", autoconnect).await?;
    let ready = || async { Ok(device.get::<u32>("State").await? >= DISCONNECTED) };
    if !wait_for(READY, ready).await? || active_uuid(bus, &device).await?.as_deref() == Some(&profile.uuid) {
        return Ok(());
    }
    activate(bus, &device, profile).await
}

/// Puts a profile on a device; one that was deleted meanwhile is left to NetworkManager.
async fn activate(bus: &Bus, device: &Object<'_>, profile: &Profile) -> Result<(), ManagerError> {
    let settings = bus.object(SERVICE, SETTINGS_PATH, SETTINGS)?;
    let connection: OwnedObjectPath = match settings.call("GetConnectionByUuid", &(profile.uuid.as_str(),)).await {
        Err(error) if error.is_answer(INVALID_CONNECTION) => return Ok(()),
        found => found?,
    };
    let none = OwnedObjectPath::try_from(NOTHING)
        .map_err(|source| ManagerError::Bus { action: "name no object".to_owned(), source })?;
    let manager = bus.object(SERVICE, PATH, SERVICE)?;
    manager.call::<OwnedObjectPath>("ActivateConnection", &(connection, device.path(), none)).await.map(drop)
}

/// The NIC as NetworkManager knows it.
async fn device<'a>(bus: &'a Bus, nic: &IfName) -> Result<Option<Object<'a>>, ManagerError> {
    let manager = bus.object(SERVICE, PATH, SERVICE)?;
    match manager.call::<OwnedObjectPath>("GetDeviceByIpIface", &(nic.as_str(),)).await {
        Ok(path) => bus.object(SERVICE, &path, DEVICE).map(Some),
        Err(error) if error.is_answer(UNKNOWN_DEVICE) || error.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The profile that a device goes by; none where NetworkManager just looks on.
async fn profile(bus: &Bus, device: &Object<'_>) -> Result<Option<Profile>, ManagerError> {
    let Some(active) = active(bus, device).await? else { return Ok(None) };
    let read = async {
        if active.get::<u32>("StateFlags").await? & EXTERNAL != 0 {
            return Ok(None);
        }
        Ok(Some(Profile { name: active.get("Id").await?, uuid: active.get("Uuid").await? }))
    };
    read.await.or_else(none_where_gone)
}

/// The profile that is on a device, or about to be.
async fn active_uuid(bus: &Bus, device: &Object<'_>) -> Result<Option<String>, ManagerError> {
    let Some(active) = active(bus, device).await? else { return Ok(None) };
    active.get("Uuid").await.map(Some).or_else(none_where_gone)
}

async fn active<'a>(bus: &'a Bus, device: &Object<'_>) -> Result<Option<Object<'a>>, ManagerError> {
    let path: OwnedObjectPath = device.get("ActiveConnection").await?;
    if path.as_str() == NOTHING { Ok(None) } else { bus.object(SERVICE, &path, ACTIVE).map(Some) }
}

/// A connection that ended while it was looked at.
fn none_where_gone<T>(error: ManagerError) -> Result<Option<T>, ManagerError> {
    if error.is_gone() { Ok(None) } else { Err(error) }
}
