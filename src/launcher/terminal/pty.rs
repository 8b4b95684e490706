//! A container's own terminal: made, made the session's, taken by the command.

use crate::launcher::failure::{During, Failure, Step};
use nix::errno::Errno;
use nix::unistd::Pid;
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{
    LocalModes, OptionalActions, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetpgrp, tcsetwinsize,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Where masters are made: in the container's own devpts, and, where it has the machine's root, as anybody else makes one.
/// The machine's devpts has mostly no mode for the first of them (ptmxmode=000).
const MULTIPLEXERS: [&str; 2] = ["/dev/pts/ptmx", "/dev/ptmx"];

/// Both sides of a terminal.
#[derive(Debug)]
pub(in crate::launcher) struct Pty {
    /// The side of whoever shows it; reading and writing do not wait.
    pub(in crate::launcher) master: OwnedFd,
    /// The side of the command.
    pub(in crate::launcher) slave: OwnedFd,
}

impl Pty {
    /// Makes one. It is as large and behaves as the terminal that it is `like`; it belongs to the user with this number.
    ///
    /// To be called once the container's /dev is in its place, and by nobody but process 1.
    pub(in crate::launcher) fn open(owner: Option<u32>, like: Option<BorrowedFd<'_>>) -> Result<Self, Failure> {
        let [own, anybodys] = MULTIPLEXERS.map(Path::new);
        let master = match open_multiplexer(own) {
            Err(Errno::EACCES | Errno::ENOENT) => open_multiplexer(anybodys),
            result => result,
        };
        let master = master.during(|| Step::Open { path: own.to_owned() })?;
        let open = || Step::of("make a terminal");
        unlockpt(&master).during(open)?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = ioctl_tiocgptpeer(&master, flags).during(open)?;
        if let Some(owner) = owner {
            // As login(1) does it: the command may open its own terminal once more.
            std::os::unix::fs::fchown(&slave, Some(owner), None)
                .during(|| Step::of("hand the terminal to the user"))?;
        }
        if let Some(caller) = like.filter(|caller| isatty(*caller)) {
            be_like(slave.as_fd(), caller).during(open)?;
        }
        Ok(Self { master, slave })
    }

    /// Makes it the terminal of the calling process's session, which begins with that where it has none.
    pub(in crate::launcher) fn control_session(&self) -> Result<(), Failure> {
        let begin = || Step::of("begin a session with a terminal of its own");
        if nix::unistd::getsid(None).during(begin)? != nix::unistd::getpid() {
            nix::unistd::setsid().during(begin)?;
        }
        rustix::process::ioctl_tiocsctty(&self.slave).during(begin)
    }

    /// Makes it the standard files of the calling process, and this one the terminal's foreground: a process group of its own,
    /// beside that of its parent in the same session. So the group has somebody to be woken by, and the kernel lets the
    /// terminal stop it (an orphaned process group, setpgid(2)).
    ///
    /// SIGTTOU is to be blocked.
    pub(in crate::launcher) fn take_foreground(&self) -> Result<(), Failure> {
        let take = || Step::of("take the terminal");
        nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0)).during(take)?;
        tcsetpgrp(&self.slave, rustix::process::getpid()).during(take)?;
        self.become_standard_files()
    }

    /// Makes it the standard files of the calling process.
    pub(in crate::launcher) fn become_standard_files(&self) -> Result<(), Failure> {
        let take = || Step::of("take the terminal");
        nix::unistd::dup2_stdin(&self.slave).during(take)?;
        nix::unistd::dup2_stdout(&self.slave).during(take)?;
        nix::unistd::dup2_stderr(&self.slave).during(take)
    }
}

fn open_multiplexer(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let master = rustix::fs::open(path, flags, rustix::fs::Mode::empty());
    master.map_err(|errno| Errno::from_raw(errno.raw_os_error()))
}

/// What the keys do and how large it is, from the caller's terminal; one that is raw at the moment says nothing of the keys.
fn be_like(slave: BorrowedFd<'_>, caller: BorrowedFd<'_>) -> rustix::io::Result<()> {
    tcsetwinsize(slave, tcgetwinsize(caller)?)?;
    let modes = tcgetattr(caller)?;
    if modes.local_modes.contains(LocalModes::ICANON) {
        tcsetattr(slave, OptionalActions::Now, &modes)?;
    }
    Ok(())
}
