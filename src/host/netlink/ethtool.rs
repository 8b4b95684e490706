//! Checksums in hardware or in software: a network device's features over ethtool netlink
//! (Documentation/networking/ethtool-netlink.rst, linux/ethtool_netlink.h).

use super::connection::Connection;
use super::errno::NetlinkError;
use super::generic::{self, Plain, nested, number, text, within};
use netlink_packet_generic::GenlMessage;
use nix::errno::Errno;
use std::sync::OnceLock;

const FAMILY: &str = "ethtool";

const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
const ETHTOOL_MSG_FEATURES_SET: u8 = 12;

const ETHTOOL_A_HEADER_DEV_NAME: u16 = 2;
const ETHTOOL_A_HEADER_FLAGS: u16 = 3;
const ETHTOOL_FLAG_OMIT_REPLY: u32 = 1 << 1;

const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
const ETHTOOL_A_FEATURES_WANTED: u16 = 3;
const ETHTOOL_A_FEATURES_ACTIVE: u16 = 4;

const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
const ETHTOOL_A_BITSET_BIT_VALUE: u16 = 3;

/// The features by which a device is trusted to put checksums in (NETIF_F_CSUM_MASK, net/ethtool/common.c); what
/// `ethtool -K DEV tx off` turns off.
const CHECKSUM_FEATURES: [&str; 5] =
    ["tx-checksum-ipv4", "tx-checksum-ip-generic", "tx-checksum-ipv6", "tx-checksum-fcoe-crc", "tx-checksum-sctp"];

/// The one of them that a veth has.
const VETH_CHECKSUM: &str = "tx-checksum-ip-generic";

fn family() -> Result<u16, NetlinkError> {
    static ID: OnceLock<u16> = OnceLock::new();
    if let Some(&id) = ID.get() {
        return Ok(id);
    }
    let id = generic::family_id(FAMILY)?.ok_or(NetlinkError::refused(Errno::EOPNOTSUPP))?;
    Ok(*ID.get_or_init(|| id))
}

fn header(name: &str, flags: u32) -> netlink_packet_core::DefaultNla {
    let inside = [text(ETHTOOL_A_HEADER_DEV_NAME, name), number(ETHTOOL_A_HEADER_FLAGS, flags)];
    nested(ETHTOOL_A_FEATURES_HEADER, &inside)
}

/// Has a device of the calling thread's namespace leave checksums to the kernel, or not.
pub(crate) fn set_software_checksums(name: &str, software: bool) -> Result<(), NetlinkError> {
    let bit = |feature: &&str| {
        let mut inside = vec![text(ETHTOOL_A_BITSET_BIT_NAME, feature)];
        if !software {
            inside.push(netlink_packet_core::DefaultNla::new(ETHTOOL_A_BITSET_BIT_VALUE, Vec::new()));
        }
        nested(ETHTOOL_A_BITSET_BITS_BIT, &inside)
    };
    // What the device can't do it may only be told not to.
    let features = if software { &CHECKSUM_FEATURES[..] } else { &[VETH_CHECKSUM][..] };
    let bits: Vec<_> = features.iter().map(bit).collect();
    let wanted = nested(ETHTOOL_A_FEATURES_WANTED, &[nested(ETHTOOL_A_BITSET_BITS, &bits)]);
    let attributes = vec![header(name, ETHTOOL_FLAG_OMIT_REPLY), wanted];
    let message = Plain { command: ETHTOOL_MSG_FEATURES_SET, attributes }.for_family(family()?);
    Connection::<GenlMessage<Plain>>::open_generic()?.execute(message, 0)
}

/// Whether a device of the calling thread's namespace leaves checksums to the kernel.
pub(crate) fn has_software_checksums(name: &str) -> Result<bool, NetlinkError> {
    let attributes = vec![header(name, 0)];
    let message = Plain { command: ETHTOOL_MSG_FEATURES_GET, attributes }.for_family(family()?);
    let answer = Connection::<GenlMessage<Plain>>::open_generic()?.get(message)?;
    let active = within(&answer.payload.attributes, ETHTOOL_A_FEATURES_ACTIVE);
    if active.is_empty() {
        return Err(NetlinkError::Incomplete("the device's features"));
    }
    // A list of the bits that are set.
    let bits = within(&within(&active, ETHTOOL_A_BITSET_BITS), ETHTOOL_A_BITSET_BITS_BIT);
    let name = text(ETHTOOL_A_BITSET_BIT_NAME, VETH_CHECKSUM);
    Ok(!bits.contains(&name))
}
