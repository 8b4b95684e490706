//! The machine's NIC as a port of a lab's switch: looking at it, moving what is on it, giving it back.
//!
//! What is to be where is said by a [`Uplink`](crate::model::Uplink), the snapshot in it included; nothing here decides
//! whether.

mod asking;
mod attach;
mod bridge;
mod error;
mod holder;
mod keeper;
mod look;
mod meter;
mod observe;
mod reach;
mod release;
mod sight;

pub(crate) use asking::{Asked, LEASE, LINE, ask, bind};
pub use error::NicError;
pub(super) use keeper::watch_keeper;
pub(super) use keeper::{KEEPER, WATCHER};
pub use keeper::{KeeperFiles, Readiness, begin_keeper, is_gone, start_watcher};
pub use observe::carrier;
pub(crate) use sight::{LeaseState, SeenGateway, SeenLease, Sight};
