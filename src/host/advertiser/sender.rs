//! The process that sends a router's advertisements: how it comes to be alone with its socket, and what it does then.

use super::KIND;
use super::message;
use super::schedule::{self, Chance, Schedule};
use super::socket::{ALL_NODES, Hears, IcmpSocket};
use crate::host::HostError;
use crate::host::helper::{self, Ending, HelperError, LOOKING};
use crate::model::{Advertised, IfName, ParseAdvertisedError, PinName};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::thread::CapabilitySet;
use std::net::Ipv6Addr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How many hosts may wait for an answer of their own; if there are more, all are answered at once.
const MOST_WAITING: usize = 64;

/// Why a sender can't begin, or go on.
#[derive(Debug, thiserror::Error)]
pub(in crate::host) enum SenderError {
    #[error(transparent)]
    Advertised(#[from] ParseAdvertisedError),
    #[error("there is no interface {0}")]
    Interface(IfName, #[source] Errno),
    #[error("can't open an ICMPv6 socket")]
    Socket(#[source] Errno),
    #[error(transparent)]
    Helper(#[from] HelperError),
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Sends advertisements until it is told to end, or has nobody to speak for any more.
pub(in crate::host) fn run(arguments: &[String]) -> Result<(), SenderError> {
    let [netns, interfaces @ ..] = arguments else { return Err(HelperError::Arguments.into()) };
    let interfaces = interfaces.iter().map(|text| text.parse()).collect::<Result<Vec<Advertised>, _>>()?;
    helper::leave_what_was_inherited()?;

    // Blocked before anybody can know of this process, so that whoever ends it lets it say goodbye. Hanging up is not for
    // a process without a terminal.
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    let blocked = signals | SigSet::from_iter([Signal::SIGHUP]);
    blocked.thread_block().map_err(HelperError::process("block signals"))?;
    let signals =
        SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).map_err(HelperError::process("listen to signals"))?;

    let mut speakers = interfaces.into_iter().map(Speaker::new).collect::<Result<Vec<_>, _>>()?;
    let own = speakers.iter().map(|speaker| (speaker.on.interface.clone(), speaker.index)).collect();
    let ending = Ending::watch(PinName::existing(netns), own)?;
    let socket = IcmpSocket::open(Hears::Solicitations).map_err(SenderError::Socket)?;
    // To send and receive on the socket that is open takes no capability at all.
    helper::keep_capabilities(CapabilitySet::empty())?;
    helper::said_ready(KIND)?;

    let begin = Instant::now();
    // Once before waiting: what came to pass before the watch began is not told.
    let (mut has_news, mut looks_from) = (true, Duration::ZERO);
    loop {
        if has_news && begin.elapsed() >= looks_from {
            if ending.is_due() {
                break;
            }
            (has_news, looks_from) = (false, begin.elapsed() + LOOKING);
        }
        for speaker in &mut speakers {
            speaker.speak(&socket, begin.elapsed());
        }
        let mut next = speakers.iter().map(Speaker::next).min().unwrap_or(Duration::MAX);
        let mut fds =
            vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        if has_news {
            next = next.min(looks_from);
        } else {
            fds.extend(ending.poll_fds());
        }
        let wait = next.saturating_sub(begin.elapsed()) + Duration::from_millis(1); // poll(2) knows none shorter
        match poll(&mut fds, PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(HelperError::process("wait")(errno).into()),
        }
        if fds[0].any() == Some(true) {
            break;
        }
        has_news |= fds[2..].iter().any(|fd| fd.any() == Some(true));
        listen(&socket, &mut speakers, begin.elapsed());
    }
    // Hosts look for another router then. One that can't be told finds out.
    for speaker in &speakers {
        let _ = speaker.send(&socket, &message::farewell(&speaker.on), ALL_NODES);
    }
    Ok(())
}

/// Takes up the solicitations that have come in.
fn listen(socket: &IcmpSocket, speakers: &mut [Speaker], now: Duration) {
    // An error is of an answer that could not be delivered, and of no further interest.
    while let Ok(Some(received)) = socket.receive() {
        let is_its = |speaker: &&mut Speaker| speaker.index == received.interface;
        if let Some(speaker) = speakers.iter_mut().find(is_its)
            && message::is_valid_solicitation(&received.bytes, received.hop_limit, received.source)
        {
            speaker.asked(received.source, now);
        }
    }
}

/// An interface that is spoken on.
struct Speaker {
    on: Advertised,
    index: u32,
    schedule: Schedule,
    /// Who is to be answered, and when.
    waiting: Vec<(Duration, Ipv6Addr)>,
}

impl Speaker {
    fn new(on: Advertised) -> Result<Self, SenderError> {
        let index = nix::net::if_::if_nametoindex(on.interface.as_str())
            .map_err(|errno| SenderError::Interface(on.interface.clone(), errno))?;
        Ok(Self { on, index, schedule: Schedule::default(), waiting: Vec::new() })
    }

    /// When it has something to say.
    fn next(&self) -> Duration {
        self.waiting.iter().map(|(due, _)| *due).chain([self.schedule.next()]).min().unwrap_or_default()
    }

    /// Says what is due.
    fn speak(&mut self, socket: &IcmpSocket, now: Duration) {
        if self.schedule.next() <= now {
            match self.send(socket, &message::router_advertisement(&self.on), ALL_NODES) {
                Ok(()) => self.schedule.sent(now, chance()),
                Err(_) => self.schedule.failed(now),
            }
        }
        let (due, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|(due, _)| *due <= now);
        self.waiting = waiting;
        let due: Vec<(Duration, Ipv6Addr)> = due;
        for (_, host) in due {
            // A host that hears nothing asks again.
            let _ = self.send(socket, &message::router_advertisement(&self.on), host);
        }
    }

    fn send(&self, socket: &IcmpSocket, message: &[u8], to: Ipv6Addr) -> Result<(), Errno> {
        // From a link-local address, or hosts would not take it for a router's (RFC 4861 section 6.1.2).
        socket.send(message, self.index, Some(self.on.mac.link_local()), to)
    }

    /// Somebody wants to know.
    fn asked(&mut self, source: Ipv6Addr, now: Duration) {
        if source.is_unspecified() || self.waiting.len() >= MOST_WAITING {
            self.schedule.asked(now, chance());
        } else if self.waiting.iter().all(|(_, host)| *host != source) {
            self.waiting.push((now + schedule::answer_delay(chance()), source));
        }
    }
}

/// Any number; without a source of chance, routers may speak at once, which is all that it is for.
fn chance() -> Chance {
    crate::host::random_bytes().map_or(0, Chance::from_ne_bytes)
}
