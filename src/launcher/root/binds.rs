//! What the user mounts into a root.

use super::inside::{Inside, Point};
use super::volumes::{self, Volumes};
use super::{kernel, tree};
use crate::launcher::failure::{During, Failure, Step};
use crate::model::Propagation;
use crate::model::container::{Mount, MountKind};
use nix::errno::Errno;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::mount::{MountAttrFlags, MountFlags};
use std::path::Path;

/// A mount of the user's with what is mounted.
pub(super) struct Opened<'a> {
    target: &'a Path,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Bind { path: &'a Path, source: OwnedFd, read_only: bool, if_target_exists: bool },
    Tmpfs,
    Volume { tree: OwnedFd, read_only: bool, propagation: Propagation },
}

/// Opens all sources, while names still mean what they mean to the caller. Each name is looked up this once: what it refers to
/// afterwards does not matter. Symbolic links are followed, as in any path that somebody writes; those of /proc that lead to
/// what a process has open, or to its root, are not.
pub(super) fn open<'a>(mounts: &'a [Mount], volumes: &Volumes) -> Result<Vec<Opened<'a>>, Failure> {
    mounts.iter().map(|mount| open_one(mount, volumes)).collect()
}

fn open_one<'a>(Mount { target, kind }: &'a Mount, volumes: &Volumes) -> Result<Opened<'a>, Failure> {
    let kind = match kind {
        MountKind::Bind { source: path, read_only, if_target_exists } => {
            let source = open_source(path).during(|| Step::Open { path: path.clone() })?;
            Kind::Bind { path, source, read_only: *read_only, if_target_exists: *if_target_exists }
        }
        MountKind::Tmpfs => Kind::Tmpfs,
        MountKind::Volume { namespace: _, path, read_only, propagation } => {
            let tree = volumes.next().during(|| Step::Open { path: path.clone() })?;
            Kind::Volume { tree, read_only: *read_only, propagation: *propagation }
        }
    };
    Ok(Opened { target, kind })
}

fn open_source(path: &Path) -> Result<OwnedFd, rustix::io::Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
        Err(rustix::io::Errno::NOSYS) => openat(CWD, path, flags, Mode::empty()),
        answer => answer,
    }
}

/// Mounts them, in the user's order.
pub(super) fn mount(inside: &mut Inside, mounts: Vec<Opened<'_>>, is_confined: bool) -> Result<(), Failure> {
    for Opened { target, kind } in mounts {
        match kind {
            Kind::Bind { path, source, read_only, if_target_exists } => {
                let is =
                    FileType::from_raw_mode(fstat(&source).during(|| Step::Open { path: path.to_owned() })?.st_mode);
                let point = if is == FileType::Directory { Point::Directory } else { Point::File };
                let what = path.display().to_string();
                let step = || Step::Mount { what: what.clone(), at: target.to_owned() };
                let place = if if_target_exists {
                    let Some(place) = inside.find_or_make_own(target, point, &what)? else { continue };
                    place
                } else {
                    inside.find_or_make(target, point, &what)?
                };
                check(inside, &place, is_confined).during(step)?;
                let mounted = match tree::bind(&source, tree::Extent::WithBelow, &place).during(step)? {
                    Some(mounted) => mounted,
                    None => inside.find(target)?.ok_or(Errno::ENOENT).during(step)?,
                };
                // A device that the user names is for use.
                let is_device = matches!(is, FileType::CharacterDevice | FileType::BlockDevice);
                let mut limits = MountAttrFlags::empty();
                limits.set(MountAttrFlags::MOUNT_ATTR_RDONLY, read_only);
                limits.set(MountAttrFlags::MOUNT_ATTR_NODEV, is_confined && !is_device);
                tree::limit(&mounted, limits).during(step)?;
            }
            Kind::Volume { tree, read_only, propagation } => {
                let step = || Step::Mount { what: "a volume".into(), at: target.to_owned() };
                let place = inside.find_or_make(target, Point::Directory, "a volume")?;
                check(inside, &place, is_confined).during(step)?;
                volumes::mount(&tree, &place, read_only, is_confined, propagation).during(step)?;
            }
            Kind::Tmpfs => {
                let step = || Step::Mount { what: "tmpfs".into(), at: target.to_owned() };
                let place = inside.find_or_make(target, Point::Directory, "tmpfs")?;
                check(inside, &place, is_confined).during(step)?;
                let flags = MountFlags::NOSUID | MountFlags::NODEV;
                kernel::file_system("tmpfs", flags, Some(c"mode=1777"), &place).during(step)?;
                let mounted = inside.find(target)?.ok_or(Errno::ENOENT).during(step)?;
                inside.owns(&mounted).during(step)?;
            }
        }
    }
    Ok(())
}

/// Refuses places that are not the user's: the root itself, of which nothing would be seen; and /proc, by which the launcher
/// gives up rights (CVE-2019-19921, CVE-2025-52881).
fn check(inside: &Inside, place: &OwnedFd, is_confined: bool) -> Result<(), Errno> {
    let identity = |file: &OwnedFd| fstat(file).map(|stat| (stat.st_dev, stat.st_ino)).map_err(tree::errno);
    if identity(place)? == identity(&inside.root)? {
        return Err(Errno::EBUSY);
    }
    if is_confined && kernel::is_in_proc(place)? {
        return Err(Errno::EPERM);
    }
    Ok(())
}
