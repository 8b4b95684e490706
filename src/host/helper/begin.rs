//! Helpers as who starts them sees them: starting one, and knowing one that runs.

use super::{KINDS, Kind, READY};
use crate::fault;
use crate::process::words_of;
use std::io;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

/// Whether this program knows what to do when it is started as a helper.
static BECOMES_HELPER: AtomicBool = AtomicBool::new(false);

pub(super) fn prepare() {
    BECOMES_HELPER.store(true, Ordering::Relaxed);
}

/// Whether [`become_helper`](super::become_helper) was called.
pub(in crate::host) fn is_prepared() -> bool {
    BECOMES_HELPER.load(Ordering::Relaxed)
}

/// Whether a process is a helper, or about to become one.
pub(in crate::host) fn is_helper(pid: i32) -> bool {
    words_of(pid).get(1).is_some_and(|verb| KINDS.iter().any(|kind| verb == kind.verb))
}

/// Whether a process is a helper of this kind, or about to become one.
pub(in crate::host) fn is_one(kind: Kind, pid: i32) -> bool {
    words_of(pid).get(1).is_some_and(|verb| verb == kind.verb)
}

/// What a helper of this kind was told behind its namespace's name, where a process in a namespace of this name is one that
/// does what it is for.
pub(in crate::host) fn arguments_of(kind: Kind, pid: i32, netns: &str) -> Option<Vec<String>> {
    let name = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    if name.trim_ascii_end() != kind.name.to_bytes() {
        return None;
    }
    let mut line = words_of(pid);
    let is_one = line.get(1).is_some_and(|verb| verb == kind.verb) && line.get(2).is_some_and(|name| name == netns);
    is_one.then(|| line.split_off(3))
}

/// Starts a helper in the namespace that the calling thread is in: a child is born there. The program is this very file, and
/// not what is where it was: it may have been replaced, or removed.
pub(in crate::host) fn spawn(kind: Kind, netns: &str, arguments: &[String]) -> io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("nslab").args([kind.verb, netns]).args(arguments).env_clear().current_dir("/");
    command.envs(fault::of_helpers());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn()
}

/// Waits until a helper says that it does what it is for. Where it does not, it is killed, and what it said is told.
pub(in crate::host) async fn has_begun(mut child: Child, patience: Duration) -> Result<(), String> {
    let mut said = String::new();
    if let Some(mut out) = child.stdout.take() {
        match tokio::time::timeout(patience, out.read_to_string(&mut said)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => said = error.to_string(),
            Err(_) => said = format!("it did not begin in {} s", patience.as_secs()),
        }
    }
    if said == READY {
        return Ok(()); // the runtime takes note of its end, should it outlive it
    }
    let _ = child.start_kill(); // it has ended already, most likely
    Err(if said.is_empty() { "it was ended before it began".to_owned() } else { said })
}

/// Becomes a helper of another kind, in place of the calling one. What it says is heard by nobody.
pub(in crate::host) fn exec(kind: Kind, netns: &str, arguments: &[String]) -> io::Result<()> {
    use std::os::unix::process::CommandExt as _;
    let mut command = std::process::Command::new("/proc/self/exe");
    command.arg0("nslab").args([kind.verb, netns]).args(arguments).env_clear().current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Err(command.exec())
}
