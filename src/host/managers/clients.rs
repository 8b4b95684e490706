//! DHCP clients that are processes of their own: finding them, holding them where they are, and letting them go on.
//!
//! One that is paused (SIGSTOP) keeps its lease and all it knows; continued, it goes on as after a long sleep: renews the
//! lease, or gets a new one where it has run out.

use super::{ManagerError, command_line, wait_for};
use crate::host::HostError;
use crate::host::error::FileContext;
use crate::host::processes::Processes;
use crate::model::{ClientProcess, Holder, IfName};
use crate::process::{Stat, words_of};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long the kernel may take to stop a process.
const STOP: Duration = Duration::from_secs(5);

/// Who starts DHCP clients of its own, and ends them itself.
const NETWORK_MANAGER: &str = "NetworkManager";

/// The clients in the namespace with this inode that manage a NIC.
pub(super) fn find(nic: &IfName, netns: u64) -> Result<Vec<Holder>, HostError> {
    let processes = Processes::scan().on_file("read", Path::new("/proc"))?;
    let mut found: Vec<i32> = processes.in_netns(netns).to_vec();
    found.sort_unstable();
    Ok(found.into_iter().filter_map(|pid| client(pid, nic)).collect())
}

/// The client that a process is, where it manages the NIC.
fn client(pid: i32, nic: &IfName) -> Option<Holder> {
    let Stat { name, parent, started_ticks, .. } = Stat::of(pid)?;
    let words = words_of(pid);
    let kind = command_line::kind(&name, &words)?;
    let reach = command_line::reach(kind, &words, nic)?;
    if Stat::of(parent).is_some_and(|parent| parent.name == NETWORK_MANAGER) {
        return None;
    }
    Some(Holder::Client { kind, process: ClientProcess { pid, started_ticks }, reach })
}

/// What is done with a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Pause,
    Continue,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Continue => "continue",
        }
    }
}

/// Pauses a client, or lets it go on. Gives whether it still runs.
///
/// # Errors
/// When the kernel refuses.
pub(super) async fn act(
    action: Action,
    holder: &Holder,
    process: ClientProcess,
    nic: &IfName,
) -> Result<bool, ManagerError> {
    let failed =
        |source| ManagerError::Signal { action: action.word(), holder: holder.clone(), nic: nic.clone(), source };
    if !send(action, process).map_err(failed)? {
        return Ok(false);
    }
    let is_done = || async { Ok(state(process).is_none_or(|state| is_stopped(state) == (action == Action::Pause))) };
    if !wait_for(STOP, is_done).await? {
        return Err(failed(io::Error::from_raw_os_error(nix::libc::ETIMEDOUT)));
    }
    Ok(state(process).is_some())
}

/// Signals the process, and no other one that has its number now; says whether it is there.
fn send(action: Action, process: ClientProcess) -> io::Result<bool> {
    let Some(pid) = Pid::from_raw(process.pid) else { return Ok(false) };
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => return Ok(false),
        result => result?,
    };
    // Looked at only now: from here on the handle holds on to the process.
    if state(process).is_none() {
        return Ok(false);
    }
    let signal = match action {
        Action::Pause => Signal::STOP,
        Action::Continue => Signal::CONT,
    };
    match pidfd_send_signal(&handle, signal) {
        Err(rustix::io::Errno::SRCH) => Ok(false),
        result => result.map(|()| true).map_err(Into::into),
    }
}

/// The state of a process that runs; `None` where another one has its number, or none.
fn state(process: ClientProcess) -> Option<char> {
    let Stat { state, started_ticks, .. } = Stat::of_living(process.pid)?;
    (started_ticks == process.started_ticks).then_some(state)
}

fn is_stopped(state: char) -> bool {
    state == 'T'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_of_the_same_number_is_let_be() {
        let own = Stat::of(std::process::id().cast_signed()).unwrap();
        let process = ClientProcess { pid: std::process::id().cast_signed(), started_ticks: own.started_ticks + 1 };
        assert!(!send(Action::Pause, process).unwrap());
    }
}
