//! What `uplink status` returns.

use crate::model::{IfName, LabName};
use serde::Serialize;

/// How a lab is joined to the machine's network by a NIC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UplinkStatus {
    /// The lab.
    pub lab: LabName,
    /// The NIC; `None` where the lab has none for an uplink.
    pub nic: Option<IfName>,
    /// The switch that it is a port of.
    pub switch: String,
    /// The interface that has the machine's address.
    pub onto: String,
    /// What becomes of the address: dhcp, keep or none.
    pub address: String,
    /// The machine's addresses there.
    pub addresses: Vec<String>,
    /// Those of them that nobody prolongs.
    pub running_out: Vec<UplinkEnd>,
    /// Whether the NIC has carrier; `None` where it is not there, or nobody watches.
    pub carrier: Option<bool>,
    /// The gateways that answered before, and whether they do.
    pub gateways: Vec<UplinkGateway>,
    /// The lease that is held.
    pub lease: Option<UplinkLease>,
    /// That of DHCPv6.
    pub lease_six: Option<UplinkLease>,
    /// How many seconds are left to confirm it; `None` where it need not be.
    pub confirm_left_s: Option<u64>,
    /// The process that watches over it.
    pub keeper: Option<u32>,
    /// What is not as it should be.
    pub trouble: Option<String>,
}

/// An address of a lease that nobody holds while the NIC is a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UplinkEnd {
    /// The address, with its prefix length.
    pub address: String,
    /// How many seconds it lasts.
    pub ends_in_s: u32,
}

/// A gateway behind an uplink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UplinkGateway {
    /// Its address.
    pub address: std::net::IpAddr,
    /// Whether it answered when it was last asked.
    pub answers: bool,
}

/// The lease that an uplink's keeper holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UplinkLease {
    /// The address, with its prefix length.
    pub address: Option<String>,
    /// What became of it last, in words.
    pub state: String,
    /// How many seconds it lasts.
    pub ends_in_s: Option<u64>,
    /// How often it was prolonged.
    pub renewals: u32,
    /// The name servers that it names.
    pub dns_servers: Vec<String>,
    /// The domains that it has names without dots looked for in.
    pub search_domains: Vec<String>,
    /// The time servers that it names.
    pub ntp_servers: Vec<String>,
    /// The MTU that it names.
    pub mtu_bytes: Option<u16>,
}
