//! The limits of a cgroup in which something runs: read from the kernel, and changed.

use super::disks::{self, Disk};
use super::error::{CgroupError, While};
use super::hierarchy::{self, Controller, Version};
use super::limits::{self, Setting};
use super::tree::Tree;
use super::{Cgroup, Kind, Machine, make, members, systemd};
use crate::model::container::{Limits, MemorySize};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How often is looked for processes that were born where they are to be moved from.
pub(super) const ROUNDS: u32 = 1000;

impl Cgroup {
    /// What the kernel limits it to, whoever has said so.
    pub fn limits(&self) -> Limits {
        let places = self.directories();
        let read = |file: &str| places.iter().find_map(|place| fs::read_to_string(place.join(file)).ok());
        limits::told(|controller| self.version(controller), read, &disks::look().unwrap_or_default())
    }

    /// Has what was written to disks, and waits there because it is limited, go on: who was killed ends only then.
    pub(in crate::launcher) fn let_disks_go(&self) {
        let disks = disks::look().unwrap_or_default();
        for setting in disks::lifted(&Limits::default(), self.version(Controller::Io), &disks) {
            if let Some(file) = self.file(&setting).filter(|file| file.exists()) {
                let _ = setting.write_to(&file); // he is waited for in any case
            }
        }
    }

    /// Whether the kernel limits it to this, as far as it counts so exactly.
    ///
    /// # Errors
    /// When they can't be had.
    pub fn is_limited_to(&self, limits: &Limits) -> Result<bool, CgroupError> {
        let settings = self.all_settings(limits, &disks::of(limits)?)?;
        let is_met = |setting: &Setting| match self.file(setting).map(fs::read_to_string) {
            Some(Ok(found)) => setting.is_met_by(&found),
            // Without the controller nothing is limited; and where no swap is counted there is none.
            _ => setting.is_none() || setting.is_of_swap(),
        };
        Ok(settings.iter().all(is_met))
    }

    /// Limits what runs in it to this from now on.
    ///
    /// Memory that is in use is written back or swapped, where that is possible; where it is not, nothing changes.
    ///
    /// # Errors
    /// [`CgroupError::InUse`] where more memory is in use than is to be; where nothing that the caller may use has what the limits
    /// want; and when the kernel or systemd refuses. Nothing has changed then.
    pub fn change(&self, limits: &Limits) -> Result<(), CgroupError> {
        match &self.kind {
            Kind::Scope { unit, directory, .. } => self.change_unit(unit, directory, limits),
            Kind::Trees(trees) => self.change_directories(trees, limits),
        }
    }

    fn change_unit(&self, unit: &str, directory: &Path, limits: &Limits) -> Result<(), CgroupError> {
        let disks = disks::of(limits)?;
        let settings = self.all_settings(limits, &disks)?;
        for setting in &settings {
            if setting.is_of_memory() {
                make_room(directory, setting)?;
            }
            if !setting.is_none() {
                make::is_needless(setting, &directory.join(setting.file))?;
            }
        }
        systemd::set_properties(unit, limits, &disks)?;
        for setting in settings.iter().filter(|setting| setting.is_beside_systemd()) {
            // systemd enables the controller for it when it has been told of the disks that this one is made of.
            let file = directory.join(setting.file);
            if systemd::has_come(|| file.exists() || setting.is_none()) && file.exists() {
                setting.write_to(&file).while_to(&format!("write {} to", setting.value), &file)?;
            }
        }
        if systemd::has_come(|| self.is_limited_to(limits).unwrap_or(false)) {
            return Ok(());
        }
        for setting in settings {
            let file = directory.join(setting.file);
            let found = fs::read_to_string(&file).unwrap_or_default().trim().to_owned();
            let Setting { limit, controller, value: wanted, .. } = &setting;
            if !file.exists() && !setting.is_none() && !setting.is_of_swap() {
                let controller = controller.name();
                return Err(CgroupError::ControllerNotDelegated { limit, controller, at: directory.to_owned() });
            }
            if !setting.is_met_by(&found) && file.exists() {
                return Err(CgroupError::NotAsAsked { file, wanted: wanted.clone(), found });
            }
        }
        Ok(())
    }

    fn change_directories(&self, trees: &[Tree], limits: &Limits) -> Result<(), CgroupError> {
        let wanted = limits::settings(limits, |controller| self.version(controller), &disks::of(limits)?)?;
        let has = |setting: &Setting| self.file(setting).is_some_and(|file| file.exists());
        if wanted.iter().any(|setting| !has(setting) && !setting.is_of_swap()) {
            extend(trees, &wanted)?;
            // What was added is found with the rest.
            let name = trees.first().map(|tree| tree.name.clone()).unwrap_or_default();
            return Self::find(&name)?.map_or(Ok(()), |whole| whole.write(limits));
        }
        self.write(limits)
    }

    /// Writes all files, each only where it is another one; or none of them.
    pub(super) fn write(&self, limits: &Limits) -> Result<(), CgroupError> {
        let settings = self.all_settings(limits, &disks::of(limits)?)?;
        let sum = settings.iter().find(|one| one.is_of_swap()).and_then(|one| self.file(one));
        let sum = sum.and_then(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
        let mut written: Vec<(PathBuf, String)> = Vec::new();
        for setting in limits::in_order(settings, sum) {
            match self.write_one(&setting) {
                Ok(was) => written.extend(was),
                Err(error) => {
                    for (file, was) in written.into_iter().rev() {
                        let _ = fs::write(file, was); // why it could not be changed says more
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Writes a file where it is another one; gives back what was in it.
    fn write_one(&self, setting: &Setting) -> Result<Option<(PathBuf, String)>, CgroupError> {
        let Some(file) = self.file(setting) else { return Ok(None) };
        if !file.exists() && (setting.is_none() || make::is_needless(setting, &file)?) {
            return Ok(None);
        }
        let was = fs::read_to_string(&file).while_to("read", &file)?;
        if setting.is_met_by(&was) {
            return Ok(None);
        }
        if let Some(directory) = file.parent().filter(|_| setting.is_of_memory()) {
            make_room(directory, setting)?;
        }
        match setting.write_to(&file) {
            // Version 1 writes back what it can, and then says so.
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => Err(in_use(setting, &file)),
            result => result.while_to(&format!("write {} to", setting.value), &file),
        }?;
        Ok(Some((file, setting.before(&was))))
    }

    /// Those of the limits' disks, and where a limit of disks is to be lifted, of all.
    fn all_settings(&self, limits: &Limits, disks: &[Disk]) -> Result<Vec<Setting>, CgroupError> {
        let mut settings = limits::settings(limits, |controller| self.version(controller), disks)?;
        let all = disks::look().unwrap_or_default();
        settings.extend(limits::lifted(limits, |controller| self.version(controller), &all));
        Ok(settings)
    }

    /// The version that a controller is in.
    fn version(&self, controller: Controller) -> Version {
        match &self.kind {
            Kind::Scope { .. } => Version::Two,
            Kind::Trees(trees) => {
                let has = |tree: &&Tree| tree.version == Version::One && tree.controllers.contains(&controller);
                let one = trees.iter().find(has).map(|tree| tree.version);
                let is_of_two = |tree: &Tree| {
                    let file = tree.base.join("cgroup.controllers");
                    let text = fs::read_to_string(file).unwrap_or_default();
                    tree.version == Version::Two && text.split_whitespace().any(|name| name == controller.name())
                };
                one.unwrap_or_else(|| if trees.iter().any(is_of_two) { Version::Two } else { Version::One })
            }
        }
    }

    /// Where a setting is to be written, where the cgroup has its controller.
    fn file(&self, setting: &Setting) -> Option<PathBuf> {
        match &self.kind {
            Kind::Scope { directory, .. } => Some(directory.join(setting.file)),
            Kind::Trees(trees) => {
                let tree = trees.iter().find(|tree| tree.controllers.contains(&setting.controller))?;
                Some(tree.leaf().join(setting.file))
            }
        }
    }
}

/// In version 2 whoever uses more than he may is killed at once: so as much as can be is written back before, and more than that
/// is refused, as version 1 does it.
fn make_room(directory: &Path, setting: &Setting) -> Result<(), CgroupError> {
    let Ok(wanted) = setting.value.parse::<u64>() else { return Ok(()) };
    let current = directory.join("memory.current");
    let used = || fs::read_to_string(&current).ok().and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
    let now = used();
    if now > wanted {
        // It says when it was less (EAGAIN), and kernels before 5.19 have no such file.
        let _ = fs::write(directory.join("memory.reclaim"), (now - wanted).to_string());
    }
    if used() > wanted { Err(in_use(setting, &directory.join(setting.file))) } else { Ok(()) }
}

fn in_use(setting: &Setting, file: &Path) -> CgroupError {
    let usage = match setting.file {
        "memory.memsw.limit_in_bytes" => "memory.memsw.usage_in_bytes",
        "memory.limit_in_bytes" => "memory.usage_in_bytes",
        _ => "memory.current",
    };
    let size = |text: &str| text.trim().parse().ok().and_then(MemorySize::from_bytes);
    let used = fs::read_to_string(file.with_file_name(usage)).ok();
    CgroupError::InUse {
        limit: setting.limit,
        wanted: size(&setting.value).map(|size| size.to_string()).unwrap_or_default(),
        used: used.as_deref().and_then(size).map(|size| format!("{} KB", size.bytes() >> 10)).unwrap_or_default(),
    }
}

/// Has a cgroup be in the hierarchies that these settings want, with all that runs in it.
pub(super) fn extend(trees: &[Tree], settings: &[Setting]) -> Result<(), CgroupError> {
    let Some(first) = trees.first() else { return Ok(()) };
    let machine = Machine(hierarchy::look()?);
    let wanted = make::trees(&first.name, &machine, settings, "")?;
    for tree in wanted {
        let is_there = trees.iter().any(|there| there.base == tree.base);
        if is_there {
            tree.enable_above()?;
            continue;
        }
        tree.make()?;
        let moved = move_all(&first.leaf(), &tree.leaf());
        if moved.is_err() {
            let back = members::of_all(&tree.leaf()).unwrap_or_default();
            for pid in back {
                let _ = members::add(&tree.base, pid);
            }
            let _ = tree.remove(); // why it could not be filled says more
        }
        moved?;
    }
    Ok(())
}

/// Moves all that is in one cgroup, and below, to another hierarchy's; whoever is born meanwhile as well.
pub(super) fn move_all(from: &Path, to: &Path) -> Result<(), CgroupError> {
    for _ in 0..ROUNDS {
        let there = members::of_all(to)?;
        let missing: BTreeSet<i32> = members::of_all(from)?.difference(&there).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        missing.into_iter().try_for_each(|pid| members::add(to, pid))?;
    }
    Err(CgroupError::Occupied { directory: from.to_owned(), pids: members::of(from)? })
}
