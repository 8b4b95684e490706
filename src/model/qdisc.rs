//! The queueing disciplines that make an interface send as a link's conditions say (tc(8)).

use super::conditions::{Distribution, FRAME_BYTES, Impairments};
use super::{Interface, Rate};
use serde::{Deserialize, Serialize};

/// What stands between an interface and those who send by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qdiscs {
    /// The interface.
    pub interface: Interface,
    /// What there is; the kernel's own where it is nothing.
    pub shaping: Shaping,
}

/// Netem, TBF, or the first and then the second: a frame is delayed, and then waits for its turn. So the queue holds
/// those that wait, and not those that are under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shaping {
    /// What happens to single frames.
    pub netem: Option<Netem>,
    /// How fast they go.
    pub tbf: Option<Tbf>,
}

/// A network emulator (tc-netem(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Netem {
    /// What it does.
    pub impairments: Impairments,
    /// How many packets may be in it.
    pub limit_packets: u32,
}

/// A token bucket filter (tc-tbf(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tbf {
    /// Bytes that go per second.
    pub rate_bytes_per_s: u64,
    /// Bytes that may go at once after a pause, in units of 1024: the kernel keeps it as a time, and loses a few bytes.
    pub burst_kib: u32,
    /// Bytes that may wait.
    pub limit_bytes: u32,
}

/// The numbers of disciplines, the major parts of their handles: `20:` to tc(8), which reads and writes them as
/// hexadecimal.
///
/// Another one for each place: a number that is there already, the kernel would move and not make. Netem's says how its
/// delays are spread too, which the kernel does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Netem's.
    pub netem: u16,
    /// TBF's.
    pub tbf: u16,
}

const NETEM_ALONE: u16 = 0x20;
const NETEM_FIRST: u16 = 0x30;
const TBF_ALONE: u16 = 0x10;
const TBF_SECOND: u16 = 0x40;

/// By their places, what is added to netem's number.
const DISTRIBUTIONS: [Distribution; 4] =
    [Distribution::Uniform, Distribution::Normal, Distribution::Pareto, Distribution::ParetoNormal];

impl Numbers {
    /// How delays are spread in a netem of this number; uniformly in one that nslab did not make.
    pub fn distribution_of(netem: u16) -> Distribution {
        let is_ours = [NETEM_ALONE, NETEM_FIRST].contains(&(netem & !0xf));
        DISTRIBUTIONS.get(usize::from(netem & 0xf)).filter(|_| is_ours).copied().unwrap_or_default()
    }
}

impl Shaping {
    /// The numbers that its disciplines have.
    pub fn numbers(&self) -> Numbers {
        let jitter = self.netem.and_then(|netem| netem.impairments.delay).and_then(|delay| delay.jitter);
        let distribution = jitter.map_or(Distribution::Uniform, |jitter| jitter.distribution);
        let both = self.netem.is_some() && self.tbf.is_some();
        let (netem, tbf) = if both { (NETEM_FIRST, TBF_SECOND) } else { (NETEM_ALONE, TBF_ALONE) };
        let place = (0..).zip(DISTRIBUTIONS).find(|(_, of)| *of == distribution).map_or(0, |(place, _)| place);
        Numbers { netem: netem + place, tbf }
    }

    /// Whether there is nothing.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Netem {
    /// What may be in one that only delays: ten gigabits per second for a tenth of a second, in full frames.
    pub const ROOMY: u32 = 100_000;

    /// What may be in one before a TBF, which has the queue. No bound: before 6.13, a kernel counts in it what the TBF
    /// makes of one big packet too, and never takes that back.
    pub const BOUNDLESS: u32 = u32::MAX;
}

impl Tbf {
    /// The rate.
    pub fn rate(&self) -> Option<Rate> {
        Rate::from_bits_per_second(self.rate_bytes_per_s.saturating_mul(8))
    }
}

impl std::fmt::Display for Shaping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if let Some(Netem { impairments, limit_packets }) = self.netem {
            parts.extend((!impairments.is_none()).then(|| impairments.to_string()));
            let is_said = ![Netem::ROOMY, Netem::BOUNDLESS].contains(&limit_packets);
            parts.extend(is_said.then(|| format!("queue {limit_packets}")));
        }
        if let Some(tbf) = self.tbf {
            let Tbf { rate_bytes_per_s, burst_kib: _, limit_bytes } = tbf;
            parts.push(match tbf.rate() {
                Some(rate) => format!("rate {rate}"),
                None => format!("rate {rate_bytes_per_s} B/s"),
            });
            parts.push(match (limit_bytes / FRAME_BYTES, limit_bytes % FRAME_BYTES) {
                (frames, 0) => format!("queue {frames}"),
                _ => format!("queue of {limit_bytes} bytes"),
            });
        }
        f.write_str(if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }.as_str())
    }
}
