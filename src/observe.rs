//! Gathers what is on the machine of all that a plan has to know.

use crate::desired::Resources;
use crate::host::{self, Host, HostError, Look};
use crate::launcher::{self, Launch, Output, Record};
use crate::model::ovs::{OvsRows, OvsTable, OvsdbServer};
use crate::model::{IfName, Interface, LabName, LimitedGroup, NetnsName, NodeContainer, PinName, SysctlKey, Uplink};
use crate::observed::nat::NatView;
use crate::observed::{Observed, ObservedContainer, Pin};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// How many namespaces are looked into at once.
const AT_ONCE: usize = 16;

/// What to look at: everything that is desired, and everything that was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    namespaces: BTreeMap<PinName, Look>,
    /// What may be written down of containers, by the directory that it is in.
    containers: BTreeMap<PathBuf, NodeContainer>,
    groups: BTreeMap<PathBuf, LimitedGroup>,
    /// Volumes, by what pins their namespace and where they are.
    volumes: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// Interfaces in the host's own namespace.
    host_links: BTreeSet<IfName>,
    hosts_directories: BTreeSet<PathBuf>,
    /// Sysctls whose value before nslab has to be known.
    pristine: BTreeSet<SysctlKey>,
    vlans: bool,
    /// Whether it has to be known which queueing disciplines there are.
    qdiscs: bool,
    /// Whether a bridge has to snoop on multicast.
    mcast_snooping: bool,
    /// Parameters of the host's own network stack.
    host_sysctls: BTreeSet<SysctlKey>,
    /// Namespaces in which routers may be advertised.
    advertisers: BTreeSet<PinName>,
    /// A NIC that is or is to be an uplink.
    uplink: Option<Uplink>,
    /// Namespaces in which DHCP leases may be held.
    dhcp_clients: BTreeSet<PinName>,
    /// Interfaces in the host's namespace of which it is wanted whether the kernel makes their checksums.
    host_checksums: BTreeSet<IfName>,
    /// Tables of the host's packet filter.
    nat_tables: BTreeSet<String>,
    /// The database of Open vSwitch, and whose rows in it.
    ovs: Option<(OvsdbServer, LabName)>,
}

impl Scope {
    /// All that concerns these resources.
    pub fn of(resources: &[&Resources]) -> Self {
        let mut scope = Self::default();
        for resources in resources {
            for netns in &resources.netns {
                scope.namespaces.entry(netns.name.clone()).or_default();
            }
            if !resources.advertisers.is_empty() {
                scope.advertisers.extend(resources.netns.iter().map(|netns| netns.name.clone()));
            }
            if !resources.dhcp_clients.is_empty() {
                scope.dhcp_clients.extend(resources.netns.iter().map(|netns| netns.name.clone()));
            }
            for directory in &resources.name_directories {
                scope.namespaces.entry(directory.netns.clone()).or_default();
            }
            for sysctl in &resources.sysctls {
                if let Some(name) = sysctl.netns.pinned() {
                    scope.namespaces.entry(name.clone()).or_default().sysctls.push(sysctl.key.clone());
                } else {
                    scope.host_sysctls.extend(sysctl.key.of_all_interfaces());
                    scope.host_sysctls.insert(sysctl.key.clone());
                    scope.host_links.extend(sysctl.key.interface());
                }
                scope.pristine.insert(sysctl.key.clone());
            }
            for end in resources.veths.iter().flat_map(|veth| [&veth.a, &veth.b]) {
                let Interface { netns, name } = &end.interface;
                match netns.pinned() {
                    None => {
                        scope.host_links.insert(name.clone());
                        scope.host_checksums.extend(end.software_checksums.then(|| name.clone()));
                    }
                    Some(netns) if end.software_checksums => {
                        scope.namespaces.entry(netns.clone()).or_default().checksums.insert(name.clone());
                    }
                    Some(_) => {}
                }
            }
            scope.host_links.extend(resources.host_bridge.iter().map(|bridge| bridge.name.clone()));
            if let Some(ovs) = resources.uplink.as_ref().and_then(Uplink::ovs) {
                scope.ovs = Some((ovs.rows.server.clone(), ovs.rows.lab.clone()));
            }
            // That of the journal comes last: it is the one that is there.
            scope.uplink = resources.uplink.clone().or(scope.uplink);
            if let Some(OvsRows { server, lab, rows: _ }) = &resources.ovs {
                scope.ovs = Some((server.clone(), lab.clone()));
            }
            let bridges = resources.ovs.iter().flat_map(|ovs| &ovs.rows).filter(|row| row.id.table == OvsTable::Bridge);
            scope.host_links.extend(bridges.filter_map(|row| IfName::try_from(row.name()?).ok()));
            scope.containers.extend(resources.containers.iter().map(|of| (of.directory.clone(), of.clone())));
            scope.groups.extend(resources.groups.iter().map(|group| (group.cgroup.clone(), group.clone())));
            for volume in &resources.volumes {
                scope.volumes.entry(volume.namespace.clone()).or_default().insert(volume.at.clone());
            }
            scope.hosts_directories.extend(resources.hosts_files.iter().map(|file| file.directory.clone()));
            scope.nat_tables.extend(resources.nat_tables.iter().map(|table| table.name.clone()));
            scope.qdiscs |= !resources.qdiscs.is_empty();
            scope.vlans |= !resources.port_vlans.is_empty();
            scope.mcast_snooping |= resources.bridges.iter().any(|bridge| bridge.mcast_snooping == Some(true));
        }
        for look in scope.namespaces.values_mut() {
            look.sysctls.sort();
            look.sysctls.dedup();
            look.vlans = scope.vlans;
        }
        scope
    }

    /// The same, and what went through the interfaces of one namespace.
    #[must_use]
    pub fn with_statistics_of(mut self, netns: &PinName) -> Self {
        if let Some(look) = self.namespaces.get_mut(netns) {
            look.statistics = true;
        }
        self
    }
}

/// Whether the caller may make and enter namespaces; without, only what needs no privilege is observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// It may.
    Full,
    /// It may not.
    None,
}

/// Looks at everything in `scope`.
///
/// # Errors
/// When the kernel refuses to tell; that something isn't there is no error.
pub async fn gather(host: &Host, scope: &Scope, privilege: Privilege) -> Result<Observed, HostError> {
    let mut observed = Observed::default();
    for name in scope.namespaces.keys() {
        if let Some(entry) = host::observe_name_directory(name)? {
            observed.name_directories.insert(name.clone(), entry);
        }
    }
    for directory in &scope.hosts_directories {
        if let Some(names) = host::observe_names(directory)? {
            observed.hosts_files.insert(directory.clone(), names);
        }
    }
    for (directory, of) in &scope.containers {
        if let Some(container) = observe_container(of) {
            observed.containers.insert(directory.clone(), container);
        }
    }
    for (cgroup, group) in &scope.groups {
        // What can't be told is not there.
        let state = launcher::group_limits(cgroup, &group.limits).ok().flatten();
        observed.groups.extend(state.map(|state| (cgroup.clone(), state)));
    }
    for (pin, known) in &scope.volumes {
        let there = match privilege {
            Privilege::Full => host.observe_volumes(pin).await?,
            // Nobody but root may look: what was made is taken for being there.
            Privilege::None => pin.exists().then(|| known.clone()),
        };
        if let Some(there) = there {
            observed.volumes.insert(pin.clone(), there);
        }
    }
    observed.namespaces = stream::iter(&scope.namespaces)
        .map(|(name, look)| async move {
            let pin = host.observe_pin(name, look).await?;
            Ok::<_, HostError>(pin.map(|pin| (NetnsName::from(name.clone()), pin)))
        })
        .buffer_unordered(AT_ONCE)
        .try_filter_map(|pin| async { Ok(pin) })
        .try_collect()
        .await?;
    if !scope.advertisers.is_empty() {
        for (name, advertisers) in host.observe_advertisers(&scope.advertisers).await? {
            if let Some(Pin::Namespace(inside)) = observed.namespaces.get_mut(&NetnsName::from(name)) {
                inside.advertisers = advertisers;
            }
        }
    }
    if !scope.dhcp_clients.is_empty() {
        for (name, clients) in host.observe_dhcp_clients(&scope.dhcp_clients).await? {
            if let Some(Pin::Namespace(inside)) = observed.namespaces.get_mut(&NetnsName::from(name)) {
                inside.dhcp_clients = clients;
            }
        }
    }
    if !scope.host_links.is_empty() {
        let inside = host.observe_host(&scope.host_links, &scope.host_sysctls, &scope.host_checksums).await?;
        observed.namespaces.insert(NetnsName::Host, Pin::Namespace(inside));
    }
    if let Some(uplink) = &scope.uplink {
        observed.uplink = Some(host.observe_uplink(uplink).await?);
    }
    if let Some((server, lab)) = &scope.ovs {
        observed.ovs = host.observe_ovs(server, lab).await;
    }
    if !scope.nat_tables.is_empty() {
        observed.nat = match privilege {
            Privilege::Full => host.observe_nat(&scope.nat_tables).await?,
            Privilege::None if !host::has_nft() => NatView::NoProgram,
            Privilege::None => NatView::NotAsked,
        };
    }
    if privilege == Privilege::Full {
        if scope.vlans || scope.mcast_snooping {
            observed.kernel = host.probe_bridges().await?;
        }
        if scope.qdiscs {
            observed.kernel.qdiscs = Some(host.probe_qdiscs().await?);
        }
        if !scope.pristine.is_empty() {
            let keys: Vec<SysctlKey> = scope.pristine.iter().cloned().collect();
            observed.pristine_sysctls = host.pristine_sysctls(&keys).await?;
        }
    }
    Ok(observed)
}

/// What is written down of a container; `None` where nothing is.
fn observe_container(of: &NodeContainer) -> Option<ObservedContainer> {
    if !of.directory.exists() {
        return None;
    }
    // What can't be read was not written to its end.
    let Some(record) = Record::read(&of.directory).ok().flatten() else {
        return Some(ObservedContainer { started_as: None, runs: false });
    };
    let runs = record.is_alive();
    // What can't be told is taken for what is written down.
    let limits = if runs { launcher::limits_now(&record).ok() } else { None };
    let Launch { name: _, mut container, cgroup, output, verbose: _ } = record.launch;
    let terminal = matches!(output, Output::Detached { terminal: true, .. });
    let cgroup = cgroup.unwrap_or_default();
    container.limits = limits.unwrap_or(container.limits);
    Some(ObservedContainer { started_as: Some(NodeContainer { container, cgroup, terminal, ..of.clone() }), runs })
}
