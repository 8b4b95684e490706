//! How long a router does not answer while the machine's address moves.

use super::reach::Asker;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long one request waits for its answer: what is lost is asked again so soon, so the measure is as fine.
const PATIENCE: Duration = Duration::from_millis(10);

/// The pause between an answer and the next request.
const PAUSE: Duration = Duration::from_millis(1);

/// Asks a router over and over.
pub(super) struct Meter {
    stop: oneshot::Sender<()>,
    asking: JoinHandle<Option<Duration>>,
}

impl Meter {
    /// Begins, by whichever way the routes say.
    pub(super) fn start(router: IpAddr) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let asking = tokio::spawn(async move {
            let mut asker = Asker::new(router, None, PATIENCE).await?;
            let (mut longest, mut last) = (Duration::ZERO, None::<Instant>);
            for sequence in (0..=u16::MAX).cycle() {
                if asker.ask(sequence).await {
                    longest = longest.max(last.map_or(Duration::ZERO, |last| last.elapsed()));
                    last = Some(Instant::now());
                    if stopped.try_recv() != Err(oneshot::error::TryRecvError::Empty) {
                        break;
                    }
                    tokio::time::sleep(PAUSE).await;
                } else if stopped.try_recv() != Err(oneshot::error::TryRecvError::Empty) {
                    return None; // it does not answer any more, and who knows for how long
                } else {
                    tokio::time::sleep(PAUSE).await; // where there is no way to it, that is said at once
                }
            }
            last.map(|_| longest)
        });
        Self { stop, asking }
    }

    /// Ends with the next answer: the longest time between two.
    pub(super) async fn finish(self) -> Option<Duration> {
        let _ = self.stop.send(()); // where it has ended already, nobody listens
        self.asking.await.ok().flatten()
    }
}
