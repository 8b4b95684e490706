//! The routing rules that name a NIC (ip-rule(8)).

use super::super::connection::Connection;
use super::super::errno::NetlinkError;
use super::words;
use crate::model::{IfName, NicRule, RawMessage};
use netlink_packet_core::{Emitable, Parseable};
use netlink_packet_route::rule::{RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;

/// The rules that name an interface, in the order in which they are asked.
pub(super) fn of(connection: &mut Connection, name: &IfName) -> Result<Vec<NicRule>, NetlinkError> {
    let mut found = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RuleMessage::default();
        message.header.family = family;
        let answers = match connection.dump(&RouteNetlinkMessage::GetRule(message)) {
            // A kernel without rules.
            Err(error) if error.is(&[Errno::EOPNOTSUPP, Errno::EAFNOSUPPORT]) => continue,
            answers => answers?,
        };
        for answer in answers {
            let RouteNetlinkMessage::NewRule(rule) = answer else { continue };
            if names(&rule, name) {
                let mut bytes = vec![0; rule.buffer_len()];
                rule.emit(&mut bytes);
                found.push(NicRule { text: words::of_rule(&rule), message: RawMessage(bytes) });
            }
        }
    }
    Ok(found)
}

fn names(rule: &RuleMessage, name: &IfName) -> bool {
    rule.attributes.iter().any(|attribute| match attribute {
        RuleAttribute::Iifname(there) | RuleAttribute::Oifname(there) => there == name.as_str(),
        _ => false,
    })
}

/// A rule with the interface `to` where it names `from`.
pub(super) fn naming(rule: &NicRule, from: &IfName, to: &IfName) -> Result<RuleMessage, NetlinkError> {
    let mut rule = RuleMessage::parse(&rule.message.0).map_err(NetlinkError::Decode)?;
    for attribute in &mut rule.attributes {
        match attribute {
            RuleAttribute::Iifname(there) | RuleAttribute::Oifname(there) if there == from.as_str() => {
                *there = to.to_string();
            }
            _ => {}
        }
    }
    Ok(rule)
}
