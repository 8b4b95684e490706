//! What switches are: their spanning tree, the number of their ports.

use super::links::{Joined, Wiring};
use super::names::Things;
use super::value;
use crate::model::Stp;
use crate::spec::error::Problems;
use crate::spec::field::Field;
use crate::spec::raw::{RawStp, RawStpParameters};
use crate::spec::{Backend, Position};

/// The most ports that a Linux bridge takes: BR_MAX_PORTS (net/bridge/br_private.h) less port number 0, which no port
/// gets.
const MAX_BRIDGE_PORTS: usize = 1023;

/// What is wrong with a switch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SwitchProblem {
    /// A spanning-tree time that the kernel refuses.
    #[error("`{key}` is {seconds} s, and the kernel takes {min} to {max} s: choose one of these")]
    StpRange {
        /// Which time.
        key: &'static str,
        /// What it is, in seconds.
        seconds: u8,
        /// The shortest, in seconds.
        min: u8,
        /// The longest, in seconds.
        max: u8,
    },
    /// Hellos come too seldom for neighbours not to be taken for gone.
    #[error(
        "`max_age` {max_age} s is too short for `hello_time` {hello_time} s: it must be {least} s at least, \
         2 × (hello_time + 1) (IEEE 802.1D)"
    )]
    StpHello {
        /// `max_age` in seconds.
        max_age: u8,
        /// `hello_time` in seconds.
        hello_time: u8,
        /// The shortest `max_age` that fits, in seconds.
        least: u8,
    },
    /// Ports would forward before stale information is gone.
    #[error(
        "`max_age` {max_age} s is too long for `forward_delay` {forward_delay} s: make `forward_delay` {least} s at \
         least, max_age / 2 + 1 (IEEE 802.1D), or `max_age` shorter"
    )]
    StpForwardDelay {
        /// The age, in seconds.
        max_age: u8,
        /// The delay, in seconds.
        forward_delay: u8,
        /// The shortest delay that goes with the age, in seconds.
        least: u8,
    },
    /// Frames that the switch takes in itself are to be forwarded.
    #[error(
        "`{switch}` has a spanning tree of its own (`{tree}`), which takes these frames in and forwards none: take `stp` \
         out of `forward`, or leave the switch without `{tree}`"
    )]
    ForwardsOwnTree {
        /// The switch.
        switch: String,
        /// The tree that it runs: `stp` or `rstp`.
        tree: &'static str,
    },
    /// More ports than a bridge takes.
    #[error("`{switch}` has {ports} ports, and a Linux bridge takes {max}: spread its links over several switches")]
    TooManyPorts {
        /// The switch.
        switch: String,
        /// How many it has.
        ports: usize,
        /// The most it can have.
        max: usize,
    },
    /// Frames would circle.
    #[error(
        "{on_loop} form a loop, in which frames circle for ever: set `stp: true`, or `rstp: true`, on every switch joined \
         to it (missing on {missing}), or remove a link"
    )]
    Loop {
        /// The switches that the link closes a loop of.
        on_loop: String,
        /// The switches of the segment that have no spanning tree.
        missing: String,
    },
}

/// Checks the switches; the spanning tree of each is the result.
pub(super) fn check(things: &Things<'_>, wiring: &Wiring<'_>, problems: &mut Problems) -> Vec<Option<Stp>> {
    let mut ports = vec![0_usize; things.switches.len()];
    for end in wiring.links.iter().flat_map(|link| link.ends) {
        if let Joined::Switch(switch) = end {
            ports[switch] += 1;
        }
    }
    let mut stps = Vec::with_capacity(things.switches.len());
    for (def, ports) in things.switches.iter().zip(ports) {
        let bridge = value(def.raw.backend.as_ref()) != Some(&Backend::Ovs);
        if bridge && ports > MAX_BRIDGE_PORTS {
            let switch = def.name.to_string();
            problems.add(def.at, SwitchProblem::TooManyPorts { switch, ports, max: MAX_BRIDGE_PORTS });
        }
        stps.push(match value(def.raw.stp.as_ref()) {
            // One that could not be decoded was meant to be on, more likely than not.
            None if def.raw.stp.is_some() => Some(Stp::default()),
            None | Some(RawStp::Boolean(false)) => None,
            Some(RawStp::Boolean(true)) => Some(Stp::default()),
            Some(RawStp::Mapping(parameters)) => Some(stp(parameters, problems)),
        });
    }
    stps
}

/// The bounds are the kernel's (net/bridge/br_private_stp.h) and IEEE 802.1D-1998 section 8.10.2's.
fn stp(raw: &RawStpParameters, problems: &mut Problems) -> Stp {
    let RawStpParameters { priority, forward_delay, hello_time, max_age } = raw;
    let default = Stp::default();
    let mut seconds = |key, field: &Option<Field<u8>>, min, max| -> Option<(u8, Position)> {
        let (seconds, at) = field.as_ref().and_then(|f| Some((f.value?, f.at)))?;
        if !(min..=max).contains(&seconds) {
            problems.add(at, SwitchProblem::StpRange { key, seconds, min, max });
            return None;
        }
        Some((seconds, at))
    };
    let forward_delay = seconds("forward_delay", forward_delay, 2, 30);
    let hello_time = seconds("hello_time", hello_time, 1, 10);
    let max_age = seconds("max_age", max_age, 6, 40);
    let stp = Stp {
        priority: value(priority.as_ref()).copied().unwrap_or(default.priority),
        forward_delay_s: forward_delay.map_or(default.forward_delay_s, |(s, _)| s),
        hello_time_s: hello_time.map_or(default.hello_time_s, |(s, _)| s),
        max_age_s: max_age.map_or(default.max_age_s, |(s, _)| s),
    };
    let least = 2 * (stp.hello_time_s + 1);
    if let Some((_, at)) = max_age.or(hello_time).filter(|_| stp.max_age_s < least) {
        let (max_age, hello_time) = (stp.max_age_s, stp.hello_time_s);
        problems.add(at, SwitchProblem::StpHello { max_age, hello_time, least });
    }
    // The default delay is shorter than the standard has it, for labs are small and people impatient: the standard's
    // relation is asked only of times that are both given.
    if let (Some((forward_delay, _)), Some((max_age, at))) = (forward_delay, max_age) {
        let least = max_age.div_ceil(2) + 1;
        if forward_delay < least {
            problems.add(at, SwitchProblem::StpForwardDelay { max_age, forward_delay, least });
        }
    }
    stp
}
