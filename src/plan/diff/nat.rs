//! The lab's rules in the host's packet filter.

use super::world::World;
use super::{different, missing};
use crate::model::nat::{FORWARD_PASS_RULES, ForwardPass, NatTable, boot_of_mark};
use crate::model::{instance_of_mark, lab_of_mark};
use crate::observed::nat::{NatView, ObservedNat, ObservedNatTable};
use crate::plan::error::{NotOurs, PlanError};
use crate::plan::steps::Steps;
use crate::plan::types::{Made, Op, Reason, Stage};

static NOTHING: ObservedNat =
    ObservedNat { tables: std::collections::BTreeMap::new(), passes: std::collections::BTreeMap::new() };

/// What is there, where anybody could look.
fn seen(view: &NatView) -> &ObservedNat {
    match view {
        NatView::Seen(seen) => seen,
        NatView::NotAsked | NatView::NoProgram => &NOTHING,
    }
}

/// What is in the way: no program to make rules with, or tables that are somebody else's.
pub(super) fn check(world: &World<'_>, not_ours: &mut Vec<NotOurs>) -> Result<(), PlanError> {
    let tables = &world.desired.nat_tables;
    if world.observed.nat == NatView::NoProgram && !tables.is_empty() {
        return Err(PlanError::NoNft);
    }
    let seen = seen(&world.observed.nat);
    let foreign = tables.iter().filter(|table| {
        let there = seen.tables.get(&table.name);
        there.is_some_and(|there| !is_ours(there, table, world.made) && !is_leftover(there, table))
    });
    not_ours.extend(foreign.map(|table| NotOurs::NatTable(table.name.clone())));
    Ok(())
}

pub(super) fn steps(world: &World<'_>, steps: &mut Steps) {
    let seen = seen(&world.observed.nat);
    tables(world, seen, steps);
    passes(world, seen, steps);
}

fn tables(world: &World<'_>, seen: &ObservedNat, steps: &mut Steps) {
    let (made, desired) = (&world.made.resources.nat_tables, &world.desired.nat_tables);
    for table in desired {
        let before = made.iter().find(|made| made.name == table.name);
        let set = Op::SetNatTable(table.clone());
        match seen.tables.get(&table.name) {
            None => {
                let undo = vec![Op::RemoveNatTable(table.clone())];
                steps.push(Stage::Masquerade, missing(before.is_some()), set, undo);
            }
            Some(_) if seen.is_so(table) => {}
            Some(_) => {
                // What somebody made of it nobody can put back; what the lab had, is.
                let back = before.map(|made| if seen.is_so(made) { made } else { table });
                let undo = match back {
                    Some(back) => Op::SetNatTable(back.clone()),
                    None => Op::RemoveNatTable(table.clone()),
                };
                let undo = vec![undo];
                steps.push(Stage::Masquerade, different(before == Some(table)), set, undo);
            }
        }
    }
    let stays = |table: &NatTable| desired.iter().any(|desired| desired.name == table.name);
    for table in made.iter().filter(|table| !stays(table)) {
        if seen.tables.get(&table.name).is_some_and(|there| is_ours(there, table, world.made)) {
            let undo = vec![Op::SetNatTable(table.clone())];
            steps.push(Stage::StopMasquerade, Reason::Gone, Op::RemoveNatTable(table.clone()), undo);
        }
    }
}

fn passes(world: &World<'_>, seen: &ObservedNat, steps: &mut Steps) {
    let (made, desired) = (&world.made.resources.forward_passes, &world.desired.forward_passes);
    for pass in desired {
        let there = rules_of(seen, pass);
        if there != FORWARD_PASS_RULES {
            let undo = if there == 0 { vec![Op::RemoveForwardPass(pass.clone())] } else { Vec::new() };
            let reason = missing(made.contains(pass));
            steps.push(Stage::Masquerade, reason, Op::AddForwardPass(pass.clone()), undo);
        }
    }
    for pass in made.iter().filter(|pass| !desired.contains(pass) && rules_of(seen, pass) > 0) {
        let undo = vec![Op::AddForwardPass(pass.clone())];
        steps.push(Stage::StopMasquerade, Reason::Gone, Op::RemoveForwardPass(pass.clone()), undo);
    }
}

/// What takes the lab's rules away; there is no undo.
pub(in crate::plan) fn destroy(made: &Made, view: &NatView, steps: &mut Steps) {
    let seen = seen(view);
    for table in &made.resources.nat_tables {
        // Where nobody can look, trying to says why.
        let there = seen.tables.get(&table.name);
        if *view == NatView::NoProgram || there.is_some_and(|there| is_ours(there, table, made)) {
            steps.push(Stage::StopMasquerade, Reason::Gone, Op::RemoveNatTable(table.clone()), Vec::new());
        }
    }
    for pass in made.resources.forward_passes.iter().filter(|pass| rules_of(seen, pass) > 0) {
        steps.push(Stage::StopMasquerade, Reason::Gone, Op::RemoveForwardPass(pass.clone()), Vec::new());
    }
}

/// How many rules with its mark there are.
fn rules_of(seen: &ObservedNat, pass: &ForwardPass) -> usize {
    seen.passes.get(&pass.family).into_iter().flatten().filter(|comment| **comment == pass.mark).count()
}

/// Whether a table is one that the journal knows and that carries the lab's mark; an empty one can't carry any.
fn is_ours(there: &ObservedNatTable, table: &NatTable, made: &Made) -> bool {
    let known = made.resources.nat_tables.iter().any(|made| made.name == table.name);
    let instances =
        || made.resources.nat_tables.iter().filter(|made| made.name == table.name).map(|m| instance_of_mark(&m.mark));
    let mut comments = there.chains.values().flatten().peekable();
    let is_marked = |comment: &Option<String>| {
        comment.as_deref().is_some_and(|comment| {
            lab_of_mark(comment) == lab_of_mark(&table.mark) && instances().any(|i| i == instance_of_mark(comment))
        })
    };
    known && (comments.peek().is_none() || comments.any(is_marked))
}

/// Whether a table is of a lab of this name and an earlier boot: somebody saved his rules, and loaded them with the next.
fn is_leftover(there: &ObservedNatTable, table: &NatTable) -> bool {
    let mut comments = there.chains.values().flatten().flatten();
    comments.any(|comment| {
        lab_of_mark(comment) == lab_of_mark(&table.mark)
            && boot_of_mark(comment).is_some_and(|boot| Some(boot) != boot_of_mark(&table.mark))
    })
}
