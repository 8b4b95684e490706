//! The controllers of version 2 that those below a cgroup have: they are enabled in it (cgroup.subtree_control).
//!
//! They are enabled when the innermost cgroup is there, so that nobody can remove what it is in, and make that anew without them.
//! What was enabled in the base is marked there, and given back by whoever finds nothing of nslab's below it. That may meet
//! somebody who has begun:
//!
//! - has he enabled a controller in nslab's topmost cgroup, the kernel refuses to take it from the base (EBUSY);
//! - has he not, it refuses him to (ENOENT), and he begins with the base again.

use super::error::{CgroupError, While};
use super::hierarchy::Controller;
use super::marks::{self, is_marked, mark, mark_for_owner, unmark};
use super::members;
use super::tree::{is_gone, is_in_use, make};
use crate::{fault, process};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A delegated cgroup's own processes, which can't be in it while there are limited ones below: they wait in one beside.
const CALLERS: &str = "nslab-callers";

/// Has those below a cgroup have these.
pub(super) fn enable(above: &Path, controllers: &[Controller]) -> Result<(), CgroupError> {
    missing(above, controllers).try_for_each(|controller| enable_one(above, controller))
}

/// The same in the base, where each is marked that was not enabled.
pub(super) fn enable_in_base(base: &Path, controllers: &[Controller]) -> Result<(), CgroupError> {
    missing(base, controllers).try_for_each(|controller| {
        // Before, for who finds it when this is killed; and afterwards, because who has just given it back has taken the mark.
        mark_in(base, controller)?;
        fault::point(|| "before a controller is enabled".into());
        let enabled = enable_one(base, controller).and_then(|()| mark_in(base, controller));
        enabled.inspect_err(|_| {
            let _ = unmark(&file(base), &suffix(controller)); // why it could not be enabled says more
        })
    })
}

/// Whether nslab has enabled something in a base.
pub(super) fn is_left(base: &Path) -> bool {
    of_nslab(base).any(|controller| is_enabled(base, controller))
}

/// Leaves a base, below which there is nothing of nslab's, as it was before.
pub(super) fn give_back(base: &Path) -> Result<(), CgroupError> {
    for controller in of_nslab(base) {
        if is_enabled(base, controller) && is_used(base, controller)? {
            continue;
        }
        unmark(&file(base), &suffix(controller))?;
        // By somebody who had marked it by then.
        if is_enabled(base, controller) {
            mark_in(base, controller)?;
        }
    }
    take_callers_back(base)
}

/// What process 1, which sees no directory of it, is to give back.
#[derive(Debug)]
pub(super) struct ToGiveBack {
    file: File,
    controllers: Vec<Controller>,
}

impl ToGiveBack {
    /// What nslab has enabled in a base by now, if anything: what it enables later is left to others, who find the mark.
    ///
    /// # Errors
    /// When it can't be opened.
    pub(super) fn of(base: &Path) -> io::Result<Option<Self>> {
        let controllers: Vec<Controller> = of_nslab(base).collect();
        if controllers.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { file: File::options().write(true).open(file(base))?, controllers }))
    }

    /// Gives it back where it may take the mark away as well, and nobody uses it.
    pub(super) fn give_back(mut self) {
        for controller in self.controllers {
            if let Some(mark) = marks::take(&self.file, &suffix(controller))
                && self.file.write_all(format!("-{}", controller.name()).as_bytes()).is_err()
            {
                mark.back(&self.file);
            }
        }
    }
}

fn file(directory: &Path) -> PathBuf {
    directory.join("cgroup.subtree_control")
}

/// Those of these that are not enabled; all where the cgroup is gone, and then they can't be.
fn missing(above: &Path, controllers: &[Controller]) -> impl Iterator<Item = Controller> {
    let names = fs::read_to_string(file(above)).unwrap_or_default();
    controllers.iter().copied().filter(move |one| !names.split_whitespace().any(|name| name == one.name()))
}

fn is_enabled(directory: &Path, controller: Controller) -> bool {
    missing(directory, &[controller]).next().is_none()
}

fn enable_one(above: &Path, controller: Controller) -> Result<(), CgroupError> {
    let (file, word) = (file(above), format!("+{}", controller.name()));
    let result = match fs::write(&file, &word) {
        // It has processes of its own, and is not the root.
        Err(error) if error.kind() == ErrorKind::ResourceBusy => {
            evacuate(above)?;
            fs::write(&file, &word)
        }
        result => result,
    };
    result.while_to(&format!("write {word} to"), &file)
}

/// Whether somebody uses one below; where nobody does, it is enabled no more.
fn is_used(base: &Path, controller: Controller) -> Result<bool, CgroupError> {
    let (file, word) = (file(base), format!("-{}", controller.name()));
    match fs::write(&file, &word) {
        Err(error) if is_in_use(&error) => Ok(true),
        Err(error) if is_gone(&error) => Ok(false),
        result => result.map(|()| false).while_to(&format!("write {word} to"), &file),
    }
}

/// Those that nslab has enabled in a base, or was about to.
fn of_nslab(base: &Path) -> impl Iterator<Item = Controller> {
    let file = file(base);
    Controller::ALL.into_iter().filter(move |one| is_marked(&file, &suffix(*one)))
}

fn mark_in(base: &Path, controller: Controller) -> Result<(), CgroupError> {
    mark_for_owner(&file(base), &suffix(controller))
}

/// How a mark's name ends.
fn suffix(controller: Controller) -> String {
    format!(".{}", controller.name())
}

/// Moves the processes of a delegated cgroup into one below it: the caller's own, and those that started it. Others are not
/// nslab's to move.
fn evacuate(base: &Path) -> Result<(), CgroupError> {
    let line = process::own_line();
    let pids = members::of(base)?;
    let others: Vec<i32> = pids.iter().copied().filter(|pid| !line.contains(pid)).collect();
    if !others.is_empty() {
        return Err(CgroupError::InternalProcesses { directory: base.to_owned(), pids: others });
    }
    let callers = base.join(CALLERS);
    if make(&callers)? {
        mark(&callers, "")?;
    }
    pids.into_iter().try_for_each(|pid| members::add(&callers, pid))
}

/// Takes them back, and removes where they were.
fn take_callers_back(base: &Path) -> Result<(), CgroupError> {
    let callers = base.join(CALLERS);
    if !is_marked(&callers, "") {
        return Ok(());
    }
    for pid in members::of(&callers)? {
        match members::add(base, pid) {
            // Another launcher was quicker in enabling a controller; it removes this when it ends.
            Err(CgroupError::Kernel { source, .. }) if is_in_use(&source) => return Ok(()),
            result => result?,
        }
    }
    match fs::remove_dir(&callers) {
        Err(error) if is_in_use(&error) || is_gone(&error) => Ok(()),
        result => result.while_to("remove", &callers),
    }
}
