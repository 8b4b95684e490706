//! Hearing that a directory has changed (inotify(7)).

use super::error::FileContext;
use super::{HostError, readiness};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use tokio::io::unix::AsyncFd;

/// A directory that is watched: for files that come and go, and for itself.
pub struct DirectoryWatch {
    path: PathBuf,
    events: AsyncFd<OwnedFd>,
}

impl DirectoryWatch {
    /// Begins to watch a directory; `None` where there is none. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// When it can't be watched.
    pub fn new(path: &Path) -> Result<Option<Self>, HostError> {
        let begin = || {
            let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            let of_files = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::MOVED_TO;
            let of_itself = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
            inotify::add_watch(&events, path, of_files | of_itself)?;
            readiness::watch(events)
        };
        match begin() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            result => Ok(Some(Self { path: path.to_owned(), events: result.on_file("watch", path)? })),
        }
    }

    /// Waits until something has changed, since it was last waited or the watch began.
    ///
    /// # Errors
    /// When the kernel won't say any more.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn changed(&self) -> Result<(), HostError> {
        self.read().await.on_file("watch", &self.path)
    }

    async fn read(&self) -> io::Result<()> {
        // What has happened does not matter; what is left of the events is read by the next call.
        let mut events = [0; 4096];
        loop {
            let mut ready = self.events.readable().await?;
            match ready.try_io(|events_of| Ok(rustix::io::read(events_of.get_ref(), &mut events)?)) {
                Ok(result) => return result.map(|_| ()),
                Err(_would_block) => {}
            }
        }
    }
}
