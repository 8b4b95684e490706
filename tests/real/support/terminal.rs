//! A terminal with a command on it, as somebody has who sits in front of it.

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// How long something may take to be shown.
const PATIENCE: Duration = Duration::from_secs(30);

/// A terminal. What is on it ends with it.
pub(crate) struct Terminal {
    master: File,
    command: Child,
    /// What was shown and not looked at.
    unseen: String,
}

impl Terminal {
    /// Starts a command on a terminal of 24 lines with 80 characters, as the leader of a session.
    pub(crate) fn start(words: &[&str]) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        fcntl(&pty.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).args(words).env("PS1", "").env("TERM", "dumb");
        let slave = || pty.slave.try_clone().unwrap();
        let command = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
        Self { master: pty.master.into(), command, unseen: String::new() }
    }

    /// A shell with job control, which shows nothing by itself.
    pub(crate) fn shell() -> Self {
        Self::start(&["bash", "--norc", "--noediting", "-i"])
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn line(&mut self, line: &str) {
        self.press(&format!("{line}\n"));
    }

    /// Waits until this is shown, and returns what is shown up to it.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.unseen.find(what) {
                let rest = self.unseen.split_off(at + what.len());
                return std::mem::replace(&mut self.unseen, rest);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let mut files = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            let count = poll(&mut files, PollTimeout::try_from(left).unwrap()).unwrap();
            assert!(count > 0, "waited in vain for {what:?}, in:\n{}", self.unseen);
            let mut portion = [0; 4096];
            // EIO: nobody has the terminal any more.
            let count = self.master.read(&mut portion).unwrap_or(0);
            assert!(count > 0, "the terminal has ended without {what:?}, in:\n{}", self.unseen);
            self.unseen.push_str(&String::from_utf8_lossy(&portion[..count]));
        }
    }

    pub(crate) fn resize(&self, lines: u16, columns: u16) {
        let size = rustix::termios::Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.master, size).unwrap();
    }

    /// How the terminal behaves, as `stty` tells it.
    pub(crate) fn modes(&self) -> String {
        let modes = rustix::termios::tcgetattr(&self.master).unwrap();
        format!("{:?}", (modes.input_modes, modes.output_modes, modes.control_modes, modes.local_modes))
    }

    /// Waits for the command's end.
    pub(crate) fn end(mut self) -> ExitStatus {
        self.command.wait().unwrap()
    }
}
