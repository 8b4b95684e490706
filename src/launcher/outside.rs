//! The process outside: prepares what a container needs of the machine, clones process 1, and waits for it.

use super::cgroup::OfLaunch;
use super::command::Prepared;
use super::failure::{During, Failure, Step, at};
use super::farewell::Farewell;
use super::handshake::{self, Channel, Ended, FromInside, FromOutside};
use super::known::Known;
use super::launch::{Launch, Output};
use super::passed_on::PASSED_ON;
use super::reaper::Recording;
use super::record::{self, Running};
use super::seal::Guard;
use super::sys::{self, Doubled};
use super::terminal::Relay;
use super::{inside, maps, namespaces, refusal, rights, root};
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

/// Process 1 of a container, or its command where there is no PID namespace.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pid: Pid,
    pub(super) handle: OwnedFd,
    pub(super) channel: Channel,
    /// The cgroup that was made for it.
    pub(super) cgroup: Option<OfLaunch>,
    /// What a container is called whose process 1 is nslab's own, and says how the command has ended.
    pub(super) has_reaper: Option<String>,
}

/// Runs a container to its end.
///
/// # Errors
/// When it could not be started, or what it needs could not be taken back.
fn run(launch: &Launch, guard: Guard) -> Result<Ended, Failure> {
    let has_terminal = wants_terminal(launch);
    attended(has_terminal, |mask| start(launch, has_terminal, mask, None, guard))
}

/// Whether a command gets a terminal of its own, in place of its caller's: who has that could write what the caller's shell
/// then takes for typed (TIOCSTI, CVE-2017-5226).
pub(super) fn wants_terminal(launch: &Launch) -> bool {
    let has_own_root = matches!(launch.container.root, Root::Own(_));
    has_own_root && std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Has a process started, is there for it until its end, and says how that was. What starts it is told which signals the
/// caller had blocked.
pub(super) fn attended(
    has_terminal: bool,
    start: impl FnOnce(SigSet) -> Result<Child, Failure>,
) -> Result<Ended, Failure> {
    let mut mask = SigSet::empty();
    let mut passed_on = SigSet::from_iter(PASSED_ON);
    if has_terminal {
        // Where both have the same terminal, both are stopped by it.
        passed_on.extend([Signal::SIGTSTP, Signal::SIGCONT]);
    }
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&passed_on), Some(&mut mask)).during(|| Step::of("block signals"))?;
    let signals = SignalFd::with_flags(&passed_on, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
    let signals = signals.during(|| Step::of("receive signals"))?;
    let child = start(mask)?;
    let said = attend(&child, &signals).and_then(|said| at("after the end").map(|()| said));
    if said.is_err() {
        // A command that is no process 1 does not notice that nobody waits for it any more.
        send(&child, Signal::SIGKILL);
    }
    let has_reaper = child.has_reaper.clone();
    let status = end(child);
    match (said, status, has_reaper) {
        (Err(failure), status, _) => Err(failure.after(status)),
        (Ok(_), Err(failure), _) => Err(failure),
        (Ok(Some(said)), Ok(_), _) => Ok(said),
        (Ok(None), Ok(status), None) => Ok(status),
        (Ok(None), Ok(status), Some(name)) => {
            say(&format!("{name}: its process 1 was ended: {status}"));
            Ok(status)
        }
    }
}

/// Starts a container that nobody waits for, and returns once its command runs.
///
/// # Errors
/// When it could not be started. Nothing is left of it then but the record.
fn detach(launch: &Launch, directory: &Path, terminal: bool, guard: Guard) -> Result<Running, Failure> {
    // From here on nobody takes what there is for left.
    let recording = Recording::open(directory, launch.container.namespaces.user.as_ref())?;
    record::write(directory, record::names::CONTAINER, launch)?;
    at("with a record")?;
    let child = start(launch, terminal, SigSet::empty(), Some(recording), guard)?;
    match see_off(&child, directory) {
        Ok(running) => Ok(running),
        Err(failure) => {
            // Where its command runs already, it does not wait for anybody.
            send(&child, Signal::SIGKILL);
            Err(failure.after(end(child)))
        }
    }
}

/// Has a container's command run, once it is written down which process that is.
fn see_off(child: &Child, directory: &Path) -> Result<Running, Failure> {
    expect(child, &FromInside::Ready)?;
    at("when process 1 is ready")?;
    let running = Running::of(child.pid.as_raw())?;
    record::write(directory, record::names::RUNNING, &running)?;
    at("when it is written down")?;
    child.channel.say(&FromOutside::Run, None)?;
    at("when the command may run")?;
    expect(child, &FromInside::Running)?;
    at("when the command runs")?;
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

/// Makes what the container needs, clones, and sees it through the handshake. What is open of nslab's executable is closed while
/// process 1 is at work.
fn start(
    launch: &Launch,
    has_terminal: bool,
    mask: SigSet,
    recording: Option<Recording>,
    guard: Guard,
) -> Result<Child, Failure> {
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
    let (channel, other) = handshake::pair()?;
    at("before anything is made")?;
    let mut cgroup = OfLaunch::make(launch)?;
    if let Some(cgroup) = &cgroup {
        told(&|| format!("made the cgroup {}", cgroup.words()));
    }
    let oom = cgroup.as_ref().and_then(OfLaunch::counter);
    let farewell = match Farewell::prepare(launch, || cgroup.as_ref().map(OfLaunch::ways_out).transpose()) {
        Ok(farewell) => farewell,
        Err(failure) => return Err(failure.after(cgroup.map(OfLaunch::abandon).transpose())),
    };
    let prepare = || {
        let doors = cgroup.as_ref().map(OfLaunch::doors).transpose()?.unwrap_or_default();
        let root = root::prepare(&container.root, &container.namespaces)?;
        Ok::<_, Failure>((doors, root, root::Volumes::take(&container.root)?))
    };
    let (doors, root, volumes) = match prepare() {
        Ok(prepared) => prepared,
        Err(failure) => return Err(failure.after(cgroup.map(OfLaunch::abandon).transpose())),
    };
    let (executable, springboard) = match guard {
        Guard::Sealed(executable) => (executable, None),
        Guard::Springboard(springboard) => (None, Some(springboard)),
    };
    let known = Known { launch, command, root, volumes, rights, has_terminal, oom, mask, springboard };
    let into = cgroup.as_ref().and_then(OfLaunch::fd);
    let flags = namespaces::clone_flags(&container.namespaces);
    let refused = |errno| refusal::of_clone(&container.namespaces, errno).failed()(errno);
    let clone = |flags, into| sys::clone(flags, into).map_err(refused);
    let (pid, handle) = match at("before the clone").and_then(|()| clone(flags, into)) {
        Ok(Doubled::Child) => {
            drop((channel, executable));
            sys::exit(inside::run(&known, doors, recording, farewell, &other));
        }
        Ok(Doubled::Parent(child)) => child,
        Err(failure) => return Err(failure.after(cgroup.map(OfLaunch::abandon).transpose())),
    };
    drop((other, doors));
    let added = at("after the clone").and_then(|()| cgroup.as_mut().map_or(Ok(()), |cgroup| cgroup.add(pid)));
    let has_reaper = (container.namespaces.pid || has_terminal).then(|| launch.name.clone());
    let child = Child { pid, handle, channel, cgroup, has_reaper };
    told(&|| format!("cloned process {pid} into {}", namespaces::words(&container.namespaces)));
    if let Err(failure) = added.and_then(|()| proceed(&child, launch, &told)) {
        return Err(failure.after(end(child)));
    }
    drop(executable);
    Ok(child)
}

/// Does for process 1 what it can't do itself, and lets it go on.
fn proceed(child: &Child, launch: &Launch, told: &dyn Fn(&dyn Fn() -> String)) -> Result<(), Failure> {
    // Before its command may run, which may want what they have left; and not before the clone, so that process 1 begins meanwhile.
    child.cgroup.iter().for_each(OfLaunch::remove_left);
    at("before the maps")?;
    if let Some(user_maps) = &launch.container.namespaces.user {
        maps::write(child.pid, user_maps)?;
        told(&|| format!("wrote the maps of its user namespace: {}", maps::words(child.pid)));
    }
    at("before process 1 may proceed")?;
    child.channel.say(&FromOutside::Proceed, None)?;
    at("when process 1 may proceed")
}

/// Passes signals on until the container has ended; says how, where process 1 did.
fn attend(child: &Child, signals: &SignalFd) -> Result<Option<Ended>, Failure> {
    let wait = || Step::of("wait for the container");
    let mut said = None;
    let mut is_heard = true;
    let mut relay: Option<Relay> = None;
    loop {
        let ready = PollFlags::POLLIN;
        let mut files = vec![PollFd::new(child.handle.as_fd(), ready), PollFd::new(signals.as_fd(), ready)];
        if is_heard {
            files.push(PollFd::new(child.channel.as_fd(), ready));
        }
        let first = files.len();
        let shown = relay.as_ref().map(Relay::files).unwrap_or_default();
        let is_waited_for = shown.each_ref().map(Option::is_some);
        files.extend(shown.into_iter().flatten());
        match poll(&mut files, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(wait().failed()(errno)),
        }
        let [has_ended, has_signals] = [0, 1].map(|at| files[at].any().unwrap_or(true));
        let mut of_relay = files[first..].iter().map(|file| file.any().unwrap_or(true));
        let of_relay = is_waited_for.map(|is_waited_for| is_waited_for && of_relay.next().unwrap_or_default());
        if let Some(relay) = &mut relay {
            relay.go_on(of_relay)?;
        }
        if has_signals {
            while let Ok(Some(signal)) = signals.read_signal() {
                pass_on(child, &signal, relay.as_ref())?;
            }
        }
        // What was said last is still there to be heard after the end.
        while is_heard && (has_ended || is_readable(&child.channel)) {
            match child.channel.hear()? {
                Some((FromInside::Ended(ended), _)) => said = Some(ended),
                Some((FromInside::Failed(failure), _)) => return Err(failure),
                Some((FromInside::OutOfMemory(killed), _)) => {
                    child.cgroup.iter().for_each(|cgroup| cgroup.note(killed));
                }
                Some((FromInside::Ready, Some(master))) => relay = Some(Relay::begin(master)?),
                Some((FromInside::Stopped, _)) => {
                    if let Some(relay) = &relay {
                        relay.suspend()?;
                        send(child, Signal::SIGCONT);
                    }
                }
                Some(_) => {}
                None => is_heard = false,
            }
        }
        if has_ended {
            if let Some(relay) = &mut relay {
                relay.show_rest()?;
            }
            return Ok(said);
        }
    }
}

fn is_readable(channel: &Channel) -> bool {
    let mut files = [PollFd::new(channel.as_fd(), PollFlags::POLLIN)];
    poll(&mut files, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// What the terminal sends for a key, it sends to all who are in its foreground, the command among them, where it has no
/// terminal of its own.
fn pass_on(child: &Child, signal: &nix::sys::signalfd::siginfo, relay: Option<&Relay>) -> Result<(), Failure> {
    const SI_KERNEL: i32 = 0x80;
    let by_key = signal.ssi_code == SI_KERNEL;
    let number = i32::try_from(signal.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
    match (number, relay) {
        (Some(Signal::SIGWINCH), Some(relay)) => relay.follow_size(),
        (Some(number), Some(relay)) => {
            if number == Signal::SIGCONT {
                relay.resume()?;
            }
            send(child, number);
        }
        (Some(number), None) if !by_key => send(child, number),
        (Some(_), None) | (None, _) => {}
    }
    Ok(())
}

/// One that has ended hears nothing any more, and that is well.
fn send(child: &Child, signal: Signal) {
    if let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) {
        let _ = pidfd_send_signal(&child.handle, signal);
    }
}

/// Sees to the end of process 1, which comes by itself as soon as nobody listens to it any more, and takes back what was made
/// for it.
fn end(child: Child) -> Result<Ended, Failure> {
    let Child { pid, handle: _, channel, cgroup, has_reaper: _ } = child;
    drop(channel);
    let ended = loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, code)) => break Ended::Code(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
            Ok(WaitStatus::Signaled(_, signal, _)) => break Ended::Signal(signal as i32),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Step::of("wait for the container").failed()(errno)),
        }
    };
    if let Some(words) = cgroup.map(|cgroup| cgroup.finish(ended)).transpose()?.flatten() {
        say(&words);
    }
    Ok(ended)
}

/// A line on standard error, for those who want to see each step.
pub(super) fn say(what: &str) {
    // Nobody may listen, and then nobody wants to know.
    let _ = writeln!(std::io::stderr(), "nslab: {what}");
}

/// Where a container's output goes decides how it is run.
pub(super) fn serve(launch: &Launch, guard: Guard) -> Result<Served, Failure> {
    match &launch.output {
        Output::Callers => {
            let ended = run(launch, guard);
            // Nobody is in it any more.
            let removed = root::remove_written(&launch.container.root);
            let ended = ended.map_err(|failure| failure.after(removed.clone()))?;
            if let Err(failure) = removed {
                // How the command has ended is what its caller has asked for.
                say(&format!("{failure}: {}", failure.source.desc()));
            }
            Ok(Served::Ended(ended))
        }
        Output::Detached { directory, terminal, remove: _ } => {
            detach(launch, directory, *terminal, guard).map(Served::Started)
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
