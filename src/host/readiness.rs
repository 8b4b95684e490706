//! Waiting for file descriptors that tokio has no type for.

use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a file descriptor that becomes readable with the runtime.
pub(super) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    watch_for(fd, Interest::READABLE)
}

/// Registers a file descriptor with the runtime.
#[expect(
    deprecated,
    reason = "its heir `register` is unsafe because a type may hand out a foreign descriptor: OwnedFd does not"
)]
pub(super) fn watch_for(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, interest)
}
