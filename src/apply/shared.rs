//! The machine's directories that every lab needs: made for the first, removed with the last.

use super::ApplyError;
use crate::host;
use crate::state::{LockedLab, LockedShared, SharedDirectories, StateRoot};

/// Makes what is missing of /run/netns and /etc/netns, having noted it first, and that the lab uses them.
///
/// # Errors
/// When something can't be made; when what is pinned here would not be seen by who comes next.
///
/// # Cancel safety
/// What was made is noted before it is made.
pub(super) async fn prepare(lab: &LockedLab) -> Result<(), ApplyError> {
    let shared = LockedShared::lock().await?;
    shared.add_user(lab.paths())?;
    let missing = host::SharedDirectories::missing().map_err(ApplyError::Shared)?;
    if missing == host::SharedDirectories::default() {
        return Ok(());
    }
    let noted = shared.noted()?;
    shared.note(&SharedDirectories {
        pin_directory: noted.pin_directory || missing.pin_directory,
        pin_mount: noted.pin_mount || missing.pin_mount,
        names_directory: noted.names_directory || missing.names_directory,
    })?;
    host::SharedDirectories::ensure().map_err(ApplyError::Shared)
}

/// Removes a lab's state, when nothing else of it is left, and with the last lab all that nslab made for labs.
///
/// # Errors
/// When something can't be removed.
///
/// # Cancel safety
/// Each thing is forgotten after it is removed.
pub async fn forget(lab: LockedLab) -> Result<(), ApplyError> {
    lab.remove().await?;
    release().await
}

/// Removes what a stopped command left of the state directory when no lab is in it.
///
/// # Errors
/// When something can't be removed.
pub async fn tidy(root: &StateRoot) -> Result<(), ApplyError> {
    if let Some(root) = root.lock_existing().await? {
        root.remove_if_empty()?;
    }
    release().await
}

/// Removes the shared directories where no lab uses them any more.
async fn release() -> Result<(), ApplyError> {
    let Some(shared) = LockedShared::lock_existing().await? else { return Ok(()) };
    if shared.has_users()? {
        return Ok(());
    }
    let SharedDirectories { pin_directory, pin_mount, names_directory } = shared.noted()?;
    host::SharedDirectories { pin_directory, pin_mount, names_directory }.remove().map_err(ApplyError::Shared)?;
    Ok(shared.forget()?)
}
