//! The process inside: process 1 of a container, from the clone to its end. Where there is no PID namespace, it becomes the
//! command itself.

use super::cgroup::{Doors, OutOfMemory, protect_from_oom};
use super::failure::{During, Failure, Step, at};
use super::farewell::Farewell;
use super::handshake::{Channel, Ended, FromInside, FromOutside};
use super::known::Known;
use super::launch::Output;
use super::reaper::{Reaper, Recording};
use super::springboard::Springboard;
use super::sys::{self, Memory};
use super::{arguments, command, maps, namespaces, reaper, refusal, rights};
use crate::model::container::{NetworkOf, Root, User};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// Does all that is to be done inside; returns the code to exit with.
pub(super) fn run(
    known: &Known<'_>,
    doors: Doors,
    recording: Option<Recording>,
    farewell: Option<Farewell>,
    channel: &Channel,
) -> u8 {
    match try_run(known, doors, recording, channel) {
        Ok(ended) => {
            if let Some(farewell) = farewell {
                farewell.say();
            }
            ended.code()
        }
        Err(failure) => {
            let code = failure.exit_code();
            // Where it can't be said, nobody is there to hear it.
            let _ = channel.say(&FromInside::Failed(failure), None);
            code
        }
    }
}

fn try_run(known: &Known<'_>, doors: Doors, recording: Option<Recording>, channel: &Channel) -> Result<Ended, Failure> {
    const NOBODY: Ended = Ended::Code(0); // whoever started this has ended, and nobody waits for the code
    at("inside, after the clone")?;
    if !is_told(channel, &FromOutside::Proceed)? {
        return Ok(NOBODY);
    }
    at("inside, before it is set up")?;
    if known.springboard.is_some() {
        arguments::hide()?;
    }
    doors.enter()?;
    set_up(known)?;
    at("inside, when it is set up")?;
    if let Output::Detached { .. } = known.launch.output {
        // Whose terminal it was started from is to be able to go.
        nix::unistd::setsid().during(|| Step::of("begin a session"))?;
        channel.say(&FromInside::Ready, None)?;
        at("inside, when it is ready")?;
        if !is_told(channel, &FromOutside::Run)? {
            return Ok(NOBODY);
        }
    }
    let is_detached = recording.is_some();
    if known.launch.container.namespaces.pid || is_detached || known.has_terminal {
        // What it was executed as may be a number.
        nix::sys::prctl::set_name(c"nslab").during(|| Step::of("take a name"))?;
        // Before there is somebody who could.
        rights::undumpable()?;
        let reaper = Reaper::prepare(known.launch, known.has_terminal, recording, channel)?;
        at("inside, before the command")?;
        let payload = start_payload(known, &reaper)?;
        at("inside, with the command")?;
        // Without it, it is as likely to be killed as others of its size.
        let _ = protect_from_oom();
        if is_detached {
            channel.say(&FromInside::Running, None)?;
        }
        at("inside, when the command runs")?;
        known.rights.confine_init()?;
        at("inside, without rights")?;
        // Where the kernel does not count them, there is nothing to say.
        let killed = || known.oom.and_then(OutOfMemory::told);
        let ended = reaper.run(payload, (!is_detached).then_some(channel), killed)?;
        at("inside, after the end")?;
        if let Some(killed) = killed().filter(|_| !is_detached) {
            channel.say(&FromInside::OutOfMemory(killed), None)?;
        }
        channel.say(&FromInside::Ended(ended), None)?;
        Ok(ended)
    } else {
        end_with_launcher(channel)?;
        Err(become_payload(known, None, channel.as_fd()))
    }
}

/// The same for a command that comes into a container that is there, if it could enter its cgroup.
pub(super) fn run_entered(known: &Known<'_>, channel: &Channel, entered: Result<(), Failure>) -> u8 {
    let equip = || if known.has_terminal { reaper::equip_entrant(known.launch, channel) } else { Ok(()) };
    let failure = match entered.and_then(|()| end_with_launcher(channel)).and_then(|()| equip()) {
        Ok(()) => become_payload(known, None, channel.as_fd()),
        Err(failure) => failure,
    };
    let code = failure.exit_code();
    let _ = channel.say(&FromInside::Failed(failure), None);
    code
}

/// Has the calling process, which becomes the command itself, end with whoever started it: nobody else would see to that.
fn end_with_launcher(channel: &Channel) -> Result<(), Failure> {
    let end = || Step::of("end with the launcher");
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).during(end)?;
    // Seen after it was asked for: one that ended before is not told of.
    if channel.is_alone().during(end)? { Err(end().failed()(Errno::ESRCH)) } else { Ok(()) }
}

/// Whether this is said, and not that nobody is there any more.
fn is_told(channel: &Channel, message: &FromOutside) -> Result<bool, Failure> {
    match channel.hear::<FromOutside>()? {
        Some((said, _)) if said == *message => Ok(true),
        Some(_) => Err(Step::of("understand the launcher").failed()(Errno::EPROTO)),
        None => Ok(false),
    }
}

/// Everything in the new namespaces that the command is to find there.
fn set_up(known: &Known<'_>) -> Result<(), Failure> {
    let container = &known.launch.container;
    let namespaces = &container.namespaces;
    if namespaces.user.is_some() {
        maps::become_root()?;
    }
    if namespaces.cgroup {
        namespaces::leave_cgroups()?;
    }
    if let Some(hostname) = &container.hostname {
        nix::unistd::sethostname(hostname).during(|| Step::of(format!("set the host name {hostname:?}")))?;
    }
    if namespaces.network == NetworkOf::Own {
        sys::loopback_up().during(|| Step::of("bring the loopback interface up"))?;
    }
    match &container.root {
        Root::Own(root) => super::root::enter(root, &container.rights, namespaces, known.root.as_ref(), &known.volumes),
        // What is mounted inside is not to be seen outside.
        Root::Callers if namespaces.mount => {
            let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>).during(|| Step::of("make private all mounts"))
        }
        Root::Callers => Ok(()),
    }
}

/// Starts the command, and returns once it runs.
fn start_payload(known: &Known<'_>, reaper: &Reaper) -> Result<Pid, Failure> {
    // Closed by the program that is executed: then there is nothing to be read from it.
    let (sink, source) = super::handshake::pair()?;
    let limits = &known.launch.container.limits;
    // Whose user changes can be looked into for a moment where fs.suid_dumpable says so (proc_sys_fs(5)).
    let memory = match known.launch.container.user {
        User::Callers => Memory::Borrowed,
        User::Ids { .. } => Memory::Own,
    };
    let payload = sys::spawn(memory, || {
        let failure = match at("in the command's process").and_then(|()| reaper.equip_payload()) {
            Ok(()) => become_payload(known, known.springboard.as_ref(), source.as_fd()),
            Err(failure) => failure,
        };
        let _ = source.say(&failure, None); // nobody else could be told
        failure.exit_code()
    });
    let payload = payload.map_err(|errno| refusal::of_fork(limits, errno).failed()(errno))?;
    drop(source);
    match sink.hear_of_command(|errno| known.command.refused(errno))? {
        Some(failure) => Err(failure),
        None => Ok(payload),
    }
}

/// Gives up what the command is not to have, and becomes it; returns only where that fails, which is to be said by `report`.
fn become_payload(known: &Known<'_>, springboard: Option<&Springboard>, report: BorrowedFd<'_>) -> Failure {
    match close_others(springboard, report).and_then(|()| prepare_payload(known)) {
        Ok(()) => known.command.execute(&known.mask, springboard.map(|springboard| (springboard, report))),
        Err(failure) => failure,
    }
}

/// Closes all that the launcher has open. The command's execution would do so; but before, its directory and its program are
/// looked for, and neither is to be found by way of /proc/self/fd (CVE-2024-21626).
fn close_others(springboard: Option<&Springboard>, report: BorrowedFd<'_>) -> Result<(), Failure> {
    let kept: Vec<RawFd> = springboard
        .map(|springboard| springboard.as_fd().as_raw_fd())
        .into_iter()
        .chain([report.as_raw_fd()])
        .collect();
    match sys::close_all_but(&kept) {
        Err(Errno::ENOSYS) => Ok(()), // before 5.9, where they are closed by the execution
        result => result.during(|| Step::of("close the launcher's files")),
    }
}

fn prepare_payload(known: &Known<'_>) -> Result<(), Failure> {
    command::enter_directory(&known.launch.container)?;
    sys::default_sigpipe().during(|| Step::of("have SIGPIPE end the command"))?;
    known.rights.confine_payload()?;
    at("without the command's rights")
}
