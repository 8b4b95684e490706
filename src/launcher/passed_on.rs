//! The signals that a launcher and process 1 pass on.

use nix::sys::signal::Signal;

/// What is passed on to a container whose launcher is sent it, and by its process 1 to the command.
pub(super) const PASSED_ON: [Signal; 8] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGWINCH,
];
