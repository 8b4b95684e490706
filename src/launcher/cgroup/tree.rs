//! Directories in one hierarchy: made with those that they are in, marked, and removed with them.
//!
//! What nslab makes carries a mark, an extended attribute, and nothing without it is removed; but for an empty one in one of
//! nslab's, whose maker was killed before he could mark it. Others may make and remove cgroups of the same lab at the same
//! moment: what vanishes in between is made again.

use super::error::{CgroupError, While};
use super::hierarchy::{Controller, Version};
use super::members;
use crate::{fault, process};
use rustix::fs::{XattrFlags, getxattr, removexattr, setxattr};
use rustix::io::Errno;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The mark; and with a controller's name behind it, that this was enabled in the cgroup above for it. Root's attributes are of
/// the first kind, in both versions; a user's of the second, in version 2 from Linux 5.7 on.
const MARKS: [&str; 2] = ["trusted.nslab", "user.nslab"];

/// What those are called that say themselves of which process they are: no node has a colon in its name.
pub(super) const BEGUN: &str = "by:";

/// The controllers of version 2 that those below a cgroup have.
pub(super) const SUBTREE_CONTROL: &str = "cgroup.subtree_control";

/// How often it is begun anew because somebody else removed something meanwhile.
const ATTEMPTS: u32 = 100;

/// Of the cgroup that nslab's topmost one is made in: that it is about to be made, and is nslab's as soon as it is there.
const MAKING: &str = ".making";

/// A delegated cgroup's own processes, which can't be in it while there are limited ones below: they wait in one beside.
const CALLERS: &str = "nslab-callers";

/// See [`Tree::entrance`].
///
/// By `tasks`, which version 1 alone has, a process moves itself at once. By `cgroup.procs` it would wait, for milliseconds, until
/// no process of the machine is about to start or end (cgroup_procs_write_start, kernel/cgroup/cgroup.c).
pub(super) fn entrance(directory: &Path, version: Version) -> PathBuf {
    directory.join(match version {
        Version::One => "tasks",
        Version::Two => "cgroup.procs",
    })
}

/// A hierarchy's part that is used: where, and for what.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) version: Version,
    /// The controllers that are used here.
    pub(super) controllers: Vec<Controller>,
    /// Below what.
    pub(super) base: PathBuf,
    /// The cgroup's name.
    pub(super) name: PathBuf,
}

impl Tree {
    /// The cgroup itself.
    pub(super) fn leaf(&self) -> PathBuf {
        self.base.join(&self.name)
    }

    /// The file by which a process with one thread gets into it, with the kernel's word for whoever writes: 0.
    pub(super) fn entrance(&self) -> PathBuf {
        entrance(&self.leaf(), self.version)
    }

    /// Those that it is in, below the base, the innermost first.
    pub(super) fn parents(&self) -> Vec<PathBuf> {
        let ways = self.name.ancestors().skip(1).filter(|way| !way.as_os_str().is_empty());
        ways.map(|way| self.base.join(way)).collect()
    }

    /// Whether something of it is there: itself, or what it was to be in, with nothing in that.
    pub(super) fn is_there(&self) -> bool {
        let is_empty = |directory: &PathBuf| members::below(directory).is_ok_and(|below| below.is_empty());
        let is_begun = |directory: &PathBuf| is_cut_off(directory) || is_marked(directory, "") && is_empty(directory);
        self.has_leaf() || self.parents().iter().any(is_begun)
    }

    /// Whether the cgroup itself is there, marked or about to be. One of the same name of somebody who has another /run is another.
    pub(super) fn has_leaf(&self) -> bool {
        self.is_own() || is_cut_off(&self.leaf())
    }

    fn is_own(&self) -> bool {
        let leaf = self.leaf();
        // One that says itself which process it is of may be removed by everybody who knows that it has ended.
        let says_whose = leaf.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(BEGUN.as_bytes()));
        if says_whose { is_marked(&leaf, "") } else { is_own(&leaf, "") }
    }

    /// Makes it. What is made of it when this fails is removed by [`Tree::remove`].
    pub(super) fn make(&self) -> Result<(), CgroupError> {
        begun_anew(|| {
            self.make_parents()?;
            fault::point(|| "before the cgroup itself is made".into());
            self.make_leaf()
        })?;
        // Only now, when nobody else can remove what it is in, and so undo this unseen.
        self.enable_above()
    }

    /// Makes what it is in.
    fn make_parents(&self) -> Result<(), CgroupError> {
        for directory in self.parents().iter().rev() {
            let is_topmost = directory.parent() == Some(&self.base);
            if is_topmost && !directory.exists() {
                // Where that is refused, one that is cut off stays, and nothing else.
                let _ = mark(&self.base, MAKING);
            }
            if make(directory)? || is_cut_off(directory) {
                fault::point(|| "before the cgroup is nslab's".into());
                mark(directory, "")?;
                count_those_below(directory)?;
            }
            if is_topmost {
                unmark(&self.base, MAKING)?;
            }
        }
        Ok(())
    }

    /// Has it, which is there, have its controllers; that takes that all that it is in have them.
    pub(super) fn enable_above(&self) -> Result<(), CgroupError> {
        let parents = self.parents();
        let Some(topmost) = parents.last() else { return Ok(()) };
        begun_anew(|| {
            // Before they are enabled: whoever is killed in between has told who removes it what to give back.
            for controller in self.missing(&self.base)? {
                mark(topmost, &format!(".{}", controller.name()))?;
            }
            self.enable(&self.base)?;
            parents.iter().rev().try_for_each(|directory| self.enable(directory))
        })
    }

    fn make_leaf(&self) -> Result<(), CgroupError> {
        let leaf = self.leaf();
        if !make(&leaf)? && !is_cut_off(&leaf) {
            // One of the same name that was left empty, by a machine or a process that died, may be had again.
            if !self.is_own() || members::is_populated(&leaf, self.version)? {
                let whose = if is_marked(&leaf, "") && !self.is_own() {
                    ", and of an nslab that has another /run (where that is no more, remove it by rmdir)"
                } else {
                    ""
                };
                return Err(CgroupError::Taken { what: leaf.display().to_string(), whose });
            }
            remove_whole(&leaf)?;
            fs::create_dir(&leaf).while_to("make", &leaf)?;
        }
        mark(&leaf, "")
    }

    /// In version 2, the controllers that those below a cgroup do not have (cgroup.subtree_control).
    fn missing(&self, above: &Path) -> Result<Vec<Controller>, CgroupError> {
        if self.version == Version::One || self.controllers.is_empty() {
            return Ok(Vec::new());
        }
        let file = above.join(SUBTREE_CONTROL);
        let there = fs::read_to_string(&file).while_to("read", &file)?;
        let is_there = |one: &Controller| there.split_whitespace().any(|name| name == one.name());
        Ok(self.controllers.iter().copied().filter(|one| !is_there(one)).collect())
    }

    /// Has those below a cgroup have them.
    fn enable(&self, above: &Path) -> Result<(), CgroupError> {
        let file = above.join(SUBTREE_CONTROL);
        for controller in self.missing(above)? {
            let word = format!("+{}", controller.name());
            fault::point(|| "before a controller is enabled".into());
            match fs::write(&file, &word) {
                // It has processes of its own, and is not the root.
                Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                    evacuate(above)?;
                    fs::write(&file, &word).while_to(&format!("write {word} to"), &file)?;
                }
                result => result.while_to(&format!("write {word} to"), &file)?,
            }
        }
        Ok(())
    }

    /// Removes it, and what it is in as far as that is nslab's and empty. Nothing is in it any more.
    pub(super) fn remove(&self) -> Result<(), CgroupError> {
        let leaf = self.leaf();
        if self.has_leaf() {
            if members::is_populated(&leaf, self.version)? {
                let pids = members::of_all(&leaf)?.into_iter().collect();
                return Err(CgroupError::Occupied { directory: leaf, pids });
            }
            remove_whole(&leaf)?;
        }
        // Whoever was killed may not have come to the innermost.
        for directory in self.parents().into_iter().filter(|directory| directory.exists()) {
            if !is_marked(&directory, "") && !is_cut_off(&directory) {
                break;
            }
            // The base stays, and is given back what was enabled in it. What says so goes only then; and stays where somebody has
            // come meanwhile, who has enabled it again.
            let is_topmost = directory.parent() == Some(&self.base);
            if is_topmost && self.version == Version::Two {
                if members::below(&directory).is_ok_and(|below| !below.is_empty()) {
                    break;
                }
                self.give_back(&directory)?;
                fault::point(|| "before the topmost cgroup is removed".into());
            }
            match fs::remove_dir(&directory) {
                Err(error) if is_in_use(&error) => break,
                Err(error) if !is_gone(&error) => return Err(error).while_to("remove", &directory),
                _ => {}
            }
            if is_topmost {
                unmark(&self.base, MAKING)?;
            }
        }
        Ok(())
    }

    /// The controllers that were enabled in the base for those below.
    pub(super) fn enabled(&self) -> Vec<Controller> {
        self.parents().last().map(|topmost| enabled_for(topmost)).unwrap_or_default()
    }

    /// Leaves the base as it was before nslab's first cgroup there.
    fn give_back(&self, topmost: &Path) -> Result<(), CgroupError> {
        for controller in enabled_for(topmost) {
            let word = format!("-{}", controller.name());
            for directory in [topmost, &self.base] {
                let file = directory.join(SUBTREE_CONTROL);
                match fs::write(&file, &word) {
                    // Somebody uses it.
                    Err(error) if is_in_use(&error) || is_gone(&error) => {}
                    result => result.while_to(&format!("write {word} to"), &file)?,
                }
            }
        }
        let callers = self.base.join(CALLERS);
        if !is_marked(&callers, "") {
            return Ok(());
        }
        for pid in members::of(&callers)? {
            match members::add(&self.base, pid) {
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
}

/// Does something until nobody else has removed what it takes meanwhile.
fn begun_anew(mut action: impl FnMut() -> Result<(), CgroupError>) -> Result<(), CgroupError> {
    for _ in 1..ATTEMPTS {
        match action() {
            Err(CgroupError::Kernel { source, .. }) if is_gone(&source) => {}
            result => return result,
        }
    }
    action()
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

/// Makes a directory; returns whether it was not there.
fn make(directory: &Path) -> Result<bool, CgroupError> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        result => result.map(|()| true).while_to("make", directory),
    }
}

/// In version 1 before Linux 5.11, memory is counted in a cgroup alone, and not in those that it is in, unless that is said while
/// none is in it (memory.use_hierarchy).
fn count_those_below(directory: &Path) -> Result<(), CgroupError> {
    let file = directory.join("memory.use_hierarchy");
    match fs::read_to_string(&file) {
        Ok(text) if text.trim() == "0" => fs::write(&file, "1").while_to("write 1 to", &file),
        _ => Ok(()),
    }
}

/// Whose a cgroup is that is marked here: the machine's, or that of somebody who has another /run, and with it labs and
/// containers that may be called the same.
fn own() -> &'static [u8] {
    static OWN: LazyLock<String> = LazyLock::new(|| {
        let run = fs::metadata("/run").ok();
        run.map_or_else(|| "-".to_owned(), |run| format!("{}:{}", run.dev(), run.ino()))
    });
    OWN.as_bytes()
}

/// Marks a directory as nslab's.
pub(super) fn mark(directory: &Path, what: &str) -> Result<(), CgroupError> {
    let set = |kind: &str| setxattr(directory, format!("{kind}{what}"), own(), XattrFlags::empty());
    let result = match set(MARKS[0]) {
        Err(Errno::PERM | Errno::OPNOTSUPP) => set(MARKS[1]),
        result => result,
    };
    result.while_to("mark", directory)
}

/// Takes a mark from a directory; fine where somebody else has just done so.
pub(super) fn unmark(directory: &Path, what: &str) -> Result<(), CgroupError> {
    let kinds = MARKS.iter().filter(|kind| value(directory, kind, what).is_some());
    let mut kinds = kinds.map(|kind| removexattr(directory, format!("{kind}{what}")));
    kinds.try_for_each(|removed| match removed {
        Err(Errno::NODATA | Errno::NOENT) => Ok(()),
        removed => removed.while_to("take the mark from", directory),
    })
}

/// Whether a directory has a mark, whosever it is.
pub(super) fn is_marked(directory: &Path, what: &str) -> bool {
    MARKS.iter().any(|kind| value(directory, kind, what).is_some())
}

/// Whether a directory has a mark of who has this /run.
pub(super) fn is_own(directory: &Path, what: &str) -> bool {
    MARKS.iter().any(|kind| value(directory, kind, what).is_some_and(|whose| whose == own()))
}

fn value(directory: &Path, kind: &str, what: &str) -> Option<Vec<u8>> {
    let mut text = [0_u8; 64];
    let bytes = getxattr(directory, format!("{kind}{what}"), &mut text[..]).ok()?;
    Some(text[..bytes].to_vec())
}

/// Whether there is a cgroup in one of nslab's, or one that was about to be, that nobody has marked, with nobody and nothing in it.
fn is_cut_off(directory: &Path) -> bool {
    let has_nothing = || members::below(directory).is_ok_and(|below| below.is_empty());
    let has_nobody = || members::of(directory).is_ok_and(|pids| pids.is_empty());
    let is_in_nslabs = || directory.parent().is_some_and(|parent| is_marked(parent, "") || is_marked(parent, MAKING));
    directory.is_dir() && !is_marked(directory, "") && is_in_nslabs() && has_nothing() && has_nobody()
}

/// The controllers that were enabled in the cgroup above for this one.
fn enabled_for(directory: &Path) -> Vec<Controller> {
    Controller::ALL.into_iter().filter(|one| is_marked(directory, &format!(".{}", one.name()))).collect()
}

/// Removes a cgroup with those below it, which a container may have made.
pub(super) fn remove_whole(directory: &Path) -> Result<(), CgroupError> {
    for below in members::below(directory)? {
        remove_whole(&below)?;
    }
    match fs::remove_dir(directory) {
        Err(error) if is_gone(&error) => Ok(()),
        result => result.while_to("remove", directory),
    }
}

/// Whether a cgroup was removed meanwhile; ENODEV comes from its files that were open.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ENODEV)
}

fn is_in_use(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ResourceBusy | ErrorKind::DirectoryNotEmpty)
}
