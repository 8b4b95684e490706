//! How a lab is joined to the machine's real network, in `show`.

use super::LinkState;
use crate::model::{IfName, SwitchName};
use serde::Serialize;

/// A lab's uplink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UplinkReport {
    /// The switch that it is at.
    pub switch: SwitchName,
    /// Where it is by NAT, how.
    pub nat: Option<NatReport>,
    /// Where it is a NIC of the machine's, which.
    pub nic: Option<NicReport>,
}

impl std::fmt::Display for UplinkReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { switch, nat, nic } = self;
        write!(f, "at {switch}")?;
        nat.as_ref().map_or(Ok(()), |nat| write!(f, " {nat}"))?;
        nic.as_ref().map_or(Ok(()), |nic| write!(f, " {nic}"))
    }
}

/// An uplink by a NIC of the machine's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NicReport {
    /// The NIC.
    pub nic: IfName,
    /// Whether it is there and the port that it should be, with the machine's addresses where they should be.
    pub attached: bool,
    /// The interface that has the machine's addresses meanwhile.
    pub onto: IfName,
    /// What becomes of the machine's addresses: dhcp, keep or none.
    pub address: String,
    /// The machine's addresses there.
    pub addresses: Vec<String>,
    /// Whether a keeper watches over it.
    pub watched: bool,
}

impl std::fmt::Display for NicReport {
    /// `by the NIC eth0: 192.0.2.10/24 on lab-uplink (keep)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { nic, attached, onto, address, addresses, watched } = self;
        let addresses = if addresses.is_empty() { "no address".to_owned() } else { addresses.join(" ") };
        write!(f, "by the NIC {nic}: {addresses} on {onto} ({address})")?;
        if !attached {
            f.write_str(", not attached")?;
        }
        if *watched { Ok(()) } else { f.write_str(", nobody watches over it") }
    }
}

/// An uplink by NAT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NatReport {
    /// The machine's interface at the switch.
    pub interface: String,
    /// What is there of it.
    pub state: LinkState,
    /// The addresses that it has: the nodes' gateways.
    pub gateways: Vec<String>,
    /// The machine's NICs by which the lab's packets leave and come back.
    pub leaves_by: Vec<String>,
    /// The table of nftables that masquerades them.
    pub table: String,
    /// Whether it is there, and what it is to be.
    pub masquerades: bool,
    /// The families whose chain of Docker's for the user's rules lets them pass.
    pub passes_docker: Vec<String>,
}

impl std::fmt::Display for NatReport {
    /// `by NAT: 10.0.0.254/24 on lab-gw (up), leaving by eth0`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { interface, state: _, gateways, leaves_by, table, masquerades, passes_docker: _ } = self;
        write!(f, "by NAT: {} on {interface}, leaving by {}", gateways.join(" "), leaves_by.join(" and "))?;
        if *masquerades { Ok(()) } else { write!(f, " (not masqueraded: the table {table} is not what it should be)") }
    }
}
