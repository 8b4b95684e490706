//! Frames as bytes, sent by one node and looked for at another (packet(7)).

use super::wait_until;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
};
use nix::sys::time::TimeVal;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// How long one frame is waited for, in microseconds.
const FRAME_US: i64 = 100_000;

/// Who sends, so that nobody else's frames count.
const SOURCE: [u8; 6] = [2, 0, 0, 0, 0, 0x99];

/// A frame of each protocol: where it goes, and what is in it from the EtherType, or the length, on.
const LINK_LOCAL: [(&str, [u8; 6], &[u8]); 3] = [
    ("lacp", [1, 0x80, 0xC2, 0, 0, 2], &[0x88, 0x09, 1, 1]),
    ("lldp", [1, 0x80, 0xC2, 0, 0, 0xE], &[0x88, 0xCC, 2, 7, 4]),
    ("stp", [1, 0x80, 0xC2, 0, 0, 0], &[0, 38, 0x42, 0x42, 3, 0, 0, 0, 0]),
];

/// Sent behind the others: where it is, they would be. An EtherType for experiments (IEEE 802), and a number behind it.
const MARKER: [u8; 2] = [0x88, 0xB5];

/// The number of the next marker. Each is another one, for it goes to everybody, who may look at it later.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A packet socket at `eth0` of a node.
pub(crate) struct Wire(OwnedFd);

impl Wire {
    /// At the node whose namespace has this name.
    pub(crate) fn of(netns: &str) -> Self {
        let netns = File::open(format!("/run/netns/{netns}")).unwrap();
        let open = move || {
            setns(&netns, CloneFlags::CLONE_NEWNET).unwrap();
            let (raw, all) = (SockType::Raw, SockProtocol::EthAll);
            let wire = socket(AddressFamily::Packet, raw, SockFlag::SOCK_CLOEXEC, all).unwrap();
            let mut interfaces = nix::ifaddrs::getifaddrs().unwrap().filter(|i| i.interface_name == "eth0");
            let address =
                interfaces.find_map(|i| i.address.filter(|address| address.as_link_addr().is_some())).unwrap();
            bind(wire.as_raw_fd(), &address).unwrap();
            setsockopt(&wire, ReceiveTimeout, &TimeVal::new(0, FRAME_US)).unwrap();
            wire
        };
        // A thread's own namespace is left with the thread.
        Self(std::thread::spawn(open).join().unwrap())
    }

    fn send(&self, to: [u8; 6], rest: &[u8]) {
        let mut frame = [&to, &SOURCE, rest].concat();
        frame.resize(60, 0);
        assert_eq!(send(self.0.as_raw_fd(), &frame, MsgFlags::empty()).unwrap(), frame.len());
    }

    /// The next frame that [`Wire::send`] sent; `None` where none comes soon.
    fn receive(&self) -> Option<Vec<u8>> {
        loop {
            let mut frame = vec![0; 2000];
            let bytes = recv(self.0.as_raw_fd(), &mut frame, MsgFlags::empty()).ok()?;
            frame.truncate(bytes);
            if frame.get(6..12) == Some(&SOURCE) {
                return Some(frame);
            }
        }
    }

    /// Those that are there, and come until a marker does that is sent behind them.
    fn receive_all(&self, sender: &Self) -> Vec<Vec<u8>> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let marker = [&MARKER[..], &number].concat();
        let mut all = Vec::new();
        wait_until("the frame behind the others arrives", SOON, || {
            sender.send([0xFF; 6], &marker);
            while let Some(frame) = self.receive() {
                if frame[12..].starts_with(&marker) {
                    return true;
                }
                all.push(frame);
            }
            false
        });
        all
    }

    /// The protocols of whose frames, sent here, one arrives there.
    pub(crate) fn link_local_to(&self, there: &Self) -> Vec<&'static str> {
        let mut all = Vec::new();
        // Twice: what comes first may overtake while a switch learns its way.
        for _ in 0..2 {
            for (_, to, rest) in LINK_LOCAL {
                self.send(to, rest);
            }
            all.extend(there.receive_all(self));
        }
        let arrived = |to: &[u8; 6]| all.iter().any(|frame| frame[..6] == *to);
        LINK_LOCAL.iter().filter(|(_, to, _)| arrived(to)).map(|(name, ..)| *name).collect()
    }

    /// Whether an IPv4 packet to the multicast group 239.1.1.1, sent here, arrives there.
    pub(crate) fn multicast_reaches(&self, there: &Self) -> bool {
        /// A header of 20 bytes without options, UDP from 10.0.0.1, its checksum (RFC 791, section 3.1).
        const IPV4: [u8; 20] = [0x45, 0, 0, 20, 0, 0, 0, 0, 8, 17, 0xB8, 0xD6, 10, 0, 0, 1, 239, 1, 1, 1];
        const GROUP: [u8; 6] = [1, 0, 0x5E, 1, 1, 1];
        self.send(GROUP, &[&[8, 0], &IPV4[..]].concat());
        there.receive_all(self).iter().any(|frame| frame[..6] == GROUP)
    }
}
