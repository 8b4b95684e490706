//! A conversation with a part of the kernel over netlink(7), inside one namespace: with the routing part (rtnetlink(7)),
//! or a family of generic netlink.
//!
//! The socket is a blocking one, opened, used and closed within a job of the [`Pool`](crate::host::netns::Pool). The
//! kernel answers while send(2) still runs, so nothing is ever waited for, and a job that sends and reads back costs
//! a fraction of what a registered socket with a task and buffers of its own does.

use super::errno::NetlinkError;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_packet_generic::GenlMessage;
use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{RcvBufForce, SndBufForce};
use rtnetlink::sys::Socket;
use rtnetlink::sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE, NETLINK_SOCK_DIAG};
use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// What the kernel fills at most in one go of a dump (NLMSG_GOODSIZE, and what iproute2 reads with).
const RECEIVE_BYTES: usize = 32 * 1024;

/// Requests sent in one system call. Their answers wait in the socket's receive buffer, which holds a few hundred.
const BATCH: usize = 64;

/// What an answer to a request takes at most of the receive buffer, with the kernel's own words and its book-keeping; and what
/// a send buffer has to have beyond what is sent (netlink_sendmsg, net/netlink/af_netlink.c).
const ANSWER_BYTES: usize = 4096;
const SEND_SLACK_BYTES: usize = 1024;

/// How often a dump is begun anew because something changed meanwhile (NLM_F_DUMP_INTR).
const DUMP_ATTEMPTS: usize = 16;

/// A netlink socket in the namespace that its thread was in when it was opened, for messages of one sort.
pub(crate) struct Connection<M = RouteNetlinkMessage> {
    socket: Arc<Socket>,
    sequence: u32,
    received: Vec<u8>,
    messages: PhantomData<M>,
}

/// A request: its message, and flags beyond NLM_F_REQUEST and NLM_F_ACK.
pub(super) type Request<M = RouteNetlinkMessage> = (M, u16);

impl Connection {
    /// Opens a socket to the routing part in the calling thread's namespace.
    pub(crate) fn open() -> Result<Self, NetlinkError> {
        Self::open_protocol(NETLINK_ROUTE)
    }
}

impl<F> Connection<GenlMessage<F>>
where
    GenlMessage<F>: NetlinkSerializable + NetlinkDeserializable,
{
    /// Opens a socket to a generic family in the calling thread's namespace.
    pub(super) fn open_generic() -> Result<Self, NetlinkError> {
        Self::open_protocol(NETLINK_GENERIC)
    }
}

impl<M: NetlinkSerializable + NetlinkDeserializable> Connection<M> {
    /// Opens a socket to the part that knows the sockets of the calling thread's namespace (sock_diag(7)).
    pub(super) fn open_sock_diag() -> Result<Self, NetlinkError> {
        Self::open_protocol(NETLINK_SOCK_DIAG)
    }

    /// Opens a socket to the routing part in the calling thread's namespace, for messages that say themselves how they
    /// are read.
    pub(super) fn open_routing() -> Result<Self, NetlinkError> {
        Self::open_protocol(NETLINK_ROUTE)
    }

    fn open_protocol(protocol: isize) -> Result<Self, NetlinkError> {
        let socket = Socket::new(protocol).map_err(NetlinkError::Socket)?;
        // Say in words what is wrong, don't send the request back, and honour filters in dumps.
        socket.set_ext_ack(true).map_err(NetlinkError::Socket)?;
        socket.set_cap_ack(true).map_err(NetlinkError::Socket)?;
        socket.set_netlink_get_strict_chk(true).map_err(NetlinkError::Socket)?;
        Ok(Self {
            socket: Arc::new(socket),
            sequence: 0,
            received: Vec::with_capacity(RECEIVE_BYTES),
            messages: PhantomData,
        })
    }

    /// The same socket for messages of another sort, which are of the routing part too.
    pub(super) fn speaking<N>(&self) -> Connection<N> {
        let received = Vec::with_capacity(RECEIVE_BYTES);
        Connection { socket: Arc::clone(&self.socket), sequence: self.sequence, received, messages: PhantomData }
    }

    /// Does one thing.
    pub(super) fn execute(&mut self, message: M, flags: u16) -> Result<(), NetlinkError> {
        let mut bytes = Vec::new();
        self.append(&mut bytes, message, flags | NLM_F_ACK);
        self.send(&bytes)?;
        let mut result = None;
        while result.is_none() {
            self.receive(|message| {
                if let NetlinkPayload::Error(error) = &message.payload {
                    result = Some(if error.code.is_none() { Ok(()) } else { Err(NetlinkError::from(error)) });
                }
                Ok(())
            })?;
        }
        result.unwrap_or(Ok(()))
    }

    /// Does many things in few system calls, all of them even where one fails; the results are in their order.
    pub(super) fn execute_all(
        &mut self,
        requests: Vec<Request<M>>,
    ) -> Result<Vec<Result<(), NetlinkError>>, NetlinkError> {
        let mut results = Vec::with_capacity(requests.len());
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            let (bytes, sent) = self.joined(requests.by_ref().take(BATCH));
            self.send(&bytes)?;
            self.receive_results(sent, &mut results)?;
        }
        Ok(results)
    }

    /// Does many things in one system call, however many they are; for the rest as [`Self::execute_all`].
    pub(super) fn execute_at_once(
        &mut self,
        requests: Vec<Request<M>>,
    ) -> Result<Vec<Result<(), NetlinkError>>, NetlinkError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let (bytes, sent) = self.joined(requests);
        if sent > BATCH {
            let failed = |errno: Errno| NetlinkError::Socket(errno.into());
            setsockopt(&*self.socket, SndBufForce, &(bytes.len() + SEND_SLACK_BYTES)).map_err(failed)?;
            setsockopt(&*self.socket, RcvBufForce, &(sent * ANSWER_BYTES)).map_err(failed)?;
        }
        self.send(&bytes)?;
        let mut results = Vec::with_capacity(sent);
        self.receive_results(sent, &mut results)?;
        Ok(results)
    }

    fn joined(&mut self, requests: impl IntoIterator<Item = Request<M>>) -> (Vec<u8>, usize) {
        let (mut bytes, mut count) = (Vec::new(), 0);
        for (message, flags) in requests {
            self.append(&mut bytes, message, flags | NLM_F_ACK);
            count += 1;
        }
        (bytes, count)
    }

    fn receive_results(
        &mut self,
        count: usize,
        results: &mut Vec<Result<(), NetlinkError>>,
    ) -> Result<(), NetlinkError> {
        let wanted = results.len() + count;
        while results.len() < wanted {
            self.receive(|message| {
                if let NetlinkPayload::Error(error) = &message.payload {
                    results.push(if error.code.is_none() { Ok(()) } else { Err(NetlinkError::from(error)) });
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Asks for one thing.
    pub(super) fn get(&mut self, message: M) -> Result<M, NetlinkError> {
        let mut bytes = Vec::new();
        self.append(&mut bytes, message, 0);
        self.send(&bytes)?;
        let mut answer = None;
        self.receive(|message| {
            match message.payload {
                NetlinkPayload::InnerMessage(inner) => answer = Some(inner),
                NetlinkPayload::Error(error) => return Err(NetlinkError::from(&error)),
                _ => {}
            }
            Ok(())
        })?;
        answer.ok_or(NetlinkError::Incomplete("what was asked for"))
    }

    /// Asks for all of a kind. Where the kernel says that what it listed changed meanwhile, asks again.
    pub(super) fn dump(&mut self, message: &M) -> Result<Vec<M>, NetlinkError>
    where
        M: Clone,
    {
        for _ in 0..DUMP_ATTEMPTS {
            let (items, consistent) = self.dump_once(message.clone())?;
            if consistent {
                return Ok(items);
            }
        }
        Err(NetlinkError::refused(Errno::EAGAIN))
    }

    fn dump_once(&mut self, message: M) -> Result<(Vec<M>, bool), NetlinkError> {
        let mut bytes = Vec::new();
        self.append(&mut bytes, message, NLM_F_DUMP);
        self.send(&bytes)?;
        let (mut items, mut consistent, mut done) = (Vec::new(), true, false);
        while !done {
            self.receive(|message| {
                consistent &= message.header.flags & NLM_F_DUMP_INTR == 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(inner) => items.push(inner),
                    NetlinkPayload::Error(error) => return Err(NetlinkError::from(&error)),
                    NetlinkPayload::Done(end) => {
                        done = true;
                        if end.code < 0 {
                            return Err(NetlinkError::from_code(end.code, &end.extended_ack));
                        }
                    }
                    _ => {}
                }
                Ok(())
            })?;
        }
        Ok((items, consistent))
    }

    /// Subscribes to multicast groups (RTNLGRP_*, linux/rtnetlink.h) and gives the socket away.
    pub(super) fn subscribe(self, groups: &[u32]) -> Result<OwnedFd, NetlinkError> {
        let mut socket = Arc::into_inner(self.socket).ok_or(NetlinkError::Incomplete("a socket of its own"))?;
        // A socket without an address has the kernel's own, 0, and no sender hears itself.
        socket.bind_auto().map_err(NetlinkError::Socket)?;
        for group in groups {
            socket.add_membership(*group).map_err(NetlinkError::Socket)?;
        }
        socket.set_non_blocking(true).map_err(NetlinkError::Socket)?;
        socket.as_fd().try_clone_to_owned().map_err(NetlinkError::Socket)
    }

    fn append(&mut self, bytes: &mut Vec<u8>, message: M, flags: u16) {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        let start = bytes.len();
        bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
        message.serialize(&mut bytes[start..]);
    }

    fn send(&self, bytes: &[u8]) -> Result<(), NetlinkError> {
        self.socket.send(bytes, 0).map_err(NetlinkError::Socket)?;
        Ok(())
    }

    /// Reads one datagram and hands its messages over, until one of them is an error.
    fn receive(
        &mut self,
        mut each: impl FnMut(NetlinkMessage<M>) -> Result<(), NetlinkError>,
    ) -> Result<(), NetlinkError> {
        self.received.clear();
        self.socket.recv(&mut self.received, 0).map_err(NetlinkError::Socket)?;
        let mut rest = self.received.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::deserialize(rest).map_err(NetlinkError::Decode)?;
            let length = usize::try_from(message.header.length).unwrap_or(rest.len()).next_multiple_of(4);
            rest = rest.get(length..).unwrap_or_default();
            each(message)?;
        }
        Ok(())
    }
}
