//! What brings removed interfaces back as they were observed, with everything that went with them.

use super::world::{Place, World, interface};
use crate::model::qdisc::Qdiscs;
use crate::model::{
    Address, Bridge, IfName, Interface, MacAddress, Mtu, NetnsName, PortFwdMask, PortVlans, Route, Sysctl, Veth,
    VethEnd,
};
use crate::observed::{ObservedLink, ObservedLinkKind, ObservedRoute, ObservedShaping};
use crate::plan::types::{LinkChange, Master, Op};
use std::net::IpAddr;

/// The ops that bring back the interfaces at `places` and the other ends of those that are veths.
pub(super) fn links(world: &World<'_>, places: &[Place<'_>]) -> Vec<Op> {
    let mut ops = Vec::new();
    // Bridges before their ports.
    let mut back: Vec<(Place<'_>, &ObservedLink)> = Vec::new();
    for &place in places {
        if let Some((bridge, link)) = link(world, place).and_then(|link| Some((bridge(place, link)?, link))) {
            ops.push(Op::SetBridge(bridge));
            back.push((place, link));
        }
    }
    for &place in places {
        if let Some((veth, ends)) = veth(world, place) {
            ops.push(Op::AddVeth(veth));
            back.extend(ends);
        }
    }
    for &(place, link) in &back {
        rejoin_ports(world, place, link, &mut ops);
        if let Some(interface) = interface(place) {
            if !link.up && bridge(place, link).is_some() {
                ops.push(Op::SetLink(LinkChange { up: Some(false), ..LinkChange::of(interface.clone()) }));
            }
            ops.extend(qdiscs(interface.clone(), link).map(Op::SetQdiscs));
            ops.extend(port(place, link));
            if let Some(inside) = world.inside(place.0) {
                let own = inside.sysctls.iter().filter(|(key, _)| key.interface().as_ref() == Some(&interface.name));
                ops.extend(own.map(|(key, value)| {
                    Op::SetSysctl(Sysctl { netns: place.0.clone(), key: key.clone(), value: value.clone() })
                }));
            }
            let addresses = link.addresses.iter();
            ops.extend(addresses.map(|&address| Op::AddAddress(Address { interface: interface.clone(), address })));
        }
    }
    // After all addresses: a next hop is in the subnet of one.
    for ((netns, name), link) in back {
        let routes = world.inside(netns).into_iter().flat_map(|inside| &inside.routes).filter(|r| r.dev == name);
        let possible = routes.filter(|route| reaches(link, route.via));
        ops.extend(possible.filter_map(|observed| route(netns, observed)).map(Op::AddRoute));
    }
    ops
}

fn link<'a>(world: &World<'a>, place: Place<'a>) -> Option<&'a ObservedLink> {
    world.inside(place.0)?.links.get(place.1)
}

/// The ports that a removed bridge leaves behind become its ports again.
fn rejoin_ports(world: &World<'_>, place: Place<'_>, link: &ObservedLink, ops: &mut Vec<Op>) {
    let (ObservedLinkKind::Bridge { .. }, Some(bridge), Some(inside)) =
        (&link.kind, interface(place), world.inside(place.0))
    else {
        return;
    };
    for (name, port) in &inside.links {
        let port_place = (place.0, name.as_str());
        if port.master.as_deref() != Some(place.1) || world.gone_links.contains(&port_place) {
            continue;
        }
        if let Some(interface) = interface(port_place) {
            let master = Some(Master::Bridge(bridge.name.clone()));
            ops.push(Op::SetLink(LinkChange { master, ..LinkChange::of(interface) }));
            ops.extend(self::port(port_place, port));
        }
    }
}

/// An observed bridge as one that can be made; `None` where it is none, or has what nslab can't give it.
pub(super) fn bridge(place: Place<'_>, link: &ObservedLink) -> Option<Bridge> {
    let ObservedLinkKind::Bridge { stp, vlan_filtering, mcast_snooping, group_fwd_mask } = link.kind else {
        return None;
    };
    let (mac, mtu) = ethernet(link)?;
    Some(Bridge { interface: interface(place)?, mac, mtu, stp, vlan_filtering, mcast_snooping, group_fwd_mask })
}

fn veth<'a>(world: &World<'a>, place: Place<'a>) -> Option<(Veth, [(Place<'a>, &'a ObservedLink); 2])> {
    let here = (place, link(world, place)?);
    let peer = world.peer(place)?;
    let there = (peer, link(world, peer)?);
    let (a, b) = (veth_end(here.0, here.1)?, veth_end(there.0, there.1)?);
    let veth = if a.master.is_none() && b.master.is_some() { Veth { a: b, b: a } } else { Veth { a, b } };
    Some((veth, [here, there]))
}

fn veth_end(place: Place<'_>, link: &ObservedLink) -> Option<VethEnd> {
    let (mac, mtu) = ethernet(link)?;
    // What an interface of the host's is called is ours to say; in our own namespaces the alias says nothing.
    let mark = if *place.0 == NetnsName::Host { link.alias.clone() } else { None };
    let software_checksums = link.software_checksums == Some(true);
    // Only that of a gateway has such addresses.
    let ignores_routers = *place.0 == NetnsName::Host && link.addresses.iter().any(ipnetwork::IpNetwork::is_ipv6);
    Some(VethEnd {
        interface: interface(place)?,
        mac,
        mtu,
        master: master(link),
        mark,
        software_checksums,
        ignores_routers,
        up: link.up,
    })
}

fn ethernet(link: &ObservedLink) -> Option<(MacAddress, Mtu)> {
    Some((link.mac?, Mtu::try_from(link.mtu_bytes).ok()?))
}

fn master(link: &ObservedLink) -> Option<IfName> {
    IfName::try_from(link.master.as_deref()?).ok()
}

/// What a bridge's port loses when it leaves its bridge.
pub(super) fn port(place: Place<'_>, link: &ObservedLink) -> impl Iterator<Item = Op> + use<> {
    let mask = port_fwd_mask(place, link).filter(|mask| !mask.mask.is_empty());
    port_vlans(place, link).map(Op::SetPortVlans).into_iter().chain(mask.map(Op::SetPortFwdMask))
}

/// The link-local frames that a bridge's port is observed to let in.
pub(super) fn port_fwd_mask(place: Place<'_>, link: &ObservedLink) -> Option<PortFwdMask> {
    let mask = link.port.as_ref()?.group_fwd_mask;
    Some(PortFwdMask { port: interface(place)?, mask })
}

/// The VLANs that a bridge's port is observed to have.
pub(super) fn port_vlans(place: Place<'_>, link: &ObservedLink) -> Option<PortVlans> {
    let mode = link.port.as_ref()?.vlans.clone()?;
    Some(PortVlans { port: interface(place)?, mode })
}

/// What shapes what leaves by an interface, as it is observed; `None` where that can't be made again.
pub(super) fn qdiscs(interface: Interface, link: &ObservedLink) -> Option<Qdiscs> {
    match link.shaping {
        Some(ObservedShaping::Known(shaping)) => Some(Qdiscs { interface, shaping }),
        Some(ObservedShaping::Other(_)) | None => None,
    }
}

/// An observed route as one that can be added.
pub(super) fn route(netns: &NetnsName, route: &ObservedRoute) -> Option<Route> {
    let ObservedRoute { to, via, dev, metric } = route;
    let metric = (*metric != default_metric(*to)).then_some(*metric);
    Some(Route { netns: netns.clone(), to: *to, via: *via, dev: IfName::try_from(dev.as_str()).ok()?, metric })
}

/// Whether the kernel takes a route over an interface to this next hop. It keeps one whose address was removed since,
/// but can't be given it again. An interface that has just come back has not heard of any router yet.
pub(super) fn reaches(link: &ObservedLink, via: IpAddr) -> bool {
    let link_local = matches!(via, IpAddr::V6(via) if via.is_unicast_link_local());
    link.up && (link_local || link.addresses.iter().any(|address| address.contains(via)))
}

/// The metric of a route that was given none: none at all in IPv4, `IP6_RT_PRIO_USER` (`net/ip6_route.h`) in IPv6.
pub(super) fn default_metric(to: ipnetwork::IpNetwork) -> u32 {
    if to.is_ipv6() { 1024 } else { 0 }
}
