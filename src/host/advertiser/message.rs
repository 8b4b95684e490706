//! The messages of router discovery, byte by byte (RFC 4861 sections 4.1, 4.2 and 4.6). Pure.
//!
//! Their checksum is left to the kernel, which knows the addresses that it covers (RFC 3542 section 3.1).

use crate::model::{Advertised, MacAddress};
use std::net::Ipv6Addr;

/// ICMPv6 types.
pub(super) const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;

/// The hop limit of every message of neighbour discovery: no router has forwarded it.
pub(super) const HOP_LIMIT: u8 = 255;

/// Types of options.
const SOURCE_LINK_LAYER_ADDRESS: u8 = 1;
const PREFIX_INFORMATION: u8 = 3;
const MTU: u8 = 5;

/// The hop limit that hosts are to use: the one that most do (IANA's IP parameters).
const CUR_HOP_LIMIT: u8 = 64;
/// The prefix is on the link, and addresses may be made of it.
const ON_LINK_AND_AUTONOMOUS: u8 = 0xc0;
/// AdvValidLifetime and AdvPreferredLifetime by default (RFC 4861 section 6.2.1): 30 days and 7 days.
const VALID_LIFETIME_S: u32 = 2_592_000;
const PREFERRED_LIFETIME_S: u32 = 604_800;
/// AdvDefaultLifetime by default: three times the longest time between two advertisements.
const ROUTER_LIFETIME_S: u16 = 1800;

/// A router advertisement.
pub(super) fn router_advertisement(of: &Advertised) -> Vec<u8> {
    let mut message = without_prefixes(of, ROUTER_LIFETIME_S);
    for prefix in &of.prefixes {
        message.extend([PREFIX_INFORMATION, 4, prefix.prefix(), ON_LINK_AND_AUTONOMOUS]);
        message.extend(VALID_LIFETIME_S.to_be_bytes());
        message.extend(PREFERRED_LIFETIME_S.to_be_bytes());
        message.extend([0; 4]);
        message.extend(prefix.network().octets());
    }
    message
}

/// The last one: this is a router to send to no more (RFC 4861 section 6.2.5). It names no prefix: whoever begins to listen
/// just now is not to make an address of it.
pub(super) fn farewell(of: &Advertised) -> Vec<u8> {
    without_prefixes(of, 0)
}

fn without_prefixes(of: &Advertised, router_lifetime_s: u16) -> Vec<u8> {
    let Advertised { interface: _, mac, mtu, prefixes: _ } = of;
    let mut message = vec![ROUTER_ADVERTISEMENT, 0, 0, 0, CUR_HOP_LIMIT, 0];
    message.extend(router_lifetime_s.to_be_bytes());
    message.extend([0; 8]); // reachable time and retransmission timer: hosts choose
    add_source(&mut message, *mac);
    message.extend([MTU, 1, 0, 0]);
    message.extend(mtu.bytes().to_be_bytes());
    message
}

/// A router solicitation.
pub(super) fn router_solicitation(mac: Option<MacAddress>) -> Vec<u8> {
    let mut message = vec![ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    if let Some(mac) = mac {
        add_source(&mut message, mac);
    }
    message
}

fn add_source(message: &mut Vec<u8>, mac: MacAddress) {
    message.extend([SOURCE_LINK_LAYER_ADDRESS, 1]);
    message.extend(mac.octets());
}

/// Whether a message is a router solicitation to be answered (RFC 4861 section 6.1.1). The kernel has seen to its checksum.
pub(super) fn is_valid_solicitation(message: &[u8], hop_limit: i32, source: Ipv6Addr) -> bool {
    let Some((header, options)) = message.split_at_checked(8) else { return false };
    if header[..2] != [ROUTER_SOLICITATION, 0] || hop_limit != i32::from(HOP_LIMIT) {
        return false;
    }
    let mut rest = options;
    while let [kind, units, ..] = *rest {
        // A host that has no address yet can't be answered at one.
        if units == 0 || kind == SOURCE_LINK_LAYER_ADDRESS && source.is_unspecified() {
            return false;
        }
        let Some(after) = rest.get(usize::from(units) * 8..) else { return false };
        rest = after;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn advertised() -> Advertised {
        "eth0=02:00:00:00:00:01,1400,2001:db8:1::/64".parse().unwrap()
    }

    #[test]
    fn an_advertisement_byte_by_byte() {
        let mut expected = vec![
            134, 0, 0, 0, // type, code, checksum
            64, 0, 0x07, 0x08, // hop limit; neither M nor O; router lifetime 1800 s
            0, 0, 0, 0, 0, 0, 0, 0, // reachable time, retransmission timer
            1, 1, 2, 0, 0, 0, 0, 1, // the source's MAC address
            5, 1, 0, 0, 0, 0, 0x05, 0x78, // MTU 1400
            3, 4, 64, 0xc0, // a prefix of 64 bits, L and A
            0x00, 0x27, 0x8d, 0x00, 0x00, 0x09, 0x3a, 0x80, 0, 0, 0, 0, // valid 30 days, preferred 7
        ];
        expected.extend("2001:db8:1::".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(router_advertisement(&advertised()), expected);
        expected[6..8].fill(0);
        expected.truncate(32);
        assert_eq!(farewell(&advertised()), expected);
    }

    #[test]
    fn a_solicitation_byte_by_byte() {
        let mac = "02:00:00:00:00:01".parse().unwrap();
        assert_eq!(router_solicitation(Some(mac)), [133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 1]);
        assert_eq!(router_solicitation(None), [133, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn solicitations_are_held_to_the_standard() {
        let source: Ipv6Addr = "fe80::1".parse().unwrap();
        let good = router_solicitation("02:00:00:00:00:01".parse().ok());
        assert!(is_valid_solicitation(&good, 255, source));
        assert!(is_valid_solicitation(&good[..8], 255, Ipv6Addr::UNSPECIFIED));
        // With an option that nobody knows.
        assert!(is_valid_solicitation(&[&good[..], &[99, 1, 0, 0, 0, 0, 0, 0]].concat(), 255, source));

        assert!(!is_valid_solicitation(&good, 64, source), "it was forwarded");
        assert!(!is_valid_solicitation(&good, 255, Ipv6Addr::UNSPECIFIED), "a MAC address of nobody");
        assert!(!is_valid_solicitation(&good[..7], 255, source), "too short");
        assert!(!is_valid_solicitation(&good[..12], 255, source), "half an option");
        assert!(!is_valid_solicitation(&[&good[..8], &[1, 0, 2, 0, 0, 0, 0, 1]].concat(), 255, source), "no length");
        let with = |place: usize, value: u8| {
            let mut message = good.clone();
            message[place] = value;
            message
        };
        assert!(!is_valid_solicitation(&with(0, 134), 255, source), "another type");
        assert!(!is_valid_solicitation(&with(1, 1), 255, source), "another code");
    }

    /// What a host reads, written after RFC 4861 section 4.2, and not after what is sent.
    fn read(message: &[u8]) -> (u16, MacAddress, u32, Vec<String>) {
        let number = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap());
        let (mut at, mut mac, mut mtu, mut prefixes) = (16, None, 0, Vec::new());
        while at < message.len() {
            match message[at] {
                1 => mac = <[u8; 6]>::try_from(&message[at + 2..at + 8]).ok().map(MacAddress::from),
                5 => mtu = number(at + 4),
                3 => {
                    let prefix: [u8; 16] = message[at + 16..at + 32].try_into().unwrap();
                    prefixes.push(format!("{}/{}", Ipv6Addr::from(prefix), message[at + 2]));
                }
                kind => panic!("option {kind}"),
            }
            at += usize::from(message[at + 1]) * 8;
        }
        assert_eq!(at, message.len());
        (u16::from_be_bytes([message[6], message[7]]), mac.unwrap(), mtu, prefixes)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn hosts_read_what_is_said(mac in any::<[u8; 5]>(), mtu in 1280..65535_u32, nets in prop::collection::btree_set(any::<u64>(), 0..5)) {
            let [a, b, c, d, e] = mac;
            let mac = MacAddress::from([2, a, b, c, d, e]);
            let network = |net: &u64| ipnetwork::Ipv6Network::new(Ipv6Addr::from(u128::from(*net) << 64), 64).unwrap();
            let prefixes: Vec<_> = nets.iter().map(network).collect();
            let shown: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
            let of = Advertised { interface: "eth0".try_into().unwrap(), mac, mtu: mtu.try_into().unwrap(), prefixes };
            prop_assert_eq!(read(&router_advertisement(&of)), (1800, mac, mtu, shown));
        }

        #[test]
        fn no_message_is_too_strange(message in prop::collection::vec(any::<u8>(), 0..80), hops in 0..256) {
            let _ = is_valid_solicitation(&message, hops, Ipv6Addr::LOCALHOST);
        }
    }
}
