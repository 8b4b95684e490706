//! Which link-local frames switches forward.

use super::names::Things;
use super::ovs::once;
use super::switches::SwitchProblem;
use super::{items, value};
use crate::model::{LinkLocal, Stp};
use crate::spec::error::Problems;
use crate::spec::{Backend, OvsSettings};
use std::collections::BTreeSet;

/// What each switch forwards. A spanning tree is told to the switches that are part of it: one that runs a tree takes its
/// frames in, on both backends, and to pass them on as well would show the tree's neighbours two bridges in one.
pub(super) fn check(
    things: &Things<'_>,
    stps: &[Option<Stp>],
    ovs: &[(Backend, OvsSettings)],
    problems: &mut Problems,
) -> Vec<BTreeSet<LinkLocal>> {
    let mut all = Vec::with_capacity(things.switches.len());
    for ((def, stp), (_, ovs)) in things.switches.iter().zip(stps).zip(ovs) {
        let fields = items(def.raw.forward.as_ref());
        let tree = if ovs.rstp.is_some() { Some("rstp") } else { stp.map(|_| "stp") };
        if let Some(tree) = tree
            && let Some(field) = fields.iter().find(|field| value(Some(field)) == Some(&LinkLocal::Stp))
        {
            problems.add(field.at, SwitchProblem::ForwardsOwnTree { switch: def.name.to_string(), tree });
        }
        all.push(once(fields, problems));
    }
    all
}
