//! The rows of any lab: what `doctor` and `gc` look at.

use super::{OvsError, connect, observe};
use crate::host::{Host, HostError};
use crate::model::ovs::{
    MARK_BOOT, MARK_ID, MARK_INSTANCE, MARK_LAB, OvsChange, OvsGone, OvsRowId, OvsRows, OvsTable, OvsThen, OvsdbServer,
};
use crate::model::{Instance, LabName};
use std::collections::BTreeMap;

/// The rows of one lab, by what they are marked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkedRows {
    /// The lab.
    pub lab: LabName,
    /// The boot that they were made in.
    pub boot: String,
    /// Which of the labs of its name; a script's has none.
    pub instance: Option<Instance>,
    /// The rows.
    pub ids: Vec<OvsRowId>,
}

impl Host {
    /// The rows of all labs in a database; none where there is no server.
    ///
    /// # Errors
    /// When there is a server, and it can't be asked.
    pub async fn marked_rows(&self, server: &OvsdbServer) -> Result<Vec<MarkedRows>, HostError> {
        match marked(server).await {
            Err(OvsError::Database(error)) if error.is_absent() => Ok(Vec::new()),
            other => other.map_err(HostError::Ovs),
        }
    }
}

impl Host {
    /// Removes the rows of a lab that is no more.
    ///
    /// # Errors
    /// When the server can't be reached, or refuses.
    ///
    /// # Cancel safety
    /// As [`Host::change_ovs`].
    pub async fn remove_marked_rows(&self, server: &OvsdbServer, rows: &MarkedRows) -> Result<(), HostError> {
        let seen = observe::observe(server, &rows.lab).await.map_err(HostError::Ovs)?;
        let still = seen.rows.iter().filter(|(id, _)| rows.ids.contains(id));
        let delete =
            still.map(|(id, row)| OvsGone { id: id.clone(), parent: row.parent.clone(), name: None }).collect();
        let of = OvsRows { server: server.clone(), lab: rows.lab.clone(), rows: Vec::new() };
        self.change_ovs(&OvsChange { delete, then: OvsThen::LetSettle, ..OvsChange::of(&of) }).await
    }
}

async fn marked(server: &OvsdbServer) -> Result<Vec<MarkedRows>, OvsError> {
    let client = connect(server).await?;
    let tables = observe::read_tables(&client).await?;
    let mut labs: BTreeMap<(LabName, String, Option<Instance>), Vec<OvsRowId>> = BTreeMap::new();
    for (table, result) in OvsTable::ALL.into_iter().zip(&tables) {
        for row in &result.rows {
            let mut marks = observe::marks(row)?;
            let mut mark = |key| marks.remove(key).unwrap_or_default();
            let (lab, id) = (mark(MARK_LAB), mark(MARK_ID));
            if let Ok(lab) = LabName::try_from(lab) {
                let instance = Instance::from_text(&mark(MARK_INSTANCE));
                labs.entry((lab, mark(MARK_BOOT), instance)).or_default().push(OvsRowId { table, id });
            }
        }
    }
    let rows = labs.into_iter().map(|((lab, boot, instance), ids)| MarkedRows { lab, boot, instance, ids });
    Ok(rows.collect())
}
