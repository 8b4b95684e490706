//! What can go wrong with an effect or a collector, with what it was about.

use super::dhcp::DhcpError;
use super::managers::ManagerError;
use super::netlink::NetlinkError;
use super::netns::PoolError;
use super::ovs::OvsError;
use super::uplink::NicError;
use crate::model::{IfName, Interface, PinName, SysctlKey};
use nix::errno::Errno;
use std::io;
use std::path::PathBuf;

/// Why the machine could not be changed or looked at.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A job could not be run on a thread of the pool.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// There is nothing at /run/netns/NAME.
    #[error("there is no network namespace `{0}` in /run/netns: bring its lab up again")]
    NoNetns(PinName),
    /// Something that nslab did not make stands where something of nslab's belongs.
    #[error("{path} is not nslab's ({found}): move it away, or choose another name", path = path.display())]
    NotOurs {
        /// Where it stands.
        path: PathBuf,
        /// What was found there.
        found: String,
    },
    /// The namespace could not be entered, or a new one not be made.
    #[error("can't {action} the network namespace {netns}")]
    Netns {
        /// What was tried: `enter`, `make`…
        action: &'static str,
        /// Its name, or what it was for.
        netns: String,
        /// The kernel's answer.
        #[source]
        source: Errno,
    },
    /// mount(2) or umount2(2) refused.
    #[error("can't {action} {path}", path = path.display())]
    Mount {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: Errno,
    },
    /// There is no program that makes the file system of a RAM disk.
    #[error("there is no {program} for the volume {volume}: install {}", package_of(program))]
    NoMkfs {
        /// The program.
        program: String,
        /// The volume's name.
        volume: String,
    },
    /// It failed.
    #[error("{program} failed for the volume {volume}; it said:\n{said}")]
    Mkfs {
        /// The program.
        program: String,
        /// The volume's name.
        volume: String,
        /// What it printed.
        said: String,
    },
    /// A netlink request failed.
    #[error("can't {action} {object}")]
    Netlink {
        /// What was tried: `make`, `add the address`…
        action: &'static str,
        /// On what.
        object: String,
        /// The kernel's answer, or why there is none.
        #[source]
        source: NetlinkError,
    },
    /// A kernel parameter could not be read or written.
    #[error("can't {action} {key} in {netns}")]
    Sysctl {
        /// `read`, or `set … to VALUE`.
        action: String,
        /// Which parameter.
        key: SysctlKey,
        /// In which namespace.
        netns: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A file or directory operation failed.
    #[error("can't {action} {path}", path = path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Open vSwitch refused, or is not there.
    #[error(transparent)]
    Ovs(OvsError),
    /// Who manages a NIC can't be found out, or does not let go of it or take it back.
    #[error(transparent)]
    Manager(#[from] ManagerError),
    /// What is mounted in this mount namespace is not seen outside of it.
    #[error(
        "nslab runs in a mount namespace of its own (inside `ip netns exec`, `nslab exec`, or a service with private \
         mounts), and what it pins in /run/netns would not be seen outside: run it outside, or by \
         `nsenter --target 1 --mount nslab …`"
    )]
    MountsStayInside,
    /// nslab itself runs inside the namespace that it is to remove.
    #[error("nslab is running inside `{netns}` (process {pid}): leave that shell first, then try again")]
    CallerInside {
        /// The namespace.
        netns: PinName,
        /// nslab's own process, or the ancestor that is inside.
        pid: i32,
    },
    /// A process could not be ended.
    #[error("can't end process {pid} ({name}) in `{netns}`")]
    Process {
        /// The namespace it is in.
        netns: PinName,
        /// The process.
        pid: i32,
        /// Its name (/proc/PID/comm).
        name: String,
        /// The kernel's answer; ETIMEDOUT where it is still there after SIGKILL.
        #[source]
        source: io::Error,
    },
    /// Whenever the processes in a namespace were ended, there were new ones.
    #[error("processes in `{0}` keep starting others: end what starts them, then try again")]
    ProcessesReturn(PinName),
    /// The program can't start itself as a helper.
    #[error(
        "what takes a process in a node (a router's advertisements, a DHCP client) is a helper's, and this program is not \
         prepared to become one: call `nslab::become_helper()` first thing in its `main`"
    )]
    NoHelper,
    /// The process that is to advertise a router does not.
    #[error("can't advertise `{netns}` as a router: {said}")]
    Advertiser {
        /// The router's namespace.
        netns: PinName,
        /// What it said, or what is known of its end.
        said: String,
    },
    /// The process that is to hold a lease does not.
    #[error(
        "{interface} takes no address by DHCP: {said} (`ip netns exec {netns} tcpdump -ni {name} port 67 or port 68` shows \
         who asks and who answers)",
        netns = .interface.netns, name = .interface.name
    )]
    DhcpClient {
        /// The interface.
        interface: Interface,
        /// What it said, or what is known of its end.
        said: String,
    },
    /// What a lease gave an interface can't be taken from it.
    #[error(transparent)]
    Dhcp(#[from] DhcpError),
    /// No router told an interface what it was to be told.
    #[error(
        "{interface} was to configure itself from router advertisements within {seconds} s, and has {has} in place of \
         {wanted}: see whether they come (`ip netns exec {netns} tcpdump -i {name} icmp6`), and whether a VLAN, a filter, or \
         a sysctl of the topology's own keeps them from it",
        netns = .interface.netns, name = .interface.name
    )]
    NotAutoconfigured {
        /// The interface.
        interface: Interface,
        /// The addresses and default routes that it was to have.
        wanted: String,
        /// Those that it has.
        has: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// About a NIC that is to be an uplink.
    #[error(transparent)]
    Nic(#[from] NicError),
    /// The process that is to watch over an uplink does not.
    #[error("can't watch over {nic}: {said}")]
    Keeper {
        /// The NIC.
        nic: IfName,
        /// What it said, or what is known of its end.
        said: String,
    },
    /// No server gave the machine a lease by way of the lab's switch.
    #[error("{nic} got no lease: {why}")]
    NoLease {
        /// The NIC.
        nic: IfName,
        /// Why not.
        why: String,
    },
    /// A process that watches over an uplink does not end.
    #[error("can't end process {pid}, which watches over {nic}")]
    EndKeeper {
        /// The NIC.
        nic: IfName,
        /// The process.
        pid: i32,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// There is no nft(8).
    #[error("there is no nft: install the package nftables (on Debian: `apt-get install nftables`)")]
    NoNft,
    /// nft(8) failed, or said something that can't be read.
    #[error("can't {action} (nft: {said})")]
    Nft {
        /// What was tried.
        action: String,
        /// What it said.
        said: String,
        /// What went wrong with it.
        #[source]
        source: io::Error,
    },
    /// The kernel did not finish removing namespaces in time.
    #[error("the kernel is still removing network namespaces after {0} s: something holds on to them")]
    NamespacesStay(u64),
}

impl HostError {
    /// The errno at the bottom of it, where there is one.
    pub fn errno(&self) -> Option<Errno> {
        let io = |e: &io::Error| e.raw_os_error().map(Errno::from_raw);
        match self {
            Self::Pool(PoolError::Enter(errno))
            | Self::Netns { source: errno, .. }
            | Self::Mount { source: errno, .. } => Some(*errno),
            Self::Netlink { source, .. } => source.errno(),
            Self::Sysctl { source, .. } | Self::File { source, .. } | Self::Process { source, .. } => io(source),
            Self::Pool(_)
            | Self::NoMkfs { .. }
            | Self::Mkfs { .. }
            | Self::NoNetns(_)
            | Self::NotOurs { .. }
            | Self::Ovs(_)
            | Self::Manager(_)
            | Self::MountsStayInside
            | Self::CallerInside { .. }
            | Self::ProcessesReturn(_)
            | Self::NoHelper
            | Self::Advertiser { .. }
            | Self::DhcpClient { .. }
            | Self::Dhcp(_)
            | Self::NotAutoconfigured { .. }
            | Self::Nic(_)
            | Self::Keeper { .. }
            | Self::NoLease { .. }
            | Self::EndKeeper { .. }
            | Self::NoNft
            | Self::Nft { .. }
            | Self::NamespacesStay(_) => None,
        }
    }

    /// Whether what it was about is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::NoNetns(_))
            || matches!(self.errno(), Some(Errno::ENOENT | Errno::ENODEV | Errno::ESRCH | Errno::EADDRNOTAVAIL))
    }

    /// Whether what was to be made is there already.
    pub fn is_exists(&self) -> bool {
        matches!(self, Self::NotOurs { .. }) || self.errno() == Some(Errno::EEXIST)
    }

    /// Whether the same may work a moment later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.errno(), Some(Errno::EBUSY | Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS))
    }

    /// Whether the reason is something that the machine, or the place where nslab runs, does not have, whatever the lab.
    pub fn is_lacking(&self) -> bool {
        match self {
            Self::MountsStayInside | Self::NoNft | Self::NoMkfs { .. } => true,
            // user.max_net_namespaces is used up, or 0; the kernel has no CONFIG_NET_NS (unshare(2)).
            Self::Netns { action: "make", source, .. } => {
                matches!(source, Errno::ENOSPC | Errno::EINVAL | Errno::EPERM)
            }
            // No module for bridges or veth pairs.
            Self::Netlink { .. } => self.errno() == Some(Errno::EOPNOTSUPP),
            Self::File { .. } | Self::Mount { .. } => {
                matches!(self.errno(), Some(Errno::EROFS | Errno::EPERM | Errno::EACCES))
            }
            _ => false,
        }
    }

    /// Whether the caller lacks the privilege (CAP_NET_ADMIN, CAP_SYS_ADMIN, or a file's permission).
    pub fn is_forbidden(&self) -> bool {
        matches!(self.errno(), Some(Errno::EPERM | Errno::EACCES))
    }
}

/// The package that has a mkfs.*, as Debian and most others call it.
fn package_of(program: &str) -> String {
    let package = match program.trim_start_matches("mkfs.") {
        "ext2" | "ext3" | "ext4" => "e2fsprogs",
        "xfs" => "xfsprogs",
        "btrfs" => "btrfs-progs",
        "f2fs" => "f2fs-tools",
        "vfat" | "fat" | "msdos" => "dosfstools",
        "exfat" => "exfatprogs",
        "ntfs" => "ntfs-3g",
        "minix" | "bfs" | "cramfs" => "util-linux",
        other => return format!("the package that has mkfs.{other}"),
    };
    format!("the package {package}")
}

/// Gives a failed file operation its context.
pub(super) trait FileContext<T> {
    /// The same result, its error saying what was tried on which path.
    fn on_file(self, action: &'static str, path: &std::path::Path) -> Result<T, HostError>;
}

impl<T> FileContext<T> for io::Result<T> {
    fn on_file(self, action: &'static str, path: &std::path::Path) -> Result<T, HostError> {
        self.map_err(|source| HostError::File { action, path: path.to_owned(), source })
    }
}

/// Gives a failed netlink request its context.
pub(super) trait NetlinkContext<T> {
    /// The same result, its error saying what was tried on what.
    fn when(self, action: &'static str, object: impl std::fmt::Display) -> Result<T, HostError>;
}

impl<T> NetlinkContext<T> for Result<T, NetlinkError> {
    fn when(self, action: &'static str, object: impl std::fmt::Display) -> Result<T, HostError> {
        self.map_err(|source| HostError::Netlink { action, object: object.to_string(), source })
    }
}
