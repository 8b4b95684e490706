//! The cgroups of containers that somebody waits for. Each is named for the process that does, so that it can be told which were
//! left by one that was killed: the next such process removes them.

use super::super::failure::{During, Failure, Step};
use super::enabled;
use super::tree::{BEGUN, Tree};
use super::{Cgroup, CgroupError, Controller, Kind, Machine, Version, members, systemd};
use crate::process::started_ticks;
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What they are all in, beside what labs have.
const PLACE: &str = "nslab";

/// How long what is left of a container may take to end.
const END: Duration = Duration::from_secs(10);

/// A process, as long as the machine is up: its PID namespace, its number there, and when it was started. It is written with
/// colons, which no container's own name has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    namespace: u64,
    pid: i32,
    started_ticks: u64,
}

impl Owner {
    fn caller() -> Option<Self> {
        let pid = nix::unistd::getpid().as_raw();
        Some(Self { namespace: namespace()?, pid, started_ticks: started_ticks(pid)? })
    }

    fn name(self) -> String {
        let Self { namespace, pid, started_ticks } = self;
        format!("{BEGUN}{namespace}:{pid}:{started_ticks}")
    }

    fn of(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(BEGUN)?.split(':');
        let namespace = parts.next()?.parse().ok()?;
        let owner = Self { namespace, pid: parts.next()?.parse().ok()?, started_ticks: parts.next()?.parse().ok()? };
        parts.next().is_none().then_some(owner)
    }

    /// Whether it is known to have ended: of other PID namespaces nothing is.
    fn has_ended(self) -> bool {
        namespace() == Some(self.namespace) && started_ticks(self.pid) != Some(self.started_ticks)
    }
}

fn namespace() -> Option<u64> {
    std::fs::metadata("/proc/self/ns/pid").map(|file| file.ino()).ok()
}

/// What the cgroup is called of the container that the calling process is to wait for.
///
/// # Errors
/// When /proc is not there.
pub fn cgroup_of_caller() -> Result<PathBuf, Failure> {
    let owner = Owner::caller().ok_or(Errno::ENOENT).during(|| Step::of("look at the process itself in /proc"))?;
    Ok(Path::new(PLACE).join(owner.name()))
}

/// Ends and removes what launchers have left that were killed, and says how many they were.
///
/// # Errors
/// When the machine can't be looked at, or something can't be removed.
pub fn remove_left_by_killed() -> Result<usize, CgroupError> {
    let machine = Machine(super::hierarchy::look()?);
    let left = remove(&left_in(places(&machine))?)?;
    let begun = begun(&machine);
    begun.iter().try_for_each(Tree::remove)?;
    Ok(left + usize::from(!begun.is_empty()))
}

/// How many those are. Nothing is removed.
///
/// # Errors
/// When the machine can't be looked at.
pub fn count_left_by_killed() -> Result<usize, CgroupError> {
    let machine = Machine(super::hierarchy::look()?);
    Ok(left_in(places(&machine))?.len() + usize::from(!begun(&machine).is_empty()))
}

/// Gives back the controllers that nslab had enabled where it has nothing any more, because whoever was to do so was killed; says
/// where that was.
///
/// # Errors
/// When the machine can't be looked at, or the kernel refuses.
pub fn give_controllers_back() -> Result<Vec<PathBuf>, CgroupError> {
    let mut left = left_enabled()?;
    left.iter().try_for_each(Tree::give_back)?;
    left.retain(|tree| !enabled::is_left(&tree.base));
    Ok(left.into_iter().map(|tree| tree.base).collect())
}

/// Where that is to be done.
///
/// # Errors
/// When the machine can't be looked at.
pub fn bases_with_controllers_left() -> Result<Vec<PathBuf>, CgroupError> {
    Ok(left_enabled()?.into_iter().map(|tree| tree.base).collect())
}

fn left_enabled() -> Result<Vec<Tree>, CgroupError> {
    let machine = Machine(super::hierarchy::look()?);
    let trees = machine.trees(Path::new(PLACE), &Controller::ALL);
    Ok(trees.into_iter().filter(Tree::has_left_enabled).collect())
}

/// Where the cgroups of launchers are.
fn places(machine: &Machine) -> impl Iterator<Item = PathBuf> {
    let trees = machine.trees(Path::new(PLACE), &Controller::ALL);
    let of_two = machine.0.iter().filter(|one| one.version == Version::Two);
    let scope = systemd::place_of(&Path::new(PLACE).join(BEGUN));
    let of_systemd = of_two.filter_map(move |one| Some(one.mount.join(&scope).parent()?.to_owned()));
    trees.into_iter().map(|tree| tree.leaf()).chain(of_systemd).filter(|place| place.is_dir())
}

/// One may have been killed before there was anything but what its own was to be in.
fn begun(machine: &Machine) -> Vec<Tree> {
    let trees = machine.trees(&Path::new(PLACE).join(BEGUN), &Controller::ALL);
    trees.into_iter().filter(Tree::is_there).collect()
}

/// The same in the hierarchies that a cgroup is in.
pub(super) fn remove_left(beside: &Cgroup) -> Result<usize, CgroupError> {
    let places: Vec<PathBuf> = match &beside.kind {
        Kind::Trees(trees) => trees.iter().map(Tree::topmost).collect(),
        Kind::Scope { directory, .. } => directory.parent().map(Path::to_owned).into_iter().collect(),
    };
    remove(&left_in(places.into_iter())?)
}

/// What those are called whose launchers have ended.
fn left_in(places: impl Iterator<Item = PathBuf>) -> Result<BTreeSet<String>, CgroupError> {
    // One is in all hierarchies, and its launcher is to be looked up once.
    let mut all = BTreeSet::new();
    for place in places {
        all.extend(members::below(&place)?.into_iter().filter_map(|path| Some(own_name(path.file_name()?.to_str()?))));
    }
    all.retain(|name| Owner::of(name).is_some_and(Owner::has_ended));
    Ok(all)
}

fn remove(left: &BTreeSet<String>) -> Result<usize, CgroupError> {
    for name in left {
        if let Some(cgroup) = Cgroup::find(&Path::new(PLACE).join(name))? {
            cgroup.end(END)?;
            cgroup.remove()?;
        }
    }
    Ok(left.len())
}

/// What one is called whose directory is called so, which may be that of a scope of systemd's.
fn own_name(directory: &str) -> String {
    let prefix = systemd::unit_of(Path::new(PLACE)).replace(".scope", "-");
    let of_scope = directory.strip_prefix(&prefix).and_then(|name| name.strip_suffix(".scope"));
    of_scope.unwrap_or(directory).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_it_is() {
        let own = Owner::caller().unwrap();
        assert_eq!(Owner::of(&own.name()), Some(own));
        assert!(!own.has_ended());
        assert!(Owner { started_ticks: own.started_ticks + 1, ..own }.has_ended());
        assert!(!Owner { namespace: 1, started_ticks: 1, ..own }.has_ended(), "nobody knows");
        assert_eq!(own_name(&systemd::unit_of(&Path::new(PLACE).join(own.name()))), own.name());
        assert_eq!(own_name(&own.name()), own.name());
        for name in ["by:1:2", "by:1:2:3:4", "1:2:3", "by:a:2:3", "web"] {
            assert_eq!(Owner::of(name), None, "{name}");
        }
    }
}
