//! Making the root the root (pivot_root(2)).

use super::{base, tree};
use crate::launcher::failure::{During, Failure, Step};
use nix::errno::Errno;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, StatxFlags, fstat, statx};
use rustix::mount::{UnmountFlags, unmount};

/// How many mounts could lie one above the other where the machine's root was.
const MOST: u32 = 100;

/// Makes this directory the root, and takes the machine's away. Never by chroot(2) alone, from which there are ways back.
pub(super) fn into(root: &OwnedFd) -> Result<(), Failure> {
    let step = || Step::of("make the root the container's (pivot_root)");
    rustix::process::fchdir(root).during(step)?;
    // The old root comes to lie above the new one, so that no directory is wanted for it (pivot_root(2), NOTES).
    rustix::process::pivot_root(".", ".").during(step)?;
    let step = || Step::of("take the machine's root away");
    let mut left = MOST;
    loop {
        unmount("/..", UnmountFlags::DETACH).during(step)?;
        // Where something lay above the machine's root, that went first.
        if mount_of(&base::uppermost().during(step)?).during(step)? == mount_of(root).during(step)? {
            break;
        }
        left -= 1;
        if left == 0 {
            return Err(Errno::EBUSY).during(step);
        }
    }
    rustix::process::chdir("/").during(step)
}

/// What tells mounts apart: their number, where the kernel (since 5.8) says it, and the file in any case.
fn mount_of(directory: &OwnedFd) -> Result<(u64, u64, u64), Errno> {
    let file = fstat(directory).map_err(tree::errno)?;
    let mount = match statx(directory, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID) {
        Ok(about) if about.stx_mask & StatxFlags::MNT_ID.bits() != 0 => about.stx_mnt_id,
        _ => 0,
    };
    Ok((file.st_dev, file.st_ino, mount))
}
