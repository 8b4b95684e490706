//! What happens to the frames of a link, each way.

use super::links::{Joined, Wiring};
use super::names::Things;
use super::value;
use crate::model::conditions::{Chance, Conditions, Distribution, GilbertElliott, Jitter, Loss};
use crate::model::{Percent, Rate, Span};
use crate::spec::conditions::{Change, ConditionsChange, ConditionsProblem};
use crate::spec::error::Problems;
use crate::spec::field::Field;
use crate::spec::raw::RawLinkParts;
use crate::spec::raw_conditions::{RawChance, RawConditions, RawJitter, RawJitterParts, RawLoss, RawLossParts};
use crate::spec::suggest::list;
use crate::spec::{LinkBehaviour, Position, Profile};

/// What is wrong with what happens to frames.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BehaviourProblem {
    /// Things that don't go together.
    #[error(transparent)]
    Conditions(#[from] ConditionsProblem),
    /// A way that the link does not go.
    #[error("the link does not lead to `{name}`: `towards` names one of its ends, {ends}")]
    NoSuchEnd {
        /// What is named.
        name: String,
        /// The link's ends.
        ends: String,
    },
    /// Two sorts of loss at once, or none.
    #[error("`loss` is a percentage, or `probability` with or without `correlation`, or `gemodel`: write one of them")]
    LossForm,
    /// Two shapers of the same frames.
    #[error(
        "`egress_qos` and the link's conditions both shape what the switch sends: keep one of them, or give the \
         conditions for the other way alone, as in `towards: {{{switch}: …}}`"
    )]
    TwoShapers {
        /// The switch.
        switch: String,
    },
}

/// How the link behaves; `ends` are the names of what it joins.
pub(super) fn behaviour(parts: &RawLinkParts, ends: &[String; 2], problems: &mut Problems) -> LinkBehaviour {
    let RawLinkParts { profile, delay, jitter, loss, duplicate, corrupt, reorder, rate, queue, towards, .. } = parts;
    let both = Keys { profile, delay, jitter, loss, duplicate, corrupt, reorder, rate, queue };
    let mut conditions = [both.apply(&Conditions::default(), problems); 2];
    for (name, one_way) in value(towards.as_ref()).into_iter().flat_map(|towards| &towards.entries) {
        let (Some(to), Some(keys)) = (&name.value, &one_way.value) else { continue };
        // What goes towards one end, the other one sends.
        if let Some(end) = ends.iter().position(|end| end == to) {
            conditions[1 - end] = Keys::of(keys).apply(&conditions[1 - end], problems);
        } else {
            let ends = list(&ends.each_ref().map(String::as_str));
            problems.add(name.at, BehaviourProblem::NoSuchEnd { name: to.clone(), ends });
        }
    }
    LinkBehaviour { conditions, up: true }
}

/// What a switch of Open vSwitch shapes itself, nothing else can.
pub(super) fn check_shapers(things: &Things<'_>, wiring: &Wiring<'_>, problems: &mut Problems) {
    for link in &wiring.links {
        let Some((_, at)) = link.limits.egress_qos else { continue };
        for (end, conditions) in link.ends.iter().zip(&link.behaviour.conditions) {
            if let Joined::Switch(switch) = end
                && !conditions.is_none()
            {
                let switch = things.switches[*switch].name.to_string();
                problems.add(at, BehaviourProblem::TwoShapers { switch });
            }
        }
    }
}

/// The keys, whether of a link or of one way of it.
struct Keys<'r> {
    profile: &'r Option<Field<Profile>>,
    delay: &'r Option<Field<Span>>,
    jitter: &'r Option<Field<RawJitter>>,
    loss: &'r Option<Field<RawLoss>>,
    duplicate: &'r Option<Field<RawChance>>,
    corrupt: &'r Option<Field<RawChance>>,
    reorder: &'r Option<Field<RawChance>>,
    rate: &'r Option<Field<Rate>>,
    queue: &'r Option<Field<u32>>,
}

impl<'r> Keys<'r> {
    fn of(raw: &'r RawConditions) -> Self {
        let RawConditions { profile, delay, jitter, loss, duplicate, corrupt, reorder, rate, queue } = raw;
        Self { profile, delay, jitter, loss, duplicate, corrupt, reorder, rate, queue }
    }

    fn apply(&self, before: &Conditions, problems: &mut Problems) -> Conditions {
        let likely = |field: &Option<Field<RawChance>>| set(field.as_ref(), chance);
        let change = ConditionsChange {
            profile: set(self.profile.as_ref(), |profile| Some(*profile)),
            delay: set(self.delay.as_ref(), |delay| Some(*delay)),
            jitter: set(self.jitter.as_ref(), jitter),
            loss: set(self.loss.as_ref(), |raw| loss(raw, self.loss.as_ref().map(|field| field.at), problems)),
            duplicate: likely(self.duplicate),
            corrupt: likely(self.corrupt),
            reorder: likely(self.reorder),
            rate: set(self.rate.as_ref(), |rate| Some(*rate)),
            queue: set(self.queue.as_ref(), |queue| Some(*queue)),
        };
        change.apply(before).unwrap_or_else(|problem| {
            // What could not be read may be just what is missing.
            if !self.is_doubtful() {
                problems.add(self.position(problem.key()), BehaviourProblem::from(problem));
            }
            *before
        })
    }

    /// Whether a value that others depend on could not be read.
    fn is_doubtful(&self) -> bool {
        let [delay, rate] =
            [self.delay.as_ref().map(|f| f.value.is_none()), self.rate.as_ref().map(|f| f.value.is_none())];
        let profile = self.profile.as_ref().map(|f| f.value.is_none());
        [delay, rate, profile].contains(&Some(true))
    }

    /// Where a key stands; where it does not, it is the delay that does not suit what was there before.
    fn position(&self, key: &str) -> Position {
        let of = match key {
            "jitter" => self.jitter.as_ref().map(|field| field.at),
            "reorder" => self.reorder.as_ref().map(|field| field.at),
            "rate" => self.rate.as_ref().map(|field| field.at),
            _ => self.queue.as_ref().map(|field| field.at),
        };
        let delay = self.delay.as_ref().map(|field| field.at);
        of.or(delay).or(self.profile.as_ref().map(|field| field.at)).unwrap_or(Position { line: 1, column: 1 })
    }
}

/// Set to what a key says, where it is there and can be read.
fn set<R, T>(field: Option<&Field<R>>, read: impl FnOnce(&R) -> Option<T>) -> Change<T> {
    value(field).and_then(read).map_or(Change::Keep, Change::Set)
}

fn jitter(raw: &RawJitter) -> Option<Jitter> {
    Some(match raw {
        RawJitter::Text(time) => {
            Jitter { time: *time, correlation: Percent::ZERO, distribution: Distribution::default() }
        }
        RawJitter::Mapping(RawJitterParts { time, correlation, distribution }) => Jitter {
            time: time.value?,
            correlation: value(correlation.as_ref()).copied().unwrap_or_default(),
            distribution: value(distribution.as_ref()).copied().unwrap_or_default(),
        },
    })
}

fn chance(raw: &RawChance) -> Option<Chance> {
    Some(match raw {
        RawChance::Text(probability) => Chance { probability: *probability, correlation: Percent::ZERO },
        RawChance::Mapping(parts) => Chance {
            probability: parts.probability.value?,
            correlation: value(parts.correlation.as_ref()).copied().unwrap_or_default(),
        },
    })
}

fn loss(raw: &RawLoss, at: Option<Position>, problems: &mut Problems) -> Option<Loss> {
    let RawLossParts { probability, correlation, gemodel } = match raw {
        RawLoss::Text(probability) => {
            return Some(Loss::Random(Chance { probability: *probability, correlation: Percent::ZERO }));
        }
        RawLoss::Mapping(parts) => parts,
    };
    match (probability, correlation, gemodel) {
        (Some(probability), correlation, None) => {
            let correlation = value(correlation.as_ref()).copied().unwrap_or_default();
            Some(Loss::Random(Chance { probability: probability.value?, correlation }))
        }
        (None, None, Some(model)) => {
            let model = model.value.as_ref()?;
            let turns_bad = model.p.value?;
            Some(Loss::Gemodel(GilbertElliott {
                turns_bad,
                turns_good: value(model.r.as_ref()).copied().unwrap_or(turns_bad.rest()),
                lost_while_bad: value(model.lost_while_bad.as_ref()).copied().unwrap_or(Percent::HUNDRED),
                lost_while_good: value(model.lost_while_good.as_ref()).copied().unwrap_or_default(),
            }))
        }
        _ => {
            problems.add(at?, BehaviourProblem::LossForm);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::{Link, parse};

    /// A lab with one link of which this is said.
    fn lab(ends: &str, what: &str) -> String {
        format!(
            "name: lab\nswitches: {{s1: {{backend: ovs}}}}\nnodes: {{a: , b: }}\nlinks:\n  - {{endpoints: {ends}{what}}}\n"
        )
    }

    fn link(what: &str) -> Link {
        parse(&lab("[a, b]", what), "lab").unwrap().links.remove(0)
    }

    /// What happens on the way to b, and to a.
    fn ways(what: &str) -> [String; 2] {
        link(what).behaviour.conditions.map(|of| {
            let parts = [of.rate.map(|rate| format!("rate {rate}")), of.queue.map(|queue| format!("queue {queue}"))];
            let first = Some(of.impairments.to_string()).filter(|text| !text.is_empty());
            [first].into_iter().chain(parts).flatten().collect::<Vec<_>>().join(", ")
        })
    }

    fn both(what: &str) -> [String; 2] {
        [what.to_owned(), what.to_owned()]
    }

    #[test]
    fn short_and_long_forms_are_read() {
        assert_eq!(ways(""), both(""));
        let short =
            ", delay: 20ms, jitter: 5ms, loss: 1%, duplicate: 2%, corrupt: 0.1%, reorder: 5%, rate: 1mbit, queue: 9";
        let told = "delay 20ms ± 5ms, loss 1%, duplicate 2%, corrupt 0.1%, reorder 5%, rate 1mbit, queue 9";
        assert_eq!(ways(short), both(told));
        let long = ", delay: 20ms, jitter: {time: 5ms, correlation: 25%, distribution: paretonormal}, \
                    loss: {gemodel: {p: 1%}}, duplicate: {probability: 2%, correlation: 3%}";
        let told = "delay 20ms ± 5ms paretonormal (correlation 25%), loss gemodel p 1% r 99% 1-h 100% 1-k 0%, \
                    duplicate 2% (correlation 3%)";
        assert_eq!(ways(long), both(told));
        let model = ", loss: {gemodel: {p: 1%, r: 2%, 1-h: 3%, 1-k: 4%}}";
        assert_eq!(ways(model), both("loss gemodel p 1% r 2% 1-h 3% 1-k 4%"));
        assert_eq!(ways(", loss: {probability: 1%, correlation: 5%}"), both("loss 1% (correlation 5%)"));
        assert_eq!(
            ways(", profile: dsl, loss: 2%")[0],
            "delay 10ms ± 1ms normal (correlation 25%), loss 2%, rate 16mbit, queue 100"
        );
        assert!(link(", profile: 4g").behaviour.up && link("").at_run_time.is_none());
    }

    #[test]
    fn one_way_may_differ() {
        let [to_b, to_a] = ways(", delay: 20ms, rate: 1mbit, towards: {b: {rate: 2mbit}, a: {loss: 1%}}");
        assert_eq!((to_b.as_str(), to_a.as_str()), ("delay 20ms, rate 2mbit", "delay 20ms, loss 1%, rate 1mbit"));
        assert_eq!(ways(", loss: 5%, towards: {a: {loss: 0%}}"), ["loss 5%".to_owned(), String::new()]);
        assert!(ways(", rate: 1mbit, towards: {b: {profile: lan}}")[0].contains("rate 1gbit"));
    }

    #[test]
    fn what_is_wrong_is_told_where_it_stands() {
        let errors = |ends: &str, what: &str| {
            let errors = parse(&lab(ends, what), "lab").expect_err("it is wrong").to_string();
            errors.lines().map(|line| line.trim_start_matches("lab:").to_owned()).collect::<Vec<_>>()
        };
        for (what, expected) in [
            (
                ", jitter: 5ms",
                "5:33: `jitter` is how the delay varies, and there is none: give a `delay` too, as in 20ms",
            ),
            (
                ", delay: 1ms, jitter: {time: 5ms}",
                "5:45: the jitter 5ms is more than the delay 1ms: no frame arrives before it is sent, make it shorter",
            ),
            (
                ", reorder: 5%",
                "5:34: `reorder` has frames overtake those that are delayed, and none is: give a `delay` too, as in 20ms",
            ),
            (
                ", queue: 5",
                "5:32: `queue` is how many frames wait, and none does without a `rate` or a `delay`: give one of them too",
            ),
            (", rate: 1mbit, queue: 0", "5:45: `queue` is 0: a link takes one frame at least"),
            (
                ", loss: 101%",
                "5:31: `101%` is no percentage: write a number from 0 to 100 with at most four decimals, as in 1% or 0.1%",
            ),
            (", delay: fast", "5:32: `fast` is no time: write a whole number with its unit, as in 500us, 20ms or 1s"),
            (
                ", loss: {correlation: 5%}",
                "5:31: `loss` is a percentage, or `probability` with or without `correlation`, or `gemodel`: write one of them",
            ),
            (
                ", towards: {c: {loss: 1%}}",
                "5:35: the link does not lead to `c`: `towards` names one of its ends, a and b",
            ),
            // What can't be read is the only thing that is told.
            (
                ", delay: soon, jitter: 5ms",
                "5:32: `soon` is no time: write a whole number with its unit, as in 500us, 20ms or 1s",
            ),
        ] {
            assert_eq!(errors("[a, b]", what), [expected], "{what}");
        }
        let shapers = "5:51: `egress_qos` and the link's conditions both shape what the switch sends: keep one of them, or \
                       give the conditions for the other way alone, as in `towards: {s1: …}`";
        assert_eq!(errors("[a, s1]", ", rate: 1mbit, egress_qos: {rate: 5mbit}"), [shapers]);
        assert!(parse(&lab("[a, s1]", ", towards: {s1: {rate: 1mbit}}, egress_qos: {rate: 5mbit}"), "lab").is_ok());
    }
}
