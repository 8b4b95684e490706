//! [`Host`]'s DHCP clients: starting one, stopping it, and seeing what runs.

use super::{KIND, resolver};
use crate::fault;
use crate::host::error::FileContext;
use crate::host::facade::Host;
use crate::host::netns::{self, PinFile};
use crate::host::processes::{self, Processes};
use crate::host::{HostError, PIN_DIRECTORY, dhcp, helper};
use crate::model::{DhcpClient, IfName, Leased, PinName};
use crate::process::words_of;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use tokio::process::Child;

/// How long a holder may take beyond the time that a server may.
const BEGINNING: Duration = Duration::from_secs(10);

/// The lease that a process holds, where it is a holder in a namespace of this name that has one.
fn held(pid: i32, netns: &str) -> Option<Leased> {
    helper::arguments_of(KIND, pid, netns)?.first()?.parse().ok()
}

/// Whether a process is a holder for this interface, or about to become one, or nobody knows for which.
fn is_for(pid: i32, interface: &IfName) -> bool {
    let interface_of = |word: &String| word.split_once('=').map(|(name, _)| name.to_owned());
    helper::is_one(KIND, pid)
        && words_of(pid).get(3).and_then(interface_of).is_none_or(|name| name == interface.as_str())
}

fn scan() -> Result<Processes, HostError> {
    Processes::scan().on_file("read", Path::new("/proc"))
}

impl Host {
    /// Starts the process that takes a lease for an interface and holds it, unless it runs, and waits until the interface has
    /// the lease's address; one for the same interface that was told something else is stopped.
    ///
    /// # Errors
    /// [`HostError::NoHelper`] in a program that never called [`become_helper`](crate::host::become_helper);
    /// [`HostError::DhcpClient`] where no server gives a lease; when there is no such namespace or interface.
    ///
    /// # Cancel safety
    /// A process that was started ends by itself unless it has a lease.
    pub async fn ensure_dhcp_client(&self, of: &DhcpClient) -> Result<(), HostError> {
        let netns = &of.netns.name;
        if !helper::is_prepared() {
            return Err(HostError::NoHelper);
        }
        let (inode, running) = self.holders_of(of).await?.ok_or_else(|| HostError::NoNetns(netns.clone()))?;
        if let [pid] = running.as_slice()
            && held(*pid, netns.as_str()).as_ref() == Some(&of.leased)
        {
            return Ok(());
        }
        processes::end(netns, inode, &running).await?;
        let wanted = of.clone();
        let child = self.job(move || start(&wanted)).await?;
        fault::point(|| format!("before the DHCP client of {} has a lease", of.interface()));
        let patience = Duration::from_secs(of.leased.patience_s.into()) + BEGINNING;
        let failed = |said| HostError::DhcpClient { interface: of.interface(), said };
        helper::has_begun(child, patience).await.map_err(failed)
    }

    /// Stops the process that holds an interface's lease, and takes from the interface what the lease gave it. The server is
    /// not told: the interface gets the same address when it asks again. That there is none of it is fine.
    ///
    /// # Errors
    /// When it can't be ended; what the kernel refuses.
    ///
    /// # Cancel safety
    /// Signals that were sent stay sent.
    pub async fn remove_dhcp_client(&self, of: &DhcpClient) -> Result<(), HostError> {
        let Some((inode, running)) = self.holders_of(of).await? else { return Ok(()) };
        processes::end(&of.netns.name, inode, &running).await?;
        let of = of.clone();
        self.job(move || {
            netns::enter(&of.netns.name.clone().into(), &netns::open_pin(&of.netns.name)?)?;
            netns::require_own(&of.netns)?;
            dhcp::let_go(&of.leased.interface)?;
            of.leased.resolver.as_deref().map_or(Ok(()), resolver::remove)
        })
        .await
    }

    /// The leases that are held in namespaces, process by process.
    ///
    /// # Errors
    /// When /proc, or what stands in /run/netns, can't be looked at.
    pub async fn observe_dhcp_clients(
        &self,
        names: &BTreeSet<PinName>,
    ) -> Result<BTreeMap<PinName, Vec<Leased>>, HostError> {
        let names = names.clone();
        self.job(move || {
            let running = scan()?;
            let mut found = BTreeMap::new();
            for name in names {
                let PinFile::Netns { inode, .. } = netns::look(&name)? else { continue };
                let mut held: Vec<Leased> =
                    running.in_netns(inode).iter().filter_map(|pid| held(*pid, name.as_str())).collect();
                held.sort();
                found.insert(name, held);
            }
            Ok(found)
        })
        .await
    }

    /// The inode of a client's namespace, and the processes in it that are for its interface.
    async fn holders_of(&self, of: &DhcpClient) -> Result<Option<(u64, Vec<i32>)>, HostError> {
        let (name, interface) = (of.netns.name.clone(), of.leased.interface.clone());
        self.job(move || {
            let PinFile::Netns { inode, .. } = netns::look(&name)? else { return Ok(None) };
            let found = scan()?.in_netns(inode).iter().copied().filter(|pid| is_for(*pid, &interface)).collect();
            Ok(Some((inode, found)))
        })
        .await
    }
}

/// Runs on a thread of the pool: a child is born into the namespace that the thread is in.
fn start(of: &DhcpClient) -> Result<Child, HostError> {
    let DhcpClient { netns, leased } = of;
    netns::enter(&netns.name.clone().into(), &netns::open_pin(&netns.name)?)?;
    netns::require_own(netns)?;
    helper::spawn(KIND, netns.name.as_str(), &[leased.to_string()]).map_err(|source| HostError::DhcpClient {
        interface: of.interface(),
        said: format!("its client can't be started in {PIN_DIRECTORY}/{}: {source}", netns.name),
    })
}
