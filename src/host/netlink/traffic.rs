//! What went into a namespace, and out of it.

use super::collect::{dump_links, statistics_in};
use super::connection::Connection;
use super::errno::NetlinkError;
use super::links::{LOOPBACK, Link};
use crate::model::LinkStatistics;
use netlink_packet_route::link::LinkFlags;
use std::collections::BTreeMap;

/// The mark of the connection's namespace, and what went through those of its interfaces that lead out of it, by their indices.
pub(crate) fn traffic(
    connection: &mut Connection,
) -> Result<(Option<String>, BTreeMap<u32, LinkStatistics>), NetlinkError> {
    let (mut mark, mut all) = (None, BTreeMap::new());
    for (name, message) in dump_links(connection, true)? {
        let is_loopback = message.header.flags.contains(LinkFlags::Loopback);
        let statistics = statistics_in(&message);
        let link = Link::from(message);
        if is_loopback && name == LOOPBACK {
            mark = link.alias;
        } else if !is_loopback && leads_out(&link) {
            all.extend(statistics.map(|statistics| (link.index, statistics)));
        }
    }
    Ok((mark, all))
}

/// Whether an interface has another end that is not in its namespace: a veth whose peer is elsewhere, or a NIC. What goes by a
/// VLAN, a bridge or a tunnel goes by such a one, too, and is not to be counted twice.
fn leads_out(link: &Link) -> bool {
    link.peer_netns_id.is_some() || link.kind.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};

    fn link(kind: Option<InfoKind>, attributes: &[LinkAttribute]) -> Link {
        let mut message = LinkMessage::default();
        message.attributes.extend(kind.map(|kind| LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)])));
        message.attributes.extend_from_slice(attributes);
        Link::from(message)
    }

    #[test]
    fn frames_are_counted_where_they_leave() {
        let elsewhere = [LinkAttribute::Link(5), LinkAttribute::LinkNetNsId(0)];
        assert!(leads_out(&link(Some(InfoKind::Veth), &elsewhere)));
        assert!(leads_out(&link(None, &[])), "a NIC");
        assert!(leads_out(&link(Some(InfoKind::MacVlan), &elsewhere)));
        let here = [LinkAttribute::Link(5)];
        for kind in [InfoKind::Veth, InfoKind::Vlan, InfoKind::MacVlan] {
            assert!(!leads_out(&link(Some(kind), &here)));
        }
        for kind in [InfoKind::Bridge, InfoKind::Dummy, InfoKind::Wireguard, InfoKind::Tun] {
            assert!(!leads_out(&link(Some(kind), &[])));
        }
    }
}
