//! `show --watch`: a line for each change, printed at once.

use super::args::Global;
use super::render::{Paint, is_read};
use super::render_lab;
use crate::model::LabName;
use crate::report::{Change, LabReport, Property};
use jiff::{Timestamp, ZonedDateTime};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// A line of JSON.
#[derive(Serialize)]
struct Line<T> {
    /// RFC 3339, in UTC.
    time: String,
    #[serde(flatten)]
    told: T,
}

/// The lab when it began. Says whether there is still a reader, as the others do.
pub(super) fn first(global: &Global, report: &LabReport) -> bool {
    #[derive(Serialize)]
    struct First<'a> {
        what: &'a LabName,
        report: &'a LabReport,
    }
    if global.json {
        return is_read(&json(First { what: &report.lab, report }));
    }
    is_read(&format!("{}\n", render_lab::tables(report)))
}

pub(super) fn changes(global: &Global, changes: &[Change]) -> bool {
    let paint = Paint::new();
    let mut text = String::new();
    for change in changes {
        if global.json {
            text += &json(change);
        } else {
            let _ = writeln!(text, "{} {}", time(), words(&paint, change));
        }
    }
    is_read(&text)
}

/// The end of the lab.
pub(super) fn gone(global: &Global, lab: &LabName) -> bool {
    #[derive(Serialize)]
    struct Gone<'a> {
        what: &'a LabName,
        property: &'static str,
        to: &'static str,
    }
    if global.json {
        return is_read(&json(Gone { what: lab, property: "condition", to: "gone" }));
    }
    is_read(&format!("{} {lab} is gone\n", time()))
}

fn json(told: impl Serialize) -> String {
    let line = Line { time: format!("{:.3}", Timestamp::now()), told };
    serde_json::to_string(&line).map_or_else(|error| format!("{{\"error\":\"{error}\"}}\n"), |line| line + "\n")
}

/// The time of the day here, as tcpdump(8) writes it.
pub(super) fn time() -> String {
    ZonedDateTime::now().strftime("%H:%M:%S.%3f").to_string()
}

fn words(paint: &Paint, change: &Change) -> String {
    let Change { what, property, from, to } = change;
    let what = paint.strong(what);
    let (before, now) = (value(from), value(to));
    let label = match property {
        Property::Condition | Property::State => return format!("{what} {before} -> {now}"),
        Property::Node | Property::Switch if from.is_null() => return format!("{what} is new, as {now}"),
        Property::Interface | Property::Port if from.is_null() => return format!("{what} is new, {now}"),
        Property::Node | Property::Switch | Property::Interface | Property::Port => {
            return format!("{what} is no part of the lab any more");
        }
        Property::Present => {
            return format!(
                "{what} {}",
                if *to == Value::Bool(true) { "has its bridge again" } else { "lost its bridge" }
            );
        }
        Property::Router => {
            return format!(
                "{what} {}",
                if *to == Value::Bool(true) { "is a router" } else { "is no router any more" }
            );
        }
        Property::Trouble if to.is_null() => return format!("{what} is seen again"),
        Property::Trouble => return format!("{what} can't be seen: {now}"),
        Property::Error if to.is_null() => return format!("{what} has no error any more"),
        Property::Error => return format!("{what} error: {now}"),
        Property::Address => "address",
        Property::Route => "route",
        Property::Advertisement => "advertisement",
        Property::Mac => "MAC",
        Property::Mtu => "MTU",
        Property::Peer => "linked to",
        Property::Conditions => "conditions",
        Property::Backend => "made of",
        Property::SpanningTree => "spanning tree",
        Property::Forwards => "forwards",
        Property::McastSnooping => "multicast snooping",
        Property::Forwarding => "frames",
        Property::Vlan => "VLAN",
        Property::Ofport => "OpenFlow port",
        Property::Uplink => "uplink",
    };
    match (property, from, to) {
        (Property::Address | Property::Route | Property::Advertisement, Value::Null, _) => {
            format!("{what} {label} {now} added")
        }
        (Property::Address | Property::Route | Property::Advertisement, ..) => {
            format!("{what} {label} {before} removed")
        }
        _ => format!("{what} {label} {before} -> {now}"),
    }
}

/// A value as people write it.
fn value(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => match text.as_str() {
            "no_carrier" => "no carrier".to_owned(),
            "half_made" => "half-made".to_owned(),
            "half_changed" => "half-changed".to_owned(),
            other => other.to_owned(),
        },
        Value::Bool(is_on) => (if *is_on { "on" } else { "off" }).to_owned(),
        Value::Array(all) if all.is_empty() => "nothing".to_owned(),
        Value::Array(all) => all.iter().map(self::value).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
