//! What came of a check. Data, and the judgement of it; pure.

use super::{Expected, Protocol};
use crate::model::{LabName, NodeName};
use serde::Serialize;
use std::net::IpAddr;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckReport {
    /// The lab.
    pub lab: LabName,
    /// Its nodes, in the topology's order.
    pub nodes: Vec<NodeName>,
    /// One for each probe, in the order of the nodes.
    pub probes: Vec<ProbeReport>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What came of one probe.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProbeReport {
    /// The node that asked.
    pub from: NodeName,
    /// The node that was asked.
    pub to: NodeName,
    /// The address at which it was asked; `None` where the two have no address family in common.
    pub address: Option<IpAddr>,
    /// What was sent.
    pub protocol: Protocol,
    /// What was to come of it.
    pub expected: Expected,
    /// What came of it.
    pub found: Found,
    /// Whether that is as expected.
    pub holds: bool,
}

/// What came of a probe.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// An answer.
    Answer {
        /// The round trip of an echo, or the whole of a TCP exchange, in milliseconds.
        took_ms: f64,
    },
    /// None.
    NoAnswer {
        /// Why not, as far as can be told.
        reason: String,
    },
}

/// Whether what was found is what was expected.
pub(super) fn holds(expected: Expected, protocol: Protocol, found: &Found) -> bool {
    match (expected, found) {
        (Expected::Reachable { within_ms: Some(most) }, Found::Answer { took_ms }) => {
            // The time is one round trip's: a TCP exchange is many.
            #[expect(clippy::cast_precision_loss, reason = "milliseconds that a person wrote")]
            let most = most as f64;
            protocol == Protocol::Tcp || *took_ms <= most
        }
        (Expected::Reachable { within_ms: None }, Found::Answer { .. })
        | (Expected::Unreachable, Found::NoAnswer { .. }) => true,
        (Expected::Reachable { .. }, Found::NoAnswer { .. }) | (Expected::Unreachable, Found::Answer { .. }) => false,
    }
}

impl CheckReport {
    /// Whether all is as expected.
    pub fn holds(&self) -> bool {
        self.probes.iter().all(|probe| probe.holds)
    }

    /// Those that are not as expected.
    pub fn failures(&self) -> impl Iterator<Item = &ProbeReport> {
        self.probes.iter().filter(|probe| !probe.holds)
    }
}

impl ProbeReport {
    /// What does not hold, in words.
    pub fn failure(&self) -> String {
        let how = match self.protocol {
            Protocol::Icmp => "ping",
            Protocol::Tcp => "TCP",
        };
        let Self { from, to, .. } = self;
        let Some(address) = self.address else {
            return format!("{from} does not reach {to}: they have no IPv4 and no IPv6 addresses both");
        };
        match (&self.found, self.expected) {
            (Found::NoAnswer { reason }, _) => format!("{from} does not reach {to} ({address}) by {how}: {reason}"),
            (Found::Answer { .. }, Expected::Unreachable) => {
                format!("{from} reaches {to} ({address}) by {how}, and should not")
            }
            (Found::Answer { took_ms }, Expected::Reachable { within_ms }) => format!(
                "{from} reaches {to} ({address}) by {how} in {took_ms:.1} ms, more than {} ms",
                within_ms.unwrap_or_default()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judgement() {
        let answer = Found::Answer { took_ms: 5.0 };
        let none = Found::NoAnswer { reason: "x".into() };
        let within = |ms| Expected::Reachable { within_ms: Some(ms) };
        let any = Expected::Reachable { within_ms: None };
        assert!(holds(any, Protocol::Icmp, &answer));
        assert!(!holds(any, Protocol::Icmp, &none));
        assert!(holds(within(5), Protocol::Icmp, &answer));
        assert!(!holds(within(4), Protocol::Icmp, &answer));
        assert!(holds(within(4), Protocol::Tcp, &answer));
        assert!(!holds(within(4), Protocol::Tcp, &none));
        assert!(holds(Expected::Unreachable, Protocol::Tcp, &none));
        assert!(!holds(Expected::Unreachable, Protocol::Tcp, &answer));
    }
}
