//! What a link does to its frames on purpose, one way: it delays, loses, doubles, damages and holds them up.

use super::{Percent, Rate, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens to the frames of one way of a link; by default nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// What happens to single frames.
    pub impairments: Impairments,
    /// How fast they go.
    pub rate: Option<Rate>,
    /// How many may wait, as frames of [`FRAME_BYTES`]; more are lost.
    pub queue: Option<u32>,
}

/// The frame that a queue is counted in, in bytes: Ethernet's longest without the frame check sequence (IEEE 802.3).
pub const FRAME_BYTES: u32 = 1514;

/// What happens to single frames (tc-netem(8)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impairments {
    /// How long they take.
    pub delay: Option<Delay>,
    /// Which are lost.
    pub loss: Option<Loss>,
    /// Which arrive twice.
    pub duplicate: Option<Chance>,
    /// Which have one bit wrong.
    pub corrupt: Option<Chance>,
    /// Which are sent at once, ahead of those that the delay holds; nothing without a delay.
    pub reorder: Option<Chance>,
}

/// How long a frame takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delay {
    /// In the middle.
    pub time: Span,
    /// How it varies.
    pub jitter: Option<Jitter>,
}

/// How a delay varies from frame to frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jitter {
    /// By how much: the most where the distribution is uniform, the standard deviation of the others.
    pub time: Span,
    /// How much one frame's has to do with the last one's.
    pub correlation: Percent,
    /// How often what comes up.
    pub distribution: Distribution,
}

/// How delays are spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// Everything within the jitter as often as anything else.
    #[default]
    Uniform,
    /// The bell curve.
    Normal,
    /// Most a little early, a few very late.
    Pareto,
    /// One part normal, three parts Pareto.
    ParetoNormal,
}

/// Something that happens to some frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chance {
    /// To how many.
    pub probability: Percent,
    /// How much one frame's lot has to do with the last one's.
    pub correlation: Percent,
}

/// Which frames are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Any.
    Random(Chance),
    /// Those sent while the link is bad: the model of Gilbert and Elliott.
    Gemodel(GilbertElliott),
}

/// A link that is good or bad, and turns at each frame (tc-netem(8), `loss gemodel`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GilbertElliott {
    /// How likely a good one turns bad (p).
    pub turns_bad: Percent,
    /// How likely a bad one turns good (r).
    pub turns_good: Percent,
    /// How many frames a bad one loses (1-h).
    pub lost_while_bad: Percent,
    /// How many a good one does (1-k).
    pub lost_while_good: Percent,
}

impl Conditions {
    /// Whether nothing happens.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Impairments {
    /// Whether nothing happens.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Distribution {
    /// tc(8)'s name for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Normal => "normal",
            Self::Pareto => "pareto",
            Self::ParetoNormal => "paretonormal",
        }
    }
}

impl std::fmt::Display for Impairments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { delay, loss, duplicate, corrupt, reorder } = self;
        let mut parts = Vec::new();
        parts.extend(delay.map(|delay| delay.to_string()));
        parts.extend(loss.map(|loss| format!("loss {loss}")));
        let chances = [("duplicate", duplicate), ("corrupt", corrupt), ("reorder", reorder)];
        parts.extend(chances.into_iter().filter_map(|(what, chance)| Some(format!("{what} {}", (*chance)?))));
        f.write_str(&parts.join(", "))
    }
}

impl std::fmt::Display for Delay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "delay {}", self.time)?;
        let Some(Jitter { time, correlation, distribution }) = self.jitter else { return Ok(()) };
        write!(f, " ± {time}")?;
        if distribution != Distribution::Uniform {
            write!(f, " {}", distribution.as_str())?;
        }
        correlated(f, correlation)
    }
}

impl std::fmt::Display for Chance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.probability)?;
        correlated(f, self.correlation)
    }
}

fn correlated(f: &mut std::fmt::Formatter<'_>, correlation: Percent) -> std::fmt::Result {
    if correlation.is_zero() { Ok(()) } else { write!(f, " (correlation {correlation})") }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Random(chance) => chance.fmt(f),
            Self::Gemodel(GilbertElliott { turns_bad, turns_good, lost_while_bad, lost_while_good }) => {
                write!(f, "gemodel p {turns_bad} r {turns_good} 1-h {lost_while_bad} 1-k {lost_while_good}")
            }
        }
    }
}
