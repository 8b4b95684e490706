//! Changing one thing of a lab that is up: an `up` to the topology that it has, with that thing otherwise.

use super::context::{condition, require_place};
use super::{Nslab, Options};
use crate::Error;
use crate::model::LabName;
use crate::report::{LabCondition, UpReport};
use crate::spec::Spec;

impl Nslab {
    /// Brings a lab that is up to what `edit` makes of its topology.
    ///
    /// # Errors
    /// When it is not up, `edit` refuses, or what [`Nslab::up`] says.
    ///
    /// # Cancel safety
    /// As [`Nslab::up`].
    pub(super) async fn edit(
        &self,
        lab: &LabName,
        options: &Options,
        edit: impl FnOnce(&mut Spec) -> Result<(), Error>,
    ) -> Result<UpReport, Error> {
        require_place()?;
        let locked = self.lock_existing(lab, options).await?;
        let state = locked.read()?;
        let mut spec = match (condition(&state), &state.record) {
            (LabCondition::Up, Some(record)) => record.spec.clone(),
            (LabCondition::HalfChanged, _) => return Err(Error::HalfChanged { lab: lab.clone() }),
            _ => return Err(Error::HalfMade { lab: lab.clone() }),
        };
        edit(&mut spec)?;
        Box::pin(self.up_locked(locked, &spec, options)).await
    }
}
