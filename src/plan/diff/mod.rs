//! The difference between a lab as it is desired and as it is observed, as steps with their undo.
//!
//! First each namespace and each interface gets its fate (`world`): it stays, it is made, it goes. Then each kind of
//! resource, in a file of its own, names its steps; what belongs to a namespace or an interface that is made anew is
//! made anew too, and has no undo of its own, because it goes with what it belongs to. What goes with an interface that
//! is removed comes back by that removal's undo (`restore`).

mod addresses;
mod advertisers;
mod autoconfigured;
mod bridges;
mod containers;
mod dhcp_clients;
mod execs;
mod groups;
mod host_sysctls;
mod names;
pub(super) mod nat;
mod netns;
mod ovs;
mod port_fwd_masks;
mod port_vlans;
mod qdiscs;
mod removals;
mod restore;
mod routes;
mod sysctls;
mod uplink;
mod veths;
mod volumes;
mod world;

use super::error::PlanError;
pub(super) use ovs::ours;
pub(super) use uplink::{has_rows, is_given_back, is_host_bridge, own_settings, unplugging};
pub(crate) use uplink::{is_attached, is_plugged};

use super::steps::Steps;
use super::types::{Made, Plan, Reason};
use crate::desired::Resources;
use crate::observed::Observed;

pub(super) use host_sysctls::destroy as put_host_sysctls_back;
pub use sysctls::previous_sysctls;

/// What has to be done so that `observed` becomes `desired`; empty where it is so already.
///
/// `made` is what the journal says is ours. What is there, is ours and is not desired any more is removed; what is in
/// our namespaces and neither desired nor ours (a user's own address, say) is left alone.
///
/// Undoing all steps in reverse gives back what was observed, but for six things that nothing brings back: what was in a
/// removed volume; the processes in a removed namespace; interfaces of a user's own in it that are neither veths nor bridges; a `lo`
/// that was down; what an interface had heard from a router that speaks no more, and the routes by way of it; the DHCP
/// lease of an interface that somebody has set down.
///
/// # Errors
/// When something stands in the way that is not ours, when the caller may not look at what is ours, or when the kernel
/// can't do what is desired. Everything of a kind is named at once.
pub fn diff(desired: &Resources, made: &Made, observed: &Observed) -> Result<Plan, PlanError> {
    let world = world::World::new(desired, made, observed)?;
    let mut steps = Steps::default();
    removals::steps(&world, &mut steps);
    netns::steps(&world, &mut steps);
    names::steps(&world, &mut steps);
    advertisers::steps(&world, &mut steps);
    let silenced = autoconfigured::steps(&world, &mut steps);
    sysctls::steps(&world, &silenced, &mut steps);
    bridges::steps(&world, &mut steps);
    veths::steps(&world, &mut steps);
    port_vlans::steps(&world, &mut steps);
    port_fwd_masks::steps(&world, &mut steps);
    uplink::steps(&world, &mut steps)?; // within a stage before the switch that it is at
    ovs::steps(&world, &mut steps);
    qdiscs::steps(&world, &mut steps);
    let drained = addresses::steps(&world, &mut steps);
    routes::steps(&world, &drained, &mut steps);
    dhcp_clients::steps(&world, &mut steps);
    nat::steps(&world, &mut steps);
    groups::steps(&world, &mut steps);
    let new = volumes::steps(&world, &mut steps);
    let started = containers::steps(&world, &new, &mut steps);
    execs::steps(&world, &started, &mut steps);
    Ok(steps.into_plan())
}

/// Why something that isn't there is made.
fn missing(made_before: bool) -> Reason {
    if made_before { Reason::Repair } else { Reason::New }
}

/// Why something that is there is changed.
fn different(made_so_before: bool) -> Reason {
    if made_so_before { Reason::Repair } else { Reason::Changed }
}

#[cfg(test)]
mod tests;
