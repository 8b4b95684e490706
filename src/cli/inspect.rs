//! `ls`, `show`, `topologies`, `validate`, `schema`, `completions`.

use super::args::{Arguments, Global, TopologyArgument};
use super::{render, render_lab, select, up};
use crate::Error;
use crate::lab::Nslab;
use crate::model::LabName;
use crate::spec;
use crate::topology::{self, TopologySource};
use clap::CommandFactory;
use std::process::ExitCode;

pub(super) fn ls(nslab: &Nslab, global: &Global) -> Result<ExitCode, Error> {
    render::labs(global, &nslab.labs()?);
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn show(nslab: &Nslab, global: &Global, lab: Option<LabName>) -> Result<ExitCode, Error> {
    let lab = select::lab(nslab.root(), global, lab)?;
    render_lab::lab(global, &nslab.show(&lab).await?);
    Ok(ExitCode::SUCCESS)
}

pub(super) fn validate(global: &Global, argument: &TopologyArgument) -> Result<ExitCode, Error> {
    let spec = up::load(argument)?;
    render::valid(global, &spec);
    Ok(ExitCode::SUCCESS)
}

pub(super) fn schema() -> ExitCode {
    render::json(&spec::schema());
    ExitCode::SUCCESS
}

pub(super) fn topologies(global: &Global, show: Option<&str>) -> Result<ExitCode, Error> {
    match show {
        Some(name) => render::text(&TopologySource::find(name)?.load()?.text),
        None => render::topologies(global, &topology::list()),
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "nslab", &mut script);
    render::text(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}
