//! Rows of the database of Open vSwitch (ovs-vswitchd.conf.db(5)) that belong to a lab.
//!
//! A row is what it holds, column by column, as far as a topology can say it. So every setting of Open vSwitch goes the
//! same way: it is desired, compared, changed and put back as a column.

use super::LabName;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The column in which rows carry nslab's marks.
pub const EXTERNAL_IDS: &str = "external_ids";

/// The mark that says which lab a row belongs to.
pub const MARK_LAB: &str = "nslab-lab";

/// The mark that says which of the lab's rows of its table it is.
pub const MARK_ID: &str = "nslab-id";

/// The mark that says since which boot of the machine the row is there: rows outlive one, labs don't.
pub const MARK_BOOT: &str = "nslab-boot";

/// The mark that says which of the labs of its name a row belongs to.
pub const MARK_INSTANCE: &str = "nslab-instance";

/// A database server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OvsdbServer {
    /// Where it is: `unix:PATH`, `tcp:HOST:PORT` or `ssl:HOST:PORT`.
    pub target: String,
    /// Certificates, for `ssl:`.
    pub tls: Option<OvsdbTls>,
}

/// The PEM files for a connection by TLS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OvsdbTls {
    /// The certificates of the authority that signed the server's.
    pub ca: PathBuf,
    /// Our own certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
}

/// What moves the frames of an Open vSwitch bridge (the column `datapath_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Datapath {
    /// The kernel's own, openvswitch.ko.
    System,
    /// ovs-vswitchd itself, in user space.
    Netdev,
}

impl Datapath {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Netdev => "netdev",
        }
    }
}

/// A table that labs have rows in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OvsTable {
    /// Switches.
    Bridge,
    /// Their ports.
    Port,
    /// What a port is made of.
    Interface,
    /// OpenFlow controllers.
    Controller,
    /// Copies of frames to a port.
    Mirror,
    /// Where NetFlow records go.
    NetFlow,
    /// Where sFlow samples go.
    #[serde(rename = "sFlow")]
    SFlow,
    /// Where IPFIX records go.
    #[serde(rename = "IPFIX")]
    Ipfix,
    /// How a port's frames are queued.
    QoS,
    /// A queue of those.
    Queue,
}

impl OvsTable {
    /// All of them, those that others refer to last.
    pub const ALL: [Self; 10] = [
        Self::Bridge,
        Self::Port,
        Self::Interface,
        Self::Controller,
        Self::Mirror,
        Self::NetFlow,
        Self::SFlow,
        Self::Ipfix,
        Self::QoS,
        Self::Queue,
    ];

    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "Bridge",
            Self::Port => "Port",
            Self::Interface => "Interface",
            Self::Controller => "Controller",
            Self::Mirror => "Mirror",
            Self::NetFlow => "NetFlow",
            Self::SFlow => "sFlow",
            Self::Ipfix => "IPFIX",
            Self::QoS => "QoS",
            Self::Queue => "Queue",
        }
    }

    /// Whether a row stays when nothing refers to it any more (`isRoot` in the schema).
    pub fn is_root(self) -> bool {
        matches!(self, Self::QoS | Self::Queue)
    }
}

/// One of a lab's rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OvsRowId {
    /// Its table.
    pub table: OvsTable,
    /// Its mark in that: a switch's name, or `SWITCH/PORT`.
    pub id: String,
}

impl std::fmt::Display for OvsRowId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.table.as_str(), self.id)
    }
}

/// A column, or one key of a column that holds a map: `tag`, `other_config:hwaddr`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct OvsColumn {
    /// The column's name.
    pub name: String,
    /// The key in its map.
    pub key: Option<String>,
}

impl From<&str> for OvsColumn {
    fn from(text: &str) -> Self {
        match text.split_once(':') {
            Some((name, key)) => Self { name: name.to_owned(), key: Some(key.to_owned()) },
            None => Self { name: text.to_owned(), key: None },
        }
    }
}

impl From<String> for OvsColumn {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<OvsColumn> for String {
    fn from(column: OvsColumn) -> String {
        column.to_string()
    }
}

impl std::fmt::Display for OvsColumn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{}:{key}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A single value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OvsScalar {
    /// True or false.
    Boolean(bool),
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
    /// A reference to another of the lab's rows.
    Row(OvsRowId),
}

impl From<bool> for OvsScalar {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for OvsScalar {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<&str> for OvsScalar {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for OvsScalar {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<OvsRowId> for OvsScalar {
    fn from(value: OvsRowId) -> Self {
        Self::Row(value)
    }
}

/// What a column holds: nothing where it is empty, or the key is not in the map.
pub type OvsSet = BTreeSet<OvsScalar>;

/// Columns with what they hold.
pub type OvsColumns = BTreeMap<OvsColumn, OvsSet>;

/// Where a row hangs: the column of another row that refers to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OvsParent {
    /// The row; `None` is the only row of the table Open_vSwitch.
    pub row: Option<OvsRowId>,
    /// The column.
    pub column: String,
    /// The key, where that holds a map.
    pub key: Option<i64>,
}

/// A row of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OvsRow {
    /// Which one.
    pub id: OvsRowId,
    /// Where it hangs.
    pub parent: OvsParent,
    /// What it holds: every column that a topology can set, whether or not it does.
    pub columns: OvsColumns,
}

impl OvsRow {
    /// The name in the database of a row that has one.
    pub fn name(&self) -> Option<&str> {
        text_of(&self.columns, "name")
    }
}

/// The text that a column holds, where it holds just one.
pub fn text_of<'a>(columns: &'a OvsColumns, column: &str) -> Option<&'a str> {
    match columns.get(&OvsColumn::from(column))?.first()? {
        OvsScalar::Text(text) => Some(text),
        _ => None,
    }
}

/// What a column holds.
pub fn held(columns: &OvsColumns, column: &OvsColumn) -> OvsSet {
    columns.get(column).cloned().unwrap_or_default()
}

/// One of the marks that a row carries.
pub fn mark_of<'a>(columns: &'a OvsColumns, mark: &str) -> Option<&'a str> {
    text_of(columns, &format!("{EXTERNAL_IDS}:{mark}"))
}

/// All that a lab has in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OvsRows {
    /// Whose it is.
    pub server: OvsdbServer,
    /// The lab, as the rows are marked.
    pub lab: LabName,
    /// The rows; each behind the one that it hangs from.
    pub rows: Vec<OvsRow>,
}

/// What is to be done to a lab's rows in the database of Open vSwitch, all of it together. Rows are found by their marks:
/// one that is to go and isn't there is gone, one that is to be made and is there is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OvsChange {
    /// The database.
    pub server: OvsdbServer,
    /// The lab, by which the rows are marked.
    pub lab: LabName,
    /// Rows that go, those that hang from them behind them or not named at all.
    pub delete: Vec<OvsGone>,
    /// New rows, each behind the one that it hangs from.
    pub insert: Vec<OvsRow>,
    /// Rows that are to hold something else.
    pub set: Vec<OvsSetting>,
    /// What is waited for once the database has taken it.
    pub then: OvsThen,
}

/// What is waited for once the database has taken a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OvsThen {
    /// Nothing.
    GoOn,
    /// That ovs-vswitchd has seen it, so that it does not take what comes next for what was before; but not for long.
    LetSettle,
    /// That ovs-vswitchd has taken it over, and that the ports work.
    Verify,
}

impl OvsChange {
    /// A change of nothing yet.
    pub fn of(rows: &OvsRows) -> Self {
        let OvsRows { server, lab, rows: _ } = rows;
        let (server, lab) = (server.clone(), lab.clone());
        Self { server, lab, delete: Vec::new(), insert: Vec::new(), set: Vec::new(), then: OvsThen::GoOn }
    }
}

/// A row that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OvsGone {
    /// Which one.
    pub id: OvsRowId,
    /// Where it hangs.
    pub parent: Option<OvsParent>,
    /// What it is called, for people.
    pub name: Option<String>,
}

/// Columns that are to hold something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OvsSetting {
    /// The row.
    pub id: OvsRowId,
    /// What it is called, for people.
    pub name: Option<String>,
    /// The columns.
    pub columns: OvsColumns,
}
