//! Cgroups that no container makes for itself: that of a lab, which those of all of its nodes are in, and those of nodes that are
//! no containers.
//!
//! Where systemd has the tree, they are slices, `nslab-LAB.slice` and `nslab-LAB-NODE.slice`; otherwise directories. That of a lab
//! is kept by an empty one in it, because whoever removes the last container of a lab removes what it was in.

use super::error::{CgroupError, While};
use super::hierarchy::{self, Controller, Hierarchy, Version};
use super::tree::{self, Tree};
use super::{Cgroup, Kind, Machine, NOTICE, change, disks, limits, make, marks, members, systemd};
use crate::fault;
use crate::launcher::{Failure, sys};
use crate::model::GroupState;
use crate::model::container::Limits;
use nix::unistd::geteuid;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What keeps a lab's: no node has a colon in its name.
const KEEP: &str = "lab:";

/// What tells them from those of containers.
const MARK: &str = ".group";

/// Makes one, or changes its limits; what runs in it goes on.
///
/// # Errors
/// As [`Cgroup::create`] and [`Cgroup::change`].
pub fn set_group(name: &Path, limits: &Limits) -> Result<(), CgroupError> {
    super::check(name)?;
    let machine = Machine(hierarchy::look()?);
    if is_lab(name) && (limits.io_read.or(limits.io_write)).is_some() && machine.version(Controller::Io) == Version::One
    {
        return Err(CgroupError::IoOfWhole);
    }
    let settings = limits::settings(limits, |controller| machine.version(controller), &disks::of(limits)?)?;
    if let Some(root) = machine.systemds_root(&settings).filter(|_| geteuid().is_root()) {
        let (slice, directory) = (systemd::slice_of(name), root.mount.join(systemd::slice_place_of(name)));
        systemd::make_slice(&slice, &format!("nslab {}", name.display()))?;
        if !systemd::has_come(|| directory.is_dir()) {
            return Err(CgroupError::Silent { action: format!("make {slice}"), seconds: NOTICE.as_secs() });
        }
        fault::point(|| "before the slice is marked".into());
        marks::mark(&directory, MARK)?;
        return of_slice(slice, directory).change(limits);
    }
    let trees = make::trees(&kept(name), &machine, &settings, "")?;
    let first = trees.iter().map(Tree::leaf).find(|leaf| marks::is_own(leaf, MARK));
    for tree in &trees {
        match &first {
            Some(_) if marks::is_own(&tree.leaf(), "") => tree.enable_above()?,
            Some(first) => {
                tree.make()?;
                change::move_all(first, &tree.leaf())?;
            }
            None => tree.make()?,
        }
        fault::point(|| "before the cgroup is marked".into());
        marks::mark(&tree.leaf(), MARK)?;
    }
    if is_lab(name) && !settings.is_empty() {
        // Those that run already are to be bounded where they were not counted before.
        for node in nodes(&trees)? {
            if let Some(Cgroup { kind: Kind::Trees(there), .. }) = Cgroup::find(&name.join(node))? {
                change::extend(&there, &settings)?;
            }
        }
    }
    // In hierarchies by which it was limited before, and is no more, it is as well.
    find_group(name)?.unwrap_or_else(|| of_trees(trees, name)).write(limits)
}

/// What there is of one, and what that is limited to: this, where the kernel counts so exactly; `None` where there is none.
///
/// # Errors
/// When the machine can't be looked at.
pub fn group_limits(name: &Path, wanted: &Limits) -> Result<Option<GroupState>, CgroupError> {
    let Some(group) = find_group(name)? else {
        let begun = begun(name)?;
        return Ok((!begun.is_empty()).then_some(GroupState::Begun));
    };
    Ok(Some(GroupState::Limited(if group.is_limited_to(wanted)? { wanted.clone() } else { group.limits() })))
}

/// Removes one; what still runs in it is taken out. Fine where there is none.
///
/// # Errors
/// When the kernel or systemd refuses.
pub fn remove_group(name: &Path) -> Result<(), CgroupError> {
    let Some(group) = find_group(name)? else { return begun(name)?.into_iter().try_for_each(Begun::remove) };
    match group.kind {
        Kind::Scope { unit, directory, .. } => {
            // With a slice, systemd would end what is in it; without a mark, it goes with the last of those.
            if !members::below(&directory)?.is_empty() {
                systemd::set_properties(&unit, &Limits::default(), &[])?;
                return marks::unmark(&directory, MARK);
            }
            if let Some(root) = root_of(&directory) {
                take_out(&directory, &root)?;
            }
            systemd::stop(&unit)?;
            if systemd::has_removed(&directory, NOTICE) {
                return slice_of_directory(&directory)
                    .map_or(Ok(()), |(slice, directory)| stop_left(&slice, &directory));
            }
            Err(CgroupError::Silent { action: format!("remove {unit}"), seconds: NOTICE.as_secs() })
        }
        Kind::Trees(trees) => {
            // Containers may go on in a lab's.
            of_trees(trees.clone(), name).write(&Limits::default())?;
            for tree in trees {
                let tree = Tree { name: kept(name), ..tree };
                take_out(&tree.leaf(), &tree.base)?;
                tree.remove()?;
            }
            Ok(())
        }
    }
}

/// Takes the calling process, which has one thread, into one; fine where there is none.
///
/// # Errors
/// When the kernel refuses.
pub fn enter_group(name: &Path) -> Result<(), Failure> {
    for file in entrances(name)? {
        fs::write(&file, "0").while_to("move a process by", &file)?;
    }
    Ok(())
}

/// A program and its arguments such that they run in one, where there is that: by way of a shell, which goes there first.
///
/// # Errors
/// When the machine can't be looked at.
pub fn in_group(name: &Path, argv: &[String]) -> Result<Vec<String>, Failure> {
    let files = entrances(name)?;
    if files.is_empty() {
        return Ok(argv.to_owned());
    }
    let words: Vec<String> = files.iter().map(|file| format!("echo 0 > '{}' || exit 125", file.display())).collect();
    let script = format!("{}; exec \"$@\"", words.join("; "));
    Ok(["/bin/sh", "-c", &script, "sh"].map(str::to_owned).into_iter().chain(argv.iter().cloned()).collect())
}

/// Has what a command starts run in one, where there is that.
///
/// # Errors
/// When it can't be opened.
pub fn start_in_group(name: &Path, command: &mut Command) -> Result<(), Failure> {
    let open = |file: PathBuf| File::options().write(true).open(&file).while_to("open", &file);
    let files = entrances(name)?.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
    if !files.is_empty() {
        sys::enter_before_exec(command, files);
    }
    Ok(())
}

fn entrances(name: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    Ok(match find_group(name)?.map(|group| group.kind) {
        Some(Kind::Trees(trees)) => trees.iter().map(Tree::entrance).collect(),
        Some(Kind::Scope { directory, .. }) => vec![tree::entrance(&directory, Version::Two)],
        None => Vec::new(),
    })
}

/// The one of this name; `None` where there is none.
///
/// # Errors
/// When the machine can't be looked at.
pub fn find_group(name: &Path) -> Result<Option<Cgroup>, CgroupError> {
    super::check(name)?;
    Ok(find_on(&Machine(hierarchy::look()?), name))
}

pub(super) fn find_on(machine: &Machine, name: &Path) -> Option<Cgroup> {
    for hierarchy in machine.0.iter().filter(|one| one.version == Version::Two) {
        let directory = hierarchy.mount.join(systemd::slice_place_of(name));
        if marks::is_own(&directory, MARK) {
            return Some(of_slice(systemd::slice_of(name), directory));
        }
    }
    let trees = machine.trees(&kept(name), &Controller::ALL).into_iter();
    let trees: Vec<Tree> = trees.filter(Tree::has_leaf).collect();
    let is_one = trees.iter().any(|tree| marks::is_own(&tree.leaf(), MARK));
    is_one.then(|| of_trees(trees, name))
}

/// What there is of a group whose maker was killed before he could mark it.
enum Begun {
    Slice(String),
    Tree(Tree),
}

impl Begun {
    fn remove(self) -> Result<(), CgroupError> {
        match self {
            Self::Slice(unit) => systemd::stop(&unit),
            Self::Tree(tree) => tree.remove(),
        }
    }
}

/// A container's that runs is none, though it may be called so.
fn begun(name: &Path) -> Result<Vec<Begun>, CgroupError> {
    let machine = Machine(hierarchy::look()?);
    let mut all = Vec::new();
    for hierarchy in machine.0.iter().filter(|one| one.version == Version::Two) {
        if is_left(&hierarchy.mount.join(systemd::slice_place_of(name))) {
            all.push(Begun::Slice(systemd::slice_of(name)));
        }
    }
    for tree in machine.trees(&kept(name), &Controller::ALL).into_iter().filter(Tree::is_there) {
        if !tree.has_leaf() || !members::is_populated(&tree.leaf(), tree.version)? {
            all.push(Begun::Tree(tree));
        }
    }
    Ok(all)
}

/// The nodes that have a cgroup in a lab's.
fn nodes(kept: &[Tree]) -> Result<Vec<String>, CgroupError> {
    let mut nodes = std::collections::BTreeSet::new();
    for lab in kept.iter().filter_map(|tree| tree.leaf().parent().map(Path::to_owned)) {
        let names = members::below(&lab)?.into_iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
        nodes.extend(names.filter(|name| name != KEEP));
    }
    Ok(nodes.into_iter().collect())
}

/// What is there as long as the cgroup of this name is to be: itself, or for that of a lab an empty one in it.
fn kept(name: &Path) -> PathBuf {
    if is_lab(name) { name.join(KEEP) } else { name.to_owned() }
}

fn is_lab(name: &Path) -> bool {
    name.components().count() == 2
}

/// Whether a lab is limited as a whole in this hierarchy, so that all of its nodes are to be there.
pub(super) fn is_of_limited_lab(hierarchy: &Hierarchy, name: &Path) -> bool {
    let (Some(lab), Some(base)) = (name.parent(), hierarchy.base()) else { return false };
    is_lab(lab) && base.join(kept(lab)).is_dir()
}

/// Whether the slice of a container's lab was left, which nobody has asked for but its scopes, and the last of those has ended.
///
/// # Errors
/// When the machine can't be looked at.
pub fn has_left_slice(name: &Path) -> Result<bool, CgroupError> {
    Ok(!left_slices(name)?.is_empty())
}

/// Removes the slice of a container's lab, where that was left. While it stops, systemd starts nothing in it: it is to be called when
/// nobody starts a container of the lab.
///
/// # Errors
/// When the machine can't be looked at, or systemd refuses.
pub fn remove_left_slice(name: &Path) -> Result<(), CgroupError> {
    left_slices(name)?.iter().try_for_each(|(slice, directory)| stop_left(slice, directory))
}

fn left_slices(name: &Path) -> Result<Vec<(String, PathBuf)>, CgroupError> {
    let Some(lab) = systemd::lab_of(name) else { return Ok(Vec::new()) };
    let machine = Machine(hierarchy::look()?);
    let of_two = machine.0.iter().filter(|one| one.version == Version::Two);
    let slices = of_two.map(|one| (systemd::slice_of(lab), one.mount.join(systemd::slice_place_of(lab))));
    Ok(slices.filter(|(_, directory)| is_left(directory)).collect())
}

fn stop_left(slice: &str, directory: &Path) -> Result<(), CgroupError> {
    if !is_left(directory) {
        return Ok(());
    }
    systemd::stop(slice)?;
    // What is started in it next is not to meet the end that was asked for.
    if systemd::has_removed(directory, NOTICE) {
        return Ok(());
    }
    Err(CgroupError::Silent { action: format!("remove {slice}"), seconds: NOTICE.as_secs() })
}

fn is_left(slice: &Path) -> bool {
    let is_empty = || members::below(slice).is_ok_and(|below| below.is_empty());
    slice.is_dir() && !marks::is_marked(slice, MARK) && is_empty()
}

/// The slice of nslab's that a unit is in.
fn slice_of_directory(unit: &Path) -> Option<(String, PathBuf)> {
    let slice = unit.parent()?;
    let name = slice.file_name()?.to_str()?;
    name.starts_with("nslab-").then(|| (name.to_owned(), slice.to_owned()))
}

/// Moves all that is in one cgroup, and below, to one that it is in; whoever is born meanwhile as well. Who removes it says who would
/// not go.
fn take_out(from: &Path, to: &Path) -> Result<(), CgroupError> {
    for _ in 0..change::ROUNDS {
        let pids = members::of_all(from)?;
        if pids.is_empty() {
            break;
        }
        pids.into_iter().try_for_each(|pid| members::add(to, pid))?;
    }
    Ok(())
}

/// The root of the hierarchy that a directory of systemd's is in.
fn root_of(directory: &Path) -> Option<PathBuf> {
    let machine = hierarchy::look().ok()?;
    machine.into_iter().map(|one| one.mount).find(|mount| directory.starts_with(mount))
}

fn of_slice(unit: String, directory: PathBuf) -> Cgroup {
    Cgroup { kind: Kind::Scope { unit, directory, placeholder: None }, unified: None }
}

fn of_trees(trees: Vec<Tree>, name: &Path) -> Cgroup {
    let trees = trees.into_iter().map(|tree| Tree { name: name.to_owned(), ..tree }).collect();
    Cgroup { kind: Kind::Trees(trees), unified: None }
}
