//! Terminals (pty(7), termios(3)): a container's own one, and the caller's, to which it is joined.
//!
//! There is no /dev/console in a container: nobody but an init system that runs as process 1 wants one, and putting the
//! terminal there is what CVE-2025-52565 was about. The container's side is opened by its master (TIOCGPTPEER) and handed
//! to the command as open files: no path of the container's is trusted.

mod pty;
mod raw;
mod relay;

pub(super) use pty::Pty;
pub(super) use raw::RawMode;
pub(super) use relay::Relay;
