//! A layer above a root's files, made apart from the machine's mounts, for kernels whose overlayfs takes its layers by name
//! and attached alone (before Linux 6.15).
//!
//! A process of its own makes it in a mount namespace of its own, which ends with it: what is handed back is a copy of the mount,
//! attached nowhere.

use super::layer::Layers;
use super::{base, layer, tree};
use crate::launcher::failure::{During, Failure, Step};
use crate::launcher::handshake::{self, Channel};
use crate::launcher::sys::{self, Doubled};
use crate::model::container::{RootSource, Writes};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::waitpid;
use rustix::fd::{AsFd, OwnedFd};
use rustix::mount::{MountPropagationFlags, OpenTreeFlags, mount_change, open_tree};

/// Makes it; to be called by processes that never had a second thread.
///
/// # Errors
/// Where it can't be had: the kernel has no open_tree(2) (before 5.2), or the caller may not mount.
pub(super) fn layered(source: &RootSource, writes: &Writes) -> Result<OwnedFd, Failure> {
    let (here, there) = handshake::pair()?;
    match sys::fork().during(step)? {
        Doubled::Child => {
            drop(here);
            sys::exit(u8::from(make(&there, source, writes).is_err()))
        }
        Doubled::Parent(maker) => {
            drop(there);
            let heard = here.hear::<()>();
            while waitpid(maker, None) == Err(Errno::EINTR) {}
            let root = heard?.and_then(|((), root)| root);
            root.ok_or_else(|| step().failed()(Errno::ECHILD))
        }
    }
}

fn make(listener: &Channel, source: &RootSource, writes: &Writes) -> Result<(), Failure> {
    unshare(CloneFlags::CLONE_NEWNS).during(step)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).during(step)?;
    // Opened here: what is mounted elsewhere overlayfs does not take.
    let layers = Layers::open(&base::files_of(source).0, writes)?;
    let root = layer::by_name(&layers, false).during(step)?;
    let copy = OpenTreeFlags::AT_EMPTY_PATH | OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let root = open_tree(&root, "", copy).map_err(tree::errno).during(step)?;
    listener.say(&(), Some(root.as_fd()))
}

fn step() -> Step {
    Step::of("make a layer above the root's files")
}
