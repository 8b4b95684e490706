//! `nslab __remove`: removes what containers of a caller who is not root have written as other users than root inside.
//!
//! Those users are the caller's by /etc/subuid, as in the container. The files can be removed in a user namespace with the same
//! maps, and by nobody else but root. Nothing of what is removed is executed or followed.

use super::failure::{During, Failure, Step};
use super::maps;
use super::sys::{self, Doubled};
use crate::directory;
use crate::model::container::UserMaps;
use nix::errno::Errno;
use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use std::io::{PipeReader, Read, Write};
use std::path::Path;

/// Removes it; the process has one thread.
pub(super) fn run(path: &Path) -> Result<(), Failure> {
    let pipe = || Step::of("make a pipe to the process that removes");
    let (go, goes) = std::io::pipe().during(pipe)?;
    let make = || Step::of("make a user namespace to remove files in");
    let (pid, _handle) = match sys::clone(libc::CLONE_NEWUSER as u64, None).during(make)? {
        Doubled::Child => {
            drop(goes);
            sys::exit(inside(path, go).map_or_else(|failure| code(failure.source), |()| 0));
        }
        Doubled::Parent(child) => child,
    };
    drop(go);
    // Where there are no maps it hears nothing, and ends.
    let begun = maps::write(pid, &UserMaps::CallerIsRoot).and_then(|()| (&goes).write_all(b"!").during(pipe));
    drop(goes);
    let remove = || Step::of(format!("remove {}", path.display()));
    let status = waitpid(pid, None).during(remove)?;
    begun?;
    match status {
        WaitStatus::Exited(_, 0) => Ok(()),
        WaitStatus::Exited(_, errno) => Err(Errno::from_raw(errno)).during(remove),
        _ => Err(Errno::ECHILD).during(remove),
    }
}

/// An errno as a code to exit with: all that have a name fit (errno(3)), and 0 is what goes by none.
fn code(errno: Errno) -> u8 {
    u8::try_from(errno as i32).ok().filter(|code| *code != 0).unwrap_or(u8::MAX)
}

fn inside(path: &Path, mut go: PipeReader) -> Result<(), Failure> {
    let remove = || Step::of(format!("remove {}", path.display()));
    go.read_exact(&mut [0]).during(remove)?;
    maps::become_root()?;
    directory::remove_own(path).during(remove)
}
