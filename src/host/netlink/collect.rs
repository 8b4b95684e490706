//! Everything of a namespace that a plan needs to know, read with one dump of each kind.

use super::connection::Connection;
use super::errno::NetlinkError;
use super::links::{LOOPBACK, Link};
use super::{addresses, bridge, ethtool, lease, qdiscs, routes, vlans};
use crate::host::Look;
use crate::model::{LinkStatistics, MacAddress, SLAAC_PREFIX_LENGTH};
use crate::observed::{ObservedLink, ObservedLinkKind, ObservedNetns, ObservedPort, ObservedRoute, PortState};
use ipnetwork::IpNetwork;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    BridgePortState, InfoBridgePort, InfoKind, InfoPortData, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo,
    LinkLayerType, LinkMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// What the kernel calls the device that stands for an Open vSwitch datapath (net/openvswitch/vport-internal_dev.c).
const OVS_KIND: &str = "openvswitch";

/// Looks at the connection's namespace; its inode and sysctls are left to the caller. Where checksums are wanted, it has
/// to be the calling thread's.
pub(crate) fn observe(connection: &mut Connection, look: &Look) -> Result<ObservedNetns, NetlinkError> {
    let Look { sysctls: _, vlans, checksums, statistics } = look;
    let mut observed = ObservedNetns::default();
    let links = dump_links(connection, *statistics)?;
    let names: HashMap<u32, String> =
        links.iter().map(|(name, message)| (message.header.index, name.clone())).collect();
    // To the kernel, the ports of Open vSwitch's datapath have a master too. It is not one that can be set.
    let masters: HashMap<u32, String> = links
        .iter()
        .filter(|(_, message)| kind_in(message) != Some(InfoKind::Other(OVS_KIND.to_owned())))
        .map(|(name, message)| (message.header.index, name.clone()))
        .collect();
    let only_loopback = links.len() == 1;
    let is_shaped = links.iter().any(|(_, message)| has_queue(message));
    for (name, message) in links {
        if message.header.flags.contains(LinkFlags::Loopback) && name == LOOPBACK {
            observed.loopback_up = message.header.flags.contains(LinkFlags::Up);
            observed.mark = Link::from(message).alias;
        } else {
            observed.links.insert(name, observed_link(message, &masters));
        }
    }
    if only_loopback {
        return Ok(observed);
    }
    let has_ipv6 = add_addresses(connection, &names, &mut observed.links)?;
    let families = if has_ipv6 { &[AddressFamily::Inet, AddressFamily::Inet6][..] } else { &[AddressFamily::Inet] };
    for family in families {
        for route in routes::dump(connection, *family)? {
            if let Some(dev) = names.get(&route.dev_index) {
                if let (true, IpAddr::V6(router)) = (route.is_advertised, route.via) {
                    observed.routers.insert((dev.clone(), router));
                    continue;
                }
                let (to, via, metric) = (route.to, route.via, route.metric);
                let is_leased = route.is_leased;
                let route = ObservedRoute { to, via, dev: dev.clone(), metric };
                match observed.links.get_mut(dev).filter(|_| is_leased) {
                    Some(link) => link.leased_routes.insert(route),
                    None => observed.routes.insert(route),
                };
            }
        }
    }
    for (name, link) in &mut observed.links {
        if checksums.iter().any(|wanted| wanted.as_str() == name) {
            link.software_checksums = Some(ethtool::has_software_checksums(name)?);
        }
    }
    if is_shaped {
        let mut shapings = qdiscs::dump(connection)?;
        for link in observed.links.values_mut() {
            link.shaping = shapings.remove(&link.index);
        }
    }
    if *vlans {
        add_vlans(connection, &mut observed.links)?;
    }
    Ok(observed)
}

pub(super) fn dump_links(
    connection: &mut Connection,
    with_statistics: bool,
) -> Result<Vec<(String, LinkMessage)>, NetlinkError> {
    let mut message = LinkMessage::default();
    if !with_statistics {
        message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    }
    let mut links = Vec::new();
    for message in connection.dump(&RouteNetlinkMessage::GetLink(message))? {
        let RouteNetlinkMessage::NewLink(message) = message else { continue };
        let name = message.attributes.iter().find_map(|a| match a {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        });
        links.push((name.ok_or(NetlinkError::Incomplete("an interface's name"))?, message));
    }
    Ok(links)
}

/// Whether an interface has a queueing discipline that is not what one without a queue has from the kernel.
fn has_queue(message: &LinkMessage) -> bool {
    let of =
        message.attributes.iter().find_map(|a| if let LinkAttribute::Qdisc(of) = a { Some(of.as_str()) } else { None });
    of.is_some_and(|of| !["noqueue", "noop"].contains(&of))
}

fn kind_in(message: &LinkMessage) -> Option<InfoKind> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(info) => {
            info.iter().find_map(|info| if let LinkInfo::Kind(kind) = info { Some(kind.clone()) } else { None })
        }
        _ => None,
    })
}

fn observed_link(message: LinkMessage, masters: &HashMap<u32, String>) -> ObservedLink {
    let statistics = statistics_in(&message);
    let is_ethernet = message.header.link_layer_type == LinkLayerType::Ether;
    let link = Link::from(message);
    ObservedLink {
        index: link.index,
        mac: <[u8; 6]>::try_from(link.mac.as_slice()).ok().filter(|_| is_ethernet).map(MacAddress::from),
        mtu_bytes: link.mtu_bytes,
        up: link.up,
        carrier: link.carrier,
        master: link.master_index.and_then(|index| masters.get(&index).cloned()),
        port: port_in(&link.info),
        alias: link.alias.clone(),
        software_checksums: None,
        shaping: None,
        statistics,
        addresses: BTreeSet::new(),
        autoconfigured: BTreeSet::new(),
        leased: BTreeSet::new(),
        leased_routes: BTreeSet::new(),
        kind: kind_of(&link),
    }
}

pub(super) fn statistics_in(message: &LinkMessage) -> Option<LinkStatistics> {
    let of =
        message.attributes.iter().find_map(|a| if let LinkAttribute::Stats64(of) = a { Some(*of) } else { None })?;
    Some(LinkStatistics {
        rx_packets: of.rx_packets,
        rx_bytes: of.rx_bytes,
        rx_errors: of.rx_errors,
        rx_dropped: of.rx_dropped,
        tx_packets: of.tx_packets,
        tx_bytes: of.tx_bytes,
        tx_errors: of.tx_errors,
        tx_dropped: of.tx_dropped,
    })
}

fn kind_of(link: &Link) -> ObservedLinkKind {
    match &link.kind {
        Some(InfoKind::Veth) => ObservedLinkKind::Veth { peer_index: link.peer_index.unwrap_or(0) },
        Some(InfoKind::Bridge) => {
            let bridge::BridgeSettings { stp, vlan_filtering, mcast_snooping, group_fwd_mask } =
                bridge::settings_in(&link.info);
            ObservedLinkKind::Bridge { stp, vlan_filtering, mcast_snooping, group_fwd_mask }
        }
        Some(kind) => ObservedLinkKind::Other(kind.to_string()),
        None => ObservedLinkKind::Other(String::new()),
    }
}

fn port_in(info: &[LinkInfo]) -> Option<ObservedPort> {
    let attributes = info.iter().find_map(|i| match i {
        LinkInfo::PortData(InfoPortData::BridgePort(attributes)) => Some(attributes),
        _ => None,
    })?;
    let state = attributes.iter().find_map(|a| if let InfoBridgePort::State(s) = a { Some(*s) } else { None })?;
    let state = match state {
        BridgePortState::Listening => PortState::Listening,
        BridgePortState::Learning => PortState::Learning,
        BridgePortState::Forwarding => PortState::Forwarding,
        BridgePortState::Blocking => PortState::Blocking,
        _ => PortState::Disabled,
    };
    let mask =
        attributes.iter().find_map(|a| if let InfoBridgePort::GroupFwdMask(bits) = a { Some(*bits) } else { None });
    Some(ObservedPort { state, vlans: None, group_fwd_mask: mask.unwrap_or_default().into() })
}

/// Gives the links their addresses; returns whether any interface but `lo` has an IPv6 one, be it one that the kernel
/// made itself.
fn add_addresses(
    connection: &mut Connection,
    names: &HashMap<u32, String>,
    links: &mut BTreeMap<String, ObservedLink>,
) -> Result<bool, NetlinkError> {
    let mut has_ipv6 = false;
    for message in addresses::dump(connection)? {
        let Some(link) = names.get(&message.header.index).and_then(|name| links.get_mut(name)) else { continue };
        let Some(address) = addresses::address_in(&message) else { continue };
        has_ipv6 |= address.is_ipv6();
        if lease::is_leased(&message) {
            link.leased.insert(address);
        } else if is_of_an_advertisement(&message, address) {
            // What is still being looked for on the link, or was found there, is of no use.
            if !flags_of(&message).intersects(AddressFlags::Tentative | AddressFlags::Dadfailed) {
                link.autoconfigured.insert(address);
            }
        } else if !is_made_by_the_kernel(&message, address) {
            link.addresses.insert(address);
        }
    }
    Ok(has_ipv6)
}

fn is_made_by_the_kernel(message: &AddressMessage, address: IpNetwork) -> bool {
    let IpNetwork::V6(network) = address else { return false };
    message.header.scope == AddressScope::Link && network.prefix() == 64 && network.ip().is_unicast_link_local()
}

/// Whether an address has a lifetime, and half of it is a prefix.
fn is_of_an_advertisement(message: &AddressMessage, address: IpNetwork) -> bool {
    let IpNetwork::V6(network) = address else { return false };
    network.prefix() == SLAAC_PREFIX_LENGTH
        && message.header.scope == AddressScope::Universe
        && !flags_of(message).contains(AddressFlags::Permanent)
}

fn flags_of(message: &AddressMessage) -> AddressFlags {
    let flags =
        message.attributes.iter().find_map(|a| if let AddressAttribute::Flags(f) = a { Some(*f) } else { None });
    flags.unwrap_or_else(|| AddressFlags::from_bits_retain(u32::from(message.header.flags.bits())))
}

fn add_vlans(connection: &mut Connection, links: &mut BTreeMap<String, ObservedLink>) -> Result<(), NetlinkError> {
    let keeps_vlans = |link: &ObservedLink| matches!(link.kind, ObservedLinkKind::Bridge { vlan_filtering: true, .. });
    let filtering: Vec<String> = links.iter().filter(|(_, l)| keeps_vlans(l)).map(|(name, _)| name.clone()).collect();
    if filtering.is_empty() {
        return Ok(());
    }
    let vlans = vlans::dump(connection)?;
    for link in links.values_mut() {
        let Some(port) = &mut link.port else { continue };
        if link.master.as_ref().is_some_and(|master| filtering.contains(master)) {
            port.vlans = Some(vlans::mode_of(vlans.get(&link.index).unwrap_or(&BTreeMap::new())));
        }
    }
    Ok(())
}
