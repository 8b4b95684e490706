//! The side of whoever joins.

use super::SOCKET;
use super::keys::Keys;
use super::message::{LONGEST, ToClient, ToServer};
use crate::launcher::failure::{During, Failure, Step};
use crate::launcher::handshake::Ended;
use crate::launcher::record::{self, Record};
use crate::launcher::terminal::RawMode;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use std::io::{ErrorKind, IsTerminal, Write, stdin, stdout};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

/// Why somebody who had joined a container is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The container has ended, and so.
    Ended(Ended),
    /// He wanted to (Ctrl-P, Ctrl-Q), or was sent this signal.
    Detached(Option<i32>),
    /// Process 1 was killed, and had no time to say so.
    Lost,
}

/// Joins the caller's standard input and output to the container with this record, until it ends or the caller leaves. To be
/// called by a process that has one thread, and nobody else who wants its signals.
///
/// # Errors
/// When no such container runs (ENOENT, ECONNREFUSED), or its terminal or the caller's fails.
pub fn join(directory: &Path) -> Result<Left, Failure> {
    let server = enter(directory)?;
    let mut text = [0; LONGEST];
    let Some(count) = hear(&server, &mut text)? else { return Ok(Left::Lost) };
    let Some(ToClient::Welcome { has_terminal }) = ToClient::read(&text[..count]) else {
        return Err(Step::of("understand the container's process 1").failed()(Errno::EPROTO));
    };
    let shows_terminal = has_terminal && stdin().is_terminal();
    // Without one, Ctrl-C ends this process and nothing else.
    let signals = if shows_terminal { Some(signals()?) } else { None };
    let _raw_mode = if shows_terminal { Some(RawMode::begin()?) } else { None };
    let mut session = Session { server, signals, keys: Keys::default(), is_typing: has_terminal };
    if shows_terminal {
        session.tell_size()?;
    }
    Ok(match session.run()? {
        // Who did not read was not waited for; how it ended was written down before.
        Left::Lost => {
            Record::read(directory)?.and_then(|record| record.ended).map_or(Left::Lost, |end| Left::Ended(end.ended))
        }
        left => left,
    })
}

struct Session {
    server: OwnedFd,
    signals: Option<SignalFd>,
    keys: Keys,
    is_typing: bool,
}

impl Session {
    fn run(&mut self) -> Result<Left, Failure> {
        loop {
            let (mut typed, mut signal) = (false, false);
            let stdin = stdin();
            let mut files = vec![PollFd::new(self.server.as_fd(), PollFlags::POLLIN)];
            files.extend(self.is_typing.then(|| PollFd::new(stdin.as_fd(), PollFlags::POLLIN)));
            files.extend(self.signals.as_ref().map(|signals| PollFd::new(signals.as_fd(), PollFlags::POLLIN)));
            match poll(&mut files, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Step::of("wait for the container").failed()(errno)),
            }
            let mut ready = files.iter().map(|file| file.any().unwrap_or(true));
            let said = ready.next().unwrap_or_default();
            if self.is_typing {
                typed = ready.next().unwrap_or_default();
            }
            if self.signals.is_some() {
                signal = ready.next().unwrap_or_default();
            }
            drop(ready);
            if said && let Some(left) = self.show()? {
                return Ok(left);
            }
            if signal && let Some(left) = self.signalled()? {
                return Ok(left);
            }
            if typed && self.pass_typed()? {
                return Ok(Left::Detached(None));
            }
        }
    }

    /// Shows what was printed; how it ended, where it has.
    fn show(&self) -> Result<Option<Left>, Failure> {
        let mut text = [0; LONGEST];
        let Some(count) = hear(&self.server, &mut text)? else { return Ok(Some(Left::Lost)) };
        match ToClient::read(&text[..count]) {
            Some(ToClient::Printed(bytes)) => {
                let mut stdout = stdout();
                match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
                    // A reader that has seen enough and closed the pipe is no error.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Some(Left::Detached(None))),
                    written => written.during(|| Step::of("write to the terminal")).map(|()| None),
                }
            }
            Some(ToClient::Ended(ended)) => Ok(Some(Left::Ended(ended))),
            Some(ToClient::Welcome { .. }) | None => Ok(None),
        }
    }

    fn signalled(&self) -> Result<Option<Left>, Failure> {
        let signal = self.signals.as_ref().and_then(|signals| signals.read_signal().ok().flatten());
        match signal.and_then(|signal| i32::try_from(signal.ssi_signo).ok()) {
            None => Ok(None),
            Some(number) if number == Signal::SIGWINCH as i32 => self.tell_size().map(|()| None),
            Some(number) => Ok(Some(Left::Detached(Some(number)))),
        }
    }

    /// Whether whoever types wants to leave.
    fn pass_typed(&mut self) -> Result<bool, Failure> {
        let mut portion = [0; LONGEST / 2];
        match nix::unistd::read(stdin(), &mut portion) {
            Ok(0) | Err(Errno::EIO) => self.is_typing = false,
            Ok(count) => {
                let (passed, leaves) = self.keys.typed(&portion[..count]);
                if !passed.is_empty() {
                    self.tell(ToServer::Typed(&passed))?;
                }
                return Ok(leaves);
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(errno) => return Err(Step::of("read from the terminal").failed()(errno)),
        }
        Ok(false)
    }

    fn tell_size(&self) -> Result<(), Failure> {
        match rustix::termios::tcgetwinsize(stdin()) {
            Ok(size) => self.tell(ToServer::Size { rows: size.ws_row, columns: size.ws_col }),
            Err(_) => Ok(()), // the terminal is gone
        }
    }

    fn tell(&self, message: ToServer<'_>) -> Result<(), Failure> {
        match send(self.server.as_raw_fd(), &message.write(), MsgFlags::MSG_NOSIGNAL) {
            // It has ended, which is heard next.
            Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(errno) => Err(Step::of("write to the container's terminal").failed()(errno)),
        }
    }
}

fn enter(directory: &Path) -> Result<OwnedFd, Failure> {
    let path = record::of_init(directory).join(SOCKET);
    let join = || Step::Open { path: path.clone() };
    let server = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).during(join)?;
    // Held first: what is there may be a symbolic link to somebody else's.
    let held = open(&path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).during(join)?;
    // The path of a socket is limited to 107 bytes, that of a file is not. What is no socket refuses (ECONNREFUSED).
    if FileType::from_raw_mode(fstat(&held).during(join)?.st_mode) == FileType::Symlink {
        return Err(join().failed()(Errno::ELOOP));
    }
    let short = format!("/proc/self/fd/{}", held.as_raw_fd());
    connect(server.as_raw_fd(), &UnixAddr::new(short.as_str()).during(join)?).during(join)?;
    Ok(server)
}

/// Waits for a message; `None` where nobody is there any more.
fn hear(server: &OwnedFd, text: &mut [u8]) -> Result<Option<usize>, Failure> {
    loop {
        match recv(server.as_raw_fd(), text, MsgFlags::empty()) {
            Ok(0) | Err(Errno::ECONNRESET) => return Ok(None),
            Ok(count) => return Ok(Some(count)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Step::of("hear the container's process 1").failed()(errno)),
        }
    }
}

fn signals() -> Result<SignalFd, Failure> {
    let receive = || Step::of("receive signals");
    let wanted = [Signal::SIGWINCH, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];
    let wanted = SigSet::from_iter(wanted);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&wanted), None).during(receive)?;
    SignalFd::with_flags(&wanted, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).during(receive)
}
