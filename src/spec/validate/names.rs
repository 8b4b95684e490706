//! Which nodes and switches there are.

use crate::model::{NameError, NodeName, PinName, SwitchName};
use crate::spec::Position;
use crate::spec::error::Problems;
use crate::spec::field::{Entries, Field};
use crate::spec::raw::{RawNode, RawSwitch, RawTopology};
use crate::spec::suggest;
use std::collections::HashMap;

/// What is wrong with a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// The text can't be such a name.
    #[error(transparent)]
    Text(#[from] NameError),
    /// A switch has the name already.
    #[error("`{name}` is the name of a switch too, on line {line}: give one of the two another name")]
    Taken {
        /// The name.
        name: String,
        /// Where the switch is.
        line: u32,
    },
    /// In the hosts file it would hide what every machine knows by that name, or be taken for an address.
    #[error("no node can be called `{name}`, which means something else wherever a host's name stands: choose another")]
    Host {
        /// The name.
        name: String,
    },
    /// Two names that are one to whoever looks a host up (RFC 4343).
    #[error(
        "`{name}` and `{other}` on line {line} are the same host's name, which knows no case: rename one of the two"
    )]
    Case {
        /// The name.
        name: String,
        /// The other one.
        other: String,
        /// Where that is.
        line: u32,
    },
    /// The name stands for the namespace that the switches are in.
    #[error("no node can be called `{name}`, the lab's switches live under that name: choose another")]
    Reserved {
        /// The name.
        name: String,
    },
}

/// A switch of the text.
pub(super) struct SwitchDef<'r> {
    pub(super) at: Position,
    pub(super) name: SwitchName,
    pub(super) raw: &'r RawSwitch,
}

/// A node of the text.
pub(super) struct NodeDef<'r> {
    pub(super) name: NodeName,
    pub(super) raw: &'r RawNode,
}

/// A switch or a node, by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thing {
    Switch(usize),
    Node(usize),
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    Found(Thing),
    /// Something whose name was refused; that has been reported.
    Refused,
    Unknown,
}

/// Everything that links, routes and expectations can name.
pub(super) struct Things<'r> {
    pub(super) switches: Vec<SwitchDef<'r>>,
    pub(super) nodes: Vec<NodeDef<'r>>,
    by_name: HashMap<&'r str, (Lookup, Position)>,
}

impl<'r> Things<'r> {
    pub(super) fn get(&self, name: &str) -> Lookup {
        self.by_name.get(name).map_or(Lookup::Unknown, |(found, _)| *found)
    }

    pub(super) fn name_of(&self, thing: Thing) -> String {
        match thing {
            Thing::Switch(switch) => self.switches[switch].name.to_string(),
            Thing::Node(node) => self.nodes[node].name.to_string(),
        }
    }

    /// The nearest name of a node.
    pub(super) fn nearest_node(&self, name: &str) -> Option<String> {
        suggest::nearest(name, self.nodes.iter().map(|n| n.name.as_str())).map(str::to_owned)
    }

    /// The nearest name of a node or a switch.
    pub(super) fn nearest(&self, name: &str) -> Option<String> {
        let switches = self.switches.iter().map(|s| s.name.as_str());
        suggest::nearest(name, self.nodes.iter().map(|n| n.name.as_str()).chain(switches)).map(str::to_owned)
    }

    fn refuse(&mut self, key: &'r Field<String>, problem: NameProblem, problems: &mut Problems) {
        if let Some(name) = &key.value {
            self.by_name.entry(name).or_insert((Lookup::Refused, key.at));
        }
        problems.add_to_addressing(key.at, problem);
    }
}

static PLAIN_SWITCH: RawSwitch = RawSwitch {
    backend: None,
    mtu: None,
    stp: None,
    subnets: None,
    forward: None,
    mcast_snooping: None,
    rstp: None,
    fail_mode: None,
    controller: None,
    protocols: None,
    datapath_id: None,
    mac_table_size: None,
    netflow: None,
    sflow: None,
    ipfix: None,
    mirror: None,
};
static PLAIN_NODE: RawNode = RawNode {
    interfaces: None,
    routes: None,
    gateway: None,
    forwarding: None,
    sysctls: None,
    exec: None,
    limits: None,
    container: None,
};

/// The entries with their definitions; `net1:` stands for a definition that says nothing.
fn definitions<'r, K, V>(
    field: Option<&'r Field<Entries<K, Option<V>>>>,
    plain: &'r V,
    problems: &mut Problems,
) -> Vec<(&'r Field<String>, &'r V)> {
    if field.is_some_and(|f| f.value.is_none()) {
        problems.doubt_addressing();
    }
    let entries = super::value(field).map_or(&[][..], |e| &e.entries);
    let mut definitions = Vec::with_capacity(entries.len());
    for (key, definition) in entries {
        if definition.value.is_none() {
            problems.doubt_addressing();
        }
        definitions.push((key, definition.value.as_ref().and_then(Option::as_ref).unwrap_or(plain)));
    }
    definitions
}

/// Whether a name is one of the machine's own in every hosts file, or what inet_aton(3) takes for an address.
fn is_host_taken(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_number = |part: &str| match part.strip_prefix("0x") {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()),
    };
    lower == "localhost" || lower.starts_with("ip6-") || lower.split('.').all(is_number)
}

/// Gathers the nodes and switches.
pub(super) fn collect<'r>(raw: &'r RawTopology, problems: &mut Problems) -> Things<'r> {
    let mut things = Things { switches: Vec::new(), nodes: Vec::new(), by_name: HashMap::new() };
    for (key, raw) in definitions(raw.switches.as_ref(), &PLAIN_SWITCH, problems) {
        let Some(text) = &key.value else { continue };
        match SwitchName::try_from(text.as_str()) {
            Err(error) => things.refuse(key, error.into(), problems),
            Ok(name) => {
                things.by_name.insert(text, (Lookup::Found(Thing::Switch(things.switches.len())), key.at));
                things.switches.push(SwitchDef { at: key.at, name, raw });
            }
        }
    }
    let mut lower: HashMap<String, (String, u32)> = HashMap::new();
    for (key, raw) in definitions(raw.nodes.as_ref(), &PLAIN_NODE, problems) {
        let Some(text) = &key.value else { continue };
        let name = match NodeName::try_from(text.as_str()) {
            Err(error) => {
                things.refuse(key, error.into(), problems);
                continue;
            }
            Ok(name) => name,
        };
        if let Some((_, first)) = things.by_name.get(text.as_str()) {
            let line = first.line;
            things.refuse(key, NameProblem::Taken { name: text.clone(), line }, problems);
        } else if is_host_taken(text) {
            things.refuse(key, NameProblem::Host { name: text.clone() }, problems);
        } else if let Some((other, line)) = lower.get(&text.to_ascii_lowercase()) {
            things.refuse(key, NameProblem::Case { name: text.clone(), other: other.clone(), line: *line }, problems);
        } else if PinName::is_reserved(&name) {
            things.refuse(key, NameProblem::Reserved { name: text.clone() }, problems);
        } else {
            things.by_name.insert(text, (Lookup::Found(Thing::Node(things.nodes.len())), key.at));
            lower.insert(text.to_ascii_lowercase(), (text.clone(), key.at.line));
            things.nodes.push(NodeDef { name, raw });
        }
    }
    things
}
