//! What is opened outside for a container that nobody waits for: its process 1 sees nothing of the machine any more when it
//! writes down what is printed and how it ended.

use crate::launcher::attach;
use crate::launcher::cgroup::OutOfMemory;
use crate::launcher::enclosed::enclosed;
use crate::launcher::failure::{During, Failure, Step};
use crate::launcher::handshake::Ended;
use crate::launcher::record::{self, EndRecord, names, unix_s};
use crate::launcher::strange;
use crate::model::container::UserMaps;
use rustix::fs::{FallocateFlags, Mode, fallocate, fchmod, fstat, ftruncate, mkdirat, renameat};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// The record of how a container ended, before it has. There is room for all that it may say, so that it can be written on a
/// full disk.
const END: &str = ".ended.json";
const ROOM: u64 = 512;

/// The open files of a record.
#[derive(Debug)]
pub(in crate::launcher) struct Recording {
    pub(super) directory: OwnedFd,
    pub(super) listener: OwnedFd,
    /// /dev/null.
    pub(super) null: OwnedFd,
    end: OwnedFd,
    /// That the container is being started.
    #[expect(dead_code, reason = "the lock is held for as long as it is open")]
    beginning: Option<OwnedFd>,
}

impl Recording {
    /// Makes and opens what is needed, in the directory of a record, which is there; to be called outside.
    pub(in crate::launcher) fn open(record: &Path, maps: Option<&UserMaps>) -> Result<Self, Failure> {
        let beginning = record::begin(record)?;
        let (directory, mode) = make_directory(record)?;
        let null = File::options().read(true).write(true).open("/dev/null");
        let null = null.during(|| Step::Open { path: "/dev/null".into() })?.into();
        let make = || Step::Make { path: record::of_init(record).join(END) };
        let end = strange::make(&directory, END, mode).during(make)?;
        match fallocate(&end, FallocateFlags::empty(), 0, ROOM) {
            // Not every file system can; there it is written where there is room.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno).during(make),
        }
        let listener = attach::listen(&directory)?;
        if let Some(root) = maps.and_then(root) {
            // It is he who turns logs over. All that is made for him is made before.
            let give = || Step::of(format!("give {} to user {root}", record::of_init(record).display()));
            std::os::unix::fs::fchown(&directory, Some(root), None).during(give)?;
        }
        Ok(Self { directory: enclosed(directory), listener, null, end, beginning: Some(beginning) })
    }
}

/// Makes the directory of what process 1 writes, for those who may look into the record; with the mode that a file has there.
fn make_directory(record: &Path) -> Result<(OwnedFd, Mode), Failure> {
    let path = record::of_init(record);
    let make = || Step::Make { path: path.clone() };
    let open = |path: &Path| File::open(path).during(|| Step::Open { path: path.to_owned() });
    let above = open(record)?;
    let for_whom = Mode::from_raw_mode(fstat(&above).during(make)?.st_mode);
    mkdirat(&above, names::INIT, Mode::RWXU).during(make)?;
    let directory = open(&path)?;
    fchmod(&directory, for_whom & (Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH)).during(make)?;
    Ok((directory.into(), record::mode(&above).during(make)?))
}

/// Who is root inside, as numbered outside, where that is not the caller.
fn root(maps: &UserMaps) -> Option<u32> {
    match maps {
        UserMaps::CallerIsRoot => None,
        UserMaps::Records { users, groups: _ } => users.iter().find(|map| map.inside == 0).map(|map| map.outside),
    }
}

/// Writes down how a container has ended.
pub(super) fn end(directory: impl AsFd, file: OwnedFd, record: &EndRecord) {
    let Ok(text) = serde_json::to_vec(record) else { return };
    let mut file = File::from(file);
    // Where it fails nobody is left to be told: a container without such a record, and without its process, was killed.
    let written = file.write_all(&text).is_ok() && ftruncate(&file, text.len() as u64).is_ok();
    if written {
        let _ = renameat(&directory, END, &directory, names::ENDED);
    }
}

/// The record of an end that is now.
pub(super) fn end_record(ended: Ended, killed: Option<OutOfMemory>, log_bytes_lost: u64) -> EndRecord {
    let (out_of_memory, for_others_limit) = (killed.is_some(), killed.is_some_and(|killed| killed.is_for_others));
    EndRecord { ended, out_of_memory, for_others_limit, ended_at_unix_s: unix_s(), log_bytes_lost }
}

impl Recording {
    /// Says that the container is there; to be called before anybody is in it who could look into this process.
    pub(super) fn begun(self) -> Self {
        Self { beginning: None, ..self }
    }

    /// Its files: the directory, the socket, the end, and nothing.
    pub(super) fn into_parts(self) -> (OwnedFd, OwnedFd, OwnedFd, OwnedFd) {
        (self.directory, self.listener, self.end, self.null)
    }
}
