//! Between the caller's terminal and a container's: what is typed goes in, what is printed comes out, and both are as large.

use super::raw::RawMode;
use crate::launcher::failure::{During, Failure, Step};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::unistd::Pid;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{tcgetwinsize, tcsetwinsize};
use std::os::fd::{AsFd, OwnedFd};

/// As much as is moved at once, in bytes: so little that a terminal that can take something can nearly always take it all.
const PORTION: usize = 2048;

/// A container's terminal that is shown on the caller's.
#[derive(Debug)]
pub(in crate::launcher) struct Relay {
    caller: RawMode,
    master: OwnedFd,
    /// What was typed and the container has not taken.
    typed: Vec<u8>,
    /// What was printed and the caller's terminal has not taken.
    printed: Vec<u8>,
    /// Whether the caller's terminal is still there to be read.
    is_typing: bool,
    /// Whether the container's terminal has still anybody inside.
    is_printing: bool,
}

impl Relay {
    /// Joins the caller's terminal, which is its standard input and output, to this one.
    pub(in crate::launcher) fn begin(master: OwnedFd) -> Result<Self, Failure> {
        let caller = RawMode::begin()?;
        let relay = Self { caller, master, typed: Vec::new(), printed: Vec::new(), is_typing: true, is_printing: true };
        relay.follow_size();
        Ok(relay)
    }

    /// What is to be waited for: that something can be moved. Their order is that of [`Relay::go_on`].
    pub(in crate::launcher) fn files(&self) -> [Option<PollFd<'_>>; 3] {
        let reading = self.is_typing && self.typed.is_empty();
        let mut master = PollFlags::empty();
        master.set(PollFlags::POLLIN, self.is_printing && self.printed.is_empty());
        master.set(PollFlags::POLLOUT, !self.typed.is_empty());
        [
            reading.then(|| PollFd::new(stdin(), PollFlags::POLLIN)),
            (!master.is_empty()).then(|| PollFd::new(self.master.as_fd(), master)),
            (!self.printed.is_empty()).then(|| PollFd::new(stdout(), PollFlags::POLLOUT)),
        ]
    }

    /// Moves what can be moved: whether the caller's terminal can be read, and the container's, or written, and the caller's
    /// can be written.
    pub(in crate::launcher) fn go_on(&mut self, ready: [bool; 3]) -> Result<(), Failure> {
        let [can_read, master, can_write] = ready;
        if can_read {
            self.is_typing = read_into(&mut self.typed, stdin())?;
        }
        if master || !self.typed.is_empty() {
            self.pass_typed()?;
        }
        if master && self.is_printing && self.printed.is_empty() {
            self.is_printing = read_into(&mut self.printed, &self.master)?;
        }
        if can_write {
            self.show_printed()?;
        }
        Ok(())
    }

    fn pass_typed(&mut self) -> Result<(), Failure> {
        match nix::unistd::write(&self.master, &self.typed) {
            Ok(count) => drop(self.typed.drain(..count)),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // Nobody is there to read it.
            Err(Errno::EIO) => self.typed.clear(),
            Err(errno) => return Err(Step::of("write to the container's terminal").failed()(errno)),
        }
        Ok(())
    }

    fn show_printed(&mut self) -> Result<(), Failure> {
        match nix::unistd::write(stdout(), &self.printed) {
            Ok(count) => drop(self.printed.drain(..count)),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // The terminal is gone, and the container hears of that by a signal.
            Err(Errno::EIO) => self.printed.clear(),
            Err(errno) => return Err(Step::of("write to the terminal").failed()(errno)),
        }
        Ok(())
    }

    /// Shows what is left, once everybody inside has ended.
    pub(in crate::launcher) fn show_rest(&mut self) -> Result<(), Failure> {
        loop {
            while !self.printed.is_empty() {
                let mut files = [PollFd::new(stdout(), PollFlags::POLLOUT)];
                match poll(&mut files, PollTimeout::NONE) {
                    Ok(_) | Err(Errno::EINTR) => self.show_printed()?,
                    Err(errno) => return Err(Step::of("wait for the terminal").failed()(errno)),
                }
            }
            if !self.is_printing {
                return Ok(());
            }
            self.is_printing = read_into(&mut self.printed, &self.master)?;
            if self.printed.is_empty() {
                return Ok(());
            }
        }
    }

    /// Gives the container's terminal the size of the caller's; the kernel tells those inside (SIGWINCH).
    pub(in crate::launcher) fn follow_size(&self) {
        // A terminal that is gone has no size, and nobody wants to know it.
        let _ = tcgetwinsize(stdin()).and_then(|size| tcsetwinsize(&self.master, size));
    }

    /// Stops the caller's job, this process with it, as its terminal would have done it; returns when it goes on. Where
    /// nobody is there who could let it go on (an orphaned process group), it is not stopped.
    pub(in crate::launcher) fn suspend(&self) -> Result<(), Failure> {
        let stop = || Step::of("stop");
        self.caller.rest();
        kill(Pid::from_raw(0), Signal::SIGTSTP).during(stop)?;
        // Its own comes when it lets it come, and that is now.
        let stopping = SigSet::from(Signal::SIGTSTP);
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&stopping), Some(&mut before)).during(stop)?;
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None).during(stop)?;
        self.resume()
    }

    /// Goes on after it was stopped: the shell has used the terminal meanwhile.
    pub(in crate::launcher) fn resume(&self) -> Result<(), Failure> {
        self.caller.resume()?;
        self.follow_size();
        Ok(())
    }
}

/// Reads a portion; whether there may be more one day.
fn read_into(buffer: &mut Vec<u8>, from: impl AsFd) -> Result<bool, Failure> {
    let mut portion = [0; PORTION];
    match nix::unistd::read(from, &mut portion) {
        // EIO is a terminal's end.
        Ok(0) | Err(Errno::EIO) => Ok(false),
        Ok(count) => {
            buffer.extend_from_slice(&portion[..count]);
            Ok(true)
        }
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(true),
        Err(errno) => Err(Step::of("read from the terminal").failed()(errno)),
    }
}
