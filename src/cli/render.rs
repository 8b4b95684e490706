//! Reports as text for people and as JSON for programs: the only writer of standard output.

use super::args::Global;
use crate::Error;
use crate::apply::{ApplyError, Cause};
use crate::model::{ContainerName, Shown};
use crate::report::{DoctorReport, GcReport, LabCondition, LabSummary, Verdict};
use crate::spec::Spec;
use crate::topology::Listed;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

/// How many steps `up` lists of a lab that was changed; `plan` and `--json` list all.
pub(super) const LISTED_STEPS: usize = 30;

/// Where a line goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

/// Prints text as it is. A reader that has seen enough and closed the pipe is no error.
pub(super) fn text(text: &str) {
    put(&mut std::io::stdout().lock(), text);
}

/// As [`text`], for what goes on without end; says whether there is still a reader.
pub(super) fn is_read(text: &str) -> bool {
    put(&mut std::io::stdout().lock(), text)
}

/// Prints one line.
pub(super) fn line(stream: Stream, line: &str) {
    let line = format!("{line}\n");
    match stream {
        Stream::Out => put(&mut std::io::stdout().lock(), &line),
        Stream::Error => put(&mut std::io::stderr().lock(), &line),
    };
}

fn put(to: &mut impl Write, text: &str) -> bool {
    let Err(error) = to.write_all(text.as_bytes()).and_then(|()| to.flush()) else { return true };
    if error.kind() != std::io::ErrorKind::BrokenPipe {
        // There is nowhere left to say it but here.
        let _ = writeln!(std::io::stderr(), "nslab: can't write the result: {error}");
    }
    false
}

/// Prints a value as JSON.
pub(super) fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(json) => text(&(json + "\n")),
        Err(error) => line(Stream::Error, &format!("nslab: can't write the result as JSON: {error}")),
    }
}

/// Whether `stream` gets colours: a terminal, and the user does not mind (no-color.org).
pub(super) fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Colours for standard output.
pub(super) struct Paint {
    on: bool,
}

impl Paint {
    pub(super) fn new() -> Self {
        Self { on: colours(&std::io::stdout()) }
    }

    fn with(&self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(super) fn good(&self, text: &str) -> String {
        self.with("32", text)
    }

    pub(super) fn warning(&self, text: &str) -> String {
        self.with("33", text)
    }

    pub(super) fn bad(&self, text: &str) -> String {
        self.with("31", text)
    }

    pub(super) fn strong(&self, text: &str) -> String {
        self.with("1", text)
    }
}

/// Prints what a container that goes on by itself is called.
pub(super) fn launched(name: &ContainerName) {
    line(Stream::Out, name.as_str());
}

/// Prints an error with its causes, and what could not be undone.
pub(super) fn error(error: &Error) {
    let mut text = String::new();
    match error {
        // One error a line, each with its position: editors jump there.
        Error::Spec(errors) => {
            let _ = write!(text, "{errors}");
        }
        other => {
            let _ = write!(text, "nslab: {other}");
            add_causes(&mut text, other);
        }
    }
    if let Error::Apply(error) = error {
        add_details(&mut text, error);
    }
    line(Stream::Error, text.trim_end());
}

/// Prints what has gone wrong on the way, and kept nothing from being done.
pub(super) fn warning(error: &dyn std::error::Error) {
    let mut text = format!("nslab: {error}");
    add_causes(&mut text, error);
    line(Stream::Error, &text);
}

fn add_causes(text: &mut String, error: &dyn std::error::Error) {
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
}

fn add_details(text: &mut String, error: &ApplyError) {
    let (failures, undo) = match error {
        ApplyError::Up { cause: Cause::Steps(failures), undo, .. } => (failures.as_slice(), Some(undo)),
        ApplyError::Up { undo, .. } => (&[][..], Some(undo)),
        ApplyError::Left { failures, .. } => (failures.as_slice(), None),
        _ => return,
    };
    for failure in failures {
        let _ = write!(text, "\n  could not {}: {}", failure.what, failure.error);
        add_causes(text, &failure.error);
    }
    match undo {
        Some(undo) if undo.failures.is_empty() => {
            text.push_str("\n  everything was put back as it was");
            if undo.commands_ran {
                text.push_str(", but for what the nodes' commands did");
            }
        }
        Some(undo) => {
            text.push_str("\n  this could not be put back (`nslab down` tries again):");
            for (what, error) in &undo.failures {
                let _ = write!(text, "\n    {what}: {error}");
                add_causes(text, error);
            }
        }
        None => {}
    }
}

pub(super) fn plural(count: usize, one: &str) -> String {
    match (count, one) {
        (1, _) => format!("1 {one}"),
        (_, "switch") => format!("{count} switches"),
        _ => format!("{count} {one}s"),
    }
}

pub(super) fn size(nodes: usize, switches: usize, links: usize) -> String {
    format!("{}, {}, {}", plural(nodes, "node"), plural(switches, "switch"), plural(links, "link"))
}

pub(super) fn took(ms: u64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { format!("{:.2} s", std::time::Duration::from_millis(ms).as_secs_f64()) }
}

/// A table with a head; the last column is not padded. What is in it may be of somebody who is not trusted.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| Shown(cell).to_string()).collect()).collect();
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    for row in std::iter::once(&head).chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// The labs.
pub(super) fn labs(global: &Global, labs: &[LabSummary]) {
    if global.json {
        return json(&labs);
    }
    if labs.is_empty() {
        return text("no lab is up\n");
    }
    let rows: Vec<Vec<String>> = labs
        .iter()
        .map(|summary| {
            let LabSummary { lab, state, nodes, switches, links, description } = summary;
            vec![
                lab.to_string(),
                condition(*state).to_owned(),
                nodes.to_string(),
                switches.to_string(),
                links.to_string(),
                description.clone().unwrap_or_default(),
            ]
        })
        .collect();
    text(&table(&["LAB", "STATE", "NODES", "SWITCHES", "LINKS", "DESCRIPTION"], &rows));
}

pub(super) fn condition(state: LabCondition) -> &'static str {
    match state {
        LabCondition::Up => "up",
        LabCondition::HalfMade => "half-made",
        LabCondition::HalfChanged => "half-changed",
    }
}

/// A topology that is right.
pub(super) fn valid(global: &Global, spec: &Spec) {
    if global.json {
        return json(spec);
    }
    let size = size(spec.nodes.len(), spec.switches.len(), spec.links.len());
    text(&format!("{} is valid: {size}\n", spec.name));
}

/// The built-in topologies.
pub(super) fn topologies(global: &Global, list: &[Listed]) {
    if global.json {
        #[derive(Serialize)]
        struct Row<'a> {
            name: &'a str,
            description: &'a str,
        }
        let rows: Vec<Row<'_>> = list.iter().map(|Listed { name, description }| Row { name, description }).collect();
        return json(&rows);
    }
    let rows: Vec<Vec<String>> =
        list.iter().map(|listed| vec![listed.name.to_owned(), listed.description.to_owned()]).collect();
    text(&table(&["TOPOLOGY", "DESCRIPTION"], &rows));
}

/// What `doctor` found.
pub(super) fn doctor(global: &Global, report: &DoctorReport) {
    if global.json {
        return json(report);
    }
    let paint = Paint::new();
    let mut out = String::new();
    let width = report.findings.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
    for finding in &report.findings {
        let verdict = match finding.verdict {
            Verdict::Ok => paint.good("ok     "),
            Verdict::Warning => paint.warning("warning"),
            Verdict::Bad => paint.bad("bad    "),
        };
        let _ = writeln!(out, "{verdict}  {:width$}  {}", finding.what, finding.detail);
        if let Some(remedy) = &finding.remedy {
            let _ = writeln!(out, "         {:width$}  → {remedy}", "");
        }
    }
    text(&out);
}

/// What `gc` removed.
pub(super) fn gc(global: &Global, report: &GcReport) {
    if global.json {
        return json(report);
    }
    let mut out = String::new();
    if report.removed.is_empty() && report.failed.is_empty() {
        out.push_str("nothing was left behind\n");
    }
    for thing in &report.removed {
        let _ = writeln!(out, "removed {thing}");
    }
    for thing in &report.failed {
        let _ = writeln!(out, "could not remove {thing}");
    }
    text(&out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_named_does_nothing_to_a_terminal() {
        let rows = [vec!["a\u{1b}[31mb\nc".to_owned(), "é".to_owned()]];
        assert_eq!(table(&["NAME", "X"], &rows), "NAME             X\na\\u{1b}[31mb\\nc  é\n");
    }
}
