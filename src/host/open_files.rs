//! How many files the process may have open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the limit of open files (RLIMIT_NOFILE) to `wanted` where it is lower, as far as may be; gives what it is then.
/// Programs that are started inherit it, and some are slow with a high one, so it is raised only where it must be.
pub fn raise_open_files_limit(wanted: u64) -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return wanted };
    let raised = wanted.min(hard);
    if soft < raised && setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_ok() { raised } else { soft }
}
