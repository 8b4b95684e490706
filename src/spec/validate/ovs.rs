//! What only switches of Open vSwitch have: which switches that makes theirs, and what goes together.

use super::links::{Joined, Wiring};
use super::mirrors::Mirroring;
use super::names::{SwitchDef, Things};
use super::{items, value};
use crate::model::{ByteSize, Rate};
use crate::spec::error::Problems;
use crate::spec::field::Field;
use crate::spec::ovs::{Collector, ConnectionMethod, Limit, OvsSettings, Rstp};
use crate::spec::raw::{RawStp, RawSwitch};
use crate::spec::raw_ovs::{RawControllers, RawIpfix, RawLimit, RawNetFlow, RawRstp, RawRstpParameters, RawSFlow};
use crate::spec::suggest::did_you_mean;
use crate::spec::{Backend, Ipfix, NetFlow, Position, SFlow};
use std::collections::{BTreeSet, HashMap};

/// What is wrong with settings that only Open vSwitch has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OvsProblem {
    /// The switch is to be a Linux bridge.
    #[error("only Open vSwitch has `{key}`, and `{switch}` is a Linux bridge: remove it, or write `backend: ovs`")]
    Linux {
        /// The setting.
        key: &'static str,
        /// The switch.
        switch: String,
    },
    /// Two spanning trees.
    #[error("`{switch}` runs both `stp` and `rstp`: keep one of the two")]
    BothTrees {
        /// The switch.
        switch: String,
    },
    /// A number that Open vSwitch would change without a word.
    #[error("`{key}` is {value}, and Open vSwitch takes {min} to {max}: choose one of these")]
    Range {
        /// What it is of.
        key: &'static str,
        /// What it is.
        value: u32,
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// A priority that Open vSwitch would round.
    #[error("`priority` is {0}: rapid spanning tree takes multiples of 4096 up to 61440, as in {1}")]
    RstpPriority(u16, u16),
    /// Ports would forward before stale information is gone.
    #[error(
        "`max_age` {max_age} s is too long for `forward_delay` {forward_delay} s: make `forward_delay` {least} s at \
         least, max_age / 2 + 1 (IEEE 802.1D), or `max_age` shorter"
    )]
    RstpForwardDelay {
        /// The age, in seconds.
        max_age: u8,
        /// The delay, in seconds.
        forward_delay: u8,
        /// The shortest delay that goes with the age, in seconds.
        least: u8,
    },
    /// Records that go nowhere.
    #[error("`targets` is empty: name a collector at least, as in `targets: [\"127.0.0.1:2055\"]`")]
    NoTargets,
    /// A mirror of nothing.
    #[error("`select` is empty: write `select: all`, or name what the ports lead to, as in `select: [h1, h2]`")]
    MirrorOfNothing,
    /// A mirror names what the switch has no port to.
    #[error(
        "no link joins `{switch}` and `{name}`: {}name a node or a switch that one of its links leads to",
        did_you_mean(.suggestion.as_deref())
    )]
    NoSuchPort {
        /// The switch.
        switch: String,
        /// What is named.
        name: String,
        /// The nearest name.
        suggestion: Option<String>,
    },
    /// A mirror names one of several ports.
    #[error("several links join `{switch}` and `{name}`: {remedy}")]
    SeveralPorts {
        /// The switch.
        switch: String,
        /// What is named.
        name: String,
        /// How to tell them apart.
        remedy: String,
    },
    /// A mirror of its own output.
    #[error("the mirror's output `{0}` is in its `select` too: Open vSwitch never copies what goes there, remove it")]
    MirrorOfItself(String),
    /// Two mirrors to one port.
    #[error("`{name}` is the output of the mirror on line {line} already: give each mirror a port of its own")]
    MirrorTwice {
        /// What the port leads to.
        name: String,
        /// Where the first is.
        line: u32,
    },
    /// A mirror to where nobody listens.
    #[error("a mirror's output must lead to a node, and `{0}` is a switch: name a node that is linked to this switch")]
    MirrorToSwitch(String),
    /// An address that nobody could reach.
    #[error("`{0}` is a mirror's output, which hears everything and can't be reached: remove its addresses")]
    MirrorWithAddress(String),
    /// The same thing twice in a list.
    #[error("`{0}` is in the list twice: remove one")]
    Twice(String),
    /// Two switches want what only one can have.
    #[error("`{switch}` on line {line} has this `{key}` too: give each switch its own")]
    Shared {
        /// What it is.
        key: &'static str,
        /// The other switch.
        switch: String,
        /// Where that is.
        line: u32,
    },
    /// A rate that Open vSwitch makes a slower one of.
    #[error("{0} is more than Open vSwitch can count: use at most 34gbit, or no limit")]
    TooFast(Rate),
    /// A burst that Open vSwitch makes a smaller one of.
    #[error("{0} is more than Open vSwitch can count: use at most 256mb, or leave `burst` out")]
    TooMuch(ByteSize),
    /// A limit on a link that has no switch.
    #[error("`{key}` is for switch ports, and both ends of this link are nodes: remove it, or link to a switch")]
    LimitWithoutSwitch {
        /// The setting.
        key: &'static str,
    },
    /// A limit on a link that is no device.
    #[error(
        "`{key}` can't be on a link between two switches of Open vSwitch, which is a pair of patch ports without a \
         queue: remove it, or make one of the two `backend: linux`"
    )]
    LimitOnPatch {
        /// The setting.
        key: &'static str,
    },
}

/// What the switches are made of as far as the topology says, and their settings that only Open vSwitch has.
pub(super) fn check(things: &Things<'_>, wiring: &Wiring<'_>, problems: &mut Problems) -> Vec<(Backend, OvsSettings)> {
    let mut limited = vec![false; things.switches.len()];
    check_limits(things, wiring, &mut limited, problems);
    let mut all = Vec::with_capacity(things.switches.len());
    for (index, def) in things.switches.iter().enumerate() {
        let wanted = settings(def.raw);
        let backend = match backend(def.raw) {
            Backend::Linux => {
                for (key, at) in wanted {
                    problems.add(at, OvsProblem::Linux { key, switch: def.name.to_string() });
                }
                Backend::Linux
            }
            // What only Open vSwitch has says that it is to be one.
            Backend::Auto if !wanted.is_empty() || limited[index] => Backend::Ovs,
            other => other,
        };
        let mirrors = Mirroring { things, wiring, index, def }.mirrors(problems);
        all.push((backend, OvsSettings { mirrors, ..of_switch(def, problems) }));
    }
    check_shared(things, problems);
    all
}

fn backend(raw: &RawSwitch) -> Backend {
    value(raw.backend.as_ref()).copied().unwrap_or_default()
}

/// The settings of a switch that only Open vSwitch has, as far as they ask for anything.
fn settings(raw: &RawSwitch) -> Vec<(&'static str, Position)> {
    fn at<T>(field: Option<&Field<T>>) -> Option<Position> {
        field.map(|field| field.at)
    }
    let RawSwitch {
        backend: _,
        mtu: _,
        stp: _,
        subnets: _,
        forward: _,
        mcast_snooping: _,
        rstp,
        fail_mode,
        controller,
        protocols,
        datapath_id,
        mac_table_size,
        netflow,
        sflow,
        ipfix,
        mirror,
    } = raw;
    let is_on = |rstp: &&Field<RawRstp>| !matches!(rstp.value, Some(RawRstp::Boolean(false)));
    let all = [
        ("rstp", at(rstp.as_ref().filter(is_on))),
        ("fail_mode", at(fail_mode.as_ref())),
        ("controller", at(controller.as_ref())),
        ("protocols", at(protocols.as_ref())),
        ("datapath_id", at(datapath_id.as_ref())),
        ("mac_table_size", at(mac_table_size.as_ref())),
        ("netflow", at(netflow.as_ref())),
        ("sflow", at(sflow.as_ref())),
        ("ipfix", at(ipfix.as_ref())),
        ("mirror", at(mirror.as_ref())),
    ];
    all.into_iter().filter_map(|(key, at)| Some((key, at?))).collect()
}

/// Datapath ids, and the ports at which switches wait for their controllers, are one switch's each.
fn check_shared(things: &Things<'_>, problems: &mut Problems) {
    let mut known: HashMap<(&'static str, String), (usize, u32)> = HashMap::new();
    for (index, def) in things.switches.iter().enumerate() {
        let id = def.raw.datapath_id.as_ref().and_then(|f| Some((f.at, "datapath_id", f.value?.to_string())));
        let waits = controllers(def.raw).iter().filter_map(|f| {
            let method = f.value.as_ref().filter(|method| method.is_passive())?;
            Some((f.at, "controller", method.to_string()))
        });
        for (at, key, text) in id.into_iter().chain(waits) {
            let (first, line) = *known.entry((key, text)).or_insert((index, at.line));
            if first != index {
                problems.add(at, OvsProblem::Shared { key, switch: things.switches[first].name.to_string(), line });
            }
        }
    }
}

fn controllers(raw: &RawSwitch) -> &[Field<ConnectionMethod>] {
    match value(raw.controller.as_ref()) {
        None => &[],
        Some(RawControllers::Text(one)) => std::slice::from_ref(one),
        Some(RawControllers::Sequence(several)) => several,
    }
}

/// Notes which switches have a port with a limit, and finds limits where no port can have one.
fn check_limits(things: &Things<'_>, wiring: &Wiring<'_>, limited: &mut [bool], problems: &mut Problems) {
    for link in &wiring.links {
        let of = |end: &Joined| match end {
            Joined::Switch(switch) => Some(*switch),
            Joined::Node { .. } => None,
        };
        let switches: Vec<usize> = link.ends.iter().filter_map(of).collect();
        let open: Vec<usize> =
            switches.iter().copied().filter(|s| backend(things.switches[*s].raw) != Backend::Linux).collect();
        // Rapid spanning tree has its links be veth pairs.
        let is_rapid = |switch: &usize| settings(things.switches[*switch].raw).iter().any(|(key, _)| *key == "rstp");
        for (key, at) in link.limits.iter() {
            let problem = match (switches.as_slice(), open.as_slice()) {
                ([], _) => OvsProblem::LimitWithoutSwitch { key },
                ([first, ..], []) => OvsProblem::Linux { key, switch: things.switches[*first].name.to_string() },
                (_, open @ [_, _]) if !open.iter().any(is_rapid) => OvsProblem::LimitOnPatch { key },
                (_, open) => {
                    for &switch in open {
                        limited[switch] = true;
                    }
                    continue;
                }
            };
            problems.add(at, problem);
        }
    }
}

/// The fastest and the most that Open vSwitch takes without a word and makes something else of: bytes, and bytes per
/// second, are 32 bits wide in it.
const FASTEST_BITS_PER_SECOND: u64 = 34_000_000_000;
const BIGGEST_BURST_BYTES: u64 = 256 << 20;

/// A limit as it is written.
pub(super) fn limit(raw: &RawLimit, problems: &mut Problems) -> Option<Limit> {
    let RawLimit { rate, burst } = raw;
    let limit = Limit { rate: rate.value?, burst: value(burst.as_ref()).copied() };
    if limit.rate.bits_per_second() > FASTEST_BITS_PER_SECOND {
        problems.add(rate.at, OvsProblem::TooFast(limit.rate));
    }
    if let Some((size, field)) = limit.burst.zip(burst.as_ref())
        && size.bytes() > BIGGEST_BURST_BYTES
    {
        problems.add(field.at, OvsProblem::TooMuch(size));
    }
    Some(limit)
}

fn in_range<T: Copy + Into<u32>>(
    key: &'static str,
    field: Option<&Field<T>>,
    [min, max]: [u32; 2],
    problems: &mut Problems,
) -> Option<T> {
    let (number, at) = field.and_then(|f| Some((f.value?, f.at)))?;
    let value = number.into();
    if (min..=max).contains(&value) {
        return Some(number);
    }
    problems.add(at, OvsProblem::Range { key, value, min, max });
    None
}

/// What Open vSwitch takes where nothing is said (lib/rstp.h).
const DEFAULT_MAX_AGE_S: u8 = 20;
const DEFAULT_FORWARD_DELAY_S: u8 = 15;

/// The bounds are those of ovs-vswitchd.conf.db(5) and IEEE 802.1D-2004 (17.14).
fn rstp(raw: &RawRstpParameters, problems: &mut Problems) -> Rstp {
    let RawRstpParameters { priority, ageing_time, max_age, forward_delay, transmit_hold_count } = raw;
    if let Some((given, at)) = priority.as_ref().and_then(|f| Some((f.value?, f.at)))
        && (given % 4096 != 0 || given > 61440)
    {
        problems.add(at, OvsProblem::RstpPriority(given, (given / 4096).min(15) * 4096));
    }
    let rstp = Rstp {
        priority: value(priority.as_ref()).copied(),
        ageing_time_s: in_range("ageing_time", ageing_time.as_ref(), [10, 1_000_000], problems),
        max_age_s: in_range("max_age", max_age.as_ref(), [6, 40], problems),
        forward_delay_s: in_range("forward_delay", forward_delay.as_ref(), [4, 30], problems),
        transmit_hold_count: in_range("transmit_hold_count", transmit_hold_count.as_ref(), [1, 10], problems),
    };
    // Open vSwitch leaves both as they are where the two do not go together.
    let (age, delay) =
        (rstp.max_age_s.unwrap_or(DEFAULT_MAX_AGE_S), rstp.forward_delay_s.unwrap_or(DEFAULT_FORWARD_DELAY_S));
    let least = age.div_ceil(2) + 1;
    if let Some(at) = max_age.as_ref().or(forward_delay.as_ref()).map(|field| field.at)
        && delay < least
    {
        problems.add(at, OvsProblem::RstpForwardDelay { max_age: age, forward_delay: delay, least });
    }
    rstp
}

/// Any number.
const ANY: [u32; 2] = [0, u32::MAX];
/// One frame of so many.
const ONE_OF: [u32; 2] = [1, u32::MAX];

fn targets(field: &Field<Vec<Field<Collector>>>, problems: &mut Problems) -> BTreeSet<Collector> {
    if field.value.as_ref().is_some_and(Vec::is_empty) {
        problems.add(field.at, OvsProblem::NoTargets);
    }
    once(items(Some(field)), problems)
}

/// The items of a list in which each may stand once.
pub(super) fn once<T: Clone + Ord + ToString>(fields: &[Field<T>], problems: &mut Problems) -> BTreeSet<T> {
    let mut all = BTreeSet::new();
    for (at, item) in fields.iter().filter_map(|field| Some((field.at, field.value.clone()?))) {
        let text = item.to_string();
        if !all.insert(item) {
            problems.add(at, OvsProblem::Twice(text));
        }
    }
    all
}

/// What the text says of a switch, but for its mirrors.
fn of_switch(def: &SwitchDef<'_>, problems: &mut Problems) -> OvsSettings {
    let raw = def.raw;
    let rstp = match value(raw.rstp.as_ref()) {
        None if raw.rstp.is_some() => Some(Rstp::default()),
        None | Some(RawRstp::Boolean(false)) => None,
        Some(RawRstp::Boolean(true)) => Some(Rstp::default()),
        Some(RawRstp::Mapping(parameters)) => Some(rstp(parameters, problems)),
    };
    if let (Some(_), Some(stp)) = (rstp, &raw.stp)
        && !matches!(stp.value, Some(RawStp::Boolean(false)))
    {
        problems.add(stp.at, OvsProblem::BothTrees { switch: def.name.to_string() });
    }
    let netflow = value(raw.netflow.as_ref()).map(|RawNetFlow { targets: to, active_timeout }| NetFlow {
        targets: targets(to, problems),
        active_timeout_s: value(active_timeout.as_ref()).copied(),
    });
    let sflow = value(raw.sflow.as_ref()).map(|RawSFlow { targets: to, sampling, polling, header }| SFlow {
        targets: targets(to, problems),
        sampling: in_range("sampling", sampling.as_ref(), ONE_OF, problems),
        polling_s: in_range("polling", polling.as_ref(), ANY, problems),
        header_bytes: in_range("header", header.as_ref(), ANY, problems),
    });
    let ipfix = value(raw.ipfix.as_ref()).map(|raw| {
        let RawIpfix { targets: to, sampling, observation_domain, observation_point } = raw;
        Ipfix {
            targets: targets(to, problems),
            sampling: in_range("sampling", sampling.as_ref(), ONE_OF, problems),
            observation_domain: value(observation_domain.as_ref()).copied(),
            observation_point: value(observation_point.as_ref()).copied(),
        }
    });
    OvsSettings {
        rstp,
        fail_mode: value(raw.fail_mode.as_ref()).copied(),
        controllers: once(controllers(raw), problems),
        protocols: once(items(raw.protocols.as_ref()), problems),
        datapath_id: value(raw.datapath_id.as_ref()).copied(),
        mac_table_size: in_range("mac_table_size", raw.mac_table_size.as_ref(), [10, 1_000_000], problems),
        netflow,
        sflow,
        ipfix,
        mirrors: Vec::new(),
    }
}
