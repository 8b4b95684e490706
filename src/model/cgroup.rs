//! What the cgroups of containers are called.

use super::hash;
use std::path::{Path, PathBuf};

/// The state directory where nobody names another.
pub(crate) const STATE_DIRECTORY: &str = "/run/nslab";

/// The group of containers that are of no lab: no lab is called so.
pub(crate) const OF_NO_LAB: &str = ":launched";

/// The cgroup of a container or a node that is written down in a state directory: `nslab/GROUP/NAME`.
#[must_use]
pub fn cgroup_of(state: &Path, group: &str, name: &str) -> PathBuf {
    group_of(state, group).join(name)
}

/// The cgroup that those of a lab are in: `nslab/GROUP`. Other state directories than the usual one may have things of the same
/// names at the same time, so that the group carries a number of theirs (`GROUP@NUMBER`); no name of a lab or a container has an
/// `@`.
#[must_use]
pub fn group_of(state: &Path, group: &str) -> PathBuf {
    let group = if state == Path::new(STATE_DIRECTORY) {
        group.to_owned()
    } else {
        format!("{group}@{:08x}", hash::stable(&state.to_string_lossy()) & 0xffff_ffff)
    };
    ["nslab", &group].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LabName;

    #[test]
    fn state_directories_have_cgroups_of_their_own() {
        let of = |state: &str| cgroup_of(Path::new(state), "two-node", "net1");
        assert_eq!(of("/run/nslab"), Path::new("nslab/two-node/net1"));
        assert_eq!(of("/tmp/a"), Path::new("nslab/two-node@9eb5573a/net1"));
        assert_ne!(of("/tmp/a"), of("/tmp/b"));
    }

    #[test]
    fn no_lab_has_the_group_of_containers_of_no_lab() {
        assert!(LabName::try_from(OF_NO_LAB.to_owned()).is_err());
        assert!(LabName::try_from("by:1:2:3".to_owned()).is_err(), "so are those called that somebody waits for");
        assert!(LabName::try_from("launched".to_owned()).is_ok());
    }
}
