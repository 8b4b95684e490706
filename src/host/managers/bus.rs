//! The machine's system bus, and asking on it. Every question has a deadline.

use super::ManagerError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::ErrorKind;
use std::time::Duration;
use zbus::connection::Builder;
use zbus::names::OwnedErrorName;
use zbus::{Connection, DynamicType, OwnedObjectPath, OwnedVariant, Type, Variant, fdo};

/// How long the bus, or who is asked over it, may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Properties of objects (D-Bus specification, "org.freedesktop.DBus.Properties").
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// A connection to the system bus.
pub(super) struct Bus(Connection);

/// An interface of an object of somebody on the bus.
pub(super) struct Object<'a> {
    bus: &'a Bus,
    service: &'static str,
    path: OwnedObjectPath,
    interface: &'static str,
}

impl Bus {
    /// Connects to the system bus: at DBUS_SYSTEM_BUS_ADDRESS, or at its usual place. `None` where there is none.
    pub(super) async fn connect() -> Result<Option<Self>, ManagerError> {
        crate::name_service::without_libraries();
        match in_time("connect to the system bus", Builder::system().build()).await {
            Ok(connection) => Ok(Some(Self(connection))),
            // No socket, or one that was left by a bus which has ended.
            Err(ManagerError::Bus { source: zbus::Error::Connection(error, _), .. })
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What can be asked of an object by an interface.
    ///
    /// # Errors
    /// When the path is none.
    pub(super) fn object(
        &self,
        service: &'static str,
        path: &str,
        interface: &'static str,
    ) -> Result<Object<'_>, ManagerError> {
        let path = OwnedObjectPath::try_from(path)
            .map_err(|source| ManagerError::Bus { action: format!("ask {service} about {path:?}"), source })?;
        Ok(Object { bus: self, service, path, interface })
    }

    /// The process that has a name on the bus; `None` where nobody has it. Nobody is started for being asked.
    pub(super) async fn process_of(&self, service: &'static str) -> Result<Option<i32>, ManagerError> {
        let daemon = self.object("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")?;
        match daemon.call::<u32>("GetConnectionUnixProcessID", &(service,)).await {
            Ok(pid) => Ok(Some(pid.cast_signed())),
            Err(ManagerError::Bus { source: zbus::Error::FDO(error), .. })
                if matches!(*error, fdo::Error::NameHasNoOwner(_)) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Object<'_> {
    /// Where it is.
    pub(super) fn path(&self) -> &OwnedObjectPath {
        &self.path
    }

    /// Calls a method and gives what it returns.
    pub(super) async fn call<R: DeserializeOwned + Type>(
        &self,
        method: &'static str,
        arguments: &(impl Serialize + DynamicType),
    ) -> Result<R, ManagerError> {
        self.call_on(self.interface, method, arguments).await
    }

    /// A property's value.
    pub(super) async fn get<T>(&self, property: &'static str) -> Result<T, ManagerError>
    where
        T: TryFrom<OwnedVariant>,
        T::Error: Into<zbus::Error>,
    {
        let value: OwnedVariant = self.call_on(PROPERTIES, "Get", &(self.interface, property)).await?;
        T::try_from(value).map_err(|source| self.failed(property, source.into()))
    }

    /// Sets a property.
    pub(super) async fn set(&self, property: &'static str, value: bool) -> Result<(), ManagerError> {
        self.call_on(PROPERTIES, "Set", &(self.interface, property, Variant::from(value))).await
    }

    async fn call_on<R: DeserializeOwned + Type>(
        &self,
        interface: &'static str,
        method: &'static str,
        arguments: &(impl Serialize + DynamicType),
    ) -> Result<R, ManagerError> {
        let what = format!("ask {} for {interface}.{method}", self.service);
        let call = self.bus.0.call_method(Some(self.service), &self.path, Some(interface), method, arguments);
        let answer = in_time(&what, call).await?;
        answer.body().deserialize_ignore_signature().map_err(|source| ManagerError::Bus { action: what, source })
    }

    fn failed(&self, property: &str, source: zbus::Error) -> ManagerError {
        ManagerError::Bus { action: format!("read {property} of {}", self.service), source }
    }
}

impl ManagerError {
    /// Whether somebody on the bus answered with an error of this name.
    pub(super) fn is_answer(&self, name: &str) -> bool {
        let is = |found: &OwnedErrorName| found.as_str() == name;
        matches!(self, Self::Bus { source: zbus::Error::MethodError(found, ..), .. } if is(found))
    }

    /// Whether the object that was asked about has gone, or the one who knew it has.
    pub(super) fn is_gone(&self) -> bool {
        let gone = |error: &fdo::Error| {
            matches!(
                error,
                fdo::Error::UnknownObject(_)
                    | fdo::Error::UnknownMethod(_)
                    | fdo::Error::UnknownInterface(_)
                    | fdo::Error::ServiceUnknown(_)
                    | fdo::Error::NameHasNoOwner(_)
                    | fdo::Error::NoReply(_)
            )
        };
        matches!(self, Self::Bus { source: zbus::Error::FDO(error), .. } if gone(error))
    }
}

async fn in_time<T>(action: &str, future: impl Future<Output = zbus::Result<T>>) -> Result<T, ManagerError> {
    match tokio::time::timeout(ANSWER, future).await {
        Ok(result) => result.map_err(|source| ManagerError::Bus { action: action.to_owned(), source }),
        Err(_) => Err(ManagerError::Silent { action: action.to_owned(), after: ANSWER }),
    }
}
