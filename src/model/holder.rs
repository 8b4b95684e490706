//! Who manages a NIC: what the machine has besides nslab that gives it addresses and takes them away.
//!
//! It goes into the journal before anything is changed, so each holds what giving the NIC back takes.

use super::{ClientId, IfName};
use serde::{Deserialize, Serialize};

/// A program that manages a NIC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Holder {
    /// NetworkManager(8).
    NetworkManager {
        /// The connection profile that the NIC goes by. `None` where NetworkManager would take the NIC any moment and has
        /// not: it has no profile on it, or just sees what somebody else configured ("connected (externally)").
        profile: Option<Profile>,
        /// Whether NetworkManager may connect the NIC by itself (the device's property `Autoconnect`).
        autoconnect: bool,
    },
    /// systemd-networkd(8).
    Networkd {
        /// Whether /run/systemd/network was there.
        had_runtime_directory: bool,
        /// By what the DHCP server knows it, where it has a lease.
        client_id: Option<ClientId>,
    },
    /// A DHCP client that is a process of its own.
    Client {
        /// Which.
        kind: ClientKind,
        /// Its process.
        process: ClientProcess,
        /// Whether it manages other NICs, too.
        reach: Reach,
    },
}

/// A profile of NetworkManager's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What people call it (`connection.id`).
    pub name: String,
    /// What NetworkManager knows it by (`connection.uuid`).
    pub uuid: String,
}

/// The DHCP clients that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientKind {
    /// dhclient(8), of ISC.
    Dhclient,
    /// dhcpcd(8).
    Dhcpcd,
    /// udhcpc, of busybox(1).
    Udhcpc,
}

/// A process that can't be mistaken for another one which got its number later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientProcess {
    /// Its process ID.
    pub pid: i32,
    /// When it was started, in clock ticks after the machine was (field 22 of /proc/PID/stat, proc_pid_stat(5)).
    pub started_ticks: u64,
}

/// Which NICs a DHCP client manages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// The one NIC.
    ThisNic,
    /// Others as well, or every NIC there is.
    OtherNics,
}

impl std::fmt::Display for ClientKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dhclient => "dhclient",
            Self::Dhcpcd => "dhcpcd",
            Self::Udhcpc => "udhcpc",
        })
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NetworkManager { .. } => f.write_str("NetworkManager"),
            Self::Networkd { .. } => f.write_str("systemd-networkd"),
            Self::Client { kind, process, .. } => write!(f, "{kind} (process {})", process.pid),
        }
    }
}

impl Holder {
    /// Whether it can be made to let go of one NIC, and to take it back.
    pub fn lets_go(&self) -> bool {
        !matches!(self, Self::Client { reach: Reach::OtherNics, .. })
    }

    /// By what a DHCP server knows it, where that is known.
    pub fn client_id(&self) -> Option<&ClientId> {
        match self {
            Self::Networkd { client_id, .. } => client_id.as_ref(),
            Self::NetworkManager { .. } | Self::Client { .. } => None,
        }
    }

    /// What a person can do to make it let go of a NIC.
    pub fn advice(&self, nic: &IfName) -> String {
        match self {
            Self::NetworkManager { .. } => format!("`nmcli device set {nic} managed no`"),
            Self::Networkd { .. } => format!(
                "write `[Match]`, `Name={nic}`, `[Link]`, `Unmanaged=yes` into /run/systemd/network/00-{nic}.network, then \
                 `systemctl restart systemd-networkd`"
            ),
            Self::Client { kind, process, reach: Reach::ThisNic } => {
                format!("`kill -STOP {}` holds the {kind} where it is, `kill -CONT` lets it go on", process.pid)
            }
            Self::Client { kind: ClientKind::Dhcpcd, reach: Reach::OtherNics, .. } => format!(
                "write `denyinterfaces {nic}` into /etc/dhcpcd.conf and restart dhcpcd, or have it started for each NIC by \
                 itself (`dhcpcd {nic}`)"
            ),
            Self::Client { kind, process, reach: Reach::OtherNics } => {
                format!("end it (`kill {}`), and start one {kind} for each NIC", process.pid)
            }
        }
    }

    /// What a person can do to have it manage a NIC again, where it does not by itself.
    pub fn remedy(&self, nic: &IfName) -> String {
        match self {
            Self::NetworkManager { profile: Some(Profile { name, .. }), .. } => {
                format!("`nmcli device set {nic} managed yes && nmcli connection up {name:?} ifname {nic}`")
            }
            Self::NetworkManager { profile: None, .. } => format!("`nmcli device set {nic} autoconnect yes`"),
            Self::Networkd { .. } => "`systemctl restart systemd-networkd`".to_owned(),
            Self::Client { kind: ClientKind::Udhcpc, .. } => format!("start it as before (`udhcpc -i {nic}`)"),
            Self::Client { kind, .. } => format!("start it as before (`{kind} {nic}`)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(kind: ClientKind, reach: Reach) -> Holder {
        Holder::Client { kind, process: ClientProcess { pid: 123, started_ticks: 456 }, reach }
    }

    #[test]
    fn they_are_called_as_people_call_them() {
        let manager = Holder::NetworkManager { profile: None, autoconnect: true };
        assert_eq!(manager.to_string(), "NetworkManager");
        assert_eq!(Holder::Networkd { had_runtime_directory: true, client_id: None }.to_string(), "systemd-networkd");
        assert_eq!(client(ClientKind::Dhclient, Reach::ThisNic).to_string(), "dhclient (process 123)");
    }

    #[test]
    fn they_can_be_written_and_read() {
        let profile = Some(Profile { name: "home".into(), uuid: "6f1c9a5e-0f0f-4c6a-9d6a-2b6f6c1d7a10".into() });
        for holder in [
            Holder::NetworkManager { profile, autoconnect: true },
            Holder::Networkd { had_runtime_directory: false, client_id: ClientId::try_from("ff0102").ok() },
            client(ClientKind::Dhcpcd, Reach::OtherNics),
        ] {
            let text = serde_json::to_string(&holder).unwrap();
            assert_eq!(serde_json::from_str::<Holder>(&text).unwrap(), holder, "{text}");
        }
    }

    #[test]
    fn one_that_has_other_nics_to_see_to_can_not_be_paused_for_one() {
        let nic = IfName::try_from("eth0").unwrap();
        assert!(client(ClientKind::Dhcpcd, Reach::ThisNic).lets_go());
        let of_all = client(ClientKind::Dhcpcd, Reach::OtherNics);
        assert!(!of_all.lets_go());
        assert!(of_all.advice(&nic).contains("denyinterfaces eth0"), "{}", of_all.advice(&nic));
    }
}
