//! Hearing of changes of the rows that switches are made of, for as long as it is wanted, also past a restart of the
//! database server.

use super::{requirement, target};
use crate::host::ovsdb::{MonitorRequest, Watch};
use crate::host::{Host, HostError};
use crate::model::ovs::OvsdbServer;
use std::collections::BTreeMap;

/// The columns that tell how switches and their ports are. The statistics are not among them: they change every five
/// seconds, and are no news.
const COLUMNS: [(&str, &[&str]); 3] = [
    ("Bridge", &["name", "ports", "stp_enable", "rstp_enable", "external_ids"]),
    ("Port", &["name", "interfaces", "tag", "trunks", "vlan_mode", "status", "rstp_status", "external_ids"]),
    ("Interface", &["name", "ofport", "error", "link_state", "external_ids"]),
];

/// The rows of a database that are watched.
pub struct OvsWatch(Watch);

impl Host {
    /// Begins to watch the switches in a database.
    ///
    /// # Errors
    /// When its address makes no sense. That nothing is there is no error: it may come.
    pub fn watch_ovs(&self, server: &OvsdbServer) -> Result<OvsWatch, HostError> {
        let (target, options) = target(server).map_err(HostError::Ovs)?;
        let requests: BTreeMap<String, MonitorRequest> = COLUMNS
            .into_iter()
            .map(|(table, columns)| {
                let columns = columns.iter().map(|&column| column.to_owned()).collect();
                (table.to_owned(), MonitorRequest { columns, ..MonitorRequest::default() })
            })
            .collect();
        Ok(OvsWatch(Watch::new(target, options, requirement(), requests)))
    }
}

impl OvsWatch {
    /// Waits until something has changed, or the server has gone or come back.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn changed(&mut self) {
        self.0.next().await;
    }
}
