//! Capabilities (capabilities(7), linux/capability.h).

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

macro_rules! capabilities {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// A part of what root may, by its number in linux/capability.h.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[repr(u8)]
        #[expect(missing_docs, reason = "capabilities(7) says what each is")]
        pub enum Capability {
            $($(#[$doc])* $name = $number,)*
        }

        impl Capability {
            /// All that nslab knows of, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name without `CAP_`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

capabilities! {
    Chown = 0, "CHOWN";
    DacOverride = 1, "DAC_OVERRIDE";
    DacReadSearch = 2, "DAC_READ_SEARCH";
    Fowner = 3, "FOWNER";
    Fsetid = 4, "FSETID";
    Kill = 5, "KILL";
    Setgid = 6, "SETGID";
    Setuid = 7, "SETUID";
    Setpcap = 8, "SETPCAP";
    LinuxImmutable = 9, "LINUX_IMMUTABLE";
    NetBindService = 10, "NET_BIND_SERVICE";
    NetBroadcast = 11, "NET_BROADCAST";
    NetAdmin = 12, "NET_ADMIN";
    NetRaw = 13, "NET_RAW";
    IpcLock = 14, "IPC_LOCK";
    IpcOwner = 15, "IPC_OWNER";
    SysModule = 16, "SYS_MODULE";
    SysRawio = 17, "SYS_RAWIO";
    SysChroot = 18, "SYS_CHROOT";
    SysPtrace = 19, "SYS_PTRACE";
    SysPacct = 20, "SYS_PACCT";
    SysAdmin = 21, "SYS_ADMIN";
    SysBoot = 22, "SYS_BOOT";
    SysNice = 23, "SYS_NICE";
    SysResource = 24, "SYS_RESOURCE";
    SysTime = 25, "SYS_TIME";
    SysTtyConfig = 26, "SYS_TTY_CONFIG";
    Mknod = 27, "MKNOD";
    Lease = 28, "LEASE";
    AuditWrite = 29, "AUDIT_WRITE";
    AuditControl = 30, "AUDIT_CONTROL";
    Setfcap = 31, "SETFCAP";
    MacOverride = 32, "MAC_OVERRIDE";
    MacAdmin = 33, "MAC_ADMIN";
    Syslog = 34, "SYSLOG";
    WakeAlarm = 35, "WAKE_ALARM";
    BlockSuspend = 36, "BLOCK_SUSPEND";
    AuditRead = 37, "AUDIT_READ";
    Perfmon = 38, "PERFMON";
    Bpf = 39, "BPF";
    CheckpointRestore = 40, "CHECKPOINT_RESTORE";
}

/// A text that names no capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no capability `{0}`: capabilities(7) lists them, as in NET_ADMIN or SYS_TIME")]
pub struct CapabilityError(String);

impl Capability {
    /// Its number.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// What Docker and Podman give a container that asks for nothing.
    pub fn default_set() -> BTreeSet<Self> {
        [
            Self::Chown,
            Self::DacOverride,
            Self::Fsetid,
            Self::Fowner,
            Self::Mknod,
            Self::NetRaw,
            Self::Setgid,
            Self::Setuid,
            Self::Setfcap,
            Self::Setpcap,
            Self::NetBindService,
            Self::SysChroot,
            Self::Kill,
            Self::AuditWrite,
        ]
        .into()
    }
}

impl std::str::FromStr for Capability {
    type Err = CapabilityError;
    /// With `CAP_` or without, in either case.
    fn from_str(text: &str) -> Result<Self, CapabilityError> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let found = Self::ALL.iter().find(|known| known.name() == name);
        found.copied().ok_or_else(|| CapabilityError(text.to_owned()))
    }
}

impl TryFrom<String> for Capability {
    type Error = CapabilityError;
    fn try_from(text: String) -> Result<Self, CapabilityError> {
        text.parse()
    }
}

impl From<Capability> for String {
    fn from(capability: Capability) -> String {
        capability.name().to_owned()
    }
}

impl std::fmt::Display for Capability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_numbered_as_in_the_kernel() {
        assert!(Capability::ALL.iter().enumerate().all(|(at, known)| usize::from(known.number()) == at));
        assert_eq!(Capability::SysAdmin.number(), 21);
    }

    #[test]
    fn they_are_read_in_either_spelling() {
        assert_eq!("CAP_NET_ADMIN".parse(), Ok(Capability::NetAdmin));
        assert_eq!("net_admin".parse(), Ok(Capability::NetAdmin));
        assert!("ALMIGHTY".parse::<Capability>().is_err());
    }
}
