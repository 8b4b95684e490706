//! The keeper: a process of its own session that watches over a lab's uplink, from before the machine's address moves until it
//! is back.
//!
//! It knows nothing but the lab's directory: what it keeps is in the journal, so that one that is started anew goes on where
//! the former ended. Who changes the lab holds its lock; when the keeper gets that, the command has ended, well or by
//! SIGKILL, and the journal says which.

mod lease;
mod lease_six;
mod socket;
mod watching;

use crate::host::{self, KeeperFiles, Readiness, Sight, begin_keeper, start_watcher};
use crate::lab::Nslab;
use crate::model::LabName;
use crate::plan::Made;
use crate::state::StateRoot;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::process::Child;
use tokio::sync::Mutex;

/// What all parts of a keeper know.
pub(super) struct Keeper {
    nslab: Nslab,
    lab: LabName,
    files: KeeperFiles,
    directory: PathBuf,
    sight: Arc<Mutex<Sight>>,
    lease: lease::Lease,
    /// What of the lab is its uplink's, as the journal said last: should that be gone.
    memory: Mutex<Option<Made>>,
    /// Whether it is about to end, so that nobody is to be started any more to watch over it.
    ends: AtomicBool,
}

/// A keeper's work, from the arguments behind its verb on.
///
/// # Errors
/// When the arguments are not what nslab gives, or what every process may do is refused.
pub(crate) fn keep(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [_, directory] = arguments else { return Err("a keeper is told its lab's directory: nslab starts it".into()) };
    let readiness = begin_keeper()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(run(Path::new(directory), readiness));
    // What a thread still waits for is of no interest to anybody.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

async fn run(directory: &Path, readiness: Readiness) -> Result<(), Box<dyn std::error::Error>> {
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let lab = LabName::try_from(name)?;
    let root = directory.parent().and_then(Path::parent).ok_or("the lab's directory is in none")?;
    let keeper = Keeper {
        nslab: Nslab::new(StateRoot::new(root)?),
        lab,
        files: KeeperFiles::of(directory),
        directory: directory.to_owned(),
        sight: Arc::default(),
        lease: lease::Lease::default(),
        memory: Mutex::default(),
        ends: AtomicBool::new(false),
    };
    let listener = host::bind(&keeper.files)?;
    // The first one before anybody relies on this: from here on, one kill is not enough to be rid of both.
    let watcher = Mutex::new(start_watcher(directory).ok());
    readiness.tell()?;
    tokio::select! {
        () = keeper.watch_over() => {}
        () = keeper.make_way() => {}
        () = socket::serve(&listener, &keeper) => {}
        () = keeper.be_watched(&watcher) => {}
        () = keeper.lease.hold(&keeper) => {}
    }
    // It ends in order: nobody is to start it anew.
    keeper.ends.store(true, Ordering::Relaxed);
    if let Some(child) = watcher.lock().await.as_mut() {
        let child: &mut Child = child;
        child.kill().await?;
    }
    Ok(())
}

impl Keeper {
    /// Has a process watch over this one, for as long as it is not about to end.
    async fn be_watched(&self, watcher: &Mutex<Option<Child>>) {
        const AGAIN: Duration = Duration::from_millis(200);
        loop {
            wait_for(watcher).await;
            if self.ends.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            match start_watcher(&self.directory) {
                Ok(child) => drop(watcher.lock().await.replace(child)),
                // No process to be had now.
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }
}

/// Waits for the child to end, where there is one, without holding on to it.
async fn wait_for(watcher: &Mutex<Option<Child>>) {
    const LOOK: Duration = Duration::from_millis(50);
    loop {
        match watcher.lock().await.as_mut().map(Child::try_wait) {
            Some(Ok(None)) => {}
            _ => return,
        }
        tokio::time::sleep(LOOK).await;
    }
}
