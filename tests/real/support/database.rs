//! What is in Open vSwitch's database, row by row, by a witness that has nothing to do with nslab: ovsdb-client(1).

use super::must_succeed;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Columns in which ovs-vswitchd, or the server, writes how things are.
const STATUS: &[&str] = &[
    "admin_state",
    "bfd_status",
    "bond_active_slave",
    "cfm_fault",
    "cfm_fault_status",
    "cfm_flap_count",
    "cfm_health",
    "cfm_remote_mpids",
    "cfm_remote_opstate",
    "cur_cfg",
    "datapath_id",
    "datapath_version",
    "duplex",
    "error",
    "ifindex",
    "is_connected",
    "lacp_current",
    "link_resets",
    "link_speed",
    "link_state",
    "lldp",
    "mac_in_use",
    "mtu",
    "next_cfg",
    "ofport",
    "role",
    "rstp_statistics",
    "rstp_status",
    "statistics",
    "status",
];

/// Whether a server runs at the place where it does by default.
pub(crate) fn is_there() -> bool {
    Path::new("/run/openvswitch/db.sock").exists()
}

/// Every row by its table and name, and in it what each column is set to. Whatever differs from one making of a row to
/// the next is left out, and a reference to a row is that row's name.
pub(crate) fn rows() -> BTreeMap<String, BTreeMap<String, Value>> {
    let tables = dump();
    let names: BTreeMap<&str, String> = tables.iter().flat_map(Table::names).collect();
    let mut rows = BTreeMap::new();
    for table in &tables {
        for row in &table.rows {
            let columns = row.iter().filter(|(column, _)| *column != "_uuid" && !STATUS.contains(&column.as_str()));
            let columns = columns.map(|(column, value)| (column.clone(), by_name(value, &names))).collect();
            let name = names[uuid(row)].clone();
            assert!(rows.insert(name.clone(), columns).is_none(), "there are two rows {name}");
        }
    }
    rows
}

/// The address of each row: what one that was not touched keeps.
pub(crate) fn uuids() -> BTreeMap<String, String> {
    let tables = dump();
    tables.iter().flat_map(Table::names).map(|(uuid, name)| (name, uuid.to_owned())).collect()
}

type Row = serde_json::Map<String, Value>;

struct Table {
    name: String,
    rows: Vec<Row>,
}

/// All tables, each of which ovsdb-client prints on a line of its own.
fn dump() -> Vec<Table> {
    let text = must_succeed("ovsdb-client --timeout=10 --format=json dump Open_vSwitch");
    text.lines().map(Table::from_line).collect()
}

impl Table {
    fn from_line(line: &str) -> Self {
        let mut table: Value = serde_json::from_str(line).unwrap();
        let caption = table["caption"].as_str().unwrap();
        let name = caption.strip_suffix(" table").unwrap().to_owned();
        let headings: Vec<String> = serde_json::from_value(table["headings"].take()).unwrap();
        let data: Vec<Vec<Value>> = serde_json::from_value(table["data"].take()).unwrap();
        Self { name, rows: data.into_iter().map(|row| headings.iter().cloned().zip(row).collect()).collect() }
    }

    fn names(&self) -> impl Iterator<Item = (&str, String)> {
        self.rows.iter().map(|row| {
            let mark = || pairs(row.get("external_ids")?).find(|(key, _)| *key == "nslab-id").map(|(_, id)| id);
            let name = row.get("name").or_else(mark).and_then(Value::as_str).unwrap_or_default();
            (uuid(row), format!("{} {name}", self.name).trim_end().to_owned())
        })
    }
}

fn uuid(row: &Row) -> &str {
    row["_uuid"][1].as_str().unwrap()
}

/// What is in a map (RFC 7047 section 5.1).
fn pairs(map: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let pairs = map[1].as_array().map(Vec::as_slice).unwrap_or_default();
    pairs.iter().filter_map(|pair| Some((pair[0].as_str()?, &pair[1])))
}

/// A column's value with the names of rows in the place of their addresses, in an order that does not depend on those,
/// and without the mark that says which of the labs of its name a row is of: a script's has none.
fn by_name(value: &Value, names: &BTreeMap<&str, String>) -> Value {
    let Value::Array(items) = value else { return value.clone() };
    if let [Value::String(kind), Value::String(uuid)] = items.as_slice()
        && kind == "uuid"
    {
        return names.get(uuid.as_str()).map_or_else(|| value.clone(), |name| Value::from(name.as_str()));
    }
    if let [Value::String(kind), Value::Array(elements)] = items.as_slice() {
        let elements = elements.iter().filter(|element| element[0] != "nslab-instance");
        let mut elements: Vec<Value> = elements.map(|element| by_name(element, names)).collect();
        elements.sort_by_key(ToString::to_string);
        // A set of one is that one.
        return match (kind.as_str(), elements.as_slice()) {
            ("set", [one]) => one.clone(),
            _ => serde_json::json!([kind, elements]),
        };
    }
    items.iter().map(|item| by_name(item, names)).collect()
}
