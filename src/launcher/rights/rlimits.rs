//! Resource limits (setrlimit(2)) that a container's command begins with.
//!
//! runc and crun leave them as their caller's, Docker's daemon has 1024 open files, and Podman as many as there can be. Here
//! they don't depend on what nslab, or the shell that it was called from, has made of them: the soft ones are those that
//! processes have after a login. The hard ones stay, so that whoever needs more takes more.

use super::super::failure::{During as _, Failure, Step};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The soft limits. Open files: programs that close all that they might have inherited, one by one, take a minute with a
/// million (select(2) can't do more than 1024 anyway); nslab raises its own for large labs. Core files: none, in a root that
/// may be shared, in a container that nobody debugs.
const SOFT: [(Resource, u64, &str); 2] =
    [(Resource::RLIMIT_NOFILE, 1024, "open files"), (Resource::RLIMIT_CORE, 0, "core files")];

/// Lowers what is above them.
pub(super) fn lower() -> Result<(), Failure> {
    for (resource, wanted, what) in SOFT {
        let failed = || Step::of(format!("limit {what}"));
        let (soft, hard) = getrlimit(resource).during(failed)?;
        if soft > wanted {
            setrlimit(resource, wanted, hard).during(failed)?;
        }
    }
    Ok(())
}
