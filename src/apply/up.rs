//! One `up`, from the journal's first line to its last.

use super::down::tear_down;
use super::executor::{self, Done, OnFailure};
use super::planning::{Planned, look, plan_up};
use super::{ApplyError, Cause, Context, EffectError, HostEffects, Outcome, UndoReport, shared};
use crate::desired::Resources;
use crate::host;
use crate::model::{Instance, LabName, PinName, SysctlKey};
use crate::observe::Privilege;
use crate::observed::Observed;
use crate::plan::{self, Made, Op, Plan, Stage, Step};
use crate::spec::Spec;
use crate::state::{LockedLab, Pending, Record, Verb};
use std::collections::BTreeMap;

/// Brings a lab to what `spec` says, or leaves it as it was.
///
/// # Errors
/// When something stands in the way or fails. Then everything that was begun has been undone; what could not be is
/// in the error, and still in the journal, so that `down` or another `up` finds it.
///
/// # Cancel safety
/// Not to be dropped half-way: ask [`Stop`](super::Stop) instead. If it is, the journal has what the next command needs.
pub async fn up(context: &Context, lab: &LockedLab, spec: &Spec) -> Result<Outcome, ApplyError> {
    let host = &context.host;
    let mut state = lab.read()?;
    let instance = match &state.instance {
        Some(instance) => instance.clone(),
        None => draw_instance(&spec.name)?,
    };
    state.instance = Some(instance.clone());
    let Planned { state, desired, observed, plan, notes } =
        plan_up(host, state, spec, lab.paths(), &lab.paths().names_root(), &context.ovsdb, Privilege::Full).await?;
    let made = state.made();
    let was_up = state.record.is_some();
    let record = Record {
        spec: spec.clone(),
        made: Made {
            previous_sysctls: plan::previous_sysctls(&desired, &made, &observed),
            executed: desired.execs.clone(),
            resources: desired.clone(),
        },
    };
    if plan.steps.is_empty() && state.pending.is_none() && state.record.as_ref() == Some(&record) {
        return Ok(Outcome { plan, ended: Vec::new(), left_alone: Vec::new(), notes, gaps: Vec::new(), was_up });
    }

    lab.name_instance(&instance)?;
    let going: Vec<_> = plan.steps.iter().filter_map(|step| removed(&step.op)).flatten().collect();
    host.require_caller_outside(going).await.map_err(ApplyError::Caller)?;
    shared::prepare(lab).await?;
    let while_running = made.clone().union(Made { executed: made.executed.clone(), ..record.made.clone() });
    lab.begin(&Pending { verb: Verb::Up, plan: plan.clone(), made: while_running.clone(), spec: Some(spec.clone()) })?;

    let effects = HostEffects::new(host.clone(), lab.paths().clone(), &spec.name, Some(instance.clone()));
    let mut done = Done::default();
    let work = Work {
        lab: &spec.name,
        plan: &plan,
        desired: &desired,
        made: &record.made,
        claimed: &observed.claimed_sysctls,
        effects: &effects,
    };
    let carried_out = carry_out(context, &work, &mut done).await;
    let cause = match carried_out.and_then(|()| lab.commit(&record).map_err(Cause::Unrecorded)) {
        Ok(()) => {
            let (ended, gaps) = (effects.ended(), effects.gaps());
            let notes = notes.into_iter().chain(effects.notes()).collect();
            return Ok(Outcome { plan, ended, left_alone: Vec::new(), notes, gaps, was_up });
        }
        Err(cause) => cause,
    };

    let mut undo = UndoReport::default();
    if state.record.is_none() {
        // Nothing is to be left of a new lab, an earlier stopped attempt included.
        tear_down(context, lab, &while_running, &effects, &mut undo).await;
    } else {
        undo = executor::undo(&plan, &done.begun, &effects).await;
        if has(&plan, &done, |op| matches!(op, Op::AddNetns(_)))
            && let Err(error) = host.wait_for_namespaces_gone().await
        {
            undo.failures.push(("wait for the namespaces to be gone".to_owned(), error.into()));
        }
        undo.commands_ran = has(&plan, &done, |op| matches!(op, Op::Run(_)));
        if undo.failures.is_empty()
            && let Err(error) = lab.abandon(state.pending.as_ref())
        {
            undo.failures.push(("put the journal back".to_owned(), EffectError::Journal(error)));
        }
    }
    Err(ApplyError::Up { lab: spec.name.clone(), was_up, cause, undo })
}

/// Whether a step of this sort was begun.
fn has(plan: &Plan, done: &Done, of_sort: impl Fn(&Op) -> bool) -> bool {
    plan.steps.iter().any(|step| of_sort(&step.op) && done.begun.contains(&step.id))
}

fn removed(op: &Op) -> Option<Vec<PinName>> {
    match op {
        Op::DeleteNetns(all) => Some(all.iter().map(|netns| netns.name.clone()).collect()),
        _ => None,
    }
}

fn draw_instance(lab: &LabName) -> Result<Instance, ApplyError> {
    let random = host::random_bytes();
    random.map(Instance::from_random).map_err(|source| ApplyError::Observe { lab: lab.clone(), source })
}

/// What is to be carried out.
struct Work<'a> {
    lab: &'a LabName,
    plan: &'a Plan,
    desired: &'a Resources,
    /// What is made once the plan is done; what the lab was before would only confuse the reading back.
    made: &'a Made,
    /// Parameters of the host's that other labs have set.
    claimed: &'a BTreeMap<SysctlKey, String>,
    effects: &'a HostEffects,
}

/// Does the steps, reads the network back, runs the nodes' commands and takes leases of the servers among them, and removes
/// what has to go last.
async fn carry_out(context: &Context, work: &Work<'_>, done: &mut Done) -> Result<(), Cause> {
    let Context { host, stop, progress, ovsdb: _ } = context;
    let Work { lab, plan, desired, made, claimed, effects } = work;
    let network = |stage| {
        let late = [
            Stage::LimitLab,
            Stage::Limits,
            Stage::StartContainers,
            Stage::Serve,
            Stage::Lease,
            Stage::StartLeasedContainers,
            Stage::Exec,
            Stage::RemoveNamespaces,
            Stage::RemoveGroups,
        ];
        !late.contains(&stage)
    };
    executor::run(plan, network, *effects, OnFailure::End, stop, progress, done).await;
    ended_well(done)?;

    // The nodes' commands may change what they like: so the network is read back before they run.
    let unreadable = |error| Cause::Unreadable(Box::new(error));
    let observed = look(host, lab, &[desired, &made.resources], Privilege::Full).await.map_err(unreadable)?;
    let observed = Observed { claimed_sysctls: (*claimed).clone(), ..observed };
    let rest = plan::diff(desired, made, &observed).map_err(|error| unreadable(error.into()))?;
    let is_different = |step: &&Step| network(step.stage) && !is_stopped_to_be_started(&step.op, plan);
    let differences: Vec<String> = rest.steps.iter().filter(is_different).map(|step| step.op.to_string()).collect();
    if !differences.is_empty() {
        return Err(Cause::Different(differences));
    }

    executor::run(plan, |stage| !network(stage), *effects, OnFailure::End, stop, progress, done).await;
    ended_well(done)?;
    if has(plan, done, |op| matches!(op, Op::DeleteNetns(_))) {
        host.wait_for_namespaces_gone().await.map_err(Cause::Lingering)?;
    }
    Ok(())
}

/// Whether this stops a container that the plan starts. A launcher that an nslab which was killed has left may have come to its end
/// just now; who starts a container clears away what there is of it.
fn is_stopped_to_be_started(op: &Op, plan: &Plan) -> bool {
    let Op::StopContainer(stopped) = op else { return false };
    plan.steps
        .iter()
        .any(|step| matches!(&step.op, Op::StartContainer(started) if started.directory == stopped.directory))
}

fn ended_well(done: &mut Done) -> Result<(), Cause> {
    if !done.failures.is_empty() {
        return Err(Cause::Steps(std::mem::take(&mut done.failures)));
    }
    if done.interrupted { Err(Cause::Interrupted) } else { Ok(()) }
}
