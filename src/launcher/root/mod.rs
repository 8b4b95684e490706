//! A container's root: its files, and what every container finds in /proc, /sys and /dev.
//!
//! All of it is done by process 1, alone in a mount namespace that is new, before it gives up rights. What the root's files say
//! is not believed: names are looked up inside the root only (`lookup`), a name is looked up once and its file descriptor used
//! from then on, and what is mounted by the launcher goes where no symbolic link leads. Nothing is written to the root's source,
//! and nothing is to be taken away afterwards: the kernel drops the mounts with the namespace.
//!
//! mount(2) is used where the directory or the file to mount on is in a file system that process 1 has just made: one call in
//! place of five, and every kernel has it. The calls by file descriptor (open_tree(2), move_mount(2), mount_setattr(2)) are used
//! where a tree is taken from the machine; kernels that lack them are served by `remount` and /proc/self/fd.

mod apart;
mod base;
mod binds;
mod devices;
mod inside;
mod kernel;
mod layer;
mod lookup;
mod masks;
mod pivot;
mod remount;
mod tree;
pub(super) mod volumes;

pub use layer::remove as remove_written;
pub(super) use layer::{Prepared, prepare};
pub(super) use lookup::find;
pub(super) use volumes::Volumes;

use super::failure::{During, Failure, Step};
use crate::model::container::{Namespaces, Rights, RootFileSystem};
use rustix::fs::Mode;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, mount_change};

/// Makes the root what the caller of this process sees as `/`, and changes to its `/`.
///
/// # Errors
/// Where something of it can't be had. The process is to end then: what it sees is neither the old root nor the new one.
pub(super) fn enter(
    root: &RootFileSystem,
    rights: &Rights,
    namespaces: &Namespaces,
    prepared: Option<&Prepared>,
    volumes: &Volumes,
) -> Result<(), Failure> {
    // What is made has the mode that is asked for, whatever the caller's umask says; the container gets the caller's.
    let mask = rustix::process::umask(Mode::empty());
    let entered = assemble(root, matches!(rights, Rights::Confined { .. }), namespaces, prepared, volumes);
    rustix::process::umask(mask);
    entered
}

fn assemble(
    root: &RootFileSystem,
    is_confined: bool,
    namespaces: &Namespaces,
    prepared: Option<&Prepared>,
    volumes: &Volumes,
) -> Result<(), Failure> {
    let RootFileSystem { source, writes, mounts } = root;
    // First of all: what is mounted from here on is seen in this namespace only.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .during(|| Step::of("keep the mounts to this container"))?;
    let sources = binds::open(mounts, volumes)?;
    let mut inside = base::attach(source, writes, namespaces.user.is_some(), prepared)?;
    // Root of a user namespace is not to use the machine's devices, whatever else it may.
    let has_no_devices = is_confined || namespaces.user.is_some();
    if has_no_devices {
        // Nobody opens a device by a file that the root's files or the container made: that is why mknod(2) is harmless.
        tree::limit(&inside.root, MountAttrFlags::MOUNT_ATTR_NODEV)
            .during(|| Step::of("keep devices out of the root"))?;
    }
    let proc = kernel::mount_proc(&inside, namespaces.pid)?;
    let sys = kernel::mount_sys(&inside, is_confined)?;
    kernel::mount_cgroup(&sys, is_confined)?;
    let null = devices::mount(&mut inside, is_confined, namespaces.ipc)?;
    if is_confined {
        masks::hide(&proc, &sys, &null)?;
        masks::protect(&proc)?;
    }
    binds::mount(&mut inside, sources, has_no_devices)?;
    pivot::into(&inside.root)
}
