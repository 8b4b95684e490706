//! /run/netns itself: a directory that is a mount point of its own, shared between mount namespaces.

use crate::host::error::FileContext;
use crate::host::{HostError, PIN_DIRECTORY, names};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// What there is, or was made, of the directory that namespaces are pinned in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinDirectory {
    /// The directory itself.
    pub directory: bool,
    /// A mount point on it.
    pub mount: bool,
}

/// What there is of /run/netns. Who is going to remove what nslab makes of it has to ask before.
///
/// # Errors
/// When /proc/self/fdinfo can't be read.
pub fn observe_pin_directory() -> Result<PinDirectory, HostError> {
    let path = Path::new(PIN_DIRECTORY);
    let mount = mount_id(path)?;
    let above = path.parent().map(mount_id).transpose()?.flatten();
    Ok(PinDirectory { directory: path.is_dir(), mount: mount.is_some() && mount != above })
}

/// The number of the mount that a directory is on, where it is there. By its path alone it can't be told in
/// /proc/self/mountinfo: one that another mount covers is told there, too (in a container's /run, what the machine's was).
fn mount_id(directory: &Path) -> Result<Option<String>, HostError> {
    let opened = match OpenOptions::new().read(true).custom_flags(nix::libc::O_PATH).open(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.on_file("open", directory)?,
    };
    let path = format!("/proc/self/fdinfo/{}", opened.as_raw_fd());
    let told = std::fs::read_to_string(&path).on_file("read", Path::new(&path))?;
    Ok(told.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(|id| id.trim().to_owned()))
}

/// Sees to it that what is pinned here is seen by who comes next. In a mount namespace that only receives mounts, such
/// as `ip netns exec` and `nslab exec` make one (MS_SLAVE), a pin would be seen in there alone, and be gone with it.
///
/// # Errors
/// [`HostError::MountsStayInside`] where it would not; when /proc/self/mountinfo can't be read.
pub fn require_pins_seen_outside() -> Result<(), HostError> {
    let path = Path::new("/proc/self/mountinfo");
    let mounts = std::fs::read_to_string(path).on_file("read", path)?;
    // A container's own first process is at home there, and so are its pins.
    let namespace = |pid: &str| std::fs::metadata(format!("/proc/{pid}/ns/mnt")).map(|metadata| metadata.ino());
    let is_at_home = matches!((namespace("1"), namespace("self")), (Ok(first), Ok(own)) if first == own);
    let mut places = Path::new(PIN_DIRECTORY).ancestors();
    let mount = places.find_map(|place| mount_id(place).transpose()).transpose()?;
    let only_receives = mount.is_some_and(|mount| only_receives(&mounts, &mount));
    if is_at_home || !only_receives { Ok(()) } else { Err(HostError::MountsStayInside) }
}

/// Whether a mount gets what is mounted elsewhere and does not give: what is after the sixth column and before the dash
/// (proc_pid_mountinfo(5)).
fn only_receives(mounts: &str, id: &str) -> bool {
    let line = mounts.lines().find(|line| line.split(' ').next() == Some(id));
    let mut fields = line.into_iter().flat_map(|line| line.split(' ').skip(6).take_while(|field| *field != "-"));
    fields.any(|field| field.starts_with("master:"))
}

/// Makes /run/netns a shared mount point, as ip-netns(8) does it: a namespace pinned in one mount namespace is then
/// seen in the others, and, which matters more, unpinned in all of them. Returns what was made.
///
/// # Errors
/// When it can't be made or mounted.
///
/// # Cancel safety
/// Does not wait. Idempotent.
pub fn ensure_pin_directory() -> Result<PinDirectory, HostError> {
    let path = Path::new(PIN_DIRECTORY);
    let mut made = PinDirectory { directory: names::make_directory(path)?, mount: false };
    // iproute2 takes the same lock, so that two do not put two mounts on top of each other.
    let directory = File::open(path).on_file("open", path)?;
    let _lock = Flock::lock(directory, FlockArg::LockExclusive)
        .map_err(|(_, errno)| std::io::Error::from(errno))
        .on_file("lock", path)?;
    let share = || mount(None::<&str>, path, None::<&str>, MsFlags::MS_SHARED | MsFlags::MS_REC, None::<&str>);
    let failed = |action| move |source| HostError::Mount { action, path: path.to_owned(), source };
    if share() == Err(Errno::EINVAL) {
        // It is no mount point: make it one.
        let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(path), path, None::<&str>, bind, None::<&str>).map_err(failed("bind a mount on"))?;
        made.mount = true;
    }
    share().map_err(failed("share the mount on"))?;
    Ok(made)
}

/// Removes what [`ensure_pin_directory`] made, where nobody uses it.
///
/// # Errors
/// When the kernel refuses for another reason than that it is in use, or gone.
///
/// # Cancel safety
/// Does not wait. Idempotent.
pub fn remove_pin_directory(made: PinDirectory) -> Result<(), HostError> {
    let path = Path::new(PIN_DIRECTORY);
    let in_use = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if in_use {
        return Ok(());
    }
    if made.mount {
        match umount2(path, MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
            Err(Errno::EBUSY) => return Ok(()),
            Err(source) => return Err(HostError::Mount { action: "unmount", path: path.to_owned(), source }),
        }
    }
    if made.directory { names::remove_directory_if_empty(path) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::only_receives;

    #[test]
    fn a_mount_that_only_receives_is_known() {
        let root = "22 1 0:20 / / rw shared:1 - ext4 /dev/sda rw\n";
        let slave = "22 1 0:20 / / rw master:1 - ext4 /dev/sda rw\n";
        let run = "30 22 0:25 / /run rw,nosuid shared:5 - tmpfs tmpfs rw\n";
        let slave_netns = "41 30 0:25 /netns /run/netns rw shared:9 master:5 - tmpfs tmpfs rw\n";
        assert!(!only_receives(root, "22") && only_receives(slave, "22"));
        assert!(!only_receives(&format!("{slave}{run}"), "30"));
        let all = format!("{root}{run}{slave_netns}");
        assert!(only_receives(&all, "41") && !only_receives(&all, "30") && !only_receives(&all, "4"));
    }
}
