//! A bar on standard error for work that takes longer than half a second.

use super::args::Global;
use super::signals;
use crate::Error;
use crate::apply::Progress;
use crate::lab::Options;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long work may take before a bar is shown.
const PATIENCE: Duration = Duration::from_millis(500);

/// A bar that appears when it is needed and goes when it is dropped.
pub(super) struct Bar {
    drawn: Arc<OnceLock<ProgressBar>>,
    started: Instant,
    shown: bool,
    title: &'static str,
}

impl Bar {
    /// A bar for work that starts now.
    pub(super) fn new(global: &Global, title: &'static str) -> Self {
        let shown = std::io::stderr().is_terminal() && !global.quiet && !global.json;
        Self { drawn: Arc::default(), started: Instant::now(), shown, title }
    }

    /// What is to be called with the number of things done and of all.
    pub(super) fn callback(&self) -> Progress {
        if !self.shown {
            return Arc::new(|_, _| {});
        }
        let (bar, started, title) = (Arc::clone(&self.drawn), self.started, self.title);
        Arc::new(move |done, all| {
            if bar.get().is_none() && started.elapsed() < PATIENCE {
                return;
            }
            let bar = bar.get_or_init(|| {
                let style = ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
                ProgressBar::new(0).with_style(style).with_message(title)
            });
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        })
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = self.drawn.get() {
            bar.finish_and_clear();
        }
    }
}

/// A bar for what is counted in bytes.
pub(super) struct ByteBar(Bar);

impl ByteBar {
    /// A bar for work that starts now.
    pub(super) fn new(global: &Global, title: &'static str) -> Self {
        Self(Bar::new(global, title))
    }

    /// What is to be called with the number of bytes done and of all.
    pub(super) fn callback(&self) -> crate::image::Progress {
        let Bar { drawn, started, shown, title } = &self.0;
        if !shown {
            return Arc::new(|_, _| {});
        }
        let (bar, started, title) = (Arc::clone(drawn), *started, *title);
        Arc::new(move |done, all| {
            if bar.get().is_none() && started.elapsed() < PATIENCE {
                return;
            }
            let bar = bar.get_or_init(|| {
                let style = ProgressStyle::with_template("{msg} [{bar:40}] {bytes}/{total_bytes}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
                ProgressBar::new(0).with_style(style).with_message(title)
            });
            bar.set_length(all);
            bar.set_position(done);
        })
    }
}

/// A bar for work that changes a running lab, and what stops that: Ctrl-C.
pub(super) fn watched(global: &Global, title: &'static str) -> Result<(Bar, Options), Error> {
    let stop = signals::stop("stopping, and putting back what was done")?;
    let bar = Bar::new(global, title);
    let progress = bar.callback();
    Ok((bar, Options { stop, progress }))
}
