//! Routes and rules in the words of ip-route(8) and ip-rule(8), for people and for the script of a plan. What is moved is the
//! kernel's own message, not this.

use super::route::{destination, ip, table};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RoutePreference, RouteProtocol, RouteScope,
    RouteType, RouteVia,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};

/// A route, without the interface. Of one by several ways, the ways are left out.
pub(super) fn of_route(route: &RouteMessage) -> String {
    let mut words = Vec::new();
    if route.header.kind != RouteType::Unicast {
        words.push(format!("{:?}", route.header.kind).to_lowercase());
    }
    words.push(match destination(route) {
        Some(to) if to.prefix() == 0 => "default".to_owned(),
        Some(to) => to.to_string(),
        None => "?".to_owned(),
    });
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Gateway(by) => words.extend(ip(by).map(|by| format!("via {by}"))),
            RouteAttribute::Via(RouteVia::Inet6(by)) => words.push(format!("via inet6 {by}")),
            RouteAttribute::PrefSource(source) => words.extend(ip(source).map(|source| format!("src {source}"))),
            RouteAttribute::Priority(metric) if *metric != 0 => words.push(format!("metric {metric}")),
            RouteAttribute::Realm(realm) => words.push(format!("realm {}/{}", realm.source, realm.destination)),
            RouteAttribute::Metrics(all) => words.extend(all.iter().filter_map(of_metric)),
            RouteAttribute::Preference(RoutePreference::Low) => words.push("pref low".to_owned()),
            RouteAttribute::Preference(RoutePreference::High) => words.push("pref high".to_owned()),
            RouteAttribute::Expires(seconds) => words.push(format!("expires {seconds}")),
            RouteAttribute::MultiPath(_) => words.push("by several ways".to_owned()),
            _ => {}
        }
    }
    if table(route) != u32::from(RouteHeader::RT_TABLE_MAIN) {
        words.push(format!("table {}", table(route)));
    }
    if route.header.tos != 0 {
        words.push(format!("tos {:#04x}", route.header.tos));
    }
    words.extend(of_protocol(route.header.protocol));
    if route.header.address_family == AddressFamily::Inet {
        words.push(format!("scope {}", of_scope(route.header.scope)));
    }
    if route.header.flags.contains(RouteFlags::Onlink) {
        words.push("onlink".to_owned());
    }
    words.join(" ")
}

fn of_metric(metric: &RouteMetric) -> Option<String> {
    Some(match metric {
        RouteMetric::Mtu(value) => format!("mtu {value}"),
        RouteMetric::Window(value) => format!("window {value}"),
        RouteMetric::Cwnd(value) => format!("cwnd {value}"),
        RouteMetric::Advmss(value) => format!("advmss {value}"),
        RouteMetric::Reordering(value) => format!("reordering {value}"),
        RouteMetric::Hoplimit(value) => format!("hoplimit {value}"),
        RouteMetric::InitCwnd(value) => format!("initcwnd {value}"),
        RouteMetric::InitRwnd(value) => format!("initrwnd {value}"),
        RouteMetric::QuickAck(value) => format!("quickack {value}"),
        RouteMetric::CcAlgo(name) => format!("congctl {name}"),
        _ => return None,
    })
}

/// `boot` is what ip-route(8) itself says without a word.
fn of_protocol(protocol: RouteProtocol) -> Option<String> {
    let name = match protocol {
        RouteProtocol::Boot => return None,
        RouteProtocol::Kernel => "kernel",
        RouteProtocol::Static => "static",
        RouteProtocol::Ra => "ra",
        RouteProtocol::Dhcp => "dhcp",
        other => return Some(format!("proto {}", u8::from(other))),
    };
    Some(format!("proto {name}"))
}

fn of_scope(scope: RouteScope) -> String {
    match scope {
        RouteScope::Universe => "global".to_owned(),
        RouteScope::Link => "link".to_owned(),
        RouteScope::Host => "host".to_owned(),
        other => u8::from(other).to_string(),
    }
}

/// A rule, with the interfaces that it names.
pub(super) fn of_rule(rule: &RuleMessage) -> String {
    let header = &rule.header;
    let mut words = Vec::new();
    let (mut table, mut mask) = (u32::from(header.table), None);
    if header.flags.contains(RuleFlags::Invert) {
        words.push("not".to_owned());
    }
    for attribute in &rule.attributes {
        if let RuleAttribute::FwMask(value) = attribute {
            mask = Some(*value);
        }
    }
    for attribute in &rule.attributes {
        words.push(match attribute {
            RuleAttribute::Source(from) => format!("from {from}/{}", header.src_len),
            RuleAttribute::Destination(to) => format!("to {to}/{}", header.dst_len),
            RuleAttribute::Iifname(name) => format!("iif {name}"),
            RuleAttribute::Oifname(name) => format!("oif {name}"),
            RuleAttribute::Priority(value) => format!("priority {value}"),
            RuleAttribute::FwMark(value) => format!("fwmark {value:#x}/{:#x}", mask.unwrap_or(u32::MAX)),
            RuleAttribute::IpProtocol(protocol) => format!("ipproto {}", u8::from(*protocol)),
            RuleAttribute::SourcePortRange(ports) => format!("sport {}-{}", ports.start, ports.end),
            RuleAttribute::DestinationPortRange(ports) => format!("dport {}-{}", ports.start, ports.end),
            RuleAttribute::UidRange(users) => format!("uidrange {}-{}", users.start, users.end),
            RuleAttribute::SuppressPrefixLen(length) if *length != u32::MAX => {
                format!("suppress_prefixlength {length}")
            }
            RuleAttribute::Realm(realm) => format!("realms {}/{}", realm.source, realm.destination),
            RuleAttribute::Protocol(protocol) => format!("protocol {}", u8::from(*protocol)),
            RuleAttribute::Goto(priority) => format!("goto {priority}"),
            RuleAttribute::Table(value) => {
                table = *value;
                continue;
            }
            _ => continue,
        });
    }
    if header.tos != 0 {
        words.push(format!("tos {:#04x}", header.tos));
    }
    match header.action {
        RuleAction::ToTable => words.push(format!("lookup {table}")),
        RuleAction::Blackhole => words.push("blackhole".to_owned()),
        RuleAction::Unreachable => words.push("unreachable".to_owned()),
        RuleAction::Prohibit => words.push("prohibit".to_owned()),
        RuleAction::Nop => words.push("nop".to_owned()),
        _ => {}
    }
    words.join(" ")
}
