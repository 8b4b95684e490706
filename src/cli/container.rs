//! `ps`, `start`, `stop`, `restart`, `kill`, `rm`, `logs`, `attach`.

use super::args::Global;
use super::args_container::{Containers, KillArguments, LogsArguments};
use super::render::{self, table};
use super::select::Called;
use super::{select, signals};
use crate::Error;
use crate::lab::{Nslab, Options, not_running};
use crate::launcher::{self, Ended, Left, LogReader};
use crate::model::{ContainerName, LabName};
use crate::report::{ContainerReport, ContainerState};
use crate::state::StateRoot;
use nix::errno::Errno;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) fn ps(nslab: &Nslab, global: &Global, lab: Option<LabName>) -> Result<ExitCode, Error> {
    let named = lab.or_else(|| global.lab.clone());
    let mut all = Vec::new();
    if let Some(lab) = &named {
        all.extend(nslab.containers(lab)?);
    } else {
        for lab in nslab.root().lab_names()? {
            all.extend(nslab.containers(&lab)?);
        }
        all.extend(nslab.launched()?);
    }
    if global.json {
        render::json(&all);
    } else if all.is_empty() {
        render::text("there is no container\n");
    } else {
        render::text(&table(&HEAD, &all.iter().map(row).collect::<Vec<_>>()));
    }
    Ok(ExitCode::SUCCESS)
}

const HEAD: [&str; 8] = ["LAB", "NAME", "STATE", "PID", "MEMORY", "EXIT", "SINCE", "COMMAND"];

fn row(of: &ContainerReport) -> Vec<String> {
    let ContainerReport { lab, name, state, pid, memory_bytes, exit_code, reason, since_unix_s, command } = of;
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
        lab.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        name.clone(),
        state,
        number(pid.map(i64::from)),
        memory_bytes.map(memory).unwrap_or_default(),
        number(exit_code.map(i64::from)),
        since_unix_s.map(ago).unwrap_or_default(),
        command.join(" "),
    ]
}

/// `1.5 MB`, and `900 KB` below one, as limits are written.
pub(super) fn memory(bytes: u64) -> String {
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
    for called in all {
        let (lab, node) = match called {
            Called::Node(lab, node) => (lab, node),
            Called::Alone(name) if change == Change::Stop => {
                nslab.stop_launched(&name).await?;
                continue;
            }
            Called::Alone(name) => {
                return Err(Error::Usage(format!(
                    "{name} belongs to no lab, so that nobody knows how to start it again: `nslab rm {name}`, then `nslab launch`"
                )));
            }
        };
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
    for called in selected(nslab, global, &arguments.containers)? {
        match called {
            Called::Node(lab, node) => nslab.kill_container(&lab, &node, arguments.signal).await?,
            Called::Alone(name) => nslab.kill_launched(&name, arguments.signal)?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn remove(nslab: &Nslab, names: &[ContainerName]) -> Result<ExitCode, Error> {
    for name in names {
        nslab.remove_launched(name).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what a container has printed, and goes on until its end where that is wanted.
pub(super) fn logs(global: &Global, arguments: &LogsArguments) -> Result<ExitCode, Error> {
    let root = StateRoot::new(&global.state_dir)?;
    let called = select::container(&root, global, &arguments.container)?;
    let directory = known(&root, &called)?;
    let mut out = std::io::stdout().lock();
    let read = LogReader::read(&directory, &mut out);
    let done = read.and_then(|reader| if arguments.follow { reader.follow(&mut out) } else { Ok(()) });
    match done {
        // A reader that has seen enough and closed the pipe is no error.
        Err(failure) if failure.source != Errno::EPIPE => Err(failure.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Joins the caller's terminal to a container's, until he leaves or it ends: then its code is returned.
pub(super) fn attach(global: &Global, container: &str) -> Result<ExitCode, Error> {
    let root = StateRoot::new(&global.state_dir)?;
    let called = select::container(&root, global, container)?;
    let directory = known(&root, &called)?;
    match launcher::attach(&directory) {
        Ok(Left::Ended(ended)) => Ok(ExitCode::from(ended.code())),
        Ok(Left::Detached(None)) => Ok(ExitCode::SUCCESS),
        Ok(Left::Detached(Some(signal))) => Ok(ExitCode::from(Ended::Signal(signal).code())),
        Ok(Left::Lost) => Err(Error::Usage(format!("the container {called} was killed"))),
        Err(failure) if matches!(failure.source, Errno::ENOENT | Errno::ECONNREFUSED) => {
            Err(Error::Usage(not_running(called)))
        }
        Err(failure) => Err(failure.into()),
    }
}

/// The record of a container that there is, or was.
fn known(root: &StateRoot, called: &Called) -> Result<PathBuf, Error> {
    let directory = called.record(root);
    if directory.exists() {
        return Ok(directory);
    }
    Err(Error::Usage(format!("there is no container {called}: `nslab ps` lists those that there are")))
}

/// All that are meant, before anything is done to the first.
fn selected(nslab: &Nslab, global: &Global, containers: &Containers) -> Result<Vec<Called>, Error> {
    containers.containers.iter().map(|container| select::container(nslab.root(), global, container)).collect()
}
