//! What `up`, `down` and `plan` did or would do, as text and as JSON.

use super::args::Global;
use super::render::{LISTED_STEPS, Paint, json, plural, size, text, took};
use crate::plan::Reason;
use crate::report::{DownReport, GapReport, PlanReport, UpReport, UpResult};
use std::fmt::Write as _;

/// What `up` did.
pub(super) fn up(global: &Global, report: &UpReport) {
    if global.json {
        return json(report);
    }
    let UpReport { lab, result, nodes, switches, links, steps, ended, notes, gaps, took_ms } = report;
    let paint = Paint::new();
    let mut out = String::new();
    let lab_name = paint.strong(lab.as_str());
    match result {
        UpResult::Created => {
            let _ = writeln!(out, "{lab_name} is up: {} ({})", size(*nodes, *switches, *links), took(*took_ms));
            add_notes(&mut out, notes);
        }
        UpResult::Unchanged => {
            let _ = writeln!(out, "{lab_name} is up as it should be: nothing to do ({})", took(*took_ms));
        }
        UpResult::Changed => {
            let _ = writeln!(out, "{lab_name} is up: {} done ({})", plural(steps.len(), "step"), took(*took_ms));
            for step in steps.iter().take(LISTED_STEPS) {
                let _ = writeln!(out, "  {} {}", mark(&paint, step.reason), step.what);
            }
            if steps.len() > LISTED_STEPS {
                let _ = writeln!(out, "  … and {} more (--json lists all)", steps.len() - LISTED_STEPS);
            }
            add_notes(&mut out, notes);
        }
    }
    for GapReport { nic, longest_ms } in gaps {
        let _ = writeln!(out, "  the gateway of {nic} did not answer for {longest_ms:.1} ms at the longest");
    }
    add_ended(&mut out, ended);
    text(&out);
}

fn add_notes(out: &mut String, notes: &[String]) {
    for note in notes {
        let _ = writeln!(out, "  {note}");
    }
}

fn add_ended(out: &mut String, ended: &[String]) {
    for process in ended {
        let _ = writeln!(out, "  ended {process}");
    }
}

fn mark(paint: &Paint, reason: Reason) -> String {
    match reason {
        Reason::New => paint.good("+"),
        Reason::Changed => paint.warning("~"),
        Reason::Repair => paint.warning("!"),
        Reason::Gone => paint.bad("-"),
    }
}

/// What `down` did.
pub(super) fn down(global: &Global, reports: &[DownReport]) {
    if global.json {
        return json(&reports);
    }
    let paint = Paint::new();
    let mut out = String::new();
    if reports.is_empty() {
        out.push_str("no lab is up\n");
    }
    for DownReport { lab, namespaces, ended, left_alone, took_ms } in reports {
        let lab = paint.strong(lab.as_str());
        let _ = writeln!(out, "{lab} is gone: {} ({})", plural(*namespaces, "namespace"), took(*took_ms));
        add_ended(&mut out, ended);
        for thing in left_alone {
            let _ = writeln!(out, "  left alone: {thing}");
        }
    }
    text(&out);
}

/// What `plan` says.
pub(super) fn plan(global: &Global, report: &PlanReport) {
    if global.json {
        return json(report);
    }
    let PlanReport { lab, steps, notes } = report;
    let paint = Paint::new();
    let mut out = String::new();
    if steps.is_empty() {
        let _ = writeln!(out, "{lab} is up as it should be: nothing to do");
    } else {
        let _ = writeln!(out, "{}: {} to do", paint.strong(lab.as_str()), plural(steps.len(), "step"));
    }
    let width = steps.len().to_string().len();
    for (number, step) in steps.iter().enumerate() {
        let _ = writeln!(out, "{:>width$} {} {}", number + 1, mark(&paint, step.reason), step.what);
    }
    add_notes(&mut out, notes);
    text(&out);
}
