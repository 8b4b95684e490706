//! A lab's uplink as it is. Pure.

use super::show::{link, link_state};
use crate::desired::Resources;
use crate::model::{Address, Interface, NetnsName, Uplink};
use crate::observed::Observed;
use crate::observed::nat::NatView;
use crate::plan;
use crate::report::{NatReport, NicReport, UplinkReport};
use crate::spec::Spec;
use std::collections::BTreeSet;

pub(super) fn report(spec: &Spec, desired: &Resources, observed: &Observed) -> Option<UplinkReport> {
    let switch = spec.uplink.as_ref()?.switch().clone();
    Some(UplinkReport { switch, nat: nat(desired, observed), nic: nic(desired, observed) })
}

fn nic(desired: &Resources, observed: &Observed) -> Option<NicReport> {
    let uplink = desired.uplink.as_ref()?;
    let Uplink { nic, address, onto, .. } = uplink;
    let there = observed.uplink.clone().unwrap_or_default();
    Some(NicReport {
        nic: nic.name.clone(),
        attached: plan::is_attached(uplink, &there),
        onto: onto.clone(),
        address: address.as_str().to_owned(),
        watched: there.is_watched,
        addresses: there.onto.iter().flat_map(|onto| &onto.addresses).map(ToString::to_string).collect(),
    })
}

fn nat(desired: &Resources, observed: &Observed) -> Option<NatReport> {
    let table = desired.nat_tables.first()?;
    let interface = Interface { netns: NetnsName::Host, name: table.interface.clone() };
    let link = link(observed, &interface.netns, interface.name.as_str());
    let has =
        |of: &&Address| of.interface == interface && link.is_some_and(|link| link.addresses.contains(&of.address));
    let on_host = desired.sysctls.iter().filter(|sysctl| sysctl.netns == NetnsName::Host);
    let forwarding = on_host.filter(|sysctl| sysctl.key.as_str().ends_with("forwarding"));
    let leaves_by: BTreeSet<String> = forwarding
        .filter_map(|sysctl| sysctl.key.interface())
        .filter(|name| *name != interface.name)
        .map(|name| name.to_string())
        .collect();
    let passes = desired.forward_passes.iter().filter(|pass| match &observed.nat {
        NatView::Seen(seen) => seen.passes.get(&pass.family).is_some_and(|there| there.contains(&pass.mark)),
        NatView::NotAsked | NatView::NoProgram => false,
    });
    Some(NatReport {
        state: link_state(link),
        gateways: desired.addresses.iter().filter(has).map(|of| of.address.to_string()).collect(),
        leaves_by: leaves_by.into_iter().collect(),
        table: table.name.clone(),
        masquerades: matches!(&observed.nat, NatView::Seen(seen) if seen.is_so(table)),
        passes_docker: passes.map(|pass| pass.family.as_str().to_owned()).collect(),
        interface: interface.name.to_string(),
    })
}
