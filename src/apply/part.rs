//! Giving the machine's NIC and address back, whatever else is the matter with the lab.

use super::down::{take_away, unseen};
use super::executor::{self, Done, OnFailure};
use super::planning::look;
use super::{ApplyError, Context, HostEffects, Outcome, Stop};
use crate::host::KeeperFiles;
use crate::model::LabName;
use crate::observe::Privilege;
use crate::plan::{self, Made, Plan, Stage};
use crate::spec::Spec;
use crate::state::{LabPaths, LabState, LockedLab, Pending, Record, Verb};

/// Takes away what a lab has of an uplink, and nothing else. The journal knows no more of it then.
///
/// Where the database of Open vSwitch does not answer, the NIC is given back all the same, and its keeper stays: it takes the
/// port out of the database once that does.
///
/// # Errors
/// When something of it is left; it is still in the journal.
///
/// # Cancel safety
/// As [`up()`](super::up()).
pub async fn part(context: &Context, lab: &LockedLab) -> Result<Outcome, ApplyError> {
    let state = lab.read()?;
    let (parts, rest) = state.made().parted();
    let observed = look(&context.host, lab.name(), &[&parts.resources], Privilege::Full).await?;
    let (mut plan, _) = plan::destroy(&parts, &observed);
    if unseen(&parts, &observed).is_some() {
        plan = without_stopping(plan);
    }
    let effects = HostEffects::new(context.host.clone(), lab.paths().clone(), lab.name(), state.instance.clone());
    let mut done = Done::default();
    let observed = take_away(context, lab, &parts, &plan, &effects, &mut done).await?;
    let (mut left, _) = plan::destroy(&parts, &observed);
    let unseen = unseen(&parts, &observed);
    if unseen.is_some() {
        begin(lab, &state, &plan)?;
    }
    // One that began meanwhile waits for the lab's lock, and ends by itself where there is no uplink then.
    if unseen.is_some() || plan.steps.iter().all(|step| step.stage != Stage::StopKeeper) {
        left = without_stopping(left);
    }
    if !left.steps.is_empty() || unseen.is_some() {
        let mut left: Vec<String> = left.steps.iter().map(|step| step.op.to_string()).collect();
        left.extend(unseen.map(|why| format!("its port in Open vSwitch's database ({why})")));
        return Err(ApplyError::Left { lab: lab.name().clone(), left, failures: done.failures });
    }
    // A keeper that gives everything back is not stopped by itself.
    let files = KeeperFiles::of(lab.paths().directory());
    files.remove().map_err(|source| ApplyError::Observe { lab: lab.name().clone(), source })?;
    forget(lab, state, rest)?;
    let (gaps, notes) = (effects.gaps(), effects.notes());
    Ok(Outcome { plan, ended: effects.ended(), left_alone: Vec::new(), notes, gaps, was_up: true })
}

/// The plan with somebody left who goes on with it.
fn without_stopping(mut plan: Plan) -> Plan {
    plan.steps.retain(|step| step.stage != Stage::StopKeeper);
    plan
}

/// Writes down that the uplink is going, so that nobody takes for one to be repaired what is left of it.
fn begin(lab: &LockedLab, state: &LabState, plan: &Plan) -> Result<(), ApplyError> {
    if state.pending.is_none() {
        let spec = state.spec().cloned().map(Spec::without_uplink);
        lab.begin(&Pending { verb: Verb::Up, plan: plan.clone(), made: state.made(), spec })?;
    }
    Ok(())
}

/// As [`part`], of a lab whose directory somebody removed: what of it is the uplink's was known before. Nobody can hold the
/// lab, or write anything down.
///
/// # Errors
/// When something of it is left.
///
/// # Cancel safety
/// As [`up()`](super::up()).
pub async fn part_without_journal(
    context: &Context,
    paths: &LabPaths,
    lab: &LabName,
    parts: &Made,
) -> Result<(), ApplyError> {
    let mut observed = look(&context.host, lab, &[&parts.resources], Privilege::Full).await?;
    if let (Some(uplink), Some(there)) = (&parts.resources.uplink, &mut observed.uplink) {
        // The note that says so is gone with the rest.
        there.is_released = !uplink.holders.is_empty();
    }
    let (plan, _) = plan::destroy(parts, &observed);
    let effects = HostEffects::new(context.host.clone(), paths.clone(), lab, None);
    let mut done = Done::default();
    executor::run(&plan, |_| true, &effects, OnFailure::GoOn, &Stop::never(), &context.progress, &mut done).await;
    let observed = look(&context.host, lab, &[&parts.resources], Privilege::Full).await?;
    let (left, _) = plan::destroy(parts, &observed);
    if left.steps.is_empty() {
        return Ok(());
    }
    let left = left.steps.iter().map(|step| step.op.to_string()).collect();
    Err(ApplyError::Left { lab: lab.clone(), left, failures: done.failures })
}

/// Writes down that there is no uplink any more. A command that was stopped and was about nothing else has left nothing.
fn forget(lab: &LockedLab, state: LabState, rest: Made) -> Result<(), ApplyError> {
    let LabState { record, pending, instance: _ } = state;
    let without = |record: Record| {
        let (_, made) = record.made.parted();
        Record { spec: record.spec.without_uplink(), made }
    };
    match (record.map(without), pending) {
        (Some(record), Some(pending))
            if pending.spec.clone().map(Spec::without_uplink).as_ref() != Some(&record.spec) =>
        {
            // It was about more: the next command finds that.
            lab.commit(&record)?;
            let spec = pending.spec.map(Spec::without_uplink);
            lab.begin(&Pending { made: rest, spec, ..pending })?;
        }
        (Some(record), _) => lab.commit(&record)?,
        (None, Some(pending)) => {
            let spec = pending.spec.map(Spec::without_uplink);
            lab.begin(&Pending { made: rest, spec, ..pending })?;
        }
        (None, None) => {}
    }
    Ok(())
}
