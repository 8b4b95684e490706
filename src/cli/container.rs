//! `ps`, `start`, `stop`, `restart`, `kill`.

use super::args::Global;
use super::args_container::{Containers, KillArguments};
use super::render::{self, table};
use super::{select, signals};
use crate::Error;
use crate::lab::{Nslab, Options};
use crate::model::{LabName, NodeName};
use crate::report::{ContainerReport, ContainerState};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) fn ps(nslab: &Nslab, global: &Global, lab: Option<LabName>) -> Result<ExitCode, Error> {
    let labs = match lab.or_else(|| global.lab.clone()) {
        Some(lab) => vec![lab],
        None => nslab.root().lab_names()?,
    };
    let mut all = Vec::new();
    for lab in &labs {
        all.extend(nslab.containers(lab)?);
    }
    if global.json {
        render::json(&all);
    } else if all.is_empty() {
        render::text("no node is a container\n");
    } else {
        render::text(&table(&HEAD, &all.iter().map(row).collect::<Vec<_>>()));
    }
    Ok(ExitCode::SUCCESS)
}

const HEAD: [&str; 8] = ["LAB", "NODE", "STATE", "PID", "MEMORY", "EXIT", "SINCE", "COMMAND"];

fn row(of: &ContainerReport) -> Vec<String> {
    let ContainerReport { lab, node, state, pid, memory_bytes, exit_code, reason, since_unix_s, command } = of;
    let state = match state {
        ContainerState::Running => "running".to_owned(),
        ContainerState::Exited => match reason {
            Some(reason) => format!("exited (something in it: {reason})"),
            None => "exited".to_owned(),
        },
        ContainerState::Killed => reason.clone().unwrap_or_else(|| "killed".to_owned()),
        ContainerState::Gone => "gone".to_owned(),
        ContainerState::New => "not started".to_owned(),
    };
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    vec![
        lab.to_string(),
        node.to_string(),
        state,
        number(pid.map(i64::from)),
        memory_bytes.map(memory).unwrap_or_default(),
        number(exit_code.map(i64::from)),
        since_unix_s.map(ago).unwrap_or_default(),
        command.join(" "),
    ]
}

/// `1.5 MB`, and `900 KB` below one, as limits are written.
fn memory(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    if bytes < MIB { format!("{} KB", bytes / KIB) } else { format!("{}.{} MB", bytes / MIB, bytes % MIB * 10 / MIB) }
}

/// `3 min ago`: the biggest unit of which it is at least two.
fn ago(unix_s: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("d", 86_400), ("h", 3600), ("min", 60)];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = now.saturating_sub(unix_s);
    match UNITS.iter().find(|(_, unit)| seconds >= 2 * unit) {
        Some((name, unit)) => format!("{} {name} ago", seconds / unit),
        None => format!("{seconds} s ago"),
    }
}

/// What is done to each of the containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Start,
    Stop,
    Restart,
}

pub(super) async fn change(
    nslab: &Nslab,
    global: &Global,
    containers: &Containers,
    change: Change,
) -> Result<ExitCode, Error> {
    let all = selected(nslab, global, containers)?;
    let stop = signals::stop("stopping when this container is done")?;
    let options = Options { stop, ..Options::default() };
    for (lab, node) in all {
        if change != Change::Start {
            nslab.stop_container(&lab, &node, &options).await?;
        }
        if change != Change::Stop {
            nslab.start_container(&lab, &node, &options).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn kill(nslab: &Nslab, global: &Global, arguments: &KillArguments) -> Result<ExitCode, Error> {
    for (lab, node) in selected(nslab, global, &arguments.containers)? {
        nslab.kill_container(&lab, &node, arguments.signal).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All that are meant, before anything is done to the first.
fn selected(nslab: &Nslab, global: &Global, containers: &Containers) -> Result<Vec<(LabName, NodeName)>, Error> {
    containers.nodes.iter().map(|node| select::node(nslab.root(), global, node)).collect()
}
