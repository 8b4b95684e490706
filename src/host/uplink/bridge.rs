//! The bridge in the host's namespace that a NIC becomes a port of.

use crate::fault;
use crate::host::HostError;
use crate::host::error::NetlinkContext;
use crate::host::facade::Host;
use crate::host::netlink;
use crate::model::{Bridge, GroupFwdMask, HostBridge, Interface, NetnsName};

impl Host {
    /// Makes the bridge, up and with nslab's mark; of one that is there, sets what differs.
    ///
    /// # Errors
    /// What the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn ensure_host_bridge(&self, bridge: &HostBridge) -> Result<(), HostError> {
        let HostBridge { name, mac, mtu, mark } = bridge.clone();
        let bridge = Bridge {
            interface: Interface { netns: NetnsName::Host, name: name.clone() },
            mac,
            mtu,
            stp: None,
            vlan_filtering: false,
            // It is there to pass everything on; who wants what is the switches' business on either side.
            mcast_snooping: Some(false),
            group_fwd_mask: GroupFwdMask::default(),
        };
        self.connected(&NetnsName::Host, move |connection| {
            netlink::ensure_bridge(connection, &bridge).when("make the bridge", &bridge.interface)?;
            fault::point(|| format!("before {name} is marked"));
            netlink::set_alias(connection, &name, &mark).when("mark", &bridge.interface)
        })
        .await
    }

    /// Removes it. That it isn't there is fine.
    ///
    /// # Errors
    /// What the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn remove_host_bridge(&self, bridge: &HostBridge) -> Result<(), HostError> {
        self.remove_link(&Interface { netns: NetnsName::Host, name: bridge.name.clone() }).await
    }
}
