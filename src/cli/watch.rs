//! `show --watch`.

use super::args::Global;
use super::signals::Signals;
use super::{render_watch, select};
use crate::Error;
use crate::lab::{Nslab, WatchEvent};
use crate::model::LabName;
use std::process::ExitCode;

/// Shows a lab, and its changes as they come, until a signal, the end of the lab, or that of who reads it.
pub(super) async fn watch(nslab: &Nslab, global: &Global, lab: Option<LabName>) -> Result<ExitCode, Error> {
    let lab = select::lab(nslab.root(), global, lab)?;
    let mut signals = Signals::new()?;
    tokio::select! {
        // To end it is what they are for here.
        _ = signals.next() => Ok(ExitCode::SUCCESS),
        result = follow(nslab, global, &lab) => result.map(|()| ExitCode::SUCCESS),
    }
}

async fn follow(nslab: &Nslab, global: &Global, lab: &LabName) -> Result<(), Error> {
    // Watched first: what changes while it is shown is told then.
    let mut watch = nslab.watch(lab).await?;
    let mut is_read = render_watch::first(global, &nslab.show(lab).await?);
    while is_read {
        match watch.next().await? {
            WatchEvent::Changed(changes) => is_read = render_watch::changes(global, &changes),
            WatchEvent::Gone => {
                render_watch::gone(global, lab);
                break;
            }
        }
    }
    Ok(())
}
