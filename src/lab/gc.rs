//! Removes what labs left behind that are no more, or that were stopped half-way.

use super::context::require_place;
use super::{Nslab, Options, left_by_containers, leftovers};
use crate::Error;
use crate::image::Store;
use crate::launcher;
use crate::report::GcReport;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Takes half-made labs away, links in /etc/netns that lead nowhere, rows of Open vSwitch and rules of the packet filter
/// whose labs a reboot took, what is left of containers that have ended, and an empty state directory. A lab that a command is
/// working on is waited for, and then left alone if it is whole, or was when the command began.
///
/// # Errors
/// When the caller is not root, or the machine can't be looked at. What can't be removed is in the report.
///
/// # Cancel safety
/// As [`Nslab::down`].
pub async fn gc(nslab: &Nslab) -> Result<GcReport, Error> {
    require_place()?;
    let found = leftovers::find(nslab).await?;
    let mut report = GcReport::default();
    for lab in found.half_made {
        match nslab.down_if_half_made(&lab, &Options::default()).await {
            Ok(true) => report.removed.push(format!("the half-made lab {lab}")),
            Ok(false) => {}
            Err(error) => report.failed.push(format!("the half-made lab {lab}: {error}")),
        }
    }
    if !found.dangling.is_empty() {
        // No lab comes or goes while this is held, so none gets its links meanwhile.
        let root = nslab.root().lock().await?;
        for link in leftovers::dangling(nslab.root())? {
            match std::fs::remove_file(&link) {
                Ok(()) => report.removed.push(format!("{}, which led nowhere", link.display())),
                Err(error) => report.failed.push(format!("{}: {error}", link.display())),
            }
        }
        root.remove_if_empty()?;
    }
    for rows in found.rows {
        let what = format!("{} rows of the lab {} in Open vSwitch's database", rows.ids.len(), rows.lab);
        match nslab.host().remove_marked_rows(nslab.default_ovsdb(), &rows).await {
            Ok(()) => report.removed.push(what),
            Err(error) => report.failed.push(format!("{what}: {error}")),
        }
    }
    for rules in found.rules {
        match nslab.host().remove_marked_rules(&rules).await {
            Ok(()) => report.removed.push(rules.to_string()),
            Err(error) => report.failed.push(format!("{rules}: {error}")),
        }
    }
    let (forgotten, stores) = nslab.forget_left().await?;
    report.removed.extend(forgotten);
    remove_cgroups(nslab, &mut report).await?;
    let left = tokio::task::spawn_blocking(launcher::remove_left_by_killed).await;
    match left.map(|result| result.map_err(|error| crate::error::chain(&error))) {
        Ok(Ok(many)) => report.removed.extend(left_by_containers::cgroups_of_killed(many)),
        Ok(Err(why)) => report.failed.push(format!("cgroups of containers whose launchers were killed: {why}")),
        Err(error) => report.failed.push(format!("cgroups of containers whose launchers were killed: {error}")),
    }
    match tokio::task::spawn_blocking(launcher::give_controllers_back).await {
        Ok(Ok(bases)) => report.removed.extend(bases.iter().map(|base| left_by_containers::controllers_of(base))),
        Ok(Err(why)) => report.failed.push(format!("controllers of cgroups: {}", crate::error::chain(&why))),
        Err(error) => report.failed.push(format!("controllers of cgroups: {error}")),
    }
    sweep(stores, &mut report);
    nslab.tidy().await?;
    Ok(report)
}

/// What is left in stores of images.
fn sweep(stores: BTreeSet<PathBuf>, report: &mut GcReport) {
    for store in stores.into_iter().map(Store::new) {
        match store.sweep() {
            Ok(swept) => {
                report.removed.extend(swept.words());
                report.failed.extend(swept.failed);
            }
            Err(error) => report.failed.push(format!("what containers had written: {}", crate::error::chain(&error))),
        }
    }
}

/// The cgroups of containers that have ended and are remembered.
async fn remove_cgroups(nslab: &Nslab, report: &mut GcReport) -> Result<(), Error> {
    match nslab.remove_cgroups_of_ended_launched().await {
        Ok(names) => report.removed.extend(names.iter().map(left_by_containers::cgroup_of_ended)),
        Err(error) => report.failed.push(format!("the cgroups of containers that have ended: {error}")),
    }
    for lab in nslab.root().lab_names()? {
        match nslab.remove_cgroups_of_ended(&lab).await {
            Ok(names) => report.removed.extend(names.iter().map(left_by_containers::cgroup_of_ended)),
            Err(Error::NoSuchLab { .. }) => {} // it went meanwhile
            Err(error) => report.failed.push(format!("the cgroups of {lab}'s containers that have ended: {error}")),
        }
    }
    Ok(())
}
