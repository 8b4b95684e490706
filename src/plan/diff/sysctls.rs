//! Parameters of the namespaces' network stacks.

use super::world::{Place, World};
use super::{different, host_sysctls, missing};
use crate::desired::Resources;
use crate::model::{NetnsName, Sysctl, SysctlKey};
use crate::observed::{Observed, Pin};
use crate::plan::steps::Steps;
use crate::plan::types::{Made, Op, Reason, Stage};
use std::collections::{BTreeSet, HashMap, HashSet};

type Which<'a> = (&'a NetnsName, &'a SysctlKey);

fn which(sysctl: &Sysctl) -> Which<'_> {
    (&sysctl.netns, &sysctl.key)
}

/// Names the steps. `silenced` are the interfaces whose `accept_ra` is 0 by the time that these are done.
pub(super) fn steps(world: &World<'_>, silenced: &HashSet<Place<'_>>, steps: &mut Steps) {
    let mut made: HashMap<Which<'_>, Vec<&str>> = HashMap::new();
    for sysctl in &world.made.resources.sysctls {
        made.entry(which(sysctl)).or_default().push(&sysctl.value);
    }
    for sysctl in &world.desired.sysctls {
        let made = made.get(&which(sysctl));
        let reason = match made {
            None => Reason::New,
            Some(values) => different(values.contains(&sysctl.value.as_str())),
        };
        let set = Op::SetSysctl(sysctl.clone());
        match there(world, silenced, sysctl) {
            There::New => steps.push(stage(sysctl), missing(made.is_some()), set, Vec::new()),
            There::Value(value) if same(value, &sysctl.value) => {}
            There::Value(value) => steps.push(stage(sysctl), reason, set, vec![set_to(sysctl, value)]),
            There::Nothing => steps.push(stage(sysctl), reason, set, Vec::new()),
        }
    }

    let mut seen: HashSet<Which<'_>> = world.desired.sysctls.iter().map(which).collect();
    let previous: HashMap<Which<'_>, &str> =
        world.made.previous_sysctls.iter().map(|sysctl| (which(sysctl), sysctl.value.as_str())).collect();
    for sysctl in world.made.resources.sysctls.iter().filter(|sysctl| seen.insert(which(sysctl))) {
        if let (Some(&before), There::Value(value)) = (previous.get(&which(sysctl)), there(world, silenced, sysctl))
            && !same(before, value)
            && !host_sysctls::stays(world.made, world.observed, sysctl, before)
        {
            let stage = if host_sysctls::is_forwarding(sysctl) { Stage::StopForwarding } else { stage(sysctl) };
            steps.push(stage, Reason::Gone, set_to(sysctl, before), vec![set_to(sysctl, value)]);
        }
    }
}

/// What each desired sysctl was before nslab set it first: as the journal has it, else as it is in the namespace that
/// is there, else as a namespace just made has it.
pub fn previous_sysctls(desired: &Resources, made: &Made, observed: &Observed) -> Vec<Sysctl> {
    let known: HashMap<Which<'_>, &Sysctl> = made.previous_sysctls.iter().map(|s| (which(s), s)).collect();
    let before = |sysctl: &Sysctl| {
        if let Some(&known) = known.get(&which(sysctl)) {
            return Some(known.clone());
        }
        // What another lab found there, not what it made of it.
        if let Some(value) = observed.claimed_sysctls.get(&sysctl.key).filter(|_| sysctl.netns == NetnsName::Host) {
            return Some(Sysctl { value: value.clone(), ..sysctl.clone() });
        }
        let there = match observed.namespaces.get(&sysctl.netns) {
            Some(Pin::Namespace(inside)) => inside.sysctls.get(&sysctl.key),
            _ => None,
        };
        let value = there.or_else(|| observed.pristine_sysctls.get(&sysctl.key))?.clone();
        Some(Sysctl { value, ..sysctl.clone() })
    };
    let host = desired.sysctls.iter().filter(|sysctl| sysctl.netns == NetnsName::Host);
    let along: BTreeSet<SysctlKey> = host.filter_map(|sysctl| sysctl.key.of_all_interfaces()).collect();
    let along = along.into_iter().map(|key| Sysctl { netns: NetnsName::Host, key, value: String::new() });
    let along: Vec<Sysctl> = along.collect();
    desired.sysctls.iter().chain(&along).filter_map(before).collect()
}

/// What is there of a sysctl.
enum There<'a> {
    /// Its namespace or its interface is made by this plan, and it with that.
    New,
    Value(&'a str),
    Nothing,
}

fn there<'a>(world: &World<'a>, silenced: &HashSet<Place<'_>>, sysctl: &'a Sysctl) -> There<'a> {
    let Some(inside) = world.netns(&sysctl.netns) else { return There::New };
    if let Some(name) = sysctl.key.interface() {
        let known = inside.links.get_key_value(name.as_str()).map(|(name, _)| (&sysctl.netns, name.as_str()));
        if known.is_none_or(|place| world.link(place).is_none()) {
            return There::New;
        }
        if silenced.contains(&(&sysctl.netns, name.as_str())) && sysctl.key.as_str().ends_with(".accept_ra") {
            return There::Value("0");
        }
    }
    inside.sysctls.get(&sysctl.key).map_or(There::Nothing, |value| There::Value(value))
}

/// Those of an interface are there only once that is; the host forwards last of all.
fn stage(sysctl: &Sysctl) -> Stage {
    match sysctl.key.interface() {
        _ if host_sysctls::is_forwarding(sysctl) => Stage::Forwarding,
        Some(_) => Stage::LinkSysctls,
        None => Stage::NamespaceSysctls,
    }
}

fn set_to(sysctl: &Sysctl, value: &str) -> Op {
    Op::SetSysctl(Sysctl { value: value.to_owned(), ..sysctl.clone() })
}

/// Whether two values are the same to the kernel, which reads columns apart by any white space and writes them by tabs.
fn same(a: &str, b: &str) -> bool {
    a == b || a.split_ascii_whitespace().eq(b.split_ascii_whitespace())
}
