//! A NIC as an uplink, as commands: ip-link(8), ip-address(8), ip-route(8).

use super::shell::Script;
use crate::model::{HostBridge, IfName, NetnsName, NicAddress, NicRoute, Uplink, UplinkAddress};

pub(super) fn set_bridge(script: &mut Script, HostBridge { name, mac, mtu, mark }: &HostBridge) {
    let mut ip = |command: &str| script.ip(&NetnsName::Host, command);
    ip(&format!("link add name {name} address {mac} type bridge"));
    ip(&format!("link set dev {name} mtu {mtu} alias '{mark}' up"));
}

pub(super) fn attach(script: &mut Script, of: &Uplink) {
    let moves = of.address != UplinkAddress::None;
    let arriving = if moves { &of.nic.addresses[..] } else { &[] };
    let routes = if moves { &of.nic.routes[..] } else { &[] };
    let master = format!("master {}", of.onto);
    change(script, of, (&of.nic.name, &of.onto), &master, arriving, routes);
}

pub(super) fn detach(script: &mut Script, of: &Uplink) {
    change(script, of, (&of.onto, &of.nic.name), "nomaster", &of.nic.addresses, &of.nic.routes);
}

/// In words: it takes a file, or a call over the bus, or a signal.
pub(super) fn release(script: &mut Script, of: &Uplink) {
    for holder in &of.holders {
        script.line(&format!("# {holder}: {}", holder.advice(&of.nic.name)));
    }
}

pub(super) fn take_back(script: &mut Script, of: &Uplink) {
    for holder in &of.holders {
        script.line(&format!("# {holder}: {}", holder.remedy(&of.nic.name)));
    }
}

fn change(
    script: &mut Script,
    of: &Uplink,
    (from, to): (&IfName, &IfName),
    master: &str,
    addresses: &[NicAddress],
    routes: &[NicRoute],
) {
    let mut ip = |command: String| script.ip(&NetnsName::Host, &command);
    for there in addresses {
        let NicAddress { address, lifetime, .. } = there;
        let nodad = if address.is_ipv6() { " nodad" } else { "" };
        let lasts = lifetime.map(|l| format!(" valid_lft {} preferred_lft {}", l.valid_s, l.preferred_s));
        ip(format!("address replace {address} dev {to}{nodad}{}", lasts.unwrap_or_default()));
    }
    if of.master().is_some() {
        ip(format!("link set dev {} {master}", of.nic.name));
    }
    for there in of.nic.addresses.iter().rev() {
        ip(format!("address delete {} dev {from}", there.address));
    }
    // As they are moved: what was before others is put before them, the last one first, and what is on the link comes first.
    let is_before = |route: &&NicRoute| !route.is_ipv6() && !route.is_behind;
    let (before, after): (Vec<&NicRoute>, Vec<&NicRoute>) = routes.iter().partition(is_before);
    let mut ordered: Vec<&NicRoute> = before.into_iter().rev().chain(after).collect();
    ordered.sort_by_key(|route| [" via ", " by several ways"].iter().any(|word| route.text.contains(word)));
    for route in ordered {
        // Where it leads to, then the way, then the rest.
        let (destination, rest) = route.text.split_once(' ').unwrap_or((&route.text, ""));
        let family = if route.is_ipv6() { "-6 " } else { "" };
        let how = if is_before(&route) { "prepend" } else { "append" };
        ip(format!("{family}route {how} {destination} dev {to} {rest}").trim_end().to_owned());
    }
}
