//! [`Host`]'s senders of router advertisements: starting one, stopping it, and seeing what runs.

use super::KIND;
use crate::fault;
use crate::host::error::{FileContext, NetlinkContext};
use crate::host::facade::Host;
use crate::host::helper;
use crate::host::netlink::{self, Connection};
use crate::host::netns::{self, PinFile};
use crate::host::processes::{self, Processes};
use crate::host::{HostError, PIN_DIRECTORY};
use crate::model::{Address, Advertised, Advertiser, Interface, Netns, PinName, SLAAC_PREFIX_LENGTH};
use ipnetwork::IpNetwork;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use tokio::process::Child;

/// How long a sender may take to begin.
const BEGINNING: Duration = Duration::from_secs(20);

/// What a sender says, where a process in a namespace of this name is one that has begun.
fn spoken(pid: i32, netns: &str) -> Option<Vec<Advertised>> {
    let interfaces = helper::arguments_of(KIND, pid, netns)?;
    // What another version of nslab says is not known, and made anew.
    Some(interfaces.iter().map(|text| text.parse().ok()).collect::<Option<_>>().unwrap_or_default())
}

fn scan() -> Result<Processes, HostError> {
    Processes::scan().on_file("read", Path::new("/proc"))
}

impl Host {
    /// Starts the process that advertises a router, unless it runs; one in the same namespace that says something else is
    /// stopped. Where that speaks from is seen to: an interface keeps the link-local address of a former MAC address.
    ///
    /// # Errors
    /// [`HostError::NoHelper`] in a program that never called [`become_helper`](crate::host::become_helper);
    /// [`HostError::Advertiser`] where the process does not begin; when there is no such namespace or interface.
    ///
    /// # Cancel safety
    /// A process that was started begins, or ends by itself.
    pub async fn ensure_advertiser(&self, of: &Advertiser) -> Result<(), HostError> {
        let netns = &of.netns.name;
        if !helper::is_prepared() {
            return Err(HostError::NoHelper);
        }
        let (inode, running) = self.senders_in(netns).await?.ok_or_else(|| HostError::NoNetns(netns.clone()))?;
        if let [pid] = running.as_slice()
            && spoken(*pid, netns.as_str()).as_ref() == Some(&of.interfaces)
        {
            return Ok(());
        }
        processes::end(netns, inode, &running).await?;
        let wanted = of.clone();
        let child = self.job(move || start(&wanted)).await?;
        fault::point(|| format!("before the sender in {netns} has begun"));
        let failed = |said: String| HostError::Advertiser { netns: netns.clone(), said };
        helper::has_begun(child, BEGINNING).await.map_err(failed)
    }

    /// Stops the process that advertises a router. That there is none, or no such namespace, is fine.
    ///
    /// # Errors
    /// When it can't be ended.
    ///
    /// # Cancel safety
    /// Signals that were sent stay sent.
    pub async fn remove_advertiser(&self, netns: &Netns) -> Result<(), HostError> {
        let Some((inode, running)) = self.senders_in(&netns.name).await? else { return Ok(()) };
        processes::end(&netns.name, inode, &running).await.map(drop)
    }

    /// What is advertised in namespaces, process by process.
    ///
    /// # Errors
    /// When /proc, or what stands in /run/netns, can't be looked at.
    pub async fn observe_advertisers(
        &self,
        names: &BTreeSet<PinName>,
    ) -> Result<BTreeMap<PinName, Vec<Vec<Advertised>>>, HostError> {
        let names = names.clone();
        self.job(move || {
            let running = scan()?;
            let mut found = BTreeMap::new();
            for name in names {
                let PinFile::Netns { inode, .. } = netns::look(&name)? else { continue };
                let spoken = running.in_netns(inode).iter().filter_map(|pid| spoken(*pid, name.as_str()));
                let spoken: Vec<Vec<Advertised>> = spoken.collect();
                found.insert(name, spoken);
            }
            Ok(found)
        })
        .await
    }

    /// The inode of a namespace, and the senders in it.
    async fn senders_in(&self, name: &PinName) -> Result<Option<(u64, Vec<i32>)>, HostError> {
        let name = name.clone();
        self.job(move || {
            let PinFile::Netns { inode, .. } = netns::look(&name)? else { return Ok(None) };
            let found = scan()?.in_netns(inode).iter().copied().filter(|pid| helper::is_one(KIND, *pid)).collect();
            Ok(Some((inode, found)))
        })
        .await
    }
}

/// Runs on a thread of the pool: a child is born into the namespace that the thread is in.
fn start(of: &Advertiser) -> Result<Child, HostError> {
    let Advertiser { netns, interfaces } = of;
    netns::enter(&netns.name.clone().into(), &netns::open_pin(&netns.name)?)?;
    netns::require_own(netns)?;
    let mut connection = Connection::open().when("look into", &netns.name)?;
    for on in interfaces {
        let interface = Interface { netns: netns.name.clone().into(), name: on.interface.clone() };
        if let Ok(address) = IpNetwork::new(on.mac.link_local().into(), SLAAC_PREFIX_LENGTH) {
            let address = Address { interface, address };
            netlink::ensure_address(&mut connection, &address)
                .when("give its link-local address to", &address.interface)?;
        }
    }
    let arguments: Vec<String> = interfaces.iter().map(ToString::to_string).collect();
    helper::spawn(KIND, netns.name.as_str(), &arguments).map_err(|source| HostError::Advertiser {
        netns: netns.name.clone(),
        said: format!("it can't be started in {PIN_DIRECTORY}/{}: {source}", netns.name),
    })
}
