//! Arithmetic on networks: which addresses a host can have, what overlaps.

use ipnetwork::IpNetwork;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The length of an address in bits.
pub(super) fn bits(network: IpNetwork) -> u8 {
    if network.is_ipv4() { 32 } else { 128 }
}

/// The network that an address with its prefix length is in.
pub(super) fn network_of(address: IpNetwork) -> IpNetwork {
    IpNetwork::new(address.network(), address.prefix()).unwrap_or(address)
}

/// The network of all addresses of a family: 0.0.0.0/0 or `::/0`.
pub(super) fn everything(like: IpAddr) -> IpNetwork {
    let network = IpNetwork::from(like);
    network_of(IpNetwork::new(like, 0).unwrap_or(network))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn address(number: u128, like: IpNetwork) -> IpAddr {
    match (like, u32::try_from(number)) {
        (IpNetwork::V4(_), Ok(number)) => IpAddr::V4(Ipv4Addr::from(number)),
        _ => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// The first and the last address of a network, as numbers.
fn range(network: IpNetwork) -> (u128, u128) {
    let free = u32::from(bits(network) - network.prefix());
    let first = number(network.network());
    // Shifting by all 128 bits is no shift at all.
    let size_less_one = 1_u128.checked_shl(free).map_or(u128::MAX, |size| size - 1);
    (first, first | size_less_one)
}

/// The first and the last address that a host can have.
///
/// IPv4 leaves out the network's and the broadcast address, except in a /31 (RFC 3021) and a /32. IPv6 leaves out the
/// subnet-router anycast address (RFC 4291 section 2.6.1), except in a /127 (RFC 6164) and a /128.
pub(super) fn hosts(network: IpNetwork) -> (u128, u128) {
    let (first, last) = range(network);
    match (network, bits(network) - network.prefix()) {
        (_, 0 | 1) => (first, last),
        (IpNetwork::V4(_), _) => (first + 1, last - 1),
        (IpNetwork::V6(_), _) => (first + 1, last),
    }
}

/// How many hosts a network has addresses for.
pub(super) fn capacity(network: IpNetwork) -> u128 {
    let (first, last) = hosts(network);
    (last - first).saturating_add(1)
}

/// The longest prefix with addresses for so many hosts, in the network's family.
pub(super) fn prefix_for(needed: u128, network: IpNetwork) -> Option<u8> {
    (0..network.prefix())
        .rev()
        .find(|prefix| IpNetwork::new(network.ip(), *prefix).is_ok_and(|wider| capacity(network_of(wider)) >= needed))
}

/// A host's addresses in a network, from the first on.
pub(super) fn host_addresses(network: IpNetwork) -> impl Iterator<Item = IpAddr> {
    let (first, last) = hosts(network);
    (first..=last).map(move |n| address(n, network))
}

/// The first and the last address that a host can have, in words.
pub(super) fn hosts_in_words(network: IpNetwork) -> String {
    let (first, last) = hosts(network);
    format!("{} to {}", address(first, network), address(last, network))
}

/// The order in which a network comes right after the one that it lies in.
fn nesting_order(network: IpNetwork) -> (bool, u128, u8) {
    (network.is_ipv6(), range(network).0, network.prefix())
}

/// Pairs of networks that overlap and are of different `owner`s, as indices in the order of the list; each network is
/// in one pair with an earlier one at most, so that ten equal ones make nine pairs.
pub(super) fn overlaps<O: PartialEq>(networks: &[(IpNetwork, O)]) -> Vec<(usize, usize)> {
    let mut order: Vec<usize> = (0..networks.len()).collect();
    order.sort_by_key(|i| (nesting_order(networks[*i].0), *i));
    let mut pairs = Vec::new();
    // Networks either nest or lie apart: those that the current one lies in are a stack.
    let mut around: Vec<usize> = Vec::new();
    for index in order {
        let (network, owner) = &networks[index];
        while around.last().is_some_and(|outer| !holds(networks[*outer].0, *network)) {
            around.pop();
        }
        if let Some(outer) = around.iter().rev().find(|outer| networks[**outer].1 != *owner) {
            pairs.push((index.min(*outer), index.max(*outer)));
        }
        // One owner's networks in one another add nothing, and would make the search above long.
        if around.last().is_none_or(|outer| networks[*outer].1 != *owner) && around.len() < 129 {
            around.push(index);
        }
    }
    pairs
}

fn holds(outer: IpNetwork, inner: IpNetwork) -> bool {
    outer.is_ipv4() == inner.is_ipv4() && outer.contains(inner.network()) && outer.prefix() <= inner.prefix()
}

/// Why hosts can't be in a network, or have an address, of such a sort.
pub(super) fn unusable(address: IpAddr) -> Option<&'static str> {
    if address.is_multicast() {
        Some("multicast")
    } else if address.is_loopback() {
        Some("loopback")
    } else if address.is_unspecified() {
        Some("unspecified")
    } else {
        None
    }
}

/// fe80::/10, of which every link has its own.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNetwork {
        text.parse().unwrap()
    }

    #[test]
    fn hosts_leave_out_what_is_not_theirs() {
        for (network, words, count) in [
            ("10.0.0.0/30", "10.0.0.1 to 10.0.0.2", 2),
            ("10.0.0.0/31", "10.0.0.0 to 10.0.0.1", 2),
            ("10.0.0.7/32", "10.0.0.7 to 10.0.0.7", 1),
            ("fd00::/126", "fd00::1 to fd00::3", 3),
            ("fd00::/127", "fd00:: to fd00::1", 2),
            ("fd00::7/128", "fd00::7 to fd00::7", 1),
            ("0.0.0.0/0", "0.0.0.1 to 255.255.255.254", (1 << 32) - 2),
            ("::/0", "::1 to ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", u128::MAX),
        ] {
            assert_eq!(hosts_in_words(net(network)), words);
            assert_eq!(capacity(net(network)), count);
        }
        assert_eq!(prefix_for(5, net("10.0.0.0/30")), Some(29));
        assert_eq!(prefix_for(1000, net("10.0.0.0/24")), Some(22));
    }

    #[test]
    fn overlaps_are_found_across_families_and_owners() {
        let networks = [
            (net("10.0.0.0/24"), 'a'),
            (net("fd00::/64"), 'a'),
            (net("10.0.0.128/25"), 'b'),
            (net("10.0.1.0/24"), 'b'),
            (net("10.0.0.0/24"), 'c'),
            (net("10.0.0.0/25"), 'a'),
        ];
        let mut pairs = overlaps(&networks);
        pairs.sort_unstable();
        assert_eq!(pairs, [(0, 4), (2, 4), (4, 5)]);
    }
}
