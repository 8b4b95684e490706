//! Links as people know them, each way alike. The numbers are round ones of the middle of what is measured, not of one
//! network.

use crate::model::conditions::{Chance, Conditions, Delay, Distribution, GilbertElliott, Impairments, Jitter, Loss};
use crate::model::{Percent, Rate, Span};
use schemars::JsonSchema;
use serde::Deserialize;

/// A sort of link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Gigabit Ethernet in a building.
    Lan,
    /// A wireless LAN that others use too.
    Wifi,
    /// A telephone line with DSL.
    Dsl,
    /// Mobile, UMTS with HSPA.
    #[serde(rename = "3g")]
    ThirdGeneration,
    /// Mobile, LTE.
    #[serde(rename = "4g")]
    FourthGeneration,
    /// By a geostationary satellite, 36 000 km up and down again.
    Satellite,
    /// A line that fails for a while, again and again.
    Lossy,
}

/// A text that names no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no profile: use lan, wifi, dsl, 3g, 4g, satellite or lossy")]
pub struct ProfileError(String);

impl std::str::FromStr for Profile {
    type Err = ProfileError;
    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let known = Self::ALL.into_iter().find(|profile| profile.as_str() == text);
        known.ok_or_else(|| ProfileError(text.to_owned()))
    }
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Lan, Self::Wifi, Self::Dsl, Self::ThirdGeneration, Self::FourthGeneration, Self::Satellite, Self::Lossy];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Wifi => "wifi",
            Self::Dsl => "dsl",
            Self::ThirdGeneration => "3g",
            Self::FourthGeneration => "4g",
            Self::Satellite => "satellite",
            Self::Lossy => "lossy",
        }
    }

    /// What happens to the frames of one way.
    pub fn conditions(self) -> Conditions {
        let random =
            |parts| Some(Loss::Random(Chance { probability: Percent::from_parts(parts), correlation: Percent::ZERO }));
        let gemodel = Some(Loss::Gemodel(GilbertElliott {
            turns_bad: Percent::from_parts(10_000),
            turns_good: Percent::from_parts(250_000),
            lost_while_bad: Percent::from_parts(500_000),
            lost_while_good: Percent::ZERO,
        }));
        // Microseconds of delay and jitter, loss, megabits per second, frames that may wait.
        let (delay, jitter, loss, rate, queue) = match self {
            Self::Lan => (100, 0, None, 1000, 500),
            Self::Wifi => (2000, 1000, random(1000), 100, 200),
            Self::Dsl => (10_000, 1000, None, 16, 100),
            Self::ThirdGeneration => (50_000, 10_000, random(5000), 2, 50),
            Self::FourthGeneration => (25_000, 5000, random(1000), 20, 100),
            Self::Satellite => (270_000, 2000, random(5000), 20, 500),
            Self::Lossy => (5000, 0, gemodel, 10, 100),
        };
        let span = |microseconds: u64| Span::from_nanoseconds(microseconds * 1000);
        let jitter = span(jitter).map(|time| Jitter {
            time,
            correlation: Percent::from_parts(250_000),
            distribution: Distribution::Normal,
        });
        let delay = span(delay).map(|time| Delay { time, jitter });
        let impairments = Impairments { delay, loss, ..Impairments::default() };
        Conditions { impairments, rate: Rate::from_bits_per_second(rate * 1_000_000), queue: Some(queue) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_a_delay_and_a_rate() {
        for profile in Profile::ALL {
            assert_eq!(profile.as_str().parse(), Ok(profile));
            let conditions = profile.conditions();
            assert!(conditions.impairments.delay.is_some() && conditions.rate.is_some(), "{profile:?}");
        }
        let satellite = Profile::Satellite.conditions();
        assert_eq!(satellite.impairments.to_string(), "delay 270ms ± 2ms normal (correlation 25%), loss 0.5%");
        assert!("5g".parse::<Profile>().is_err());
    }

    /// A line of docs/topology.md's table.
    #[test]
    fn the_documentation_says_the_same() {
        let text = include_str!("../../docs/topology.md");
        for profile in Profile::ALL {
            let head = format!("| `{}` |", profile.as_str());
            let line = text.lines().find(|line| line.starts_with(&head)).unwrap_or_else(|| panic!("no {head}"));
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, _, delay, jitter, loss, rate, queue, _] = cells[..] else { panic!("{line}") };
            let Conditions { impairments, rate: goes, queue: waits } = profile.conditions();
            let of = impairments.delay.unwrap();
            let varies = of.jitter.map(|jitter| jitter.time.to_string()).unwrap_or_default();
            let told = match impairments.loss {
                None => String::new(),
                Some(Loss::Random(chance)) => chance.probability.to_string(),
                Some(Loss::Gemodel(model)) => {
                    let GilbertElliott { turns_bad, turns_good, lost_while_bad, .. } = model;
                    format!("in bursts: p {turns_bad}, r {turns_good}, 1-h {lost_while_bad}")
                }
            };
            assert_eq!([delay, jitter, loss], [of.time.to_string(), varies, told], "{line}");
            assert_eq!([rate, queue], [goes.unwrap().to_string(), waits.unwrap().to_string()], "{line}");
        }
    }
}
