//! Capabilities (capabilities(7)): which there are to give, and giving up the others.

use super::super::failure::{During as _, Failure, Step};
use crate::model::container::Capability;
use nix::errno::Errno;
use rustix::thread::{self, CapabilitySet, CapabilitySets};
use std::collections::BTreeSet;

/// How many there can be: as many as have a bit in the kernel's sets.
const MOST: u32 = u64::BITS;

/// One capability as a set.
fn one(number: u32) -> CapabilitySet {
    CapabilitySet::from_bits_retain(1 << number)
}

/// Those that a container gets of these: what the running kernel does not know is left out.
///
/// So is what nslab hasn't got itself, as within another container, where it was not asked for by name: of the default set,
/// or where all are wanted.
///
/// # Errors
/// EPERM, where one was asked for that nslab hasn't got. In a user namespace of its own a container can have any.
pub(super) fn to_give(asked: &BTreeSet<Capability>, own_users: bool) -> Result<BTreeSet<Capability>, Failure> {
    let mine = thread::capabilities(None).during(|| Step::of("read the process's capabilities"))?.permitted;
    let usual = Capability::default_set();
    let by_name = |capability| !usual.contains(capability) && asked.len() < Capability::ALL.len();
    let mut given = BTreeSet::new();
    for capability in asked {
        let single = one(u32::from(capability.number()));
        // Of one that it doesn't know, the kernel says EINVAL.
        let is_known = thread::capability_is_in_bounding_set(single).is_ok();
        if is_known && (own_users || mine.contains(single)) {
            given.insert(*capability);
        } else if is_known && by_name(capability) {
            let step = Step::of(format!("give the container {capability}, which nslab hasn't got itself"));
            return Err(step.failed()(Errno::EPERM));
        }
    }
    Ok(given)
}

/// As the kernel counts them.
pub(super) fn set_of(capabilities: &BTreeSet<Capability>) -> CapabilitySet {
    capabilities.iter().map(|capability| one(u32::from(capability.number()))).collect()
}

/// Takes all but these from the bounding set, so that no program that is executed can have them. It wants CAP_SETPCAP.
pub(super) fn bound(kept: CapabilitySet) -> Result<(), Failure> {
    for number in 0..MOST {
        let single = one(number);
        if kept.contains(single) {
            continue;
        }
        match thread::remove_capability_from_bounding_set(single) {
            Ok(()) => {}
            // The first one that the kernel doesn't know. It may know some that nslab doesn't, so it's asked.
            Err(rustix::io::Errno::INVAL) => break,
            Err(errno) => return Err(errno).during(|| Step::of("give up capabilities for all that is executed")),
        }
    }
    Ok(())
}

/// Has these from now on, and no others. None is inheritable or ambient: with those, a program whose file says so would get
/// what its user hasn't got (CVE-2022-24769).
pub(super) fn keep(kept: CapabilitySet) -> Result<(), Failure> {
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    thread::set_capabilities(None, sets).during(|| Step::of("give up capabilities"))?;
    thread::clear_ambient_capability_set().during(|| Step::of("give up ambient capabilities"))
}

/// Hands on none that is inheritable or ambient, and keeps all.
pub(super) fn keep_all() -> Result<(), Failure> {
    keep(thread::capabilities(None).during(|| Step::of("read the process's capabilities"))?.permitted)
}
