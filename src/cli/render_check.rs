//! What `check` and `ping` found, as text and as JSON.

use super::args::Global;
use super::render::{Paint, json, table, text, took};
use crate::check::{CheckReport, Found, PingReply, PingSummary, Protocol};
use crate::model::NodeName;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

/// How many nodes a matrix has at most; more would not fit a screen.
const MATRIX_NODES: usize = 16;

/// How many failures are listed; `--json` and `--junit` have all.
const LISTED_FAILURES: usize = 40;

/// What a check found.
pub(super) fn check(global: &Global, report: &CheckReport) {
    if global.json {
        return json(report);
    }
    let paint = Paint::new();
    let mut out = String::new();
    if report.nodes.len() <= MATRIX_NODES {
        out.push_str(&matrix(report));
    }
    let failed = report.failures().count();
    for failure in report.failures().take(LISTED_FAILURES) {
        let _ = writeln!(out, "{} {}", paint.bad("✗"), failure.failure());
    }
    if failed > LISTED_FAILURES {
        let _ = writeln!(out, "… and {} more (--json has all)", failed - LISTED_FAILURES);
    }
    let all = report.probes.len();
    let sum = if failed == 0 {
        paint.good(&format!("all {all} probes are as expected"))
    } else {
        paint.bad(&format!("{failed} of {all} probes are not as expected"))
    };
    let _ = writeln!(out, "{}: {sum} ({})", report.lab, took(report.took_ms));
    text(&out);
}

/// Who reaches whom: rows ask, columns are asked. A cell has the ping's time in milliseconds, or `-` for no answer, and
/// `!` where that is not as expected.
fn matrix(report: &CheckReport) -> String {
    let mut cells: BTreeMap<(&str, &str), (String, bool)> = BTreeMap::new();
    for probe in &report.probes {
        let time = match probe.found {
            Found::Answer { took_ms } if probe.protocol == Protocol::Icmp => format!("{took_ms:.2}"),
            Found::Answer { .. } => "ok".to_owned(),
            Found::NoAnswer { .. } => "-".to_owned(),
        };
        let cell = cells.entry((probe.from.as_str(), probe.to.as_str())).or_insert_with(|| (time.clone(), true));
        if !probe.holds {
            *cell = (time, false);
        }
    }
    let names: Vec<&str> = report.nodes.iter().map(NodeName::as_str).collect();
    let head: Vec<&str> = std::iter::once("ms").chain(names.iter().copied()).collect();
    let rows: Vec<Vec<String>> = names
        .iter()
        .map(|from| {
            let row = names.iter().map(|to| match cells.get(&(*from, *to)) {
                Some((time, true)) => time.clone(),
                Some((time, false)) => format!("{time}!"),
                None if from == to => "·".to_owned(),
                None => String::new(),
            });
            std::iter::once((*from).to_owned()).chain(row).collect()
        })
        .collect();
    table(&head, &rows) + "\n"
}

/// The first line of a ping.
pub(super) fn ping_begins(global: &Global, name: &str, address: IpAddr) {
    if !global.json {
        text(&format!("PING {name} ({address}) 56 data bytes\n"));
    }
}

/// One answer.
pub(super) fn ping_reply(global: &Global, address: IpAddr, reply: &PingReply) {
    if global.json {
        return;
    }
    let PingReply { sequence, result } = reply;
    text(&match result {
        Ok((ms, Some(ttl))) => format!("64 bytes from {address}: icmp_seq={sequence} ttl={ttl} time={ms:.3} ms\n"),
        Ok((ms, None)) => format!("64 bytes from {address}: icmp_seq={sequence} time={ms:.3} ms\n"),
        Err(reason) => format!("icmp_seq={sequence} {reason}\n"),
    });
}

/// The sum of a ping.
pub(super) fn ping_ends(global: &Global, name: &str, summary: &PingSummary) {
    if global.json {
        return json(summary);
    }
    let PingSummary { sent, received, min_ms, avg_ms, max_ms, mdev_ms } = summary;
    let lost = 100 * u32::from(sent - received) / u32::from((*sent).max(1));
    let mut out = format!("\n--- {name} ping statistics ---\n{sent} transmitted, {received} received, {lost}% loss\n");
    if *received > 0 {
        let _ = writeln!(out, "rtt min/avg/max/mdev = {min_ms:.3}/{avg_ms:.3}/{max_ms:.3}/{mdev_ms:.3} ms");
    }
    text(&out);
}
