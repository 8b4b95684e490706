//! Mirrors: what they copy, and where to.

use super::links::{Joined, Wire, Wiring};
use super::names::{Lookup, SwitchDef, Thing, Things};
use super::ovs::OvsProblem;
use super::{items, value};
use crate::spec::error::Problems;
use crate::spec::field::Field;
use crate::spec::ovs::{Mirror, Selection};
use crate::spec::raw_ovs::{RawMirror, RawMirrors, RawSelection};
use crate::spec::values::Endpoint;
use std::collections::{BTreeSet, HashMap};

/// The switch whose mirrors are being checked.
pub(super) struct Mirroring<'a, 'r> {
    pub(super) things: &'a Things<'r>,
    pub(super) wiring: &'a Wiring<'r>,
    pub(super) index: usize,
    pub(super) def: &'a SwitchDef<'r>,
}

impl Mirroring<'_, '_> {
    /// Its mirrors.
    pub(super) fn mirrors(&self, problems: &mut Problems) -> Vec<Mirror> {
        let raw = match value(self.def.raw.mirror.as_ref()) {
            None => &[][..],
            Some(RawMirrors::Mapping(one)) => std::slice::from_ref(one),
            Some(RawMirrors::Sequence(several)) => several,
        };
        let mut outputs: HashMap<usize, u32> = HashMap::new();
        let mut mirrors = Vec::new();
        for RawMirror { select, output } in raw.iter().filter_map(|field| field.value.as_ref()) {
            let output_link = self.port(output, problems);
            if let Some(link) = output_link {
                self.check_output(output, link, problems);
            }
            let select = match &select.value {
                None => continue,
                Some(RawSelection::Text(_)) => Selection::All,
                Some(RawSelection::Sequence(ends)) => {
                    if ends.is_empty() {
                        problems.add(select.at, OvsProblem::MirrorOfNothing);
                    }
                    let links: Vec<_> = ends.iter().map(|end| (end, self.port(end, problems))).collect();
                    let mut known = BTreeSet::new();
                    for (end, _) in links.iter().filter(|(_, link)| link.is_some_and(|link| !known.insert(link))) {
                        problems.add(end.at, OvsProblem::Twice(text_of(end)));
                    }
                    for (end, _) in links.iter().filter(|(_, link)| link.is_some() && *link == output_link) {
                        problems.add(end.at, OvsProblem::MirrorOfItself(text_of(end)));
                    }
                    Selection::Links(links.into_iter().filter_map(|(_, link)| link).collect())
                }
            };
            let Some(link) = output_link else { continue };
            if let Some(line) = outputs.insert(link, output.at.line) {
                problems.add(output.at, OvsProblem::MirrorTwice { name: text_of(output), line });
            }
            mirrors.push(Mirror { select, output: link });
        }
        mirrors
    }

    /// Who is at a mirror's output hears everything and can't be reached.
    fn check_output(&self, output: &Field<Endpoint>, link: usize, problems: &mut Problems) {
        for end in self.wiring.links[link].ends {
            match end {
                Joined::Switch(switch) if switch != self.index => {
                    problems.add(output.at, OvsProblem::MirrorToSwitch(text_of(output)));
                }
                Joined::Switch(_) => {}
                Joined::Node { node, interface } => {
                    let addresses = self.wiring.interfaces[node][interface].raw.and_then(|raw| raw.addresses.as_ref());
                    if let Some(field) = addresses.filter(|field| !items(Some(field)).is_empty()) {
                        problems.add(field.at, OvsProblem::MirrorWithAddress(text_of(output)));
                    }
                }
            }
        }
    }

    /// The link that leads from the switch to what is named.
    fn port(&self, field: &Field<Endpoint>, problems: &mut Problems) -> Option<usize> {
        let Endpoint { name, interface } = field.value.as_ref()?;
        let thing = match self.things.get(name) {
            Lookup::Found(thing) => Some(thing),
            Lookup::Unknown => None,
            Lookup::Refused => return None,
        };
        let leads_there = |(_, link): &(usize, &Wire<'_>)| {
            let is_this = |end: &Joined| *end == Joined::Switch(self.index);
            let is_that = |end: &Joined| match (end, thing) {
                (Joined::Switch(end), Some(Thing::Switch(switch))) => *end == switch && interface.is_none(),
                (Joined::Node { node: end, interface: place }, Some(Thing::Node(node))) => {
                    let called = &self.wiring.interfaces[node].get(*place).map(|interface| &interface.name);
                    *end == node && interface.as_ref().is_none_or(|wanted| *called == Some(wanted))
                }
                _ => false,
            };
            let [a, b] = &link.ends;
            is_this(a) && is_that(b) || is_this(b) && is_that(a)
        };
        let mut links = self.wiring.links.iter().enumerate().filter(leads_there);
        let switch = self.def.name.to_string();
        match (links.next(), links.next()) {
            (Some((link, _)), None) => Some(link),
            (Some(_), Some(_)) => {
                let remedy = match thing {
                    Some(Thing::Node(_)) => format!("say which interface, as in `{name}:eth1`"),
                    _ => "a mirror can't tell them apart, name another port".to_owned(),
                };
                problems.add(field.at, OvsProblem::SeveralPorts { switch, name: name.clone(), remedy });
                None
            }
            (None, _) => {
                if !problems.addressing_in_doubt() {
                    let suggestion = if thing.is_none() { self.things.nearest(name) } else { None };
                    problems.add(field.at, OvsProblem::NoSuchPort { switch, name: text_of(field), suggestion });
                }
                None
            }
        }
    }
}

/// An endpoint as it is written.
fn text_of(field: &Field<Endpoint>) -> String {
    match &field.value {
        Some(Endpoint { name, interface: Some(interface) }) => format!("{name}:{interface}"),
        Some(Endpoint { name, interface: None }) => name.clone(),
        None => String::new(),
    }
}
