//! What an ICMP message says of the echo request that it speaks of, in the words of RFC 792 and RFC 4443.

use std::net::IpAddr;
use surge_ping::IcmpPacket;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The answer that was asked for.
    EchoReply {
        /// What was left of its time to live, where the kernel tells.
        time_to_live: Option<u8>,
    },
    /// A router passed the request on, and names a shorter way.
    Redirect,
    /// It did not arrive: who says so, and why.
    Error(String),
}

impl Message {
    pub(super) fn of(packet: &IcmpPacket) -> Self {
        match packet {
            IcmpPacket::V4(packet) => {
                let (kind, code) = (packet.get_icmp_type().0, packet.get_icmp_code().0);
                v4(kind, code, packet.get_ttl(), packet.get_source().into())
            }
            IcmpPacket::V6(packet) => {
                v6(packet.get_icmpv6_type().0, packet.get_icmpv6_code().0, packet.get_source().into())
            }
        }
    }
}

/// RFC 792; the codes for what is prohibited are RFC 1812's (5.2.7.1).
fn v4(kind: u8, code: u8, time_to_live: Option<u8>, source: IpAddr) -> Message {
    let words = match (kind, code) {
        (0, _) => return Message::EchoReply { time_to_live },
        (5, _) => return Message::Redirect,
        (3, 0) => "the network is unreachable",
        (3, 1) => "the host is unreachable",
        (3, 4) => "the packet is too long for the next link",
        (3, 9 | 10 | 13) => "the way there is prohibited",
        (3, _) => "the destination is unreachable",
        (11, _) => "the packet's time to live is over",
        _ => return other(kind, code, source),
    };
    said(source, words)
}

/// RFC 4443, section 3.
fn v6(kind: u8, code: u8, source: IpAddr) -> Message {
    let words = match (kind, code) {
        (129, _) => return Message::EchoReply { time_to_live: None },
        (1, 0) => "there is no route to the destination",
        (1, 1 | 5) => "the way there is prohibited",
        (1, 3) => "the address is unreachable",
        (1, _) => "the destination is unreachable",
        (2, _) => "the packet is too long for the next link",
        (3, _) => "the packet's hop limit is used up",
        _ => return other(kind, code, source),
    };
    said(source, words)
}

fn said(source: IpAddr, words: &str) -> Message {
    Message::Error(format!("{source} says that {words}"))
}

fn other(kind: u8, code: u8, source: IpAddr) -> Message {
    Message::Error(format!("{source} answers with ICMP type {kind}, code {code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(words: &str) -> Message {
        Message::Error(words.to_owned())
    }

    #[test]
    fn only_an_echo_reply_is_an_answer() {
        let (router, router6) = ("10.0.0.254".parse().unwrap(), "fd00::fe".parse().unwrap());
        assert_eq!(v4(0, 0, Some(64), router), Message::EchoReply { time_to_live: Some(64) });
        assert_eq!(v4(5, 1, Some(64), router), Message::Redirect);
        assert_eq!(v4(3, 0, Some(64), router), error("10.0.0.254 says that the network is unreachable"));
        assert_eq!(v4(11, 0, Some(64), router), error("10.0.0.254 says that the packet's time to live is over"));
        assert_eq!(v4(12, 1, Some(64), router), error("10.0.0.254 answers with ICMP type 12, code 1"));
        assert_eq!(v6(129, 0, router6), Message::EchoReply { time_to_live: None });
        assert_eq!(v6(1, 0, router6), error("fd00::fe says that there is no route to the destination"));
        for kind in 1..=127 {
            assert!(matches!(v6(kind, 0, router6), Message::Error(_)), "{kind}");
        }
    }
}
