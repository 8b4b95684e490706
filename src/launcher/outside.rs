//! The process outside: prepares what a container needs of the machine, clones process 1, and waits for it.

use super::command::Prepared;
use super::failure::{During, Failure, Step};
use super::handshake::{self, Channel, Ended, FromInside, FromOutside};
use super::launch::{Launch, Output};
use super::record::{self, Running};
use super::sys::{self, Doubled};
use super::{inside, maps, namespaces, rights};
use crate::model::container::{NetworkOf, Root};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::process::pidfd_send_signal;
use std::io::{IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// What is made before the clone, and known on either side of it.
#[derive(Debug)]
pub(super) struct Known<'a> {
    /// What is asked for.
    pub(super) launch: &'a Launch,
    /// The command.
    pub(super) command: Prepared,
    /// What the command may do.
    pub(super) rights: rights::Prepared,
    /// Whether it gets a terminal of its own.
    pub(super) has_terminal: bool,
    /// The signals that the caller had blocked: the command is to find it so.
    pub(super) mask: SigSet,
}

/// Process 1 of a container, or its command where there is no PID namespace.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pid: Pid,
    pub(super) handle: OwnedFd,
    pub(super) channel: Channel,
}

/// What is passed on to a container whose launcher is sent it.
const PASSED_ON: [Signal; 8] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGWINCH,
];

/// Runs a container to its end.
///
/// # Errors
/// When it could not be started, or what it needs could not be taken back.
pub(super) fn run(launch: &Launch) -> Result<Ended, Failure> {
    attended(|mask| start(launch, wants_terminal(launch), mask))
}

/// Whether a command gets a terminal of its own, in place of its caller's: who has that could write what the caller's shell
/// then takes for typed (TIOCSTI, CVE-2017-5226).
pub(super) fn wants_terminal(launch: &Launch) -> bool {
    let has_own_root = matches!(launch.container.root, Root::Own(_));
    has_own_root && std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Has a process started, is there for it until its end, and says how that was. What starts it is told which signals the
/// caller had blocked.
pub(super) fn attended(start: impl FnOnce(SigSet) -> Result<Child, Failure>) -> Result<Ended, Failure> {
    let mut mask = SigSet::empty();
    let passed_on = SigSet::from_iter(PASSED_ON);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&passed_on), Some(&mut mask)).during(|| Step::of("block signals"))?;
    let signals = SignalFd::with_flags(&passed_on, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
    let signals = signals.during(|| Step::of("receive signals"))?;
    let child = start(mask)?;
    let said = attend(&child, &signals);
    let status = end(child);
    Ok(match said? {
        Some(said) => said,
        None => status?,
    })
}

/// Starts a container that nobody waits for, and returns once its command runs.
///
/// # Errors
/// When it could not be started. Nothing is left of it then but the record.
pub(super) fn detach(launch: &Launch, directory: &Path, terminal: bool) -> Result<Running, Failure> {
    record::write(directory, record::names::CONTAINER, launch)?;
    let child = start(launch, terminal, SigSet::empty())?;
    match see_off(&child, directory) {
        Ok(running) => Ok(running),
        Err(failure) => {
            end(child)?;
            Err(failure)
        }
    }
}

/// Has a container's command run, once it is written down which process that is.
fn see_off(child: &Child, directory: &Path) -> Result<Running, Failure> {
    expect(child, &FromInside::Ready)?;
    let running = Running::of(child.pid.as_raw())?;
    record::write(directory, record::names::RUNNING, &running)?;
    child.channel.say(&FromOutside::Run, None)?;
    expect(child, &FromInside::Running)?;
    Ok(running)
}

/// Waits for this to be said.
fn expect(child: &Child, message: &FromInside) -> Result<(), Failure> {
    match child.channel.hear::<FromInside>()? {
        Some((said, _)) if said == *message => Ok(()),
        Some((FromInside::Failed(failure), _)) => Err(failure),
        Some(_) => Err(Step::of("understand process 1 of the container").failed()(Errno::EPROTO)),
        None => Err(Step::of("start the container: its process 1 was ended").failed()(Errno::ECHILD)),
    }
}

/// Makes what the container needs, clones, and sees it through the handshake.
fn start(launch: &Launch, has_terminal: bool, mask: SigSet) -> Result<Child, Failure> {
    let container = &launch.container;
    let told = |what: &dyn Fn() -> String| {
        if launch.verbose {
            say(&what());
        }
    };
    if let NetworkOf::File(path) = &container.namespaces.network {
        namespaces::join_network(path)?;
        told(&|| format!("entered the network namespace {}", path.display()));
    }
    let command = Prepared::new(container, has_terminal)?;
    let rights = rights::Prepared::new(container)?;
    let known = Known { launch, command, rights, has_terminal, mask };
    let (channel, other) = handshake::pair()?;
    let clone = || Step::of("clone a process into new namespaces");
    let (pid, handle) = match sys::clone(namespaces::clone_flags(&container.namespaces), None).during(clone)? {
        Doubled::Child => {
            drop(channel);
            sys::exit(inside::run(&known, other));
        }
        Doubled::Parent(child) => child,
    };
    drop(other);
    let child = Child { pid, handle, channel };
    told(&|| format!("cloned process {pid} into {}", namespaces::words(&container.namespaces)));
    if let Err(failure) = proceed(&child, launch, &told) {
        end(child)?;
        return Err(failure);
    }
    Ok(child)
}

/// Does for process 1 what it can't do itself, and lets it go on.
fn proceed(child: &Child, launch: &Launch, told: &dyn Fn(&dyn Fn() -> String)) -> Result<(), Failure> {
    if let Some(user_maps) = &launch.container.namespaces.user {
        maps::write(child.pid, user_maps)?;
        told(&|| format!("wrote the maps of its user namespace: {}", maps::words(child.pid)));
    }
    child.channel.say(&FromOutside::Proceed, None)
}

/// Passes signals on until the container has ended; says how, where process 1 did.
fn attend(child: &Child, signals: &SignalFd) -> Result<Option<Ended>, Failure> {
    let wait = || Step::of("wait for the container");
    let mut said = None;
    let mut is_heard = true;
    loop {
        let ready = PollFlags::POLLIN;
        let mut files = vec![PollFd::new(child.handle.as_fd(), ready), PollFd::new(signals.as_fd(), ready)];
        if is_heard {
            files.push(PollFd::new(child.channel.as_fd(), ready));
        }
        match poll(&mut files, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(wait().failed()(errno)),
        }
        let [has_ended, has_signals] = [0, 1].map(|at| files[at].any().unwrap_or(true));
        if has_signals {
            while let Ok(Some(signal)) = signals.read_signal() {
                pass_on(child, &signal);
            }
        }
        // What was said last is still there to be heard after the end.
        while is_heard && (has_ended || is_readable(&child.channel)) {
            match child.channel.hear()? {
                Some((FromInside::Ended(ended), _)) => said = Some(ended),
                Some((FromInside::Failed(failure), _)) => return Err(failure),
                Some(_) => {}
                None => is_heard = false,
            }
        }
        if has_ended {
            return Ok(said);
        }
    }
}

fn is_readable(channel: &Channel) -> bool {
    let mut files = [PollFd::new(channel.as_fd(), PollFlags::POLLIN)];
    poll(&mut files, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// What the terminal sends for a key, it sends to all who are in its foreground, the command among them.
fn pass_on(child: &Child, signal: &nix::sys::signalfd::siginfo) {
    const SI_KERNEL: i32 = 0x80;
    let by_key = signal.ssi_code == SI_KERNEL;
    let number = i32::try_from(signal.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
    if let Some(number) = number.filter(|_| !by_key) {
        send(child, number);
    }
}

/// One that has ended hears nothing any more, and that is well.
fn send(child: &Child, signal: Signal) {
    if let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) {
        let _ = pidfd_send_signal(&child.handle, signal);
    }
}

/// Sees to the end of process 1, which comes by itself as soon as nobody listens to it any more.
fn end(child: Child) -> Result<Ended, Failure> {
    let Child { pid, handle: _, channel } = child;
    drop(channel);
    loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(Ended::Code(u8::try_from(code & 0xff).unwrap_or(u8::MAX))),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(Ended::Signal(signal as i32)),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Step::of("wait for the container").failed()(errno)),
        }
    }
}

/// A line on standard error, for those who want to see each step.
fn say(what: &str) {
    // Nobody may listen, and then nobody wants to know.
    let _ = writeln!(std::io::stderr(), "nslab: {what}");
}

/// Where a container's output goes decides how it is run.
pub(super) fn serve(launch: &Launch) -> Result<Served, Failure> {
    match &launch.output {
        Output::Callers => run(launch).map(Served::Ended),
        Output::Detached { directory, terminal, remove: _ } => {
            detach(launch, directory, *terminal).map(Served::Started)
        }
    }
}

/// What has become of a launch.
#[derive(Debug)]
pub(super) enum Served {
    /// It has run to its end.
    Ended(Ended),
    /// It runs.
    Started(Running),
}
