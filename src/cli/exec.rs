//! `exec` and `shell`: the process itself becomes the command, so that signals, the terminal and the exit code need
//! nobody to pass them on.

use super::args::{ExecArguments, Global};
use super::select::Called;
use super::{render, select};
use crate::Error;
use crate::host::enter::{self, EnterError};
use crate::lab::{netns_of, not_running};
use crate::launcher::{self, Entry, Record};
use crate::model::{LabName, NodeName, PinName, cgroup_of};
use crate::state::{LabState, StateRoot};
use std::ffi::OsString;
use std::process::ExitCode;

/// What env(1) and its like return when they themselves fail.
pub(super) const OWN_FAILURE: u8 = 125;

/// Becomes the command in the node; returns only when that fails.
pub(super) fn exec(global: &Global, arguments: &ExecArguments) -> ExitCode {
    let Some(node) = &arguments.node else { return ExitCode::from(OWN_FAILURE) };
    become_command(global, node, Some(&arguments.command))
}

/// Becomes the user's shell in the node; returns only when that fails.
pub(super) fn shell(global: &Global, node: &str) -> ExitCode {
    become_command(global, node, None)
}

/// `None` stands for a shell.
fn become_command(global: &Global, node: &str, command: Option<&[OsString]>) -> ExitCode {
    match try_become(global, node, command) {
        Ok(never) => match never {},
        Err(error) => {
            render::error(&error);
            ExitCode::from(match &error {
                Error::Enter(error) => error.exit_code(),
                Error::Launcher(failure) => failure.exit_code(),
                _ => OWN_FAILURE,
            })
        }
    }
}

fn try_become(global: &Global, node: &str, command: Option<&[OsString]>) -> Result<std::convert::Infallible, Error> {
    let root = StateRoot::new(&global.state_dir)?;
    let called = select::container(&root, global, node)?;
    if let Some(record) = Record::read(&called.record(&root))? {
        return Err(enter_container(&record, &called, command)?);
    }
    if !crate::host::is_privileged() {
        return Err(Error::NotRoot);
    }
    let (lab, node) = select::node(&root, global, node)?;
    let shell = || std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let of_shell;
    let command = if let Some(command) = command {
        command
    } else {
        of_shell = [shell()];
        &of_shell
    };
    let netns = netns_of(&root, &lab, &node)?;
    launcher::enter_group(&cgroup_of(root.lab(&lab).state_directory(), lab.as_str(), node.as_str()))?;
    let environment = [("NSLAB_LAB", lab.as_str()), ("NSLAB_NODE", node.as_str())];
    Err(match enter::exec_replacing(&netns, command, &environment) {
        // The journal is read only when something is wrong: a lab of a thousand nodes has a large one.
        EnterError::Netns(error) if error.is_absent() => why_not(&root, &lab, &node),
        error => error.into(),
    })
}

/// Becomes a command in a container. Its shell is /bin/sh: nobody knows whether the root has the caller's.
fn enter_container(record: &Record, called: &Called, command: Option<&[OsString]>) -> Result<Error, Error> {
    let command = match command {
        None => vec!["/bin/sh".to_owned()],
        Some(words) => {
            let text = |word: &OsString| word.clone().into_string();
            let wrong =
                |word: OsString| Error::Usage(format!("`{}` is not UTF-8, as all in a container is", word.display()));
            words.iter().map(text).collect::<Result<_, _>>().map_err(wrong)?
        }
    };
    let entry = Entry::new(record, command, &[]).ok_or_else(|| Error::Usage(not_running(called)))?;
    Ok(launcher::become_entrant(&entry).into())
}

/// Why there is no such node to enter.
pub(super) fn why_not(root: &StateRoot, lab: &LabName, node: &NodeName) -> Error {
    let paths = root.lab(lab);
    if !paths.directory().exists() {
        return match root.lab_names() {
            Ok(up) => Error::NoSuchLab { lab: lab.clone(), up },
            Err(error) => error.into(),
        };
    }
    match LabState::read(&paths) {
        Err(error) => error.into(),
        Ok(state) => match state.spec() {
            None => Error::HalfMade { lab: lab.clone() },
            Some(spec) if spec.nodes.iter().any(|known| known.name == *node) => Error::Usage(format!(
                "{lab}/{node} has lost its namespace {}: `nslab up` makes it anew",
                PinName::of_node(lab, node)
            )),
            Some(spec) => Error::NoSuchNode {
                lab: lab.clone(),
                node: node.to_string(),
                nodes: spec.nodes.iter().map(|node| node.name.clone()).collect(),
            },
        },
    }
}

impl EnterError {
    /// What `exec` returns for it: 127 where the command isn't there, 126 where it can't be run, 125 for the rest.
    fn exit_code(&self) -> u8 {
        if self.is_command_absent() {
            127
        } else if self.is_command_unrunnable() {
            126
        } else {
            OWN_FAILURE
        }
    }
}
