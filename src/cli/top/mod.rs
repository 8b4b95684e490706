//! `top`: looks again and again, and shows what has changed between two looks.

mod columns;
mod draw;
#[cfg(test)]
mod samples;
mod screen;
mod view;

use super::args::Global;
use super::args_top::{Sort, TopArguments};
use super::render;
use super::signals::Signals;
use crate::Error;
use crate::fault;
use crate::lab::Nslab;
use crate::model::LabName;
use crate::report::{TopReport, UsageSample};
use draw::Title;
use jiff::ZonedDateTime;
use ratatui::crossterm::event::Event;
use screen::{Keys, Screen, failed};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use view::{View, Wish};

/// The second look comes sooner than the others: without it there are no rates.
const SECOND: Duration = Duration::from_millis(500);

pub(super) async fn top(nslab: &Nslab, global: &Global, arguments: &TopArguments) -> Result<ExitCode, Error> {
    let TopArguments { lab, interval, once: is_once, sort } = arguments;
    let lab = lab.clone().or_else(|| global.lab.clone());
    if let Some(lab) = &lab {
        // It may go and come later; to begin with it has to be there, or its name is wrong.
        nslab.state(lab)?;
    }
    if *is_once {
        let view = View::new(sort.unwrap_or(Sort::Name));
        return once(nslab, global, lab.as_ref(), *interval, &view).await;
    }
    if global.json {
        let text = "`top --json` prints one reading: add --once, and call it again for the next one";
        return Err(Error::Usage(text.to_owned()));
    }
    if !std::io::stdout().is_terminal() {
        let text = "standard output is no terminal: `nslab top --once` prints one table, with --json for programs";
        return Err(Error::Usage(text.to_owned()));
    }
    // Listened to before the terminal is another one.
    let mut signals = Signals::new()?;
    tokio::select! {
        // To end it is what they are for here.
        _ = signals.next() => Ok(ExitCode::SUCCESS),
        result = live(nslab, lab, *interval, View::new(sort.unwrap_or(Sort::Cpu))) => result.map(|()| ExitCode::SUCCESS),
    }
}

async fn once(
    nslab: &Nslab,
    global: &Global,
    lab: Option<&LabName>,
    interval: Duration,
    view: &View,
) -> Result<ExitCode, Error> {
    let before = nslab.sample_usage(lab).await?;
    sleep(interval).await;
    let report = TopReport::between(&before, &nslab.sample_usage(lab).await?);
    let nodes = view.of(&report);
    if global.json {
        let nodes = nodes.into_iter().cloned().collect();
        render::json(&TopReport { nodes });
    } else if nodes.is_empty() {
        render::text(&format!("{}\n", nothing(lab)));
    } else {
        render::text(&draw::plain(&nodes));
    }
    Ok(ExitCode::SUCCESS)
}

fn nothing(lab: Option<&LabName>) -> String {
    lab.map_or_else(|| "no lab is up, and there is no container".to_owned(), |lab| format!("{lab} is not up"))
}

/// Shows it until the user has seen enough. Dropped at any moment, it leaves the terminal as it was.
async fn live(nslab: &Nslab, lab: Option<LabName>, interval: Duration, mut view: View) -> Result<(), Error> {
    let mut continued =
        signal(SignalKind::from_raw(nix::libc::SIGCONT)).map_err(|source| failed("listen for signals", source))?;
    let mut screen = Screen::open()?;
    let mut keys = Keys::listen()?; // dropped before the terminal is put back
    let mut title = Title { time: String::new(), nothing: nothing(lab.as_ref()) };
    let (mut before, mut report) = (UsageSample::default(), TopReport::default());
    let mut looking = look(nslab, lab.clone(), Instant::now());
    let mut pause = interval.min(SECOND);
    loop {
        tokio::select! {
            looked = &mut looking => {
                let (began, sample) = looked.map_err(|error| failed("look at what nodes use", error.into()))??;
                looking = look(nslab, lab.clone(), began + pause);
                pause = interval;
                report = TopReport::between(&before, &sample);
                before = sample;
                title.time = ZonedDateTime::now().strftime("%H:%M:%S").to_string();
            }
            event = keys.next() => match event {
                Some(Ok(Event::Key(key))) => match view.press(key, draw::page(screen.height())) {
                    Wish::Show => {}
                    Wish::Quit => return Ok(()),
                    Wish::Suspend => screen.suspend()?,
                    Wish::Redraw => screen.take_again()?,
                },
                Some(Ok(_)) => {} // the window has another size, which is seen when it is drawn
                Some(Err(source)) => return Err(failed("read what is typed", source)),
                None => return Ok(()),
            },
            // Somebody has stopped it whom nobody can keep from that, and the shell has had the terminal since.
            _ = continued.recv() => screen.take_again()?,
        }
        view.stay_within(view.of(&report).len(), draw::page(screen.height()));
        if !title.time.is_empty() {
            fault::at("top").expect("drawing the table");
            screen.draw(|frame| draw::draw(frame, &report, &view, &title))?;
        }
    }
}

/// Looks at that time, in the background: keys are heard meanwhile.
fn look(nslab: &Nslab, lab: Option<LabName>, at: Instant) -> JoinHandle<Result<(Instant, UsageSample), Error>> {
    let nslab = nslab.clone();
    tokio::spawn(async move {
        sleep_until(at).await;
        let began = Instant::now();
        Ok((began, nslab.sample_usage(lab.as_ref()).await?))
    })
}
