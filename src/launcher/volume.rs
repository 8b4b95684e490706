//! Volumes in containers that run: a copy of a mount goes from one mount namespace into another.
//!
//! A process of its own does it, which has one thread: it goes into the namespaces one after the other, and ends. What it mounts on,
//! and what it unmounts, it holds open before it looks at what that is: however the container changes names meanwhile.

use super::enter;
use super::failure::{During, Failure, Step};
use super::record::Record;
use super::root::volumes;
use super::sys::{self, Doubled};
use crate::model::Volume;
use crate::model::container::Rights;
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sys::wait::waitpid;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Mounts a volume at a directory of a container's. To be called by a process that never had a second thread.
///
/// # Errors
/// When the container does not run, or has no such directory.
pub fn attach_volume(record: &Record, volume: &Volume, at: &Path, read_only: bool) -> Result<(), Failure> {
    let at = absolute(at);
    in_child(|| {
        let tree = volumes::copy(&volume.namespace, &volume.at)?;
        enter_mounts(record)?;
        let place = open(&at).map_err(|failure| match failure.source {
            Errno::ENOENT => no_directory(record, &at),
            _ => failure,
        })?;
        let step = || Step::Mount { what: format!("the volume {}", volume.name), at: at.clone() };
        if identity(&place).during(step)? == identity(&open(Path::new("/"))?).during(step)? {
            return Err(step().failed()(Errno::EBUSY));
        }
        let container = &record.launch.container;
        let is_confined = matches!(container.rights, Rights::Confined { .. }) || container.namespaces.user.is_some();
        volumes::mount(&tree, &place, read_only, is_confined, volume.propagation).during(step)
    })
}

/// Unmounts a volume. To be called by a process that never had a second thread.
///
/// # Errors
/// When the container does not run, or what is mounted there is none of these.
pub fn detach_volume(record: &Record, volumes: &[Volume], at: &Path) -> Result<(), Failure> {
    let at = absolute(at);
    in_child(|| {
        let step = || Step::of(format!("detach what is at {}", at.display()));
        let known = identities(volumes)?;
        enter_mounts(record)?;
        let place = open(&at)?;
        if !known.contains(&identity(&place).during(step)?) {
            let text = format!("detach what is at {}: it is no volume of the lab's", at.display());
            return Err(Step::of(text).failed()(Errno::EINVAL));
        }
        // What is held, and not what the path leads to by now.
        rustix::process::fchdir(&place).during(step)?;
        umount2(".", MntFlags::MNT_DETACH).during(step)
    })
}

/// Which of these volumes is mounted where in a container, in the order of the places. To be called by a
/// process that never had a second thread.
///
/// # Errors
/// When the container does not run.
pub fn mounted_volumes(record: &Record, volumes: &[Volume]) -> Result<Vec<(String, PathBuf)>, Failure> {
    let step = || Step::of("see what is mounted in the container");
    let pid = record.running.as_ref().ok_or(Errno::ESRCH).during(step)?.pid;
    let table = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).during(step)?;
    // Blanks in a path are written otherwise there (proc_pid_mountinfo(5)), and such a path is not found.
    let points: BTreeSet<PathBuf> =
        table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect();
    in_child(|| {
        let known = identities(volumes)?;
        enter_mounts(record)?;
        let mut found = Vec::new();
        for point in points {
            // Files are mounted on as well, and what is below another mount can't be got at.
            let Ok(identity) = open(&point).and_then(|place| identity(&place).during(step)) else { continue };
            let which = known.iter().position(|one| *one == identity);
            found.extend(which.map(|at| (volumes[at].name.clone(), point)));
        }
        Ok(found)
    })
}

/// By which a directory is known, however it is mounted.
type Directory = (u64, u64);

fn identity(file: &OwnedFd) -> Result<Directory, rustix::io::Errno> {
    fstat(file).map(|stat| (stat.st_dev, stat.st_ino))
}

fn identities(volumes: &[Volume]) -> Result<Vec<Directory>, Failure> {
    let step = || Step::of("look at the lab's volumes");
    volumes.iter().map(|volume| identity(&volumes::copy(&volume.namespace, &volume.at)?).during(step)).collect()
}

fn no_directory(record: &Record, at: &Path) -> Failure {
    let (name, at) = (&record.launch.name, at.display());
    let words =
        format!("attach a volume at {at}: {name} has no such directory; `nslab exec {name} -- mkdir -p {at}` makes it");
    Step::of(words).failed()(Errno::ENOENT)
}

fn absolute(path: &Path) -> PathBuf {
    Path::new("/").join(path)
}

/// In its mount namespace, and as the caller: the file system of a user namespace's root is not to say who may mount.
fn enter_mounts(record: &Record) -> Result<(), Failure> {
    let running = record.running.as_ref().ok_or(Errno::ESRCH).during(|| Step::of("enter the container"))?;
    enter::join_mounts(running)
}

fn open(path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS)
        .during(|| Step::Open { path: path.to_owned() })
}

fn in_child<T: Serialize + DeserializeOwned>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let step = || Step::of("make a process in the container");
    let (mut said, says) = std::io::pipe().during(step)?;
    let pid = match sys::fork().during(step)? {
        Doubled::Child => {
            drop(said);
            let text = serde_json::to_vec(&work()).unwrap_or_default();
            let _ = (&says).write_all(&text); // where nobody reads it, nobody waits
            sys::exit(0);
        }
        Doubled::Parent(pid) => pid,
    };
    drop((says, work));
    let mut text = Vec::new();
    let heard = said.read_to_end(&mut text);
    waitpid(pid, None).during(step)?;
    heard.during(step)?;
    serde_json::from_slice::<Result<T, Failure>>(&text).map_err(|_| Errno::EPIPE).during(step)?
}
