//! The arguments of `nslab link`, and the small texts in them.

use crate::lab::LinkChange;
use crate::model::conditions::{Chance, Distribution, GilbertElliott, Jitter, Loss};
use crate::model::{LabName, Percent, Rate, Span};
use crate::spec::{Change, ConditionsChange, Profile, ProfileError};
use clap::{Args, Subcommand};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum LinkVerb {
    /// Show the links, and what happens to the frames of each of their ways
    Show {
        /// The lab
        #[arg(id = "which", value_name = "LAB")]
        lab: Option<LabName>,
    },
    /// Change a link until the next `up` or `link reset`; what is not mentioned stays
    Set(Box<LinkSetArguments>),
    /// Give links the topology's own behaviour back: the named ones, or all
    Reset {
        /// The links: A--B or NODE:INTERFACE
        #[arg(value_name = "LINK")]
        links: Vec<String>,
    },
}

/// `none` in place of a value takes away what there is.
#[derive(Debug, Args)]
#[command(override_usage = "nslab link set [OPTIONS] <LINK>")]
pub(crate) struct LinkSetArguments {
    /// The link: A--B for both its ways, NODE:INTERFACE for what leaves by that interface
    pub(crate) link: String,
    /// Of the link's two ways, only that to this end
    #[arg(long, value_name = "END")]
    pub(crate) towards: Option<String>,
    /// A sort of link, to which the other options are exceptions: lan, wifi, dsl, 3g, 4g, satellite or lossy; none lifts
    /// all conditions
    #[arg(long, value_name = "NAME", value_parser = or_none(profile))]
    pub(crate) profile: Option<Change<Profile>>,
    /// How long frames take, as in 20ms
    #[arg(long, value_name = "TIME", value_parser = or_none(time))]
    pub(crate) delay: Option<Change<Span>>,
    /// How the delay varies, perhaps with a correlation and a distribution: 5ms, 5ms,25%, 5ms,25%,normal
    #[arg(long, value_name = "TIME[,PERCENT][,DISTRIBUTION]", value_parser = or_none(jitter))]
    pub(crate) jitter: Option<Change<Jitter>>,
    /// How many frames are lost, perhaps with a correlation: 1%, 1%,25%
    #[arg(long, value_name = "PERCENT[,PERCENT]", value_parser = or_none(loss))]
    pub(crate) loss: Option<Change<Loss>>,
    /// The same by the model of Gilbert and Elliott: a good link turns bad with p, a bad one good with r
    #[arg(long, value_name = "P[,R[,1-H[,1-K]]]", conflicts_with = "loss", value_parser = or_none(gemodel))]
    pub(crate) gemodel: Option<Change<Loss>>,
    /// How many frames arrive twice, perhaps with a correlation
    #[arg(long, value_name = "PERCENT[,PERCENT]", value_parser = or_none(chance))]
    pub(crate) duplicate: Option<Change<Chance>>,
    /// How many frames have a bit wrong, perhaps with a correlation
    #[arg(long, value_name = "PERCENT[,PERCENT]", value_parser = or_none(chance))]
    pub(crate) corrupt: Option<Change<Chance>>,
    /// How many frames overtake those that are delayed, perhaps with a correlation
    #[arg(long, value_name = "PERCENT[,PERCENT]", value_parser = or_none(chance))]
    pub(crate) reorder: Option<Change<Chance>>,
    /// How fast frames go, as in 10mbit
    #[arg(long, value_name = "RATE", value_parser = or_none(rate))]
    pub(crate) rate: Option<Change<Rate>>,
    /// How many frames of 1514 bytes wait for their turn
    #[arg(long, value_name = "FRAMES", value_parser = or_none(queue))]
    pub(crate) queue: Option<Change<u32>>,
    /// Set the link down, at both ends
    #[arg(long, conflicts_with_all = ["up", "flap"])]
    pub(crate) down: bool,
    /// Set the link up
    #[arg(long, conflicts_with = "flap")]
    pub(crate) up: bool,
    /// Have the link up and down in turns, so long each, until Ctrl-C
    #[arg(long, value_name = "UP/DOWN", value_parser = flap)]
    pub(crate) flap: Option<Flap>,
}

/// How long a link is up and how long it is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flap {
    pub(crate) up: Duration,
    pub(crate) down: Duration,
}

impl LinkSetArguments {
    /// What is to become of the link, but for its turns.
    pub(crate) fn change(&self) -> LinkChange {
        fn of<T: Copy>(option: Option<Change<T>>) -> Change<T> {
            option.unwrap_or(Change::Keep)
        }
        let conditions = ConditionsChange {
            profile: of(self.profile),
            delay: of(self.delay),
            jitter: of(self.jitter),
            loss: of(self.loss.or(self.gemodel)),
            duplicate: of(self.duplicate),
            corrupt: of(self.corrupt),
            reorder: of(self.reorder),
            rate: of(self.rate),
            queue: of(self.queue),
        };
        let up = if self.down { Some(false) } else { self.up.then_some(true) };
        LinkChange { conditions, up }
    }
}

/// A value, or `none`.
fn or_none<T: Clone + Send + Sync + 'static>(
    parse: fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Change<T>, String> + Clone + Send + Sync + 'static {
    move |text| if text == "none" { Ok(Change::Clear) } else { parse(text).map(Change::Set) }
}

fn read<T: TryFrom<String, Error: ToString>>(text: &str) -> Result<T, String> {
    T::try_from(text.to_owned()).map_err(|error| error.to_string())
}

fn profile(text: &str) -> Result<Profile, String> {
    text.parse().map_err(|error: ProfileError| error.to_string())
}

fn time(text: &str) -> Result<Span, String> {
    read(text)
}

fn rate(text: &str) -> Result<Rate, String> {
    read(text)
}

fn queue(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is no number of frames: write a whole one, as in 100"))
}

fn jitter(text: &str) -> Result<Jitter, String> {
    let mut parts = text.split(',');
    let mut jitter = Jitter {
        time: read(parts.next().unwrap_or_default())?,
        correlation: Percent::ZERO,
        distribution: Distribution::Uniform,
    };
    for part in parts {
        const KNOWN: [Distribution; 4] =
            [Distribution::Uniform, Distribution::Normal, Distribution::Pareto, Distribution::ParetoNormal];
        match KNOWN.into_iter().find(|distribution| distribution.as_str() == part) {
            Some(distribution) => jitter.distribution = distribution,
            None if part.ends_with('%') => jitter.correlation = read(part)?,
            None => {
                return Err(format!(
                    "`{part}` is neither a correlation, as in 25%, nor uniform, normal, pareto or paretonormal"
                ));
            }
        }
    }
    Ok(jitter)
}

fn chance(text: &str) -> Result<Chance, String> {
    let (probability, correlation) = text.split_once(',').unwrap_or((text, "0%"));
    Ok(Chance { probability: read(probability)?, correlation: read(correlation)? })
}

fn loss(text: &str) -> Result<Loss, String> {
    chance(text).map(Loss::Random)
}

fn gemodel(text: &str) -> Result<Loss, String> {
    let mut parts = text.split(',').map(read::<Percent>);
    let mut next = || parts.next().transpose();
    let turns_bad = next()?.ok_or("write p at least, as in 1%")?;
    let model = GilbertElliott {
        turns_bad,
        turns_good: next()?.unwrap_or(turns_bad.rest()),
        lost_while_bad: next()?.unwrap_or(Percent::HUNDRED),
        lost_while_good: next()?.unwrap_or(Percent::ZERO),
    };
    if next()?.is_some() {
        return Err("there are at most four: p, r, 1-h and 1-k".to_owned());
    }
    Ok(Loss::Gemodel(model))
}

fn flap(text: &str) -> Result<Flap, String> {
    let wrong = || format!("`{text}` is not two times with a slash, as in 5s/2s");
    let (up, down) = text.split_once('/').ok_or_else(wrong)?;
    let duration = |text: &str| read::<Span>(text).map(|span| Duration::from_nanos(span.nanoseconds()));
    Ok(Flap { up: duration(up)?, down: duration(down)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are_told() {
        let told = |jitter: Jitter| (jitter.time.to_string(), jitter.correlation.to_string(), jitter.distribution);
        assert_eq!(jitter("5ms").map(told), Ok(("5ms".into(), "0%".into(), Distribution::Uniform)));
        assert_eq!(jitter("5ms,25%,normal").map(told), Ok(("5ms".into(), "25%".into(), Distribution::Normal)));
        assert_eq!(jitter("5ms,pareto").map(told), Ok(("5ms".into(), "0%".into(), Distribution::Pareto)));
        assert!(jitter("5ms,bell").unwrap_err().contains("normal"));
        assert_eq!(loss("1%,25%").map(|loss| loss.to_string()), Ok("1% (correlation 25%)".into()));
        assert_eq!(gemodel("1%").map(|loss| loss.to_string()), Ok("gemodel p 1% r 99% 1-h 100% 1-k 0%".into()));
        assert_eq!(gemodel("1%,2%,3%,4%").map(|loss| loss.to_string()), Ok("gemodel p 1% r 2% 1-h 3% 1-k 4%".into()));
        assert!(gemodel("1%,2%,3%,4%,5%").is_err());
        assert_eq!(flap("5s/200ms"), Ok(Flap { up: Duration::from_secs(5), down: Duration::from_millis(200) }));
        assert!(flap("5s").is_err() && flap("5/2").is_err());
        assert_eq!(or_none(time)("none"), Ok(Change::Clear));
    }
}
