//! Hearing of changes as they are made: `monitor_cond` and its `update2` (ovsdb-server(7)).

use super::client::Client;
use super::error::OvsdbError;
use super::operation::Condition;
use super::row::Row;
use super::value::Uuid;
use jsonrpsee_core::client::{Subscription, SubscriptionClientT};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What of a table is to be heard of.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MonitorRequest {
    /// Which columns; all where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Which rows: those that meet all of these.
    #[serde(rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowChange {
    /// It was there when the monitor began.
    Initial(Row),
    /// It is new.
    Insert(Row),
    /// It is another: the columns that changed, by what is different. Of a set, the elements that came or went; of a map,
    /// the pairs that came, went or have a new value; of others, the new value.
    Modify(Row),
    /// It is gone.
    Delete,
}

/// Changes by table and row.
pub type TableUpdates = BTreeMap<String, BTreeMap<Uuid, RowChange>>;

#[derive(Debug, Deserialize)]
struct Notification {
    ovsdb: (serde::de::IgnoredAny, TableUpdates),
}

/// A stream of changes, for as long as its connection lives.
#[derive(Debug)]
pub struct Monitor {
    updates: Subscription<Notification>,
    /// Keeps the connection.
    client: Client,
}

impl Client {
    /// Turns the connection into a monitor of tables; gives what is in them now along with it.
    ///
    /// # Errors
    /// When there is no such database, table or column, or the server does not answer.
    pub async fn monitor(
        self,
        database: &str,
        requests: &BTreeMap<String, MonitorRequest>,
    ) -> Result<(Monitor, TableUpdates), OvsdbError> {
        // Heard before it is asked for, so that nothing gets lost between.
        let updates = self
            .rpc
            .subscribe_to_method("update2")
            .await
            .map_err(|error| OvsdbError::of_request("monitor_cond", std::time::Duration::ZERO, error))?;
        let requests: BTreeMap<&String, [&MonitorRequest; 1]> =
            requests.iter().map(|(table, request)| (table, [request])).collect();
        let initial = self.request("monitor_cond", &(database, (), requests)).await?;
        Ok((Monitor { updates, client: self }, initial))
    }
}

impl Monitor {
    /// The next changes.
    ///
    /// # Errors
    /// [`OvsdbError::is_disconnected`] when there will be no more: the connection is lost, or changes came faster than
    /// they were read.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Result<TableUpdates, OvsdbError> {
        match self.updates.next().await {
            Some(Ok(Notification { ovsdb: (_, updates) })) => Ok(updates),
            Some(Err(source)) => Err(OvsdbError::Answer { method: "monitor_cond".to_owned(), source }),
            None => {
                let source: Arc<dyn std::error::Error + Send + Sync> = match self.updates.close_reason() {
                    Some(jsonrpsee_core::client::SubscriptionCloseReason::Lagged) => {
                        Arc::new(std::io::Error::other("changes came faster than they were read"))
                    }
                    _ => Arc::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
                };
                Err(OvsdbError::Disconnected { method: "monitor_cond".to_owned(), source })
            }
        }
    }

    /// The connection, for other requests.
    pub fn client(&self) -> &Client {
        &self.client
    }
}
