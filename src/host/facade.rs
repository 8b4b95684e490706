//! [`Host`]: namespaces, their parameters, and the files that go by their names.
//!
//! Links, addresses and routes are in `links`, what is read back in `observe`.

use super::error::NetlinkContext;
use super::netlink::{self, Connection};
use super::netns::{self, Pool};
use super::{HostError, names, sysctl};
use crate::model::{HostsFile, NameDirectory, Netns, NetnsName, PinName, Sysctl, Volume};
use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long the kernel may take to clean up after namespaces. A thousand take it less than a second.
const CLEANUP: Duration = Duration::from_mins(1);

/// The machine. Cloning is cheap and shares the pool.
#[derive(Clone, Default)]
pub struct Host {
    pool: Pool,
    /// Held while a link is made. The kernel makes one at a time (rtnl_mutex), and two threads that fight over it take
    /// a quarter longer than one that has it.
    pub(super) making_link: Arc<tokio::sync::Mutex<()>>,
}

impl Host {
    /// The machine as the calling thread sees it: its network namespace is "the host".
    pub fn new() -> Self {
        Self::default()
    }

    /// The threads that step into namespaces.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Sees to it that there is this volume.
    ///
    /// # Errors
    /// When it can't be made, or mkfs for its file system is missing.
    ///
    /// # Cancel safety
    /// What was begun is done to its end.
    pub async fn ensure_volume(&self, volume: &Volume) -> Result<(), HostError> {
        let volume = volume.clone();
        self.job(move || super::volumes::ensure(&volume)).await
    }

    /// Removes a volume, and with the last one the mount namespace that they are in; fine where there is none.
    ///
    /// # Errors
    /// When the kernel refuses.
    ///
    /// # Cancel safety
    /// What was begun is done to its end.
    pub async fn remove_volume(&self, volume: &Volume) -> Result<(), HostError> {
        let volume = volume.clone();
        self.job(move || super::volumes::remove(&volume)).await
    }

    /// Where volumes are in the mount namespace that this pins; `None` where nothing is there.
    ///
    /// # Errors
    /// When it can't be entered.
    pub async fn observe_volumes(&self, pin: &Path) -> Result<Option<BTreeSet<PathBuf>>, HostError> {
        let pin = pin.to_owned();
        self.job(move || super::volumes::observe_volumes(&pin)).await
    }

    /// Runs a job on a thread of the pool.
    pub(super) async fn job<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, HostError> + Send + 'static,
    ) -> Result<T, HostError> {
        self.pool.run(job).await?
    }

    /// Runs a job on a thread inside a namespace.
    pub(super) async fn inside<T: Send + 'static>(
        &self,
        name: &NetnsName,
        job: impl FnOnce() -> Result<T, HostError> + Send + 'static,
    ) -> Result<T, HostError> {
        let name = name.clone();
        self.job(move || {
            netns::enter(&name, &netns::open(&name)?)?;
            job()
        })
        .await
    }

    /// Runs a job on a thread inside a namespace, with a netlink socket there.
    pub(super) async fn connected<T: Send + 'static>(
        &self,
        name: &NetnsName,
        job: impl FnOnce(&mut Connection) -> Result<T, HostError> + Send + 'static,
    ) -> Result<T, HostError> {
        let object = name.clone();
        self.inside(name, move || job(&mut Connection::open().when("look into", object)?)).await
    }

    /// Makes and pins a namespace with its mark, its `lo` up; one that is there and carries the mark is left as it is.
    /// /run/netns must be there: [`ensure_pin_directory`](super::ensure_pin_directory).
    ///
    /// # Errors
    /// [`HostError::NotOurs`] where something else has the name; what the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn ensure_netns(&self, netns: &Netns) -> Result<(), HostError> {
        let netns = netns.clone();
        self.job(move || netns::ensure(&netns)).await
    }

    /// Waits until the kernel has cleaned up after every namespace that was given up before.
    ///
    /// # Errors
    /// [`HostError::NamespacesStay`] where it takes longer than a minute; what the kernel refuses.
    ///
    /// # Cancel safety
    /// Nothing is lost by not waiting.
    pub async fn wait_for_namespaces_gone(&self) -> Result<(), HostError> {
        let plant = || {
            netns::unshare_netns("(a scratch one)")?;
            let (watched, connection) = (netns::own_netns()?, Connection::open().when("look into", "a new namespace")?);
            netns::unshare_netns("(a scratch one)")?;
            netlink::plant(connection, watched.as_fd()).when("make", "a veth pair between new namespaces")
        };
        let sentinel = self.job(plant).await?;
        match tokio::time::timeout(CLEANUP, sentinel.wait()).await {
            Ok(result) => result.when("wait for", "network namespaces to be gone"),
            Err(_) => Err(HostError::NamespacesStay(CLEANUP.as_secs())),
        }
    }

    /// Sets a namespace's `lo` up.
    ///
    /// # Errors
    /// When there is no such namespace, or what the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn set_loopback_up(&self, name: &PinName) -> Result<(), HostError> {
        let object = name.clone();
        self.connected(&name.clone().into(), move |c| netlink::set_loopback_up(c).when("set up lo of", object)).await
    }

    /// Sets a parameter of a namespace's network stack.
    ///
    /// # Errors
    /// When there is no such namespace or parameter, or the kernel does not take the value.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn set_sysctl(&self, parameter: &Sysctl) -> Result<(), HostError> {
        let job_parameter = parameter.clone();
        self.inside(&parameter.netns, move || sysctl::set(&job_parameter)).await
    }

    /// Writes a hosts file, making its directory (mode 0755) where it isn't there. Readers see the old or the new one.
    ///
    /// # Errors
    /// When it can't be written.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn write_hosts(&self, file: &HostsFile) -> Result<(), HostError> {
        let file = file.clone();
        self.job(move || names::write_hosts(&file)).await
    }

    /// Removes a hosts file, and its directory where nothing else is in it.
    ///
    /// # Errors
    /// When it can't be removed.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn remove_hosts(&self, file: &HostsFile) -> Result<(), HostError> {
        let file = file.clone();
        self.job(move || names::remove_hosts(&file)).await
    }

    /// Makes /etc/netns/NAME, and /etc/netns where it isn't there.
    ///
    /// # Errors
    /// [`HostError::NotOurs`] where something else has the name; when it can't be made.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn ensure_name_directory(&self, name: &NameDirectory) -> Result<(), HostError> {
        let name = name.clone();
        self.job(move || names::ensure_name_directory(&name)).await
    }

    /// Removes /etc/netns/NAME; /etc/netns itself stays: [`remove_names_directory`](super::remove_names_directory).
    ///
    /// # Errors
    /// [`HostError::NotOurs`] where something else has the name; when it can't be removed.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn remove_name_directory(&self, name: &NameDirectory) -> Result<(), HostError> {
        let name = name.clone();
        self.job(move || names::remove_name_directory(&name)).await
    }
}
