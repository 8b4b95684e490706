//! Taking a lab down: only what exists, is in the journal and carries the lab's mark. There is no undo.

use super::diff::{
    has_rows, is_given_back, is_host_bridge, nat, ours, own_settings, put_host_sysctls_back, unplugging,
};
use super::steps::Steps;
use super::types::{LinkChange, Made, Op, Plan, Reason, Stage};
use crate::model::ovs::{OvsChange, OvsGone, OvsTable, OvsThen};
use crate::model::{
    Advertiser, DhcpClient, IfName, Interface, LimitedGroup, NetnsName, OvsUplink, PinName, Uplink, VethEnd,
};
use crate::observed::{NameEntry, Observed, ObservedLinkKind, ObservedUplink, OvsView, Pin};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Something that the journal lists and that is somebody else's by now, so it stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeftAlone {
    /// What is in /run/netns under this name does not carry the lab's mark.
    #[error("left /run/netns/{0} alone: it is not the namespace that nslab made under this name")]
    Netns(PinName),
    /// The caller may not look whether the namespace carries the lab's mark.
    #[error("left the namespace {0} alone: can't look into it, run nslab as root")]
    Closed(PinName),
    /// What is in /etc/netns under this name is not the link that nslab made.
    #[error("left /etc/netns/{0} alone: it is not the link that nslab made under this name")]
    NameDirectory(PinName),
}

/// What removes everything that is `made` and still ours, and what is left alone.
///
/// The switches' ports and bridges go first, those of a namespace in one step: the kernel waits once for all, and the
/// nodes' ends go with them. Whatever else is in a namespace goes with it.
pub fn destroy(made: &Made, observed: &Observed) -> (Plan, Vec<LeftAlone>) {
    let mut steps = Steps::default();
    let mut left_alone = Vec::new();
    let mut seen = HashSet::new();
    let mut ours = BTreeMap::new();
    let mut gone = Vec::new();
    for netns in &made.resources.netns {
        let Some((at, there)) = observed.pin(&netns.name) else { continue };
        let is_ours = match there {
            Pin::Namespace(inside) if inside.mark.as_ref() == Some(&netns.mark) => {
                ours.insert(at, inside);
                true
            }
            other => matches!(other, Pin::Empty),
        };
        if !seen.insert(&netns.name) {
            continue;
        }
        if is_ours {
            gone.push(netns.clone());
        } else if *there == Pin::Closed {
            left_alone.push(LeftAlone::Closed(netns.name.clone()));
        } else {
            left_alone.push(LeftAlone::Netns(netns.name.clone()));
        }
    }

    // What is written down of one goes whether its node is there or not.
    let mut stopped = HashSet::new();
    for of in &made.resources.containers {
        if observed.containers.contains_key(&of.directory) && stopped.insert(&of.directory) {
            steps.push(Stage::StopContainers, Reason::Gone, Op::StopContainer(Box::new(of.clone())), Vec::new());
        }
    }
    let mut removed = HashSet::new();
    for volume in &made.resources.volumes {
        // What pins the namespace goes with the last of them, even if none is there.
        if observed.volumes.contains_key(&volume.namespace) && removed.insert(&volume.at) {
            steps.push(Stage::RemoveNamespaces, Reason::Gone, Op::RemoveVolume(volume.clone()), Vec::new());
        }
    }
    // Told to stop, they say goodbye; and they are not among what was found running in a node.
    for netns in &gone {
        let inside = ours.get(&NetnsName::from(netns.name.clone()));
        for interfaces in inside.into_iter().flat_map(|inside| &inside.advertisers) {
            let stop = Op::StopAdvertiser(Advertiser { netns: netns.clone(), interfaces: interfaces.clone() });
            steps.push(Stage::StopAdvertisers, Reason::Gone, stop, Vec::new());
        }
    }
    for netns in &gone {
        let inside = ours.get(&NetnsName::from(netns.name.clone()));
        for leased in inside.into_iter().flat_map(|inside| &inside.dhcp_clients) {
            let stop = Op::StopDhcpClient(DhcpClient { netns: netns.clone(), leased: leased.clone() });
            steps.push(Stage::StopDhcpClients, Reason::Gone, stop, Vec::new());
        }
    }
    if !gone.is_empty() {
        steps.push(Stage::RemoveNamespaces, Reason::Gone, Op::DeleteNetns(gone), Vec::new());
    }

    let there = |group: &&LimitedGroup| observed.groups.contains_key(&group.cgroup);
    for group in made.resources.groups.iter().filter(there) {
        steps.push(Stage::RemoveGroups, Reason::Gone, Op::RemoveGroup(group.clone()), Vec::new());
    }
    give_back(made, observed, &mut steps);

    // Where the journal has bridges, the links that it has there and that are still of the sort it made.
    let fabrics: BTreeSet<&NetnsName> = made.resources.bridges.iter().map(|bridge| &bridge.interface.netns).collect();
    let bridges = made.resources.bridges.iter().map(|bridge| (&bridge.interface, true));
    let ends = made.resources.veths.iter().flat_map(|veth| [&veth.a, &veth.b]).map(|end| (&end.interface, false));
    let mut links: BTreeMap<&NetnsName, BTreeSet<&IfName>> = BTreeMap::new();
    for (interface, is_bridge) in ends.chain(bridges).filter(|(interface, _)| fabrics.contains(&interface.netns)) {
        let there = ours.get(&interface.netns).and_then(|inside| inside.links.get(interface.name.as_str()));
        let same_kind = there.is_some_and(|link| match link.kind {
            ObservedLinkKind::Bridge { .. } => is_bridge,
            ObservedLinkKind::Veth { .. } => !is_bridge,
            ObservedLinkKind::Other(_) => false,
        });
        if same_kind {
            links.entry(&interface.netns).or_default().insert(&interface.name);
        }
    }
    for (netns, names) in links {
        let op = Op::DeleteLinks(netns.clone(), names.into_iter().cloned().collect());
        steps.push(Stage::RemoveLinks, Reason::Gone, op, Vec::new());
    }

    put_host_sysctls_back(made, observed, &mut steps);
    nat::destroy(made, &observed.nat, &mut steps);
    unplug(made, observed, &mut steps);
    remove_host_links(made, observed, |netns| ours.contains_key(netns), &mut steps);
    remove_names(made, observed, &mut steps, &mut left_alone);
    (steps.into_plan(), left_alone)
}

/// The machine's NIC and address first, whatever becomes of the lab.
fn give_back(made: &Made, observed: &Observed, steps: &mut Steps) {
    let Some(there) = &observed.uplink else { return };
    if let Some(uplink) = &made.resources.uplink {
        let of = || Box::new(uplink.clone());
        if !is_given_back(uplink, there) && !is_held(uplink, there, observed) {
            steps.push(Stage::DetachUplink, Reason::Gone, Op::DetachUplink(of()), Vec::new());
        }
        if let Some(ovs) = uplink.ovs() {
            leave_switch(made, (uplink, ovs), there, observed, steps);
        }
        if there.is_released {
            steps.push(Stage::TakeBackNic, Reason::Gone, Op::TakeBackNic(of()), Vec::new());
        }
        if there.keepers > 0 {
            steps.push(Stage::StopKeeper, Reason::Gone, Op::StopKeeper(of()), Vec::new());
        }
    }
    if let Some(bridge) = made.resources.host_bridge.as_ref().filter(|bridge| is_host_bridge(bridge, observed)) {
        steps.push(Stage::RemoveHostBridge, Reason::Gone, Op::RemoveHostBridge(bridge.clone()), Vec::new());
    }
}

/// Whether a NIC is a port of Open vSwitch in the kernel (openvswitch.ko), and can't be made none for now: whatever comes in by
/// it goes to the switch, and the machine reaches its gateway by that alone.
fn is_held(uplink: &Uplink, there: &ObservedUplink, observed: &Observed) -> bool {
    let is_unreachable = matches!(observed.ovs, OvsView::Unreachable(_));
    uplink.ovs().is_some() && is_unreachable && there.nic.as_ref().is_some_and(|nic| nic.master.is_some())
}

/// Takes a NIC from its switch of Open vSwitch. A switch that stays is what it was before it had the NIC.
fn leave_switch(
    made: &Made,
    (uplink, ovs): (&Uplink, &OvsUplink),
    there: &ObservedUplink,
    observed: &Observed,
    steps: &mut Steps,
) {
    let stays = made.resources.ovs.is_none();
    let nothing = || OvsChange { then: OvsThen::LetSettle, ..OvsChange::of(&ovs.rows) };
    let mut change = if has_rows(ovs, observed) { unplugging(ovs) } else { nothing() };
    if stays {
        change.set = own_settings(uplink, ovs, observed);
    }
    if !change.delete.is_empty() || !change.set.is_empty() {
        steps.push(Stage::UnplugSwitches, Reason::Gone, Op::ChangeOvs(change), Vec::new());
    }
    // Whatever the database is like: while it is up, the kernel takes for the machine what comes in there.
    let is_up = there.onto.as_ref().is_some_and(|onto| onto.up);
    if stays && is_up && !is_held(uplink, there, observed) {
        let port = Interface { netns: NetnsName::Host, name: uplink.onto.clone() };
        let lower = LinkChange { up: Some(false), ..LinkChange::of(port) };
        steps.push(Stage::RemoveHostBridge, Reason::Gone, Op::SetLink(lower), Vec::new());
    }
}

/// How many rows may go for ovs-vswitchd to be waited for: a few it takes away at once, a thousand ports take it 13 s.
const WAITED_FOR: usize = 300;

/// Takes the lab's rows from Open vSwitch. Its ports' devices go with the nodes, the bridges' when ovs-vswitchd comes to it.
fn unplug(made: &Made, observed: &Observed, steps: &mut Steps) {
    let (Some(rows), OvsView::Seen(seen)) = (&made.resources.ovs, &observed.ovs) else { return };
    let (mut change, mut queues) = (OvsChange::of(rows), OvsChange::of(rows));
    let ours = ours(made, seen);
    for row in &rows.rows {
        if let Some(there) = seen.rows.get(&row.id).filter(|_| ours.contains(&row.id)) {
            let name = row.name().map(str::to_owned);
            let gone = OvsGone { id: row.id.clone(), parent: there.parent.clone(), name };
            if row.id.table.is_root() { queues.delete.push(gone) } else { change.delete.push(gone) }
        }
    }
    if !change.delete.is_empty() {
        change.then = if change.delete.len() < WAITED_FOR { OvsThen::LetSettle } else { OvsThen::GoOn };
        steps.push(Stage::UnplugSwitches, Reason::Gone, Op::ChangeOvs(change), Vec::new());
    }
    // By themselves: somebody may have his own ports use them, and then they alone stay.
    if !queues.delete.is_empty() {
        steps.push(Stage::UnplugSwitches, Reason::Gone, Op::ChangeOvs(queues), Vec::new());
    }
    // An ovs-vswitchd that was killed leaves its bridges' taps to whoever comes after it.
    let Some((_, Pin::Namespace(host))) = observed.namespaces.get_key_value(&NetnsName::Host) else { return };
    for row in rows.rows.iter().filter(|row| row.id.table == OvsTable::Bridge && !seen.switch_lives) {
        let name = row.name().and_then(|name| IfName::try_from(name).ok());
        let is_tap = |name: &IfName| {
            host.links.get(name.as_str()).is_some_and(|link| link.kind == ObservedLinkKind::Other("tun".to_owned()))
        };
        if let Some(name) = name.filter(is_tap) {
            let tap = Interface { netns: NetnsName::Host, name };
            steps.push(Stage::RemoveLinks, Reason::Gone, Op::DeleteLink(tap), Vec::new());
        }
    }
}

/// Removes links in the host's namespace that no loss of a node's name takes along: those between two switches, and
/// those to a node whose namespace somebody holds open.
fn remove_host_links(made: &Made, observed: &Observed, is_there: impl Fn(&NetnsName) -> bool, steps: &mut Steps) {
    let Some(Pin::Namespace(host)) = observed.namespaces.get(&NetnsName::Host) else { return };
    for veth in &made.resources.veths {
        let is_between_switches = [&veth.a, &veth.b].iter().all(|end| end.interface.netns == NetnsName::Host);
        let is_ours = |end: &VethEnd| {
            host.links.get(end.interface.name.as_str()).is_some_and(|link| match &link.alias {
                Some(alias) => end.mark.as_ref() == Some(alias),
                // Made and not yet marked: the address is derived from the lab's name.
                None => is_between_switches && link.mac == Some(end.mac),
            })
        };
        for (end, other) in [(&veth.a, &veth.b), (&veth.b, &veth.a)] {
            if end.interface.netns == NetnsName::Host && !is_there(&other.interface.netns) && is_ours(end) {
                // The other end goes with it.
                steps.push(Stage::RemoveLinks, Reason::Gone, Op::DeleteLink(end.interface.clone()), Vec::new());
                break;
            }
        }
    }
}

fn remove_names(made: &Made, observed: &Observed, steps: &mut Steps, left_alone: &mut Vec<LeftAlone>) {
    let mut ours = HashSet::new();
    for link in &made.resources.name_directories {
        let is_ours =
            matches!(observed.name_directories.get(&link.netns), Some(NameEntry::Link(to)) if *to == link.directory);
        if is_ours && ours.insert(&link.netns) {
            steps.push(Stage::RemoveNamespaces, Reason::Gone, Op::RemoveNameDirectory(link.clone()), Vec::new());
        }
    }
    let mut seen = HashSet::new();
    for link in &made.resources.name_directories {
        let is_there = observed.name_directories.contains_key(&link.netns);
        if is_there && !ours.contains(&link.netns) && seen.insert(&link.netns) {
            left_alone.push(LeftAlone::NameDirectory(link.netns.clone()));
        }
    }
    let mut seen = HashSet::new();
    for file in &made.resources.hosts_files {
        if observed.hosts_files.contains_key(&file.directory) && seen.insert(&file.directory) {
            steps.push(Stage::RemoveNamespaces, Reason::Gone, Op::RemoveHosts(file.clone()), Vec::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::Resources;
    use crate::model::ovs::{OvsRows, OvsdbServer};
    use crate::model::{MacAddress, Mtu, Nic, NicAddress, UplinkAddress, UplinkPort};
    use crate::observed::{ObservedOvs, ObservedPlace};
    use std::path::PathBuf;

    /// A NIC that is a port of a switch of Open vSwitch, and nothing else of its lab.
    fn parts() -> Made {
        let address = NicAddress {
            address: "192.0.2.10/24".parse().unwrap(),
            peer: None,
            broadcast: None,
            label: None,
            scope: 0,
            flags: 0,
            metric: None,
            protocol: None,
            lifetime: None,
        };
        let (mac, mtu) = (MacAddress::derived_from("nic"), Mtu::try_from(1500).unwrap());
        let nic = Nic {
            name: IfName::try_from("eth0").unwrap(),
            index: 2,
            mac,
            mtu,
            promiscuous: false,
            addresses: vec![address],
            routes: Vec::new(),
            rules: Vec::new(),
            sysctls: BTreeMap::new(),
            gateways: Vec::new(),
            seen_at_ms: 0,
        };
        let server = OvsdbServer { target: "unix:/run/db.sock".into(), tls: None };
        let rows = OvsRows { server, lab: "lab".parse().unwrap(), rows: Vec::new() };
        let own_mac = MacAddress::derived_from("lab/br0");
        let uplink = Uplink {
            client_id: None,
            nic,
            address: UplinkAddress::Keep,
            onto: IfName::try_from("lab-br0").unwrap(),
            port: UplinkPort::OpenVswitch(OvsUplink { rows, own_mac, own_mtu: mtu, copies: false }),
            holders: Vec::new(),
            confirm_s: None,
            lab: "lab".parse().unwrap(),
            directory: PathBuf::from("/run/nslab/labs/lab"),
        };
        Made { resources: Resources { uplink: Some(uplink), ..Resources::default() }, ..Made::default() }
    }

    #[test]
    fn a_nic_that_the_kernels_datapath_has_stays_with_its_switch_while_the_database_is_silent() {
        let gives_back = |master: Option<&str>, ovs: OvsView| {
            let addresses = BTreeSet::from(["192.0.2.10/24".parse().unwrap()]);
            let onto = ObservedPlace { up: true, addresses, ..ObservedPlace::default() };
            let nic = ObservedPlace { master: master.map(str::to_owned), ..ObservedPlace::default() };
            let there = ObservedUplink { nic: Some(nic), onto: Some(onto), ..ObservedUplink::default() };
            let (plan, _) = destroy(&parts(), &Observed { uplink: Some(there), ovs, ..Observed::default() });
            let detaches = plan.steps.iter().any(|step| matches!(step.op, Op::DetachUplink(_)));
            let lowers = plan.steps.iter().any(|step| matches!(step.op, Op::SetLink(_)));
            assert_eq!(detaches, lowers, "{plan:?}");
            detaches
        };
        let silent = || OvsView::Unreachable("it hangs".to_owned());
        assert!(!gives_back(Some("ovs-system"), silent()));
        assert!(gives_back(Some("ovs-system"), OvsView::Seen(ObservedOvs::default())));
        assert!(gives_back(None, silent()));
    }
}
