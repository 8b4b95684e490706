//! The way in: text to YAML tree, within limits that no topology meets, and on to decoding and validation.

use super::error::Problems;
use super::raw::RawTopology;
use super::tree::{Tree, Value, position};
use super::{Position, Problem, Spec, SpecErrors, decode, validate};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error as YamlError, Options};

/// The longest text that is taken for a topology, in bytes. A node with its link takes about 40.
pub const MAX_TEXT_BYTES: usize = 4 << 20;

/// The most values that aliases may add to a text: some for each node of the largest lab.
const MAX_ALIASED_VALUES: usize = 200_000;

/// Topologies nest six deep.
const MAX_DEPTH: usize = 32;

/// Reads a topology. `origin` is where the text came from, as errors name it.
///
/// # Errors
/// Everything that is wrong with the text, in its order; a text that is no YAML has one error, the first.
pub fn parse(text: &str, origin: &str) -> Result<Spec, SpecErrors> {
    let mut problems = Problems::default();
    let refused = |mut problems: Problems, at, problem: Problem| {
        problems.add(at, problem);
        Err(problems.into_errors(origin).unwrap_or(SpecErrors { errors: Vec::new() }))
    };
    let tree = match read(text) {
        Ok(tree) => tree,
        Err((at, problem)) => return refused(problems, at, problem),
    };
    let (raw, found) = decode::decode::<RawTopology>(&tree, text);
    problems = Problems::new(found);
    let spec = raw.and_then(|raw| validate::validate(&raw, &mut problems));
    match (problems.into_errors(origin), spec) {
        (None, Some(spec)) => Ok(spec),
        (Some(errors), _) => Err(errors),
        // Validation without a result has reported why.
        (None, None) => refused(Problems::default(), Position::START, Problem::Empty),
    }
}

fn read(text: &str) -> Result<Tree, (Position, Problem)> {
    if text.len() > MAX_TEXT_BYTES {
        return Err((Position::START, Problem::TooLong { max_mib: MAX_TEXT_BYTES >> 20 }));
    }
    let tree: Tree = serde_saphyr::from_str_with_options(text, options()).map_err(|e| refusal(&e))?;
    if matches!(tree.value, Value::Null) {
        return Err((Position::START, Problem::Empty));
    }
    Ok(tree)
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            // The text's length bounds the rest well enough.
            max_events: MAX_TEXT_BYTES,
            max_nodes: MAX_TEXT_BYTES,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_documents: 1,
            // A thousand nodes may share one anchor: what they replay is bounded below.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED_VALUES },
        // Reported by `decode`, all of them at once.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // YAML 1.2: `on`, `no` and `y` are texts, and so may be names.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        // The errors are shown by line and column, in one form with those of validation.
        with_snippet: false,
    }
}

/// A YAML error in our words where it is about limits, else in the parser's.
fn refusal(error: &YamlError) -> (Position, Problem) {
    let mut error = error.without_snippet();
    let at = error.location().map_or(Position::START, position);
    // What goes wrong while an alias is replayed is told with both places, its own and the anchor's.
    while let YamlError::AliasError { error: inner, .. } = error {
        error = inner;
    }
    let problem = match error {
        YamlError::Eof { .. } => Problem::Empty,
        YamlError::AliasReplayLimitExceeded { .. }
        | YamlError::AliasReplayCounterOverflow { .. }
        | YamlError::AliasExpansionLimitExceeded { .. }
        | YamlError::AliasReplayStackDepthExceeded { .. } => Problem::AliasBomb,
        YamlError::Budget { .. } => Problem::TooComplex { message: one_line(error) },
        _ => Problem::Syntax { message: one_line(error) },
    };
    (at, problem)
}

fn one_line(error: &YamlError) -> String {
    let text = error.to_string();
    // The position goes in front, with the file's name.
    let text = text.split(" at line ").next().unwrap_or(&text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
