//! Making a cgroup with its limits: a scope of systemd's, or directories.

use super::disks::Disk;
use super::error::{CgroupError, While};
use super::hierarchy::{self, Controller, Hierarchy, Version};
use super::limits::{self, Setting};
use super::systemd::{self, Asked};
use super::tree::Tree;
use super::{Cgroup, Kind, Machine, open};
use crate::model::container::Limits;
use std::fs;
use std::path::Path;

/// Makes a scope of systemd's; where nobody makes one, says why.
pub(super) fn scope(
    name: &Path,
    limits: &Limits,
    root: &Hierarchy,
    settings: &[Setting],
    disks: &[Disk],
) -> Result<Result<Cgroup, String>, CgroupError> {
    let unit = systemd::unit_of(name);
    let description = format!("nslab container {}", name.display());
    let placeholder = match systemd::make(&unit, name, &description, limits, disks)? {
        Asked::Made(placeholder) => placeholder,
        Asked::NobodyThere(why) => return Ok(Err(why)),
    };
    let directory = root.mount.join(systemd::place_of(name));
    for setting in settings {
        let file = directory.join(setting.file);
        if root.has(setting.controller) && directory.join("memory.max").exists() && is_needless(setting, &file)? {
            continue;
        }
        let Setting { limit, controller, value, .. } = setting;
        if setting.is_beside_systemd() && file.exists() {
            setting.write_to(&file).while_to(&format!("write {value} to"), &file)?;
        }
        // A user's systemd takes every limit, and has just some of the controllers.
        let found = fs::read_to_string(&file).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => {
                CgroupError::ControllerNotDelegated { limit, controller: controller.name(), at: directory.clone() }
            }
            _ => CgroupError::Kernel { action: "read".to_owned(), path: file.clone(), source },
        })?;
        if !setting.is_met_by(&found) {
            let found = found.trim().to_owned();
            return Err(CgroupError::NotAsAsked { file, wanted: value.clone(), found });
        }
    }
    let unified = if hierarchy::may_move_into(&directory)? { Some(open(&directory)?) } else { None };
    Ok(Ok(Cgroup { kind: Kind::Scope { unit, directory, placeholder: Some(placeholder) }, unified }))
}

/// Makes the directories in all hierarchies, and limits them.
pub(super) fn directories(
    name: &Path,
    machine: &Machine,
    settings: &[Setting],
    why: &str,
) -> Result<Cgroup, CgroupError> {
    let trees = trees(name, machine, settings, why)?;
    if trees.is_empty() {
        let hierarchy = machine.home(Controller::Memory).or(machine.0.first());
        return Err(hierarchy.map_or_else(
            || CgroupError::ControllerAbsent { limit: "memory", controller: "memory" },
            |hierarchy| not_allowed(hierarchy, why),
        ));
    }
    let mut begun: Vec<&Tree> = Vec::new();
    for tree in &trees {
        let made = tree.make();
        begun.extend(made.is_ok().then_some(tree));
        if let Err(error) = made.and_then(|()| limit(tree, settings)) {
            for tree in begun {
                let _ = tree.remove(); // why it could not be made says more
            }
            return Err(error);
        }
    }
    let unified = trees.iter().find(|tree| tree.version == Version::Two).map(|tree| open(&tree.leaf())).transpose()?;
    Ok(Cgroup { kind: Kind::Trees(trees), unified })
}

/// The directories in all hierarchies, as they are to be.
pub(super) fn trees(name: &Path, machine: &Machine, settings: &[Setting], why: &str) -> Result<Vec<Tree>, CgroupError> {
    let wanted: Vec<Controller> = settings.iter().map(|setting| setting.controller).collect();
    let mut trees = machine.trees(name, &wanted);
    for tree in trees.iter_mut().filter(|tree| tree.version == Version::Two) {
        let file = tree.base.join("cgroup.controllers");
        let text = fs::read_to_string(&file).while_to("read", &file)?;
        tree.controllers.retain(|one| text.split_whitespace().any(|name| name == one.name()));
    }
    for setting in settings {
        let Setting { controller, limit, .. } = *setting;
        if trees.iter().any(|tree| tree.controllers.contains(&controller)) {
            continue;
        }
        return Err(match machine.home(controller) {
            None => CgroupError::ControllerAbsent { limit, controller: controller.name() },
            Some(hierarchy) => match hierarchy.base() {
                Some(at) => CgroupError::ControllerNotDelegated { limit, controller: controller.name(), at },
                None => not_allowed(hierarchy, why),
            },
        });
    }
    Ok(trees)
}

/// Writes the limits that are of this hierarchy.
fn limit(tree: &Tree, settings: &[Setting]) -> Result<(), CgroupError> {
    for setting in settings.iter().filter(|setting| tree.controllers.contains(&setting.controller)) {
        let file = tree.leaf().join(setting.file);
        if !is_needless(setting, &file)? {
            setting.write_to(&file).while_to(&format!("write {} to", setting.value), &file)?;
        }
    }
    Ok(())
}

/// Whether a limit is to be left out: one of swap, for which the kernel has no file, on a machine that has none.
pub(super) fn is_needless(setting: &Setting, file: &Path) -> Result<bool, CgroupError> {
    if !setting.is_of_swap() || file.exists() {
        return Ok(false);
    }
    if limits::has_swap(&fs::read_to_string("/proc/swaps").unwrap_or_default()) {
        return Err(CgroupError::SwapNotCounted);
    }
    Ok(true)
}

fn not_allowed(hierarchy: &Hierarchy, why: &str) -> CgroupError {
    if nix::unistd::geteuid().is_root() {
        CgroupError::ReadOnly { at: hierarchy.mount.clone() }
    } else {
        CgroupError::NotDelegated { own: hierarchy.own_directory(), bus: why.to_owned() }
    }
}
