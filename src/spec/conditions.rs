//! Changing what happens to a link's frames: by the keys of a topology, and by the options of `nslab link set`.

use super::Profile;
use crate::model::conditions::{Chance, Conditions, Delay, Jitter, Loss};
use crate::model::{Rate, Span};

/// Netem holds a jitter as a signed 32-bit number of nanoseconds (netem_change, net/sched/sch_netem.c).
const MOST_JITTER_MS: u64 = 2147;

/// Bits per second. TBF holds a bucket as an unsigned 32-bit number of ticks of 64 ns, in which two of the longest packets
/// have to fit.
const LEAST_RATE: u64 = 8000;

/// What is to become of one thing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// What it was.
    #[default]
    Keep,
    /// Nothing.
    Clear,
    /// This.
    Set(T),
}

impl<T> Change<T> {
    /// What becomes of something.
    pub fn of(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Keep => before,
            Self::Clear => None,
            Self::Set(after) => Some(after),
        }
    }
}

/// What is to become of the conditions of one way of a link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConditionsChange {
    /// In place of all that was; cleared, nothing is.
    pub profile: Change<Profile>,
    /// The delay, in the middle.
    pub delay: Change<Span>,
    /// How it varies.
    pub jitter: Change<Jitter>,
    /// What is lost.
    pub loss: Change<Loss>,
    /// What arrives twice.
    pub duplicate: Change<Chance>,
    /// What is damaged.
    pub corrupt: Change<Chance>,
    /// What overtakes.
    pub reorder: Change<Chance>,
    /// How fast it goes.
    pub rate: Change<Rate>,
    /// How many frames may wait.
    pub queue: Change<u32>,
}

/// Conditions that make no sense together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionsProblem {
    /// Something varies that isn't there.
    #[error("`jitter` is how the delay varies, and there is none: give a `delay` too, as in 20ms")]
    JitterWithoutDelay,
    /// Frames would arrive before they are sent.
    #[error("the jitter {jitter} is more than the delay {delay}: no frame arrives before it is sent, make it shorter")]
    JitterTooLong {
        /// The jitter.
        jitter: Span,
        /// The delay.
        delay: Span,
    },
    /// More than the kernel has delays vary.
    #[error("the jitter {0} is more than the kernel takes: use at most {MOST_JITTER_MS}ms")]
    JitterTooMuch(Span),
    /// Slower than a frame can be waited for.
    #[error("the rate {0} is too slow for a link: use at least 8kbit, at which a full frame takes a second and a half")]
    RateTooSlow(Rate),
    /// Nobody is there to be overtaken.
    #[error("`reorder` has frames overtake those that are delayed, and none is: give a `delay` too, as in 20ms")]
    ReorderWithoutDelay,
    /// Nobody waits.
    #[error("`queue` is how many frames wait, and none does without a `rate` or a `delay`: give one of them too")]
    QueueWithoutRate,
    /// Nothing gets in.
    #[error("`queue` is 0: a link takes one frame at least")]
    NoQueue,
}

impl ConditionsProblem {
    /// The key that it is about.
    pub fn key(&self) -> &'static str {
        match self {
            Self::JitterWithoutDelay | Self::JitterTooLong { .. } | Self::JitterTooMuch(_) => "jitter",
            Self::RateTooSlow(_) => "rate",
            Self::ReorderWithoutDelay => "reorder",
            Self::QueueWithoutRate | Self::NoQueue => "queue",
        }
    }
}

impl ConditionsChange {
    /// Whether it changes nothing.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What becomes of conditions.
    ///
    /// # Errors
    /// When that makes no sense.
    pub fn apply(&self, before: &Conditions) -> Result<Conditions, ConditionsProblem> {
        let Self { profile, delay, jitter, loss, duplicate, corrupt, reorder, rate, queue } = self;
        let mut after = match profile {
            Change::Keep => *before,
            Change::Clear => Conditions::default(),
            Change::Set(profile) => profile.conditions(),
        };
        let of = &mut after.impairments;
        let varies = jitter.of(of.delay.and_then(|delay| delay.jitter));
        of.delay = match delay.of(of.delay.map(|delay| delay.time)) {
            Some(time) => Some(Delay { time, jitter: varies }),
            None if matches!(jitter, Change::Set(_)) => return Err(ConditionsProblem::JitterWithoutDelay),
            None => None,
        };
        if let Some(Delay { time, jitter: Some(Jitter { time: jitter, .. }) }) = of.delay
            && jitter > time
        {
            return Err(ConditionsProblem::JitterTooLong { jitter, delay: time });
        }
        if let Some(Delay { jitter: Some(Jitter { time, .. }), .. }) = of.delay
            && time.nanoseconds() > MOST_JITTER_MS * 1_000_000
        {
            return Err(ConditionsProblem::JitterTooMuch(time));
        }
        of.loss = loss.of(of.loss).filter(|loss| !is_moot(loss));
        for (chance, change) in [(&mut of.duplicate, duplicate), (&mut of.corrupt, corrupt), (&mut of.reorder, reorder)]
        {
            *chance = change.of(*chance).filter(|chance| !chance.probability.is_zero());
        }
        if of.reorder.is_some() && of.delay.is_none() {
            return Err(ConditionsProblem::ReorderWithoutDelay);
        }
        after.rate = rate.of(after.rate);
        if let Some(rate) = after.rate.filter(|rate| rate.bits_per_second() < LEAST_RATE) {
            return Err(ConditionsProblem::RateTooSlow(rate));
        }
        // A queue is of what makes it wait, and goes with that unless it is asked for.
        let waits = after.rate.is_some() || after.impairments.delay.is_some();
        after.queue = match queue {
            Change::Set(0) => return Err(ConditionsProblem::NoQueue),
            Change::Set(_) if !waits => return Err(ConditionsProblem::QueueWithoutRate),
            change => change.of(after.queue).filter(|_| waits),
        };
        Ok(after)
    }
}

fn is_moot(loss: &Loss) -> bool {
    match loss {
        Loss::Random(chance) => chance.probability.is_zero(),
        Loss::Gemodel(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Percent;
    use crate::model::conditions::Distribution;

    fn span(text: &str) -> Span {
        text.to_owned().try_into().unwrap()
    }

    fn jitter(time: &str) -> Change<Jitter> {
        let (correlation, distribution) = (Percent::ZERO, Distribution::Normal);
        Change::Set(Jitter { time: span(time), correlation, distribution })
    }

    #[test]
    fn what_is_not_mentioned_stays_and_a_profile_is_the_base() {
        let none = Conditions::default();
        let slow = ConditionsChange { delay: Change::Set(span("20ms")), jitter: jitter("5ms"), ..Default::default() };
        let slow = slow.apply(&none).unwrap();
        assert_eq!(slow.impairments.to_string(), "delay 20ms ± 5ms normal");
        let slower = ConditionsChange { delay: Change::Set(span("30ms")), ..Default::default() };
        assert_eq!(slower.apply(&slow).unwrap().impairments.to_string(), "delay 30ms ± 5ms normal");
        // The jitter goes with the delay, the queue with the rate.
        let mobile = ConditionsChange {
            profile: Change::Set(Profile::FourthGeneration),
            delay: Change::Clear,
            rate: Change::Clear,
            ..Default::default()
        };
        let mobile = mobile.apply(&slow).unwrap();
        assert_eq!((mobile.impairments.to_string().as_str(), mobile.rate, mobile.queue), ("loss 0.1%", None, None));
        let never = Change::Set(Loss::Random(Chance { probability: Percent::ZERO, correlation: Percent::ZERO }));
        let without = ConditionsChange { loss: never, ..Default::default() };
        assert_eq!(without.apply(&mobile), Ok(none), "never is nothing");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        use ConditionsProblem as Problem;
        let fails = |change: ConditionsChange| change.apply(&Conditions::default()).unwrap_err();
        let base = ConditionsChange::default;
        assert_eq!(fails(ConditionsChange { jitter: jitter("5ms"), ..base() }), Problem::JitterWithoutDelay);
        let change = ConditionsChange { jitter: jitter("5ms"), delay: Change::Set(span("1ms")), ..base() };
        assert_eq!(fails(change), Problem::JitterTooLong { jitter: span("5ms"), delay: span("1ms") });
        let always = Change::Set(Chance { probability: Percent::HUNDRED, correlation: Percent::ZERO });
        assert_eq!(fails(ConditionsChange { reorder: always, ..base() }), Problem::ReorderWithoutDelay);
        assert_eq!(fails(ConditionsChange { queue: Change::Set(5), ..base() }), Problem::QueueWithoutRate);
        assert_eq!(fails(ConditionsChange { queue: Change::Set(0), ..base() }), Problem::NoQueue);
        let change = ConditionsChange { jitter: jitter("2148ms"), delay: Change::Set(span("9s")), ..base() };
        assert_eq!(fails(change), Problem::JitterTooMuch(span("2148ms")));
        let slow = Rate::try_from("7kbit".to_owned()).unwrap();
        assert_eq!(fails(ConditionsChange { rate: Change::Set(slow), ..base() }), Problem::RateTooSlow(slow));
    }
}
