//! A container's cgroup (cgroups(7)): made with its limits, filled, read, emptied and removed.
//!
//! Where it is, is not guessed but read from the kernel, and is one of these:
//!
//! - **systemd's tree**: version 2 has the controllers, systemd is the first process and answers over D-Bus, the machine's for
//!   root and the user's for others. The cgroup is a transient scope, `nslab-LAB-NODE.scope`, with `Delegate=yes`; its limits are
//!   properties of the scope, because systemd writes the files of its units when it likes.
//! - **plain directories**, `nslab/LAB/NODE`, below the topmost cgroup that the caller may fill on the way to its own: for root the
//!   root of the hierarchy, for others what was delegated to them. So it is in version 2 without systemd, in version 1, and in
//!   the mix of both that has an empty tree of version 2, which then serves for starting, killing and waiting.
//!
//! Memory and processes are counted always, because `ps` tells them; processors and disks only where they are limited. Swap that
//! the kernel can't count is an error where it was to be limited, unless the machine has none: then nothing can be swapped.
//!
//! All of it is for a process with one thread; nothing here leaves another one behind. What is left of a process that was killed
//! in between is found by [`Cgroup::find`].

mod change;
mod disks;
mod enabled;
mod entrance;
mod error;
mod group;
mod hierarchy;
mod launched;
mod limits;
mod make;
mod marks;
mod members;
mod of_launch;
mod oom;
mod systemd;
mod tree;
mod usage;
mod way_out;

pub(super) use entrance::{Doors, Entrance};
pub use error::CgroupError;
pub use group::{
    enter_group, find_group, group_limits, has_left_slice, in_group, remove_group, remove_left_slice, set_group,
    start_in_group,
};
pub use launched::{
    bases_with_controllers_left, cgroup_of_caller, count_left_by_killed, give_controllers_back, remove_left_by_killed,
};
pub(super) use of_launch::{Deaths, OfLaunch};
pub(super) use oom::OutOfMemory;
pub use oom::{OomCounter, protect_from_oom};
pub use usage::UsageReader;
pub(super) use way_out::WaysOut;

use crate::launcher::enclosed::enclosed;
use crate::model::container::Limits;
use error::While;
use hierarchy::{Controller, Hierarchy, Version};
use limits::Setting;
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};
use systemd::Placeholder;
use tree::Tree;

/// How long systemd has to notice that a scope is empty.
const NOTICE: Duration = Duration::from_secs(5);

/// How often is looked whether one is empty: version 1 tells nobody.
const LOOK: Duration = Duration::from_millis(2);

/// A container's cgroup, in all hierarchies that it is in.
#[derive(Debug)]
pub struct Cgroup {
    kind: Kind,
    /// That of version 2, to clone into.
    unified: Option<File>,
}

#[derive(Debug)]
enum Kind {
    /// Directories of nslab's own.
    Trees(Vec<Tree>),
    /// A scope of systemd's.
    Scope {
        unit: String,
        directory: PathBuf,
        /// Until the container is in it.
        placeholder: Option<Placeholder>,
    },
}

/// What is in a cgroup at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory in bytes, with the files that the kernel keeps in memory for it; `None` where it is not counted.
    pub memory_bytes: Option<u64>,
    /// Processes and threads; `None` where they are not counted.
    pub pids: Option<u64>,
}

impl Cgroup {
    /// Makes a container's cgroup, empty. The name is a path like `nslab/LAB/NODE`. Process 1 counts among the pids.
    ///
    /// # Errors
    /// Where nothing that the caller may use has what the limits want, and when the kernel or systemd refuses. Nothing is left
    /// then. [`CgroupError::is_unavailable`] says whether a container without limits can do without.
    pub fn create(name: &Path, limits: &Limits) -> Result<Self, CgroupError> {
        check(name)?;
        let machine = Machine(hierarchy::look()?);
        let disks = disks::of(limits)?;
        let settings = limits::settings(limits, |controller| machine.version(controller), &disks)?;
        let why = match machine.systemds_root(&settings) {
            Some(root) => match make::scope(name, limits, root, &settings, &disks)? {
                Ok(made) => return Ok(made),
                Err(why) => why,
            },
            None => "systemd is not the first process, or does not have all controllers".to_owned(),
        };
        make::directories(name, &machine, &settings, &why)
    }

    /// The cgroup of this name that was made before, by this process or another one; `None` where there is none.
    ///
    /// # Errors
    /// When the machine can't be looked at.
    pub fn find(name: &Path) -> Result<Option<Self>, CgroupError> {
        check(name)?;
        Ok(Self::find_on(&Machine(hierarchy::look()?), name))
    }

    fn find_on(machine: &Machine, name: &Path) -> Option<Self> {
        let unit = systemd::unit_of(name);
        for hierarchy in machine.0.iter().filter(|one| one.version == Version::Two) {
            let directory = hierarchy.mount.join(systemd::place_of(name));
            if directory.is_dir() {
                return Some(Self { kind: Kind::Scope { unit, directory, placeholder: None }, unified: None });
            }
        }
        let trees: Vec<Tree> = machine.trees(name, &Controller::ALL).into_iter().filter(Tree::is_there).collect();
        (!trees.is_empty()).then(|| Self { kind: Kind::Trees(trees), unified: None })
    }

    /// What clone3(2) is to be given with CLONE_INTO_CGROUP. Where this is something, process 1 has to be started so;
    /// [`Cgroup::doors`] and [`Cgroup::add`] see to the rest.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(AsFd::as_fd)
    }

    /// How process 1 gets into what of it is in version 1. It must have no child yet.
    ///
    /// # Errors
    /// When something can't be opened.
    pub(super) fn doors(&self) -> Result<Doors, CgroupError> {
        match &self.kind {
            Kind::Trees(trees) => Doors::open(trees),
            Kind::Scope { .. } => Ok(Doors::default()),
        }
    }

    /// Puts process 1 into what of it is in version 2, as far as [`Cgroup::fd`] has not. It must have no child yet.
    ///
    /// # Errors
    /// When the kernel or systemd refuses.
    pub(super) fn add(&mut self, pid: i32) -> Result<(), CgroupError> {
        let is_cloned = self.unified.is_some();
        match &mut self.kind {
            Kind::Trees(trees) => {
                let rest = trees.iter().filter(|tree| tree.version == Version::Two && !is_cloned);
                rest.map(Tree::leaf).try_for_each(|leaf| members::add(&leaf, pid))
            }
            Kind::Scope { unit, placeholder, .. } => {
                if !is_cloned {
                    systemd::attach(unit, pid)?;
                }
                *placeholder = None;
                Ok(())
            }
        }
    }

    /// Its directories, one a hierarchy.
    pub fn directories(&self) -> Vec<PathBuf> {
        match &self.kind {
            Kind::Trees(trees) => trees.iter().map(Tree::leaf).collect(),
            Kind::Scope { directory, .. } => vec![directory.clone()],
        }
    }

    /// What counts those whom the kernel kills in it for want of memory; `None` where no hierarchy counts memory.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn oom_counter(&self) -> Result<Option<OomCounter>, CgroupError> {
        let Some((directory, version)) = self.home("memory.events", "memory.oom_control") else { return Ok(None) };
        OomCounter::open(&directory, version).map(Some).while_to("open", directory.join(oom::file(version)))
    }

    /// What is in it.
    ///
    /// # Errors
    /// When it has been removed, or can't be read.
    pub fn usage(&self) -> Result<Usage, CgroupError> {
        let number = |two: &str, one: &str| {
            let Some((directory, version)) = self.home(two, one) else { return Ok(None) };
            let file = directory.join(if version == Version::Two { two } else { one });
            let text = fs::read_to_string(&file).while_to("read", &file)?;
            Ok(text.trim().parse().ok())
        };
        let memory_bytes = number("memory.current", "memory.usage_in_bytes")?;
        Ok(Usage { memory_bytes, pids: number("pids.current", "pids.current")? })
    }

    /// Kills everything in it and below it, and waits for the end. Whom the caller has started, it has to wait for as well. What
    /// they write to disks by then is not held back any more.
    ///
    /// # Errors
    /// [`CgroupError::Occupied`] when not all have ended in time, and when the kernel refuses.
    pub fn end(&self, within: Duration) -> Result<(), CgroupError> {
        let places: Vec<members::Place> = match &self.kind {
            Kind::Trees(trees) => trees.iter().map(place).collect(),
            Kind::Scope { directory, .. } => {
                vec![members::Place { directory: directory.clone(), version: Version::Two, freezes: false }]
            }
        };
        self.let_disks_go();
        match members::end(&places, within)? {
            pids if pids.is_empty() => Ok(()),
            pids => Err(CgroupError::Occupied { directory: places[0].directory.clone(), pids }),
        }
    }

    /// Removes it where nobody is in it, and what it is in as far as that is empty and nslab's (but a slice of systemd's, which is
    /// for [`remove_left_slice`]). What is gone already is well.
    ///
    /// # Errors
    /// [`CgroupError::Occupied`] when somebody is in it, and when the kernel or systemd refuses. In other hierarchies it is removed
    /// nevertheless, and the first error told.
    pub fn remove(&self) -> Result<(), CgroupError> {
        match &self.kind {
            Kind::Trees(trees) => {
                let results: Vec<_> = trees.iter().map(Tree::remove).collect();
                results.into_iter().collect()
            }
            Kind::Scope { unit, directory, .. } => {
                if members::is_populated(directory, Version::Two)? {
                    let pids = members::of(directory)?;
                    return Err(CgroupError::Occupied { directory: directory.clone(), pids });
                }
                for below in members::below(directory)? {
                    tree::remove_whole(&below)?;
                }
                if systemd::has_removed(directory, NOTICE) {
                    return Ok(());
                }
                systemd::stop(unit)?;
                if systemd::has_removed(directory, NOTICE) {
                    return Ok(());
                }
                Err(CgroupError::Silent { action: format!("remove {unit}"), seconds: NOTICE.as_secs() })
            }
        }
    }

    /// Removes it once all in it have ended, which nobody is told to do here: what runs in a cgroup of this name without having
    /// been ended is somebody else's.
    ///
    /// # Errors
    /// [`CgroupError::Others`] when it does not get empty, and as [`Cgroup::remove`].
    pub fn remove_when_empty(&self, within: Duration) -> Result<(), CgroupError> {
        match self.remove_within(within) {
            Err(CgroupError::Occupied { directory, pids }) => Err(CgroupError::Others { directory, pids }),
            result => result,
        }
    }

    /// Removes it once nobody is in it. Who has ended may count as being there for a moment more, though nobody sees him there.
    fn remove_within(&self, within: Duration) -> Result<(), CgroupError> {
        let deadline = Instant::now() + within;
        loop {
            match self.remove() {
                Err(CgroupError::Occupied { .. }) if Instant::now() < deadline => std::thread::sleep(LOOK),
                result => return result,
            }
        }
    }

    /// Where a file is, by its name in version 2 and in version 1.
    fn home(&self, two: &str, one: &str) -> Option<(PathBuf, Version)> {
        let places = self.directories();
        let has = |name: &str| places.iter().find(|directory| directory.join(name).exists()).cloned();
        has(two)
            .filter(|_| self.is_of_two(two))
            .map(|at| (at, Version::Two))
            .or_else(|| Some((has(one)?, Version::One)))
    }

    /// A name like pids.current is the same in both versions.
    fn is_of_two(&self, file: &str) -> bool {
        match &self.kind {
            Kind::Scope { .. } => true,
            Kind::Trees(trees) => {
                trees.iter().any(|tree| tree.version == Version::Two && tree.leaf().join(file).exists())
            }
        }
    }
}

/// The hierarchies of a machine.
struct Machine(Vec<Hierarchy>);

impl Machine {
    fn home(&self, controller: Controller) -> Option<&Hierarchy> {
        self.0.iter().find(|hierarchy| hierarchy.has(controller))
    }

    /// The version that a controller is in; where it is in none, the newer one.
    fn version(&self, controller: Controller) -> Version {
        self.home(controller).map_or(Version::Two, |hierarchy| hierarchy.version)
    }

    /// The root of systemd's tree, if systemd is to be asked: all that is used has to be there.
    fn systemds_root(&self, settings: &[Setting]) -> Option<&Hierarchy> {
        let root = self.0.iter().find(|one| one.version == Version::Two)?;
        let used = [Controller::Memory, Controller::Pids].into_iter().chain(settings.iter().map(|one| one.controller));
        let has_all = used.into_iter().all(|controller| root.has(controller));
        (has_all && systemd::is_running()).then_some(root)
    }

    /// The directories that a cgroup has in the hierarchies that the caller may use: in those that have what is wanted or is
    /// always counted, and in that of version 2. Where that is none, the one by which processes can be stopped.
    fn trees(&self, name: &Path, wanted: &[Controller]) -> Vec<Tree> {
        let has_two = self.0.iter().any(|one| one.version == Version::Two && one.base().is_some());
        let of = |hierarchy: &Hierarchy| -> Option<Tree> {
            let is_used = |one: &Controller| match one {
                Controller::Memory | Controller::Pids => true,
                Controller::Cpu | Controller::Io => wanted.contains(one) || group::is_of_limited_lab(hierarchy, name),
                Controller::Freezer => !has_two,
            };
            let used = Controller::ALL.into_iter().filter(|one| hierarchy.has(*one) && is_used(one));
            let controllers: Vec<Controller> = used.collect();
            if hierarchy.version == Version::One && controllers.is_empty() {
                return None;
            }
            let base = hierarchy.base()?;
            Some(Tree { version: hierarchy.version, controllers, base, name: name.to_owned() })
        };
        self.0.iter().filter_map(of).collect()
    }
}

fn place(tree: &Tree) -> members::Place {
    let freezes = tree.version == Version::One && tree.controllers.contains(&Controller::Freezer);
    members::Place { directory: tree.leaf(), version: tree.version, freezes }
}

fn open(directory: &Path) -> Result<File, CgroupError> {
    Ok(enclosed(File::open(directory).while_to("open", directory)?).into())
}

/// A name is a path of plain names, in something that is nslab's.
fn check(name: &Path) -> Result<(), CgroupError> {
    let is_plain = name.components().all(|part| matches!(part, Component::Normal(_)));
    if is_plain && name.components().count() >= 2 {
        return Ok(());
    }
    Err(CgroupError::Name { name: name.to_owned() })
}
