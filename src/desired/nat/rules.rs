//! The lab's rules in the host's packet filter.

use super::{Nat, gateway_interface};
use crate::desired::nodes::network_of;
use crate::model::hash;
use crate::model::nat::{ForwardPass, NAT_TABLE_PREFIX, NatTable, boot_in_mark};
use crate::model::{self, Identity};
use crate::spec::Spec;

/// The lab's table.
pub(in crate::desired) fn table(spec: &Spec, identity: &Identity, nat: &Nat) -> NatTable {
    let interface = gateway_interface(spec).name;
    let subnets: Vec<_> = nat.gateways.iter().map(|gateway| network_of(*gateway)).collect();
    let said = format!("{interface} {:?} {subnets:?}", nat.nic.as_ref().map(model::IfName::as_str));
    let mark = mark(spec, identity, &said);
    NatTable { name: format!("{NAT_TABLE_PREFIX}{}", spec.name), interface, nic: nat.nic.clone(), subnets, mark }
}

/// What lets the lab's packets pass where Docker drops what it does not know.
pub(in crate::desired) fn passes(spec: &Spec, identity: &Identity, nat: &Nat) -> Vec<ForwardPass> {
    let interface = gateway_interface(spec).name;
    let mark = mark(spec, identity, interface.as_str());
    let pass = |family| ForwardPass { family, interface: interface.clone(), mark: mark.clone() };
    nat.passes.iter().copied().map(pass).collect()
}

fn mark(spec: &Spec, Identity { instance, boot }: &Identity, said: &str) -> String {
    let what = format!("nat-{:08x}-{}", hash::stable(said) & 0xffff_ffff, boot_in_mark(boot));
    model::mark(&spec.name, &what, instance.as_ref())
}
