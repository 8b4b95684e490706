//! What there is of a lab in the database.

use super::state::switch_lives;
use super::{DATABASE, OvsError, columns, connect};
use crate::host::Host;
use crate::host::ovsdb::{Client, OpResult, Row, RowError, Transaction, Uuid};
use crate::model::LabName;
use crate::model::ovs::{EXTERNAL_IDS, MARK_ID, MARK_LAB, OvsParent, OvsRowId, OvsTable, OvsdbServer};
use crate::observed::{ObservedOvs, ObservedOvsRow, OvsStatus, OvsView};
use std::collections::{BTreeMap, HashMap};

/// What ovs-vswitchd writes, which is not a setting.
const STATUS: [&str; 22] = [
    "ofport",
    "error",
    "link_state",
    "statistics",
    "status",
    "rstp_status",
    "rstp_statistics",
    "mac_in_use",
    "ifindex",
    "admin_state",
    "link_resets",
    "link_speed",
    "duplex",
    "mtu",
    "datapath_version",
    "is_connected",
    "role",
    "bfd_status",
    "cfm_fault",
    "cfm_health",
    "lacp_current",
    "bond_active_slave",
];

/// A row with its marks.
pub(super) struct Marked<'a> {
    pub(super) id: OvsRowId,
    pub(super) uuid: Uuid,
    pub(super) row: &'a Row,
}

/// All rows of the tables that labs have rows in, in the order of [`OvsTable::ALL`].
pub(super) async fn read_tables(client: &Client) -> Result<Vec<OpResult>, OvsError> {
    let mut transaction = Transaction::new(DATABASE);
    for table in OvsTable::ALL {
        transaction.select(table.as_str(), vec![], &[]);
    }
    Ok(client.transact(&transaction).await?)
}

/// The marks of a row.
pub(super) fn marks(row: &Row) -> Result<BTreeMap<String, String>, RowError> {
    row.get(EXTERNAL_IDS)
}

/// The rows that are marked as this lab's.
pub(super) fn of_lab<'a>(tables: &'a [OpResult], lab: &LabName) -> Result<Vec<Marked<'a>>, RowError> {
    let mut all = Vec::new();
    for (table, result) in OvsTable::ALL.into_iter().zip(tables) {
        for row in &result.rows {
            let marks = marks(row)?;
            if marks.get(MARK_LAB).map(String::as_str) != Some(lab.as_str()) {
                continue;
            }
            if let Some(id) = marks.get(MARK_ID) {
                all.push(Marked { id: OvsRowId { table, id: id.clone() }, uuid: row.get("_uuid")?, row });
            }
        }
    }
    Ok(all)
}

impl Host {
    /// What is in the database that matters to a lab.
    ///
    /// # Errors
    /// None: that it can't be looked at is [`OvsView::Unreachable`], with the reason.
    pub async fn observe_ovs(&self, server: &OvsdbServer, lab: &LabName) -> OvsView {
        match observe(server, lab).await {
            Ok(observed) => OvsView::Seen(observed),
            Err(error) => OvsView::Unreachable(reason(&error)),
        }
    }
}

fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

pub(super) async fn observe(server: &OvsdbServer, lab: &LabName) -> Result<ObservedOvs, OvsError> {
    observe_on(&connect(server).await?, lab).await
}

pub(super) async fn observe_on(client: &Client, lab: &LabName) -> Result<ObservedOvs, OvsError> {
    let tables = read_tables(client).await?;
    let mut transaction = Transaction::new(DATABASE);
    transaction.select(DATABASE, vec![], &["bridges"]);
    let root = client.transact(&transaction).await?;
    let bridges: Vec<Uuid> = match root[0].rows.first() {
        Some(row) => row.get("bridges")?,
        None => Vec::new(),
    };

    let marked = of_lab(&tables, lab)?;
    let ids: HashMap<Uuid, &OvsRowId> = marked.iter().map(|marked| (marked.uuid, &marked.id)).collect();
    let mut parents = parents(&marked, &ids);
    parents.extend(
        bridges.into_iter().map(|bridge| (bridge, OvsParent { row: None, column: "bridges".to_owned(), key: None })),
    );
    let mut observed = ObservedOvs { switch_lives: switch_lives(client).await?, ..ObservedOvs::default() };
    for Marked { id, uuid, row } in &marked {
        let mut columns = columns::observed(row, &|uuid| ids.get(&uuid).map(|&id| id.clone()));
        columns.retain(|column, _| !STATUS.contains(&column.name.as_str()));
        let row = ObservedOvsRow { parent: parents.get(uuid).cloned(), columns, status: status(id.table, row)? };
        observed.rows.insert(id.clone(), row);
    }
    for (table, result) in OvsTable::ALL.into_iter().zip(&tables) {
        if !matches!(table, OvsTable::Bridge | OvsTable::Port | OvsTable::Interface) {
            continue;
        }
        for row in &result.rows {
            if !ids.contains_key(&row.get("_uuid")?) {
                observed.others.insert((table, row.get("name")?));
            }
        }
    }
    Ok(observed)
}

/// Where each row hangs that one of the lab's rows refers to.
fn parents(marked: &[Marked<'_>], ids: &HashMap<Uuid, &OvsRowId>) -> HashMap<Uuid, OvsParent> {
    const HANGING: [(OvsTable, &str); 8] = [
        (OvsTable::Bridge, "ports"),
        (OvsTable::Bridge, "mirrors"),
        (OvsTable::Bridge, "netflow"),
        (OvsTable::Bridge, "sflow"),
        (OvsTable::Bridge, "ipfix"),
        (OvsTable::Bridge, "controller"),
        (OvsTable::Port, "interfaces"),
        (OvsTable::Port, "qos"),
    ];
    let mut parents = HashMap::new();
    for Marked { id, row, .. } in marked {
        for (_, column) in HANGING.iter().filter(|(table, _)| *table == id.table) {
            // A column that a schema does not have, nothing hangs from.
            for child in row.get::<Vec<Uuid>>(column).unwrap_or_default() {
                let parent = OvsParent { row: Some(id.clone()), column: (*column).to_owned(), key: None };
                parents.insert(child, parent);
            }
        }
        if id.table == OvsTable::QoS {
            for (key, child) in row.get::<BTreeMap<i64, Uuid>>("queues").unwrap_or_default() {
                let parent = OvsParent { row: Some(id.clone()), column: "queues".to_owned(), key: Some(key) };
                parents.insert(child, parent);
            }
        }
    }
    parents.retain(|child, _| ids.contains_key(child));
    parents
}

fn status(table: OvsTable, row: &Row) -> Result<OvsStatus, RowError> {
    let mut status = OvsStatus::default();
    match table {
        OvsTable::Interface => {
            status.ofport = row.get("ofport")?;
            status.error = row.get("error")?;
            status.link_up = row.get::<Option<String>>("link_state")?.map(|state| state == "up");
            status.statistics = row.get("statistics")?;
        }
        OvsTable::Port => {
            let stp = row.get::<BTreeMap<String, String>>("status")?.remove("stp_state");
            let rstp = row.get::<BTreeMap<String, String>>("rstp_status")?;
            status.stp_state = stp.map(|state| state.to_lowercase()).or(rstp_state(&rstp).map(str::to_owned));
        }
        _ => {}
    }
    Ok(status)
}

/// The state of a port of rapid spanning tree in the words of the older one: `Discarding` alone does not say whether it
/// will stay so, its role does (IEEE 802.1D-2004, table 17-1).
fn rstp_state(status: &BTreeMap<String, String>) -> Option<&'static str> {
    let of = |key: &str| status.get(key).map(String::as_str);
    Some(match (of("rstp_port_state")?, of("rstp_port_role")) {
        ("Forwarding", _) => "forwarding",
        ("Learning", _) => "learning",
        ("Disabled", _) | (_, Some("Disabled")) => "disabled",
        (_, Some("Alternate" | "Backup")) => "blocking",
        _ => "listening",
    })
}
