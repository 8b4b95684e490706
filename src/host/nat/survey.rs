//! The machine's own network, as far as masquerading depends on it.

use super::{list, resolver};
use crate::fault;
use crate::host::error::NetlinkContext;
use crate::host::netlink::{self, Connection};
use crate::host::{Host, HostError};
use crate::model::IfName;
use crate::model::SysctlKey;
use crate::model::nat::IpFamily;
use crate::observed::nat::{HostFilter, HostInterface, HostNetwork};
use std::collections::BTreeMap;
use std::path::Path;

const HOST: &str = "the host's namespace";

impl Host {
    /// Looks at it; at the packet filter only where the caller may (CAP_NET_ADMIN).
    ///
    /// # Errors
    /// When the kernel or nft(8) does not answer. That there is no nft is no error: then nothing is known of the filter.
    pub async fn survey_network(&self, may_see_filter: bool) -> Result<HostNetwork, HostError> {
        self.job(move || {
            let mut connection = Connection::open().when("look into", HOST)?;
            let (addresses, routes) = netlink::survey(&mut connection).when("look into", HOST)?;
            let interface = |(name, addresses): (String, _)| {
                let accept_ra = IfName::try_from(name.as_str()).ok().and_then(|name| accept_ra(&name));
                (name, HostInterface { addresses, accept_ra })
            };
            let filter = if may_see_filter && super::has_nft() { filter()? } else { HostFilter::default() };
            Ok(HostNetwork {
                interfaces: addresses.into_iter().map(interface).collect(),
                routes,
                has_force_forwarding: has_force_forwarding(),
                resolver: resolver::resolver(),
                filter,
                claimed_sysctls: BTreeMap::new(),
            })
        })
        .await
    }
}

fn has_force_forwarding() -> bool {
    Path::new("/proc/sys/net/ipv6/conf/all/force_forwarding").exists() && !fault::lacks("force_forwarding")
}

fn accept_ra(name: &IfName) -> Option<String> {
    let path = Path::new("/proc/sys").join(SysctlKey::of_ipv6(name, "accept_ra")?.relative_path());
    std::fs::read_to_string(path).ok().map(|value| value.trim_end().to_owned())
}

fn filter() -> Result<HostFilter, HostError> {
    let chains = list::chains()?;
    let drops = |chain: &&list::Chain| {
        let (hook, policy) = (chain.hook.as_deref(), chain.policy.as_deref());
        hook == Some("forward") && policy == Some("drop") && ["ip", "ip6", "inet"].contains(&chain.family.as_str())
    };
    let named = |chain: &list::Chain| format!("{} {} {}", chain.family, chain.table, chain.name);
    Ok(HostFilter {
        docker_user: chains.iter().filter_map(list::Chain::docker_user).collect(),
        dropping: chains.iter().filter(drops).map(named).collect(),
        legacy: IpFamily::ALL.into_iter().filter(|family| has_legacy_filter(*family)).collect(),
    })
}

/// Legacy iptables lists here the tables that were ever looked at; those of nftables are not among them.
fn has_legacy_filter(family: IpFamily) -> bool {
    let path = match family {
        IpFamily::Ip => "/proc/net/ip_tables_names",
        IpFamily::Ip6 => "/proc/net/ip6_tables_names",
    };
    std::fs::read_to_string(path).is_ok_and(|names| names.lines().any(|name| name == "filter"))
}
