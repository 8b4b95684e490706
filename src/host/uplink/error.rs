//! Why a NIC can't be an uplink, or is none any more.

use crate::model::IfName;
use std::net::IpAddr;

/// What is wrong with a NIC, or with what comes of moving it.
#[derive(Debug, thiserror::Error)]
pub enum NicError {
    /// There is none of this name.
    #[error("there is no interface `{nic}` here: there {}", are(.there))]
    Absent {
        /// The name.
        nic: IfName,
        /// Those that there are.
        there: Vec<String>,
    },
    /// It belongs to something else.
    #[error("`{nic}` is a port of `{master}` already: take it out of that first, or attach `{master}` itself")]
    IsPort {
        /// The NIC.
        nic: IfName,
        /// What it is a port of.
        master: String,
    },
    /// It carries no Ethernet frames.
    #[error("`{nic}` carries no Ethernet frames, so no switch can have it for a port: use `nslab uplink nat {nic}`")]
    NotEthernet {
        /// The NIC.
        nic: IfName,
    },
    /// It is a part of a lab.
    #[error("`{nic}` is a part of a lab itself ({alias}): attach a NIC of the machine's")]
    OfLab {
        /// The NIC.
        nic: IfName,
        /// Its alias.
        alias: String,
    },
    /// Routes lead out of it by what can't be moved.
    #[error(
        "the route `{route}` out of `{nic}` has a next hop of its own (`ip nexthop`), which nslab can't move: give it one by \
         `via`, or use `nslab uplink nat {nic}`"
    )]
    NextHop {
        /// The NIC.
        nic: IfName,
        /// The route, as ip-route(8) says it.
        route: String,
    },
    /// The kernel lets it be no port.
    #[error(
        "`{nic}` is taken: something else gets all that comes in by it (a macvlan or ipvlan on top of it, which `ip -d link` \
         shows): remove that first, or use `nslab uplink nat {nic}`"
    )]
    Taken {
        /// The NIC.
        nic: IfName,
    },
    /// It is down.
    #[error("`{nic}` is down: set it up first (`ip link set {nic} up`)")]
    Down {
        /// The NIC.
        nic: IfName,
    },
    /// What answered before does not any more.
    #[error(
        "the gateway {gateway} answered by way of {nic} before, and does not in {seconds} s by way of {onto}: see whether the \
         network lets frames of more than one MAC address through (port security, a cloud's anti-spoofing), and whether a \
         firewall of this machine's names {nic} (`nft list ruleset`)"
    )]
    GatewaySilent {
        /// The gateway.
        gateway: IpAddr,
        /// The NIC.
        nic: IfName,
        /// The interface that has the machine's address now.
        onto: IfName,
        /// How long it was waited for.
        seconds: u64,
    },
}

fn are(there: &[String]) -> String {
    match there {
        [] => "is none but lo".to_owned(),
        [one] => format!("is {one}"),
        many => format!("are {}", many.join(", ")),
    }
}
