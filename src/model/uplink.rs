//! How a lab is joined to the machine's real network: what the words of a topology and of the command line mean.

use super::ovs::OvsRows;
use super::{ClientId, Holder, IfName, LabName, MacAddress, Mtu, Nic, NicAddress};
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What becomes of the machine's own address when its NIC becomes a port of a lab's switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AddressMode {
    /// `dhcp` where the NIC's address was a lease, `keep` otherwise.
    #[default]
    Auto,
    /// It moves along, and the lease that it is of is renewed from there.
    Dhcp,
    /// It moves along as it is, with what is left of its lifetime.
    Keep,
    /// It stays behind: the machine has none on that network while the NIC is a port.
    None,
}

/// A word that is no [`AddressMode`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` says nothing of an uplink's address: use auto, dhcp, keep or none")]
pub struct ParseAddressModeError(String);

impl AddressMode {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Dhcp => "dhcp",
            Self::Keep => "keep",
            Self::None => "none",
        }
    }
}

impl std::str::FromStr for AddressMode {
    type Err = ParseAddressModeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Auto, Self::Dhcp, Self::Keep, Self::None];
        all.into_iter().find(|mode| mode.as_str() == text).ok_or_else(|| ParseAddressModeError(text.to_owned()))
    }
}

impl std::fmt::Display for AddressMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A NIC of the machine's that is to be a port of a lab's switch, and what that takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uplink {
    /// The NIC as it was before.
    pub nic: Nic,
    /// Whether the machine's address moves along.
    pub address: UplinkAddress,
    /// The interface of the host's namespace that the address moves to: the host's own bridge, or the switch's internal port.
    pub onto: IfName,
    /// How the NIC becomes a port.
    pub port: UplinkPort,
    /// Who manages the NIC, and lets go of it meanwhile.
    pub holders: Vec<Holder>,
    /// By what a DHCP server knows who has its lease, so that it gives the same address to the bridge; the NIC's MAC address
    /// where there is none.
    #[serde(default)]
    pub client_id: Option<ClientId>,
    /// Within how many seconds somebody has to confirm, or everything is undone.
    pub confirm_s: Option<u32>,
    /// The lab that it is the uplink of.
    pub lab: LabName,
    /// The lab's state directory: the keeper's files are there.
    pub directory: PathBuf,
}

/// The bridge in the host's namespace that a NIC becomes a port of, beside the trunk to a lab's own bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostBridge {
    /// Its name.
    pub name: IfName,
    /// The NIC's MAC address, which it takes over.
    pub mac: MacAddress,
    /// The NIC's MTU.
    pub mtu: Mtu,
    /// nslab's mark, its alias.
    pub mark: String,
}

/// What becomes of the machine's address, once it is known what the NIC has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UplinkAddress {
    /// It moves along, and its lease is held from there.
    Dhcp,
    /// It moves along.
    Keep,
    /// It stays behind.
    None,
}

impl UplinkAddress {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dhcp => AddressMode::Dhcp.as_str(),
            Self::Keep => AddressMode::Keep.as_str(),
            Self::None => AddressMode::None.as_str(),
        }
    }
}

/// How a NIC becomes a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UplinkPort {
    /// Of the host's bridge.
    Bridge,
    /// Of a switch of Open vSwitch.
    OpenVswitch(OvsUplink),
}

/// A NIC as a port of a switch of Open vSwitch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OvsUplink {
    /// What makes it one in the database.
    pub rows: OvsRows,
    /// The MAC address that the switch's internal port has without it.
    pub own_mac: MacAddress,
    /// The MTU that it has then.
    pub own_mtu: Mtu,
    /// Whether ovs-vswitchd itself moves the frames: then it takes copies of them, and the NIC's own network stack has to be
    /// kept from taking them too.
    pub copies: bool,
}

impl Uplink {
    /// Under which name the keeper holds a lease of DHCPv6: where the NIC has one, and it is known who has it.
    pub fn client_of_six(&self) -> Option<&ClientId> {
        let is_lease = |address: &NicAddress| {
            matches!(address.address, IpNetwork::V6(network) if network.prefix() == 128) && !address.is_lasting()
        };
        let has_lease = self.address == UplinkAddress::Dhcp && self.nic.addresses.iter().any(is_lease);
        self.client_id.as_ref().filter(|id| has_lease && id.of_six().is_some())
    }

    /// The addresses that run out while the NIC is a port: those of leases that no keeper holds. A lease of DHCPv6 is known by
    /// its prefix length, of 128 bits; what a router's advertisement gave goes on by the next one.
    pub fn running_out(&self) -> impl Iterator<Item = &NicAddress> {
        let runs_out = |address: &&NicAddress| match (self.address, address.address) {
            (UplinkAddress::None, _) => false,
            (held, IpNetwork::V4(_)) => held != UplinkAddress::Dhcp && !address.is_lasting(),
            (_, IpNetwork::V6(network)) => network.prefix() == 128 && !address.is_lasting(),
        };
        self.nic.addresses.iter().filter(runs_out)
    }

    /// The bridge that the NIC is a port of in the kernel's eyes, by nslab's own doing.
    pub fn master(&self) -> Option<&IfName> {
        match self.port {
            UplinkPort::Bridge => Some(&self.onto),
            UplinkPort::OpenVswitch(_) => None,
        }
    }

    /// What makes the NIC a port of a switch of Open vSwitch, where it is to be one.
    pub fn ovs(&self) -> Option<&OvsUplink> {
        match &self.port {
            UplinkPort::Bridge => None,
            UplinkPort::OpenVswitch(ovs) => Some(ovs),
        }
    }
}

/// What comes in at a NIC whose frames a program copies, the kernel takes too: whatever is for the machine would come twice.
/// Parameters by their path below /proc/sys with `*` for the NIC's name, and what keeps it from that.
pub const DEAF: [(&str, &str); 3] = [
    // What should come in by another interface is dropped: by the routes, all should (RFC 3704).
    ("net/ipv4/conf/*/rp_filter", "1"),
    // Nobody there asks for an address that the NIC does not have.
    ("net/ipv4/conf/*/arp_ignore", "1"),
    ("net/ipv6/conf/*/disable_ipv6", "1"),
];
