//! Limits of a container that runs: what the kernel has, and changing that with what is written down.

use super::cgroup::Cgroup;
use super::failure::{Failure, Step};
use super::record::{self, Record};
use crate::model::container::Limits;
use nix::errno::Errno;
use std::path::Path;

/// Holds the container of a record to these limits from now on, and writes them down: who starts it again, or tells of its end,
/// knows them.
///
/// # Errors
/// When it does not run, has no cgroup, or the kernel refuses. Nothing has changed then.
pub fn limit(directory: &Path, limits: &Limits) -> Result<(), Failure> {
    let ended = || Step::of("limit the container: it has ended").failed()(Errno::ESRCH);
    let record = Record::read(directory)?.filter(Record::is_alive).ok_or_else(ended)?;
    let before = limits_now(&record)?;
    let cgroup = cgroup(&record)?;
    match &cgroup {
        Some(cgroup) => cgroup.change(limits)?,
        None if limits.is_none() => {}
        None => {
            let words = "limit the container: it was started where there was no cgroup for it; start it with a limit";
            return Err(Step::of(words).failed()(Errno::EOPNOTSUPP));
        }
    }
    let mut launch = record.launch;
    launch.container.limits = limits.clone();
    let written = record::write(directory, record::names::CONTAINER, &launch);
    if let (Err(_), Some(cgroup)) = (&written, cgroup) {
        cgroup.change(&before)?;
    }
    written
}

/// What the kernel holds the container of a record to: what is written down, as long as nobody has changed it behind nslab's back
/// or was killed while he did.
///
/// # Errors
/// When it can't be looked at.
pub fn limits_now(record: &Record) -> Result<Limits, Failure> {
    let written = &record.launch.container.limits;
    if !record.is_alive() {
        return Ok(written.clone());
    }
    match cgroup(record)? {
        Some(cgroup) if cgroup.is_limited_to(written)? => Ok(written.clone()),
        Some(cgroup) => Ok(cgroup.limits()),
        None => Ok(Limits::default()),
    }
}

fn cgroup(record: &Record) -> Result<Option<Cgroup>, Failure> {
    Ok(record.launch.cgroup.as_deref().map(Cgroup::find).transpose()?.flatten())
}
