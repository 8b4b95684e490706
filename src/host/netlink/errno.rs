//! What the kernel answers to a request that it does not grant.

use netlink_packet_core::{DecodeError, ErrorMessage, NlasIterator};
use nix::errno::Errno;
use std::io;

/// NLMSGERR_ATTR_MSG (linux/netlink.h): the kernel's own words on an error.
const EXTENDED_ACK_MESSAGE: u16 = 1;

/// struct nlmsghdr, of which NETLINK_CAP_ACK leaves just the header in an answer.
const NLMSGHDR_BYTES: usize = 16;

/// Why a netlink request failed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The kernel said no.
    #[error("{errno}{}", message.as_ref().map(|m| format!(": {m}")).unwrap_or_default(), errno = errno.desc())]
    Refused {
        /// The class of it.
        errno: Errno,
        /// The kernel's own words, where it has any (NLMSGERR_ATTR_MSG).
        message: Option<String>,
    },
    /// The socket failed.
    #[error("the netlink socket failed")]
    Socket(#[source] io::Error),
    /// The answer can't be read.
    #[error("can't read the kernel's netlink answer")]
    Decode(#[source] DecodeError),
    /// The answer is not one to the request.
    #[error("the kernel's netlink answer lacks {0}")]
    Incomplete(&'static str),
}

impl NetlinkError {
    /// The errno at the bottom of it, where there is one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { errno, .. } => Some(*errno),
            Self::Socket(source) => source.raw_os_error().map(Errno::from_raw),
            Self::Decode(_) | Self::Incomplete(_) => None,
        }
    }

    /// Whether it is one of these.
    pub(crate) fn is(&self, errnos: &[Errno]) -> bool {
        self.errno().is_some_and(|errno| errnos.contains(&errno))
    }

    /// From a bare errno.
    pub(super) fn refused(errno: Errno) -> Self {
        Self::Refused { errno, message: None }
    }

    /// From the end of a dump.
    pub(super) fn from_code(code: i32, extended_ack: &[u8]) -> Self {
        Self::Refused { errno: Errno::from_raw(code.abs()), message: message_in(extended_ack) }
    }
}

impl From<&ErrorMessage> for NetlinkError {
    fn from(error: &ErrorMessage) -> Self {
        Self::from_code(error.raw_code(), error.header.get(NLMSGHDR_BYTES..).unwrap_or_default())
    }
}

fn message_in(attributes: &[u8]) -> Option<String> {
    NlasIterator::new(attributes)
        .map_while(Result::ok)
        .find(|nla| nla.kind() == EXTENDED_ACK_MESSAGE)
        .map(|nla| String::from_utf8_lossy(nla.value()).trim_end_matches('\0').to_owned())
}

/// What becomes of an error that says that the work is done already.
pub(super) trait Forgive {
    /// Success in place of these errnos.
    fn forgive(self, errnos: &[Errno]) -> Self;
}

impl Forgive for Result<(), NetlinkError> {
    fn forgive(self, errnos: &[Errno]) -> Self {
        self.or_else(|error| if error.is(errnos) { Ok(()) } else { Err(error) })
    }
}
