//! What a topology says of what happens to a link's frames. As `raw.rs`.

use super::Profile;
use super::field::Field;
use crate::model::conditions::Distribution;
use crate::model::{Percent, Rate, Span};
use schemars::JsonSchema;
use serde::Deserialize;

/// What happens to the frames of one way of a link, where that is not what happens to those of both.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConditions {
    /// A sort of link, to which the other keys are exceptions.
    pub(super) profile: Option<Field<Profile>>,
    /// How long frames take.
    pub(super) delay: Option<Field<Span>>,
    /// How the delay varies.
    pub(super) jitter: Option<Field<RawJitter>>,
    /// Which frames are lost.
    pub(super) loss: Option<Field<RawLoss>>,
    /// How many arrive twice.
    pub(super) duplicate: Option<Field<RawChance>>,
    /// How many have one bit wrong.
    pub(super) corrupt: Option<Field<RawChance>>,
    /// How many overtake those that are delayed.
    pub(super) reorder: Option<Field<RawChance>>,
    /// How fast frames go.
    pub(super) rate: Option<Field<Rate>>,
    /// How many frames of 1514 bytes wait for their turn; more are lost.
    #[schemars(range(min = 1))]
    pub(super) queue: Option<Field<u32>>,
}

/// A jitter, in short or in full.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawJitter {
    Text(Span),
    Mapping(RawJitterParts),
}

/// How a delay varies.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJitterParts {
    /// By how much: the most where it is uniform, else the standard deviation.
    pub(super) time: Field<Span>,
    /// How much one frame's has to do with the last one's.
    pub(super) correlation: Option<Field<Percent>>,
    /// How delays are spread; uniformly without it.
    pub(super) distribution: Option<Field<Distribution>>,
}

/// How many frames something happens to, in short or in full.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawChance {
    Text(Percent),
    Mapping(RawChanceParts),
}

/// How many frames something happens to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChanceParts {
    /// To how many.
    pub(super) probability: Field<Percent>,
    /// How much one frame's lot has to do with the last one's.
    pub(super) correlation: Option<Field<Percent>>,
}

/// Which frames are lost: so many at random, or those sent while the link is bad.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawLoss {
    Text(Percent),
    Mapping(RawLossParts),
}

/// Either `probability`, perhaps with `correlation`, or `gemodel`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLossParts {
    /// How many are lost.
    pub(super) probability: Option<Field<Percent>>,
    /// How much one frame's lot has to do with the last one's.
    pub(super) correlation: Option<Field<Percent>>,
    /// The model of Gilbert and Elliott.
    pub(super) gemodel: Option<Field<RawGemodel>>,
}

/// A link that is good or bad, and may turn at each frame.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGemodel {
    /// How likely a good one turns bad.
    pub(super) p: Field<Percent>,
    /// How likely a bad one turns good; what is missing from p to 100% without it.
    pub(super) r: Option<Field<Percent>>,
    /// How many frames a bad one loses; all without it.
    #[serde(rename = "1-h")]
    pub(super) lost_while_bad: Option<Field<Percent>>,
    /// How many a good one loses; none without it.
    #[serde(rename = "1-k")]
    pub(super) lost_while_good: Option<Field<Percent>>,
}
