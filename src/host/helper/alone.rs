//! How a helper comes to be alone: what it was given by who started it, and what it gives up.

use super::{Kind, READY};
use crate::host::HostError;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::io::{self, Write as _};
use tokio::signal::unix::{SignalKind, signal};

/// Why a helper can't begin, or go on.
#[derive(Debug, thiserror::Error)]
pub(in crate::host) enum HelperError {
    /// The arguments are not what nslab gives.
    #[error("the arguments are not those that nslab gives: it starts this by itself")]
    Arguments,
    /// What every process may do was refused.
    #[error("can't {0}")]
    Process(&'static str, #[source] io::Error),
    /// What it depends on can't be looked at.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl HelperError {
    /// From a system call that failed, with what it was for.
    pub(in crate::host) fn process(what: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::Process(what, errno.into())
    }
}

/// A session of its own, no file but the standard three, no directory that could not be unmounted.
pub(in crate::host) fn leave_what_was_inherited() -> Result<(), HelperError> {
    match nix::unistd::setsid() {
        Ok(_) | Err(Errno::EPERM) => {} // it leads a group already, where it was started by hand
        Err(errno) => return Err(HelperError::process("begin a session")(errno)),
    }
    nix::unistd::chdir("/").map_err(HelperError::process("go to /"))?;
    let number = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<i32>().ok();
    let open =
        std::fs::read_dir("/proc/self/fd").map_err(|source| HelperError::Process("read /proc/self/fd", source))?;
    let inherited: Vec<i32> = open.filter_map(number).filter(|fd| *fd > 2).collect();
    for fd in inherited {
        // Nothing of this process is open yet; the directory that was just read is closed already.
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}

/// What the end of somebody's session sends to all that came of it.
const SESSIONS_END: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// Has the end of a session, or of a service, not end this process: what is sent then is caught and does nothing. Nothing
/// else may run in this process yet. What it starts hears it as ever.
pub(in crate::host) fn outlive_sessions() -> Result<(), HelperError> {
    let failed = |source| HelperError::Process("catch signals", source);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    {
        let _inside = runtime.enter();
        for caught in SESSIONS_END {
            // It stays caught, whether or not anybody listens (tokio::signal::unix::Signal).
            drop(signal(SignalKind::from_raw(caught as i32)).map_err(failed)?);
        }
    }
    // Where another program became this one, they were held back meanwhile.
    SigSet::from_iter(SESSIONS_END).thread_unblock().map_err(HelperError::process("let signals through"))
}

/// Holds them back while another program takes this process's place, until it has [seen to them](outlive_sessions).
pub(in crate::host) fn hold_back_sessions_end() -> Result<(), HelperError> {
    SigSet::from_iter(SESSIONS_END).thread_block().map_err(HelperError::process("hold signals back"))
}

/// Gives up all capabilities but these, for good.
pub(in crate::host) fn keep_capabilities(kept: CapabilitySet) -> Result<(), HelperError> {
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    let failed = |errno: rustix::io::Errno| HelperError::Process("give up capabilities", errno.into());
    rustix::thread::set_capabilities(None, sets).map_err(failed)?;
    rustix::thread::set_no_new_privs(true).map_err(failed)
}

/// Tells who started this process, and takes the name that it is known by. In this order: who is not there to hear it, was
/// ended, and whoever comes next is not to find a helper that is about to end. The pipe's end says that both is done.
pub(in crate::host) fn said_ready(kind: Kind) -> Result<(), HelperError> {
    let told = |source| HelperError::Process("tell who started this that it is ready", source);
    let mut out = io::stdout();
    out.write_all(READY.as_bytes()).and_then(|()| out.flush()).map_err(told)?;
    nix::sys::prctl::set_name(kind.name).map_err(HelperError::process("take a name"))?;
    let null = std::fs::File::options().write(true).open("/dev/null").map_err(told)?;
    nix::unistd::dup2_stdout(&null).map_err(HelperError::process("close standard output"))
}
