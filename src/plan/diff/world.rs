//! What becomes of each namespace and each interface: it stays, it is made, or it goes.
//!
//! Everything else in a diff follows from this, so it is settled first, and with it whether there can be a plan.

use super::{nat, ovs};
use crate::desired::Resources;
use crate::model::ovs::{OvsRows, OvsTable, text_of};
use crate::model::qdisc::Shaping;
use crate::model::{Bridge, IfName, Interface, MacAddress, Netns, NetnsName, PinName, Veth, VethEnd, lab_of_mark};
use crate::observed::{
    Kernel, NameEntry, Observed, ObservedLink, ObservedLinkKind, ObservedNetns, ObservedOvs, ObservedShaping, OvsView,
    Pin, QdiscKinds,
};
use crate::plan::error::{NotOurs, PlanError};
use crate::plan::types::Made;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Where an interface is: its namespace and its name, which the kernel may have from anybody.
pub(super) type Place<'a> = (&'a NetnsName, &'a str);

pub(super) fn place(interface: &Interface) -> Place<'_> {
    (&interface.netns, interface.name.as_str())
}

/// The interface at a place; `None` where its name is one that nslab does not work with.
pub(super) fn interface((netns, name): Place<'_>) -> Option<Interface> {
    Some(Interface { netns: netns.clone(), name: IfName::try_from(name).ok()? })
}

/// A namespace that is ours and is not desired any more.
pub(super) struct Going<'a> {
    pub(super) netns: &'a Netns,
    /// Its name among what is observed.
    pub(super) at: &'a NetnsName,
    /// `None` where only its empty pin is there.
    pub(super) inside: Option<&'a ObservedNetns>,
}

/// What an interface of ours is.
#[derive(Clone, Copy)]
enum Kind<'a> {
    Bridge,
    /// An end of a veth pair whose other end is here.
    Veth(Place<'a>),
}

/// Who owns what, and what becomes of it.
pub(super) struct World<'a> {
    pub(super) desired: &'a Resources,
    pub(super) made: &'a Made,
    pub(super) observed: &'a Observed,
    /// The namespaces that go, in the order in which they were made.
    pub(super) going: Vec<Going<'a>>,
    /// The interfaces that go, the other ends of their pairs included.
    pub(super) gone_links: BTreeSet<Place<'a>>,
    staying: HashMap<&'a NetnsName, &'a ObservedNetns>,
    kept_links: HashSet<Place<'a>>,
    desired_links: HashMap<Place<'a>, Kind<'a>>,
    /// What the journal says is, or was, at the other end of veths.
    made_peers: HashMap<Place<'a>, BTreeSet<Place<'a>>>,
    /// The marks that the lab's interfaces in the host's namespace are to have, by their names, and those that they had.
    marks: HashMap<&'a str, &'a str>,
    known_marks: HashSet<(&'a str, &'a str)>,
    /// The MAC addresses that the lab's interfaces in the host's namespace were made with, by their names.
    made_macs: HashMap<&'a str, BTreeSet<MacAddress>>,
    /// Observed veth ends by their own and their peer's index.
    veth_ends: HashMap<(u32, u32), Vec<Place<'a>>>,
}

impl<'a> World<'a> {
    pub(super) fn new(desired: &'a Resources, made: &'a Made, observed: &'a Observed) -> Result<Self, PlanError> {
        let mut world = Self {
            desired,
            made,
            observed,
            going: Vec::new(),
            gone_links: BTreeSet::new(),
            staying: HashMap::new(),
            kept_links: HashSet::new(),
            desired_links: kinds(&desired.bridges, &desired.veths),
            made_peers: HashMap::new(),
            marks: HashMap::new(),
            known_marks: HashSet::new(),
            made_macs: HashMap::new(),
            veth_ends: HashMap::new(),
        };
        for veth in &made.resources.veths {
            let [a, b] = [place(&veth.a.interface), place(&veth.b.interface)];
            world.made_peers.entry(a).or_default().insert(b);
            world.made_peers.entry(b).or_default().insert(a);
        }
        world.marks = marks(&desired.veths).collect();
        world.known_marks = marks(&made.resources.veths).collect();
        for end in made.resources.veths.iter().flat_map(|veth| [&veth.a, &veth.b]).filter(|end| end.mark.is_some()) {
            world.made_macs.entry(end.interface.name.as_str()).or_default().insert(end.mac);
        }
        if let Some((host, Pin::Namespace(inside))) = observed.namespaces.get_key_value(&NetnsName::Host) {
            world.staying.insert(host, inside);
        }
        let mut not_ours = Vec::new();
        let mut closed = Vec::new();
        world.settle_namespaces(&mut not_ours, &mut closed);
        world.check_name_directories(&mut not_ours);
        world.settle_links(&mut not_ours);
        if let Some(rows) = &desired.ovs
            && let OvsView::Seen(seen) = &observed.ovs
        {
            not_ours.extend(ovs::check(rows, made, seen));
            world.check_bridge_devices(rows, seen, &mut not_ours);
        }
        world.check_disciplines(&mut not_ours);
        nat::check(&world, &mut not_ours)?;
        if !not_ours.is_empty() {
            return Err(PlanError::NotOurs(not_ours));
        }
        if !closed.is_empty() {
            return Err(PlanError::NeedsRoot(closed));
        }
        if let OvsView::Unreachable(why) = &observed.ovs {
            return Err(PlanError::OvsUnreachable(why.clone()));
        }
        world.check_kernel_for_conditions()?;
        check_kernel(desired, observed.kernel)?;
        Ok(world)
    }

    /// What somebody made of an interface's disciplines. On one that was given conditions it is repaired like everything of
    /// the lab's; but what nslab could not put back is not taken away either.
    fn check_disciplines(&self, not_ours: &mut Vec<NotOurs>) {
        let made: HashSet<Place<'_>> = self.made.resources.qdiscs.iter().map(|of| place(&of.interface)).collect();
        for wanted in &self.desired.qdiscs {
            let at = place(&wanted.interface);
            let kind = match self.kept(at).and_then(|link| link.shaping.as_ref()) {
                Some(ObservedShaping::Other(kind)) if !self.is_shaped_by_ovs(at) => kind.clone(),
                Some(ObservedShaping::Known(shaping)) if !made.contains(&at) => {
                    (if shaping.netem.is_some() { "netem" } else { "tbf" }).to_owned()
                }
                _ => continue,
            };
            not_ours.push(NotOurs::Qdisc { interface: wanted.interface.clone(), kind });
        }
    }

    /// Whether Open vSwitch was told to shape what leaves by a port's device.
    fn is_shaped_by_ovs(&self, (netns, name): Place<'_>) -> bool {
        let rows = || self.made.resources.ovs.iter().flat_map(|ovs| &ovs.rows);
        let port = rows().find(|row| row.id.table == OvsTable::Port && row.name() == Some(name));
        *netns == NetnsName::Host
            && port.is_some_and(|port| {
                let mut shapers = rows().filter(|row| row.id.table == OvsTable::QoS && row.id.id == port.id.id);
                shapers.any(|row| text_of(&row.columns, "type") != Some("linux-noop"))
            })
    }

    fn check_kernel_for_conditions(&self) -> Result<(), PlanError> {
        let Some(QdiscKinds { netem, tbf }) = self.observed.kernel.qdiscs else { return Ok(()) };
        let that_have = |has: fn(&Shaping) -> bool| -> Vec<Interface> {
            self.desired.qdiscs.iter().filter(|q| has(&q.shaping)).map(|q| q.interface.clone()).collect()
        };
        let emulated = if netem { Vec::new() } else { that_have(|shaping| shaping.netem.is_some()) };
        if !emulated.is_empty() {
            return Err(PlanError::NoNetem(emulated));
        }
        let limited = if tbf { Vec::new() } else { that_have(|shaping| shaping.tbf.is_some()) };
        if limited.is_empty() { Ok(()) } else { Err(PlanError::NoTbf(limited)) }
    }

    /// The inside of a namespace that stays.
    pub(super) fn netns(&self, netns: &NetnsName) -> Option<&'a ObservedNetns> {
        self.staying.get(netns).copied()
    }

    /// An interface that is there and stays, ours or not.
    pub(super) fn link(&self, place: Place<'a>) -> Option<&'a ObservedLink> {
        if self.gone_links.contains(&place) {
            return None;
        }
        self.netns(place.0)?.links.get(place.1)
    }

    /// A desired bridge or veth end that is there and stays.
    pub(super) fn kept(&self, place: Place<'a>) -> Option<&'a ObservedLink> {
        if self.kept_links.contains(&place) { self.link(place) } else { None }
    }

    /// Whether the lab is to have an interface of this name here.
    pub(super) fn is_desired_link(&self, place: Place<'a>) -> bool {
        self.desired_links.contains_key(&place)
    }

    /// The ends of pairs that stay and are set down. The kernel takes their IPv6 addresses and their routes, whosever
    /// they are: so that undo knows of them, they go by steps of their own before.
    pub(super) fn set_down(&self) -> impl Iterator<Item = (Place<'a>, &'a ObservedLink)> {
        let ends = self.desired.veths.iter().flat_map(|veth| [&veth.a, &veth.b]).filter(|end| !end.up);
        ends.filter_map(|end| {
            let at = place(&end.interface);
            Some((at, self.kept(at).filter(|link| link.up)?))
        })
    }

    /// What is observed inside a namespace that stays or goes.
    pub(super) fn inside(&self, netns: &NetnsName) -> Option<&'a ObservedNetns> {
        self.netns(netns).or_else(|| match self.observed.namespaces.get(netns) {
            Some(Pin::Namespace(inside)) => Some(inside),
            _ => None,
        })
    }

    /// The bridge that an interface that stays is a port of once the interfaces that go are gone.
    pub(super) fn master_left(&self, place: Place<'a>) -> Option<&'a str> {
        let master = self.link(place)?.master.as_deref()?;
        self.link((place.0, master)).map(|_| master)
    }

    /// Whether an end of a desired pair that stays has to change its bridge.
    pub(super) fn changes_master(&self, end: &'a VethEnd) -> bool {
        self.kept(place(&end.interface)).is_some()
            && self.master_left(place(&end.interface)) != end.master.as_ref().map(IfName::as_str)
    }

    /// The other end of an observed veth pair; `None` where it is nowhere that was looked, or can't be told.
    pub(super) fn peer(&self, end: Place<'a>) -> Option<Place<'a>> {
        self.likely_peer(end).filter(|&peer| self.likely_peer(peer) == Some(end))
    }

    fn likely_peer(&self, end: Place<'a>) -> Option<Place<'a>> {
        let link = self.inside(end.0)?.links.get(end.1)?;
        let ObservedLinkKind::Veth { peer_index } = link.kind else { return None };
        let candidates = self.veth_ends.get(&(peer_index, link.index))?;
        let mut others = candidates.iter().copied().filter(|&other| other != end);
        let (first, second) = (others.next()?, others.next());
        if second.is_none() {
            return Some(first);
        }
        // Indices are numbers of a namespace, and in new ones the same are soon given out: of strangers with matching
        // ones, it is the one that nslab joined it to. After a stopped change that may be either of two; then it can't
        // be told, and is not taken for what is desired.
        let is_candidate = |other: &Place<'a>| {
            let other = self.inside(other.0).and_then(|inside| inside.links.get(other.1));
            other.is_some_and(|other| {
                other.index == peer_index && other.kind == ObservedLinkKind::Veth { peer_index: link.index }
            })
        };
        let mut joined = self.made_peers.get(&end)?.iter().copied().filter(is_candidate);
        joined.next().filter(|_| joined.next().is_none())
    }

    fn settle_namespaces(&mut self, not_ours: &mut Vec<NotOurs>, closed: &mut Vec<PinName>) {
        let made: HashSet<&PinName> = self.made.resources.netns.iter().map(|n| &n.name).collect();
        for netns in &self.desired.netns {
            let is_made = made.contains(&netns.name);
            let Some((at, pin)) = self.observed.pin(&netns.name) else { continue };
            match pin {
                // A stopped run leaves an empty pin; its next one uses it.
                Pin::Empty if is_made => {}
                Pin::Closed if is_made => closed.push(netns.name.clone()),
                Pin::Namespace(inside) => {
                    let marked = inside.mark.as_ref() == Some(&netns.mark);
                    if marked && is_made {
                        self.staying.insert(at, inside);
                    } else {
                        let lab = inside.mark.as_deref().and_then(lab_of_mark).map(str::to_owned);
                        not_ours.push(NotOurs::Netns { netns: netns.name.clone(), lab });
                    }
                }
                Pin::Closed => not_ours.push(NotOurs::Netns { netns: netns.name.clone(), lab: None }),
                Pin::Empty | Pin::Other => not_ours.push(NotOurs::PinFile { netns: netns.name.clone() }),
            }
        }
        let mut seen: HashSet<&PinName> = self.desired.netns.iter().map(|netns| &netns.name).collect();
        for netns in self.made.resources.netns.iter().filter(|netns| seen.insert(&netns.name)) {
            let Some((at, pin)) = self.observed.pin(&netns.name) else { continue };
            match pin {
                Pin::Namespace(inside) if inside.mark.as_ref() == Some(&netns.mark) => {
                    self.going.push(Going { netns, at, inside: Some(inside) });
                }
                Pin::Empty => self.going.push(Going { netns, at, inside: None }),
                Pin::Closed => closed.push(netns.name.clone()),
                // Somebody else's by now.
                Pin::Namespace(_) | Pin::Other => {}
            }
        }
    }

    fn check_name_directories(&self, not_ours: &mut Vec<NotOurs>) {
        if self.observed.name_directories.is_empty() {
            return;
        }
        let made: HashSet<_> =
            self.made.resources.name_directories.iter().map(|made| (&made.netns, &made.directory)).collect();
        for wanted in &self.desired.name_directories {
            let target = match self.observed.name_directories.get(&wanted.netns) {
                None => continue,
                Some(NameEntry::Link(target)) if made.contains(&(&wanted.netns, target)) => continue,
                // A reboot takes the journal and leaves the link; nobody else has a reason to lead it there.
                Some(NameEntry::Link(target)) if target.parent() == wanted.directory.parent() => continue,
                Some(NameEntry::Link(target)) => Some(target.clone()),
                Some(NameEntry::Other) => None,
            };
            not_ours.push(NotOurs::NameDirectory { netns: wanted.netns.clone(), target });
        }
    }

    /// A bridge of Open vSwitch is a device too, in the host's namespace: another device of its name is in its way.
    fn check_bridge_devices(&self, rows: &OvsRows, seen: &ObservedOvs, not_ours: &mut Vec<NotOurs>) {
        for row in rows.rows.iter().filter(|row| row.id.table == OvsTable::Bridge) {
            let Some(name) = row.name() else { continue };
            let is_there = self.netns(&NetnsName::Host).is_some_and(|host| host.links.contains_key(name));
            if is_there && !seen.rows.contains_key(&row.id) {
                not_ours.extend(IfName::try_from(name).ok().map(NotOurs::HostLink));
            }
        }
    }

    /// Whether an interface of the host's was made and not yet marked: it leads into a namespace of the lab's, or to
    /// another one of the host's and has the address that nslab derives from the lab's name.
    fn is_unmarked(&self, (netns, name): Place<'a>, link: &ObservedLink) -> bool {
        let has_made_mac = || {
            let made = self.made_macs.get(name);
            link.alias.is_none() && link.mac.is_some_and(|mac| made.is_some_and(|made| made.contains(&mac)))
        };
        self.peer((netns, name)).is_some_and(|(peer, _)| *peer != NetnsName::Host || has_made_mac())
    }

    fn settle_links(&mut self, not_ours: &mut Vec<NotOurs>) {
        let made = made_kinds(self.made);
        let mut spaces: Vec<_> = self.staying.iter().map(|(&name, &inside)| (name, inside, true)).collect();
        spaces.extend(self.going.iter().filter_map(|going| Some((going.at, going.inside?, false))));
        spaces.sort_by_key(|space| space.0); // a HashMap's order is another each time, a plan's must not be
        for &(netns, inside, _) in &spaces {
            for (name, link) in &inside.links {
                if let ObservedLinkKind::Veth { peer_index } = link.kind {
                    self.veth_ends.entry((link.index, peer_index)).or_default().push((netns, name));
                }
            }
        }
        for (netns, inside, stays) in spaces {
            for (name, link) in &inside.links {
                let place = (netns, name.as_str());
                let (is_bridge, is_veth) = match link.kind {
                    ObservedLinkKind::Bridge { .. } => (true, false),
                    ObservedLinkKind::Veth { .. } => (false, true),
                    ObservedLinkKind::Other(_) => (false, false),
                };
                let made = made.get(&place).is_some_and(|made| is_bridge && made.bridge || is_veth && made.veth);
                let is_host = *netns == NetnsName::Host;
                let alias = link.alias.as_deref();
                let marked = !is_host || alias.is_some() && alias == self.marks.get(name.as_str()).copied();
                let known = alias.is_some_and(|alias| self.known_marks.contains(&(name.as_str(), alias)));
                let ours = made && (marked || known || self.is_unmarked(place, link));
                let as_desired = match self.desired_links.get(&place) {
                    Some(Kind::Bridge) => is_bridge,
                    Some(&Kind::Veth(peer)) => is_veth && self.peer(place) == Some(peer),
                    None => false,
                };
                if !stays {
                    // Removed by themselves, not with their namespace, so that there is one place that restores them.
                    if is_bridge || is_veth {
                        self.gone_links.insert(place);
                    }
                } else if ours && as_desired && marked {
                    self.kept_links.insert(place);
                } else if ours {
                    self.gone_links.insert(place);
                } else if self.desired_links.contains_key(&place) {
                    not_ours.extend(interface(place).map(|interface| match interface.netns {
                        NetnsName::Host => NotOurs::HostLink(interface.name),
                        NetnsName::Pinned(_) => NotOurs::Link(interface),
                    }));
                }
            }
        }
        let peers: Vec<Place<'a>> = self.gone_links.iter().filter_map(|&end| self.peer(end)).collect();
        for peer in peers {
            self.kept_links.remove(&peer);
            self.gone_links.insert(peer);
        }
    }
}

fn kinds<'a>(bridges: &'a [Bridge], veths: &'a [Veth]) -> HashMap<Place<'a>, Kind<'a>> {
    let bridges = bridges.iter().map(|bridge| (place(&bridge.interface), Kind::Bridge));
    let veths = veths.iter().flat_map(|veth| {
        let [a, b] = [place(&veth.a.interface), place(&veth.b.interface)];
        [(a, Kind::Veth(b)), (b, Kind::Veth(a))]
    });
    bridges.chain(veths).collect()
}

/// What sorts of interface were made at a place: of a changed lab's stopped run, both may have been.
#[derive(Default)]
struct MadeKinds {
    bridge: bool,
    veth: bool,
}

/// Whether the kernel's bridges can do what is asked of them.
fn check_kernel(desired: &Resources, kernel: Kernel) -> Result<(), PlanError> {
    let named = |asks: fn(&Bridge) -> bool| -> Vec<IfName> {
        desired.bridges.iter().filter(|bridge| asks(bridge)).map(|bridge| bridge.interface.name.clone()).collect()
    };
    let filtering = named(|bridge| bridge.vlan_filtering);
    if kernel.vlan_filtering == Some(false) && !filtering.is_empty() {
        return Err(PlanError::NoVlanFiltering(filtering));
    }
    let snooping = named(|bridge| bridge.mcast_snooping == Some(true));
    if kernel.mcast_snooping == Some(false) && !snooping.is_empty() {
        return Err(PlanError::NoMcastSnooping(snooping));
    }
    Ok(())
}

fn made_kinds(made: &Made) -> HashMap<Place<'_>, MadeKinds> {
    let mut kinds: HashMap<Place<'_>, MadeKinds> = HashMap::new();
    for bridge in &made.resources.bridges {
        kinds.entry(place(&bridge.interface)).or_default().bridge = true;
    }
    for veth in &made.resources.veths {
        for end in [&veth.a, &veth.b] {
            kinds.entry(place(&end.interface)).or_default().veth = true;
        }
    }
    kinds
}

/// The marks of ends in the host's namespace, by the interfaces' names.
fn marks(veths: &[Veth]) -> impl Iterator<Item = (&str, &str)> {
    let ends = veths.iter().flat_map(|veth| [&veth.a, &veth.b]);
    ends.filter_map(|end| Some((end.interface.name.as_str(), end.mark.as_deref()?)))
}
