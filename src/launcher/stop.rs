//! Ending a container from outside: it is asked, and after a while its process 1 is killed, with which all of it ends.

use super::cgroup::Cgroup;
use super::failure::{During, Failure, Step};
use super::record::{self, Running};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the kernel may take to end one that was killed.
const KILL: Duration = Duration::from_secs(10);

/// How long process 1 may take to say how its command ended.
const SAY: Duration = Duration::from_secs(5);

/// Asks a container to end (SIGTERM), kills it where it has not in time, and returns once it has ended. One that has ended
/// before is fine. What it writes to disks is not held back any more once it is to be killed: a process that waits for a disk
/// ends when it has been served.
///
/// # Errors
/// When the kernel does not let it be signalled, or does not end it.
pub fn stop(running: &Running, cgroup: Option<&Path>, grace: Duration) -> Result<(), Failure> {
    let Some(process) = held(running)? else { return Ok(()) };
    send(&process, Signal::SIGTERM)?;
    send(&process, Signal::SIGCONT)?; // one that was stopped would not see the other, and process 1 passes both on
    if has_ended(&process, grace)? {
        return Ok(());
    }
    if let Some(cgroup) = cgroup.and_then(|name| Cgroup::find(name).ok().flatten()) {
        cgroup.let_disks_go();
    }
    // Its command first: process 1 then says how it ended, and ends all the rest.
    if let Some(command) = command_of(running)? {
        send(&command, Signal::SIGKILL)?;
        if has_ended(&process, SAY)? {
            return Ok(());
        }
    }
    send(&process, Signal::SIGKILL)?;
    if has_ended(&process, KILL)? { Ok(()) } else { Err(Step::of("end the container").failed()(Errno::ETIMEDOUT)) }
}

/// Sends a container's command a signal, whose end is that of the container. Says whether there was somebody to hear it.
///
/// # Errors
/// When the kernel does not let it be signalled.
pub fn signal(running: &Running, signal: Signal) -> Result<bool, Failure> {
    let Some(process) = held(running)? else { return Ok(false) };
    // Process 1 passes on what it can catch, and that is not everything.
    send(&command_of(running)?.unwrap_or(process), signal)?;
    Ok(true)
}

/// Kills a launcher that does not get on, and what it has started. The caller has not waited for it yet, so that its number is its
/// own.
///
/// # Errors
/// When the kernel does not let it be killed.
pub fn kill_launcher(pid: i32) -> Result<(), Failure> {
    // Held before it is killed: its children have another parent then. One that is cloned meanwhile finds that it has ended.
    let children = children(pid).into_iter().filter_map(|child| Some((child.pid, held(&child).ok()??)));
    let children: Vec<_> = children.filter(|(child, _)| record::is_child(*child, pid)).collect();
    let launcher = Running::of(pid).and_then(|launcher| held(&launcher));
    let held = launcher.ok().flatten().into_iter().chain(children.into_iter().map(|(_, child)| child));
    held.map(|process| send(&process, Signal::SIGKILL)).fold(Ok(()), Result::and)
}

/// The children of a process, as far as they have not ended.
fn children(pid: i32) -> Vec<Running> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|child| Running::of(child.parse().ok()?).ok()).collect()
}

/// The command, held on to: the child that process 1 had first. Those whom it has inherited are the command's descendants.
fn command_of(running: &Running) -> Result<Option<OwnedFd>, Failure> {
    let pid = running.pid;
    let Some(eldest) = children(pid).into_iter().min_by_key(|child| child.started_ticks) else { return Ok(None) };
    let Some(command) = held(&eldest)? else { return Ok(None) };
    // Seen after it is held: process 1 may have ended, and its number be another's by now.
    Ok((record::is_child(eldest.pid, pid) && running.is_alive()).then_some(command))
}

/// Process 1, held on to: its number may pass to another process, this does not.
pub(super) fn held(running: &Running) -> Result<Option<OwnedFd>, Failure> {
    let Some(pid) = Pid::from_raw(running.pid) else { return Ok(None) };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => Ok(None),
        result => {
            let process = result.during(|| Step::of("hold on to the container's process"))?;
            // Seen after it is held.
            Ok(running.is_alive().then_some(process))
        }
    }
}

fn send(process: &OwnedFd, signal: Signal) -> Result<(), Failure> {
    let step = || Step::of(format!("send {signal} to the container"));
    let raw = rustix::process::Signal::from_named_raw(signal as i32);
    match pidfd_send_signal(process, raw.ok_or(Errno::EINVAL).during(step)?) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        result => result.during(step),
    }
}

fn has_ended(process: &OwnedFd, within: Duration) -> Result<bool, Failure> {
    let deadline = Instant::now() + within;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up, so that it does not spin at the end.
        let left = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(process.as_fd(), PollFlags::POLLIN)], left) {
            Err(Errno::EINTR) => {}
            result => return result.during(|| Step::of("wait for the container's end")).map(|ready| ready > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    fn running(command: &str) -> (std::process::Child, Running) {
        let mut child = Command::new("sh").args(["-c", command]).stdout(std::process::Stdio::piped()).spawn().unwrap();
        // Its first line says that it has come so far.
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        let of = Running::of(child.id().cast_signed()).unwrap();
        (child, of)
    }

    #[test]
    fn who_ends_when_asked_is_not_killed_and_who_does_not_is() {
        let (mut child, of) = running("echo; exec sleep 1000");
        stop(&of, None, Duration::from_mins(1)).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(15));
        let (mut child, of) = running("trap '' TERM; echo; exec sleep 1000");
        stop(&of, None, Duration::ZERO).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn another_process_of_the_same_number_is_left_alone() {
        let (mut child, of) = running("echo; exec sleep 1000");
        let another = Running { started_ticks: of.started_ticks + 1, ..of.clone() };
        stop(&another, None, Duration::ZERO).unwrap();
        assert_eq!(signal(&another, Signal::SIGKILL), Ok(false));
        assert!(child.try_wait().unwrap().is_none());
        assert_eq!(signal(&of, Signal::SIGKILL), Ok(true));
        child.wait().unwrap();
    }
}
