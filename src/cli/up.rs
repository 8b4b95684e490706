//! `up`, `down`, `plan`.

use super::args::{DownArguments, Global, PlanArguments, TopologyArgument, UpArguments};
use super::progress::Bar;
use super::{render, render_steps, select, signals};
use crate::Error;
use crate::lab::{Nslab, Options};
use crate::model::LabName;
use crate::spec::{self, Spec};
use crate::topology::{Loaded, TopologySource};
use std::collections::BTreeSet;
use std::process::ExitCode;

/// The checked topology that an argument means.
pub(super) fn load(argument: &TopologyArgument) -> Result<Spec, Error> {
    let source = TopologySource::find(&argument.topology)?;
    let Loaded { origin, text } = source.load()?;
    let directory = std::path::absolute(source.directory())
        .map_err(|source| Error::Io { action: "find the current directory".into(), source })?;
    let spec = spec::parse(&text, &origin)?;
    Ok(spec.with_files_below(&directory))
}

pub(super) async fn up(nslab: &Nslab, global: &Global, arguments: &UpArguments) -> Result<ExitCode, Error> {
    let spec = load(&arguments.topology)?;
    let stop = signals::stop("stopping, and putting back what was done")?;
    let bar = Bar::new(global, "up");
    let result = nslab.up(&spec, &Options { stop, progress: bar.callback() }).await;
    drop(bar);
    render_steps::up(global, &result?);
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn down(nslab: &Nslab, global: &Global, arguments: &DownArguments) -> Result<ExitCode, Error> {
    let mut labs: Vec<LabName> = if arguments.all {
        nslab.root().lab_names()?
    } else if arguments.labs.is_empty() {
        match select::lab(nslab.root(), global, None) {
            Err(Error::NoLab) => {
                // A command that was stopped at its very end may have left the empty directory.
                nslab.tidy().await?;
                return Err(Error::NoLab);
            }
            other => vec![other?],
        }
    } else {
        arguments.labs.clone()
    };
    if labs.is_empty() {
        nslab.tidy().await?;
    }
    let mut seen = BTreeSet::new();
    labs.retain(|lab| seen.insert(lab.clone()));
    let stop = signals::stop("stopping when this lab is gone")?;
    let mut reports = Vec::new();
    let mut first_error = None;
    for lab in &labs {
        let bar = Bar::new(global, "down");
        match nslab.down(lab, &Options { stop: stop.clone(), progress: bar.callback() }).await {
            Ok(report) => reports.push(report),
            Err(Error::Interrupted) => {
                first_error = first_error.or(Some(Error::Interrupted));
                break;
            }
            // The other labs go all the same; all errors are shown.
            Err(error) => {
                if let Some(earlier) = first_error.replace(error) {
                    render::error(&earlier);
                }
            }
        }
    }
    if first_error.is_none() || !reports.is_empty() {
        render_steps::down(global, &reports);
    }
    first_error.map_or(Ok(ExitCode::SUCCESS), Err)
}

pub(super) async fn plan(nslab: &Nslab, global: &Global, arguments: &PlanArguments) -> Result<ExitCode, Error> {
    let spec = load(&arguments.topology)?;
    if arguments.shell {
        render::text(&nslab.script(&spec).await?);
    } else {
        render_steps::plan(global, &nslab.plan(&spec).await?);
    }
    Ok(ExitCode::SUCCESS)
}
