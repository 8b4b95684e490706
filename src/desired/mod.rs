//! From a checked topology to the kernel objects and files that it means. Pure.

mod autoconfiguration;
mod backends;
mod containers;
mod dhcp;
mod forwarding;
mod groups;
mod hosts;
mod links;
pub mod nat;
mod netns;
mod nodes;
mod ovs;
mod ovs_settings;
mod ports;
mod resolve;
mod resources;
mod shaping;
mod sysctls;
mod uplink;
mod volumes;

pub use backends::{BackendError, Backends, SwitchBackend, asks_for_ovs, choose};
pub use ports::{host_name, names as port_names};
pub use resolve::resolve;
pub use resources::Resources;
pub use uplink::FoundNic;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
pub(crate) mod samples_uplink;
