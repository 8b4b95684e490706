//! The wish to stop: Ctrl-C, a terminal that goes away, a service manager that ends us.

use std::future::Future;
use tokio::sync::watch;

/// A request to stop that many can wait for. Clones share it.
#[derive(Clone)]
pub struct Stop {
    requested: watch::Receiver<bool>,
}

impl Stop {
    /// One that is requested when `wish` is done. To be called inside a tokio runtime.
    pub fn when(wish: impl Future<Output = ()> + Send + 'static) -> Self {
        let (sender, requested) = watch::channel(false);
        tokio::spawn(async move {
            wish.await;
            sender.send_replace(true);
            // Kept for as long as anybody may ask: a closed channel would say that nobody can request it any more.
            sender.closed().await;
        });
        Self { requested }
    }

    /// One that is never requested.
    pub fn never() -> Self {
        let (sender, requested) = watch::channel(false);
        // A receiver whose sender is gone still says `false`, and `wait` below then waits for ever.
        drop(sender);
        Self { requested }
    }

    /// Whether it was requested.
    pub fn is_requested(&self) -> bool {
        *self.requested.borrow()
    }

    /// Returns when it is requested.
    pub async fn wait(&self) {
        let mut requested = self.requested.clone();
        if requested.wait_for(|requested| *requested).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What `work` comes to, or `None` where it is requested before that. Then `work` is dropped.
    pub async fn unless<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.wait() => None,
            done = work => Some(done),
        }
    }
}
