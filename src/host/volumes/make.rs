//! Making a volume: whole, before anybody can find it under its name.

use super::namespace::{errno, refused};
use super::{UNFINISHED, is_mounted, loop_device};
use crate::host::HostError;
use crate::host::error::FileContext;
use crate::model::{Propagation, Volume, VolumeKind, VolumeLimits};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::statvfs::{FsFlags, statvfs};
use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_string,
    fsmount, fsopen, move_mount, open_tree,
};
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where mkfs.* are, for those whose PATH does not say so.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The volume's file system, mounted nowhere.
pub(super) fn tree(volume: &Volume) -> Result<OwnedFd, HostError> {
    match &volume.kind {
        VolumeKind::Bind { source } => {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            open_tree(CWD, source, flags).map_err(|error| refused("take as a volume", source, plain(error)))
        }
        VolumeKind::Tmpfs { size } => {
            let size = size.map(|size| size.bytes().to_string());
            let mut options = vec![("source", volume.name.as_str()), ("mode", "1777")];
            options.extend(size.as_deref().map(|size| ("size", size)));
            file_system("tmpfs", &options).map_err(|source| failed(volume, source))
        }
        VolumeKind::Ramdisk { size, filesystem } => {
            let memory = memfd_create(volume.name.as_str(), MFdFlags::MFD_CLOEXEC).map(File::from);
            let memory = memory.map_err(|source| failed(volume, source))?;
            memory.set_len(size.bytes()).map_err(|error| failed(volume, errno(&error)))?;
            make_file_system(volume, &memory, filesystem)?;
            let device = loop_device::on(&memory, &format!("nslab: {}", volume.name));
            // Open until it is mounted: it would go.
            let (path, _device) =
                device.map_err(|source| refused("make a loop device for", volume.name.as_ref(), source))?;
            file_system(filesystem, &[("source", &path)]).map_err(|source| failed(volume, source))
        }
    }
}

fn failed(volume: &Volume, source: Errno) -> HostError {
    refused("make the volume", Path::new(&volume.name), source)
}

fn plain(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

fn file_system(kind: &str, options: &[(&str, &str)]) -> Result<OwnedFd, Errno> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(plain)?;
    for (name, value) in options {
        fsconfig_set_string(&context, *name, *value).map_err(plain)?;
    }
    fsconfig_create(&context).map_err(plain)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).map_err(plain)
}

fn make_file_system(volume: &Volume, memory: &File, filesystem: &str) -> Result<(), HostError> {
    let program = format!("mkfs.{filesystem}");
    // This process's file, which nobody else has a name for.
    let file = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
    let mut command = Command::new(&program);
    command.arg(file).env("PATH", PATH).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = match command.output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(HostError::NoMkfs { program, volume: volume.name.clone() });
        }
        result => result.on_file("run", Path::new(&program))?,
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(HostError::Mkfs { program, volume: volume.name.clone(), said })
}

/// Attaches it; to be called in the namespace.
pub(super) fn attach(volume: &Volume, tree: &OwnedFd) -> Result<(), HostError> {
    let unfinished = Path::new(UNFINISHED);
    while is_mounted(unfinished) {
        umount2(unfinished, MntFlags::MNT_DETACH).map_err(|source| failed(volume, source))?;
    }
    for directory in [unfinished, &volume.at] {
        match std::fs::create_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => result.on_file("make", directory)?,
        }
    }
    move_mount(tree, "", CWD, unfinished, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|error| failed(volume, plain(error)))?;
    if let VolumeKind::Ramdisk { .. } = volume.kind {
        // Whoever is in a container, and whatever numbers its users have outside.
        std::fs::set_permissions(unfinished, Permissions::from_mode(0o1777)).on_file("open up", unfinished)?;
    }
    set(volume, unfinished).map_err(|source| failed(volume, source))?;
    move_mount(CWD, unfinished, CWD, &volume.at, MoveMountFlags::empty()).map_err(|error| failed(volume, plain(error)))
}

/// What can't be done in it, and who sees what is mounted in it. One that can't be copied is copied from here all the same.
fn set(volume: &Volume, at: &Path) -> Result<(), Errno> {
    let VolumeLimits { read_only, nosuid, nodev, noexec } = volume.limits;
    // What the source's own mount forbids stays so: those that are not named here, the kernel takes away.
    let there = statvfs(at)?.flags();
    let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT;
    flags.set(MsFlags::MS_RDONLY, read_only || there.contains(FsFlags::ST_RDONLY));
    flags.set(MsFlags::MS_NOSUID, nosuid || there.contains(FsFlags::ST_NOSUID));
    flags.set(MsFlags::MS_NODEV, nodev || there.contains(FsFlags::ST_NODEV));
    flags.set(MsFlags::MS_NOEXEC, noexec || there.contains(FsFlags::ST_NOEXEC));
    mount(None::<&str>, at, None::<&str>, flags, None::<&str>)?;
    let propagation = match volume.propagation {
        Propagation::Private | Propagation::Unbindable => MsFlags::MS_PRIVATE,
        Propagation::Shared | Propagation::Slave => MsFlags::MS_SHARED,
    };
    // Of a directory of the machine's, whose mounts may be shared with others.
    mount(None::<&str>, at, None::<&str>, MsFlags::MS_PRIVATE, None::<&str>)?;
    mount(None::<&str>, at, None::<&str>, propagation, None::<&str>)
}
