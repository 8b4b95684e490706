//! A change of Open vSwitch's database as a command of ovs-vsctl(8): what is between two `--` is done together with the
//! rest.

use crate::desired::host_name;
use crate::model::IfName;
use crate::model::ovs::{
    EXTERNAL_IDS, MARK_ID, MARK_LAB, OvsChange, OvsColumn, OvsColumns, OvsGone, OvsParent, OvsRow, OvsRowId, OvsScalar,
    OvsSet, OvsSetting, OvsTable,
};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The target that ovs-vsctl takes where nothing is said.
const DEFAULT_TARGET: &str = "unix:/run/openvswitch/db.sock";

/// A word of the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// As it is.
    Text(String),
    /// What a command prints, which is another one's words.
    Output(Vec<String>),
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Word {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// What stands between two `--`.
pub(super) type Part = Vec<Word>;

/// The commands, each as its words before the first `--` and those behind each: one, unless queues go. ovs-vsctl forgets
/// what it did to a port that goes along, and so could not free the port's queues in the same transaction.
pub(super) fn commands(change: &OvsChange) -> Vec<Vec<Part>> {
    let start = || Command { change, parts: vec![texts(program(change))], referred: BTreeSet::new() };
    let mut queues = start();
    for gone in change.delete.iter().filter(|gone| gone.id.table.is_root()) {
        queues.delete_other(gone);
    }
    // What has no name is found by what it hangs from, as long as that is there; what others refer to comes before them.
    let mut rest = start();
    for gone in change.delete.iter().filter(|gone| !gone.id.table.is_root() && !is_named(&gone.id)) {
        rest.delete_other(gone);
    }
    for gone in change.delete.iter().filter(|gone| is_named(&gone.id)) {
        rest.delete_named(gone);
    }
    for row in change.insert.iter().filter(|row| is_named(&row.id)) {
        rest.insert_named(row);
    }
    for row in change.insert.iter().filter(|row| !is_named(&row.id)) {
        rest.insert_other(row);
    }
    for setting in &change.set {
        rest.set(setting);
    }
    [queues.parts, rest.parts].into_iter().filter(|parts| parts.len() > 1).collect()
}

/// Whether rows of its table have names in the host's namespace.
fn is_named(id: &OvsRowId) -> bool {
    matches!(id.table, OvsTable::Bridge | OvsTable::Port | OvsTable::Interface)
}

/// ovs-vsctl, and how it gets to the database.
fn program(change: &OvsChange) -> Vec<String> {
    let mut head = vec!["ovs-vsctl".to_owned()];
    if change.server.target != DEFAULT_TARGET {
        head.push(format!("--db={}", change.server.target));
    }
    if let Some(tls) = &change.server.tls {
        let files = [("private-key", &tls.private_key), ("certificate", &tls.certificate), ("ca-cert", &tls.ca)];
        head.extend(files.map(|(option, path)| format!("--{option}={}", path.display())));
    }
    head
}

fn texts(words: impl IntoIterator<Item = impl Into<String>>) -> Part {
    words.into_iter().map(|word| Word::Text(word.into())).collect()
}

struct Command<'a> {
    change: &'a OvsChange,
    parts: Vec<Part>,
    /// The rows that the command has a reference for.
    referred: BTreeSet<&'a OvsRowId>,
}

impl<'a> Command<'a> {
    fn push(&mut self, words: impl IntoIterator<Item = impl Into<String>>) {
        self.parts.push(texts(words));
    }

    fn goes(&self, id: &OvsRowId) -> bool {
        self.change.delete.iter().any(|gone| gone.id == *id)
    }

    fn delete_named(&mut self, gone: &OvsGone) {
        let hangs_from_gone =
            gone.parent.as_ref().and_then(|parent| parent.row.as_ref()).is_some_and(|row| self.goes(row));
        match (gone.id.table, gone.name.as_deref()) {
            (OvsTable::Bridge, Some(name)) => self.push(["--if-exists", "del-br", name]),
            (OvsTable::Port, Some(name)) if !hangs_from_gone => self.push(["--if-exists", "del-port", name]),
            // These go with what they hang from.
            _ => {}
        }
    }

    fn delete_other(&mut self, gone: &OvsGone) {
        let record = self.find(&gone.id);
        // The server counts references to what is deleted before it clears away what nobody refers to any more.
        let counts = |parent: &OvsRowId| gone.id.table.is_root() && !parent.table.is_root();
        if let Some(OvsParent { row: Some(parent), column, key }) = &gone.parent
            && (!self.goes(parent) || counts(parent))
        {
            let mut part = texts(["remove", parent.table.as_str()]);
            part.extend([self.record(parent), column.as_str().into()]);
            part.push(key.map_or_else(|| record.clone(), |key| key.to_string().into()));
            self.parts.push(part);
        }
        if gone.id.table.is_root() {
            let mut part = texts(["destroy", gone.id.table.as_str()]);
            part.push(record);
            self.parts.push(part);
        }
    }

    fn insert_named(&mut self, row: &'a OvsRow) {
        let name = row.name().unwrap_or_default();
        let switch = row.parent.row.as_ref().map(|parent| parent.id.as_str()).unwrap_or_default();
        match row.id.table {
            OvsTable::Bridge => self.push(["add-br", name]),
            // A bridge's own port comes with it.
            OvsTable::Port if switch == row.id.id => {}
            OvsTable::Port => {
                let bridge = in_host(self.change, switch);
                self.push(["add-port", &bridge, name]);
            }
            _ => {}
        }
        let mut columns = row.columns.clone();
        columns.remove(&OvsColumn::from("name")); // it has it already
        let settings = new_settings(&columns);
        if !settings.is_empty() {
            self.push(["set", row.id.table.as_str(), name].into_iter().map(str::to_owned).chain(settings));
        }
    }

    fn insert_other(&mut self, row: &'a OvsRow) {
        self.refer_to(&row.columns);
        let record = reference(&row.id);
        let create = [format!("--id={record}"), "create".to_owned(), row.id.table.as_str().to_owned()];
        let children = self.change.insert.iter().filter(|child| child.parent.row.as_ref() == Some(&row.id));
        let hanging = children.map(|OvsRow { id, parent: OvsParent { row: _, column, key }, .. }| {
            let column = OvsColumn { name: column.clone(), key: key.map(|key| key.to_string()) };
            format!("{column}={}", reference(id))
        });
        let hanging: Vec<String> = hanging.collect();
        self.push(create.into_iter().chain(new_settings(&row.columns)).chain(hanging));
        self.referred.insert(&row.id);
        // From a row that is made so, it hangs already.
        let OvsParent { row: parent, column, key } = &row.parent;
        if let Some(parent) = parent.as_ref().filter(|parent| !self.referred.contains(parent) || is_named(parent)) {
            let mut hang = texts(["add", parent.table.as_str()]);
            hang.extend([self.record(parent), column.as_str().into()]);
            hang.push(key.map_or_else(|| record.clone(), |key| format!("{key}={record}")).into());
            self.parts.push(hang);
        }
    }

    fn set(&mut self, setting: &'a OvsSetting) {
        self.refer_to(&setting.columns);
        let (table, record) = (setting.id.table.as_str(), self.record(&setting.id));
        let about = |verb: &str| vec![verb.into(), table.into(), record.clone()];
        let (mut set, mut rest) = (about("set"), Vec::new());
        for (column, value) in setting.columns.iter().filter(|(column, _)| column.name != "name") {
            match &column.key {
                _ if !value.is_empty() => set.push(format!("{column}={}", set_text(value)).into()),
                None => rest.push([about("clear"), vec![column.name.as_str().into()]].concat()),
                Some(key) => {
                    rest.push([about("remove"), vec![column.name.as_str().into(), key.as_str().into()]].concat());
                }
            }
        }
        if set.len() > 3 {
            self.parts.push(set);
        }
        self.parts.extend(rest);
    }

    /// Makes references of the ports that columns refer to.
    fn refer_to(&mut self, columns: &'a OvsColumns) {
        for scalar in columns.values().flatten() {
            if let OvsScalar::Row(id) = scalar
                && self.referred.insert(id)
            {
                let name = in_host(self.change, last(id));
                self.push([&format!("--id={}", reference(id)), "get", id.table.as_str(), &name]);
            }
        }
    }

    /// How a row that is there is told: by its name, or found by its marks.
    fn record(&self, id: &OvsRowId) -> Word {
        if is_named(id) { in_host(self.change, last(id)).into() } else { self.find(id) }
    }

    fn find(&self, id: &OvsRowId) -> Word {
        let mut words = program(self.change);
        words.extend(["--bare", "--columns=_uuid", "find", id.table.as_str()].map(str::to_owned));
        for (mark, value) in [(MARK_LAB, self.change.lab.as_str()), (MARK_ID, id.id.as_str())] {
            words.push(format!("{EXTERNAL_IDS}:{mark}={}", scalar_text(&value.into())));
        }
        Word::Output(words)
    }
}

/// The part of a row's mark that is its own.
fn last(id: &OvsRowId) -> &str {
    id.id.rsplit('/').next().unwrap_or_default()
}

/// What a port or bridge of the lab's is called in the host's namespace. The machine's NIC is there already: behind a colon, which
/// no port of the lab's has in its name, it is what it is.
fn in_host(change: &OvsChange, name: &str) -> String {
    if let Some((_, nic)) = name.split_once(':') {
        return nic.to_owned();
    }
    IfName::try_from(name).map(|name| host_name(&change.lab, &name).to_string()).unwrap_or_default()
}

/// The name of a row within the command; another one for each.
fn reference(id: &OvsRowId) -> String {
    let mut name = format!("@{}", id.table.as_str().to_lowercase());
    for byte in format!("-{}", id.id).bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => name.push(byte.into()),
            b'-' | b'/' => name.push(if byte == b'-' { '-' } else { '.' }),
            // Writing to a String does not fail.
            other => drop(write!(name, "_{other:02x}")),
        }
    }
    name
}

/// `column=value` for each column that holds something else than a new row does.
fn new_settings(columns: &OvsColumns) -> Vec<String> {
    let differs = |(_, value): &(&OvsColumn, &OvsSet)| !value.is_empty() && !is_default(value);
    columns.iter().filter(differs).map(|(column, value)| format!("{column}={}", set_text(value))).collect()
}

fn is_default(value: &OvsSet) -> bool {
    let mut all = value.iter();
    match (all.next(), all.next()) {
        (Some(OvsScalar::Boolean(value)), None) => !value,
        (Some(OvsScalar::Integer(number)), None) => *number == 0,
        (Some(OvsScalar::Text(text)), None) => text.is_empty(),
        _ => false,
    }
}

fn set_text(value: &OvsSet) -> String {
    value.iter().map(scalar_text).collect::<Vec<_>>().join(",")
}

fn scalar_text(scalar: &OvsScalar) -> String {
    match scalar {
        OvsScalar::Boolean(value) => value.to_string(),
        OvsScalar::Integer(number) => number.to_string(),
        OvsScalar::Row(id) => reference(id),
        OvsScalar::Text(text) => {
            let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
            if starts && plain { text.clone() } else { format!("{text:?}") }
        }
    }
}
