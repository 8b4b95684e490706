//! A machine that only exists in a test: it does what a plan's ops say, with those of the kernel's side effects that a
//! plan has to know of, and refuses what the kernel would refuse.

use super::simulator_uplink::Nic;
use super::types::{LinkChange, Made, Master, Op, Plan};
use crate::desired::Resources;
use crate::model::nat::{FORWARD_PASS_RULES, IpFamily, NatChain};
use crate::model::ovs::{OvsChange, OvsRowId, OvsScalar, OvsTable, OvsThen, text_of};
use crate::model::qdisc::Qdiscs;
use crate::model::{
    Address, Advertised, Advertiser, Autoconfigured, Bridge, DhcpClient, GroupFwdMask, GroupState, HostsFile,
    Interface, Netns, NetnsName, PortFwdMask, PortVlans, Route, Sysctl, SysctlKey, Veth, VethEnd, VlanId, VlanMode,
    Volume,
};
use crate::observed::nat::{NatView, ObservedNat, ObservedNatTable};
use crate::observed::{
    NameEntry, Observed, ObservedContainer, ObservedLink, ObservedLinkKind, ObservedNames, ObservedNetns, ObservedOvs,
    ObservedOvsRow, ObservedPort, ObservedRoute, ObservedShaping, OvsStatus, OvsView, Pin, PortState,
};
use ipnetwork::IpNetwork;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A machine with nothing on it at first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Machine {
    /// What there is.
    pub(crate) observed: Observed,
    /// The VLANs of each port, also of bridges that do not mind them.
    vlans: BTreeMap<Interface, VlanMode>,
    /// The addresses in the order in which they were given: the first of a subnet takes the others along.
    given: Vec<Address>,
    /// What is at the other end of each veth.
    peers: BTreeMap<(NetnsName, String), (NetnsName, String)>,
    /// The inode of the namespace made last.
    last_inode: u64,
    /// No new interface gets an index up to this one.
    pub(crate) least_index: u32,
    /// The NIC of the machine's that is asked about.
    pub(super) nic: Option<Nic>,
}

impl Machine {
    /// A machine that is asked for the sysctls of these resources; each is `0` in a new namespace.
    pub(crate) fn new(resources: &[&Resources]) -> Self {
        let keys = resources.iter().flat_map(|r| &r.sysctls).map(|s| (s.key.clone(), "0".to_owned()));
        let mut machine = Self::default();
        machine.observed.pristine_sysctls = keys.collect();
        machine.observed.ovs = OvsView::Seen(ObservedOvs { switch_lives: true, ..ObservedOvs::default() });
        let host = ObservedNetns { loopback_up: true, ..ObservedNetns::default() };
        machine.observed.namespaces.insert(NetnsName::Host, Pin::Namespace(host));
        let passes = IpFamily::ALL.map(|family| (family, Vec::new())).into();
        machine.observed.nat = NatView::Seen(ObservedNat { passes, ..ObservedNat::default() });
        machine.add_host_network(resources);
        machine.add_nic(resources);
        machine
    }

    /// The host's own interfaces that these resources know of, and its own parameters.
    fn add_host_network(&mut self, resources: &[&Resources]) {
        let ends = resources.iter().flat_map(|r| &r.veths).flat_map(|veth| [&veth.a, &veth.b]);
        let of_labs: BTreeSet<&str> = ends.map(|end| end.interface.name.as_str()).collect();
        for sysctl in resources.iter().flat_map(|r| &r.sysctls).filter(|s| s.netns == NetnsName::Host) {
            let name = sysctl.key.interface();
            if name.as_ref().is_some_and(|name| of_labs.contains(name.as_str())) {
                continue;
            }
            if let Some(name) = name {
                let nic = Interface { netns: NetnsName::Host, name };
                if self.link(&nic).is_err() {
                    self.add_link(&nic, ObservedLinkKind::Other(String::new())).unwrap();
                }
            }
            self.inside(&NetnsName::Host).unwrap().sysctls.insert(sysctl.key.clone(), "0".to_owned());
        }
    }

    /// All steps of a plan, in order.
    pub(crate) fn run(&mut self, plan: &Plan) -> Result<(), String> {
        for step in &plan.steps {
            self.apply(&step.op).map_err(|why| format!("{}: {why}", step.op))?;
        }
        Ok(())
    }

    /// The undo of the first `count` steps of a plan, the last of them first.
    pub(crate) fn undo(&mut self, plan: &Plan, count: usize) -> Result<(), String> {
        for step in plan.steps[..count].iter().rev() {
            for op in &step.undo {
                self.apply(op).map_err(|why| format!("undoing `{}`: {op}: {why}", step.op))?;
            }
        }
        Ok(())
    }

    /// One op.
    pub(crate) fn apply(&mut self, op: &Op) -> Result<(), String> {
        let result = self.change(op);
        self.look_at_uplink();
        result
    }

    fn delete_netns(&mut self, netns: &Netns) {
        let at = NetnsName::from(netns.name.clone());
        let names: Vec<String> = self.inside(&at).map(|n| n.links.keys().cloned().collect()).unwrap_or_default();
        for name in names {
            self.delete_link(&at, &name);
        }
        self.observed.namespaces.remove(&at);
        // What runs in it is ended.
        for container in self.observed.containers.values_mut() {
            let of = container.started_as.as_ref();
            container.runs &= of.is_none_or(|of| of.netns.name != netns.name);
        }
    }

    fn change(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::AddNetns(netns) => {
                if let Some((_, Pin::Namespace(there))) = self.observed.pin(&netns.name) {
                    return same(there.mark.as_ref() == Some(&netns.mark));
                }
                let keys = self.observed.pristine_sysctls.clone();
                let sysctls = keys.into_iter().filter(|(key, _)| key.interface().is_none()).collect();
                self.last_inode += 1;
                let inside = ObservedNetns {
                    inode: self.last_inode,
                    mark: Some(netns.mark.clone()),
                    loopback_up: true,
                    sysctls,
                    ..ObservedNetns::default()
                };
                self.observed.namespaces.insert(netns.name.clone().into(), Pin::Namespace(inside));
            }
            Op::DeleteNetns(all) => all.iter().for_each(|netns| self.delete_netns(netns)),
            Op::SetLoopbackUp(netns) => self.inside(&netns.clone().into())?.loopback_up = true,
            Op::SetSysctl(Sysctl { netns, key, value }) => match self.inside(netns)?.sysctls.get_mut(key) {
                Some(there) => {
                    there.clone_from(value);
                    if key.as_str() == "net.ipv6.conf.all.forwarding" && value != "0" {
                        self.purge_routers(netns)?;
                    }
                }
                None => return Err(format!("no sysctl {key}")),
            },
            Op::SetBridge(bridge) => self.set_bridge(bridge)?,
            Op::AddVeth(veth) => self.add_veth(veth)?,
            Op::DeleteLink(interface) => self.delete_link(&interface.netns, interface.name.as_str()),
            Op::DeleteLinks(netns, names) => names.iter().for_each(|name| self.delete_link(netns, name.as_str())),
            Op::SetLink(change) => self.set_link(change)?,
            Op::SetPortVlans(PortVlans { port, mode }) => {
                if self.link(port)?.port.is_none() {
                    return Err("not a port".into());
                }
                self.vlans.insert(port.clone(), mode.clone());
                self.show_vlans(&port.netns);
            }
            Op::SetQdiscs(qdiscs) => self.set_qdiscs(qdiscs)?,
            Op::SetPortFwdMask(PortFwdMask { port, mask }) => match &mut self.link(port)?.port {
                Some(port) => port.group_fwd_mask = *mask,
                None => return Err("not a port".into()),
            },
            Op::AddAddress(address) => self.add_address(address)?,
            Op::DeleteAddress(address) => self.delete_address(address)?,
            Op::SetHostBridge(_)
            | Op::RemoveHostBridge(_)
            | Op::StartKeeper(_)
            | Op::StopKeeper(_)
            | Op::ReleaseNic(_)
            | Op::TakeBackNic(_)
            | Op::AttachUplink(_)
            | Op::TakeLease(_)
            | Op::DetachUplink(_) => self.change_uplink(op)?,
            Op::StartAdvertiser(of) => self.start_advertiser(of)?,
            Op::StopAdvertiser(of) => self.inside(&of.netns.name.clone().into())?.advertisers.clear(),
            Op::StartDhcpClient(of) => self.start_dhcp_client(of)?,
            Op::StopDhcpClient(of) => self.stop_dhcp_client(of)?,
            Op::Autoconfigure(of) => self.autoconfigure(of)?,
            Op::Deconfigure(of) => self.deconfigure(of),
            Op::AddRoute(route) => self.add_route(route)?,
            Op::DeleteRoute(route) => {
                let gone = observed(route);
                self.inside(&route.netns)?.routes.remove(&gone);
            }
            Op::WriteHosts(file) => self.write_hosts(file.clone()),
            Op::RemoveHosts(file) => {
                self.observed.hosts_files.remove(&file.directory);
            }
            Op::AddNameDirectory(link) => {
                let entry = NameEntry::Link(link.directory.clone());
                let there = self.observed.name_directories.entry(link.netns.clone()).or_insert(entry.clone());
                return same(*there == entry);
            }
            Op::RemoveNameDirectory(link) => {
                self.observed.name_directories.remove(&link.netns);
            }
            Op::ChangeOvs(change) => self.change_ovs(change)?,
            Op::SetNatTable(_) | Op::RemoveNatTable(_) | Op::AddForwardPass(_) | Op::RemoveForwardPass(_) => {
                self.change_rules(op);
            }
            Op::StartContainer(of) => {
                self.inside(&of.netns.name.clone().into())?;
                let there = ObservedContainer { started_as: Some((**of).clone()), runs: true };
                self.observed.containers.insert(of.directory.clone(), there);
            }
            Op::SetGroup(_) | Op::RemoveGroup(_) | Op::LimitContainer(_) => self.limit(op)?,
            Op::StopContainer(of) => drop(self.observed.containers.remove(&of.directory)),
            Op::AddVolume(of) => self.change_volumes(of, true),
            Op::RemoveVolume(of) => self.change_volumes(of, false),
            Op::Run(exec) if exec.container.as_ref().is_some_and(|record| !self.runs(record)) => {
                return Err("its container does not run".into());
            }
            Op::Run(exec) | Op::EndRun(exec) => {
                self.inside(&exec.netns.clone().into())?;
            }
        }
        Ok(())
    }

    fn limit(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::SetGroup(group) => {
                let there = GroupState::Limited(group.limits.clone());
                self.observed.groups.insert(group.cgroup.clone(), there);
            }
            Op::RemoveGroup(group) => drop(self.observed.groups.remove(&group.cgroup)),
            Op::LimitContainer(of) => {
                let there = self.observed.containers.get_mut(&of.directory).filter(|there| there.runs);
                let was = there.and_then(|there| there.started_as.as_mut());
                was.ok_or("its container does not run")?.container.limits = of.container.limits.clone();
            }
            _ => {}
        }
        Ok(())
    }

    fn runs(&self, record: &Path) -> bool {
        self.observed.containers.get(record).is_some_and(|there| there.runs)
    }

    fn write_hosts(&mut self, HostsFile { directory, content, resolv_conf, leased: _ }: HostsFile) {
        self.observed.hosts_files.insert(directory, ObservedNames { hosts: Some(content), resolv_conf });
    }

    fn change_rules(&mut self, op: &Op) {
        let NatView::Seen(seen) = &mut self.observed.nat else { return };
        match op {
            Op::SetNatTable(table) => {
                let comments = |chain| vec![Some(table.mark.clone()); table.rules(chain).len()];
                let chains = NatChain::ALL.into_iter().map(|chain| (chain, comments(chain))).collect();
                seen.tables.insert(table.name.clone(), ObservedNatTable { chains, has_others: false });
            }
            Op::RemoveNatTable(table) => drop(seen.tables.remove(&table.name)),
            Op::AddForwardPass(pass) => {
                let rules = seen.passes.entry(pass.family).or_default();
                rules.retain(|comment| *comment != pass.mark);
                rules.extend(vec![pass.mark.clone(); FORWARD_PASS_RULES]);
            }
            Op::RemoveForwardPass(pass) => {
                seen.passes.entry(pass.family).or_default().retain(|comment| *comment != pass.mark);
            }
            _ => {}
        }
    }

    fn set_qdiscs(&mut self, Qdiscs { interface, shaping }: &Qdiscs) -> Result<(), String> {
        if shaping.is_none() {
            if let Ok(link) = self.link(interface) {
                link.shaping = None;
            }
            return Ok(());
        }
        self.link(interface)?.shaping = Some(ObservedShaping::Known(*shaping));
        Ok(())
    }

    fn change_ovs(&mut self, change: &OvsChange) -> Result<(), String> {
        let devices: BTreeSet<String> = self.inside(&NetnsName::Host)?.links.keys().cloned().collect();
        let OvsView::Seen(seen) = &mut self.observed.ovs else { return Err("no server".into()) };
        let mut gone: BTreeSet<OvsRowId> = change.delete.iter().map(|gone| gone.id.clone()).collect();
        // What hangs from a row goes with it, unless its table keeps what nobody refers to.
        while let Some(child) = seen.rows.iter().find(|(id, row)| {
            !gone.contains(id)
                && !id.table.is_root()
                && row.parent.as_ref().and_then(|p| p.row.as_ref()).is_some_and(|p| gone.contains(p))
        }) {
            gone.insert(child.0.clone());
        }
        seen.rows.retain(|id, _| !gone.contains(id));
        for row in seen.rows.values_mut() {
            row.parent = row.parent.take().filter(|parent| parent.row.as_ref().is_none_or(|row| !gone.contains(row)));
        }
        forget_references(seen);
        for row in &change.insert {
            if let Some(parent) = row.parent.row.as_ref().filter(|parent| !seen.rows.contains_key(parent)) {
                return Err(format!("{} hangs from {parent}, which is not there", row.id));
            }
            let is_device = row.id.table == OvsTable::Interface && text_of(&row.columns, "type") == Some("");
            let must_work = change.then == OvsThen::Verify;
            if let Some(name) = row.name().filter(|name| must_work && is_device && !devices.contains(*name)) {
                return Err(format!("could not open network device {name}"));
            }
            let (parent, columns) = (Some(row.parent.clone()), row.columns.clone());
            seen.rows.insert(row.id.clone(), ObservedOvsRow { parent, columns, status: OvsStatus::default() });
        }
        for setting in &change.set {
            let row = seen.rows.get_mut(&setting.id).ok_or_else(|| format!("no row {}", setting.id))?;
            row.columns.extend(setting.columns.clone());
        }
        forget_references(seen);
        self.see_to_bridge_devices()
    }

    /// A bridge of Open vSwitch is a device of the host's too, down at first. What is on it goes with it.
    fn see_to_bridge_devices(&mut self) -> Result<(), String> {
        let OvsView::Seen(seen) = &self.observed.ovs else { return Ok(()) };
        let bridges = seen.rows.iter().filter(|(id, _)| id.table == OvsTable::Bridge);
        let wanted: BTreeSet<String> =
            bridges.filter_map(|(_, row)| text_of(&row.columns, "name")).map(str::to_owned).collect();
        let device = || ObservedLinkKind::Other("openvswitch".to_owned());
        let links = &self.inside(&NetnsName::Host)?.links;
        let there: BTreeSet<String> =
            links.iter().filter(|(_, link)| link.kind == device()).map(|(name, _)| name.clone()).collect();
        for gone in there.difference(&wanted) {
            self.delete_link(&NetnsName::Host, gone);
        }
        for new in wanted.difference(&there) {
            let name = new.as_str().try_into().map_err(|_| format!("{new} can't be a device's name"))?;
            self.add_link(&Interface { netns: NetnsName::Host, name }, device())?;
        }
        Ok(())
    }

    fn change_volumes(&mut self, of: &Volume, is_there: bool) {
        let all = self.observed.volumes.entry(of.namespace.clone()).or_default();
        if is_there {
            all.insert(of.at.clone());
        } else {
            all.remove(&of.at);
        }
        self.observed.volumes.retain(|_, all| !all.is_empty());
    }

    /// What is there without the numbers, which are others each time: veths by the name of their other end.
    pub(crate) fn described(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let mut observed = self.observed.clone();
        // One that has ended is as good as none.
        observed.containers.retain(|_, there| there.runs);
        // What nobody says any more can't be heard again.
        let spoken = self.spoken();
        let (mut pairs, routes_of_nic) = (BTreeMap::new(), self.routes_of_nic());
        for (netns, pin) in &mut observed.namespaces {
            let Pin::Namespace(inside) = pin else { continue };
            inside.inode = 0;
            inside.routers.retain(|(_, router)| spoken.iter().any(|on| on.mac.link_local() == *router));
            let is_up = |name: &str| inside.links.get(name).is_some_and(|link| link.up);
            inside.dhcp_clients =
                inside.dhcp_clients.iter().filter(|of| is_up(of.interface.as_str())).cloned().collect();
            for link in inside.links.values_mut() {
                link.autoconfigured.retain(|address| is_heard(&spoken, *address));
            }
            // The kernel keeps routes whose next hop's subnet is gone, but can't be given one again.
            let links = &inside.links;
            inside.routes.retain(|route| reaches(&links[&route.dev], route.via));
            for (name, link) in &mut inside.links {
                let peer = self.peer(netns, name);
                pairs.insert((netns.clone(), name.clone()), peer);
                link.index = 0;
                if let ObservedLinkKind::Veth { peer_index } = &mut link.kind {
                    *peer_index = 0;
                }
            }
        }
        (observed, pairs, routes_of_nic)
    }

    /// Who is at the other end of a veth.
    fn peer(&self, netns: &NetnsName, name: &str) -> Option<(NetnsName, String)> {
        self.peers.get(&(netns.clone(), name.to_owned())).cloned()
    }

    /// The inside of a namespace.
    pub(crate) fn inside(&mut self, netns: &NetnsName) -> Result<&mut ObservedNetns, String> {
        match self.observed.namespaces.get_mut(netns) {
            Some(Pin::Namespace(inside)) => Ok(inside),
            _ => Err(format!("no namespace {netns}")),
        }
    }

    pub(super) fn link(&mut self, Interface { netns, name }: &Interface) -> Result<&mut ObservedLink, String> {
        self.inside(netns)?.links.get_mut(name.as_str()).ok_or_else(|| format!("no interface {netns}:{name}"))
    }

    fn set_bridge(&mut self, bridge: &Bridge) -> Result<(), String> {
        let Bridge { interface, mac, mtu, stp, vlan_filtering, mcast_snooping: _, group_fwd_mask } = bridge;
        if self.link(interface).is_err() {
            self.add_link(interface, new_bridge())?;
        }
        let link = self.link(interface)?;
        if !matches!(link.kind, ObservedLinkKind::Bridge { .. }) {
            return Err("EEXIST".into());
        }
        let mcast_snooping = Some(bridge.snoops());
        let (stp, vlan_filtering, group_fwd_mask) = (*stp, *vlan_filtering, *group_fwd_mask);
        link.kind = ObservedLinkKind::Bridge { stp, vlan_filtering, mcast_snooping, group_fwd_mask };
        (link.mac, link.mtu_bytes, link.up) = (Some(*mac), mtu.bytes(), true);
        self.show_vlans(&interface.netns);
        Ok(())
    }

    fn add_veth(&mut self, Veth { a, b }: &Veth) -> Result<(), String> {
        if self.link(&a.interface).is_ok() || self.link(&b.interface).is_ok() {
            let peer = self.peer(&a.interface.netns, a.interface.name.as_str());
            return same(peer == Some((b.interface.netns.clone(), b.interface.name.to_string())));
        }
        assert!(a.master.is_some() || b.master.is_none(), "the port is not `a`");
        for VethEnd { interface, master, .. } in [a, b] {
            self.inside(&interface.netns)?; // before anything is made: one message makes all of it or nothing
            if let Some(name) = master {
                self.link(&Interface { netns: interface.netns.clone(), name: name.clone() })?;
            }
        }
        for VethEnd { interface, mac, mtu, master, mark, software_checksums, ignores_routers: _, up } in [a, b] {
            self.add_link(interface, ObservedLinkKind::Veth { peer_index: 0 })?;
            let link = self.link(interface)?;
            (link.mac, link.mtu_bytes, link.up) = (Some(*mac), mtu.bytes(), *up);
            (link.alias, link.software_checksums) = (mark.clone(), Some(*software_checksums));
            if let Some(bridge) = master {
                self.set_master(interface, &Master::Bridge(bridge.clone()))?;
            }
        }
        for (here, there) in [(&a.interface, &b.interface), (&b.interface, &a.interface)] {
            let peer_index = self.link(there)?.index;
            self.link(here)?.kind = ObservedLinkKind::Veth { peer_index };
            let [here, there] = [here, there].map(|end| (end.netns.clone(), end.name.to_string()));
            self.peers.insert(here, there);
        }
        Ok(())
    }

    pub(super) fn add_link(&mut self, interface: &Interface, kind: ObservedLinkKind) -> Result<(), String> {
        let least = self.least_index.max(1); // `lo` has 1
        let own: BTreeMap<SysctlKey, String> = self.observed.pristine_sysctls.clone();
        let inside = self.inside(&interface.netns)?;
        inside.sysctls.extend(own.into_iter().filter(|(key, _)| key.interface().as_ref() == Some(&interface.name)));
        let index = inside.links.values().map(|link| link.index).max().unwrap_or(0).max(least) + 1;
        let link = ObservedLink {
            index,
            kind,
            mac: None,
            mtu_bytes: 1500,
            up: false,
            carrier: false,
            master: None,
            port: None,
            alias: None,
            software_checksums: None,
            shaping: None,
            statistics: None,
            addresses: BTreeSet::new(),
            autoconfigured: BTreeSet::new(),
            leased: BTreeSet::new(),
            leased_routes: BTreeSet::new(),
        };
        inside.links.insert(interface.name.to_string(), link);
        Ok(())
    }

    pub(super) fn delete_link(&mut self, netns: &NetnsName, name: &str) {
        let peer = self.peer(netns, name);
        let Ok(inside) = self.inside(netns) else { return };
        if inside.links.remove(name).is_none() {
            return;
        }
        inside.routes.retain(|route| route.dev != name);
        inside.routers.retain(|(dev, _)| dev != name);
        inside.dhcp_clients.retain(|leased| leased.interface.as_str() != name);
        inside.advertisers.retain(|on| on.iter().all(|on| on.interface.as_str() != name));
        inside.sysctls.retain(|key, _| key.interface().is_none_or(|interface| interface.as_str() != name));
        for port in inside.links.values_mut().filter(|link| link.master.as_deref() == Some(name)) {
            (port.master, port.port) = (None, None);
        }
        self.peers.remove(&(netns.clone(), name.to_owned()));
        self.vlans.retain(|port, _| port.netns != *netns || port.name.as_str() != name);
        if let Some((netns, name)) = peer {
            self.delete_link(&netns, &name);
        }
    }

    fn set_link(&mut self, change: &LinkChange) -> Result<(), String> {
        let LinkChange { interface, mac, mtu, up, master, software_checksums } = change;
        let link = self.link(interface)?;
        link.mac = mac.or(link.mac);
        link.mtu_bytes = mtu.map_or(link.mtu_bytes, crate::model::Mtu::bytes);
        link.up = up.unwrap_or(link.up);
        link.software_checksums = software_checksums.or(link.software_checksums);
        if !link.up {
            // IPv6 addresses and all routes go with the link; IPv4 addresses stay.
            link.addresses.retain(IpNetwork::is_ipv4);
            link.autoconfigured.clear();
            let inside = self.inside(&interface.netns)?;
            inside.routes.retain(|route| route.dev != interface.name.as_str());
            inside.routers.retain(|(dev, _)| dev != interface.name.as_str());
        }
        master.as_ref().map_or(Ok(()), |master| self.set_master(interface, master))
    }

    fn set_master(&mut self, interface: &Interface, master: &Master) -> Result<(), String> {
        let master = match master {
            Master::Nothing => None,
            Master::Bridge(name) => {
                let bridge = Interface { netns: interface.netns.clone(), name: name.clone() };
                match self.link(&bridge)?.kind {
                    ObservedLinkKind::Bridge { .. } => Some(name.to_string()),
                    _ => return Err("not a bridge".into()),
                }
            }
        };
        let link = self.link(interface)?;
        if link.master != master {
            link.port = master.as_ref().map(|_| ObservedPort {
                state: PortState::Forwarding,
                vlans: None,
                group_fwd_mask: GroupFwdMask::default(),
            });
            link.master = master;
            self.vlans.insert(interface.clone(), VlanMode::Access(VlanId::DEFAULT));
        }
        self.show_vlans(&interface.netns);
        Ok(())
    }

    /// VLANs are to be seen on the ports of bridges that mind them.
    fn show_vlans(&mut self, netns: &NetnsName) {
        let vlans = self.vlans.clone();
        let Ok(inside) = self.inside(netns) else { return };
        let minding: BTreeSet<String> = inside
            .links
            .iter()
            .filter(|(_, link)| matches!(link.kind, ObservedLinkKind::Bridge { vlan_filtering: true, .. }))
            .map(|(name, _)| name.clone())
            .collect();
        for (name, link) in &mut inside.links {
            if let (Some(master), Some(port)) = (&link.master, &mut link.port) {
                let here = vlans.iter().find(|(port, _)| port.netns == *netns && port.name.as_str() == name);
                port.vlans = here.filter(|_| minding.contains(master)).map(|(_, mode)| mode.clone());
            }
        }
    }

    fn add_address(&mut self, given: &Address) -> Result<(), String> {
        let Address { interface, address } = given;
        if address.is_ipv6() && !self.link(interface)?.up {
            return Err("down".into());
        }
        let there = &mut self.link(interface)?.addresses;
        if there.iter().any(|a| a.is_ipv6() && a.ip() == address.ip() && a != address) {
            return Err("EEXIST".into());
        }
        if there.insert(*address) {
            self.given.retain(|before| before != given);
            self.given.push(given.clone());
        }
        Ok(())
    }

    fn delete_address(&mut self, Address { interface, address }: &Address) -> Result<(), String> {
        let given = self.given.clone();
        let link = self.link(interface)?;
        let subnet = |a: &IpNetwork| (a.network(), a.prefix());
        let there = &link.addresses;
        let mut in_order = given.iter().filter(|a| a.interface == *interface && there.contains(&a.address));
        let first = in_order.find(|a| subnet(&a.address) == subnet(address));
        if address.is_ipv4() && first.is_some_and(|first| first.address == *address) {
            link.addresses.retain(|a| subnet(a) != subnet(address));
        }
        link.addresses.remove(address);
        if address.is_ipv4() && !link.addresses.iter().any(IpNetwork::is_ipv4) {
            let dev = interface.name.as_str();
            self.inside(&interface.netns)?.routes.retain(|route| route.dev != dev || route.to.is_ipv6());
        }
        Ok(())
    }

    fn start_advertiser(&mut self, Advertiser { netns, interfaces }: &Advertiser) -> Result<(), String> {
        let netns = NetnsName::from(netns.name.clone());
        for on in interfaces {
            let interface = Interface { netns: netns.clone(), name: on.interface.clone() };
            self.link(&interface)?; // it may be down, and is spoken on when it is up
        }
        self.inside(&netns)?.advertisers = vec![interfaces.clone()];
        Ok(())
    }

    /// Wherever it is, somebody lends it an address.
    fn start_dhcp_client(&mut self, of: &DhcpClient) -> Result<(), String> {
        if !self.link(&of.interface())?.up {
            return Err("nobody answers".into());
        }
        self.stop_dhcp_client(of)?;
        let clients = &mut self.inside(&of.netns.name.clone().into())?.dhcp_clients;
        clients.push(of.leased.clone());
        clients.sort();
        Ok(())
    }

    fn stop_dhcp_client(&mut self, of: &DhcpClient) -> Result<(), String> {
        let inside = self.inside(&of.netns.name.clone().into())?;
        inside.dhcp_clients.retain(|leased| leased.interface != of.leased.interface);
        Ok(())
    }

    /// What is advertised, wherever it is.
    fn spoken(&self) -> Vec<Advertised> {
        let pins = self.observed.namespaces.values();
        let inside = pins.filter_map(|pin| if let Pin::Namespace(inside) = pin { Some(inside) } else { None });
        inside.flat_map(|inside| inside.advertisers.clone()).flatten().collect()
    }

    /// Wherever it is, somebody has to say so.
    fn autoconfigure(&mut self, of: &Autoconfigured) -> Result<(), String> {
        let spoken = self.spoken();
        let is_heard = |address: &IpNetwork| is_heard(&spoken, *address);
        let is_there = |router: &_| spoken.iter().any(|on| on.mac.link_local() == *router);
        if !of.addresses.iter().all(is_heard) || !of.routers.iter().all(is_there) || !self.link(&of.interface)?.up {
            return Err("nobody says so".into());
        }
        self.accept_ra(of, of.accept_ra());
        self.link(&of.interface)?.autoconfigured.extend(&of.addresses);
        let name = of.interface.name.to_string();
        self.inside(&of.interface.netns)?.routers.extend(of.routers.iter().map(|router| (name.clone(), *router)));
        Ok(())
    }

    fn deconfigure(&mut self, of: &Autoconfigured) {
        self.accept_ra(of, "0");
        if let Ok(link) = self.link(&of.interface) {
            link.autoconfigured.retain(|address| !of.addresses.contains(address));
        }
        if let Ok(inside) = self.inside(&of.interface.netns) {
            let name = of.interface.name.as_str();
            inside.routers.retain(|(dev, router)| dev != name || !of.routers.contains(router));
        }
    }

    /// Who forwards knows the way, unless it is told to listen all the same.
    fn purge_routers(&mut self, netns: &NetnsName) -> Result<(), String> {
        let inside = self.inside(netns)?;
        let listens = |dev: &str| {
            let name = dev.try_into().unwrap();
            inside.sysctls.get(&SysctlKey::of_ipv6(&name, "accept_ra").unwrap()).is_some_and(|value| value == "2")
        };
        let staying = inside.routers.iter().filter(|(dev, _)| listens(dev)).cloned().collect();
        inside.routers = staying;
        Ok(())
    }

    fn accept_ra(&mut self, of: &Autoconfigured, value: &str) {
        let key = SysctlKey::of_ipv6(&of.interface.name, "accept_ra").unwrap();
        if let Some(there) = self.inside(&of.interface.netns).ok().and_then(|inside| inside.sysctls.get_mut(&key)) {
            value.clone_into(there);
        }
    }

    fn add_route(&mut self, route: &Route) -> Result<(), String> {
        let interface = Interface { netns: route.netns.clone(), name: route.dev.clone() };
        let link = self.link(&interface)?;
        if !link.up || !reaches(link, route.via) {
            return Err("EHOSTUNREACH".into());
        }
        let new = observed(route);
        let routes = &mut self.inside(&route.netns)?.routes;
        if routes.iter().any(|r| r.to == new.to && r.metric == new.metric && *r != new) {
            return Err("EEXIST".into());
        }
        routes.insert(new);
        Ok(())
    }
}

fn is_heard(spoken: &[Advertised], address: IpNetwork) -> bool {
    spoken.iter().any(|on| on.prefixes.iter().any(|prefix| IpNetwork::V6(*prefix).contains(address.ip())))
}

fn reaches(link: &ObservedLink, via: std::net::IpAddr) -> bool {
    link.addresses.iter().chain(&link.autoconfigured).any(|address| address.contains(via))
}

/// What a journal would say of a lab that was brought up as desired.
pub(crate) fn made(desired: &Resources, previous_sysctls: Vec<Sysctl>) -> Made {
    Made { resources: desired.clone(), previous_sysctls, executed: desired.execs.clone() }
}

fn observed(Route { netns: _, to, via, dev, metric }: &Route) -> ObservedRoute {
    let none = if to.is_ipv6() { 1024 } else { 0 };
    ObservedRoute { to: *to, via: *via, dev: dev.to_string(), metric: metric.unwrap_or(none) }
}

pub(super) fn new_bridge() -> ObservedLinkKind {
    let group_fwd_mask = GroupFwdMask::default();
    ObservedLinkKind::Bridge { stp: None, vlan_filtering: false, mcast_snooping: Some(true), group_fwd_mask }
}

fn same(is_same: bool) -> Result<(), String> {
    if is_same { Ok(()) } else { Err("EEXIST".into()) }
}

/// References of mirrors are weak: one to a row that is not there is none.
fn forget_references(seen: &mut ObservedOvs) {
    let there: BTreeSet<OvsRowId> = seen.rows.keys().cloned().collect();
    for value in seen.rows.values_mut().flat_map(|row| row.columns.values_mut()) {
        value.retain(|scalar| !matches!(scalar, OvsScalar::Row(id) if !there.contains(id)));
    }
}
