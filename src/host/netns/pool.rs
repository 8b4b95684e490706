//! A few threads that step into namespaces, so that no other thread ever has to.
//!
//! A network namespace belongs to a thread (setns(2)), and a task of an async runtime does not know its thread. So
//! what has to happen inside a namespace, mostly opening a socket that then belongs to it, is a short job for one
//! of these threads. A thousand namespaces are served by as many threads as the machine has cores.

use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, mpsc};
use tokio::sync::oneshot;

/// What a thread runs. It is handed the way home, to go there before it answers.
type Job = Box<dyn FnOnce(&Home) + Send>;

/// Why a job was not run.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// setns(2) refused.
    #[error("can't enter the network namespace")]
    Enter(#[source] nix::Error),
    /// The job panicked, or the pool's threads could not be started.
    #[error("the thread that was to work inside the network namespace is gone")]
    Gone,
}

/// The namespace that the pool was made in.
struct Home(File);

impl Home {
    /// Takes the calling thread home. A namespace lives as long as a thread is in it, so none may linger in one that
    /// is to go away, and whoever gets a job's answer may count on that.
    fn go(&self) {
        // Going back to where this thread was started can't be refused; if it were, the next job would enter its own
        // namespace all the same.
        let _ = setns(&self.0, CloneFlags::CLONE_NEWNET);
    }
}

/// Threads that run jobs inside network namespaces. Cloning shares them; they end when the last clone is dropped.
#[derive(Clone)]
pub struct Pool {
    jobs: mpsc::Sender<Job>,
}

impl Pool {
    /// A pool with a thread for every core the process may use. Its threads share the caller's mount namespace and,
    /// where called inside a tokio runtime, have that runtime entered: sockets opened in a job can be registered.
    pub fn new() -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let runtime = tokio::runtime::Handle::try_current().ok();
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            let runtime = runtime.clone();
            // A thread that can't be started, or knows no way home, is missed only when all are: the queue then has
            // no receiver, and every job is answered with `Gone`.
            let _ = std::thread::Builder::new().name("netns".into()).spawn(move || {
                let Ok(home) = File::open("/proc/thread-self/ns/net").map(Home) else { return };
                let _entered = runtime.as_ref().map(tokio::runtime::Handle::enter);
                loop {
                    let Ok(job) = queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv() else {
                        return;
                    };
                    // A panicking job drops its answer's sender, which its caller sees; the thread goes on.
                    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&home))).is_err() {
                        home.go();
                    }
                }
            });
        }
        Self { jobs }
    }

    /// Runs `job` on a thread inside `netns`. When its result is there, the thread has left the namespace again.
    ///
    /// # Errors
    /// When the namespace can't be entered, or the job panics.
    ///
    /// # Cancel safety
    /// A job that was handed over runs to its end, whether or not anybody still waits for it.
    pub async fn run_in<T: Send + 'static>(
        &self,
        netns: Arc<OwnedFd>,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        self.run(move || {
            setns(&*netns, CloneFlags::CLONE_NEWNET).map_err(PoolError::Enter)?;
            Ok(job())
        })
        .await?
    }

    /// Runs `job` on a thread, starting in the pool's own namespace: for jobs that go to one themselves, or make a
    /// new one. When its result is there, the thread has left whatever namespace the job went to.
    ///
    /// # Errors
    /// When the job panics.
    ///
    /// # Cancel safety
    /// As [`Pool::run_in`].
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, PoolError> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move |home: &Home| {
            let result = job();
            home.go();
            let _ = answer.send(result); // nobody waits any more: that is the caller's business
        });
        self.jobs.send(job).map_err(|_| PoolError::Gone)?;
        answered.await.map_err(|_| PoolError::Gone)
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self::new()
    }
}
