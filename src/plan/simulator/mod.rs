//! A machine that only exists in a test: it does what a plan's ops say, with those of the kernel's side effects that a
//! plan has to know of, and refuses what the kernel would refuse.

mod addresses;
mod links;
pub(crate) mod uplink;

use crate::desired::Resources;
use crate::model::nat::{FORWARD_PASS_RULES, IpFamily, NatChain};
use crate::model::ovs::{OvsChange, OvsRowId, OvsScalar, OvsTable, OvsThen, text_of};
use crate::model::qdisc::Qdiscs;
use crate::model::{
    Address, GroupState, HostsFile, Interface, Netns, NetnsName, PortFwdMask, PortVlans, Sysctl, VlanMode, Volume,
};
use crate::observed::nat::{NatView, ObservedNat, ObservedNatTable};
use crate::observed::{
    NameEntry, Observed, ObservedContainer, ObservedLink, ObservedLinkKind, ObservedNames, ObservedNetns, ObservedOvs,
    ObservedOvsRow, ObservedShaping, OvsStatus, OvsView, Pin,
};
use crate::plan::{Made, Op, Plan};
use addresses::{is_heard, observed, reaches};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use uplink::Nic;

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
    nic: Option<Nic>,
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
}

/// What a journal would say of a lab that was brought up as desired.
pub(crate) fn made(desired: &Resources, previous_sysctls: Vec<Sysctl>) -> Made {
    Made { resources: desired.clone(), previous_sysctls, executed: desired.execs.clone() }
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
