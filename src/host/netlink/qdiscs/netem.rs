//! Netem's options: struct tc_netem_qopt and the attributes behind it (linux/pkt_sched.h, net/sched/sch_netem.c).

use super::message::{attributes_in, bytes_of, word, words};
use super::{TICK_NS, distribution};
use crate::model::conditions::{Chance, Delay, Distribution, GilbertElliott, Impairments, Jitter, Loss};
use crate::model::qdisc::Netem;
use crate::model::{Percent, Span};
use netlink_packet_core::{DecodeError, DefaultNla};

pub(super) const KIND: &str = "netem";

/// struct tc_netem_qopt: latency, limit, loss, gap, duplicate, jitter.
const STRUCT_BYTES: usize = 24;

const TCA_NETEM_CORR: u16 = 1;
const TCA_NETEM_DELAY_DIST: u16 = 2;
const TCA_NETEM_REORDER: u16 = 3;
const TCA_NETEM_CORRUPT: u16 = 4;
const TCA_NETEM_LOSS: u16 = 5;
const TCA_NETEM_RATE: u16 = 6;
const TCA_NETEM_ECN: u16 = 7;
const TCA_NETEM_LATENCY64: u16 = 10;
const TCA_NETEM_JITTER64: u16 = 11;
const TCA_NETEM_SLOT: u16 = 12;

/// In TCA_NETEM_LOSS.
const NETEM_LOSS_GE: u16 = 2;

/// The options that make netem do this, all of them: what is left out, the kernel leaves as it was.
pub(super) fn options(netem: &Netem) -> Vec<u8> {
    let Netem { impairments, limit_packets } = netem;
    let Impairments { delay, loss, duplicate, corrupt, reorder } = impairments;
    let jitter = delay.and_then(|delay| delay.jitter);
    let [latency_ns, jitter_ns] =
        [delay.map(|delay| delay.time), jitter.map(|jitter| jitter.time)].map(|span| span.map_or(0, Span::nanoseconds));
    let (random, gemodel) = match loss {
        None => (None, None),
        Some(Loss::Random(chance)) => (Some(*chance), None),
        Some(Loss::Gemodel(model)) => (None, Some(*model)),
    };
    let [loss, duplicate, corrupt, reorder] = [random, *duplicate, *corrupt, *reorder].map(parts);
    let ticks = |nanoseconds: u64| u32::try_from(nanoseconds / TICK_NS).unwrap_or(u32::MAX);
    // One frame in turn may overtake; without a gap none does.
    let gap = u32::from(reorder.0 > 0);
    let fixed = [ticks(latency_ns), *limit_packets, loss.0, gap, duplicate.0, ticks(jitter_ns)];

    let jitter_correlation = jitter.map_or(0, |jitter| jitter.correlation.of_u32_max());
    let mut attributes = vec![
        words(TCA_NETEM_CORR, &[jitter_correlation, loss.1, duplicate.1]),
        words(TCA_NETEM_REORDER, &[reorder.0, reorder.1]),
        words(TCA_NETEM_CORRUPT, &[corrupt.0, corrupt.1]),
        DefaultNla::new(TCA_NETEM_LATENCY64, latency_ns.to_ne_bytes().to_vec()),
        DefaultNla::new(TCA_NETEM_JITTER64, jitter_ns.to_ne_bytes().to_vec()),
    ];
    if let Some(table) = jitter.and_then(|jitter| distribution::table(jitter.distribution)) {
        let bytes = table.iter().flat_map(|quantile| quantile.to_ne_bytes()).collect();
        attributes.push(DefaultNla::new(TCA_NETEM_DELAY_DIST, bytes));
    }
    if let Some(GilbertElliott { turns_bad, turns_good, lost_while_bad, lost_while_good }) = gemodel {
        // The kernel wants what a bad link lets through.
        let model = [turns_bad, turns_good, lost_while_bad.rest(), lost_while_good].map(Percent::of_u32_max);
        attributes.push(DefaultNla::new(TCA_NETEM_LOSS, bytes_of(&[words(NETEM_LOSS_GE, &model)])));
    }
    let mut bytes: Vec<u8> = fixed.iter().flat_map(|field| field.to_ne_bytes()).collect();
    bytes.extend(bytes_of(&attributes));
    bytes
}

/// Probability and correlation as the kernel counts them.
fn parts(chance: Option<Chance>) -> (u32, u32) {
    chance.map_or((0, 0), |chance| (chance.probability.of_u32_max(), chance.correlation.of_u32_max()))
}

/// What a netem with these options does; `None` where it does something that nslab knows nothing of. The kernel does not
/// tell the distribution.
pub(super) fn read(options: &[u8], distribution: Distribution) -> Result<Option<Netem>, DecodeError> {
    let field = |number: usize| {
        word(options, 4 * number).ok_or_else(|| DecodeError::from("netem's options are too short".to_owned()))
    };
    let (latency, limit_packets, loss) = (field(0)?, field(1)?, field(2)?);
    let (gap, duplicate, jitter) = (field(3)?, field(4)?, field(5)?);
    let [mut latency_ns, mut jitter_ns] = [latency, jitter].map(|ticks| u64::from(ticks) * TICK_NS);
    let mut correlations = [0; 3];
    let (mut corrupt, mut reorder) = ([0; 2], [0; 2]);
    let (mut gemodel, mut is_known) = (None, gap <= 1);
    for (kind, value) in attributes_in(&options[STRUCT_BYTES..])? {
        let is_off = value.iter().all(|byte| *byte == 0);
        match kind {
            TCA_NETEM_CORR => correlations = array(&value),
            TCA_NETEM_REORDER => reorder = array(&value),
            TCA_NETEM_CORRUPT => corrupt = array(&value),
            TCA_NETEM_LATENCY64 => latency_ns = wide(&value),
            TCA_NETEM_JITTER64 => jitter_ns = wide(&value),
            TCA_NETEM_LOSS => {
                let model = attributes_in(&value)?.into_iter().find(|(kind, _)| *kind == NETEM_LOSS_GE);
                is_known &= model.is_some();
                gemodel = model.map(|(_, model)| array(&model).map(Percent::from_u32_max));
            }
            // Its own rate begins with the rate; the rest is about cells, of which there is none without.
            TCA_NETEM_RATE => is_known &= word(&value, 0) == Some(0),
            TCA_NETEM_ECN | TCA_NETEM_SLOT => is_known &= is_off,
            _ => {}
        }
    }
    if !is_known {
        return Ok(None);
    }
    let jitter = Span::from_nanoseconds(jitter_ns).map(|time| Jitter {
        time,
        correlation: Percent::from_u32_max(correlations[0]),
        distribution,
    });
    let loss = match gemodel {
        Some([turns_bad, turns_good, kept_while_bad, lost_while_good]) => {
            let lost_while_bad = kept_while_bad.rest();
            Some(Loss::Gemodel(GilbertElliott { turns_bad, turns_good, lost_while_bad, lost_while_good }))
        }
        None => chance(loss, correlations[1]).map(Loss::Random),
    };
    let impairments = Impairments {
        delay: Span::from_nanoseconds(latency_ns).map(|time| Delay { time, jitter }),
        loss,
        duplicate: chance(duplicate, correlations[2]),
        corrupt: chance(corrupt[0], corrupt[1]),
        reorder: if gap == 0 { None } else { chance(reorder[0], reorder[1]) },
    };
    // Jitter around no delay, and spans beyond an hour, are what nslab has no words for.
    let is_whole = (latency_ns == 0 || impairments.delay.is_some()) && (jitter_ns == 0 || jitter.is_some());
    let is_sayable = is_whole && (jitter_ns == 0 || latency_ns > 0);
    Ok(is_sayable.then_some(Netem { impairments, limit_packets }))
}

fn chance(probability: u32, correlation: u32) -> Option<Chance> {
    let [probability, correlation] = [probability, correlation].map(Percent::from_u32_max);
    (!probability.is_zero()).then_some(Chance { probability, correlation })
}

/// The first 32-bit numbers in an attribute; 0 where it is shorter.
fn array<const N: usize>(value: &[u8]) -> [u32; N] {
    std::array::from_fn(|number| word(value, 4 * number).unwrap_or(0))
}

fn wide(value: &[u8]) -> u64 {
    value.try_into().map_or(0, u64::from_ne_bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn percent() -> impl Strategy<Value = Percent> {
        (1..=1_000_000_u32).prop_map(|n| format!("{}.{:04}%", n / 10_000, n % 10_000).try_into().unwrap())
    }

    fn span() -> impl Strategy<Value = Span> {
        (1..10_000_000_000_u64).prop_map(|nanoseconds| Span::from_nanoseconds(nanoseconds).unwrap())
    }

    fn any_chance() -> impl Strategy<Value = Chance> {
        (percent(), percent()).prop_map(|(probability, correlation)| Chance { probability, correlation })
    }

    fn any_delay() -> impl Strategy<Value = Delay> {
        let distribution = prop::sample::select(vec![
            Distribution::Uniform,
            Distribution::Normal,
            Distribution::Pareto,
            Distribution::ParetoNormal,
        ]);
        // The kernel holds no longer one.
        let jitter = (1..2_147_000_000_u64).prop_map(|nanoseconds| Span::from_nanoseconds(nanoseconds).unwrap());
        let jitter = (jitter, percent(), distribution).prop_map(|(time, correlation, distribution)| Jitter {
            time,
            correlation,
            distribution,
        });
        (span(), prop::option::of(jitter)).prop_map(|(time, jitter)| Delay { time, jitter })
    }

    fn any_loss() -> impl Strategy<Value = Loss> {
        let gemodel = [percent(), percent(), percent(), percent()].prop_map(|[p, r, h, k]| {
            Loss::Gemodel(GilbertElliott { turns_bad: p, turns_good: r, lost_while_bad: h, lost_while_good: k })
        });
        prop_oneof![any_chance().prop_map(Loss::Random), gemodel]
    }

    pub(crate) fn any_netem() -> impl Strategy<Value = Netem> {
        let parts = (
            prop::option::of(any_delay()),
            prop::option::of(any_loss()),
            prop::option::of(any_chance()),
            prop::option::of(any_chance()),
            prop::option::of(any_chance()),
            any::<u32>(),
        );
        parts.prop_map(|(delay, loss, duplicate, corrupt, reorder, limit_packets)| {
            let impairments = Impairments { delay, loss, duplicate, corrupt, reorder };
            Netem { impairments, limit_packets }
        })
    }

    fn distribution(netem: &Netem) -> Distribution {
        let jitter = netem.impairments.delay.and_then(|delay| delay.jitter);
        jitter.map_or(Distribution::Uniform, |jitter| jitter.distribution)
    }

    proptest! {
        #[test]
        fn what_is_set_is_what_is_read_back(netem in any_netem()) {
            prop_assert_eq!(read(&options(&netem), distribution(&netem)).unwrap(), Some(netem));
        }

        #[test]
        fn garbage_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, Distribution::Uniform);
        }
    }

    #[test]
    fn the_structure_is_that_of_the_kernels_header() {
        let delay = Delay { time: Span::try_from("64us".to_owned()).unwrap(), jitter: None };
        let impairments = Impairments { delay: Some(delay), ..Impairments::default() };
        let options = options(&Netem { impairments, limit_packets: 7 });
        let fields: Vec<u32> = (0..6).map(|n| word(&options, 4 * n).unwrap()).collect();
        assert_eq!(fields, [1000, 7, 0, 0, 0, 0]);
        let kinds: Vec<u16> = attributes_in(&options[STRUCT_BYTES..]).unwrap().iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [1, 3, 4, 10, 11]);
    }
}
