//! What can be wrong with a cgroup.

use crate::launcher::{Failure, Step};
use nix::errno::Errno;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// Why a container's cgroup can't be made, used or removed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The name is no path of plain names.
    #[error("can't make a cgroup named {name:?}: it is to be like nslab/LAB/NODE")]
    Name {
        /// The name.
        name: PathBuf,
    },
    /// A limit wants a controller that the machine has not, or not where it can be seen.
    #[error(
        "can't limit {limit}: no cgroup hierarchy with the controller `{controller}` is mounted (cgroup version 2 is mounted by \
         `mount -t cgroup2 none /sys/fs/cgroup`)"
    )]
    ControllerAbsent {
        /// What was to be limited.
        limit: &'static str,
        /// The controller.
        controller: &'static str,
    },
    /// A limit wants a controller that the caller has not been given.
    #[error("can't limit {limit}: the controller `{controller}` is not delegated to {}{}", at.display(), advice(controller))]
    ControllerNotDelegated {
        /// What was to be limited.
        limit: &'static str,
        /// The controller.
        controller: &'static str,
        /// The cgroup that lacks it.
        at: PathBuf,
    },
    /// The caller may not make any cgroup.
    #[error(
        "can't make a cgroup: none is delegated to this user, who is in {}, and no systemd of the user's made one ({bus}); run \
         nslab by `systemd-run --user --scope -p Delegate=yes`, or as root",
        own.display()
    )]
    NotDelegated {
        /// The cgroup that the caller is in.
        own: PathBuf,
        /// Why systemd did not make one.
        bus: String,
    },
    /// Cgroups can be seen, and not changed, by root.
    #[error("can't write to {}, though nslab is root: in a container, it has to be mounted writable", at.display())]
    ReadOnly {
        /// Where the hierarchy is mounted.
        at: PathBuf,
    },
    /// A cgroup with processes in it can't have others below it that are limited (cgroups(7), "no internal processes").
    #[error(
        "can't have limited cgroups below {}: it has processes itself that nslab does not move ({})",
        directory.display(), list(pids)
    )]
    InternalProcesses {
        /// The delegated cgroup.
        directory: PathBuf,
        /// The processes.
        pids: Vec<i32>,
    },
    /// Something is there already.
    #[error("can't make {what}: it is there already{whose}")]
    Taken {
        /// A directory, or a unit of systemd's.
        what: String,
        /// Whose it is, where that is known not to be nslab's own of here.
        whose: &'static str,
    },
    /// Swap was to be limited and memory not, in version 1, which counts both in one.
    #[error("can't limit swap and not memory: cgroup version 1 counts both in one")]
    SwapAlone,
    /// Disks were to be limited for a lab as a whole, in version 1.
    #[error(
        "can't limit io of the lab as a whole: cgroup version 1 does not bound together what is in several cgroups (blkio); limit \
         the nodes' containers each, or boot the machine with version 2"
    )]
    IoOfWhole,
    /// The kernel doesn't count swap.
    #[error("can't limit swap: this kernel does not count it (it does when booted with swapaccount=1)")]
    SwapNotCounted,
    /// systemd took a limit, and the kernel has another one.
    #[error("can't have systemd write `{wanted}` to {}: there is `{found}`", file.display())]
    NotAsAsked {
        /// The file.
        file: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// More is in use than is to be.
    #[error(
        "can't limit {limit} to {wanted}: {used} are in use, and the kernel could not write back or swap enough of it"
    )]
    InUse {
        /// What was to be limited.
        limit: &'static str,
        /// To what.
        wanted: String,
        /// What is used.
        used: String,
    },
    /// Processes do not end.
    #[error("can't remove {}: processes that were killed are still in it ({})", directory.display(), list(pids))]
    Occupied {
        /// The cgroup.
        directory: PathBuf,
        /// The processes.
        pids: Vec<i32>,
    },
    /// Processes are in it that nobody has told to end.
    #[error(
        "can't remove {}: processes are in it that nslab has not started there ({}); end them, or move them elsewhere",
        directory.display(), list(pids)
    )]
    Others {
        /// The cgroup.
        directory: PathBuf,
        /// The processes.
        pids: Vec<i32>,
    },
    /// systemd, or the bus, said no.
    #[error("can't have systemd {action}")]
    Bus {
        /// What it was asked for.
        action: String,
        /// The answer.
        #[source]
        source: zbus::Error,
    },
    /// systemd was asked, and did nothing in time.
    #[error("can't have systemd {action}: it did not within {seconds} s")]
    Silent {
        /// What it was asked for.
        action: String,
        /// How long it had.
        seconds: u64,
    },
    /// The kernel said no.
    #[error("can't {action} {}", path.display())]
    Kernel {
        /// What was to be done.
        action: String,
        /// To what.
        path: PathBuf,
        /// The answer.
        #[source]
        source: io::Error,
    },
}

impl CgroupError {
    /// Whether it is only that there are no cgroups here, or none for the caller: where nothing is to be limited, a container
    /// can do without.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::ControllerAbsent { .. }
                | Self::NotDelegated { .. }
                | Self::ReadOnly { .. }
                | Self::InternalProcesses { .. }
        )
    }
}

impl From<CgroupError> for Failure {
    /// What crosses to another process: the words, and the kernel's answer or what comes closest to one.
    fn from(error: CgroupError) -> Self {
        use CgroupError as E;
        let errno = match &error {
            E::Name { .. } | E::SwapAlone => Errno::EINVAL,
            E::ControllerAbsent { .. } | E::SwapNotCounted | E::IoOfWhole => Errno::EOPNOTSUPP,
            E::ControllerNotDelegated { .. } | E::NotDelegated { .. } => Errno::EACCES,
            E::ReadOnly { .. } => Errno::EROFS,
            E::InternalProcesses { .. } | E::Occupied { .. } | E::Others { .. } | E::InUse { .. } => Errno::EBUSY,
            E::Taken { .. } => Errno::EEXIST,
            E::NotAsAsked { .. } | E::Bus { .. } => Errno::EIO,
            E::Silent { .. } => Errno::ETIMEDOUT,
            E::Kernel { source, .. } => source.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw),
        };
        let mut words = error.to_string();
        if let E::Bus { source, .. } = &error {
            words = format!("{words}: {source}");
        }
        // What a failure says begins so by itself.
        Step::of(words.strip_prefix("can't ").unwrap_or(&words)).failed()(errno)
    }
}

/// What to do about a controller that is not delegated.
fn advice(controller: &str) -> String {
    format!(
        " (systemd gives users memory and pids alone: have root run `systemctl edit user@.service` and write \
         `[Service]` and `Delegate=cpu io memory pids` there for `{controller}`, and log in anew)"
    )
}

fn list(pids: &[i32]) -> String {
    if pids.is_empty() {
        return "none that is seen from here".to_owned();
    }
    let mut words: Vec<String> = pids.iter().take(8).map(ToString::to_string).collect();
    if pids.len() > words.len() {
        words.push(format!("and {} more", pids.len() - words.len()));
    }
    words.join(", ")
}

/// Adds to what the kernel answers what was to be done.
pub(super) trait While<T> {
    /// Says what a call was for, and on what.
    fn while_to(self, action: &str, path: impl Into<PathBuf>) -> Result<T, CgroupError>;
}

impl<T, E: Into<io::Error>> While<T> for Result<T, E> {
    fn while_to(self, action: &str, path: impl Into<PathBuf>) -> Result<T, CgroupError> {
        self.map_err(|error| CgroupError::Kernel { action: action.to_owned(), path: path.into(), source: error.into() })
    }
}

/// Whether a cgroup was removed meanwhile; ENODEV comes from its files that were open.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ENODEV)
}

/// Whether the kernel refuses because there is something in it, or somebody uses it.
pub(super) fn is_in_use(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ResourceBusy | ErrorKind::DirectoryNotEmpty)
}
