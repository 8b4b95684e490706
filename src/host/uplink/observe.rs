//! What is around a NIC that is or is to be an uplink.

use super::keeper::{self, KeeperFiles};
use crate::host::HostError;
use crate::host::error::NetlinkContext;
use crate::host::facade::Host;
use crate::host::netlink::{self, Connection};
use crate::model::{DEAF, IfName, NetnsName, Uplink};
use crate::observed::{ObservedPlace, ObservedUplink};
use std::path::Path;

impl Host {
    /// Looks at a NIC, at what the machine's address is to move to, and for who watches over it.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn observe_uplink(&self, of: &Uplink) -> Result<ObservedUplink, HostError> {
        let of = of.clone();
        self.connected(&NetnsName::Host, move |connection| {
            let running = keeper::running(&of)?;
            Ok(ObservedUplink {
                nic: place(connection, &of.nic.name)?,
                onto: place(connection, &of.onto)?,
                is_watched: running.is_any(),
                keepers: running.others().len(),
                is_released: KeeperFiles::of(&of.directory).released().exists(),
                is_deaf: is_deaf(&of),
            })
        })
        .await
    }
}

/// Whether an interface of the host has carrier; `None` where it is not there, or down (sysfs-class-net).
pub fn carrier(name: &IfName) -> Option<bool> {
    let text = std::fs::read_to_string(Path::new("/sys/class/net").join(name.as_str()).join("carrier")).ok()?;
    Some(text.trim() == "1")
}

/// Whether a parameter of the NIC's is still what it is to be for a port, and was something else.
fn is_deaf(of: &Uplink) -> bool {
    let is_so = |(path, value): (&str, &str)| {
        let file = Path::new("/proc/sys").join(path.replace('*', of.nic.name.as_str()));
        let was = of.nic.sysctls.get(path).map(String::as_str);
        was.is_some_and(|was| was != value) && std::fs::read_to_string(file).is_ok_and(|now| now.trim_end() == value)
    };
    of.ovs().is_some_and(|ovs| ovs.copies) && DEAF.into_iter().any(is_so)
}

fn place(connection: &mut Connection, name: &IfName) -> Result<Option<ObservedPlace>, HostError> {
    let seen = netlink::look_at_nic(connection, name).when("look at", name)?;
    Ok(seen.map(|seen| ObservedPlace {
        up: seen.up,
        master: seen.master,
        alias: seen.alias,
        mac: seen.mac,
        addresses: seen.addresses.iter().map(|address| address.address).collect(),
    }))
}
