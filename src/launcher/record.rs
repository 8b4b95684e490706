//! What is written down of a container that nobody waits for, in a directory of its own.
//!
//! What process 1 writes is in a directory in there, which is root's inside: who that is outside may change it all at any time.
//! So what is beside is believed, and what is in there is not.

use super::failure::{During, Failure, Step};
use super::handshake::Ended;
use super::launch::Launch;
use super::strange;
use crate::process::{Stat, started_ticks};
use rustix::fs::{FlockOperation, Mode, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The files' names.
pub(super) mod names {
    /// The [`Launch`](super::Launch).
    pub(crate) const CONTAINER: &str = "container.json";
    /// The [`Running`](super::Running), from before the command runs on.
    pub(crate) const RUNNING: &str = "running.json";
    /// The directory of what process 1 writes.
    pub(crate) const INIT: &str = "init";
    /// The [`EndRecord`](super::EndRecord), once it has ended, in that directory.
    pub(crate) const ENDED: &str = "ended.json";
    /// All files of a record, those that are written before they are put in their place among them.
    pub(crate) const ALL: [&str; 4] = [CONTAINER, RUNNING, ".container.json", ".running.json"];
    /// All that is in the directory of what process 1 writes.
    pub(crate) const OF_INIT: [&str; 5] = [ENDED, ".ended.json", "log", "log.1", "attach"];
}

/// A container's process 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Running {
    /// Its number, where it was started from.
    pub pid: i32,
    /// When it was started, in clock ticks after the machine was (field 22 of /proc/PID/stat, proc_pid_stat(5)): another
    /// process may have the number later.
    pub started_ticks: u64,
    /// When that was, in seconds after 1970.
    pub started_at_unix_s: u64,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndRecord {
    /// How its command did.
    pub ended: Ended,
    /// Whether the kernel has killed something in it for want of memory.
    pub out_of_memory: bool,
    /// Whether that was not for its own limit: but for one of the lab as a whole, or for want of memory of the machine.
    #[serde(default)]
    pub for_others_limit: bool,
    /// When, in seconds after 1970.
    pub ended_at_unix_s: u64,
    /// How much of its output could not be written to the log, in bytes.
    pub log_bytes_lost: u64,
}

/// All that is written down of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What was asked for.
    pub launch: Launch,
    /// Its process; `None` where it was not started, or not wholly.
    pub running: Option<Running>,
    /// How it ended; `None` where it has not, or nobody was left to say so.
    pub ended: Option<EndRecord>,
}

impl Running {
    /// Of a process that there is.
    pub(super) fn of(pid: i32) -> Result<Self, Failure> {
        let look = || Step::of("look at the container's process");
        let started_ticks = started_ticks(pid).ok_or(nix::errno::Errno::ESRCH).during(look)?;
        Ok(Self { pid, started_ticks, started_at_unix_s: unix_s() })
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        started_ticks(self.pid) == Some(self.started_ticks)
    }
}

/// The time in seconds after 1970.
pub(super) fn unix_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Whether a process has this parent, and has not ended.
pub(super) fn is_child(pid: i32, parent: i32) -> bool {
    Stat::of_living(pid).is_some_and(|stat| stat.parent == parent)
}

impl Record {
    /// Reads what is written down in a directory; `None` where nothing is.
    ///
    /// # Errors
    /// When a file can't be read, or is not what nslab has written.
    pub fn read(directory: &Path) -> Result<Option<Self>, Failure> {
        let Some(launch) = read(&directory.join(names::CONTAINER))? else { return Ok(None) };
        let running = read(&directory.join(names::RUNNING))?;
        Ok(Some(Self { launch, running, ended: read_end(&of_init(directory).join(names::ENDED))? }))
    }

    /// Whether its process 1 still runs.
    pub fn is_alive(&self) -> bool {
        self.running.as_ref().is_some_and(Running::is_alive)
    }
}

/// Says that a container is being started whose record this is, for as long as what is given back is open, in this process or in
/// one that it has cloned. It is open until it is written down which process runs.
///
/// # Errors
/// When the directory can't be opened or locked.
pub fn begin(directory: &Path) -> Result<OwnedFd, Failure> {
    let open = || Step::Open { path: directory.to_owned() };
    let record = File::open(directory).during(open)?;
    flock(&record, FlockOperation::LockShared).during(open)?;
    Ok(record.into())
}

/// Sees to it that nobody starts the container of this record, for as long as what is given back is open; `None` where somebody
/// does, or it is not there.
///
/// # Errors
/// When the directory can't be opened or locked.
pub fn claim(directory: &Path) -> Result<Option<OwnedFd>, Failure> {
    let open = || Step::Open { path: directory.to_owned() };
    let record = match File::open(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        result => result.during(open)?,
    };
    match flock(&record, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        result => result.during(open).map(|()| Some(record.into())),
    }
}

/// The directory of what process 1 writes.
pub(super) fn of_init(directory: &Path) -> PathBuf {
    directory.join(names::INIT)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    let open = || Step::Open { path: path.to_owned() };
    match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).during(open),
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|_| nix::errno::Errno::EBADMSG).during(open),
    }
}

/// The longest record of an end, in bytes.
const LONGEST_END: u64 = 4096;

/// How it has ended. Anything else that is there was put there by somebody, and says nothing.
fn read_end(path: &Path) -> Result<Option<EndRecord>, Failure> {
    match strange::read(path, LONGEST_END) {
        Ok(text) => Ok(text.and_then(|text| serde_json::from_slice(&text).ok())),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(error).during(|| Step::Open { path: path.to_owned() })
        }
        Err(_) => Ok(None),
    }
}

/// Whom a file of a record is to be read by: all who may look into its directory.
pub(super) fn mode(directory: &File) -> std::io::Result<Mode> {
    let of_directory = Mode::from_raw_mode(rustix::fs::fstat(directory)?.st_mode);
    Ok(of_directory & (Mode::RUSR | Mode::RGRP | Mode::ROTH) | Mode::WUSR)
}

/// Writes a file of the record: beside, and then in its place, so that nobody reads half of one.
pub(super) fn write(directory: &Path, name: &str, what: &impl Serialize) -> Result<(), Failure> {
    let make = || Step::Make { path: directory.join(name) };
    let text = serde_json::to_vec(what).map_err(|_| nix::errno::Errno::EINVAL).during(make)?;
    let beside = format!(".{name}");
    let directory = File::open(directory).during(make)?;
    let mode = mode(&directory).during(make)?;
    strange::write_new(&directory, &beside, mode, &text).during(make)?;
    rustix::fs::renameat(&directory, &beside, &directory, name).during(make)
}
