//! From the raw types to a [`Spec`]: what goes together. One file a topic; this one puts them in order.
//!
//! Every topic reports what it finds and goes on with what is left, so that a reader sees all of it at once. Where a
//! finding could be the mere consequence of an earlier one ([`Problems::addressing_in_doubt`]), it is left out.

mod addresses;
mod autoconfiguration;
mod conditions;
mod containers;
mod dhcp;
mod domains;
mod expect;
mod frames;
mod ip;
mod links;
mod loops;
mod mirrors;
mod mtu;
mod names;
mod nodes;
mod ovs;
mod routes;
mod subnets;
mod switches;
mod uplink;
mod volumes;

pub use addresses::AddressProblem;
pub use autoconfiguration::AutoconfigurationProblem;
pub use conditions::BehaviourProblem;
pub use containers::ContainerProblem;
pub use dhcp::DhcpProblem;
pub use expect::ExpectProblem;
pub use links::LinkProblem;
pub use names::NameProblem;
pub use nodes::NodeProblem;
pub use ovs::OvsProblem;
pub use routes::RouteProblem;
pub use subnets::SubnetProblem;
pub use switches::SwitchProblem;
pub use uplink::UplinkProblem;
pub use volumes::VolumeProblem;

use super::error::Problems;
use super::field::Field;
use super::raw::RawTopology;
use super::{Link, LinkEnd, Node, NodeInterface, Spec, Switch};
use links::{Joined, Wiring};
use names::Things;

/// The value of an optional field, where it is there and could be decoded.
fn value<T>(field: Option<&Field<T>>) -> Option<&T> {
    field.and_then(|f| f.value.as_ref())
}

/// The items of an optional list.
fn items<T>(field: Option<&Field<Vec<T>>>) -> &[T] {
    value(field).map_or(&[], Vec::as_slice)
}

/// The topology as it is meant; `None` only with a problem reported.
pub(super) fn validate(raw: &RawTopology, problems: &mut Problems) -> Option<Spec> {
    let RawTopology {
        name,
        description,
        mtu: _,
        switches: _,
        nodes: _,
        links: _,
        uplink: _,
        limits,
        volumes: _,
        expect: _,
    } = raw;
    let things = names::collect(raw, problems);
    let wiring = links::wire(raw, &things, problems);
    let stps = switches::check(&things, &wiring, problems);
    let ovs = ovs::check(&things, &wiring, problems);
    conditions::check_shapers(&things, &wiring, problems);
    let forwards = frames::check(&things, &stps, &ovs, problems);
    let has_tree: Vec<bool> =
        stps.iter().zip(&ovs).map(|(stp, (_, ovs))| stp.is_some() || ovs.rstp.is_some()).collect();
    let segments = loops::segments(&things, &wiring, &has_tree, problems);
    let pools = subnets::collect(&things, &wiring, &segments, problems);
    let outputs = ovs.iter().flat_map(|(_, ovs)| &ovs.mirrors).map(|mirror| mirror.output).collect();
    dhcp::check(&things, &wiring, &outputs, problems);
    let (addresses, configurations) =
        addresses::hand_out(name.value.as_ref(), &things, &wiring, &segments, pools, &outputs, problems);
    addresses::check_macs(&things, &wiring, &segments, problems);
    let mtus = mtu::Mtus { raw, things: &things, wiring: &wiring };
    mtu::check(&mtus, &addresses, problems);
    let routes = routes::resolve(&things, &wiring, &segments, &addresses, &configurations, problems);
    let volumes = volumes::check(raw, problems);
    let extras = nodes::check(&things, &wiring, &volumes::names(raw), problems);
    let uplink = uplink::check(raw, &things, problems);
    let limits = limits.as_ref().map(|field| containers::check_limits(field, problems)).unwrap_or_default();
    let expect = expect::expand(raw, &things, &wiring, &addresses, problems);

    let switches = things.switches.iter().zip(stps).zip(ovs).zip(forwards).enumerate().map(
        |(index, (((def, stp), (backend, ovs)), forward))| Switch {
            name: def.name.clone(),
            backend,
            mtu: mtus.of_switch(index).mtu,
            stp,
            forward,
            mcast_snooping: value(def.raw.mcast_snooping.as_ref()).copied(),
            subnets: items(def.raw.subnets.as_ref()).iter().filter_map(|s| s.value.map(|s| s.0)).collect(),
            ovs,
        },
    );
    let switches = switches.collect();
    let links = wiring.links.iter().map(|link| Link {
        ends: link.ends.map(|end| end_of(end, &things, &wiring)),
        mtu: mtus.of_link(link).mtu,
        vlan: link.vlan.clone(),
        ingress_policing: link.limits.ingress_policing.map(|(limit, _)| limit),
        egress_qos: link.limits.egress_qos.map(|(limit, _)| limit),
        behaviour: link.behaviour,
        at_run_time: None,
    });
    let links = links.collect();
    let nodes = things.nodes.iter().zip(addresses.into_iter().zip(configurations)).zip(routes).zip(extras).enumerate();
    let nodes = nodes.map(|(index, (((def, (addresses, configurations)), routes), extras))| Node {
        name: def.name.clone(),
        interfaces: wiring.interfaces[index]
            .iter()
            .zip(addresses)
            .zip(configurations)
            .map(|((interface, addresses), configuration)| NodeInterface {
                name: interface.name.clone(),
                mac: interface.raw.and_then(|raw| value(raw.mac.as_ref()).copied()),
                mtu: mtus.of_interface(interface).mtu,
                addresses,
                advertises: configuration.advertises,
                slaac: configuration.slaac,
                dhcp: dhcp::is_wanted(interface),
            })
            .collect(),
        routes,
        forwarding: value(def.raw.forwarding.as_ref()).copied().unwrap_or_default(),
        sysctls: extras.sysctls,
        exec: extras.exec,
        limits: extras.limits,
        container: extras.container,
    });
    let nodes = nodes.collect();
    let description = value(description.as_ref()).cloned();
    Some(Spec { name: name.value.clone()?, description, switches, nodes, links, uplink, limits, volumes, expect })
}

fn end_of(end: Joined, things: &Things<'_>, wiring: &Wiring<'_>) -> LinkEnd {
    match end {
        Joined::Switch(switch) => LinkEnd::Switch(things.switches[switch].name.clone()),
        Joined::Node { node, interface } => LinkEnd::Node {
            node: things.nodes[node].name.clone(),
            interface: wiring.interfaces[node][interface].name.clone(),
        },
    }
}

#[cfg(test)]
mod tests;
