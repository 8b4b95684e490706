//! Entering a node as a command does: its network namespace, a /sys that shows it, its own files over those in /etc.
//!
//! What `ip netns exec` does (ip-netns(8)), but for one thing: the cgroup mounts below /sys stay.

use super::{HostError, netns};
use crate::fault;
use crate::model::Netns;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why a node could not be entered, or a command not be run in it.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// setns(2) or unshare(2) refused.
    #[error("can't enter the {what} namespace")]
    Namespace {
        /// `network` or `mount`.
        what: &'static str,
        /// The kernel's answer.
        #[source]
        source: nix::Error,
    },
    /// A mount could not be made.
    #[error("can't {action} {}", path.display())]
    Mount {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The command could not be executed.
    #[error("can't run `{}`", command.to_string_lossy())]
    Command {
        /// Its program.
        command: OsString,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The namespace is not there, or it is not the node's any more.
    #[error(transparent)]
    Netns(#[from] HostError),
    /// No thread could be made to start the command from.
    #[error("can't make a thread to start the command from")]
    Thread(#[source] io::Error),
}

impl EnterError {
    /// Whether there is no such command.
    pub fn is_command_absent(&self) -> bool {
        matches!(self, Self::Command { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the command is there and can't be run.
    pub fn is_command_unrunnable(&self) -> bool {
        matches!(self, Self::Command { source, .. } if source.kind() != io::ErrorKind::NotFound)
    }
}

/// Takes the calling thread, and no other, into a node: its network namespace, and a mount namespace of its own in which
/// /sys is that network's and the files in `/etc/netns/NAME` stand in for those in /etc. There is no way back; what the
/// thread executes or starts is in the node too.
///
/// # Errors
/// When there is no such namespace, or it does not carry the mark; when the kernel refuses. The thread may then be
/// half-way, and is good for nothing but ending.
pub fn enter(node: &Netns) -> Result<(), EnterError> {
    fault::point(|| "before opening the node".into());
    let file = netns::open_pin(&node.name)?;
    fault::point(|| "before entering the node".into());
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|source| EnterError::Namespace { what: "network", source })?;
    fault::point(|| "inside the node, before looking at its name".into());
    // Only now: who is inside and finds the name still there is seen by whoever takes the name away later.
    netns::require_own(node)?;
    fault::point(|| "inside the node".into());
    // A thread that shares its root and working directory with others (CLONE_FS) can't leave their mount namespace.
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)
        .map_err(|source| EnterError::Namespace { what: "mount", source })?;
    // What the command unmounts or mounts is not to be seen outside; what is mounted outside is still to come in.
    on(Path::new("/"), "make private the mounts below", none(MsFlags::MS_SLAVE | MsFlags::MS_REC))?;
    show_own_network_in_sys()?;
    bind_files(&Path::new("/etc/netns").join(node.name.as_str()))
}

/// Mounts a sysfs that shows the calling thread's network namespace: each shows that of whoever mounted it.
fn show_own_network_in_sys() -> Result<(), EnterError> {
    const SYS: &str = "/sys";
    const CGROUP: &str = "/sys/fs/cgroup";
    let sys = Path::new(SYS);
    // Kept aside and put back: commands in a node may well want to know their limits. Kernels before 5.2, and systems
    // without cgroups, go without.
    let cgroup = open_tree(
        rustix::fs::CWD,
        CGROUP,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE,
    );
    match umount2(SYS, MntFlags::MNT_DETACH) {
        // Nothing was mounted there, as in some containers.
        Ok(()) | Err(nix::Error::EINVAL) => {}
        Err(source) => return on(sys, "unmount", Err(source)),
    }
    on(sys, "mount sysfs at", mount(Some("sysfs"), SYS, Some("sysfs"), MsFlags::empty(), None::<&str>))?;
    if let Ok(cgroup) = cgroup {
        move_mount(&cgroup, "", rustix::fs::CWD, CGROUP, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(
            |source| EnterError::Mount { action: "put back the mounts at", path: CGROUP.into(), source: source.into() },
        )?;
    }
    Ok(())
}

/// Binds every file in `directory` over the one of its name in /etc.
fn bind_files(directory: &Path) -> Result<(), EnterError> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(EnterError::Mount { action: "read", path: directory.to_owned(), source }),
        Ok(entries) => entries,
    };
    for entry in entries {
        let entry = entry.map_err(|source| EnterError::Mount { action: "read", path: directory.to_owned(), source })?;
        let own = Path::new("/etc").join(entry.file_name());
        // A file that /etc does not have can't be stood in for: ip-netns(8) leaves such out as well.
        if own.exists() {
            let bound = mount(Some(&entry.path()), &own, None::<&str>, MsFlags::MS_BIND, None::<&str>);
            on(&own, "bind the node's file over", bound)?;
        }
    }
    Ok(())
}

fn none(flags: MsFlags) -> nix::Result<()> {
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
}

fn on(path: &Path, action: &'static str, result: nix::Result<()>) -> Result<(), EnterError> {
    result.map_err(|source| EnterError::Mount { action, path: path.to_owned(), source: source.into() })
}

/// Enters a node and becomes a command there; only for a process with a single thread. `environment` is added to the
/// process's own.
///
/// # Errors
/// Always when it returns: the node could not be entered, or the command not be run.
pub fn exec_replacing(node: &Netns, command: &[OsString], environment: &[(&str, &str)]) -> EnterError {
    match become_command(node, command, environment) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn become_command(node: &Netns, command: &[OsString], environment: &[(&str, &str)]) -> Result<Infallible, EnterError> {
    let [program, arguments @ ..] = command else {
        let source = io::Error::from(io::ErrorKind::InvalidInput);
        return Err(EnterError::Command { command: OsString::new(), source });
    };
    enter(node)?;
    let source = Command::new(program).args(arguments).envs(environment.iter().copied()).exec();
    Err(EnterError::Command { command: program.clone(), source })
}

/// Starts a command in a node. It is started from a thread that enters the node and then ends: the child is born there,
/// and no Rust code runs between fork and exec.
///
/// # Errors
/// When the node can't be entered, or the command not be run.
///
/// # Cancel safety
/// A command that was started runs on, unless it was made with `kill_on_drop`.
pub async fn spawn(node: Netns, mut command: tokio::process::Command) -> Result<tokio::process::Child, EnterError> {
    let runtime = tokio::runtime::Handle::current();
    let (answer, answered) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("enter".into())
        .spawn(move || {
            let _entered = runtime.enter();
            let started = enter(&node).and_then(|()| {
                command.spawn().map_err(|source| EnterError::Command {
                    command: command.as_std().get_program().to_owned(),
                    source,
                })
            });
            // Nobody waits any more: the child is dropped, and with it what `kill_on_drop` says.
            let _ = answer.send(started);
        })
        .map_err(EnterError::Thread)?;
    answered.await.unwrap_or_else(|_| Err(EnterError::Thread(io::Error::other("the thread panicked"))))
}
