//! What joins what: the links' ends, the nodes' interfaces and their names, VLANs.

use super::names::{Lookup, Thing, Things};
use super::{conditions, items, ovs, value};
use crate::model::{IfName, Mtu, NativeVlan, VlanId, VlanMode};
use crate::spec::error::Problems;
use crate::spec::field::Field;
use crate::spec::ovs::Limit;
use crate::spec::raw::{RawInterface, RawLink, RawLinkParts, RawTopology, RawVlan, RawVlanPort};
use crate::spec::raw_ovs::RawLimit;
use crate::spec::suggest::{did_you_mean, list};
use crate::spec::values::{Endpoint, Subnet};
use crate::spec::{LinkBehaviour, Position};
use std::collections::{BTreeSet, HashMap};

/// What is wrong with a link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkProblem {
    /// An end is neither a node nor a switch.
    #[error(
        "`{name}` is neither a node nor a switch: {}correct the link, or add `{name}` to `nodes` or `switches`",
        did_you_mean(.suggestion.as_deref())
    )]
    Unknown {
        /// What the link leads to.
        name: String,
        /// The nearest name there is.
        suggestion: Option<String>,
    },
    /// Both ends are the same node or switch.
    #[error("both ends of the link are `{name}`: a link joins two different things, correct one end")]
    Itself {
        /// The one thing.
        name: String,
    },
    /// A switch's port is named.
    #[error("`{switch}` is a switch, and its ports have no names of their own: write just `{switch}`")]
    PortName {
        /// The switch.
        switch: String,
    },
    /// An interface is on two links.
    #[error(
        "`{node}:{interface}` is on the link on line {line} already: name another interface, or leave the name out"
    )]
    InterfaceTaken {
        /// The node.
        node: String,
        /// Its interface.
        interface: IfName,
        /// Where the other link is.
        line: u32,
    },
    /// An interface is described, but is on no link.
    #[error("no link has the interface `{node}:{interface}` (there: {there}): add a link, or correct the name")]
    InterfaceUnlinked {
        /// The node.
        node: String,
        /// The interface.
        interface: String,
        /// The interfaces that the node has.
        there: String,
    },
    /// Subnets on a link that has a switch at an end.
    #[error("a link's `subnets` are for links between two nodes: give them to the switch `{switch}`")]
    SubnetsOfSwitchLink {
        /// The switch.
        switch: String,
    },
    /// VLANs on a link between nodes.
    #[error("`vlan` is for switch ports, and both ends of this link are nodes: remove it, or link to a switch")]
    VlanWithoutSwitch,
    /// Both access port and trunk, neither, or parts that don't belong together.
    #[error(
        "`vlan` is either `access: 10`, or `trunk: [10, 20]` with or without `native: 1` (and `native_tagged`): write one of them"
    )]
    VlanForm,
    /// A trunk that carries nothing.
    #[error("the trunk carries no VLANs: name at least one, as in `trunk: [10, 20]`")]
    VlanEmptyTrunk,
    /// A VLAN that is tagged and untagged at once.
    #[error("VLAN {0} is both in `trunk` and `native`, tagged and untagged at once: remove it from one")]
    VlanNativeTagged(VlanId),
    /// How frames of a VLAN leave that there isn't.
    #[error("`native_tagged` is about the trunk's native VLAN, and it has none: write `native` too, or remove it")]
    VlanNoNative,
    /// A VLAN that is in the list twice.
    #[error("VLAN {0} is in the trunk twice: remove one")]
    VlanTwice(VlanId),
}

/// One end of a link, by indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joined {
    Switch(usize),
    Node { node: usize, interface: usize },
}

/// A link whose ends are there.
pub(super) struct Wire<'r> {
    pub(super) at: Position,
    pub(super) ends: [Joined; 2],
    pub(super) mtu: Option<(Mtu, Position)>,
    pub(super) subnets: &'r [Field<Subnet>],
    pub(super) vlan: Option<VlanMode>,
    pub(super) limits: Limits,
    pub(super) behaviour: LinkBehaviour,
}

/// How fast frames may go through a link's switch port, and where that stands.
#[derive(Default)]
pub(super) struct Limits {
    pub(super) ingress_policing: Option<(Limit, Position)>,
    pub(super) egress_qos: Option<(Limit, Position)>,
}

impl Limits {
    fn of(parts: &RawLinkParts, problems: &mut Problems) -> Self {
        let mut limit = |field: &Option<Field<RawLimit>>| {
            let field = field.as_ref()?;
            Some((ovs::limit(field.value.as_ref()?, problems)?, field.at))
        };
        Self { ingress_policing: limit(&parts.ingress_policing), egress_qos: limit(&parts.egress_qos) }
    }

    /// Those that there are, by their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, Position)> {
        let all = [("ingress_policing", self.ingress_policing), ("egress_qos", self.egress_qos)];
        all.into_iter().filter_map(|(key, limit)| Some((key, limit?.1)))
    }
}

/// An interface of a node.
pub(super) struct Interface<'r> {
    pub(super) name: IfName,
    /// Where its link's end stands.
    pub(super) at: Position,
    /// The link it is on.
    pub(super) link: usize,
    pub(super) raw: Option<&'r RawInterface>,
}

/// The links, and the interfaces they give to the nodes.
pub(super) struct Wiring<'r> {
    pub(super) links: Vec<Wire<'r>>,
    /// By node, in the order of the links.
    pub(super) interfaces: Vec<Vec<Interface<'r>>>,
}

impl Wiring<'_> {
    /// The end of the interface's link that is not the interface.
    pub(super) fn other_end(&self, interface: &Interface<'_>, node: usize) -> Joined {
        let [a, b] = self.links[interface.link].ends;
        if matches!(a, Joined::Node { node: n, .. } if n == node) { b } else { a }
    }

    /// Every interface, by node and place, in the order of the links.
    pub(super) fn in_link_order(&self) -> impl Iterator<Item = (usize, usize)> {
        self.links.iter().flat_map(|link| link.ends).filter_map(|end| match end {
            Joined::Switch(_) => None,
            Joined::Node { node, interface } => Some((node, interface)),
        })
    }

    /// A node's interfaces as a sentence lists them.
    pub(super) fn names_of(&self, node: usize) -> String {
        let names: Vec<&str> = self.interfaces[node].iter().map(|i| i.name.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { list(&names) }
    }
}

/// An end that is there, with the name that the text gives the interface.
struct End<'r> {
    at: Position,
    thing: Thing,
    interface: Option<&'r IfName>,
}

fn parts_of(link: &RawLink) -> (Option<&[Field<Endpoint>; 2]>, Option<&RawLinkParts>) {
    match link {
        RawLink::Sequence(ends) => (Some(ends), None),
        RawLink::Mapping(parts) => (parts.endpoints.value.as_ref(), Some(parts)),
    }
}

/// Joins everything up.
pub(super) fn wire<'r>(raw: &'r RawTopology, things: &Things<'r>, problems: &mut Problems) -> Wiring<'r> {
    if raw.links.as_ref().is_some_and(|l| l.value.is_none()) {
        problems.doubt_addressing();
    }
    let mut resolved = Vec::new();
    // Interfaces that the text names, and where: no other is called so.
    let mut named: HashMap<(usize, &IfName), u32> = HashMap::new();
    for link in items(raw.links.as_ref()) {
        let Some((ends, parts)) = link.value.as_ref().map(parts_of) else {
            problems.doubt_addressing();
            continue;
        };
        let Some([a, b]) = ends else {
            problems.doubt_addressing();
            continue;
        };
        let (a, b) = (resolve(a, things, problems), resolve(b, things, problems));
        let (Some(a), Some(b)) = (a, b) else { continue };
        if a.thing == b.thing {
            problems.add_to_addressing(link.at, LinkProblem::Itself { name: things.name_of(a.thing) });
            continue;
        }
        for end in [&a, &b] {
            let (Thing::Node(node), Some(interface)) = (end.thing, end.interface) else { continue };
            if let Some(line) = named.insert((node, interface), end.at.line) {
                let (node, interface) = (things.name_of(end.thing), interface.clone());
                problems.add_to_addressing(end.at, LinkProblem::InterfaceTaken { node, interface, line });
            }
        }
        resolved.push((link.at, [a, b], parts));
    }
    let mut wiring = Wiring { links: Vec::new(), interfaces: Vec::new() };
    wiring.interfaces.resize_with(things.nodes.len(), Vec::new);
    let mut next_number = vec![0_u32; things.nodes.len()];
    for (at, ends, parts) in resolved {
        let vlan = check_parts(&ends, parts, things, problems);
        let joined = ends.each_ref().map(|end| things.name_of(end.thing));
        let behaviour = parts.map(|parts| conditions::behaviour(parts, &joined, problems)).unwrap_or_default();
        let link = wiring.links.len();
        let ends = ends.map(|end| match end.thing {
            Thing::Switch(switch) => Joined::Switch(switch),
            Thing::Node(node) => {
                let name = end.interface.cloned();
                let name = name.unwrap_or_else(|| next_name(node, &mut next_number[node], &named));
                let interface = wiring.interfaces[node].len();
                wiring.interfaces[node].push(Interface { name, at: end.at, link, raw: None });
                Joined::Node { node, interface }
            }
        });
        let mtu = parts.and_then(|p| p.mtu.as_ref()).and_then(|f| Some((f.value?, f.at)));
        let subnets = parts.map_or(&[][..], |p| items(p.subnets.as_ref()));
        let limits = parts.map(|parts| Limits::of(parts, problems)).unwrap_or_default();
        wiring.links.push(Wire { at, ends, mtu, subnets, vlan, limits, behaviour });
    }
    describe_interfaces(things, &mut wiring, problems);
    wiring
}

fn resolve<'r>(end: &'r Field<Endpoint>, things: &Things<'_>, problems: &mut Problems) -> Option<End<'r>> {
    let Some(Endpoint { name, interface }) = &end.value else {
        problems.doubt_addressing();
        return None;
    };
    match things.get(name) {
        Lookup::Unknown => {
            let suggestion = things.nearest(name);
            problems.add_to_addressing(end.at, LinkProblem::Unknown { name: name.clone(), suggestion });
            None
        }
        Lookup::Refused => None,
        Lookup::Found(Thing::Switch(_)) if interface.is_some() => {
            problems.add_to_addressing(end.at, LinkProblem::PortName { switch: name.clone() });
            None
        }
        Lookup::Found(thing) => Some(End { at: end.at, thing, interface: interface.as_ref() }),
    }
}

/// The next of eth0, eth1, … that no link's end asks for.
fn next_name(node: usize, next: &mut u32, named: &HashMap<(usize, &IfName), u32>) -> IfName {
    loop {
        let name = IfName::try_from(format!("eth{next}"));
        *next += 1;
        if let Ok(name) = name
            && !named.contains_key(&(node, &name))
        {
            return name;
        }
    }
}

/// What a link in full says beside its ends: VLANs and subnets are each for one sort of link.
fn check_parts(
    ends: &[End<'_>; 2],
    parts: Option<&RawLinkParts>,
    things: &Things<'_>,
    problems: &mut Problems,
) -> Option<VlanMode> {
    let RawLinkParts { subnets, vlan, .. } = parts?;
    let switch = ends.iter().map(|end| end.thing).find(|thing| matches!(thing, Thing::Switch(_)));
    if let (Some(subnets), Some(switch)) = (subnets, switch) {
        let switch = things.name_of(switch);
        problems.add_to_addressing(subnets.at, LinkProblem::SubnetsOfSwitchLink { switch });
    }
    let vlan = vlan.as_ref()?;
    if switch.is_none() {
        problems.add(vlan.at, LinkProblem::VlanWithoutSwitch);
    }
    let port = match vlan.value.as_ref()? {
        RawVlan::Number(id) => return id.value.map(VlanMode::Access),
        RawVlan::Mapping(port) => port,
    };
    match port {
        RawVlanPort { access: Some(id), trunk: None, native: None, native_tagged: None } => {
            id.value.map(VlanMode::Access)
        }
        RawVlanPort { access: None, trunk: Some(trunk), native, native_tagged } => {
            let trunk_ids = trunk.value.as_ref()?;
            if trunk_ids.is_empty() {
                problems.add(trunk.at, LinkProblem::VlanEmptyTrunk);
            }
            let mut tagged = BTreeSet::new();
            for (at, id) in trunk_ids.iter().filter_map(|f| Some((f.at, f.value?))) {
                if !tagged.insert(id) {
                    problems.add(at, LinkProblem::VlanTwice(id));
                }
            }
            let native = native.as_ref().and_then(|f| Some((f.at, f.value?)));
            if let Some((at, id)) = native.filter(|(_, id)| tagged.contains(id)) {
                problems.add(at, LinkProblem::VlanNativeTagged(id));
            }
            if let Some(field) = native_tagged.as_ref().filter(|_| native.is_none()) {
                problems.add(field.at, LinkProblem::VlanNoNative);
            }
            let is_tagged = value(native_tagged.as_ref()).copied().unwrap_or_default();
            let native = native.map(|(_, id)| NativeVlan { id, is_tagged });
            Some(VlanMode::Trunk { tagged, native })
        }
        _ => {
            problems.add(vlan.at, LinkProblem::VlanForm);
            None
        }
    }
}

/// Gives the interfaces what the text says about them.
fn describe_interfaces<'r>(things: &Things<'r>, wiring: &mut Wiring<'r>, problems: &mut Problems) {
    for (node, def) in things.nodes.iter().enumerate() {
        let Some(entries) = value(def.raw.interfaces.as_ref()) else {
            if def.raw.interfaces.is_some() {
                problems.doubt_addressing();
            }
            continue;
        };
        let places: HashMap<String, usize> =
            wiring.interfaces[node].iter().enumerate().map(|(place, i)| (i.name.to_string(), place)).collect();
        for (key, description) in &entries.entries {
            let Some(name) = &key.value else { continue };
            if description.value.is_none() {
                problems.doubt_addressing();
            }
            if let Some(place) = places.get(name) {
                wiring.interfaces[node][*place].raw = description.value.as_ref().and_then(Option::as_ref);
            } else if let Err(error) = IfName::try_from(name.as_str()) {
                problems.add(key.at, super::NameProblem::from(error));
            } else if !problems.addressing_in_doubt() {
                let problem = LinkProblem::InterfaceUnlinked {
                    node: def.name.to_string(),
                    interface: name.clone(),
                    there: wiring.names_of(node),
                };
                problems.add(key.at, problem);
            }
        }
    }
}
