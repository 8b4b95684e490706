//! What nobody needs any more of a store, layers apart: what containers have written that are no more, and what is left of imports
//! and removals that were ended.

use super::work::Left;
use serde::Serialize;

/// What was taken away, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// How many containers were no more whose files were there.
    pub containers: usize,
    /// How many imports and removals had ended before they were done.
    pub unfinished: usize,
    /// What could not be removed, and why; the rest is gone.
    pub failed: Vec<String>,
}

impl Swept {
    /// What it was, in words.
    pub fn words(&self) -> Vec<String> {
        let of = |count, one: &str, many: &str| match count {
            0 => None,
            1 => Some(one.to_owned()),
            _ => Some(format!("what {count} {many}")),
        };
        let containers = of(
            self.containers,
            "what a container had written that is no more",
            "containers had written that are no more",
        );
        let unfinished =
            of(self.unfinished, "what is left of an import or a removal", "imports and removals have left");
        containers.into_iter().chain(unfinished).collect()
    }

    /// Warns of what could not be removed.
    pub fn warn(&self) {
        for why in &self.failed {
            tracing::warn!("{why}");
        }
    }

    pub(super) fn remove_left(&mut self, left: Vec<Left>) {
        for left in left {
            match left.remove() {
                Ok(()) => self.unfinished += 1,
                Err(error) => self.failed.push(error.chain()),
            }
        }
    }
}
