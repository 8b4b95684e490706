//! How an image says that it is run (OCI image specification, config.md).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What runs in a container that is given nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageConfig {
    /// What every command is an argument of.
    pub entrypoint: Vec<String>,
    /// The command, or the entry point's arguments, where none are given.
    pub command: Vec<String>,
    /// Variables of its environment.
    pub environment: BTreeMap<String, String>,
    /// The directory that it starts in.
    pub working_directory: Option<String>,
    /// Who runs it: a name or a number, and perhaps a colon and a group's.
    pub user: Option<String>,
}
