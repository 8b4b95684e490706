//! The token bucket filter's options: struct tc_tbf_qopt and 64-bit rates (linux/pkt_sched.h, net/sched/sch_tbf.c).

use super::TICK_NS;
use super::message::{attributes_in, bytes_of, word};
use crate::model::qdisc::Tbf;
use netlink_packet_core::{DecodeError, DefaultNla};

pub(super) const KIND: &str = "tbf";

const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;

/// struct tc_tbf_qopt: struct tc_ratespec twice, for the rate and for a peak rate, then limit, buffer and mtu.
const STRUCT_BYTES: usize = 36;

/// Where they are.
const LINK_LAYER: usize = 1;
const RATE: usize = 8;
const PEAK_RATE: usize = 20;
const LIMIT: usize = 24;
const BUFFER: usize = 28;

/// TC_LINKLAYER_ETHERNET (linux/pkt_sched.h): the kernel counts bytes itself, and needs no table of what each size takes.
const ETHERNET: u8 = 1;

/// The options that make a token bucket filter do this.
pub(super) fn options(tbf: &Tbf) -> Vec<u8> {
    let Tbf { rate_bytes_per_s, burst_kib, limit_bytes } = *tbf;
    let mut fixed = [0; STRUCT_BYTES];
    fixed[LINK_LAYER] = ETHERNET;
    let mut set = |at: usize, word: u32| fixed[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    // More than fits stands in the attribute behind.
    set(RATE, u32::try_from(rate_bytes_per_s).unwrap_or(u32::MAX));
    set(LIMIT, limit_bytes);
    set(BUFFER, ticks(u64::from(burst_kib) * 1024, rate_bytes_per_s));
    let mut attributes = vec![DefaultNla::new(TCA_TBF_PARMS, fixed.to_vec())];
    if rate_bytes_per_s > u64::from(u32::MAX) {
        attributes.push(DefaultNla::new(TCA_TBF_RATE64, rate_bytes_per_s.to_ne_bytes().to_vec()));
    }
    bytes_of(&attributes)
}

/// How long some bytes take, in the packet scheduler's ticks.
fn ticks(bytes: u64, rate_bytes_per_s: u64) -> u32 {
    let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(rate_bytes_per_s.max(1));
    u32::try_from(nanoseconds.div_ceil(u128::from(TICK_NS))).unwrap_or(u32::MAX)
}

/// What a token bucket filter with these options does; `None` where it does something that nslab knows nothing of.
pub(super) fn read(options: &[u8]) -> Result<Option<Tbf>, DecodeError> {
    let (mut fixed, mut rate64) = (Vec::new(), None);
    for (kind, value) in attributes_in(options)? {
        match kind {
            TCA_TBF_PARMS => fixed = value,
            TCA_TBF_RATE64 => rate64 = value.as_slice().try_into().ok().map(u64::from_ne_bytes),
            _ => {}
        }
    }
    let field = |at: usize| word(&fixed, at).ok_or_else(|| DecodeError::from("TBF's options are too short".to_owned()));
    let rate_bytes_per_s = rate64.map_or_else(|| field(RATE).map(u64::from), Ok)?;
    let burst_ns = u128::from(field(BUFFER)?) * u128::from(TICK_NS);
    let burst_bytes = burst_ns * u128::from(rate_bytes_per_s) / 1_000_000_000;
    let burst_kib = u32::try_from((burst_bytes + 512) / 1024).unwrap_or(u32::MAX);
    let tbf = Tbf { rate_bytes_per_s, burst_kib, limit_bytes: field(LIMIT)? };
    Ok((field(PEAK_RATE)? == 0).then_some(tbf))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_tbf() -> impl Strategy<Value = Tbf> {
        // From a kilobit to forty gigabits per second, with bursts that the kernel's 32 bits of ticks hold.
        (125..5_000_000_000_u64, any::<u32>()).prop_flat_map(|(rate_bytes_per_s, limit_bytes)| {
            (1..=(rate_bytes_per_s / 256).clamp(1, 1 << 20)).prop_map(u32::try_from).prop_map(move |burst| Tbf {
                rate_bytes_per_s,
                burst_kib: burst.unwrap(),
                limit_bytes,
            })
        })
    }

    proptest! {
        #[test]
        fn what_is_set_is_what_is_read_back(tbf in any_tbf()) {
            prop_assert_eq!(read(&options(&tbf)).unwrap(), Some(tbf));
        }

        #[test]
        fn garbage_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn the_structure_is_that_of_the_kernels_header() {
        let options = options(&Tbf { rate_bytes_per_s: 1_000_000, burst_kib: 4, limit_bytes: 15_140 });
        let (kind, fixed) = &attributes_in(&options).unwrap()[0];
        assert_eq!((*kind, fixed.len()), (TCA_TBF_PARMS, STRUCT_BYTES));
        assert_eq!(fixed[LINK_LAYER], ETHERNET);
        // 4096 bytes at a byte a microsecond are 4.096 ms, 64000 ticks.
        assert_eq!([RATE, LIMIT, BUFFER].map(|at| word(fixed, at).unwrap()), [1_000_000, 15_140, 64_000]);
    }
}
