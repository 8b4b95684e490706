//! What can be wrong with a topology: here what the text's form gets wrong, in `validate` what it means.

use super::suggest::did_you_mean;
use super::validate::{
    AddressProblem, AutoconfigurationProblem, BehaviourProblem, ContainerProblem, DhcpProblem, ExpectProblem,
    LinkProblem, NameProblem, NodeProblem, OvsProblem, RouteProblem, SubnetProblem, SwitchProblem, UplinkProblem,
    VolumeProblem,
};

/// What is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The text is longer than any topology needs to be.
    #[error(
        "the text is longer than {max_mib} MiB, which is the most that is read: is this a topology? If so, split the lab"
    )]
    TooLong {
        /// The most that is read, in MiB.
        max_mib: usize,
    },
    /// There is nothing in the text.
    #[error("the text is empty: a topology has a `name` at least, and `nodes` and `links` to be of use")]
    Empty,
    /// The text is no YAML.
    #[error("this is not YAML: {message}")]
    Syntax {
        /// What the parser says.
        message: String,
    },
    /// Aliases repeat so much that the text means far more than it says.
    #[error(
        "the aliases (`*name`) repeat too much, the text would grow without bounds: write out what they stand for, \
         or use fewer of them"
    )]
    AliasBomb,
    /// A part of the text's form exceeds what is sensible.
    #[error("the text is too deeply nested or has too many values for a topology: {message}")]
    TooComplex {
        /// Which limit was met.
        message: String,
    },
    /// A key that is not known where it stands.
    #[error("unknown key `{key}`: {}known here are {}", did_you_mean(.suggestion.as_deref()), .known.join(", "))]
    UnknownKey {
        /// The key.
        key: String,
        /// Those that are known.
        known: &'static [&'static str],
        /// The nearest of them.
        suggestion: Option<String>,
    },
    /// A key that was there before in the same mapping.
    #[error("`{key}` is already there on line {first_line}: keep one of the two")]
    DuplicateKey {
        /// The key.
        key: String,
        /// The line of the first.
        first_line: u32,
    },
    /// A key that must be there.
    #[error("`{key}` is missing: add it")]
    MissingKey {
        /// The key.
        key: &'static str,
    },
    /// A value of another kind than what its place takes.
    #[error("found {found}: write {expected}")]
    WrongKind {
        /// The kind that is there.
        found: &'static str,
        /// What its place takes.
        expected: String,
    },
    /// A list that has too few or too many items.
    #[error("found a list of {found}: write a list of {expected}")]
    WrongLength {
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A number that its place can't hold.
    #[error("{value} is too big: use at most {max}")]
    NumberTooBig {
        /// The number.
        value: u64,
        /// The biggest.
        max: u64,
    },
    /// A word that is none of those that its place takes.
    #[error("`{found}` can't stand here: {}use {}", did_you_mean(.suggestion.as_deref()), .known.join(" or "))]
    UnknownChoice {
        /// The word.
        found: String,
        /// Those that can stand there.
        known: &'static [&'static str],
        /// The nearest of them.
        suggestion: Option<String>,
    },
    /// A value that is none; the message is that of the type that refused it, remedy included.
    #[error("{message}")]
    Value {
        /// Why it is none.
        message: String,
    },
    /// About names.
    #[error(transparent)]
    Name(#[from] NameProblem),
    /// About switches.
    #[error(transparent)]
    Switch(#[from] SwitchProblem),
    /// About what only Open vSwitch has.
    #[error(transparent)]
    Ovs(#[from] OvsProblem),
    /// About links.
    #[error(transparent)]
    Link(#[from] LinkProblem),
    /// About what happens to links' frames.
    #[error(transparent)]
    Behaviour(#[from] BehaviourProblem),
    /// About subnets.
    #[error(transparent)]
    Subnet(#[from] SubnetProblem),
    /// About interfaces' addresses.
    #[error(transparent)]
    Address(#[from] AddressProblem),
    /// About router advertisements.
    #[error(transparent)]
    Autoconfiguration(#[from] AutoconfigurationProblem),
    /// About addresses by DHCP.
    #[error(transparent)]
    Dhcp(#[from] DhcpProblem),
    /// About routes.
    #[error(transparent)]
    Route(#[from] RouteProblem),
    /// About what else a node has.
    #[error(transparent)]
    Node(#[from] NodeProblem),
    /// About the containers that nodes are.
    #[error(transparent)]
    Container(#[from] ContainerProblem),
    /// About volumes.
    #[error(transparent)]
    Volume(#[from] VolumeProblem),
    /// About the way to the machine's network.
    #[error(transparent)]
    Uplink(#[from] UplinkProblem),
    /// About expectations.
    #[error(transparent)]
    Expect(#[from] ExpectProblem),
}

impl Problem {
    /// Whether this may be the reason why an address or a link seems to be missing.
    pub(super) fn may_hide_addresses(&self) -> bool {
        match self {
            Self::UnknownKey { suggestion, .. } => suggestion.as_deref().is_some_and(|meant| {
                ["switches", "nodes", "links", "subnets", "interfaces", "addresses", "address", "endpoints"]
                    .contains(&meant)
            }),
            Self::DuplicateKey { .. } | Self::MissingKey { .. } => true,
            _ => false,
        }
    }
}
