//! Signs that something has changed, from whoever hears of it first, until somebody looks.

use crate::host::HostError;
use crate::model::NetnsName;
use futures_util::stream::{Stream, StreamExt};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Where something has changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The lab's directory of state.
    Journal,
    /// The directory that namespaces have their names in.
    Names,
    /// A namespace.
    Netns(NetnsName),
    /// The database of Open vSwitch.
    Ovs,
}

/// The places that nobody has looked at since something changed there. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct Signs(Arc<Shared>);

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    notify: Notify,
}

#[derive(Default)]
struct Seen {
    places: BTreeSet<Place>,
    failure: Option<HostError>,
}

impl Signs {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has changed there.
    pub(super) fn give(&self, place: Place) {
        self.seen().places.insert(place);
        self.0.notify.notify_one();
    }

    /// Nothing more will be heard from somewhere.
    fn fail(&self, error: HostError) {
        self.seen().failure.get_or_insert(error);
        self.0.notify.notify_one();
    }

    /// Waits for a sign.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn wait(&self) {
        loop {
            let notified = self.0.notify.notified();
            let is_there = {
                let seen = self.seen();
                !seen.places.is_empty() || seen.failure.is_some()
            };
            if is_there {
                return;
            }
            notified.await;
        }
    }

    /// Moves the signs over to `places`; who does it is going to look there.
    pub(super) fn take(&self, places: &mut BTreeSet<Place>) -> Result<(), HostError> {
        let mut seen = self.seen();
        places.append(&mut seen.places);
        seen.failure.take().map_or(Ok(()), Err)
    }

    /// Gives a sign for `place` with each item of a stream, until one is an error or the follower is dropped.
    pub(super) fn follow(
        &self,
        place: Place,
        changes: impl Stream<Item = Result<(), HostError>> + Send + 'static,
    ) -> Follower {
        let signs = self.clone();
        Follower(tokio::spawn(async move {
            let mut changes = std::pin::pin!(changes);
            while let Some(change) = changes.next().await {
                match change {
                    Ok(()) => signs.give(place.clone()),
                    Err(error) => return signs.fail(error),
                }
            }
        }))
    }
}

/// Somebody who listens. Dropping it ends that, and closes what was listened to.
pub(super) struct Follower(JoinHandle<()>);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}
