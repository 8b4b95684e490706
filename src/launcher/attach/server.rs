//! The side of process 1. Nobody who has joined is waited for: who does not read misses what does not fit into his socket, and
//! is shown the latest when he reads again.

use super::SOCKET;
use super::message::{LONGEST, ToClient, ToServer};
use crate::launcher::failure::{During, Failure, Step};
use crate::launcher::handshake::Ended;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, bind, recv, send, socket};
use nix::sys::stat::{Mode, fchmod};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

/// How much of what was printed before is shown to who joins, in bytes: about a screen.
const SCREEN: usize = 4096;

/// How long those who have joined have to read what they are behind with, at the end.
const PATIENCE: Duration = Duration::from_millis(500);

/// How many may have joined at a time.
const MOST: usize = 32;

/// Makes the socket in the record, an open directory; to be called outside.
pub(in crate::launcher) fn listen(directory: &OwnedFd) -> Result<OwnedFd, Failure> {
    let make = || Step::Make { path: SOCKET.into() };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let listener = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).during(make)?;
    // What the file's mode is made of, so that there is no moment in which others may connect.
    fchmod(&listener, Mode::S_IRUSR | Mode::S_IWUSR).during(make)?;
    match nix::unistd::unlinkat(directory, SOCKET, nix::unistd::UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(make().failed()(errno)),
    }
    // The path of a socket is limited to 107 bytes, that of a directory is not.
    let path = format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd());
    bind(listener.as_raw_fd(), &UnixAddr::new(path.as_str()).during(make)?).during(make)?;
    nix::sys::socket::listen(&listener, Backlog::new(16).during(make)?).during(make)?;
    Ok(listener)
}

/// Those who have joined, and the socket by which others may.
#[derive(Debug)]
pub(in crate::launcher) struct Server {
    listener: UnixListener,
    has_terminal: bool,
    clients: Vec<Client>,
    /// What was printed last.
    screen: Vec<u8>,
}

/// Somebody who has joined.
#[derive(Debug)]
struct Client {
    socket: UnixStream,
    /// Whether something did not fit into his socket since he read.
    is_behind: bool,
}

/// What somebody who has joined wants.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::launcher) enum Asked {
    /// That this is typed.
    Type(Vec<u8>),
    /// That the terminal is this large.
    Size {
        /// Lines.
        rows: u16,
        /// Characters in a line.
        columns: u16,
    },
}

impl Server {
    pub(in crate::launcher) fn new(listener: OwnedFd, has_terminal: bool) -> Self {
        Self { listener: listener.into(), has_terminal, clients: Vec::new(), screen: Vec::new() }
    }

    /// What is to be waited for. Their order is that of [`Server::go_on`].
    pub(in crate::launcher) fn files(&self) -> impl Iterator<Item = PollFd<'_>> {
        let wait_for = |client: &Client| PollFlags::POLLIN | flag(client.is_behind, PollFlags::POLLOUT);
        // Nobody is let in beyond the limit: he waits.
        let arrival = flag(self.clients.len() < MOST, PollFlags::POLLIN);
        let clients = self.clients.iter().map(move |client| PollFd::new(client.socket.as_fd(), wait_for(client)));
        std::iter::once(PollFd::new(self.listener.as_fd(), arrival)).chain(clients)
    }

    /// Lets in who comes, hears whoever speaks, and forgets who has left. `ready` says what of [`Server::files`] is.
    pub(in crate::launcher) fn go_on(&mut self, ready: &[PollFlags], mut heard: impl FnMut(Asked)) {
        let Some((arrival, of_clients)) = ready.split_first() else { return };
        let screen = &self.screen;
        let mut of_clients = of_clients.iter();
        self.clients.retain_mut(|client| {
            let ready = of_clients.next().copied().unwrap_or(PollFlags::empty());
            let stays = !ready.intersects(!PollFlags::POLLOUT) || client.hear(&mut heard);
            if stays && client.is_behind && ready.contains(PollFlags::POLLOUT) {
                client.is_behind = false;
                client.tell(ToClient::Printed(screen));
            }
            stays
        });
        if arrival.contains(PollFlags::POLLIN)
            && let Ok((socket, _)) = self.listener.accept()
            && socket.set_nonblocking(true).is_ok()
        {
            let mut client = Client { socket, is_behind: false };
            client.tell(ToClient::Welcome { has_terminal: self.has_terminal });
            client.tell(ToClient::Printed(&self.screen));
            self.clients.push(client);
        }
    }

    /// Shows all of them what was printed.
    pub(in crate::launcher) fn show(&mut self, printed: &[u8]) {
        let kept = &printed[printed.len().saturating_sub(SCREEN)..];
        let too_much = (self.screen.len() + kept.len()).saturating_sub(SCREEN);
        self.screen.drain(..too_much);
        self.screen.extend_from_slice(kept);
        for client in self.clients.iter_mut().filter(|client| !client.is_behind) {
            for portion in printed.chunks(LONGEST - 1) {
                client.tell(ToClient::Printed(portion));
            }
        }
    }

    /// Tells all of them that it is over, those too who wait to be let in.
    pub(in crate::launcher) fn end(mut self, ended: Ended) {
        while let Ok((socket, _)) = self.listener.accept() {
            let mut client = Client { socket, is_behind: false };
            client.tell(ToClient::Welcome { has_terminal: self.has_terminal });
            client.tell(ToClient::Printed(&self.screen));
            self.clients.push(client);
        }
        self.catch_up();
        for client in &mut self.clients {
            client.tell(ToClient::Ended(ended));
        }
    }

    /// Shows the latest to those who are behind and read soon: it is the last that there is to be seen.
    fn catch_up(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let behind: Vec<&mut Client> = self.clients.iter_mut().filter(|client| client.is_behind).collect();
            let left = deadline.saturating_duration_since(Instant::now());
            if behind.is_empty() || left.is_zero() {
                return;
            }
            let mut files: Vec<PollFd<'_>> =
                behind.iter().map(|client| PollFd::new(client.socket.as_fd(), PollFlags::POLLOUT)).collect();
            let waited = poll(&mut files, PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO));
            if waited.is_err_and(|errno| errno != Errno::EINTR) {
                return;
            }
            let ready: Vec<bool> = files.iter().map(|file| file.any().unwrap_or(true)).collect();
            drop(files);
            for (client, _) in behind.into_iter().zip(ready).filter(|(_, is_ready)| *is_ready) {
                client.is_behind = false; // one that is gone is not waited for again either
                client.tell(ToClient::Printed(&self.screen));
            }
        }
    }
}

impl Client {
    fn tell(&mut self, message: ToClient<'_>) {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        // One that is gone is noticed when he is heard.
        if send(self.socket.as_raw_fd(), &message.write(), flags) == Err(Errno::EAGAIN) {
            self.is_behind = true;
        }
    }

    /// Whether he is still there.
    fn hear(&mut self, heard: &mut impl FnMut(Asked)) -> bool {
        let mut text = [0; LONGEST];
        match recv(self.socket.as_raw_fd(), &mut text, MsgFlags::MSG_DONTWAIT) {
            Err(Errno::EAGAIN | Errno::EINTR) => true,
            Ok(0) | Err(_) => false,
            Ok(count) => {
                match ToServer::read(&text[..count]) {
                    Some(ToServer::Typed(bytes)) => heard(Asked::Type(bytes.to_vec())),
                    Some(ToServer::Size { rows, columns }) => heard(Asked::Size { rows, columns }),
                    None => return false, // somebody who speaks another language
                }
                true
            }
        }
    }
}

fn flag(is_set: bool, flag: PollFlags) -> PollFlags {
    if is_set { flag } else { PollFlags::empty() }
}
