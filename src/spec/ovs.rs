//! What only switches of Open vSwitch have. The words are those of ovs-vswitchd.conf.db(5).

use crate::model::{ByteSize, Rate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Settings of a switch that only Open vSwitch has; what is not set is Open vSwitch's to choose.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OvsSettings {
    /// Rapid spanning tree, where it runs one.
    pub rstp: Option<Rstp>,
    /// What it does while no controller answers.
    pub fail_mode: Option<FailMode>,
    /// The OpenFlow controllers that it talks to.
    pub controllers: BTreeSet<ConnectionMethod>,
    /// The versions of OpenFlow that it speaks; all that it knows where this is empty.
    pub protocols: BTreeSet<OpenFlow>,
    /// What it is called in OpenFlow.
    pub datapath_id: Option<DatapathId>,
    /// How many MAC addresses it learns.
    pub mac_table_size: Option<u32>,
    /// Where its NetFlow records go.
    pub netflow: Option<NetFlow>,
    /// Where its sFlow samples go.
    pub sflow: Option<SFlow>,
    /// Where its IPFIX records go.
    pub ipfix: Option<Ipfix>,
    /// Its mirrors: each to a port of its own.
    pub mirrors: Vec<Mirror>,
}

/// Parameters of rapid spanning tree (IEEE 802.1D-2004).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rstp {
    /// Bridge priority, a multiple of 4096; the lowest becomes the root.
    pub priority: Option<u16>,
    /// Seconds after which a MAC address that is not heard of is forgotten.
    pub ageing_time_s: Option<u32>,
    /// Seconds after which a silent neighbour is taken for gone.
    pub max_age_s: Option<u8>,
    /// Seconds a port spends learning before it forwards, where the neighbour does not answer at once.
    pub forward_delay_s: Option<u8>,
    /// Messages that a port sends within a second at most.
    pub transmit_hold_count: Option<u8>,
}

/// What a switch does while no controller answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FailMode {
    /// It switches frames as if it had no controller.
    Standalone,
    /// It forwards by the flows that it has, and drops the rest.
    Secure,
}

impl FailMode {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Secure => "secure",
        }
    }
}

/// A version of OpenFlow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub enum OpenFlow {
    OpenFlow10,
    OpenFlow11,
    OpenFlow12,
    OpenFlow13,
    OpenFlow14,
    OpenFlow15,
}

impl OpenFlow {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenFlow10 => "OpenFlow10",
            Self::OpenFlow11 => "OpenFlow11",
            Self::OpenFlow12 => "OpenFlow12",
            Self::OpenFlow13 => "OpenFlow13",
            Self::OpenFlow14 => "OpenFlow14",
            Self::OpenFlow15 => "OpenFlow15",
        }
    }
}

impl std::fmt::Display for OpenFlow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a switch is called in OpenFlow: 64 bits, not all of them zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatapathId(u64);

/// Where an OpenFlow controller is, or where the switch waits for one: `tcp:127.0.0.1:6653`, `ptcp:6654`. Sockets in the
/// file system are not among them: Open vSwitch takes only those of its own directory, one for each bridge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConnectionMethod(String);

/// Where records of traffic go: an address and a UDP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Collector(SocketAddr);

/// A text that can't be a setting of Open vSwitch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OvsTextError {
    /// Not 16 hexadecimal digits, or all of them zero.
    #[error("`{0}` is no datapath id: write 16 hexadecimal digits, not all zero, as in \"0000000000000001\"")]
    DatapathId(String),
    /// Not a connection method that Open vSwitch knows.
    #[error(
        "`{0}` is no OpenFlow connection: write tcp:ADDRESS:PORT or ssl:ADDRESS:PORT for a controller, an IPv6 address in \
         brackets, or ptcp:PORT or pssl:PORT to wait for one"
    )]
    Connection(String),
    /// Not an address and a port.
    #[error("`{0}` is no collector: write an address and a UDP port, as in 127.0.0.1:2055 or \"[fd00::1]:2055\"")]
    Collector(String),
}

impl TryFrom<String> for DatapathId {
    type Error = OvsTextError;
    fn try_from(text: String) -> Result<Self, OvsTextError> {
        let is_form = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let id = u64::from_str_radix(&text, 16).ok().filter(|id| is_form && *id != 0);
        id.map(Self).ok_or(OvsTextError::DatapathId(text))
    }
}

impl From<DatapathId> for String {
    fn from(id: DatapathId) -> String {
        id.to_string()
    }
}

impl std::fmt::Display for DatapathId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl ConnectionMethod {
    /// As the database holds it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the switch waits for the controller, and does not call it.
    pub fn is_passive(&self) -> bool {
        self.0.starts_with('p')
    }
}

impl TryFrom<String> for ConnectionMethod {
    type Error = OvsTextError;
    fn try_from(text: String) -> Result<Self, OvsTextError> {
        // A controller is known by its address, for there is nobody to ask for a name.
        let is_address = |text: &str| match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            Some(inside) => inside.parse::<Ipv6Addr>().is_ok(),
            None => text.parse::<Ipv4Addr>().is_ok(),
        };
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        let is_known = match text.split_once(':') {
            Some(("tcp" | "ssl", rest)) => {
                is_address(rest) || rest.rsplit_once(':').is_some_and(|(at, port)| is_address(at) && is_port(port))
            }
            Some(("ptcp" | "pssl", rest)) => match rest.split_once(':') {
                Some((port, at)) => is_port(port) && is_address(at),
                None => is_port(rest),
            },
            _ => false,
        };
        if is_known { Ok(Self(text)) } else { Err(OvsTextError::Connection(text)) }
    }
}

impl std::fmt::Display for ConnectionMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ConnectionMethod> for String {
    fn from(method: ConnectionMethod) -> String {
        method.0
    }
}

impl TryFrom<String> for Collector {
    type Error = OvsTextError;
    fn try_from(text: String) -> Result<Self, OvsTextError> {
        text.parse().ok().filter(|at: &SocketAddr| at.port() > 0).map(Self).ok_or(OvsTextError::Collector(text))
    }
}

impl From<Collector> for String {
    fn from(collector: Collector) -> String {
        collector.to_string()
    }
}

impl std::fmt::Display for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// NetFlow: a record of each flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetFlow {
    /// Where they go; one at least.
    pub targets: BTreeSet<Collector>,
    /// Seconds after which a flow that goes on is told of.
    pub active_timeout_s: Option<u32>,
}

/// sFlow: samples of frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SFlow {
    /// Where they go; one at least.
    pub targets: BTreeSet<Collector>,
    /// One frame of so many is sampled.
    pub sampling: Option<u32>,
    /// Seconds between reports of the ports' counters.
    pub polling_s: Option<u32>,
    /// How much of a frame is sent, in bytes.
    pub header_bytes: Option<u32>,
}

/// IPFIX: records of flows, and samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipfix {
    /// Where they go; one at least.
    pub targets: BTreeSet<Collector>,
    /// One frame of so many is sampled.
    pub sampling: Option<u32>,
    /// What the records name as the place of observation.
    pub observation_domain: Option<u32>,
    /// The point in it.
    pub observation_point: Option<u32>,
}

/// Copies of frames, to a port that gets nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// What is copied.
    pub select: Selection,
    /// The switch's end of this link, by its place in [`Spec::links`](super::Spec::links).
    pub output: usize,
}

/// Which frames a mirror copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// All.
    All,
    /// Those that come in or go out by the switch's ends of these links.
    Links(BTreeSet<usize>),
}

/// How fast frames may go through a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// In the long run.
    pub rate: Rate,
    /// How much may go at once; Open vSwitch's choice where it is not given.
    pub burst: Option<ByteSize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_checked() {
        let method = |text: &str| ConnectionMethod::try_from(text.to_owned()).is_ok();
        for good in [
            "tcp:127.0.0.1:6653",
            "tcp:127.0.0.1",
            "ssl:[fd00::1]:6653",
            "tcp:[::1]",
            "ptcp:6654",
            "ptcp:6654:10.0.0.1",
            "pssl:1:[::1]",
        ] {
            assert!(method(good), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1:6653",
            "tcp:",
            "tcp:c0:6653",
            "tcp:127.0.0.1:0",
            "tcp:127.0.0.1:99999",
            "tcp:[[::1",
            "tcp:::1",
            "ptcp:",
            "ptcp:x",
            "ptcp:1:[::1",
            "unix:/run/c",
            "punix:/run/c",
            "udp:127.0.0.1:1",
        ] {
            assert!(!method(bad), "{bad}");
        }
        let id = |text: &str| DatapathId::try_from(text.to_owned());
        assert_eq!(id("00000000000000aF").unwrap().to_string(), "00000000000000af");
        for bad in ["1", "0000000000000000", "000000000000000g", "+000000000000001"] {
            assert!(id(bad).is_err(), "{bad}");
        }
        let collector = |text: &str| Collector::try_from(text.to_owned());
        assert_eq!(collector("[fd00::1]:2055").unwrap().to_string(), "[fd00::1]:2055");
        for bad in ["127.0.0.1", "127.0.0.1:0", "collector:2055"] {
            assert!(collector(bad).is_err(), "{bad}");
        }
    }
}
