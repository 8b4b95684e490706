//! Puts the steps of a plan in order, whatever order the kinds of resources name them in.

use super::types::{Op, Plan, Reason, Stage, Step, StepId};

/// A plan in the making.
#[derive(Default)]
pub(super) struct Steps {
    steps: Vec<Step>,
}

impl Steps {
    pub(super) fn push(&mut self, stage: Stage, reason: Reason, op: Op, undo: Vec<Op>) {
        // The number is given once the order is known.
        self.steps.push(Step { id: StepId(0), stage, reason, op, undo });
    }

    /// The steps by stage; within one, in the order in which they were named.
    pub(super) fn into_plan(mut self) -> Plan {
        self.steps.sort_by_key(|step| step.stage);
        for (id, step) in (1..).zip(&mut self.steps) {
            step.id = StepId(id);
        }
        Plan { steps: self.steps }
    }
}
