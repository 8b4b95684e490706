//! `link show`, `link set`, `link reset`.

use super::args::Global;
use super::args_link::{Flap, LinkSetArguments, LinkVerb};
use super::progress::watched;
use super::{render_links, render_steps, select, signals};
use crate::Error;
use crate::apply::Stop;
use crate::lab::{LinkChange, Nslab, Options};
use crate::model::LabName;
use crate::report::UpResult;
use std::process::ExitCode;
use std::time::Instant;

pub(super) async fn link(nslab: &Nslab, global: &Global, verb: &LinkVerb) -> Result<ExitCode, Error> {
    match verb {
        LinkVerb::Show { lab } => {
            let lab = select::lab(nslab.root(), global, lab.clone())?;
            render_links::links(global, &nslab.links(&lab).await?);
        }
        LinkVerb::Set(arguments) => {
            if arguments.flap.is_none() && arguments.change() == LinkChange::default() {
                let text =
                    "say what is to change: --delay, --loss, --rate, --profile, --down, --up, --flap (see --help)";
                return Err(Error::Usage(text.to_owned()));
            }
            let (lab, link) = select::link(nslab.root(), global, &arguments.link)?;
            if let Some(flap) = arguments.flap {
                turns(nslab, global, arguments, (&lab, &link), flap).await?;
                return Ok(ExitCode::SUCCESS);
            }
            let (change, towards) = (arguments.change(), arguments.towards.as_deref());
            let (bar, options) = watched(global, "link")?;
            let result = nslab.change_link(&lab, &link, towards, &change, &options).await;
            drop(bar);
            render_steps::up(global, &result?);
        }
        LinkVerb::Reset { links } => {
            let (lab, links) = select::links(nslab.root(), global, links)?;
            let (bar, options) = watched(global, "link")?;
            let result = nslab.reset_links(&lab, &links, &options).await;
            drop(bar);
            render_steps::up(global, &result?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Has a link up and down in turns until a signal comes, and leaves it up.
async fn turns(
    nslab: &Nslab,
    global: &Global,
    arguments: &LinkSetArguments,
    (lab, link): (&LabName, &str),
    flap: Flap,
) -> Result<(), Error> {
    let stop = signals::stop("setting the link up, and stopping")?;
    let set = async |change: LinkChange, towards: Option<&str>, stop: &Stop| -> Result<(), Error> {
        let options = Options { stop: stop.clone(), ..Options::default() };
        let report = nslab.change_link(lab, link, towards, &change, &options).await?;
        if report.result == UpResult::Changed {
            render_links::turned(global, link, change.up == Some(true));
        }
        Ok(())
    };
    let turn = |up| LinkChange { up: Some(up), ..LinkChange::default() };
    // The conditions that are given along with it, once. Where they are refused nothing is touched.
    set(LinkChange { up: Some(true), ..arguments.change() }, arguments.towards.as_deref(), &stop).await?;
    let ended = async {
        for up in [false, true].into_iter().cycle() {
            // Changing a large lab takes its time: that is part of the turn.
            let turns_at = Instant::now() + if up { flap.down } else { flap.up };
            if stop.unless(tokio::time::sleep_until(turns_at.into())).await.is_none() {
                break;
            }
            set(turn(up), None, &stop).await?;
        }
        Ok(())
    }
    .await;
    // However it ends, the link is up then; where it is already, that does nothing.
    let up = set(turn(true), None, &Stop::never()).await;
    if stop.is_requested() { up } else { ended.and(up) }
}
