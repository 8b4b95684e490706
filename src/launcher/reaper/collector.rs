//! What a container prints that nobody waits for: it is logged, and shown to those who have joined.

use super::recording::{self, Recording};
use crate::launcher::attach::{Asked, Server};
use crate::launcher::cgroup::OutOfMemory;
use crate::launcher::failure::{During, Failure, Step};
use crate::launcher::handshake::Ended;
use crate::launcher::log::Log;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use rustix::termios::{Winsize, tcsetwinsize};
use std::os::fd::{AsFd, OwnedFd};

/// As much as is read at once, in bytes.
const PORTION: usize = 4096;

/// As much as may be typed and not taken, in bytes; what is more is lost, as where a terminal's own buffer is full.
const MOST_TYPED: usize = 64 * 1024;

/// Process 1's side of what the command has for output.
#[derive(Debug)]
pub(super) struct Collector {
    /// The end of a pipe, or a terminal's master. Reading and writing do not wait.
    source: OwnedFd,
    has_terminal: bool,
    /// Whether anybody may still print something.
    is_open: bool,
    /// What was typed and not taken.
    typed: Vec<u8>,
    log: Log,
    joined: Server,
    directory: OwnedFd,
    end: OwnedFd,
}

impl Collector {
    /// Process 1's own standard files go: whoever started it is not to wait for them to be closed.
    pub(super) fn new(source: OwnedFd, has_terminal: bool, recording: Recording) -> Result<Self, Failure> {
        let prepare = || Step::of("prepare the log");
        let (directory, listener, end, null) = recording.into_parts();
        nix::unistd::dup2_stdin(&null).during(prepare)?;
        nix::unistd::dup2_stdout(&null).during(prepare)?;
        nix::unistd::dup2_stderr(&null).during(prepare)?;
        fcntl(&source, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).during(prepare)?;
        let log = Log::open(directory.try_clone().during(prepare)?);
        let joined = Server::new(listener, has_terminal);
        Ok(Self { source, has_terminal, is_open: true, typed: Vec::new(), log, joined, directory, end })
    }

    /// What is to be waited for. Their order is that of [`Collector::go_on`].
    pub(super) fn files(&self) -> impl Iterator<Item = PollFd<'_>> {
        let mut wanted = PollFlags::POLLIN;
        wanted.set(PollFlags::POLLOUT, !self.typed.is_empty());
        let source = self.is_open.then(|| PollFd::new(self.source.as_fd(), wanted));
        source.into_iter().chain(self.joined.files())
    }

    /// Does what there is to be done.
    pub(super) fn go_on(&mut self, ready: &[PollFlags]) {
        let mut of_others = ready;
        if self.is_open
            && let Some((source, others)) = ready.split_first()
        {
            of_others = others;
            if source.intersects(!PollFlags::POLLOUT) {
                self.read();
            }
        }
        let (source, has_terminal, typed) = (&self.source, self.has_terminal, &mut self.typed);
        self.joined.go_on(of_others, |asked| match asked {
            Asked::Type(bytes) if has_terminal && typed.len() < MOST_TYPED => typed.extend_from_slice(&bytes),
            Asked::Size { rows, columns } if has_terminal => {
                let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
                let _ = tcsetwinsize(source, size); // it is as large as it was
            }
            Asked::Type(_) | Asked::Size { .. } => {}
        });
        self.pass_typed();
    }

    fn pass_typed(&mut self) {
        if self.typed.is_empty() {
            return;
        }
        match nix::unistd::write(&self.source, &self.typed) {
            Ok(count) => drop(self.typed.drain(..count)),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => self.typed.clear(), // nobody will read it
        }
    }

    /// Reads a portion; whether there was one.
    fn read(&mut self) -> bool {
        let mut portion = [0; PORTION];
        match nix::unistd::read(&self.source, &mut portion) {
            Ok(count) if count > 0 => {
                self.log.write(&portion[..count]);
                self.joined.show(&portion[..count]);
                true
            }
            Err(Errno::EINTR) => true,
            Err(Errno::EAGAIN) => false,
            Ok(_) | Err(_) => {
                self.is_open = false;
                false
            }
        }
    }

    /// Collects what is left, and writes down how the container ended.
    pub(super) fn end(mut self, ended: Ended, killed: Option<OutOfMemory>) {
        while self.is_open && self.read() {}
        let record = recording::end_record(ended, killed, self.log.lost());
        recording::end(&self.directory, self.end, &record);
        self.joined.end(ended);
    }
}
