//! How a lab is joined to the machine's real network, in `show`.

use super::LinkState;
use crate::model::SwitchName;
use serde::Serialize;

/// A lab's uplink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UplinkReport {
    /// The switch that it is at.
    pub switch: SwitchName,
    /// Where it is by NAT, how.
    pub nat: Option<NatReport>,
}

impl std::fmt::Display for UplinkReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at {}", self.switch)?;
        self.nat.as_ref().map_or(Ok(()), |nat| write!(f, " {nat}"))
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
