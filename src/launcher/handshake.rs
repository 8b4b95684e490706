//! What the processes of a launch say to one another, over a socket pair that keeps messages apart.
//!
//! Whose partner has ended reads that, and ends too: no process is left that nobody waits for.

use super::cgroup::OutOfMemory;
use super::failure::{During, Failure, Step};
use super::springboard;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// What is said to process 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromOutside {
    /// Your users have numbers, you are in your cgroup: go on.
    Proceed,
    /// All that is to be known of you is written down: run the command.
    Run,
}

/// What process 1 says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromInside {
    /// All is there but the command. The master of its terminal comes along where it has one.
    Ready,
    /// This did not work, and it is over.
    Failed(Failure),
    /// The command runs.
    Running,
    /// The command was stopped, by its terminal or a signal.
    Stopped,
    /// Some of the container were killed for want of memory: said before its end, after which its cgroup may be gone.
    OutOfMemory(OutOfMemory),
    /// The command has ended, and how.
    Ended(Ended),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// By itself, with this code.
    Code(u8),
    /// By this signal (signal(7)).
    Signal(i32),
}

impl Ended {
    /// What a shell makes of it: the code, or 128 and the signal's number.
    pub fn code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "code {code}"),
            Self::Signal(signal) => write!(formatter, "signal {signal}"),
        }
    }
}

/// The longest message, in bytes.
const LONGEST: usize = 16 * 1024;

/// One end of the socket pair.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes both ends; neither goes on to a program that is executed.
pub(super) fn pair() -> Result<(Channel, Channel), Failure> {
    let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
    let (one, other) = pair.during(|| Step::of("make a socket pair"))?;
    Ok((Channel(one), Channel(other)))
}

impl Channel {
    /// Says something, with an open file where one is given. That nobody listens any more is no failure: he knows why.
    pub(super) fn say(&self, message: &impl Serialize, file: Option<BorrowedFd<'_>>) -> Result<(), Failure> {
        let speak = || Step::of("speak to the launcher's other process");
        let text = serde_json::to_vec(message).map_err(|_| Errno::EINVAL).during(speak)?;
        let files: Vec<RawFd> = file.iter().map(AsRawFd::as_raw_fd).collect();
        let with = [ControlMessage::ScmRights(&files)];
        let with = if files.is_empty() { &[][..] } else { &with[..] };
        let sent = sendmsg::<()>(self.0.as_raw_fd(), &[IoSlice::new(&text)], with, MsgFlags::MSG_NOSIGNAL, None);
        match sent {
            Ok(_) | Err(Errno::EPIPE) => Ok(()),
            Err(errno) => Err(speak().failed()(errno)),
        }
    }

    /// Whether the other one has ended.
    pub(super) fn is_alone(&self) -> nix::Result<bool> {
        let mut files = [PollFd::new(self.0.as_fd(), PollFlags::empty())];
        poll(&mut files, PollTimeout::ZERO)?;
        Ok(files[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP)))
    }

    /// Waits for what is said next; `None` where the other one has ended.
    pub(super) fn hear<M: DeserializeOwned>(&self) -> Result<Option<(M, Option<OwnedFd>)>, Failure> {
        let (text, file) = self.receive()?;
        if text.is_empty() { Ok(None) } else { Ok(Some((understood(&text)?, file))) }
    }

    /// Waits for why the command could not be executed, which may be the springboard's word for it; `None` where it was.
    pub(super) fn hear_of_command(&self, refused: impl FnOnce(Errno) -> Failure) -> Result<Option<Failure>, Failure> {
        let (text, _) = self.receive()?;
        Ok(match springboard::errno_of(&text) {
            Some(errno) => Some(refused(errno)),
            None if text.is_empty() => None,
            None => Some(understood(&text)?),
        })
    }

    fn receive(&self) -> Result<(Vec<u8>, Option<OwnedFd>), Failure> {
        let mut text = vec![0; LONGEST];
        let mut space = nix::cmsg_space!(RawFd);
        let (bytes, file) = loop {
            let mut into = [IoSliceMut::new(&mut text)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<()>(self.0.as_raw_fd(), &mut into, Some(&mut space), flags) {
                // Said once by the kernel where the other one has ended and not heard all: what he has said himself is still there.
                Err(Errno::EINTR | Errno::ECONNRESET) => {}
                Err(errno) => return Err(listen().failed()(errno)),
                Ok(message) => {
                    let control = message.cmsgs().during(listen)?;
                    let received = control.flat_map(|message| match message {
                        ControlMessageOwned::ScmRights(files) => files,
                        _ => Vec::new(),
                    });
                    let received: Vec<OwnedFd> = received.map(super::sys::own).collect();
                    break (message.bytes, received.into_iter().next());
                }
            }
        };
        text.truncate(bytes);
        Ok((text, file))
    }
}

fn listen() -> Step {
    Step::of("hear the launcher's other process")
}

fn understood<M: DeserializeOwned>(text: &[u8]) -> Result<M, Failure> {
    serde_json::from_slice(text).map_err(|_| Errno::EBADMSG).during(listen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_last_is_heard_though_nobody_has_listened() {
        let (one, other) = pair().unwrap();
        one.say(&FromOutside::Proceed, None).unwrap();
        other.say(&FromInside::Running, None).unwrap();
        drop(other);
        assert_eq!(one.hear::<FromInside>().unwrap().map(|(said, _)| said), Some(FromInside::Running));
        assert!(one.hear::<FromInside>().unwrap().is_none());
    }
}
