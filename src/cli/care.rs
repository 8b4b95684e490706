//! `doctor` and `gc`.

use super::args::Global;
use super::{all_gone, render};
use crate::Error;
use crate::lab::{self, Nslab};
use crate::report::Verdict;
use std::process::ExitCode;

/// What `doctor` returns when no lab would work: the machine lacks something.
const LACKING: u8 = 3;

pub(super) async fn doctor(nslab: &Nslab, global: &Global) -> Result<ExitCode, Error> {
    let report = lab::doctor(nslab).await?;
    render::doctor(global, &report);
    let bad = report.findings.iter().any(|finding| finding.verdict == Verdict::Bad);
    Ok(if bad { ExitCode::from(LACKING) } else { ExitCode::SUCCESS })
}

pub(super) async fn gc(nslab: &Nslab, global: &Global) -> Result<ExitCode, Error> {
    let report = lab::gc(nslab).await?;
    render::gc(global, &report);
    Ok(all_gone(report.failed.is_empty()))
}
