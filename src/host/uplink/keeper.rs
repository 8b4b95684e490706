//! The process that watches over an uplink, as who starts it sees it, and the one that watches over that.
//!
//! A keeper is a [helper] in the host's own namespace. What it does is in `lab`, since it may have to undo
//! what a command did to a lab. It starts a watcher, which starts a keeper anew where one ends without having said so, as
//! the keeper does with the watcher: only who kills both at once is rid of them.

use crate::fault;
use crate::host::HostError;
use crate::host::error::FileContext;
use crate::host::facade::Host;
use crate::host::helper::{self, HelperError, Kind};
use crate::host::processes;
use crate::model::Uplink;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Child;

/// What keepers are known by. Their third word is `host`, the fourth the lab's directory.
pub(in crate::host) const KEEPER: Kind = Kind { verb: "__keep", name: c"nslab-keeper" };

/// What those are known by that watch over keepers; their fifth word is the keeper's process ID.
pub(in crate::host) const WATCHER: Kind = Kind { verb: "__watch-keeper", name: c"nslab-watcher" };

/// What stands in the place of a namespace's name.
const HOST: &str = "host";

/// How long a keeper may take to begin.
const BEGINNING: Duration = Duration::from_secs(10);

/// A keeper's files, in its lab's directory.
#[derive(Debug, Clone)]
pub struct KeeperFiles {
    directory: PathBuf,
}

impl KeeperFiles {
    /// Those of the lab with this directory.
    pub fn of(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The socket on which it answers.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("uplink.sock")
    }

    /// There while the uplink is to be confirmed: by when, in milliseconds since the machine was started.
    pub fn unconfirmed(&self) -> PathBuf {
        self.directory.join("unconfirmed")
    }

    /// There from before who manages the NIC is told to let go of it until he has taken it back.
    pub fn released(&self) -> PathBuf {
        self.directory.join("released")
    }

    /// Removes them: the next uplink has its own.
    ///
    /// # Errors
    /// When one can't be removed.
    pub fn remove(&self) -> Result<(), HostError> {
        for path in [self.socket(), self.unconfirmed()] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                result => result.on_file("remove", &path)?,
            }
        }
        Ok(())
    }

    /// By when the uplink is to be confirmed; `None` where it need not be, or was.
    pub fn confirm_by_ms(&self) -> Option<u64> {
        std::fs::read_to_string(self.unconfirmed()).ok()?.trim().parse().ok()
    }
}

/// The processes that watch over an uplink, but for the calling one and who watches over that: a keeper that gives everything
/// back needs its watcher until the journal says so, and takes it along when it ends.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) keepers: Vec<i32>,
    pub(super) watchers: Vec<i32>,
}

/// Looks for them in the calling thread's namespace.
pub(super) fn running(of: &Uplink) -> Result<Running, HostError> {
    let directory = of.directory.to_string_lossy();
    let is_ours = |pid: i32| helper::words_of(pid).get(3).is_some_and(|word| *word == directory);
    let (mut found, own) = (Running::default(), std::process::id().cast_signed());
    let proc = Path::new("/proc");
    let inode = own_inode()?;
    for entry in std::fs::read_dir(proc).on_file("read", proc)?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let all = if helper::is_one(KEEPER, pid) {
            &mut found.keepers
        } else if helper::is_one(WATCHER, pid) {
            &mut found.watchers
        } else {
            continue;
        };
        let is_own = pid == own || watched_by(pid) == Some(own);
        if !is_own && is_ours(pid) && processes::is_in_netns(pid, inode) {
            all.push(pid);
        }
    }
    Ok(found)
}

/// The keeper that a watcher watches over; `None` for every other process.
fn watched_by(watcher: i32) -> Option<i32> {
    helper::words_of(watcher).get(4)?.parse().ok()
}

fn own_inode() -> Result<u64, HostError> {
    let path = Path::new("/proc/thread-self/ns/net");
    Ok(path.metadata().on_file("look at", path)?.ino())
}

impl Host {
    /// Starts the keeper of an uplink, unless one runs, and writes down by when it is to be confirmed, where it is.
    ///
    /// # Errors
    /// [`HostError::NoHelper`] in a program that never called [`become_helper`](crate::become_helper);
    /// [`HostError::Keeper`] where it does not begin.
    ///
    /// # Cancel safety
    /// A keeper that was started ends by itself where there is no uplink.
    pub async fn ensure_keeper(&self, of: &Uplink) -> Result<(), HostError> {
        if !helper::is_prepared() {
            return Err(HostError::NoHelper);
        }
        let files = KeeperFiles::of(&of.directory);
        if let Some(seconds) = of.confirm_s {
            let by = crate::host::dhcp::now_ms() + u64::from(seconds) * 1000;
            let path = files.unconfirmed();
            std::fs::write(&path, format!("{by}\n")).on_file("write", &path)?;
            fault::point(|| "after it was written by when to confirm".into());
        }
        let wanted = of.clone();
        let there = self.job(move || running(&wanted)).await?;
        if !there.keepers.is_empty() {
            return Ok(());
        }
        let failed = |said| HostError::Keeper { nic: of.nic.name.clone(), said };
        let child = helper::spawn(KEEPER, HOST, &[of.directory.to_string_lossy().into_owned()]);
        let child = child.map_err(|source| failed(source.to_string()))?;
        fault::point(|| "before the keeper has begun".into());
        helper::has_begun(child, BEGINNING).await.map_err(failed)
    }

    /// Ends who watches over an uplink, but for the calling process and its own watcher, and removes the files of theirs.
    ///
    /// # Errors
    /// When one can't be ended.
    ///
    /// # Cancel safety
    /// Signals that were sent stay sent.
    pub async fn remove_keeper(&self, of: &Uplink) -> Result<(), HostError> {
        const ROUNDS: usize = 20; // each may start the other one anew once
        for _ in 0..ROUNDS {
            let wanted = of.clone();
            let (there, inode) = self.job(move || Ok((running(&wanted)?, own_inode()?))).await?;
            let all: Vec<i32> = there.keepers.into_iter().chain(there.watchers).collect();
            if all.is_empty() {
                break;
            }
            for pid in all {
                let failed = |source| HostError::EndKeeper { nic: of.nic.name.clone(), pid, source };
                processes::end_one(pid, inode).await.map_err(failed)?;
                fault::point(|| "after one of the processes that watch was ended".into());
            }
        }
        KeeperFiles::of(&of.directory).remove()
    }
}

/// Turns the calling process, which was started as a keeper, into one: a session of its own, nothing inherited. Once it is
/// ready, whoever started it is told by [`Readiness::tell`].
///
/// # Errors
/// When the system refuses what every process may do.
pub fn begin_keeper() -> Result<Readiness, Box<dyn std::error::Error>> {
    helper::leave_what_was_inherited()?;
    // Who closes the terminal does not mean this.
    let hangup = nix::sys::signal::SigSet::from_iter([nix::sys::signal::Signal::SIGHUP]);
    hangup.thread_block().map_err(HelperError::process("block a signal"))?;
    Ok(Readiness(()))
}

/// That who started a keeper is still to be told that it is ready.
pub struct Readiness(());

impl Readiness {
    /// Tells it.
    ///
    /// # Errors
    /// When nobody is there to hear it.
    pub fn tell(self) -> Result<(), Box<dyn std::error::Error>> {
        Ok(helper::said_ready(KEEPER)?)
    }

    /// Starts the process that watches over the calling keeper of the lab with this directory.
    ///
    /// # Errors
    /// When no process can be started.
    pub fn watcher(directory: &Path) -> std::io::Result<Child> {
        let own = std::process::id().to_string();
        helper::spawn(WATCHER, HOST, &[directory.to_string_lossy().into_owned(), own])
    }
}

/// Waits for a keeper to end. One that does so in order ends the calling process before; so it has to be started anew.
///
/// # Errors
/// When the arguments are not what a keeper gives, or another can't be started.
pub(in crate::host) fn watch_keeper(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [_, directory, keeper] = arguments else { return Err(HelperError::Arguments.into()) };
    let keeper = keeper.parse().ok().and_then(Pid::from_raw).ok_or(HelperError::Arguments)?;
    helper::leave_what_was_inherited()?;
    let hangup = nix::sys::signal::SigSet::from_iter([nix::sys::signal::Signal::SIGHUP]);
    hangup.thread_block().map_err(HelperError::process("block a signal"))?;
    nix::sys::prctl::set_name(WATCHER.name).map_err(HelperError::process("take a name"))?;
    // Where it has ended already, there is nothing to wait for.
    if let Ok(handle) = pidfd_open(keeper, PidfdFlags::empty()) {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::AsFd;
        while poll(&mut [PollFd::new(handle.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)
            == Err(nix::errno::Errno::EINTR)
        {}
    }
    if Path::new(directory).exists() {
        helper::exec(KEEPER, HOST, std::slice::from_ref(directory))?;
    }
    Ok(())
}
