//! What labs left lying about: found for `doctor`, removed by `gc`.

use super::Nslab;
use crate::Error;
use crate::host;
use crate::host::MarkedRules;
use crate::host::ovs::MarkedRows;
use crate::model::nat::boot_in_mark;
use crate::model::{LabName, instance_of_mark};
use crate::report::LabCondition;
use crate::state::{self, StateRoot};
use std::path::{Path, PathBuf};

/// What should not be there.
pub(super) struct Leftovers {
    /// Labs that a stopped command left half-made, or that one is working on right now.
    pub(super) half_made: Vec<LabName>,
    /// Labs that were up when a command that changed them was stopped, or that one is changing right now. Never removed
    /// by `gc`: somebody's work may go on in them.
    pub(super) half_changed: Vec<LabName>,
    /// Links in /etc/netns to the directories of labs that are no more: a reboot takes the labs and leaves these.
    pub(super) dangling: Vec<PathBuf>,
    /// Namespaces with nslab's mark that no lab of any state directory knows of: a script made them, or their state was
    /// deleted. Never removed by nslab: it can't know.
    pub(super) unclaimed: Vec<String>,
    /// Rows in the database of Open vSwitch of labs that are no more: a reboot takes the labs and leaves these.
    pub(super) rows: Vec<MarkedRows>,
    /// Rows of labs of this boot that no state directory knows of. Never removed by nslab: there may be one that it does
    /// not see, in a container.
    pub(super) unclaimed_rows: Vec<MarkedRows>,
    /// Rules of the host's packet filter of labs of an earlier boot: somebody saved his rules, and loaded them again.
    pub(super) rules: Vec<MarkedRules>,
    /// Those of labs of this boot that no state directory knows of. Never removed by nslab, as above.
    pub(super) unclaimed_rules: Vec<MarkedRules>,
}

/// Looks for leftovers; touches nothing.
pub(super) async fn find(nslab: &Nslab) -> Result<Leftovers, Error> {
    let labs = nslab.labs()?;
    let in_state = |state| labs.iter().filter(move |lab| lab.state == state).map(|lab| lab.lab.clone()).collect();
    let half_made = in_state(LabCondition::HalfMade);
    let half_changed = in_state(LabCondition::HalfChanged);
    let dangling = dangling(nslab.root())?;

    let instances = state::instances()?;
    let marked = nslab.host().marked_namespaces().await?.into_iter();
    let is_claimed = |mark: &str| instance_of_mark(mark).is_some_and(|instance| instances.contains(&instance));
    let unclaimed = marked.filter(|(_, mark)| !is_claimed(mark)).map(|(name, _)| name).collect();
    let boot = nslab.host().boot_id()?;
    let rows = nslab.host().marked_rows(nslab.default_ovsdb()).await?.into_iter();
    let is_unclaimed = |rows: &MarkedRows| rows.instance.as_ref().is_some_and(|instance| !instances.contains(instance));
    let (rows, of_now): (Vec<MarkedRows>, Vec<MarkedRows>) = rows.partition(|rows| rows.boot != boot);
    let unclaimed_rows = of_now.into_iter().filter(is_unclaimed).collect();
    let rules = nslab.host().marked_rules().await?.into_iter();
    let (of_now, rules): (Vec<MarkedRules>, Vec<MarkedRules>) =
        rules.partition(|rules| rules.boot() == Some(boot_in_mark(&boot)));
    let is_unclaimed = |rules: &MarkedRules| rules.instance().is_none_or(|instance| !instances.contains(&instance));
    let unclaimed_rules = of_now.into_iter().filter(is_unclaimed).collect();
    Ok(Leftovers { half_made, half_changed, dangling, unclaimed, rows, unclaimed_rows, rules, unclaimed_rules })
}

/// The links in /etc/netns that lead to directories of labs that are no more.
pub(super) fn dangling(root: &StateRoot) -> Result<Vec<PathBuf>, Error> {
    let is_gone = |target: &Path| {
        let lab = target.strip_prefix(root.labs()).ok().and_then(|rest| rest.iter().next());
        // One that has a directory is another command's business, whatever is in it at this moment.
        lab.is_some_and(|lab| !root.labs().join(lab).exists())
    };
    let links = host::name_links()?.into_iter();
    Ok(links.filter(|(_, target)| is_gone(target)).map(|(link, _)| link).collect())
}
