//! One `down`, and the taking away of what an `up` could not finish.

use super::executor::{self, Done, OnFailure};
use super::planning::look;
use super::{ApplyError, Context, EffectError, HostEffects, Outcome, Stop, UndoReport};
use crate::observe::Privilege;
use crate::observed::{Observed, OvsView};
use crate::plan::{self, Made, Plan, Stage};
use crate::state::{LockedLab, Pending, Verb, sysctls_of_others};

/// Takes away all that is there of what was made; adds to the report what could not be, with the reason.
pub(super) async fn tear_down(
    context: &Context,
    locked: &LockedLab,
    made: &Made,
    effects: &HostEffects,
    undo: &mut UndoReport,
) {
    let lab = locked.name();
    let observed = match look_at_made(context, locked, made).await {
        Ok(observed) => observed,
        Err(error) => {
            undo.failures.push((format!("look at what there is of {lab}"), EffectError::Whole(Box::new(error))));
            return;
        }
    };
    let (plan, _) = plan::destroy(made, &observed);
    let mut done = Done::default();
    let left = take_away(context, locked, made, &plan, effects, &mut done).await;
    undo.undone += done.begun.len() - done.failures.len();
    undo.failures.extend(done.failures.into_iter().map(|failure| (failure.what, failure.error)));
    if let Some(why) = unseen(made, &observed) {
        undo.failures.push(("take the lab's switches from Open vSwitch".to_owned(), EffectError::Unreachable(why)));
    }
    if let Err(error) = left {
        undo.failures.push((format!("wait for {lab} to be gone"), EffectError::Whole(Box::new(error))));
    }
}

/// Carries out a plan that takes things away, waits until the kernel has, and looks at what is left.
pub(super) async fn take_away(
    context: &Context,
    locked: &LockedLab,
    made: &Made,
    plan: &Plan,
    effects: &HostEffects,
    done: &mut Done,
) -> Result<Observed, ApplyError> {
    let Context { host, stop: _, progress, ovsdb: _ } = context;
    // Not interrupted by Ctrl-C: half a lab is of no use to anybody, and what is left of it is soon done.
    let stop = Stop::never();
    executor::run(plan, |_| true, effects, OnFailure::GoOn, &stop, progress, done).await;
    host.wait_for_namespaces_gone()
        .await
        .map_err(|source| ApplyError::Observe { lab: locked.name().clone(), source })?;
    let observed = look_at_made(context, locked, made).await?;
    if done.is_halted {
        return Ok(observed);
    }

    // A namespace that somebody else holds open lives on without its name, and so do the links into it.
    let (rest, _) = plan::destroy(made, &observed);
    let is_link = |stage| stage == Stage::RemoveLinks;
    if !rest.steps.iter().any(|step| is_link(step.stage)) {
        return Ok(observed);
    }
    let mut again = Done::default();
    executor::run(&rest, is_link, effects, OnFailure::GoOn, &stop, progress, &mut again).await;
    done.failures.extend(again.failures);
    look_at_made(context, locked, made).await
}

/// What there is of what was made, and what others need of it.
async fn look_at_made(context: &Context, lab: &LockedLab, made: &Made) -> Result<Observed, ApplyError> {
    let observed = look(&context.host, lab.name(), &[&made.resources], Privilege::Full).await?;
    Ok(Observed { claimed_sysctls: sysctls_of_others(lab.paths())?, ..observed })
}

/// Why it can't be known whether there is something of the lab in Open vSwitch, where there may be.
pub(super) fn unseen(made: &Made, observed: &Observed) -> Option<String> {
    let has_uplink = made.resources.uplink.as_ref().is_some_and(|uplink| uplink.ovs().is_some());
    match &observed.ovs {
        OvsView::Unreachable(why) if made.resources.ovs.is_some() || has_uplink => Some(why.clone()),
        _ => None,
    }
}

/// Takes a lab away.
///
/// # Errors
/// When something is left; it is still in the journal, so that another `down` finds it.
///
/// # Cancel safety
/// As [`up()`](super::up()).
pub async fn down(context: &Context, lab: &LockedLab) -> Result<Outcome, ApplyError> {
    let host = &context.host;
    let state = lab.read()?;
    let made = state.made();
    let observed = look_at_made(context, lab, &made).await?;
    let (plan, left_alone) = plan::destroy(&made, &observed);
    // Before anything is taken away: half a lab around the caller would be no use to them.
    let names = made.resources.netns.iter().map(|netns| netns.name.clone()).collect();
    host.require_caller_outside(names).await.map_err(ApplyError::Caller)?;
    // What a stopped command wanted stays written down: something of it may be there.
    let spec = state.specs().last().cloned();
    let begun = lab.begin(&Pending { verb: Verb::Down, plan: plan.clone(), made: made.clone(), spec });
    match begun {
        // What was made is in the journal already, and what goes makes room.
        Err(error) if error.is_full() && (state.record.is_some() || state.pending.is_some()) => {}
        other => other?,
    }

    let effects = HostEffects::new(host.clone(), lab.paths().clone(), lab.name(), state.instance.clone());
    let mut done = Done::default();
    let observed = match take_away(context, lab, &made, &plan, &effects, &mut done).await {
        // What failed before is the likelier reason, and is not to be lost over it.
        Err(error) if !done.failures.is_empty() => {
            let left = vec![format!("what could not be looked at ({error})")];
            return Err(ApplyError::Left { lab: lab.name().clone(), left, failures: done.failures });
        }
        result => result?,
    };
    let (rest, _) = plan::destroy(&made, &observed);
    let unseen = unseen(&made, &observed);
    // A step that failed on what went all the same is no failure.
    if !rest.steps.is_empty() || unseen.is_some() {
        let mut left: Vec<String> = rest.steps.iter().map(|step| step.op.to_string()).collect();
        left.extend(unseen.map(|why| format!("its switches in Open vSwitch's database ({why})")));
        return Err(ApplyError::Left { lab: lab.name().clone(), left, failures: done.failures });
    }
    let left_alone = left_alone.iter().map(ToString::to_string).collect();
    let was_up = state.record.is_some();
    Ok(Outcome { plan, ended: effects.ended(), left_alone, notes: Vec::new(), gaps: effects.gaps(), was_up })
}
