//! The controllers of version 2 that those below a cgroup have: they are enabled in it (cgroup.subtree_control). What a cgroup is
//! limited to by them is not said here.
//!
//! They are enabled when the innermost cgroup is there, so that nobody can remove what it is in, and make that anew without them.
//! What was enabled in the base is marked there, and given back by whoever finds nothing of nslab's below it. That may meet
//! somebody who has begun:
//!
//! - has he enabled a controller in nslab's topmost cgroup, the kernel refuses to take it from the base (EBUSY);
//! - has he not, it refuses him to (ENOENT), and he begins with the base again.

use super::error::{CgroupError, While, is_gone, is_in_use};
use super::hierarchy::Controller;
use super::marks::{self, is_marked, mark};
use super::members;
use super::tree::make;
use crate::launcher::enclosed::enclosed;
use crate::{fault, process};
use rustix::fs::{Dir, Mode, OFlags, openat};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Where all of nslab's are.
const TOPMOST: &str = "nslab";

/// A delegated cgroup's own processes, which can't be in it while there are limited ones below: they wait in one beside.
const CALLERS: &str = "nslab-callers";

/// How often something is done again that somebody else has just undone, or kept from being done.
const ATTEMPTS: u32 = 10;

/// Has a cgroup have these, by the one that it is in.
pub(super) fn enable(above: &Path, below: &Path, controllers: &[Controller]) -> Result<(), CgroupError> {
    missing(below, controllers).try_for_each(|controller| enable_one(above, controller))
}

/// The same where that is the base: each is marked that was not enabled.
pub(super) fn enable_in_base(base: &Path, topmost: &Path, controllers: &[Controller]) -> Result<(), CgroupError> {
    missing(topmost, controllers).try_for_each(|controller| {
        let control = Control::open(base).while_to("open", file(base))?;
        let is_enabled = || control.is_enabled(controller).while_to("read", file(base));
        // Somebody else, who is about it: what is nslab's is marked before, and looked at twice because its mark goes last.
        if is_enabled()? && !is_marked(&file(base), &suffix(controller)) && is_enabled()? {
            return enable_one(base, controller);
        }
        // Before, for who finds it when this is killed; and afterwards, because who has just given it back has taken the mark.
        control.mark(controller).while_to("mark", file(base))?;
        fault::point(|| "before a controller is enabled".into());
        let enabled = enable_one(base, controller).and_then(|()| {
            fault::point(|| "before an enabled controller is marked again".into());
            control.mark(controller).while_to("mark", file(base))
        });
        enabled.inspect_err(|_| {
            let _ = control.unmark(controller); // why it could not be enabled says more
        })
    })
}

/// Whether nslab has enabled something in a base, or was about to, or callers could be taken back.
pub(super) fn is_left(base: &Path) -> bool {
    let is_anything_enabled = || fs::read_to_string(file(base)).is_ok_and(|names| !names.trim().is_empty());
    is_any_marked(base) || is_marked(&base.join(CALLERS), "") && !is_anything_enabled()
}

fn is_any_marked(base: &Path) -> bool {
    Controller::ALL.into_iter().any(|controller| is_marked(&file(base), &suffix(controller)))
}

/// Leaves a base as it was before, below which there was nothing of nslab's; `has_come` says whether there is by now.
pub(super) fn give_back(base: &Path, has_come: &dyn Fn() -> bool) -> Result<(), CgroupError> {
    let given = if is_any_marked(base) {
        let given = Control::open(base).and_then(|control| control.give_back(has_come));
        given.while_to("give back what was enabled in", file(base))
    } else {
        Ok(())
    };
    let taken = if has_come() { Ok(()) } else { take_callers_back(base) };
    given.and(taken)
}

/// The file by which controllers are enabled in a base, with the marks of those that nslab has enabled.
#[derive(Debug)]
pub(super) struct Control {
    file: File,
    /// The base.
    directory: OwnedFd,
}

impl Control {
    /// That of a base.
    ///
    /// # Errors
    /// When it can't be opened.
    pub(super) fn open(base: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(file(base))?;
        Ok(Self { file, directory: File::open(base)?.into() })
    }

    /// The same for a container's process 1.
    pub(super) fn enclosed(self) -> Self {
        Self { directory: enclosed(self.directory), ..self }
    }

    /// Gives back what is marked, as far as the marks are the caller's to take: before Linux 5.7 they are root's.
    ///
    /// # Errors
    /// The first one; the rest is given back nevertheless.
    pub(super) fn give_back(&self, has_come: &dyn Fn() -> bool) -> io::Result<()> {
        let all = Controller::ALL.into_iter().filter(|one| marks::is_to_take(&self.file, &suffix(*one)));
        let results: Vec<_> = all.map(|controller| self.give_one_back(controller, has_come)).collect();
        results.into_iter().collect()
    }

    fn give_one_back(&self, controller: Controller, has_come: &dyn Fn() -> bool) -> io::Result<()> {
        for _ in 0..ATTEMPTS {
            if self.is_enabled(controller)? {
                if self.is_limited_elsewhere(controller)? {
                    break;
                }
                match (&self.file).write_all(format!("-{}", controller.name()).as_bytes()) {
                    Err(error) if is_gone(&error) => return Ok(()),
                    Err(error) if is_in_use(&error) && has_come() => return Ok(()),
                    // By others; or by somebody who has gone again.
                    Err(error) if is_in_use(&error) => continue,
                    result => result?,
                }
            }
            fault::point(|| "before the mark of an enabled controller is taken".into());
            if !self.unmark(controller)? || has_come() {
                return Ok(());
            }
        }
        if has_come() {
            return Ok(());
        }
        // Others than nslab use it by now, and it is theirs.
        marks::take(&self.file, &suffix(controller))?;
        if has_come() { self.mark(controller) } else { Ok(()) }
    }

    /// Whether a cgroup in the base that is not nslab's has a hard limit (memory.max …): the kernel would take that from it unasked.
    fn is_limited_elsewhere(&self, controller: Controller) -> io::Result<bool> {
        let base = openat(&self.directory, ".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        for entry in Dir::read_from(&base)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if [".", "..", TOPMOST, CALLERS].contains(&name.as_str()) {
                continue;
            }
            let limit = format!("{name}/{}.max", controller.name());
            // What is no cgroup has none, and what has gone.
            let Ok(limit) = openat(&base, limit, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else { continue };
            let limit = io::read_to_string(File::from(limit)).unwrap_or_default();
            if limit.split_whitespace().next().is_some_and(|word| word != "max") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn mark(&self, controller: Controller) -> io::Result<()> {
        marks::put(&self.file, &suffix(controller))
    }

    /// Takes the mark of a controller that is not enabled, and puts it back where that is by now: whoever has come meanwhile may have
    /// marked it before. Returns whether it is there.
    fn unmark(&self, controller: Controller) -> io::Result<bool> {
        if self.is_enabled(controller)? {
            return Ok(true);
        }
        marks::take(&self.file, &suffix(controller))?;
        let is_enabled = self.is_enabled(controller)?;
        if is_enabled {
            self.mark(controller)?;
        }
        Ok(is_enabled)
    }

    fn is_enabled(&self, controller: Controller) -> io::Result<bool> {
        let mut text = [0; 256];
        match self.file.read_at(&mut text, 0) {
            Err(error) if is_gone(&error) => Ok(false),
            bytes => Ok(has(&String::from_utf8_lossy(&text[..bytes?]), controller)),
        }
    }
}

fn file(directory: &Path) -> PathBuf {
    directory.join("cgroup.subtree_control")
}

fn has(names: &str, controller: Controller) -> bool {
    names.split_whitespace().any(|name| name == controller.name())
}

/// Those of these that a cgroup does not have. What is said to be enabled above it may still be on its way: the kernel writes that
/// down first, shows the files last, and has who enables it again wait for that.
fn missing(cgroup: &Path, controllers: &[Controller]) -> impl Iterator<Item = Controller> {
    controllers.iter().copied().filter(|one| !cgroup.join(format!("{}.max", one.name())).exists())
}

fn enable_one(above: &Path, controller: Controller) -> Result<(), CgroupError> {
    let (file, word) = (file(above), format!("+{}", controller.name()));
    for _ in 1..ATTEMPTS {
        match fs::write(&file, &word) {
            // It has processes of its own, and is not the root.
            Err(error) if error.kind() == ErrorKind::ResourceBusy => evacuate(above)?,
            result => return result.while_to(&format!("write {word} to"), &file),
        }
    }
    fs::write(&file, &word).while_to(&format!("write {word} to"), &file)
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
    // Whoever was killed before he marked it has not moved anybody.
    if make(&callers)? || members::of(&callers)?.is_empty() {
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
