//! Network namespaces: making and pinning them, removing them, and running code inside them.

mod create;
mod delete;
mod pin;
mod pin_directory;
mod pool;

pub use pin_directory::{
    PinDirectory, ensure_pin_directory, observe_pin_directory, remove_pin_directory, require_pins_seen_outside,
};
pub use pool::{Pool, PoolError};

pub(super) use create::{ensure, in_scratch, own_netns, unshare_netns};
pub(super) use delete::{Held, destroy_connections, hold, unpin};
pub use pin::open_pin;
pub(super) use pin::{PinFile, enter, look, open, require_own};
