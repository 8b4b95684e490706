//! What a keeper sees of its uplink, and tells who asks.

use crate::model::IfName;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What a keeper sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sight {
    /// Its process ID.
    pub(crate) pid: u32,
    /// The gateways, and whether they answer; those are not asked that did not before either.
    pub(crate) gateways: Vec<SeenGateway>,
    /// The lease that is held.
    pub(crate) lease: Option<SeenLease>,
    /// That of DHCPv6.
    pub(crate) lease_six: Option<SeenLease>,
    /// What is not as it should be, in words.
    pub(crate) trouble: Option<String>,
}

/// A gateway, as it was last asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeenGateway {
    pub(crate) address: IpAddr,
    pub(crate) answers: bool,
}

/// A lease, as it was last heard of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeenLease {
    /// The interface that it is of.
    pub(crate) interface: IfName,
    /// The address, with its prefix length; `None` before the first one, and once it is over.
    pub(crate) address: Option<String>,
    /// The routers.
    pub(crate) routers: Vec<IpAddr>,
    /// The name servers.
    pub(crate) dns_servers: Vec<IpAddr>,
    /// Where names without dots are looked for.
    pub(crate) search_domains: Vec<String>,
    /// The time servers.
    pub(crate) ntp_servers: Vec<IpAddr>,
    /// The link's MTU.
    pub(crate) mtu_bytes: Option<u16>,
    /// When it ends, in milliseconds since the machine was started.
    pub(crate) ends_at_ms: u64,
    /// How often it was prolonged.
    pub(crate) renewals: u32,
    /// What became of it last.
    pub(crate) state: LeaseState,
}

/// What became of a lease last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LeaseState {
    /// It is asked for.
    Asked,
    /// It is held.
    Held,
    /// Nobody prolongs it.
    Unanswered,
    /// A server took it back.
    Refused,
    /// It is over.
    Expired,
    /// There is none, and why.
    Failed(String),
}
