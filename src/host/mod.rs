//! The machine: thin, idempotent effects on the kernel, and collectors that read it back. Decides nothing.
//!
//! Everything here is a short job on a thread of the [`Pool`]: it steps into a namespace, does blocking system calls
//! and netlink requests there that the kernel answers at once, and goes home.

mod advertiser;
mod autoconfigure;
pub(crate) mod dhcp;
mod directory_watch;
pub mod enter;
mod error;
mod facade;
mod helper;
mod leaseholder;
mod links;
mod managers;
mod names;
mod nat;
mod neighbours;
mod netlink;
pub mod netns;
mod netns_watch;
mod observe;
mod open_files;
pub mod ovs;
pub mod ovsdb;
mod privilege;
mod processes;
mod readiness;
mod removal;
mod shared;
mod survey;
mod sysctl;
mod traffic;
mod uplink;
mod volumes;

pub use dhcp::DhcpError;
pub use directory_watch::DirectoryWatch;
pub use error::HostError;
pub use facade::Host;
pub use helper::{Work, become_helper};
pub use managers::ManagerError;
pub use names::{
    NAMES_DIRECTORY, ensure_names_directory, name_links, names_directory_exists, observe_name_directory, observe_names,
    remove_names_directory,
};
pub use nat::{MarkedRules, has_nft};
pub use neighbours::Neighbours;
pub use netlink::NetlinkError;
pub use netns::{
    PinDirectory, Pool, PoolError, ensure_pin_directory, observe_pin_directory, remove_pin_directory,
    require_pins_seen_outside,
};
pub use netns_watch::{FILES_OF_A_WATCH, NetnsWatch};
pub use observe::Look;
pub use open_files::raise_open_files_limit;
pub use privilege::is_privileged;
pub use processes::EndedProcess;
pub use shared::SharedDirectories;
pub(crate) use uplink::{Asked, LEASE, LINE, LeaseState, SeenGateway, SeenLease, Sight, ask, bind};
pub use uplink::{KeeperFiles, NicError, Readiness, begin_keeper, carrier, is_gone, start_watcher};

/// Where ip-netns(8) pins namespaces.
pub const PIN_DIRECTORY: &str = "/run/netns";

/// Bytes that nobody can guess, nor has had before (getrandom(2)).
///
/// # Errors
/// When the kernel has none to give.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], HostError> {
    use error::FileContext;
    use std::io::Read;
    let path = std::path::Path::new("/dev/urandom");
    let mut bytes = [0; N];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut bytes)).on_file("read", path)?;
    Ok(bytes)
}

/// The error of meeting a namespace that carries another mark, or none.
fn mark_mismatch(path: &std::path::Path, mark: Option<String>) -> HostError {
    let found = match mark {
        Some(mark) => format!("a network namespace marked {mark:?}"),
        None => "a network namespace without nslab's mark".to_owned(),
    };
    HostError::NotOurs { path: path.to_owned(), found }
}

/// The time since the machine was started, sleep included (CLOCK_BOOTTIME, clock_gettime(2)), in milliseconds.
pub fn boot_ms() -> u64 {
    dhcp::now_ms()
}
