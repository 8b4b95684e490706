//! Parameters of the host's own network stack, which were somebody's before, and may be of several labs.

use crate::model::{NetnsName, Sysctl, SysctlKey};
use crate::observed::{Observed, Pin};
use crate::plan::steps::Steps;
use crate::plan::types::{Made, Op, Reason, Stage};
use std::collections::{BTreeMap, HashSet};

/// Whether a parameter has the host forward packets.
pub(super) fn is_forwarding(sysctl: &Sysctl) -> bool {
    let key = sysctl.key.as_str();
    sysctl.netns == NetnsName::Host && (key.ends_with(".forwarding") || key.ends_with(".force_forwarding"))
}

/// Whether a parameter that the lab has no use for any more is to stay: another lab has, or somebody has meanwhile switched
/// forwarding on for the whole machine.
pub(super) fn stays(made: &Made, observed: &Observed, sysctl: &Sysctl, before: &str) -> bool {
    sysctl.netns == NetnsName::Host
        && (observed.claimed_sysctls.contains_key(&sysctl.key) || before == "0" && is_on_since(made, observed, sysctl))
}

fn is_on_since(made: &Made, observed: &Observed, sysctl: &Sysctl) -> bool {
    let Some(all) = sysctl.key.of_all_interfaces() else { return false };
    let before = made.previous_sysctls.iter().find(|s| s.netns == NetnsName::Host && s.key == all);
    let now = host_sysctls(observed).and_then(|there| there.get(&all));
    before.is_some_and(|before| before.value == "0") && now.is_some_and(|now| now == "1")
}

fn host_sysctls(observed: &Observed) -> Option<&BTreeMap<SysctlKey, String>> {
    match observed.namespaces.get(&NetnsName::Host) {
        Some(Pin::Namespace(inside)) => Some(&inside.sysctls),
        _ => None,
    }
}

/// What puts back the parameters of the host's that the lab set and that still are as it set them, but for those of
/// interfaces that go with it; there is no undo.
pub(in crate::plan) fn destroy(made: &Made, observed: &Observed, steps: &mut Steps) {
    let ends = made.resources.veths.iter().flat_map(|veth| [&veth.a, &veth.b]).map(|end| &end.interface);
    let own: HashSet<&str> = ends.filter(|end| end.netns == NetnsName::Host).map(|end| end.name.as_str()).collect();
    let Some(there) = host_sysctls(observed) else { return };
    let mut seen = HashSet::new();
    for set in made.resources.sysctls.iter().filter(|sysctl| sysctl.netns == NetnsName::Host) {
        let is_own = set.key.interface().is_some_and(|interface| own.contains(interface.as_str()));
        let before = made.previous_sysctls.iter().find(|s| s.netns == NetnsName::Host && s.key == set.key);
        let (Some(before), Some(now)) = (before, there.get(&set.key)) else { continue };
        if is_own || now != &set.value || now == &before.value || !seen.insert(&set.key) {
            continue;
        }
        if !stays(made, observed, set, &before.value) {
            let stage = if is_forwarding(set) { Stage::StopForwarding } else { Stage::LinkSysctls };
            steps.push(stage, Reason::Gone, Op::SetSysctl(before.clone()), Vec::new());
        }
    }
}
