//! Everything that a lab is to consist of, by kind.

use super::sysctls;
use crate::model::nat::{ForwardPass, NatTable};
use crate::model::ovs::OvsRows;
use crate::model::qdisc::Qdiscs;
use crate::model::{
    Address, Advertiser, Autoconfigured, Bridge, DhcpClient, Exec, HostBridge, HostsFile, LimitedGroup, NameDirectory,
    Netns, NodeContainer, PortFwdMask, PortVlans, Route, Sysctl, Uplink, Veth, Volume,
};
use serde::{Deserialize, Serialize};

/// The kernel objects and files of a lab. Within a kind, the order is the topology's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// The namespaces: the fabric first where there is one, then the nodes'.
    pub netns: Vec<Netns>,
    /// Parameters of their network stacks; at most one value for each netns and key.
    pub sysctls: Vec<Sysctl>,
    /// The switches' bridges.
    pub bridges: Vec<Bridge>,
    /// The links.
    pub veths: Vec<Veth>,
    /// The switch ports that have VLANs.
    pub port_vlans: Vec<PortVlans>,
    /// The disciplines of the interfaces whose links have conditions.
    pub qdiscs: Vec<Qdiscs>,
    /// The switch ports that let link-local frames in.
    pub port_fwd_masks: Vec<PortFwdMask>,
    /// The interfaces' addresses, but for those that they make themselves.
    pub addresses: Vec<Address>,
    /// The processes that advertise routers; at most one for each netns.
    pub advertisers: Vec<Advertiser>,
    /// The interfaces that configure themselves.
    pub autoconfigured: Vec<Autoconfigured>,
    /// What those may have from routers whose link is down: they keep it for as long as they were told.
    pub remembered: Vec<Autoconfigured>,
    /// The processes that hold interfaces' DHCP leases; at most one for each interface.
    pub dhcp_clients: Vec<DhcpClient>,
    /// The nodes' static routes.
    pub routes: Vec<Route>,
    /// The hosts files.
    pub hosts_files: Vec<HostsFile>,
    /// The nodes' directories in /etc/netns.
    pub name_directories: Vec<NameDirectory>,
    /// The containers that nodes are; at most one for each.
    pub containers: Vec<NodeContainer>,
    /// The cgroups of the lab, and of nodes that are no containers, where anything is limited; the lab's first.
    #[serde(default)]
    pub groups: Vec<LimitedGroup>,
    /// The file systems that containers share.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// The nodes' commands.
    pub execs: Vec<Exec>,
    /// The bridge in the host's namespace, where a NIC is to be its port.
    pub host_bridge: Option<HostBridge>,
    /// The NIC that is to be the lab's uplink.
    pub uplink: Option<Uplink>,
    /// What is in the database of Open vSwitch, where there are switches of its.
    pub ovs: Option<OvsRows>,
    /// The tables of the host's packet filter by which the lab is masqueraded.
    pub nat_tables: Vec<NatTable>,
    /// What lets the lab's packets pass in the host's packet filter; at most one for each family.
    pub forward_passes: Vec<ForwardPass>,
}

impl Resources {
    /// Leaves out what a kernel without IPv6 has no place for.
    ///
    /// # Errors
    /// The addresses that such a kernel can't give anybody.
    pub fn without_ipv6(mut self) -> Result<Self, Vec<Address>> {
        let of_ipv6: Vec<Address> = self.addresses.iter().filter(|a| a.address.is_ipv6()).cloned().collect();
        if !of_ipv6.is_empty() {
            return Err(of_ipv6);
        }
        self.sysctls.retain(|sysctl| !sysctls::is_moot_without_ipv6(sysctl));
        Ok(self)
    }
}
