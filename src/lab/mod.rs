//! Labs as objects: what the command line, and programs that use nslab as a library, work with.

mod changes;
mod container;
mod context;
mod doctor;
mod edit;
mod gc;
mod images;
mod keeper;
mod launched;
mod left_by_containers;
mod leftovers;
mod limit;
mod link;
mod node;
mod object;
mod show;
mod show_links;
mod show_switch;
mod show_uplink;
mod top;
mod uplink;
mod uplink_status;
mod watch;

pub(crate) use container::not_running;
pub(crate) use context::{IMAGES, netns_of};
pub use context::{Nslab, Options};
pub use doctor::doctor;
pub use gc::gc;
pub(crate) use keeper::keep;
pub use link::LinkChange;
pub use node::Node;
pub use object::Lab;
pub use uplink::UplinkWish;
pub use watch::{LabWatch, WatchEvent};
