//! The whole of a topology, kind by kind.

use super::autoconfiguration::{self, Autoconfiguration};
use super::nat::{self, Nat, Resolver};
use super::uplink::FoundNic;
use super::{Backends, Resources, containers, dhcp, groups, hosts, links, netns, nodes, ovs, sysctls, uplink, volumes};
use crate::model::Identity;
use crate::spec::{Spec, Uplink};
use std::path::Path;

/// Everything that a lab is to consist of. `names_root` is the directory that its hosts files get directories in: `etc`
/// in the lab's state directory. `identity` marks what is made. `backends` and `nat` are what the machine decides; `nic` is its
/// NIC that is to be the uplink, as it was before it was one.
///
/// The same topology always gives the same resources, and what a topology gains does not change the rest.
pub fn resolve(
    spec: &Spec,
    names_root: &Path,
    identity: &Identity,
    backends: &Backends,
    nat: Option<&Nat>,
    nic: Option<&FoundNic>,
) -> Resources {
    let resolver = nat.and_then(|nat| Resolver::of(spec, nat));
    let (hosts_files, name_directories) = hosts::files(spec, names_root, resolver.as_ref());
    let Autoconfiguration { autoconfigured, remembered } = autoconfiguration::autoconfigured(spec);
    let routes = match nat {
        Some(nat) => nodes::routes(&nat::with_routes(spec, nat), &remembered),
        None => nodes::routes(spec, &remembered),
    };
    let mut links = links::links(spec, identity, backends);
    let mut addresses = nodes::addresses(spec);
    if let Some(nat) = nat {
        nat::add_link(spec, identity, backends, nat, &mut links);
        addresses.extend(nat::addresses(spec, nat));
    }
    let directory = names_root.parent().unwrap_or(names_root);
    let uplink = uplink::parts(spec, identity, backends, nic, directory);
    links.veths.extend(uplink.trunk);
    let at_nic = spec.uplink.as_ref().map(Uplink::switch).zip(nic.map(|found| &found.nic));
    let volumes = volumes::volumes(spec, directory);
    let containers = containers::containers(spec, identity, directory, (&hosts_files, &name_directories), &volumes);
    Resources {
        netns: netns::namespaces(spec, identity, backends),
        sysctls: sysctls::sysctls(spec, backends, &links.veths, nat),
        bridges: links.bridges,
        veths: links.veths,
        port_vlans: links.port_vlans,
        qdiscs: links.qdiscs,
        port_fwd_masks: links.port_fwd_masks,
        addresses,
        advertisers: autoconfiguration::advertisers(spec, identity),
        autoconfigured,
        remembered,
        dhcp_clients: dhcp::clients(spec, identity, &name_directories),
        routes,
        hosts_files,
        name_directories,
        execs: nodes::execs(spec, directory),
        containers,
        groups: groups::groups(spec, directory),
        volumes,
        host_bridge: uplink.bridge,
        uplink: uplink.uplink,
        ovs: ovs::rows(spec, identity, backends, &links.ovs_ports, at_nic),
        nat_tables: nat.iter().map(|nat| nat::table(spec, identity, nat)).collect(),
        forward_passes: nat.map(|nat| nat::passes(spec, identity, nat)).unwrap_or_default(),
    }
}
