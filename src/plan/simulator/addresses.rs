//! What the interfaces of the machine in memory have of addresses and routes, and by whom: given, lent, advertised.

use super::Machine;
use crate::model::{
    Address, Advertised, Advertiser, Autoconfigured, DhcpClient, Interface, NetnsName, Route, SysctlKey,
};
use crate::observed::{ObservedLink, ObservedRoute, Pin};
use ipnetwork::IpNetwork;

impl Machine {
    pub(super) fn add_address(&mut self, given: &Address) -> Result<(), String> {
        let Address { interface, address } = given;
        if address.is_ipv6() && !self.link(interface)?.up {
            return Err("down".into());
        }
        let there = &mut self.link(interface)?.addresses;
        if there.iter().any(|a| a.is_ipv6() && a.ip() == address.ip() && a != address) {
            return Err("EEXIST".into());
        }
        if there.insert(*address) {
            self.given.retain(|before| before != given);
            self.given.push(given.clone());
        }
        Ok(())
    }

    pub(super) fn delete_address(&mut self, Address { interface, address }: &Address) -> Result<(), String> {
        let given = self.given.clone();
        let link = self.link(interface)?;
        let subnet = |a: &IpNetwork| (a.network(), a.prefix());
        let there = &link.addresses;
        let mut in_order = given.iter().filter(|a| a.interface == *interface && there.contains(&a.address));
        let first = in_order.find(|a| subnet(&a.address) == subnet(address));
        if address.is_ipv4() && first.is_some_and(|first| first.address == *address) {
            link.addresses.retain(|a| subnet(a) != subnet(address));
        }
        link.addresses.remove(address);
        if address.is_ipv4() && !link.addresses.iter().any(IpNetwork::is_ipv4) {
            let dev = interface.name.as_str();
            self.inside(&interface.netns)?.routes.retain(|route| route.dev != dev || route.to.is_ipv6());
        }
        Ok(())
    }

    pub(super) fn start_advertiser(&mut self, Advertiser { netns, interfaces }: &Advertiser) -> Result<(), String> {
        let netns = NetnsName::from(netns.name.clone());
        for on in interfaces {
            let interface = Interface { netns: netns.clone(), name: on.interface.clone() };
            self.link(&interface)?; // it may be down, and is spoken on when it is up
        }
        self.inside(&netns)?.advertisers = vec![interfaces.clone()];
        Ok(())
    }

    /// Wherever it is, somebody lends it an address.
    pub(super) fn start_dhcp_client(&mut self, of: &DhcpClient) -> Result<(), String> {
        if !self.link(&of.interface())?.up {
            return Err("nobody answers".into());
        }
        self.stop_dhcp_client(of)?;
        let clients = &mut self.inside(&of.netns.name.clone().into())?.dhcp_clients;
        clients.push(of.leased.clone());
        clients.sort();
        Ok(())
    }

    pub(super) fn stop_dhcp_client(&mut self, of: &DhcpClient) -> Result<(), String> {
        let inside = self.inside(&of.netns.name.clone().into())?;
        inside.dhcp_clients.retain(|leased| leased.interface != of.leased.interface);
        Ok(())
    }

    /// What is advertised, wherever it is.
    pub(super) fn spoken(&self) -> Vec<Advertised> {
        let pins = self.observed.namespaces.values();
        let inside = pins.filter_map(|pin| if let Pin::Namespace(inside) = pin { Some(inside) } else { None });
        inside.flat_map(|inside| inside.advertisers.clone()).flatten().collect()
    }

    /// Wherever it is, somebody has to say so.
    pub(super) fn autoconfigure(&mut self, of: &Autoconfigured) -> Result<(), String> {
        let spoken = self.spoken();
        let is_heard = |address: &IpNetwork| is_heard(&spoken, *address);
        let is_there = |router: &_| spoken.iter().any(|on| on.mac.link_local() == *router);
        if !of.addresses.iter().all(is_heard) || !of.routers.iter().all(is_there) || !self.link(&of.interface)?.up {
            return Err("nobody says so".into());
        }
        self.accept_ra(of, of.accept_ra());
        self.link(&of.interface)?.autoconfigured.extend(&of.addresses);
        let name = of.interface.name.to_string();
        self.inside(&of.interface.netns)?.routers.extend(of.routers.iter().map(|router| (name.clone(), *router)));
        Ok(())
    }

    pub(super) fn deconfigure(&mut self, of: &Autoconfigured) {
        self.accept_ra(of, "0");
        if let Ok(link) = self.link(&of.interface) {
            link.autoconfigured.retain(|address| !of.addresses.contains(address));
        }
        if let Ok(inside) = self.inside(&of.interface.netns) {
            let name = of.interface.name.as_str();
            inside.routers.retain(|(dev, router)| dev != name || !of.routers.contains(router));
        }
    }

    /// Who forwards knows the way, unless it is told to listen all the same.
    pub(super) fn purge_routers(&mut self, netns: &NetnsName) -> Result<(), String> {
        let inside = self.inside(netns)?;
        let listens = |dev: &str| {
            let name = dev.try_into().unwrap();
            inside.sysctls.get(&SysctlKey::of_ipv6(&name, "accept_ra").unwrap()).is_some_and(|value| value == "2")
        };
        let staying = inside.routers.iter().filter(|(dev, _)| listens(dev)).cloned().collect();
        inside.routers = staying;
        Ok(())
    }

    pub(super) fn accept_ra(&mut self, of: &Autoconfigured, value: &str) {
        let key = SysctlKey::of_ipv6(&of.interface.name, "accept_ra").unwrap();
        if let Some(there) = self.inside(&of.interface.netns).ok().and_then(|inside| inside.sysctls.get_mut(&key)) {
            value.clone_into(there);
        }
    }

    pub(super) fn add_route(&mut self, route: &Route) -> Result<(), String> {
        let interface = Interface { netns: route.netns.clone(), name: route.dev.clone() };
        let link = self.link(&interface)?;
        if !link.up || !reaches(link, route.via) {
            return Err("EHOSTUNREACH".into());
        }
        let new = observed(route);
        let routes = &mut self.inside(&route.netns)?.routes;
        if routes.iter().any(|r| r.to == new.to && r.metric == new.metric && *r != new) {
            return Err("EEXIST".into());
        }
        routes.insert(new);
        Ok(())
    }
}

pub(super) fn is_heard(spoken: &[Advertised], address: IpNetwork) -> bool {
    spoken.iter().any(|on| on.prefixes.iter().any(|prefix| IpNetwork::V6(*prefix).contains(address.ip())))
}

pub(super) fn reaches(link: &ObservedLink, via: std::net::IpAddr) -> bool {
    link.addresses.iter().chain(&link.autoconfigured).any(|address| address.contains(via))
}

pub(super) fn observed(Route { netns: _, to, via, dev, metric }: &Route) -> ObservedRoute {
    let none = if to.is_ipv6() { 1024 } else { 0 };
    ObservedRoute { to: *to, via: *via, dev: dev.to_string(), metric: metric.unwrap_or(none) }
}
