//! From what is to happen to the frames of a link to the disciplines that make it so.

use crate::model::Mtu;
use crate::model::conditions::{Conditions, FRAME_BYTES};
use crate::model::qdisc::{Netem, Shaping, Tbf};

/// How many frames wait for their turn where the topology does not say.
const QUEUE: u32 = 100;

/// How much may go at once after a pause: what the rate makes in so many milliseconds, as tc-tbf(8) advises for a kernel
/// that looks 250 times a second.
const BURST_MS: u64 = 4;

/// What a frame is longer than its packet at most: Ethernet's header and a VLAN's tag, in bytes.
const HEADER_BYTES: u32 = 18;

/// What stands between an interface of this MTU and those who send by it.
pub(super) fn shaping(conditions: &Conditions, mtu: Mtu) -> Shaping {
    let Conditions { impairments, rate, queue } = conditions;
    let tbf = rate.map(|rate| tbf(rate.bits_per_second() / 8, queue.unwrap_or(QUEUE), mtu));
    let limit_packets = match (tbf, queue) {
        (Some(_), _) => Netem::BOUNDLESS,
        (None, Some(queue)) => *queue,
        (None, None) => Netem::ROOMY,
    };
    let netem = (!impairments.is_none()).then_some(Netem { impairments: *impairments, limit_packets });
    Shaping { netem, tbf }
}

fn tbf(rate_bytes_per_s: u64, queue: u32, mtu: Mtu) -> Tbf {
    let longest = mtu.bytes() + HEADER_BYTES;
    // What is longer than the bucket never goes, so that two frames fit at least.
    let burst = (rate_bytes_per_s * BURST_MS / 1000).max(2 * u64::from(longest));
    Tbf {
        rate_bytes_per_s,
        burst_kib: u32::try_from(burst.div_ceil(1024)).unwrap_or(u32::MAX),
        limit_bytes: queue.saturating_mul(FRAME_BYTES).max(longest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Rate;
    use crate::model::conditions::{Delay, Impairments};

    #[test]
    fn each_part_has_its_discipline_and_the_queue_is_the_rates() {
        let time = "20ms".to_owned().try_into().unwrap();
        let impairments = Impairments { delay: Some(Delay { time, jitter: None }), ..Impairments::default() };
        let rate = Some(Rate::try_from("100mbit".to_owned()).unwrap());
        let of = |impairments, rate, queue| shaping(&Conditions { impairments, rate, queue }, Mtu::ETHERNET);

        assert!(of(Impairments::default(), None, None).is_none());
        let delayed = of(impairments, None, None);
        assert_eq!((delayed.netem.unwrap().limit_packets, delayed.tbf), (Netem::ROOMY, None));
        assert_eq!(of(impairments, None, Some(7)).netem.unwrap().limit_packets, 7);

        let both = of(impairments, rate, Some(50));
        assert_eq!(both.netem.unwrap().limit_packets, Netem::BOUNDLESS);
        let tbf = Tbf { rate_bytes_per_s: 12_500_000, burst_kib: 49, limit_bytes: 50 * FRAME_BYTES };
        assert_eq!(both.tbf, Some(tbf));
        assert_eq!(of(Impairments::default(), rate, None).tbf.unwrap().limit_bytes, QUEUE * FRAME_BYTES);
    }

    #[test]
    fn the_longest_frame_fits_however_slow_the_link_is() {
        let jumbo = Mtu::try_from(9000).unwrap();
        let rate = Some(Rate::try_from("8kbit".to_owned()).unwrap());
        let tbf = shaping(&Conditions { rate, queue: Some(1), ..Conditions::default() }, jumbo).tbf.unwrap();
        assert!(tbf.burst_kib * 1024 >= 2 * 9018 && tbf.limit_bytes >= 9018, "{tbf:?}");
        // The kernel counts the bucket in 32 bits of 64 ns.
        let longest =
            shaping(&Conditions { rate, ..Conditions::default() }, Mtu::try_from(65_535).unwrap()).tbf.unwrap();
        assert!(u64::from(longest.burst_kib) * 1024 * 1_000_000_000 / 64 / 1000 < u64::from(u32::MAX), "{longest:?}");
    }
}
