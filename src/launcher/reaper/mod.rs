//! What process 1 does while the command runs: it passes signals on, waits for everybody who has lost his parent, and sees to
//! what is printed where nobody outside does. When it ends, the kernel ends everything else in its PID namespace.
//!
//! It has one thread and waits in one place (poll(2)).

mod collector;
mod recording;

pub(super) use recording::Recording;

use super::cgroup::OutOfMemory;
use super::failure::{During, Failure, Step};
use super::handshake::{Channel, Ended, FromInside};
use super::launch::{Launch, Output};
use super::passed_on::PASSED_ON;
use super::terminal::Pty;
use crate::model::container::{Root, User};
use collector::Collector;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, killpg, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::fd::{AsFd, OwnedFd};

/// What process 1 passes on besides what its launcher does. What the kernel sends for a fault of its own is not passed on, nor what
/// it can't receive.
const PASSED_ON_TOO: [Signal; 3] = [Signal::SIGPWR, Signal::SIGTSTP, Signal::SIGCONT];

/// Where the command's input comes from and its output goes to.
#[derive(Debug)]
enum Streams {
    /// They are the caller's.
    Callers,
    /// A terminal, which is shown outside.
    Shown(Pty),
    /// A terminal that process 1 keeps.
    Kept(Pty, Recording),
    /// A pipe to process 1; nothing comes in.
    Piped { source: OwnedFd, sink: OwnedFd, recording: Recording },
}

/// Process 1, ready to have a command for a child.
#[derive(Debug)]
pub(super) struct Reaper {
    signals: SignalFd,
    streams: Streams,
}

impl Reaper {
    /// Receives signals from now on, and makes what the command is to have for standard files. To be called before the command's process is there, by a
    /// process whose root is in its place.
    pub(super) fn prepare(
        launch: &Launch,
        has_terminal: bool,
        recording: Option<Recording>,
        channel: &Channel,
    ) -> Result<Self, Failure> {
        let receive = || Step::of("receive signals");
        let received = received();
        // Taking the terminal into the foreground is to be no reason to stop.
        let mut blocked = received;
        blocked.add(Signal::SIGTTOU);
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&blocked), None).during(receive)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&received, flags).during(receive)?;
        let streams = Streams::prepare(launch, has_terminal, recording.map(Recording::begun))?;
        if let Streams::Shown(pty) = &streams {
            channel.say(&FromInside::Ready, Some(pty.master.as_fd()))?;
        }
        Ok(Self { signals, streams })
    }

    /// Gives the calling process, which is to become the command, its standard files.
    pub(super) fn equip_payload(&self) -> Result<(), Failure> {
        let take = || Step::of("take the standard files");
        match &self.streams {
            Streams::Callers => Ok(()),
            Streams::Shown(pty) | Streams::Kept(pty, _) => pty.take_foreground(),
            Streams::Piped { sink, recording, .. } => {
                nix::unistd::dup2_stdin(&recording.null).during(take)?;
                nix::unistd::dup2_stdout(sink).during(take)?;
                nix::unistd::dup2_stderr(sink).during(take)
            }
        }
    }

    /// Sees the command to its end, and says how it did. `channel` is that to a process outside which waits; where it has ended,
    /// so does the container. `killed` is asked at the end.
    pub(super) fn run(
        self,
        payload: Pid,
        channel: Option<&Channel>,
        killed: impl FnOnce() -> Option<OutOfMemory>,
    ) -> Result<Ended, Failure> {
        let Self { signals, streams } = self;
        // A key or a signal to the caller's process group reaches the command directly, and outside, which passes it on.
        let _ = nix::unistd::setsid(); // it has one where it has a terminal
        let is_shown = matches!(streams, Streams::Shown(_));
        let mut family =
            Family { payload, has_group: !matches!(streams, Streams::Callers | Streams::Piped { .. }), is_shown };
        let (kept, mut collector) = streams.into_collector()?;
        let ended = loop {
            let ready = wait(&signals, channel, collector.as_ref())?;
            if ready.signals
                && let Some(ended) = family.attend(&signals, channel)?
            {
                break ended;
            }
            if ready.outside && is_alone(channel)? {
                family.end();
                break Ended::Signal(Signal::SIGKILL as i32);
            }
            if let Some(collector) = &mut collector {
                collector.go_on(&ready.collected);
            }
        };
        if let Some(collector) = collector {
            family.end();
            collector.end(ended, killed());
        }
        drop(kept);
        Ok(ended)
    }
}

impl Streams {
    fn prepare(launch: &Launch, has_terminal: bool, recording: Option<Recording>) -> Result<Self, Failure> {
        let owner = owner(launch);
        let is_detached = matches!(launch.output, Output::Detached { .. });
        match recording {
            None if has_terminal && !is_detached => {
                let pty = Pty::open(owner, Some(rustix::stdio::stdin()))?;
                pty.control_session()?;
                Ok(Self::Shown(pty))
            }
            None => Ok(Self::Callers),
            Some(recording) if has_terminal => {
                let pty = Pty::open(owner, None)?;
                pty.control_session()?;
                Ok(Self::Kept(pty, recording))
            }
            Some(recording) => {
                let pipe = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC);
                let (source, sink) = pipe.during(|| Step::of("make a pipe"))?;
                Ok(Self::Piped { source, sink, recording })
            }
        }
    }

    /// What is to be kept open until the end, and who collects what is printed.
    fn into_collector(self) -> Result<(Option<OwnedFd>, Option<Collector>), Failure> {
        match self {
            Self::Callers => Ok((None, None)),
            // Without anybody who has it open, a terminal would be at its end for those who read its other side. It is shown
            // outside: here it is for nobody.
            Self::Shown(Pty { master, slave }) => {
                drop(master);
                Ok((Some(slave), None))
            }
            Self::Kept(Pty { master, slave }, recording) => {
                Ok((Some(slave), Some(Collector::new(master, true, recording)?)))
            }
            Self::Piped { source, sink, recording } => {
                drop(sink);
                Ok((None, Some(Collector::new(source, false, recording)?)))
            }
        }
    }
}

/// Whose a terminal is to be: the command's user, where that is not who makes it.
fn owner(launch: &Launch) -> Option<u32> {
    match (launch.container.user, &launch.container.root) {
        (User::Ids { uid, .. }, Root::Own(_)) => Some(uid),
        (User::Ids { .. } | User::Callers, _) => None,
    }
}

/// Gives the calling process, which is to become another command in a container that runs, a terminal of its own there. It leads
/// the session itself: nobody inside is there for it.
pub(super) fn equip_entrant(launch: &Launch, channel: &Channel) -> Result<(), Failure> {
    let pty = Pty::open(owner(launch), Some(rustix::stdio::stdin()))?;
    pty.control_session()?;
    pty.become_standard_files()?;
    channel.say(&FromInside::Ready, Some(pty.master.as_fd()))
}

fn received() -> SigSet {
    let mut received = PASSED_ON.into_iter().chain(PASSED_ON_TOO).collect::<SigSet>();
    received.add(Signal::SIGCHLD);
    received
}

/// What there is to be done.
#[derive(Debug, Default)]
struct Ready {
    signals: bool,
    outside: bool,
    collected: Vec<PollFlags>,
}

fn wait(signals: &SignalFd, channel: Option<&Channel>, collector: Option<&Collector>) -> Result<Ready, Failure> {
    let mut files = Vec::with_capacity(4);
    files.push(PollFd::new(signals.as_fd(), PollFlags::POLLIN));
    files.extend(channel.map(|channel| PollFd::new(channel.as_fd(), PollFlags::POLLIN)));
    if let Some(collector) = collector {
        files.extend(collector.files());
    }
    match poll(&mut files, PollTimeout::NONE) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok(Ready::default()),
        Err(errno) => return Err(Step::of("wait").failed()(errno)),
    }
    let mut flags = files.iter().map(|file| file.revents().unwrap_or(PollFlags::empty()));
    let signals = flags.next().is_some_and(|flags| !flags.is_empty());
    let outside = channel.is_some() && flags.next().is_some_and(|flags| !flags.is_empty());
    Ok(Ready { signals, outside, collected: flags.collect() })
}

/// Whether the process outside has ended; it says nothing by now.
fn is_alone(channel: Option<&Channel>) -> Result<bool, Failure> {
    channel.map_or(Ok(false), |channel| Ok(channel.hear::<serde_json::Value>()?.is_none()))
}

/// The command and those that descend from it.
struct Family {
    payload: Pid,
    /// Whether the command leads a process group, which a terminal stops as one.
    has_group: bool,
    is_shown: bool,
}

impl Family {
    /// Does what signals ask for; how the command has ended, where it has.
    fn attend(&mut self, signals: &SignalFd, channel: Option<&Channel>) -> Result<Option<Ended>, Failure> {
        while let Ok(Some(signal)) = signals.read_signal() {
            let number = i32::try_from(signal.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
            match number {
                Some(Signal::SIGCHLD) => {
                    if let Some(ended) = self.reap(channel)? {
                        return Ok(Some(ended));
                    }
                }
                Some(number) => self.pass_on(number),
                None => {}
            }
        }
        Ok(None)
    }

    /// Nobody has waited for the command yet, so that its number is nobody else's.
    fn pass_on(&self, signal: Signal) {
        // One that has just ended hears nothing any more, and that is well.
        let _ = match signal {
            // All that the terminal has stopped goes on.
            Signal::SIGCONT if self.has_group => killpg(self.payload, signal),
            signal => kill(self.payload, signal),
        };
    }

    /// Waits for whoever has ended.
    fn reap(&mut self, channel: Option<&Channel>) -> Result<Option<Ended>, Failure> {
        let mut flags = WaitPidFlag::WNOHANG;
        flags.set(WaitPidFlag::WUNTRACED, self.has_group);
        loop {
            match waitpid(None, Some(flags)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == self.payload => {
                    return Ok(Some(Ended::Code(u8::try_from(code & 0xff).unwrap_or(u8::MAX))));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.payload => {
                    return Ok(Some(Ended::Signal(signal as i32)));
                }
                Ok(WaitStatus::Stopped(pid, signal)) if pid == self.payload => self.stopped(signal, channel)?,
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Step::of("wait for the command").failed()(errno)),
            }
        }
    }

    /// Has the caller's job stopped, too. Where the terminal is shown to nobody who could have it go on, it does so at once.
    fn stopped(&self, signal: Signal, channel: Option<&Channel>) -> Result<(), Failure> {
        match channel {
            Some(channel) if self.is_shown => channel.say(&FromInside::Stopped, None),
            _ if signal != Signal::SIGSTOP => {
                self.pass_on(Signal::SIGCONT);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Ends all of it: everybody in a PID namespace, as the kernel will, but so that what they have printed is complete.
    fn end(&self) {
        if nix::unistd::getpid() != Pid::from_raw(1) {
            let _ = kill(self.payload, Signal::SIGKILL); // it may have ended
            return;
        }
        // Without a PID namespace, this would be everybody on the machine.
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL); // nobody else may be there
        while !matches!(waitpid(None, None), Err(errno) if errno != Errno::EINTR) {}
    }
}
