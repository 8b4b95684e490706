//! When an interface's advertisements to all nodes are due (RFC 4861 sections 6.2.4 and 6.2.6). Pure: time is handed in, as
//! what has passed since some beginning, and so is chance.

use std::time::Duration;

/// MIN_DELAY_BETWEEN_RAS: the least between two advertisements to all nodes.
const LEAST_BETWEEN: Duration = Duration::from_secs(3);
/// MAX_INITIAL_RTR_ADVERTISEMENTS: so many follow one another fast. The standard lets them be up to 16 s apart; whoever
/// waits for a spanning tree waits less if they are as near as they may be.
const INITIAL: u32 = 3;
/// MinRtrAdvInterval by default, and what MaxRtrAdvInterval, 600 s, is above that.
const SHORTEST: Duration = Duration::from_secs(200);
const SPREAD: Duration = Duration::from_secs(400);
/// How long an answer is held back at most, so that routers that were asked at once don't answer at once. MAX_RA_DELAY_TIME
/// is half a second, for networks of any size; a lab's few routers are apart by a tenth.
const LONGEST_ANSWER_DELAY: Duration = Duration::from_millis(100);
/// When to try again what could not be sent: the interface may be down, or not have its address yet.
const RETRY: Duration = Duration::from_secs(1);

/// A number from 0 to 65535, by chance.
pub(super) type Chance = u16;

/// Something between nothing and a duration.
fn some_of(duration: Duration, chance: Chance) -> Duration {
    duration * u32::from(chance) / u32::from(Chance::MAX)
}

/// How long the answer to a solicitation is held back.
pub(super) fn answer_delay(chance: Chance) -> Duration {
    some_of(LONGEST_ANSWER_DELAY, chance)
}

/// The advertisements of one interface to all nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Schedule {
    /// How many were sent.
    sent: u32,
    /// When the last one was.
    last: Option<Duration>,
    /// When the next one is due.
    next: Duration,
}

impl Schedule {
    /// When the next one is due.
    pub(super) fn next(&self) -> Duration {
        self.next
    }

    /// One was sent.
    pub(super) fn sent(&mut self, now: Duration, chance: Chance) {
        self.sent = self.sent.saturating_add(1);
        self.last = Some(now);
        let until = if self.sent < INITIAL { LEAST_BETWEEN } else { SHORTEST + some_of(SPREAD, chance) };
        self.next = now + until;
    }

    /// One could not be sent.
    pub(super) fn failed(&mut self, now: Duration) {
        self.next = now + RETRY;
    }

    /// Somebody asked who can't be answered alone.
    pub(super) fn asked(&mut self, now: Duration, chance: Chance) {
        let earliest = self.last.map_or(Duration::ZERO, |last| last + LEAST_BETWEEN);
        self.next = self.next.min((now + answer_delay(chance)).max(earliest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_ones_come_fast_and_then_minutes_pass() {
        let mut schedule = Schedule::default();
        let mut times = Vec::new();
        for chance in [0, 0, 0, Chance::MAX, 0] {
            let now = schedule.next();
            times.push(now.as_secs());
            schedule.sent(now, chance);
        }
        assert_eq!(times, [0, 3, 6, 206, 806]);
    }

    #[test]
    fn what_failed_is_tried_again_soon() {
        let mut schedule = Schedule::default();
        schedule.failed(Duration::from_secs(5));
        assert_eq!(schedule.next(), Duration::from_secs(6));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// However often it is asked, two are never nearer than the standard allows, nor further apart.
        #[test]
        fn the_standards_bounds_hold(asked in prop::collection::vec((0..20_000_u64, any::<Chance>()), 0..100)) {
            let mut schedule = Schedule::default();
            let (mut now, mut last) = (Duration::ZERO, None::<Duration>);
            for (ms, chance) in asked {
                now += Duration::from_millis(ms);
                while schedule.next() <= now {
                    let due = schedule.next();
                    prop_assert!(last.is_none_or(|last| (last + LEAST_BETWEEN..=last + SHORTEST + SPREAD).contains(&due)));
                    last = Some(due);
                    schedule.sent(due, chance);
                }
                schedule.asked(now, chance);
                let soonest = last.map_or(Duration::ZERO, |last| last + LEAST_BETWEEN);
                prop_assert!(schedule.next() <= (now + LONGEST_ANSWER_DELAY).max(soonest));
            }
        }
    }
}
