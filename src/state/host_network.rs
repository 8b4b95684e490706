//! What labs share of the host's own network stack: who changes it keeps others from doing so, and what one lab has set
//! another one may need.

use super::error::file;
use super::{LabPaths, LabState, StateError, StateRoot};
use crate::model::{NetnsName, SysctlKey};
use nix::fcntl::{Flock, FlockArg};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

/// The host's network namespace as a file: there is one for it, whatever state directories there are, and nothing is left
/// of it afterwards.
const HOST: &str = "/proc/self/ns/net";

/// How long a command waits for another one that changes the host's network stack.
const DEADLINE: Duration = Duration::from_mins(2);

/// The host's network stack, which nobody else's lab changes while this is held; the kernel gives it back when the process
/// ends in whatever way.
pub struct LockedHostNetwork(Flock<File>);

impl LockedHostNetwork {
    /// Locks it. While another nslab holds it, `waiting` is called once and then it is waited for.
    ///
    /// # Errors
    /// When it can't be had in two minutes, or not at all.
    ///
    /// # Cancel safety
    /// Nothing is changed by waiting.
    pub async fn lock(waiting: impl FnOnce()) -> Result<Self, StateError> {
        let path = Path::new(HOST);
        let started = Instant::now();
        let mut waiting = Some(waiting);
        let mut opened = file("open", path, File::open(path))?;
        loop {
            opened = match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(Self(lock)),
                Err((opened, nix::Error::EWOULDBLOCK)) => opened,
                Err((_, errno)) => return file("lock", path, Err(errno.into())),
            };
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            if started.elapsed() > DEADLINE {
                return Err(StateError::HostBusy { waited_s: DEADLINE.as_secs() });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Gives it back.
    pub fn unlock(self) {
        drop(self.0);
    }
}

/// The parameters of the host's network stack that labs other than this one have set, or may have, with what each was
/// before.
///
/// # Errors
/// When the labs that use the machine's directories can't be listed.
pub fn sysctls_of_others(lab: &LabPaths) -> Result<BTreeMap<SysctlKey, String>, StateError> {
    let users = StateRoot::default().users();
    let entries = match std::fs::read_dir(&users) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        other => file("read", &users, other)?,
    };
    let mut claimed = BTreeMap::new();
    for entry in entries {
        let link = file("read", &users, entry)?.path();
        let Ok(directory) = std::fs::read_link(&link) else { continue };
        if directory == lab.directory() {
            continue;
        }
        // One that can't be read is of a lab that can't be taken down either; the others can.
        let Ok(state) = LabState::read(&LabPaths::at(directory)) else { continue };
        let made = state.made();
        let set = made.resources.sysctls.iter().filter(|sysctl| sysctl.netns == NetnsName::Host);
        for key in set.map(|sysctl| &sysctl.key) {
            let before = made.previous_sysctls.iter().find(|s| s.netns == NetnsName::Host && s.key == *key);
            claimed.extend(before.map(|before| (key.clone(), before.value.clone())));
        }
    }
    Ok(claimed)
}
