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
use crate::host::processes::{self, Held};
use crate::model::Uplink;
use crate::process::words_of;
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

/// How long until a keeper that could not be started is tried again.
const AGAIN: Duration = Duration::from_millis(200);

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

/// The processes that watch over an uplink; the calling one may be among them.
#[derive(Debug, Default)]
pub(super) struct Running {
    keepers: Vec<i32>,
    watchers: Vec<i32>,
}

impl Running {
    /// Whether there is any.
    pub(super) fn is_any(&self) -> bool {
        !self.keepers.is_empty() || !self.watchers.is_empty()
    }

    /// All but the calling one and who watches over that, the watchers first: a keeper that gives everything back needs its
    /// watcher until the journal says so, and takes it along when it ends.
    pub(super) fn others(&self) -> Vec<i32> {
        let own = std::process::id().cast_signed();
        let all = self.watchers.iter().chain(&self.keepers).copied();
        all.filter(|pid| *pid != own && watched_by(*pid) != Some(own)).collect()
    }
}

/// Looks for them in the calling thread's namespace.
pub(super) fn running(of: &Uplink) -> Result<Running, HostError> {
    let mut found = Running::default();
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
        if is_for(of, pid, inode) {
            all.push(pid);
        }
    }
    Ok(found)
}

/// Whether a process is for this uplink, in the network namespace with this inode.
fn is_for(of: &Uplink, pid: i32, inode: u64) -> bool {
    let directory = of.directory.to_string_lossy();
    words_of(pid).get(3).is_some_and(|word| *word == directory) && processes::is_in_netns(pid, inode)
}

/// The keeper that a watcher watches over; `None` for every other process.
fn watched_by(watcher: i32) -> Option<i32> {
    words_of(watcher).get(4)?.parse().ok()
}

pub(super) fn own_inode() -> Result<u64, HostError> {
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
    /// They are killed: nothing less ends them, and what they keep is the kernel's, and in the journal.
    ///
    /// # Errors
    /// When one can't be ended, or they are started anew again and again.
    ///
    /// # Cancel safety
    /// Signals that were sent stay sent.
    pub async fn remove_keeper(&self, of: &Uplink) -> Result<(), HostError> {
        const ROUNDS: usize = 20; // each may start the other one anew once
        for _ in 0..ROUNDS {
            let wanted = of.clone();
            let (there, inode) = self.job(move || Ok((running(&wanted)?, own_inode()?))).await?;
            let mut held = Vec::new();
            for pid in there.others() {
                let failed = |source| HostError::EndKeeper { nic: of.nic.name.clone(), pid, source };
                if let Some(one) = Held::of(pid).map_err(failed)?.filter(|_| is_for(of, pid, inode)) {
                    held.push((pid, one));
                }
            }
            if held.is_empty() {
                return KeeperFiles::of(&of.directory).remove();
            }
            // At once, the watcher first: that is there in an instant, while a keeper looks only now and then.
            for (pid, one) in &held {
                one.kill().map_err(|source| HostError::EndKeeper { nic: of.nic.name.clone(), pid: *pid, source })?;
                fault::point(|| "after one of the processes that watch was ended".into());
            }
            for (pid, one) in held {
                let failed = |source| HostError::EndKeeper { nic: of.nic.name.clone(), pid, source };
                one.wait_killed().await.map_err(failed)?;
            }
        }
        let said = format!("who watches over it was started anew after each of {ROUNDS} times that it was killed");
        Err(HostError::Keeper { nic: of.nic.name.clone(), said })
    }
}

/// Turns the calling process, which was started as a keeper, into one: a session of its own, nothing inherited. Once it is
/// ready, whoever started it is told by [`Readiness::tell`].
///
/// # Errors
/// When the system refuses what every process may do.
pub fn begin_keeper() -> Result<Readiness, Box<dyn std::error::Error>> {
    helper::leave_what_was_inherited()?;
    // Who closes the terminal, or stops the service that attached, does not mean this.
    helper::outlive_sessions()?;
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
}

/// Starts the process that watches over the calling keeper of the lab with this directory.
///
/// # Errors
/// When no process can be started.
pub fn start_watcher(directory: &Path) -> std::io::Result<Child> {
    let own = std::process::id().to_string();
    helper::spawn(WATCHER, HOST, &[directory.to_string_lossy().into_owned(), own])
}

/// Waits for a keeper to end. One that does so in order ends the calling process before; so it has to be started anew.
///
/// # Errors
/// When the arguments are not what a keeper gives, or another can't be started.
pub(in crate::host) fn watch_keeper(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [_, directory, keeper] = arguments else { return Err(HelperError::Arguments.into()) };
    let keeper = keeper.parse().ok().and_then(Pid::from_raw).ok_or(HelperError::Arguments)?;
    helper::leave_what_was_inherited()?;
    helper::outlive_sessions()?;
    nix::sys::prctl::set_name(WATCHER.name).map_err(HelperError::process("take a name"))?;
    // Where it has ended already, there is nothing to wait for.
    if let Ok(handle) = pidfd_open(keeper, PidfdFlags::empty()) {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::AsFd;
        while poll(&mut [PollFd::new(handle.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)
            == Err(nix::errno::Errno::EINTR)
        {}
    }
    helper::hold_back_sessions_end()?;
    while !is_gone(Path::new(directory)) {
        // It returns where it fails, for want of memory or files: there will be some again.
        let _ = helper::exec(KEEPER, HOST, std::slice::from_ref(directory));
        std::thread::sleep(AGAIN);
    }
    Ok(())
}

/// Whether there is nothing of this path, for certain: that it can't be looked at does not say so.
pub fn is_gone(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
