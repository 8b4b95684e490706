//! What becomes of a NIC in the model of the machine: it is an interface of the host's like others, and so is what the
//! machine's addresses move to. What is told of the two is looked up there after each op.

use super::Machine;
use crate::desired::Resources;
use crate::model::{HostBridge, IfName, Interface, NetnsName, Uplink, UplinkAddress};
use crate::observed::{ObservedLink, ObservedLinkKind, ObservedPlace, ObservedUplink, OvsView, Pin};
use crate::plan::Op;
use ipnetwork::IpNetwork;
use std::collections::BTreeSet;

/// An uplink that a machine is asked about, and the machine's routes by way of it.
#[derive(Debug, Clone)]
pub(super) struct Nic {
    of: Uplink,
    /// Each with the interface that it is out of. Like an address, it goes with its interface.
    routes: BTreeSet<(String, String)>,
}

/// Where what the machine has on its NIC is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// Where it was before.
    Home,
    /// On what the NIC is a port of, by way of the NIC.
    Away,
}

impl Machine {
    /// The NIC that the last of these resources with one is to have for an uplink, with what is on it.
    pub(super) fn add_nic(&mut self, resources: &[&Resources]) {
        let Some(of) = resources.iter().rev().find_map(|resources| resources.uplink.clone()) else { return };
        let nic = on_host(&of.nic.name);
        self.add_link(&nic, ObservedLinkKind::Other(String::new())).unwrap();
        let link = self.link(&nic).unwrap();
        (link.mac, link.mtu_bytes, link.up) = (Some(of.nic.mac), of.nic.mtu.bytes(), true);
        link.addresses = known(&of);
        let routes = of.nic.routes.iter().map(|route| (of.nic.name.to_string(), route.text.clone())).collect();
        self.nic = Some(Nic { of, routes });
        self.observed.uplink = Some(ObservedUplink::default());
        self.look_at_uplink();
    }

    /// One op that is about an uplink.
    pub(super) fn change_uplink(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::SetHostBridge(of) => self.set_host_bridge(of)?,
            Op::RemoveHostBridge(of) => self.delete_link(&NetnsName::Host, of.name.as_str()),
            Op::StartKeeper(_) => self.watch(1)?,
            Op::StopKeeper(_) => self.watch(0)?,
            Op::ReleaseNic(_) => self.told()?.is_released = true,
            Op::TakeBackNic(_) => self.told()?.is_released = false,
            Op::AttachUplink(of) => self.attach(of)?,
            Op::DetachUplink(of) => self.detach(of)?,
            _ => {}
        }
        Ok(())
    }

    /// Where the machine's addresses and routes are.
    ///
    /// # Errors
    /// Where they are in more than one place, or in none, or where there is no way from there to the network.
    pub(crate) fn whereabouts(&self) -> Result<Whereabouts, String> {
        let Some(Nic { of, routes }) = &self.nic else { return Ok(Whereabouts::Home) };
        let (nic, onto) = (of.nic.name.as_str(), of.onto.as_str());
        let on = |name: &str| -> BTreeSet<IpNetwork> {
            let there = self.host_link(name).map(|link| link.addresses.clone()).unwrap_or_default();
            there.intersection(&known(of)).copied().collect()
        };
        let routes_by = |name: &str| routes.iter().filter(|(dev, _)| dev == name).count();
        let (at_home, away) = (on(nic), on(onto));
        let is_port = match of.ovs() {
            None => self.host_link(nic).is_some_and(|link| link.master.as_deref() == Some(onto)),
            Some(ovs) => match &self.observed.ovs {
                OvsView::Seen(seen) => ovs.rows.rows.iter().all(|row| seen.rows.contains_key(&row.id)),
                _ => false,
            },
        };
        let all = (known(of), of.nic.routes.len());
        if all.0.is_empty() {
            return Ok(if is_port { Whereabouts::Away } else { Whereabouts::Home });
        }
        if (&at_home, routes_by(nic)) == (&all.0, all.1)
            && (away.is_empty() || all.0.is_empty())
            && routes_by(onto) == 0
        {
            // A NIC that is a port of a bridge hears nothing for itself; one of Open vSwitch's, only where that copies frames.
            let is_deaf = is_port && of.master().is_some();
            return if is_deaf {
                Err(format!("{nic} is a port and has the machine's addresses"))
            } else {
                Ok(Whereabouts::Home)
            };
        }
        if (&away, routes_by(onto)) == (&all.0, all.1) && at_home.is_empty() && routes_by(nic) == 0 {
            let is_up = self.host_link(onto).is_some_and(|link| link.up);
            return if is_port && is_up { Ok(Whereabouts::Away) } else { Err(format!("{onto} leads nowhere")) };
        }
        Err(format!(
            "of {all:?}, {nic} has {at_home:?} and {}, {onto} {away:?} and {}",
            routes_by(nic),
            routes_by(onto)
        ))
    }

    /// Sees to what is told of the NIC and of what it is a port of.
    pub(super) fn look_at_uplink(&mut self) {
        let Some(Nic { of, routes }) = &mut self.nic else { return };
        let Some(Pin::Namespace(host)) = self.observed.namespaces.get(&NetnsName::Host) else { return };
        routes.retain(|(dev, _)| host.links.contains_key(dev));
        let place = |name: &IfName| {
            host.links.get(name.as_str()).map(|link| ObservedPlace {
                up: link.up,
                master: link.master.clone(),
                alias: link.alias.clone(),
                mac: link.mac,
                addresses: link.addresses.clone(),
            })
        };
        if let Some(told) = &mut self.observed.uplink {
            (told.nic, told.onto) = (place(&of.nic.name), place(&of.onto));
        }
    }

    /// Somebody takes an address of the machine's from where it is.
    pub(crate) fn lose_address(&mut self, which: usize) {
        let Some(Nic { of, .. }) = &self.nic else { return };
        let onto = on_host(&of.onto);
        if let (Some(address), Ok(link)) = (of.nic.addresses.get(which).map(|known| known.address), self.link(&onto)) {
            link.addresses.remove(&address);
        }
        self.look_at_uplink();
    }

    /// The routes by way of the NIC, each with the interface that it is out of.
    pub(super) fn routes_of_nic(&self) -> BTreeSet<(String, String)> {
        self.nic.as_ref().map(|nic| nic.routes.clone()).unwrap_or_default()
    }

    fn watch(&mut self, keepers: usize) -> Result<(), String> {
        let told = self.told()?;
        (told.is_watched, told.keepers) = (keepers > 0, keepers);
        Ok(())
    }

    fn told(&mut self) -> Result<&mut ObservedUplink, String> {
        self.observed.uplink.as_mut().ok_or_else(|| "nobody looked at the NIC".to_owned())
    }

    fn host_link(&self, name: &str) -> Option<&ObservedLink> {
        match self.observed.namespaces.get(&NetnsName::Host) {
            Some(Pin::Namespace(host)) => host.links.get(name),
            _ => None,
        }
    }

    fn set_host_bridge(&mut self, HostBridge { name, mac, mtu, mark }: &HostBridge) -> Result<(), String> {
        let bridge = on_host(name);
        if self.link(&bridge).is_err() {
            self.add_link(&bridge, super::links::new_bridge())?;
        }
        let link = self.link(&bridge)?;
        (link.mac, link.mtu_bytes, link.up, link.alias) = (Some(*mac), mtu.bytes(), true, Some(mark.clone()));
        Ok(())
    }

    fn attach(&mut self, of: &Uplink) -> Result<(), String> {
        let [nic, onto] = [on_host(&of.nic.name), on_host(&of.onto)];
        let moves = of.address != UplinkAddress::None;
        if moves && !self.link(&onto)?.up {
            return Err(format!("{onto} is down"));
        }
        self.link(&onto)?;
        if of.master().is_some() {
            let link = self.link(&nic)?;
            link.master = Some(of.onto.to_string());
        }
        for address in known(of) {
            self.link(&nic)?.addresses.remove(&address);
            if moves {
                self.link(&onto)?.addresses.insert(address);
            }
        }
        self.move_routes(of, &of.nic.name, moves.then_some(&of.onto));
        self.told()?.is_deaf = of.ovs().is_some_and(|ovs| ovs.copies);
        Ok(())
    }

    fn detach(&mut self, of: &Uplink) -> Result<(), String> {
        let [nic, onto] = [on_host(&of.nic.name), on_host(&of.onto)];
        let link = self.link(&nic)?;
        if link.master.as_deref() == Some(of.onto.as_str()) {
            link.master = None;
        }
        for address in known(of) {
            self.link(&nic)?.addresses.insert(address);
            if let Ok(onto) = self.link(&onto) {
                onto.addresses.remove(&address);
            }
        }
        self.move_routes(of, &of.onto, Some(&of.nic.name));
        self.told()?.is_deaf = false;
        Ok(())
    }

    fn move_routes(&mut self, of: &Uplink, from: &IfName, to: Option<&IfName>) {
        let Some(Nic { routes, .. }) = &mut self.nic else { return };
        for route in &of.nic.routes {
            routes.remove(&(from.to_string(), route.text.clone()));
            routes.extend(to.map(|to| (to.to_string(), route.text.clone())));
        }
    }
}

fn on_host(name: &IfName) -> Interface {
    Interface { netns: NetnsName::Host, name: name.clone() }
}

fn known(of: &Uplink) -> BTreeSet<IpNetwork> {
    of.nic.addresses.iter().map(|address| address.address).collect()
}
