//! The way into the cgroup of a container that runs, kept open while the way into its namespaces is gone.

use super::error::{CgroupError, While};
use super::tree::Tree;
use super::{Cgroup, Kind, open};
use crate::launcher::cgroup::hierarchy::{self, Version};
use crate::launcher::{Failure, Launch, Step};
use nix::errno::Errno;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

/// Open files by which a process with one thread gets into the cgroups that it was not cloned into: each with its path.
#[derive(Debug, Default)]
pub(in crate::launcher) struct Doors(Vec<(File, PathBuf)>);

impl Doors {
    /// Those of version 1: nobody can be cloned into its cgroups.
    pub(super) fn open(trees: &[Tree]) -> Result<Self, CgroupError> {
        let of_one = trees.iter().filter(|tree| tree.version == Version::One);
        let doors = of_one.map(|tree| {
            let path = tree.entrance();
            OpenOptions::new().write(true).open(&path).while_to("open", &path).map(|file| (file, path))
        });
        Ok(Self(doors.collect::<Result<_, _>>()?))
    }

    /// Moves the calling process, and closes them.
    pub(in crate::launcher) fn enter(self) -> Result<(), Failure> {
        for (mut file, path) in self.0 {
            file.write_all(b"0").while_to("move a process by", path)?;
        }
        Ok(())
    }
}

/// Open files by which a child gets into a cgroup.
#[derive(Debug)]
pub(in crate::launcher) struct Entrance {
    unified: Option<File>,
    doors: Doors,
}

impl Entrance {
    /// That of a container's cgroup; `None` where it has none. To be called where the caller sees its own cgroups yet.
    ///
    /// A user may not move processes from his session into what his systemd has made. There, systemd moves the calling process,
    /// which the child starts from.
    pub(in crate::launcher) fn of(launch: &Launch) -> Result<Option<Self>, Failure> {
        let Some(name) = &launch.cgroup else { return Ok(None) };
        match Cgroup::find(name)? {
            Some(cgroup) => Ok(Some(Self::open(&cgroup)?)),
            None if launch.container.limits.is_none() => Ok(None),
            // What runs inside is not to escape the limits.
            None => Err(Step::of("find the container's cgroup").failed()(Errno::ENOENT)),
        }
    }

    fn open(cgroup: &Cgroup) -> Result<Self, CgroupError> {
        match &cgroup.kind {
            Kind::Scope { unit, directory, .. } => {
                if hierarchy::may_move_into(directory)? {
                    return Ok(Self { unified: Some(open(directory)?), doors: Doors::default() });
                }
                super::systemd::attach(unit, std::process::id().cast_signed())?;
                Ok(Self { unified: None, doors: Doors::default() })
            }
            Kind::Trees(trees) => {
                let two = trees.iter().find(|tree| tree.version == Version::Two);
                let unified = two.map(|tree| open(&tree.leaf())).transpose()?;
                Ok(Self { unified, doors: Doors::open(trees)? })
            }
        }
    }

    /// What to clone into (CLONE_INTO_CGROUP).
    pub(in crate::launcher) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(AsFd::as_fd)
    }

    /// Moves the calling process into all that it was not cloned into.
    pub(in crate::launcher) fn enter(self) -> Result<(), Failure> {
        self.doors.enter()
    }
}
