//! Runs a plan's steps, stage after stage, and undoes them. Decides nothing.

use super::{EffectError, Effects, StepFailure, Stop, UndoReport};
use crate::fault;
use crate::plan::{Op, Place, Plan, Stage, Step, StepId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;
use tracing::Instrument as _;

/// How many namespaces are worked on at once. More than there are cores, because a thread may sleep in the kernel
/// waiting for others; few enough that sockets and buffers stay small.
const AT_ONCE: usize = 16;

/// Called with the number of steps done and of all steps.
pub type Progress = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// How far a plan came.
#[derive(Debug, Default)]
pub struct Done {
    /// The steps that were begun: those that were finished, and those that failed half-way.
    pub begun: BTreeSet<StepId>,
    /// Those that failed. Steps that were running beside the first of them were let finish.
    pub failures: Vec<StepFailure>,
    /// Whether the user asked to stop before all was done.
    pub interrupted: bool,
    /// Whether a step failed that the machine itself hangs on, so that nothing was done after it.
    pub is_halted: bool,
}

impl Done {
    /// Whether all steps were done.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && !self.interrupted
    }
}

/// What is done, one after the other, in one place.
struct Group<'a> {
    steps: Vec<&'a Step>,
}

/// Steps by the namespace in which they work: those in one place are done one after the other, places at once.
fn groups<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<Place, Group<'a>> = BTreeMap::new();
    for step in steps {
        groups.entry(step.op.place()).or_insert_with(|| Group { steps: Vec::new() }).steps.push(step);
    }
    groups.into_values().collect()
}

/// Whether a failed step ends the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// It does: what was begun will be undone.
    End,
    /// It does not: as much as can be is to be taken away. But for a stage that [holds the machine](Stage::holds_the_machine).
    GoOn,
}

/// Does the steps of `stages` that `plan` has, in order, until the user asks to stop or one fails; adds to `done`.
///
/// # Cancel safety
/// Each group of steps runs in a task of its own that goes on when this future is dropped.
pub(super) async fn run<E: Effects>(
    plan: &Plan,
    stages: impl Fn(Stage) -> bool,
    effects: &E,
    on_failure: OnFailure,
    stop: &Stop,
    progress: &Progress,
    done: &mut Done,
) {
    let goes_on = |done: &Done| done.failures.is_empty() || on_failure == OnFailure::GoOn;
    for steps in plan.steps.chunk_by(|a, b| a.stage == b.stage) {
        if !stages(steps[0].stage) {
            continue;
        }
        let failed_before = done.failures.len();
        let mut waiting = groups(steps).into_iter();
        let mut running = JoinSet::new();
        loop {
            while running.len() < AT_ONCE
                && goes_on(done)
                && !stop.is_requested()
                && let Some(group) = waiting.next()
            {
                let group = run_group(owned(&group.steps), effects.clone(), on_failure, stop.clone());
                running.spawn(group.in_current_span());
            }
            let Some(finished) = running.join_next().await else { break };
            match finished {
                Ok(part) => {
                    done.begun.extend(part.begun);
                    done.failures.extend(part.failures);
                }
                Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
            }
            progress(done.begun.len(), plan.steps.len());
        }
        if stop.is_requested() {
            done.interrupted = true;
        }
        done.is_halted |= steps[0].stage.holds_the_machine() && done.failures.len() > failed_before;
        if done.interrupted || done.is_halted || !goes_on(done) {
            return;
        }
    }
}

fn owned(steps: &[&Step]) -> Vec<(StepId, Op)> {
    steps.iter().map(|step| (step.id, step.op.clone())).collect()
}

async fn run_group<E: Effects>(steps: Vec<(StepId, Op)>, effects: E, on_failure: OnFailure, stop: Stop) -> Done {
    let mut done = Done::default();
    for (id, op) in steps {
        if stop.is_requested() {
            break;
        }
        done.begun.insert(id);
        let started = Instant::now();
        let performed = perform(&effects, &op, &stop).await;
        tracing::debug!(step = id.0, took_us = started.elapsed().as_micros(), failed = performed.is_err(), "{op}");
        if let Err(error) = performed {
            done.failures.push(StepFailure { step: id, what: op.to_string(), error });
            if on_failure == OnFailure::End {
                break;
            }
        }
    }
    done
}

/// One operation, behind the point where the tests stop it: behind the last one, the journal has its own. A test's failure
/// comes once before the operation and once after it, because the kernel too may refuse at once or half-way.
async fn perform<E: Effects>(effects: &E, op: &Op, stop: &Stop) -> Result<(), EffectError> {
    fault::point(|| format!("before: {op}"));
    fault::chance()?;
    effects.perform(op, stop).await?;
    fault::chance()?;
    Ok(())
}

/// Undoes the steps that were begun, last stage first, those that failed included; goes on past errors, but for those of a
/// stage that [holds the machine](Stage::holds_the_machine).
///
/// # Cancel safety
/// As [`run`].
pub(super) async fn undo<E: Effects>(plan: &Plan, begun: &BTreeSet<StepId>, effects: &E) -> UndoReport {
    let mut report = UndoReport::default();
    let stages: Vec<&[Step]> = plan.steps.chunk_by(|a, b| a.stage == b.stage).collect();
    for steps in stages.into_iter().rev() {
        let (stage, failed_before) = (steps[0].stage, report.failures.len());
        let steps = steps.iter().rev().filter(|step| begun.contains(&step.id));
        let mut waiting = groups(steps).into_iter();
        let mut running = JoinSet::new();
        loop {
            while running.len() < AT_ONCE
                && let Some(group) = waiting.next()
            {
                let ops: Vec<Op> = group.steps.iter().flat_map(|step| step.undo.iter().cloned()).collect();
                running.spawn(undo_group(ops, effects.clone()).in_current_span());
            }
            let Some(finished) = running.join_next().await else { break };
            match finished {
                Ok(part) => {
                    report.undone += part.undone;
                    report.failures.extend(part.failures);
                }
                Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
            }
        }
        if stage.holds_the_machine() && report.failures.len() > failed_before {
            return report;
        }
    }
    report
}

async fn undo_group<E: Effects>(ops: Vec<Op>, effects: E) -> UndoReport {
    let mut report = UndoReport::default();
    // Undoing is not interrupted: half of it would be the worst place to stop.
    let stop = Stop::never();
    for op in ops {
        fault::point(|| format!("before undoing: {op}"));
        tracing::debug!("undo: {op}");
        let undone = match fault::chance() {
            Ok(()) => effects.perform(&op, &stop).await,
            Err(injected) => Err(injected.into()),
        };
        match undone {
            Ok(()) => report.undone += 1,
            Err(error) => report.failures.push((op.to_string(), error)),
        }
    }
    report
}
