//! The machine's own directories that every lab needs: /run/netns, a mount point of its own, and /etc/netns.

use super::{
    HostError, PinDirectory, ensure_names_directory, ensure_pin_directory, names_directory_exists,
    observe_pin_directory, remove_names_directory, remove_pin_directory,
};

/// What is missing of them, or what nslab made of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SharedDirectories {
    /// /run/netns.
    pub pin_directory: bool,
    /// The mount on it.
    pub pin_mount: bool,
    /// /etc/netns.
    pub names_directory: bool,
}

impl SharedDirectories {
    /// What is missing.
    ///
    /// # Errors
    /// When the mount table can't be read.
    pub fn missing() -> Result<Self, HostError> {
        let PinDirectory { directory, mount } = observe_pin_directory()?;
        Ok(Self { pin_directory: !directory, pin_mount: !mount, names_directory: !names_directory_exists() })
    }

    /// Makes what is missing.
    ///
    /// # Errors
    /// When something can't be made.
    pub fn ensure() -> Result<(), HostError> {
        ensure_pin_directory()?;
        ensure_names_directory()?;
        Ok(())
    }

    /// Removes those that `self` names, where nobody uses them.
    ///
    /// # Errors
    /// When the kernel refuses for another reason than that they are in use, or gone.
    pub fn remove(self) -> Result<(), HostError> {
        let Self { pin_directory, pin_mount, names_directory } = self;
        remove_pin_directory(PinDirectory { directory: pin_directory, mount: pin_mount })?;
        if names_directory { remove_names_directory() } else { Ok(()) }
    }
}
