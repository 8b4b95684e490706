//! Directories in one hierarchy: made with those that they are in, marked, and removed with them.
//!
//! What nslab makes carries a mark, an extended attribute, and nothing without it is removed; but for an empty one in one of
//! nslab's, whose maker was killed before he could mark it. Others may make and remove cgroups of the same lab at the same
//! moment: what vanishes in between is made again.

use super::enabled;
use super::error::{CgroupError, While, is_gone, is_in_use};
use super::hierarchy::{Controller, Version};
use super::marks::{is_marked, is_own, mark, unmark};
use super::members;
use crate::fault;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What those are called that say themselves of which process they are: no lab and no node has a colon in its name.
pub(super) const BEGUN: &str = "by:";

/// How often something is begun again because somebody else has removed what it takes.
const ATTEMPTS: u32 = 100;

/// Of the cgroup that nslab's topmost one is made in: that it is about to be made, and is nslab's as soon as it is there.
const MAKING: &str = ".making";

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

    /// The one below the base that all of nslab's are in.
    pub(super) fn topmost(&self) -> PathBuf {
        self.base.join(self.name.iter().next().unwrap_or_default())
    }

    /// Whether something of it is there: itself, or what it was to be in, with nothing in that.
    pub(super) fn is_there(&self) -> bool {
        let is_empty = |directory: &PathBuf| members::below(directory).is_ok_and(|below| below.is_empty());
        let is_begun = |directory: &PathBuf| is_cut_off(directory) || is_marked(directory, "") && is_empty(directory);
        self.has_leaf() || self.parents().iter().any(is_begun)
    }

    /// Whether the base is not as it was before nslab's first cgroup there, though there is none any more.
    pub(super) fn has_left_enabled(&self) -> bool {
        self.version == Version::Two && !self.topmost().exists() && enabled::is_left(&self.base)
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

    /// Makes it. When this fails, nothing is left that it has made.
    pub(super) fn make(&self) -> Result<(), CgroupError> {
        let made = again_while_gone(|| {
            self.make_parents()?;
            fault::point(|| "before the cgroup itself is made".into());
            self.make_leaf()
        });
        let made = made.and_then(|()| self.enable_above());
        made.inspect_err(|error| {
            // What was there before is somebody's.
            if !matches!(error, CgroupError::Taken { .. }) {
                let _ = self.remove(); // why it could not be made says more
            }
        })
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

    /// Has it, which is there, have its controllers; that takes that all that it is in have them. What is enabled when this fails
    /// is given back with the last of nslab's.
    pub(super) fn enable_above(&self) -> Result<(), CgroupError> {
        if self.version == Version::One {
            return Ok(());
        }
        let ways: Vec<PathBuf> = self.parents().into_iter().rev().chain([self.leaf()]).collect();
        again_while_gone(|| {
            enabled::enable_in_base(&self.base, &ways[0], &self.controllers)?;
            ways.windows(2).try_for_each(|pair| enabled::enable(&pair[0], &pair[1], &self.controllers))
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

    /// Removes it where nobody is in it, and what it is in as far as that is nslab's and empty.
    pub(super) fn remove(&self) -> Result<(), CgroupError> {
        let leaf = self.leaf();
        if self.has_leaf() && !remove_one(&leaf)? {
            if members::is_populated(&leaf, self.version)? {
                return Err(occupied(&leaf));
            }
            remove_whole(&leaf)?;
        }
        let removed = self.remove_parents();
        removed.and(self.give_back())
    }

    /// Removes what it is in, as far as that is nslab's and empty.
    fn remove_parents(&self) -> Result<(), CgroupError> {
        // Whoever was killed may not have come to the innermost.
        for directory in self.parents().into_iter().filter(|directory| directory.exists()) {
            if !is_marked(&directory, "") && !is_cut_off(&directory) {
                break;
            }
            if !remove_one(&directory)? {
                break;
            }
        }
        if self.topmost().exists() { Ok(()) } else { unmark(&self.base, MAKING) }
    }

    /// Leaves the base as it was before nslab's first cgroup there, when there is none any more.
    pub(super) fn give_back(&self) -> Result<(), CgroupError> {
        let has_come = || self.topmost().exists();
        if self.version == Version::One || has_come() {
            return Ok(());
        }
        fault::point(|| "before what is enabled is given back".into());
        enabled::give_back(&self.base, &has_come)
    }
}

/// Does something; again, where somebody else has removed what it takes.
fn again_while_gone(mut action: impl FnMut() -> Result<(), CgroupError>) -> Result<(), CgroupError> {
    for _ in 1..ATTEMPTS {
        match action() {
            Err(CgroupError::Kernel { source, .. }) if is_gone(&source) => {}
            result => return result,
        }
    }
    action()
}

/// Makes a directory; returns whether it was not there.
pub(super) fn make(directory: &Path) -> Result<bool, CgroupError> {
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

/// Whether there is a cgroup in one of nslab's, or one that was about to be, that nobody has marked, with nobody and nothing in it.
fn is_cut_off(directory: &Path) -> bool {
    let has_nothing = || members::below(directory).is_ok_and(|below| below.is_empty());
    let has_nobody = || members::of(directory).is_ok_and(|pids| pids.is_empty());
    let is_in_nslabs = || directory.parent().is_some_and(|parent| is_marked(parent, "") || is_marked(parent, MAKING));
    directory.is_dir() && !is_marked(directory, "") && is_in_nslabs() && has_nothing() && has_nobody()
}

/// Removes a cgroup, unless somebody or something is in it; returns whether it is gone.
fn remove_one(directory: &Path) -> Result<bool, CgroupError> {
    match fs::remove_dir(directory) {
        Err(error) if is_in_use(&error) => Ok(false),
        Err(error) if is_gone(&error) => Ok(true),
        result => result.map(|()| true).while_to("remove", directory),
    }
}

/// Removes a cgroup with those below it, which a container may have made.
pub(super) fn remove_whole(directory: &Path) -> Result<(), CgroupError> {
    for below in members::below(directory)? {
        remove_whole(&below)?;
    }
    if remove_one(directory)? { Ok(()) } else { Err(occupied(directory)) }
}

/// That somebody is in a cgroup, with those who can be seen there.
fn occupied(directory: &Path) -> CgroupError {
    let pids = members::of_all(directory).unwrap_or_default().into_iter().collect();
    CgroupError::Occupied { directory: directory.to_owned(), pids }
}
