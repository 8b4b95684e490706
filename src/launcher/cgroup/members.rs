//! The processes in a cgroup: who they are, ending them, waiting for their end.

use super::error::{CgroupError, While, is_gone};
use super::hierarchy::Version;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long is waited for a sign before it is looked again: some ends give none.
const LOOK: Duration = Duration::from_millis(20);

/// How many processes are waited for at once.
const AT_ONCE: usize = 64;

/// The cgroups right below one. One that has gone has none.
pub(super) fn below(directory: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        result => result.while_to("read", directory)?,
    };
    let is_directory = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    Ok(entries.flatten().filter(is_directory).map(|entry| entry.path()).collect())
}

/// The processes in a cgroup itself. Those of other PID namespaces, which are told as 0, are left out.
pub(super) fn of(directory: &Path) -> Result<Vec<i32>, CgroupError> {
    let file = directory.join("cgroup.procs");
    match fs::read_to_string(&file) {
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        // A threaded cgroup, which a container with a tree of its own may have made; its processes are told further up.
        Err(error) if error.raw_os_error() == Some(nix::libc::EOPNOTSUPP) => Ok(Vec::new()),
        result => Ok(numbers(&result.while_to("read", &file)?)),
    }
}

fn numbers(text: &str) -> Vec<i32> {
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()
}

/// The processes in a cgroup and in all below it.
pub(super) fn of_all(directory: &Path) -> Result<BTreeSet<i32>, CgroupError> {
    let mut all: BTreeSet<i32> = of(directory)?.into_iter().collect();
    for one in below(directory)? {
        all.append(&mut of_all(&one)?);
    }
    Ok(all)
}

/// Moves a process into a cgroup. One that has ended meanwhile is in none.
pub(super) fn add(directory: &Path, pid: i32) -> Result<(), CgroupError> {
    let file = directory.join("cgroup.procs");
    match fs::write(&file, pid.to_string()) {
        Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => Ok(()),
        result => result.while_to(&format!("move process {pid} by"), &file),
    }
}

/// Whether there is any process in a cgroup or below it.
pub(super) fn is_populated(directory: &Path, version: Version) -> Result<bool, CgroupError> {
    match version {
        Version::One => Ok(!of_all(directory)?.is_empty()),
        Version::Two => Events::open(directory).map_or(Ok(false), |mut events| events.is_populated()),
    }
}

/// `cgroup.events` of version 2, which tells by poll(2) that it has changed.
struct Events(File, PathBuf);

impl Events {
    fn open(directory: &Path) -> Option<Self> {
        let path = directory.join("cgroup.events");
        File::open(&path).ok().map(|file| Self(file, path))
    }

    fn is_populated(&mut self) -> Result<bool, CgroupError> {
        use std::io::Seek;
        let mut text = String::new();
        match self.0.rewind().and_then(|()| self.0.read_to_string(&mut text)) {
            Err(error) if is_gone(&error) => Ok(false),
            result => {
                result.while_to("read", &self.1)?;
                Ok(text.lines().any(|line| line == "populated 1"))
            }
        }
    }
}

/// A place of the same processes in some hierarchy.
pub(super) struct Place {
    pub(super) directory: PathBuf,
    pub(super) version: Version,
    /// Whether it is in the hierarchy of version 1 that can stop them.
    pub(super) freezes: bool,
}

/// Kills everything in these places, and waits until nothing is left there; returns who is.
pub(super) fn end(places: &[Place], within: Duration) -> Result<Vec<i32>, CgroupError> {
    let deadline = Instant::now() + within;
    loop {
        let mut left: BTreeSet<i32> = BTreeSet::new();
        let mut events = Vec::new();
        for place in places {
            let watched = (place.version == Version::Two).then(|| Events::open(&place.directory)).flatten();
            if let Some(mut watched) = watched {
                if !watched.is_populated()? {
                    continue;
                }
                let file = place.directory.join("cgroup.kill");
                match fs::write(&file, "1") {
                    Ok(()) => events.push(watched),
                    // Linux before 5.14 has no such file.
                    Err(error) if is_gone(&error) => left.append(&mut of_all(&place.directory)?),
                    Err(error) => return Err(error).while_to("write 1 to", &file),
                }
            } else {
                left.append(&mut of_all(&place.directory)?);
            }
        }
        if left.is_empty() && events.is_empty() {
            return Ok(Vec::new());
        }
        if Instant::now() >= deadline {
            return places.iter().try_fold(Vec::new(), |mut all, place| {
                all.extend(of_all(&place.directory)?);
                Ok(all)
            });
        }
        let held = kill(places, &left)?;
        let files = events.iter().map(|events| (events.0.as_fd(), PollFlags::POLLPRI));
        let files = files.chain(held.iter().map(|one| (one.as_fd(), PollFlags::POLLIN)));
        let mut files: Vec<PollFd<'_>> = files.take(AT_ONCE).map(|(file, what)| PollFd::new(file, what)).collect();
        let timeout = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::ZERO);
        match poll(&mut files, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno).while_to("wait for the end of", &places[0].directory),
        }
    }
}

/// Kills processes one by one, stopped meanwhile where that is possible, so that none starts others faster than that.
fn kill(places: &[Place], pids: &BTreeSet<i32>) -> Result<Vec<OwnedFd>, CgroupError> {
    if pids.is_empty() {
        return Ok(Vec::new());
    }
    // It is a help and no condition: what is left is seen in the next round.
    let freezer = places.iter().find(|place| place.freezes).map(|place| place.directory.join("freezer.state"));
    let freeze = |word: &str| freezer.as_ref().map(|file| fs::write(file, word));
    freeze("FROZEN");
    let mut held = Vec::new();
    let mut result = Ok(());
    for pid in pids {
        match kill_one(places, *pid) {
            Ok(one) => held.extend(one),
            Err(error) => result = Err(error).while_to(&format!("kill process {pid} of"), &places[0].directory),
        }
    }
    freeze("THAWED");
    result.map(|()| held)
}

/// Kills a process, if it is still the one that was meant: its number may be another one's by now.
fn kill_one(places: &[Place], pid: i32) -> io::Result<Option<OwnedFd>> {
    let Some(raw) = Pid::from_raw(pid) else { return Ok(None) };
    let held = match pidfd_open(raw, PidfdFlags::NONBLOCK) {
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        result => result?,
    };
    let is_there = places.iter().any(|place| of_all(&place.directory).is_ok_and(|there| there.contains(&pid)));
    if !is_there {
        return Ok(None);
    }
    match pidfd_send_signal(&held, Signal::KILL) {
        Err(rustix::io::Errno::SRCH) => Ok(None),
        result => Ok(result.map(|()| Some(held))?),
    }
}
