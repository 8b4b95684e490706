//! What containers have left, and imports and removals of images: found for `doctor`, removed by `gc`.

use super::Nslab;
use crate::Error;
use crate::error::chain;
use crate::image::Store;
use crate::launcher;
use std::fmt::Display;
use std::path::Path;

/// All of it, in words. Nothing is removed.
pub(super) fn find(nslab: &Nslab) -> Result<Vec<String>, Error> {
    let (mut all, stores) = nslab.left_launched()?;
    all.extend(nslab.launched_with_left_cgroups()?.iter().map(cgroup_of_ended));
    for lab in nslab.root().lab_names()? {
        match nslab.nodes_with_left_cgroups(&lab) {
            Err(Error::NoSuchLab { .. }) => {} // it went meanwhile
            nodes => all.extend(nodes?.iter().map(cgroup_of_ended)),
        }
    }
    all.extend(cgroups_of_killed(launcher::count_left_by_killed().map_err(launcher::Failure::from)?));
    let bases = launcher::bases_with_controllers_left().map_err(launcher::Failure::from)?;
    all.extend(bases.iter().map(|base| controllers_of(base)));
    for store in stores.into_iter().map(Store::new) {
        match store.left() {
            Ok(left) => all.extend(left.words()),
            Err(error) => all.push(chain(&error)),
        }
    }
    Ok(all)
}

/// The cgroup of a container that is remembered.
pub(super) fn cgroup_of_ended(container: &impl Display) -> String {
    format!("the cgroup of the container {container}, which has ended")
}

/// What was enabled for nslab's cgroups, and is to be given back.
pub(super) fn controllers_of(base: &Path) -> String {
    format!("what nslab had changed for its cgroups in {} (controllers, callers)", base.display())
}

/// So many cgroups of containers that were waited for.
pub(super) fn cgroups_of_killed(many: usize) -> Option<String> {
    match many {
        0 => None,
        1 => Some("the cgroup of a container whose launcher was killed".to_owned()),
        _ => Some(format!("{many} cgroups of containers whose launchers were killed")),
    }
}
