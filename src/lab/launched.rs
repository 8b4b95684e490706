//! Containers that belong to no lab and that nobody waits for.

use super::Nslab;
use crate::Error;
use crate::host;
use crate::launcher::{self, Answer, Failure, Launch, Output, Sealed, Step};
use crate::model::ContainerName;
use crate::state::{StateError, StateRoot};
use nix::errno::Errno;
use std::io::IsTerminal;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

impl Nslab {
    /// Starts a container that goes on by itself, and gives back what it is called.
    ///
    /// # Errors
    /// When there is one of that name, or the container can't be started: then nothing is left of it.
    ///
    /// # Cancel safety
    /// What was begun goes on: the container may run, and then it is written down.
    pub async fn launch(
        &self,
        mut launch: Launch,
        name: Option<ContainerName>,
        remove: bool,
    ) -> Result<ContainerName, Error> {
        let root = self.root().launched_home();
        let locked = root.lock().await.map_err(|error| no_place(error, &root))?;
        let (name, directory) = loop {
            let chosen = name.clone().map_or_else(|| some_name(&launch.name), Ok)?;
            match (locked.add_launched(&chosen)?, &name) {
                (Some(directory), _) => break (chosen, directory),
                (None, Some(name)) => {
                    return Err(Error::Usage(format!(
                        "there is a container {name}: choose another name, or have that one gone with `nslab rm {name}`"
                    )));
                }
                (None, None) => {}
            }
        };
        // Nobody waits for the lock while the container starts.
        drop(locked);
        launch.name = name.to_string();
        launch.cgroup = Some(format!("nslab/launched/{name}").into());
        launch.output = Output::Detached { directory, terminal: std::io::stdin().is_terminal(), remove };
        match start(&launch).await {
            Ok(()) => Ok(name),
            Err(failure) => {
                let locked = root.lock().await?;
                locked.remove_launched(&name)?;
                locked.remove_if_empty()?;
                Err(failure)
            }
        }
    }
}

/// What to do where an ordinary user can't have the state directory.
fn no_place(error: StateError, root: &StateRoot) -> Error {
    let is_refused = error.is_permission() && !host::is_privileged();
    match error {
        StateError::File { source, .. } if is_refused => Error::Usage(format!(
            "can't write down in {} that the container is there: {source}; give a directory of your own by --state-dir DIR \
                 (or NSLAB_STATE_DIR), or have XDG_RUNTIME_DIR say where your session's is",
            root.path().display()
        )),
        error => error.into(),
    }
}

/// A name that hardly anybody has: that of the program, and a random number.
fn some_name(program: &str) -> Result<ContainerName, Error> {
    let number = u16::from_be_bytes(host::random_bytes()?);
    let head: String = program.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    let head = if head.is_empty() { "container" } else { &head };
    ContainerName::try_from(format!("{head}-{number:04x}")).map_err(|error| Error::Usage(error.to_string()))
}

/// Has the launcher start it, and waits for its answer.
async fn start(launch: &Launch) -> Result<(), Error> {
    let (Sealed { mut command, executable }, text) = launcher::starting(launch)?;
    let io = |source| Error::Io { action: "start the launcher".into(), source };
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = Command::from(command).spawn().map_err(io)?;
    drop(executable);
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes()).await.map_err(io)?;
    }
    let output = child.wait_with_output().await.map_err(io)?;
    match serde_json::from_slice(&output.stdout) {
        Ok(Answer::Started(_)) => Ok(()),
        Ok(Answer::Failed(failure)) => Err(failure.into()),
        Err(_) => {
            Err(Failure { step: Step::of("start the container: the launcher was ended"), source: Errno::ECHILD }.into())
        }
    }
}
