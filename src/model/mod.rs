//! The words of the field as types: names, MAC addresses, MTUs, VLANs, and the kernel objects a lab is made of.
//!
//! Pure data, checked once at the edge (`TryFrom`) and right by type from there on. Uses no other module.

mod advertisement;
mod cgroup;
mod client_id;
pub mod conditions;
pub mod container;
mod dhcp;
pub(crate) mod hash;
mod holder;
mod instance;
mod link_local;
mod mac;
mod mtu;
mod name;
pub mod nat;
mod netns;
mod nic;
pub mod ovs;
mod percent;
pub mod qdisc;
mod rate;
mod resource;
mod shown;
mod span;
mod statistics;
mod stp;
mod sysctl;
mod uplink;
mod usage;
mod vlan;
mod volume;

pub use advertisement::{Advertised, Advertiser, Autoconfigured, ParseAdvertisedError, SLAAC_PREFIX_LENGTH, accept_ra};
pub(crate) use cgroup::{OF_NO_LAB, STATE_DIRECTORY};
pub use cgroup::{cgroup_of, group_of};
pub use client_id::{ClientId, ParseClientIdError};
pub use dhcp::{DhcpClient, Leased, ParseLeasedError};
pub use holder::{ClientKind, ClientProcess, Holder, Profile, Reach};
pub use instance::{Identity, Instance, instance_of_mark, lab_of_mark, mark};
pub use link_local::{GroupFwdMask, LinkLocal};
pub use mac::{MacAddress, ParseMacError};
pub use mtu::{Mtu, MtuError};
pub use name::{ContainerName, IfName, ImageName, LabName, NameError, NodeName, SwitchName};
pub use netns::{NetnsName, PinName};
pub use nic::{Answer, Gateway, Lifetime, Nic, NicAddress, NicRoute, NicRule, RawMessage, RawMessageError};
pub use percent::{Percent, PercentError};
pub use rate::{ByteSize, Rate, RateError};
pub use resource::{
    Address, Bridge, Exec, GroupState, HostsFile, Interface, LimitedGroup, NameDirectory, Netns, NodeContainer,
    PortFwdMask, PortVlans, Route, Sysctl, Veth, VethEnd,
};
pub use shown::Shown;
pub use span::{Span, SpanError};
pub use statistics::LinkStatistics;
pub use stp::Stp;
pub use sysctl::{SysctlKey, SysctlKeyError};
pub use uplink::{AddressMode, DEAF, HostBridge, OvsUplink, ParseAddressModeError, Uplink, UplinkAddress, UplinkPort};
pub use usage::{IoBytes, ResourceUsage, Traffic};
pub use vlan::{NativeVlan, VlanError, VlanId, VlanMode};
pub use volume::{Propagation, Volume, VolumeKind, VolumeLimits};
