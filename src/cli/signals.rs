//! Ctrl-C and its like: the first asks a command to stop and put things back, the second ends it where it is.

use super::render;
use crate::Error;
use crate::apply::Stop;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a shell returns for a command that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// The signals by which people and service managers end a command.
pub(super) struct Signals {
    signals: [(SignalKind, Signal); 3],
}

impl Signals {
    /// From now on they don't end the process by themselves. To be called inside a tokio runtime.
    pub(super) fn new() -> Result<Self, Error> {
        let listen = |kind| {
            let listening = signal(kind).map(|signal| (kind, signal));
            listening.map_err(|source| Error::Io { action: "listen for signals".into(), source })
        };
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(listen);
        Ok(Self { signals: [interrupt?, terminate?, hangup?] })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> SignalKind {
        let [(_, interrupt), (_, terminate), (_, hangup)] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = terminate.recv() => SignalKind::terminate(),
            _ = hangup.recv() => SignalKind::hangup(),
        }
    }
}

/// A wish to stop that the first signal makes, with a word on what happens then. The second ends the process at once: the
/// journal has what the next command needs.
pub(super) fn stop(word: &'static str) -> Result<Stop, Error> {
    let mut signals = Signals::new()?;
    Ok(Stop::when(async move {
        signals.next().await;
        say(&format!("{word}; once more ends it at once"));
        tokio::spawn(async move {
            signals.next().await;
            say("ended half-way: `nslab down` takes away what there is");
            std::process::exit(INTERRUPTED);
        });
    }))
}

fn say(what: &str) {
    render::line(render::Stream::Error, &format!("nslab: {what}"));
}
