//! How process 1 leaves its cgroup and removes it, though it can't see it: by files that were opened outside.

use super::Cgroup;
use super::Kind;
use super::tree::Tree;
use crate::launcher::enclosed::enclosed;
use rustix::fs::{AtFlags, unlinkat};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

/// The way out of a cgroup in one hierarchy.
#[derive(Debug)]
struct WayOut {
    /// Where to go.
    processes: File,
    /// What to remove then, and in which directory; the innermost first.
    removed: Vec<(OwnedFd, OsString)>,
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
            Kind::Trees(trees) => trees.iter().map(way_out).collect::<Result<_, _>>().map(Self),
            Kind::Scope { .. } => Ok(Self(Vec::new())),
        }
    }

    /// Takes the calling process, which is the last one in there, out, and removes what is empty then. What can't be done is
    /// left for those who can.
    pub(in crate::launcher) fn take(self) {
        for WayOut { mut processes, removed } in self.0 {
            if processes.write_all(b"0").is_ok() {
                for (directory, name) in removed {
                    // One that others use as well is not empty.
                    let _ = unlinkat(&directory, &name, AtFlags::REMOVEDIR);
                }
            }
        }
    }
}

fn way_out(tree: &Tree) -> io::Result<WayOut> {
    let processes = File::options().write(true).open(tree.base.join("cgroup.procs"))?;
    let ways = tree.name.ancestors().filter(|way| !way.as_os_str().is_empty());
    let removed = ways.filter_map(|way| {
        let directory = tree.base.join(way.parent()?);
        Some(
            File::open(directory)
                .map(|directory| (enclosed(directory), way.file_name().unwrap_or_default().to_owned())),
        )
    });
    Ok(WayOut { processes, removed: removed.collect::<Result<_, _>>()? })
}
