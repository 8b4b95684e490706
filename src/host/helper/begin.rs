//! Helpers as who starts them sees them: starting one, and knowing one that runs.

use super::{KINDS, Kind, READY};
use crate::fault;
use std::io;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
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

/// How long a process may take to become another program, on a machine that has much else to do.
const BECOMING: Duration = Duration::from_secs(1);

/// The command line of a process; empty where it is none, or has ended.
pub(in crate::host) fn words_of(pid: i32) -> Vec<String> {
    let read = || std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let (mut text, begun) = (read(), Instant::now());
    // One that becomes another program has none for a moment, and is there all the same (get_mm_cmdline() in fs/proc/base.c).
    while text.is_empty() && has_program(pid) && begun.elapsed() < BECOMING {
        std::thread::yield_now();
        text = read();
    }
    let words = text.strip_suffix(b"\0").unwrap_or(&text).split(|byte| *byte == 0);
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Whether a process runs a program: the kernel's own don't, and those that have ended do no more.
fn has_program(pid: i32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok()
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

#[cfg(test)]
mod tests {
    use super::words_of;
    use std::process::Command;

    /// A child is there when it has its memory, and has its command line a moment later.
    #[test]
    fn a_process_has_its_words_from_its_first_moment_on() {
        for round in 0..200 {
            let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
            let words = words_of(child.id().cast_signed());
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(words, ["sleep", "1000"], "round {round}");
        }
    }

    #[test]
    fn who_has_ended_has_no_words() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id().cast_signed();
        // Not waited for: it has left its number, and no more.
        nix::sys::wait::waitid(
            nix::sys::wait::Id::Pid(nix::unistd::Pid::from_raw(pid)),
            nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT,
        )
        .unwrap();
        let begun = std::time::Instant::now();
        assert_eq!(words_of(pid), [""]);
        assert!(begun.elapsed() < super::BECOMING / 2, "it was waited for what does not come");
        child.wait().unwrap();
    }
}
