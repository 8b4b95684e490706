//! How a lab is joined to the machine's network, as text and as JSON.

use super::args::Global;
use super::render::{Paint, json, text};
use crate::model::LabName;
use crate::report::{UplinkEnd, UplinkLease, UplinkStatus};
use serde::Serialize;
use std::fmt::Write as _;

/// What `uplink status` tells.
pub(super) fn status(global: &Global, report: &UplinkStatus) {
    if global.json {
        return json(report);
    }
    let UplinkStatus {
        lab,
        nic,
        switch,
        onto,
        address,
        addresses,
        running_out,
        carrier,
        gateways,
        lease,
        lease_six,
        confirm_left_s,
        keeper,
        trouble,
    } = report;
    let paint = Paint::new();
    let mut out = String::new();
    let Some(nic) = nic else {
        let _ = writeln!(out, "{} has no NIC for an uplink", paint.strong(lab.as_str()));
        return text(&out);
    };
    let carrier = match carrier {
        Some(true) => "",
        Some(false) => ", without carrier",
        None => ", which is not there",
    };
    let _ = writeln!(out, "{nic}{carrier} is a port of {lab}'s switch {switch}, by way of {onto}");
    let _ = writeln!(out, "  the machine's address ({address}): {}", listed(addresses));
    for UplinkEnd { address, ends_in_s } in running_out {
        let _ = writeln!(out, "  {address} lasts another {ends_in_s} s: nobody prolongs its lease meanwhile");
    }
    for gateway in gateways {
        let answers = if gateway.answers { paint.good("answers") } else { paint.bad("does not answer") };
        let _ = writeln!(out, "  gateway {} {answers}", gateway.address);
    }
    for lease in lease.iter().chain(lease_six) {
        let _ = writeln!(out, "  lease {}", lease_line(lease));
    }
    match keeper {
        Some(pid) => drop(writeln!(out, "  watched over by process {pid}")),
        None => drop(writeln!(out, "  {}", paint.bad("nobody watches over it: `nslab up` or `nslab uplink detach`"))),
    }
    if let Some(left) = confirm_left_s {
        let _ = writeln!(out, "  undone in {left} s unless `nslab uplink confirm` comes");
    }
    if let Some(trouble) = trouble {
        let _ = writeln!(out, "  {}", paint.bad(trouble));
    }
    text(&out);
}

/// A lease, and what it says besides the address.
fn lease_line(lease: &UplinkLease) -> String {
    let UplinkLease { address, state, ends_in_s, renewals, dns_servers, search_domains, ntp_servers, mtu_bytes } =
        lease;
    let mut line = format!("{}: {state}", address.as_deref().unwrap_or("none"));
    if let Some(left) = ends_in_s {
        let _ = write!(line, ", for another {left} s, renewed {renewals} times");
    }
    let told = [("name servers", dns_servers), ("names in", search_domains), ("time servers", ntp_servers)];
    for (what, words) in told.iter().filter(|(_, words)| !words.is_empty()) {
        let _ = write!(line, ", {what} {}", listed(words));
    }
    if let Some(mtu) = mtu_bytes {
        let _ = write!(line, ", MTU {mtu}");
    }
    line
}

fn listed(words: &[String]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

/// What `uplink confirm` did.
pub(super) fn confirmed(global: &Global, lab: &LabName, was_needed: bool) {
    #[derive(Serialize)]
    struct Confirmed<'a> {
        lab: &'a LabName,
        was_needed: bool,
    }
    if global.json {
        return json(&Confirmed { lab, was_needed });
    }
    text(if was_needed { "the uplink stays\n" } else { "there was nothing to confirm\n" });
}
