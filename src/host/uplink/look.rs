//! A NIC as it is before it becomes an uplink.

use super::error::NicError;
use super::reach;
use crate::host::HostError;
use crate::host::dhcp::now_ms;
use crate::host::error::NetlinkContext;
use crate::host::facade::Host;
use crate::host::netlink::{self, SeenNic};
use crate::model::{Gateway, IfName, NetnsName, Nic, lab_of_mark};
use std::collections::BTreeMap;
use std::path::Path;

/// Parameters of an interface that say what it is, and not how it is to be.
const TOLD: [&str; 3] = ["mtu", "mc_forwarding", "stable_secret"];

impl Host {
    /// Looks at a NIC, and asks the routers behind it whether they are there. Changes nothing.
    ///
    /// # Errors
    /// [`HostError::Nic`] where it can't become a port of a switch; when the kernel does not answer.
    pub async fn look_at_nic(&self, name: &IfName) -> Result<Nic, HostError> {
        let nic = name.clone();
        let looking = self.connected(&NetnsName::Host, move |connection| {
            let seen = netlink::look_at_nic(connection, &nic).when("look at", &nic)?;
            let Some(seen) = seen else {
                let there = netlink::link_names(connection).when("look into", "the host's namespace")?;
                return Err(NicError::Absent { nic, there }.into());
            };
            described(nic, seen)
        });
        let mut nic = looking.await?;
        for gateway in &mut nic.gateways {
            gateway.answers = reach::first_answer(self, gateway.address, name).await;
        }
        Ok(nic)
    }
}

fn described(name: IfName, seen: SeenNic) -> Result<Nic, HostError> {
    let SeenNic { index, mac, mtu, up, promiscuous, master, alias, addresses, routes, rules } = seen;
    if let Some(alias) = alias.filter(|alias| lab_of_mark(alias).is_some()) {
        return Err(NicError::OfLab { nic: name, alias }.into());
    }
    if let Some(master) = master {
        return Err(NicError::IsPort { nic: name, master }.into());
    }
    let (Some(mac), Some(mtu)) = (mac.filter(|mac| mac.octets() != [0; 6]), mtu) else {
        return Err(NicError::NotEthernet { nic: name }.into());
    };
    if !up {
        return Err(NicError::Down { nic: name }.into());
    }
    if let Some(route) = routes.iter().find(|route| netlink::has_next_hop_object(route)) {
        return Err(NicError::NextHop { nic: name, route: route.text.clone() }.into());
    }
    let mut gateways: Vec<Gateway> = Vec::new();
    for address in routes.iter().flat_map(|route| netlink::gateways_of(route, index)) {
        if gateways.iter().all(|gateway| gateway.address != address) {
            gateways.push(Gateway { address, answers: None });
        }
    }
    let sysctls = sysctls(&name);
    Ok(Nic { name, index, mac, mtu, promiscuous, addresses, routes, rules, sysctls, gateways, seen_at_ms: now_ms() })
}

/// The parameters of an interface, by their path below /proc/sys with `*` for its name. One that can't be read can't be
/// taken over either.
fn sysctls(name: &IfName) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for family in ["ipv4", "ipv6"] {
        let directory = Path::new("/proc/sys/net").join(family).join("conf").join(name.as_str());
        let Ok(entries) = std::fs::read_dir(&directory) else { continue }; // a kernel without IPv6
        for entry in entries.flatten() {
            let parameter = entry.file_name().to_string_lossy().into_owned();
            if TOLD.contains(&parameter.as_str()) {
                continue;
            }
            if let Ok(value) = std::fs::read_to_string(entry.path()) {
                values.insert(format!("net/{family}/conf/*/{parameter}"), value.trim_end().to_owned());
            }
        }
    }
    values
}
