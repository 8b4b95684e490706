//! What else a node has: sysctls, commands, a container.

use super::links::Wiring;
use super::names::{NodeDef, Things};
use super::{containers, items, value};
use crate::model::container::Limits;
use crate::model::{IfName, SysctlKey, SysctlKeyError};
use crate::spec::NodeContainer;
use crate::spec::error::Problems;
use crate::spec::field::Field;
use crate::spec::raw::{RawCommand, RawSysctl};
use std::collections::BTreeMap;

/// What is wrong with a node's sysctls or commands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeProblem {
    /// The key is none of a network namespace.
    #[error(transparent)]
    SysctlKey(#[from] SysctlKeyError),
    /// The value can't be written to the parameter's file.
    #[error("the value of `{key}` is empty or has a control character in it: write what `sysctl {key}` would show")]
    SysctlValue {
        /// The parameter.
        key: SysctlKey,
    },
    /// The parameter is of an interface that the node does not have.
    #[error("`{node}` has no interface `{interface}` to set `{key}` of: its interfaces are {has}")]
    SysctlInterface {
        /// The node.
        node: String,
        /// The parameter.
        key: SysctlKey,
        /// The interface in it.
        interface: IfName,
        /// Those that the node has.
        has: String,
    },
    /// Nothing to run.
    #[error("the command is empty: write a line for /bin/sh, or a list of a program and its arguments")]
    NoCommand,
    /// A NUL byte would end an argument.
    #[error("the command has a NUL character in it, which no argument can have: remove it")]
    CommandNul,
}

/// What a node has beside its place in the network.
#[derive(Default)]
pub(super) struct Extras {
    pub(super) sysctls: BTreeMap<SysctlKey, String>,
    pub(super) exec: Vec<Vec<String>>,
    pub(super) limits: Limits,
    pub(super) container: Option<NodeContainer>,
}

/// Checks every node's.
pub(super) fn check(
    things: &Things<'_>,
    wiring: &Wiring<'_>,
    volumes: &[String],
    problems: &mut Problems,
) -> Vec<Extras> {
    let mut all = Vec::with_capacity(things.nodes.len());
    for (node, def) in things.nodes.iter().enumerate() {
        all.push(Extras {
            sysctls: sysctls(node, def, wiring, problems),
            exec: items(def.raw.exec.as_ref()).iter().filter_map(|field| command(field, problems)).collect(),
            limits: containers::check_bare(def, problems),
            container: containers::check(def, volumes, problems),
        });
    }
    all
}

fn sysctls(
    node: usize,
    def: &NodeDef<'_>,
    wiring: &Wiring<'_>,
    problems: &mut Problems,
) -> BTreeMap<SysctlKey, String> {
    let mut sysctls = BTreeMap::new();
    for (name, raw) in value(def.raw.sysctls.as_ref()).map_or(&[][..], |e| &e.entries) {
        let Some(text) = &name.value else { continue };
        let key = match SysctlKey::try_from(text.clone()) {
            Ok(key) => key,
            Err(error) => {
                problems.add(name.at, NodeProblem::from(error));
                continue;
            }
        };
        if let Some(interface) = key.interface()
            && !problems.addressing_in_doubt()
            && !wiring.interfaces[node].iter().any(|i| i.name == interface)
        {
            let (node, has) = (def.name.to_string(), wiring.names_of(node));
            problems.add(name.at, NodeProblem::SysctlInterface { node, key: key.clone(), interface, has });
        }
        let value = match &raw.value {
            None => continue,
            Some(RawSysctl::Boolean(on)) => u8::from(*on).to_string(),
            Some(RawSysctl::Number(text)) => text.0.clone(),
            Some(RawSysctl::Text(text)) => text.clone(),
        };
        // Columns read back with a tab between them.
        let value = value.split_whitespace().collect::<Vec<_>>().join("\t");
        if value.is_empty() || value.chars().any(|c| c.is_control() && c != '\t') {
            problems.add(raw.at, NodeProblem::SysctlValue { key });
        } else {
            sysctls.insert(key, value);
        }
    }
    sysctls
}

/// A command as a program and its arguments.
pub(super) fn command(field: &Field<RawCommand>, problems: &mut Problems) -> Option<Vec<String>> {
    let (argv, empty) = match field.value.as_ref()? {
        RawCommand::Text(line) => (["/bin/sh", "-c", line].map(str::to_owned).to_vec(), line.trim().is_empty()),
        RawCommand::Sequence(argv) => (argv.clone(), argv.first().is_none_or(String::is_empty)),
    };
    if empty {
        problems.add(field.at, NodeProblem::NoCommand);
        None
    } else if argv.iter().any(|argument| argument.contains('\0')) {
        problems.add(field.at, NodeProblem::CommandNul);
        None
    } else {
        Some(argv)
    }
}
