//! `limit`: what a container may use, shown and changed.

use super::args::Global;
use super::args_limit::LimitArguments;
use super::render::{self, table};
use super::select::{self, Called};
use super::signals;
use crate::Error;
use crate::lab::{Nslab, Options};
use crate::model::LabName;
use crate::model::container::{IoRate, MemorySize};
use crate::report::{LimitsReport, UsageReport};
use std::process::ExitCode;

pub(super) async fn limit(nslab: &Nslab, global: &Global, arguments: &LimitArguments) -> Result<ExitCode, Error> {
    let change = arguments.change();
    let called = match &arguments.name {
        Some(name) if !arguments.whole => select::container(nslab.root(), global, name)?,
        lab => {
            let wrong = |error: crate::model::NameError| Error::Usage(format!("with --whole, name a lab: {error}"));
            let named = lab.as_deref().map(LabName::try_from).transpose().map_err(wrong)?;
            let lab = select::lab(nslab.root(), global, named)?;
            let report = if change.is_none() {
                nslab.group_limits(&lab, None)?
            } else {
                nslab.change_group_limits(&lab, None, &change, &options()?).await?
            };
            return Ok(show(global, &report, change.is_none()));
        }
    };
    let report = match (called, change.is_none()) {
        (Called::Node(lab, node), true) => nslab.limits(&lab, &node)?,
        (Called::Alone(name), true) => nslab.launched_limits(&name)?,
        (Called::Node(lab, node), false) => nslab.change_limits(&lab, &node, &change, &options()?).await?,
        (Called::Alone(name), false) => nslab.change_launched_limits(&name, &change).await?,
    };
    Ok(show(global, &report, change.is_none()))
}

fn options() -> Result<Options, Error> {
    let stop = signals::stop("stopping when the limits are changed")?;
    Ok(Options { stop, ..Options::default() })
}

fn show(global: &Global, report: &LimitsReport, is_asked: bool) -> ExitCode {
    if global.json {
        render::json(report);
    } else if is_asked || !global.quiet {
        render::text(&text(report));
    }
    ExitCode::SUCCESS
}

fn text(report: &LimitsReport) -> String {
    let LimitsReport {
        lab,
        name,
        runs,
        cgroup: _,
        memory_bytes,
        swap_bytes,
        cpus,
        pids,
        io_read_bytes_per_s: io_read,
        io_write_bytes_per_s: io_write,
        used,
    } = report;
    let UsageReport { memory_bytes: used_bytes, pids: used_pids } = used;
    let size = |bytes: &u64| MemorySize::from_bytes(*bytes).map(|size| size.to_string()).unwrap_or_default();
    let rate = |bytes: &u64| IoRate::from_bytes(*bytes).map(|rate| rate.to_string()).unwrap_or_default();
    let limit = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
    let row = |what: &str, limit: String, used: String| vec![what.to_owned(), limit, used];
    let rows = [
        row(
            "memory",
            limit(memory_bytes.as_ref().map(size)),
            used_bytes.map(super::container::memory).unwrap_or_default(),
        ),
        row("swap", limit(swap_bytes.as_ref().map(size)), String::new()),
        row("cpus", limit(cpus.map(|cpus| cpus.to_string())), String::new()),
        row("pids", limit(pids.map(|pids| pids.to_string())), used_pids.map(|n| n.to_string()).unwrap_or_default()),
        row("io-read", limit(io_read.as_ref().map(rate)), String::new()),
        row("io-write", limit(io_write.as_ref().map(rate)), String::new()),
    ];
    let name: Vec<String> = lab.iter().map(ToString::to_string).chain(name.clone()).collect();
    let state = if *runs { "" } else { ", which does not run" };
    format!("{}{state}\n{}", name.join("/"), table(&["", "LIMIT", "USED"], &rows))
}
