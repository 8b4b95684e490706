//! Transient scopes: cgroups that systemd makes, and hands over to nslab (org.freedesktop.systemd1(5)).
//!
//! Where systemd is the first process, the tree of version 2 is its own, and others are to ask it for a part. A scope goes by
//! itself when nobody is in it any more.

use super::disks::{self, Disk};
use super::error::CgroupError;
use crate::launcher::sys::{self, Doubled};
use crate::model::OF_NO_LAB;
use crate::model::container::Limits;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, geteuid, pause};
use serde::Serialize;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use zbus::connection::Builder;
use zbus::{Connection, DynamicType, Variant};

/// How long the bus and systemd have.
const ANSWER: Duration = Duration::from_secs(10);

/// How often it is looked whether systemd has done what it said that it would.
const LOOK: Duration = Duration::from_millis(1);

const SERVICE: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// Whether systemd is the first process (sd_booted(3)).
pub(super) fn is_running() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// What systemd calls the scope of a cgroup's name: as `systemd-escape --path` writes it.
pub(super) fn unit_of(name: &Path) -> String {
    let mut unit = String::new();
    for (at, byte) in name.to_string_lossy().bytes().enumerate() {
        match byte {
            b'/' => unit.push('-'),
            b'.' if at == 0 => unit.push_str("\\x2e"),
            b'.' | b'_' | b':' => unit.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => unit.push(char::from(byte)),
            _ => unit.extend(["\\x".to_owned(), format!("{byte:02x}")]),
        }
    }
    unit + ".scope"
}

/// What systemd calls the slice of a cgroup's name.
pub(super) fn slice_of(name: &Path) -> String {
    unit_of(name).trim_end_matches(".scope").to_owned() + ".slice"
}

/// Where the slice of a cgroup's name is: in those that its name's beginnings are of (systemd.slice(5)).
pub(super) fn slice_place_of(name: &Path) -> PathBuf {
    let mut ways: Vec<&Path> = name.ancestors().filter(|way| !way.as_os_str().is_empty()).collect();
    ways.reverse();
    ways.into_iter().map(slice_of).collect()
}

/// The lab that a cgroup's name is of a node of, where root has it.
pub(super) fn lab_of(name: &Path) -> Option<&Path> {
    let lab = name.parent().filter(|_| geteuid().is_root())?;
    let is_lab = |group: &OsStr| !group.as_encoded_bytes().starts_with(OF_NO_LAB.as_bytes());
    (lab.components().count() == 2 && lab.file_name().is_some_and(is_lab)).then_some(lab)
}

/// The slice that a scope is in: its lab's; or for those of none, one that is there anyway, because systemd does not remove one
/// that was.
fn slice(name: &Path) -> String {
    match lab_of(name) {
        Some(lab) => slice_of(lab),
        None => if geteuid().is_root() { "system.slice" } else { "app.slice" }.to_owned(),
    }
}

/// Where the scope of a cgroup's name is, below the root of the hierarchy.
pub(super) fn place_of(name: &Path) -> PathBuf {
    let user = geteuid();
    let manager = if user.is_root() {
        PathBuf::new()
    } else {
        PathBuf::from(format!("user.slice/user-{user}.slice/user@{user}.service"))
    };
    let slice = lab_of(name).map_or_else(|| slice(name).into(), slice_place_of);
    manager.join(slice).join(unit_of(name))
}

/// The process that a scope is made with, because systemd makes none that is empty: it does nothing, and goes when the container
/// is there.
#[derive(Debug)]
pub(super) struct Placeholder(Pid);

impl Placeholder {
    fn start() -> Result<Self, CgroupError> {
        let parent = std::process::id();
        let failed = |source: nix::errno::Errno| CgroupError::Kernel {
            action: "fork a process for".to_owned(),
            path: PathBuf::from("a systemd scope"),
            source: source.into(),
        };
        match sys::fork().map_err(failed)? {
            Doubled::Parent(pid) => Ok(Self(pid)),
            Doubled::Child => {
                let with_parent = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
                if with_parent.is_ok() && std::os::unix::process::parent_id() == parent {
                    loop {
                        pause();
                    }
                }
                sys::exit(1);
            }
        }
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        // It is a child that nobody has waited for, so the number is its own.
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

/// What became of asking systemd for a scope.
#[derive(Debug)]
pub(super) enum Asked {
    /// It is there, with one process in it.
    Made(Placeholder),
    /// No bus, or nobody on it who makes scopes; and why.
    NobodyThere(String),
}

/// Has systemd make a scope with these limits, and waits until a process is in it.
///
/// It is spoken to on this thread alone: when this returns, there is no other one, and the process may be cloned.
pub(super) fn make(
    unit: &str,
    name: &Path,
    description: &str,
    limits: &Limits,
    disks: &[Disk],
) -> Result<Asked, CgroupError> {
    in_runtime(&format!("make {unit}"), async {
        let connection = match connect().await {
            Ok(connection) => connection,
            Err(error) => return Ok(Asked::NobodyThere(error.to_string())),
        };
        let placeholder = Placeholder::start()?;
        let pid = placeholder.0.as_raw();
        let mut properties = vec![
            ("Description", Variant::from(description)),
            ("PIDs", Variant::from(vec![pid.cast_unsigned()])),
            ("Slice", Variant::from(slice(name))),
            ("Delegate", Variant::from(true)),
            ("MemoryAccounting", Variant::from(true)),
            ("TasksAccounting", Variant::from(true)),
            // One whose processes were killed is not to stay as a unit that has failed.
            ("CollectMode", Variant::from("inactive-or-failed")),
        ];
        properties.extend(variants(super::limits::properties(limits)));
        let of_disks = disks::properties(limits, disks).into_iter().filter(|(_, each)| !each.is_empty());
        properties.extend(variants(of_disks));
        let auxiliary: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
        let action = format!("make {unit}");
        match call(&connection, "StartTransientUnit", &(unit, "fail", properties, auxiliary)).await {
            Ok(()) => {}
            Err(error) if is_answer(&error, "org.freedesktop.systemd1.UnitExists") => {
                return Err(CgroupError::Taken { what: unit.to_owned(), whose: "" });
            }
            Err(error) if NOBODY.iter().any(|name| is_answer(&error, name)) => {
                return Ok(Asked::NobodyThere(error.to_string()));
            }
            Err(source) => return Err(CgroupError::Bus { action, source }),
        }
        until(&action, || is_in(pid, unit)).await?;
        Ok(Asked::Made(placeholder))
    })
}

/// What is answered where there is a bus and no systemd that may be asked.
const NOBODY: [&str; 4] = [
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.AccessDenied",
    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
];

/// Has systemd move a process into a scope, where the caller may not do that itself: from another user's part of the tree.
pub(super) fn attach(unit: &str, pid: i32) -> Result<(), CgroupError> {
    let action = format!("move process {pid} to {unit}");
    in_runtime(&action, async {
        let failed = |source| CgroupError::Bus { action: action.clone(), source };
        let connection = connect().await.map_err(failed)?;
        let arguments = (unit, "", vec![pid.cast_unsigned()]);
        call(&connection, "AttachProcessesToUnit", &arguments).await.map_err(failed)?;
        until(&action, || is_in(pid, unit)).await
    })
}

/// Has systemd stop a scope that it has not noticed to be empty.
pub(super) fn stop(unit: &str) -> Result<(), CgroupError> {
    let action = format!("stop {unit}");
    in_runtime(&action, async {
        let failed = |source| CgroupError::Bus { action: action.clone(), source };
        let connection = connect().await.map_err(failed)?;
        match call(&connection, "StopUnit", &(unit, "replace")).await {
            Err(error) if !is_answer(&error, "org.freedesktop.systemd1.NoSuchUnit") => Err(failed(error)),
            _ => Ok(()),
        }
    })
}

/// Has systemd make a slice, where it has none of that name. Nothing is limited by that: who does it looks whether there is room
/// before, or the kernel would kill what is in there.
pub(super) fn make_slice(slice: &str, description: &str) -> Result<(), CgroupError> {
    let action = format!("make {slice}");
    in_runtime(&action, async {
        let failed = |source| CgroupError::Bus { action: action.clone(), source };
        let connection = connect().await.map_err(failed)?;
        let properties = vec![
            ("Description", Variant::from(description)),
            ("MemoryAccounting", Variant::from(true)),
            ("TasksAccounting", Variant::from(true)),
        ];
        let auxiliary: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
        match call(&connection, "StartTransientUnit", &(slice, "fail", properties, auxiliary)).await {
            Err(error) if is_answer(&error, "org.freedesktop.systemd1.UnitExists") => Ok(()),
            result => result.map_err(failed),
        }
    })
}

/// Has systemd hold a unit to these limits, until it is stopped.
pub(super) fn set_properties(unit: &str, limits: &Limits, disks: &[Disk]) -> Result<(), CgroupError> {
    let action = format!("limit {unit}");
    in_runtime(&action, async {
        let failed = |source| CgroupError::Bus { action: action.clone(), source };
        let connection = connect().await.map_err(failed)?;
        // With no disk at all, systemd takes the limits of all away (it keeps those of disks that it is not told of).
        let of_disks = variants(disks::properties(limits, disks));
        let properties: Vec<_> = variants(super::limits::all_properties(limits)).chain(of_disks).collect();
        call(&connection, "SetUnitProperties", &(unit, true, properties)).await.map_err(failed)
    })
}

fn variants<'v, T: Into<Variant<'v>>>(
    properties: impl IntoIterator<Item = (&'static str, T)>,
) -> impl Iterator<Item = (&'static str, Variant<'v>)> {
    properties.into_iter().map(|(name, value)| (name, value.into()))
}

/// Waits until something is so that systemd was asked for; returns whether it is.
pub(super) fn has_come(is_so: impl Fn() -> bool) -> bool {
    holds_within(ANSWER, is_so)
}

fn holds_within(within: Duration, is_so: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + within;
    while !is_so() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    true
}

/// Waits until systemd has removed a scope's cgroup, as it does once that is empty; returns whether it has.
pub(super) fn has_removed(directory: &Path, within: Duration) -> bool {
    holds_within(within, || !directory.exists())
}

/// Whether a process is in the cgroup of a unit.
fn is_in(pid: i32, unit: &str) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    // The kernel escapes nothing here.
    text.lines().filter_map(|line| line.strip_prefix("0::")).any(|path| Path::new(path).ends_with(unit))
}

async fn until(action: &str, is_so: impl Fn() -> bool) -> Result<(), CgroupError> {
    let looked = async {
        while !is_so() {
            tokio::time::sleep(LOOK).await;
        }
    };
    let late = |_| CgroupError::Silent { action: action.to_owned(), seconds: ANSWER.as_secs() };
    tokio::time::timeout(ANSWER, looked).await.map_err(late)
}

/// The bus on which the caller's systemd is: the machine's for root, and the user's own for others.
async fn connect() -> zbus::Result<Connection> {
    crate::name_service::without_libraries();
    let builder = if geteuid().is_root() {
        Builder::system()
    } else {
        let directory = std::env::var("XDG_RUNTIME_DIR").unwrap_or_else(|_| format!("/run/user/{}", geteuid()));
        let socket = Path::new(&directory).join("bus");
        if socket.exists() {
            Builder::address(format!("unix:path={}", socket.display()).as_str())
        } else {
            Builder::session()
        }
    };
    builder.method_timeout(ANSWER).build().await
}

async fn call(connection: &Connection, method: &str, arguments: &(impl Serialize + DynamicType)) -> zbus::Result<()> {
    connection.call_method(Some(SERVICE), OBJECT, Some(MANAGER), method, arguments).await.map(drop)
}

fn is_answer(error: &zbus::Error, name: &str) -> bool {
    match error {
        zbus::Error::MethodError(found, ..) => found.as_str() == name,
        zbus::Error::FDO(error) => {
            use zbus::DBusError;
            error.name().as_str() == name
        }
        _ => false,
    }
}

/// Runs something to its end on this thread.
fn in_runtime<T>(action: &str, what: impl Future<Output = Result<T, CgroupError>>) -> Result<T, CgroupError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| CgroupError::Kernel {
        action: "have systemd".to_owned(),
        path: PathBuf::from(action),
        source,
    })?;
    let late = |_| CgroupError::Silent { action: action.to_owned(), seconds: 2 * ANSWER.as_secs() };
    // Dropping it waits for the threads that it has started, if any.
    runtime.block_on(async { tokio::time::timeout(2 * ANSWER, what).await.map_err(late)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_named_as_systemd_escapes_paths() {
        for (name, unit) in [
            ("nslab/two-node/net1", "nslab-two\\x2dnode-net1.scope"),
            ("nslab/:launched/4711", "nslab-:launched-4711.scope"),
            ("nslab/a.b/c_d", "nslab-a.b-c_d.scope"),
            (".x/é", "\\x2ex-\\xc3\\xa9.scope"),
        ] {
            assert_eq!(unit_of(Path::new(name)), unit, "{name}");
        }
    }
}
