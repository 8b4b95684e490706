//! How process 1 leaves its cgroup and removes it, though it can't see it: by files that were opened outside.

use super::enabled::Control;
use super::hierarchy::{self, Version};
use super::marks::is_marked;
use super::tree::{Tree, entrance};
use super::{Cgroup, Kind};
use crate::launcher::enclosed::enclosed;
use rustix::fs::{AtFlags, unlinkat};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The way out of a cgroup in one hierarchy.
#[derive(Debug)]
struct WayOut {
    /// Where to go, the best place first. In version 2 a cgroup below which something is limited takes no process, but for the
    /// hierarchy's root; that of nslab's caller does.
    places: Vec<File>,
    /// What to remove then, and in which directory; the innermost first.
    removed: Vec<(OwnedFd, OsString)>,
    /// In version 2, what is to be given back when all of them are gone.
    enabled: Option<Control>,
}

/// The ways out of a container's cgroup in all hierarchies.
#[derive(Debug)]
pub(in crate::launcher) struct WaysOut(Vec<WayOut>);

impl WaysOut {
    /// Those of a cgroup; none where systemd removes it by itself.
    ///
    /// # Errors
    /// When something can't be opened.
    pub(in crate::launcher) fn of(cgroup: &Cgroup) -> io::Result<Self> {
        match &cgroup.kind {
            Kind::Trees(trees) => {
                let ways = trees.iter().map(way_out).collect::<Result<Vec<_>, _>>()?;
                Ok(Self(ways.into_iter().chain(ways_of_limits_to_come(trees)).collect()))
            }
            Kind::Scope { .. } => Ok(Self(Vec::new())),
        }
    }

    /// Takes the calling process, which is the last one in there, out, and removes what is empty then. What can't be done is
    /// left for those who can: a delegated cgroup's own processes stay in the one beside, as long as nobody launches anything.
    pub(in crate::launcher) fn take(self) {
        for WayOut { places, removed, enabled } in self.0 {
            if !places.into_iter().any(|mut processes| processes.write_all(b"0").is_ok()) {
                continue;
            }
            // One that others use as well is not empty.
            let is_removed =
                |(directory, name): (OwnedFd, OsString)| unlinkat(&directory, &name, AtFlags::REMOVEDIR).is_ok();
            let are_all_gone = removed.into_iter().all(is_removed);
            if let Some(control) = enabled.filter(|_| are_all_gone) {
                // Whether what others use is nslab's is not to be seen from here.
                let _ = control.give_back(&|| true);
            }
        }
    }
}

/// The ways out of the hierarchies in which it is not: it may get there, when it is given a limit that it does not have yet.
fn ways_of_limits_to_come(trees: &[Tree]) -> Vec<WayOut> {
    let Some(name) = trees.first().map(|tree| &tree.name) else { return Vec::new() };
    let hierarchies = hierarchy::look().unwrap_or_default();
    let of_limits = hierarchies.iter().filter(|one| one.version == Version::One && one.has_limits());
    let bases = of_limits.filter_map(hierarchy::Hierarchy::base);
    let way_out = |base: PathBuf| {
        let places = vec![way_into(&base, Version::One).ok()?];
        let directory = enclosed(File::open(&base).ok()?);
        let removed =
            ways_of_nslab(&base, name).map(|way| Some((directory.try_clone().ok()?, way.as_os_str().to_owned())));
        Some(WayOut { places, removed: removed.collect::<Option<_>>()?, enabled: None })
    };
    bases.filter(|base| trees.iter().all(|tree| tree.base != *base)).filter_map(way_out).collect()
}

/// A cgroup and those that it is in, the innermost first, as far as they are nslab's, or not there yet.
fn ways_of_nslab<'a>(base: &Path, name: &'a Path) -> impl Iterator<Item = &'a Path> {
    let is_others = |directory: &Path| directory.exists() && !is_marked(directory, "");
    let ways = name.ancestors().filter(|way| !way.as_os_str().is_empty());
    ways.take_while(move |way| !is_others(&base.join(way)))
}

/// Opens the file by which this process gets into a cgroup that may be another one's, who has allowed a user no more than he must.
fn way_into(directory: &Path, version: Version) -> io::Result<File> {
    let open = |path: PathBuf| File::options().write(true).open(path);
    open(entrance(directory, version)).or_else(|_| open(directory.join("cgroup.procs")))
}

fn way_out(tree: &Tree) -> io::Result<WayOut> {
    let writable = |path: &Path| File::options().write(true).open(path);
    let mut places = vec![way_into(&tree.base, tree.version)?];
    let removed = ways_of_nslab(&tree.base, &tree.name).filter_map(|way| {
        let directory = tree.base.join(way.parent()?);
        Some(
            File::open(directory)
                .map(|directory| (enclosed(directory), way.file_name().unwrap_or_default().to_owned())),
        )
    });
    let removed = removed.collect::<Result<_, _>>()?;
    let mut enabled = None;
    if tree.version == Version::Two {
        let hierarchies = hierarchy::look().unwrap_or_default();
        let own = hierarchies.iter().find(|one| one.version == Version::Two).map(hierarchy::Hierarchy::own_directory);
        places.extend(own.and_then(|own| writable(&entrance(&own, Version::Two)).ok()));
        enabled = Control::open(&tree.base).map(Control::enclosed).ok();
    }
    Ok(WayOut { places, removed, enabled })
}
