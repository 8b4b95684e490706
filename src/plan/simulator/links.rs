//! Links of the machine in memory: bridges and what is in them, veths, VLANs.

use super::{Machine, same};
use crate::model::{Bridge, GroupFwdMask, Interface, NetnsName, SysctlKey, Veth, VethEnd, VlanId, VlanMode};
use crate::observed::{ObservedLink, ObservedLinkKind, ObservedPort, PortState};
use crate::plan::{LinkChange, Master};
use ipnetwork::IpNetwork;
use std::collections::{BTreeMap, BTreeSet};

impl Machine {
    pub(super) fn set_bridge(&mut self, bridge: &Bridge) -> Result<(), String> {
        let Bridge { interface, mac, mtu, stp, vlan_filtering, mcast_snooping: _, group_fwd_mask } = bridge;
        if self.link(interface).is_err() {
            self.add_link(interface, new_bridge())?;
        }
        let link = self.link(interface)?;
        if !matches!(link.kind, ObservedLinkKind::Bridge { .. }) {
            return Err("EEXIST".into());
        }
        let mcast_snooping = Some(bridge.snoops());
        let (stp, vlan_filtering, group_fwd_mask) = (*stp, *vlan_filtering, *group_fwd_mask);
        link.kind = ObservedLinkKind::Bridge { stp, vlan_filtering, mcast_snooping, group_fwd_mask };
        (link.mac, link.mtu_bytes, link.up) = (Some(*mac), mtu.bytes(), true);
        self.show_vlans(&interface.netns);
        Ok(())
    }

    pub(super) fn add_veth(&mut self, Veth { a, b }: &Veth) -> Result<(), String> {
        if self.link(&a.interface).is_ok() || self.link(&b.interface).is_ok() {
            let peer = self.peer(&a.interface.netns, a.interface.name.as_str());
            return same(peer == Some((b.interface.netns.clone(), b.interface.name.to_string())));
        }
        assert!(a.master.is_some() || b.master.is_none(), "the port is not `a`");
        for VethEnd { interface, master, .. } in [a, b] {
            self.inside(&interface.netns)?; // before anything is made: one message makes all of it or nothing
            if let Some(name) = master {
                self.link(&Interface { netns: interface.netns.clone(), name: name.clone() })?;
            }
        }
        for VethEnd { interface, mac, mtu, master, mark, software_checksums, ignores_routers: _, up } in [a, b] {
            self.add_link(interface, ObservedLinkKind::Veth { peer_index: 0 })?;
            let link = self.link(interface)?;
            (link.mac, link.mtu_bytes, link.up) = (Some(*mac), mtu.bytes(), *up);
            (link.alias, link.software_checksums) = (mark.clone(), Some(*software_checksums));
            if let Some(bridge) = master {
                self.set_master(interface, &Master::Bridge(bridge.clone()))?;
            }
        }
        for (here, there) in [(&a.interface, &b.interface), (&b.interface, &a.interface)] {
            let peer_index = self.link(there)?.index;
            self.link(here)?.kind = ObservedLinkKind::Veth { peer_index };
            let [here, there] = [here, there].map(|end| (end.netns.clone(), end.name.to_string()));
            self.peers.insert(here, there);
        }
        Ok(())
    }

    pub(super) fn add_link(&mut self, interface: &Interface, kind: ObservedLinkKind) -> Result<(), String> {
        let least = self.least_index.max(1); // `lo` has 1
        let own: BTreeMap<SysctlKey, String> = self.observed.pristine_sysctls.clone();
        let inside = self.inside(&interface.netns)?;
        inside.sysctls.extend(own.into_iter().filter(|(key, _)| key.interface().as_ref() == Some(&interface.name)));
        let index = inside.links.values().map(|link| link.index).max().unwrap_or(0).max(least) + 1;
        let link = ObservedLink {
            index,
            kind,
            mac: None,
            mtu_bytes: 1500,
            up: false,
            carrier: false,
            master: None,
            port: None,
            alias: None,
            software_checksums: None,
            shaping: None,
            statistics: None,
            addresses: BTreeSet::new(),
            autoconfigured: BTreeSet::new(),
            leased: BTreeSet::new(),
            leased_routes: BTreeSet::new(),
        };
        inside.links.insert(interface.name.to_string(), link);
        Ok(())
    }

    pub(super) fn delete_link(&mut self, netns: &NetnsName, name: &str) {
        let peer = self.peer(netns, name);
        let Ok(inside) = self.inside(netns) else { return };
        if inside.links.remove(name).is_none() {
            return;
        }
        inside.routes.retain(|route| route.dev != name);
        inside.routers.retain(|(dev, _)| dev != name);
        inside.dhcp_clients.retain(|leased| leased.interface.as_str() != name);
        inside.advertisers.retain(|on| on.iter().all(|on| on.interface.as_str() != name));
        inside.sysctls.retain(|key, _| key.interface().is_none_or(|interface| interface.as_str() != name));
        for port in inside.links.values_mut().filter(|link| link.master.as_deref() == Some(name)) {
            (port.master, port.port) = (None, None);
        }
        self.peers.remove(&(netns.clone(), name.to_owned()));
        self.vlans.retain(|port, _| port.netns != *netns || port.name.as_str() != name);
        if let Some((netns, name)) = peer {
            self.delete_link(&netns, &name);
        }
    }

    pub(super) fn set_link(&mut self, change: &LinkChange) -> Result<(), String> {
        let LinkChange { interface, mac, mtu, up, master, software_checksums } = change;
        let link = self.link(interface)?;
        link.mac = mac.or(link.mac);
        link.mtu_bytes = mtu.map_or(link.mtu_bytes, crate::model::Mtu::bytes);
        link.up = up.unwrap_or(link.up);
        link.software_checksums = software_checksums.or(link.software_checksums);
        if !link.up {
            // IPv6 addresses and all routes go with the link; IPv4 addresses stay.
            link.addresses.retain(IpNetwork::is_ipv4);
            link.autoconfigured.clear();
            let inside = self.inside(&interface.netns)?;
            inside.routes.retain(|route| route.dev != interface.name.as_str());
            inside.routers.retain(|(dev, _)| dev != interface.name.as_str());
        }
        master.as_ref().map_or(Ok(()), |master| self.set_master(interface, master))
    }

    pub(super) fn set_master(&mut self, interface: &Interface, master: &Master) -> Result<(), String> {
        let master = match master {
            Master::Nothing => None,
            Master::Bridge(name) => {
                let bridge = Interface { netns: interface.netns.clone(), name: name.clone() };
                match self.link(&bridge)?.kind {
                    ObservedLinkKind::Bridge { .. } => Some(name.to_string()),
                    _ => return Err("not a bridge".into()),
                }
            }
        };
        let link = self.link(interface)?;
        if link.master != master {
            link.port = master.as_ref().map(|_| ObservedPort {
                state: PortState::Forwarding,
                vlans: None,
                group_fwd_mask: GroupFwdMask::default(),
            });
            link.master = master;
            self.vlans.insert(interface.clone(), VlanMode::Access(VlanId::DEFAULT));
        }
        self.show_vlans(&interface.netns);
        Ok(())
    }

    /// VLANs are to be seen on the ports of bridges that mind them.
    pub(super) fn show_vlans(&mut self, netns: &NetnsName) {
        let vlans = self.vlans.clone();
        let Ok(inside) = self.inside(netns) else { return };
        let minding: BTreeSet<String> = inside
            .links
            .iter()
            .filter(|(_, link)| matches!(link.kind, ObservedLinkKind::Bridge { vlan_filtering: true, .. }))
            .map(|(name, _)| name.clone())
            .collect();
        for (name, link) in &mut inside.links {
            if let (Some(master), Some(port)) = (&link.master, &mut link.port) {
                let here = vlans.iter().find(|(port, _)| port.netns == *netns && port.name.as_str() == name);
                port.vlans = here.filter(|_| minding.contains(master)).map(|(_, mode)| mode.clone());
            }
        }
    }
}

pub(super) fn new_bridge() -> ObservedLinkKind {
    let group_fwd_mask = GroupFwdMask::default();
    ObservedLinkKind::Bridge { stp: None, vlan_filtering: false, mcast_snooping: Some(true), group_fwd_mask }
}
