//! A lease, as a server gave it.

use super::clock;
use crate::host::netlink::lease::FOREVER;
use ipnetwork::Ipv4Network;
use mozim::DhcpV4Lease;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::time::Duration;

/// The smallest MTU that a server may give (RFC 2132 section 5.1).
const LEAST_MTU: u16 = 68;

/// What a server lends, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lease {
    /// The address, with its network's prefix length.
    pub(crate) address: Ipv4Network,
    /// Where broadcasts go, where the server says so.
    pub(crate) broadcast: Option<Ipv4Addr>,
    /// The routers, the best first. They count only where there are no `routes` (RFC 3442).
    pub(crate) routers: Vec<Ipv4Addr>,
    /// The routes of options 121 or 249.
    pub(crate) routes: Option<Vec<LeaseRoute>>,
    /// The name servers.
    pub(crate) dns_servers: Vec<Ipv4Addr>,
    /// Where names without dots are looked for: the search list, or else the domain's name.
    pub(crate) search_domains: Vec<String>,
    /// The time servers.
    pub(crate) ntp_servers: Vec<Ipv4Addr>,
    /// The link's MTU.
    pub(crate) mtu_bytes: Option<u16>,
    /// The server that gave it.
    pub(crate) server: Ipv4Addr,
    /// How long it lasts.
    pub(crate) lasts_s: u32,
    /// When to ask for it to be prolonged (T1), and from when on any server (T2).
    pub(crate) renew_after_s: u32,
    /// T2.
    pub(crate) rebind_after_s: u32,
    /// When it was given, by CLOCK_BOOTTIME.
    pub(crate) begins_at_ms: u64,
}

/// A route that a lease brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeaseRoute {
    /// Where to.
    pub(crate) to: Ipv4Network,
    /// The router; `None` where the destination is on the link.
    pub(crate) via: Option<Ipv4Addr>,
}

impl Lease {
    /// From what a server has just acknowledged; `None` where that is no address of a host.
    pub(super) fn new(given: &DhcpV4Lease) -> Option<Self> {
        let ip = given.yiaddr;
        if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() || ip.is_broadcast() {
            return None;
        }
        let address = Ipv4Network::new(ip, prefix_length(ip, given.subnet_mask)).ok()?;
        let routes = given.classless_routes.as_ref();
        let routes = routes.map(|routes| routes.iter().filter_map(route).collect());
        let domain = given.domain_name.iter().map(|name| name.trim_end_matches('\0').to_owned());
        let search = given.domain_search.clone().filter(|names| !names.is_empty());
        Some(Self {
            address,
            broadcast: given.broadcast_addr,
            routers: given.gateways.clone().unwrap_or_default(),
            routes,
            dns_servers: given.dns_srvs.clone().unwrap_or_default(),
            search_domains: search.unwrap_or_else(|| domain.collect()),
            ntp_servers: given.ntp_srvs.clone().unwrap_or_default(),
            mtu_bytes: given.mtu.filter(|mtu| *mtu >= LEAST_MTU),
            server: given.srv_id,
            lasts_s: given.lease_time_sec,
            renew_after_s: given.t1_sec,
            rebind_after_s: given.t2_sec,
            begins_at_ms: clock::now_ms(),
        })
    }

    /// The routes beyond the address's own network: those of option 121, which make the routers count no more, or the
    /// default route.
    pub(crate) fn effective_routes(&self) -> Vec<LeaseRoute> {
        match &self.routes {
            Some(routes) => routes.clone(),
            None => self.routers.first().and_then(|via| by_default(*via)).into_iter().collect(),
        }
    }

    /// When T2 is, by CLOCK_BOOTTIME.
    pub(crate) fn rebinds_at_ms(&self) -> u64 {
        self.begins_at_ms.saturating_add(u64::from(self.rebind_after_s) * 1000)
    }

    /// When it ends, by CLOCK_BOOTTIME.
    pub(crate) fn ends_at_ms(&self) -> u64 {
        if self.lasts_s == FOREVER {
            u64::MAX
        } else {
            self.begins_at_ms.saturating_add(u64::from(self.lasts_s) * 1000)
        }
    }

    /// How much longer it lasts.
    pub(crate) fn left(&self) -> Duration {
        clock::left_until(self.ends_at_ms())
    }

    /// How much longer it lasts, as the kernel takes it: in whole seconds, and one at the least.
    pub(super) fn lifetime_s(&self) -> u32 {
        if self.lasts_s == FOREVER {
            return FOREVER;
        }
        let rounded = (self.left() + Duration::from_millis(500)).as_secs();
        u32::try_from(rounded).unwrap_or(FOREVER).max(1)
    }
}

fn by_default(via: Ipv4Addr) -> Option<LeaseRoute> {
    let to = Ipv4Network::new(Ipv4Addr::UNSPECIFIED, 0).ok()?;
    Some(LeaseRoute { to, via: Some(via) })
}

/// A network mask's length; that of the address's class where the server gives none, as all clients do (RFC 950's default).
fn prefix_length(ip: Ipv4Addr, mask: Ipv4Addr) -> u8 {
    let ones = u32::from(mask).leading_ones();
    match ip.octets()[0] {
        _ if ones > 0 => u8::try_from(ones).unwrap_or(32),
        0..128 => 8,
        128..192 => 16,
        _ => 24,
    }
}

fn route(given: &mozim::DhcpV4ClasslessRoute) -> Option<LeaseRoute> {
    let to = Ipv4Network::new(given.destination, given.prefix_length).ok()?;
    // Bits beyond the prefix don't count (RFC 3442), and the kernel refuses them.
    let to = Ipv4Network::new(to.network(), to.prefix()).ok()?;
    Some(LeaseRoute { to, via: Some(given.router).filter(|router| !router.is_unspecified()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mozim::DhcpV4ClasslessRoute;

    fn given() -> DhcpV4Lease {
        let mut given = DhcpV4Lease::default();
        given.yiaddr = Ipv4Addr::new(10, 1, 2, 3);
        given.subnet_mask = Ipv4Addr::new(255, 255, 255, 0);
        given.gateways = Some(vec![Ipv4Addr::new(10, 1, 2, 1), Ipv4Addr::new(10, 1, 2, 2)]);
        (given.t1_sec, given.t2_sec, given.lease_time_sec) = (10, 17, 20);
        given
    }

    #[test]
    fn the_first_router_has_the_default_route() {
        let lease = Lease::new(&given()).unwrap();
        assert_eq!(lease.address.to_string(), "10.1.2.3/24");
        let to = "0.0.0.0/0".parse().unwrap();
        assert_eq!(lease.effective_routes(), [LeaseRoute { to, via: Some(Ipv4Addr::new(10, 1, 2, 1)) }]);
        assert!((19..=20).contains(&lease.lifetime_s()));
        assert_eq!(lease.ends_at_ms() - lease.rebinds_at_ms(), 3000);
    }

    #[test]
    fn classless_routes_make_the_router_count_no_more() {
        let mut given = given();
        let (near, far) = (Ipv4Addr::new(192, 0, 2, 9), Ipv4Addr::new(198, 51, 100, 0));
        let route = |destination, prefix_length, router| DhcpV4ClasslessRoute { destination, prefix_length, router };
        let via = Ipv4Addr::new(10, 1, 2, 7);
        given.classless_routes = Some(vec![route(near, 24, Ipv4Addr::UNSPECIFIED), route(far, 24, via)]);
        let routes = Lease::new(&given).unwrap().effective_routes();
        let on_link = LeaseRoute { to: "192.0.2.0/24".parse().unwrap(), via: None };
        assert_eq!(routes, [on_link, LeaseRoute { to: "198.51.100.0/24".parse().unwrap(), via: Some(via) }]);
        given.classless_routes = Some(Vec::new());
        assert!(Lease::new(&given).unwrap().effective_routes().is_empty());
    }

    #[test]
    fn a_mask_that_is_not_given_is_the_classs() {
        let mut given = given();
        given.subnet_mask = Ipv4Addr::UNSPECIFIED;
        assert_eq!(Lease::new(&given).unwrap().address.prefix(), 8);
        given.yiaddr = Ipv4Addr::new(192, 168, 7, 7);
        assert_eq!(Lease::new(&given).unwrap().address.prefix(), 24);
        given.yiaddr = Ipv4Addr::UNSPECIFIED;
        assert_eq!(Lease::new(&given), None);
    }

    #[test]
    fn a_lease_forever_has_no_end() {
        let mut given = given();
        given.lease_time_sec = u32::MAX;
        let lease = Lease::new(&given).unwrap();
        assert_eq!((lease.ends_at_ms(), lease.lifetime_s()), (u64::MAX, FOREVER));
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let lease = Lease::new(&given()).unwrap();
        let text = serde_json::to_string(&lease).unwrap();
        assert_eq!(serde_json::from_str::<Lease>(&text).unwrap(), lease);
    }
}
