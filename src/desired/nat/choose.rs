//! What depends on the machine, decided; and why a lab can't reach the world by NAT.

use super::gateways::{self, GatewayError};
use super::{gateway_interface, nat_uplink, resolver};
use crate::desired::Resources;
use crate::model::nat::IpFamily;
use crate::model::{IfName, LabName, NetnsName, SysctlKey};
use crate::observed::nat::{HostFilter, HostInterface, HostNetwork};
use crate::spec::Spec;
use ipnetwork::IpNetwork;
use std::collections::{BTreeMap, BTreeSet};

/// How a lab reaches the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nat {
    /// The only NIC that packets may leave by, where one is named.
    pub nic: Option<IfName>,
    /// The host's addresses at the switch, with the prefix lengths of its subnets.
    pub gateways: Vec<IpNetwork>,
    /// The NICs by which packets leave and come back; a family without any is not served.
    pub nics: BTreeMap<IpFamily, BTreeSet<IfName>>,
    /// Where IPv6 can only be forwarded by all of the machine's interfaces: those that are told by routers, and are to be told
    /// on. `None` where it can be forwarded by single ones.
    pub listening: Option<BTreeSet<IfName>>,
    /// The families for which Docker has a chain for the user's rules.
    pub passes: BTreeSet<IpFamily>,
    /// What nodes are to read as their resolv.conf.
    pub resolv_conf: Option<String>,
    /// What is good to know.
    pub notes: Vec<String>,
}

/// Why a lab can't reach the world by NAT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NatError {
    /// There is no address for the host.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The NIC isn't there.
    #[error("this machine has no NIC {nic}{}", has(.there))]
    NoNic {
        /// The NIC.
        nic: IfName,
        /// Those that there are.
        there: Vec<String>,
    },
    /// The NIC has neither an address nor a default route of a family of the lab's.
    #[error(
        "{nic} has no {families} address that the packets of {lab} could leave under: connect it first, or name another NIC"
    )]
    NoAddress {
        /// The NIC.
        nic: IfName,
        /// The lab.
        lab: LabName,
        /// The lab's families, in words.
        families: String,
    },
    /// The machine reaches nothing.
    #[error(
        "this machine has no {families} default route, so that the packets of {lab} would have nowhere to go: connect it \
         first, or say which NIC they are to leave by (`nslab uplink nat NIC`, or `uplink: {{nat: true, nic: NIC}}`)"
    )]
    NoRoute {
        /// The lab.
        lab: LabName,
        /// The lab's families, in words.
        families: String,
    },
    /// The machine would lose a network of its own.
    #[error(
        "the lab's subnet {subnet} and {network}, which this machine reaches by {dev}, overlap, and the machine could not \
         tell any more which leads where: give the switch another subnet"
    )]
    Overlap {
        /// The lab's.
        subnet: IpNetwork,
        /// The machine's.
        network: IpNetwork,
        /// By which interface it reaches that.
        dev: String,
    },
}

fn has(there: &[String]) -> String {
    if there.is_empty() { String::new() } else { format!(": it has {}", there.join(", ")) }
}

impl NatError {
    /// Whether the reason is something that the machine does not have, whatever was asked for.
    pub fn is_lacking(&self) -> bool {
        match self {
            Self::NoAddress { .. } | Self::NoRoute { .. } => true,
            Self::Gateway(_) | Self::NoNic { .. } | Self::Overlap { .. } => false,
        }
    }
}

/// What becomes of a machine that is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// There can't be any NAT.
    Fails,
    /// The lab is up, and has it as far as the machine goes.
    IsBorne,
}

/// Decides; `None` where the lab's uplink is not by NAT. `made` is what the lab has.
///
/// # Errors
/// When the machine, or the topology, does not allow it.
pub fn choose(spec: &Spec, host: &HostNetwork, made: &Resources, missing: Missing) -> Result<Option<Nat>, NatError> {
    let Some(uplink) = nat_uplink(spec) else { return Ok(None) };
    let gateways = gateways::gateways(spec, &uplink.switch)?;
    let mut others = host.clone();
    let own = gateway_interface(spec).name;
    others.interfaces.remove(own.as_str());
    others.routes.retain(|(_, dev)| dev != own.as_str());
    let families: BTreeSet<IpFamily> = gateways.iter().map(|gateway| IpFamily::of(*gateway)).collect();
    let nics: BTreeMap<IpFamily, BTreeSet<IfName>> = families
        .iter()
        .map(|family| (*family, nics(&others, uplink.nic.as_ref(), *family)))
        .filter(|(_, nics)| !nics.is_empty())
        .collect();
    if missing == Missing::Fails {
        check(spec, &others, uplink.nic.as_ref(), &gateways, &nics)?;
    }
    let mut notes = Vec::new();
    for family in families.iter().filter(|family| !nics.contains_key(family) && !nics.is_empty()) {
        let family = family.in_words();
        notes.push(format!("this machine has no {family} way to the world: the lab's nodes reach it without {family}"));
    }
    let (resolv_conf, note) = resolver::resolv_conf(&others.resolver, &nics.keys().copied().collect());
    notes.extend(note);
    notes.extend(firewall_notes(&others.filter, &families, &own));
    Ok(Some(Nat {
        nic: uplink.nic.clone(),
        passes: others.filter.docker_user.intersection(&families).copied().collect(),
        listening: (!others.has_force_forwarding).then(|| listening(&others, made)),
        gateways,
        nics,
        resolv_conf,
        notes,
    }))
}

/// How long the prefix of a route is at most that stands for everything: VPNs halve it, and IPv6's is 2000::/3.
fn is_default(network: IpNetwork) -> bool {
    network.prefix() <= if network.is_ipv4() { 1 } else { 3 }
}

/// The NICs by which a family's packets leave and come back.
fn nics(host: &HostNetwork, named: Option<&IfName>, family: IpFamily) -> BTreeSet<IfName> {
    let of_family = |network: &IpNetwork| IpFamily::of(*network) == family;
    let by_default = host.routes.iter().filter(|(to, _)| of_family(to) && is_default(*to)).map(|(_, dev)| dev.as_str());
    let by_default: BTreeSet<&str> = by_default.collect();
    match named {
        Some(nic) => {
            let has_address = |on: &HostInterface| on.addresses.iter().any(of_family);
            let reaches =
                by_default.contains(nic.as_str()) || host.interfaces.get(nic.as_str()).is_some_and(has_address);
            reaches.then(|| nic.clone()).into_iter().collect()
        }
        None => by_default.into_iter().filter_map(|name| IfName::try_from(name).ok()).collect(),
    }
}

fn check(
    spec: &Spec,
    host: &HostNetwork,
    nic: Option<&IfName>,
    gateways: &[IpNetwork],
    nics: &BTreeMap<IpFamily, BTreeSet<IfName>>,
) -> Result<(), NatError> {
    if let Some(nic) = nic.filter(|nic| !host.interfaces.contains_key(nic.as_str())) {
        return Err(NatError::NoNic { nic: nic.clone(), there: host.interfaces.keys().cloned().collect() });
    }
    for gateway in gateways {
        let overlaps = |network: &IpNetwork| {
            network.is_ipv4() == gateway.is_ipv4()
                && !is_default(*network)
                && (network.contains(gateway.ip()) || gateway.contains(network.network()))
        };
        if let Some((network, dev)) = host.routes.iter().find(|(network, _)| overlaps(network)) {
            let subnet = crate::desired::nodes::network_of(*gateway);
            return Err(NatError::Overlap { subnet, network: *network, dev: dev.clone() });
        }
    }
    if nics.is_empty() {
        let families: BTreeSet<&str> = gateways.iter().map(|gateway| IpFamily::of(*gateway).in_words()).collect();
        let families = families.into_iter().collect::<Vec<_>>().join(" or ");
        let lab = spec.name.clone();
        return Err(match nic {
            Some(nic) => NatError::NoAddress { nic: nic.clone(), lab, families },
            None => NatError::NoRoute { lab, families },
        });
    }
    Ok(())
}

/// The interfaces that routers tell what to do: those that say so, and those that this lab or another one has told to
/// listen on.
fn listening(host: &HostNetwork, made: &Resources) -> BTreeSet<IfName> {
    let is_told = |name: &IfName, on: &HostInterface| {
        let key = SysctlKey::of_ipv6(name, "accept_ra");
        let of_lab = made.sysctls.iter().any(|s| s.netns == NetnsName::Host && Some(&s.key) == key.as_ref());
        let of_others = key.as_ref().is_some_and(|key| host.claimed_sysctls.contains_key(key));
        on.accept_ra.as_deref() == Some("1") || on.accept_ra.is_some() && (of_lab || of_others)
    };
    let named = host.interfaces.iter().filter_map(|(name, on)| Some((IfName::try_from(name.as_str()).ok()?, on)));
    named.filter(|(name, on)| is_told(name, on)).map(|(name, _)| name).collect()
}

/// What the machine's own rules may do to the lab's packets, where nslab does nothing about it.
fn firewall_notes(filter: &HostFilter, families: &BTreeSet<IpFamily>, own: &IfName) -> Vec<String> {
    let HostFilter { docker_user, dropping, legacy } = filter;
    let answered = |chain: &String| {
        let of_docker = |family: &IpFamily| chain.starts_with(&format!("{} filter ", family.as_str()));
        docker_user.iter().any(of_docker)
    };
    let dropping: Vec<&str> = dropping.iter().filter(|chain| !answered(chain)).map(String::as_str).collect();
    let mut notes = Vec::new();
    if !dropping.is_empty() {
        notes.push(format!(
            "this machine's packet filter drops what no rule lets through ({}): let what comes in or goes out by {own} pass \
             there, or the lab's nodes reach nothing",
            dropping.join(", ")
        ));
    }
    if let Some(family) = legacy.intersection(families).next() {
        let program = if *family == IpFamily::Ip { "iptables-legacy" } else { "ip6tables-legacy" };
        notes.push(format!(
            "this machine has rules of legacy iptables, which nslab leaves alone: where they drop what is forwarded, run \
             `{program} -I FORWARD -i {own} -j ACCEPT` and `{program} -I FORWARD -o {own} -j ACCEPT`"
        ));
    }
    notes
}
