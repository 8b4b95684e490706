//! [`Host`]'s interfaces that configure themselves (RFC 4862): letting them, waiting until they have, taking it back.

use super::advertiser::solicit;
use super::error::NetlinkContext;
use super::facade::Host;
use super::netlink::{self, Connection};
use super::netns_watch::NetnsWatch;
use super::{HostError, sysctl};
use crate::model::{Address, Autoconfigured, Interface, Sysctl, SysctlKey};
use crate::observed::ObservedNetns;
use ipnetwork::IpNetwork;
use std::time::Duration;
use tokio::time::Instant;

/// How long it may take. A spanning tree with the standard's own times keeps a port from forwarding for 30 s.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long an answer to a solicitation is waited for at first, and at most; the time doubles. The standard lets a host ask
/// every four seconds (RFC 4861 section 6.3.7), for the sake of networks that many hosts join at once.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

impl Host {
    /// Lets an interface listen to routers, asks these to speak, and waits until it has the addresses and default routes that
    /// it is to have.
    ///
    /// # Errors
    /// [`HostError::NotAutoconfigured`] where it has not after a minute; when there is no such interface.
    ///
    /// # Cancel safety
    /// The interface goes on to configure itself.
    pub async fn autoconfigure(&self, of: &Autoconfigured) -> Result<(), HostError> {
        let Interface { netns, name: _ } = &of.interface;
        let missing = || netns.pinned().cloned().map_or(HostError::NoHelper, HostError::NoNetns);
        let watch = self.watch_netns(netns).await?.ok_or_else(missing)?;
        let wanted = of.clone();
        self.connected(netns, move |connection| prepare(connection, &wanted)).await?;
        let deadline = Instant::now() + PATIENCE;
        let (mut next, mut wait) = (Instant::now(), FIRST_WAIT);
        loop {
            let there = look(&watch, self).await?;
            if there.as_ref().is_some_and(|inside| is_configured(of, inside)) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(not_configured(of, there.as_ref()));
            }
            if Instant::now() >= next {
                self.ask(of, there.as_ref()).await?;
                next = Instant::now() + wait;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            tokio::select! {
                changed = watch.changed() => changed?,
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    /// Asks the routers of an interface's link to speak.
    async fn ask(&self, of: &Autoconfigured, there: Option<&ObservedNetns>) -> Result<(), HostError> {
        let Interface { netns, name } = &of.interface;
        let Some(link) = there.and_then(|inside| inside.links.get(name.as_str())) else { return Ok(()) };
        let (index, mac) = (link.index, link.mac);
        // One that can't be sent, because the interface is down or has no address yet, is sent again later.
        self.inside(netns, move || Ok(solicit(index, mac))).await?.or(Ok(()))
    }

    /// Takes from an interface what it has configured itself with, and lets it listen to routers no more. That any of it,
    /// the interface or the namespace isn't there is fine.
    ///
    /// # Errors
    /// What the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn deconfigure(&self, of: &Autoconfigured) -> Result<(), HostError> {
        let wanted = of.clone();
        match self.connected(&of.interface.netns, move |connection| take_back(connection, &wanted)).await {
            Err(HostError::NoNetns(_)) => Ok(()),
            result => result,
        }
    }
}

/// Lets the interface listen; an address that somebody else gave it, and that it is to make itself, goes.
fn prepare(connection: &mut Connection, of: &Autoconfigured) -> Result<(), HostError> {
    set_accept_ra(of, of.accept_ra())?;
    let inside = netlink::observe(connection, &super::Look::default()).when("look into", &of.interface.netns)?;
    let link = inside.links.get(of.interface.name.as_str());
    for &address in of.addresses.iter().filter(|address| link.is_some_and(|link| link.addresses.contains(address))) {
        let address = Address { interface: of.interface.clone(), address };
        netlink::remove_address(connection, &address).when("take an address from", &of.interface)?;
    }
    Ok(())
}

fn take_back(connection: &mut Connection, of: &Autoconfigured) -> Result<(), HostError> {
    // First: what is taken does then not come back with the next advertisement.
    match set_accept_ra(of, "0") {
        Err(error) if error.is_absent() => return Ok(()),
        result => result?,
    }
    for &address in &of.addresses {
        let address = Address { interface: of.interface.clone(), address };
        netlink::remove_address(connection, &address).when("take an address from", &of.interface)?;
    }
    let inside = netlink::observe(connection, &super::Look::default()).when("look into", &of.interface.netns)?;
    let Some(link) = inside.links.get(of.interface.name.as_str()) else { return Ok(()) };
    // An address that stays needs the route to its network.
    let is_used = |prefix: &IpNetwork| {
        let mut left = link.addresses.iter().chain(&link.autoconfigured);
        left.any(|address| prefix.contains(address.ip()))
    };
    let prefixes = of.addresses.iter().filter(|address| !is_used(address)).filter_map(|address| match address {
        IpNetwork::V6(address) => Some(*address),
        IpNetwork::V4(_) => None,
    });
    let prefixes: Vec<_> = prefixes.collect();
    netlink::remove_advertised_routes(connection, link.index, &of.routers, &prefixes)
        .when("take routes from", &of.interface)
}

fn set_accept_ra(of: &Autoconfigured, value: &str) -> Result<(), HostError> {
    let Interface { netns, name } = &of.interface;
    let Some(key) = SysctlKey::of_ipv6(name, "accept_ra") else { return Ok(()) };
    sysctl::set(&Sysctl { netns: netns.clone(), key, value: value.to_owned() })
}

/// What is in the namespace; `None` where things change too fast to be looked at.
async fn look(watch: &NetnsWatch, host: &Host) -> Result<Option<ObservedNetns>, HostError> {
    match watch.observe(host, false).await {
        Err(error) if error.is_retryable() => Ok(None),
        result => result.map(Some),
    }
}

fn is_configured(of: &Autoconfigured, inside: &ObservedNetns) -> bool {
    let name = of.interface.name.to_string();
    let has = |address| inside.links.get(&name).is_some_and(|link| link.autoconfigured.contains(address));
    of.addresses.iter().all(has) && of.routers.iter().all(|router| inside.routers.contains(&(name.clone(), *router)))
}

fn not_configured(of: &Autoconfigured, inside: Option<&ObservedNetns>) -> HostError {
    let name = of.interface.name.as_str();
    let link = inside.and_then(|inside| inside.links.get(name));
    let addresses = link.into_iter().flat_map(|link| link.addresses.iter().chain(&link.autoconfigured));
    let routers = inside.into_iter().flat_map(|inside| &inside.routers).filter(|(dev, _)| dev == name);
    let all = addresses.map(ToString::to_string).chain(routers.map(|(_, router)| format!("default via {router}")));
    let has: Vec<String> = all.collect();
    let wanted = of.addresses.iter().map(ToString::to_string);
    let wanted: Vec<String> = wanted.chain(of.routers.iter().map(|router| format!("default via {router}"))).collect();
    HostError::NotAutoconfigured {
        interface: of.interface.clone(),
        wanted: wanted.join(", "),
        has: if has.is_empty() { "nothing".to_owned() } else { has.join(", ") },
        seconds: PATIENCE.as_secs(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{NetnsName, PinName};

    #[test]
    fn what_has_not_come_is_told() {
        let interface =
            Interface { netns: NetnsName::from(PinName::existing("lab-h1")), name: "eth0".try_into().unwrap() };
        let routers = vec!["fe80::1".parse().unwrap()];
        let of = Autoconfigured {
            interface,
            addresses: vec!["2001:db8::5/64".parse().unwrap()],
            routers: routers.clone(),
            forwards: false,
        };
        let mut inside = ObservedNetns::default();
        assert!(!is_configured(&of, &inside));
        inside.routers.insert(("eth0".to_owned(), routers[0]));
        assert_eq!(
            not_configured(&of, Some(&inside)).to_string(),
            "lab-h1:eth0 was to configure itself from router advertisements within 60 s, and has default via fe80::1 in \
             place of 2001:db8::5/64, default via fe80::1: see whether they come (`ip netns exec lab-h1 tcpdump -i eth0 \
             icmp6`), and whether a VLAN, a filter, or a sysctl of the topology's own keeps them from it"
        );
    }
}
