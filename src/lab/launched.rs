//! Containers that belong to no lab and that nobody waits for.

use super::container::{has_left_cgroup, not_running, report};
use super::{Nslab, images};
use crate::Error;
use crate::apply;
use crate::error::chain;
use crate::fault;
use crate::host;
use crate::image::{Claim, Store};
use crate::launcher::{self, Failure, Launch, Output, Record, Running, Sealed};
use crate::model::{self, ContainerName};
use crate::report::ContainerReport;
use crate::state::{StateError, StateRoot};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How often is looked whether somebody is done with starting one.
const LOOK: Duration = Duration::from_millis(10);

impl Nslab {
    /// Starts a container that goes on by itself, and gives back what it is called; it stands on an image where it claims one.
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
        claim: Option<(String, Claim)>,
    ) -> Result<ContainerName, Error> {
        if let Some(name) = &name {
            // One of that name may be left that was to go with its end, or was never started.
            self.forget_if_left(name).await?;
        }
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
        // Nobody waits for the lock while the container starts, nor takes it for left.
        let beginning = launcher::begin(&directory)?;
        drop(locked);
        launch.name = name.to_string();
        launch.cgroup = Some(self.cgroup_of(&name));
        let record = directory.clone();
        launch.output = Output::Detached { directory, terminal: std::io::stdin().is_terminal(), remove };
        let claimed = claim.map_or(Ok(()), |(place, claim)| {
            let claim = Claim { owner: name.to_string(), record: Some(record), ..claim };
            self.images().claim(&place, &claim, launch.container.root.layers()).map_err(Error::from)
        });
        let started = match claimed {
            Ok(()) => start(&launch).await.map_err(Error::from),
            Err(error) => Err(error),
        };
        drop(beginning);
        match started {
            Ok(()) => Ok(name),
            // Its process 1 may have taken it all away.
            Err(error) if !self.root().launched(&name).exists() => Err(error),
            // A launcher that was killed may have left it running, or its cgroup.
            Err(error) => Err(match (self.remove_launched(&name).await, error) {
                (Err(left), Error::Launcher(failure)) => failure.besides(chain(&left)).into(),
                (_, error) => error,
            }),
        }
    }
}

impl Nslab {
    /// The containers of no lab, in alphabetical order.
    ///
    /// # Errors
    /// When what is written down of one can't be read.
    pub fn launched(&self) -> Result<Vec<ContainerReport>, Error> {
        let mut all = Vec::new();
        for name in self.root().launched_names()? {
            let record = Record::read(&self.root().launched(&name))?;
            all.push(report(None, name.as_str(), &[], record));
        }
        Ok(all)
    }

    /// Stops a container of no lab: it is asked to end, and killed after ten seconds.
    ///
    /// # Errors
    /// When it can't be ended.
    ///
    /// # Cancel safety
    /// A signal that was sent stays sent.
    pub async fn stop_launched(&self, name: &ContainerName) -> Result<(), Error> {
        if let Some(running) = self.launched_record(name)?.and_then(|record| record.running) {
            apply::end_container(running, self.cgroup_of(name)).await?;
            self.remove_cgroup_of_ended(name).await?;
        }
        Ok(())
    }

    /// Sends the command of a container of no lab a signal.
    ///
    /// # Errors
    /// When it does not run.
    ///
    /// # Cancel safety
    /// It does not wait.
    pub fn kill_launched(&self, name: &ContainerName, signal: Signal) -> Result<(), Error> {
        let running = self.launched_record(name)?.and_then(|record| record.running);
        match running.map(|running| launcher::signal(&running, signal)).transpose()? {
            Some(true) => Ok(()),
            _ => Err(Error::Usage(not_running(name))),
        }
    }

    /// Ends a container of no lab where it runs, and forgets it: its record, its log, its cgroup.
    ///
    /// # Errors
    /// When there is none of that name, or something of it can't be removed.
    ///
    /// # Cancel safety
    /// Done again, it goes on.
    pub async fn remove_launched(&self, name: &ContainerName) -> Result<(), Error> {
        if !self.root().launched(name).exists() {
            let there: Vec<String> = self.root().launched_names()?.iter().map(ToString::to_string).collect();
            let there = if there.is_empty() { String::new() } else { format!("; there is {}", there.join(", ")) };
            return Err(Error::Usage(format!("there is no container {name} of no lab{there}")));
        }
        let forgotten = self.launched_record(name)?;
        // Somebody may forget it and give its name to another one at any moment: that one is meant then, too.
        while !self.forget_ended(name).await? {
            match self.launched_record(name)?.and_then(|record| record.running).filter(Running::is_alive) {
                Some(running) => apply::end_container(running, self.cgroup_of(name)).await?,
                None => tokio::time::sleep(LOOK).await, // somebody starts it
            }
        }
        // With what it has written, where it stood on an image.
        self.stores_of(forgotten.as_ref()).into_iter().map(Store::new).for_each(|store| images::sweep(&store));
        Ok(())
    }

    /// Forgets a container that does not run and that nobody starts; returns whether there is none of that name any more.
    async fn forget_ended(&self, name: &ContainerName) -> Result<bool, Error> {
        let locked = self.root().launched_home().lock().await?;
        let claimed = launcher::claim(&self.root().launched(name))?;
        // One that was to be forgotten with its end has seen to that itself, but for what it was in.
        let is_gone = claimed.is_none() && !self.root().launched(name).exists();
        if !is_gone && (claimed.is_none() || self.launched_record(name)?.is_some_and(|record| record.is_alive())) {
            return Ok(false);
        }
        apply::remove_cgroup(self.cgroup_of(name)).await?;
        locked.remove_launched(name)?;
        locked.remove_if_empty()?;
        Ok(true)
    }

    /// Removes the cgroup of a container that has ended, and that nobody starts anew.
    async fn remove_cgroup_of_ended(&self, name: &ContainerName) -> Result<(), Error> {
        let _locked = self.root().launched_home().lock().await?;
        let Some(_claimed) = launcher::claim(&self.root().launched(name))? else { return Ok(()) };
        if !self.launched_record(name)?.is_some_and(|record| record.is_alive()) {
            apply::remove_cgroup(self.cgroup_of(name)).await?;
        }
        Ok(())
    }

    /// What [`Nslab::forget_left`] would forget, and the stores that it stood in, with the caller's own.
    ///
    /// # Errors
    /// When what is written down can't be read.
    pub(super) fn left_launched(&self) -> Result<(Vec<String>, BTreeSet<PathBuf>), Error> {
        let (mut all, mut stores) = (Vec::new(), self.stores_of(None));
        for name in self.root().launched_names()? {
            if let Some((left, _claimed)) = self.left(&name)? {
                stores.extend(self.stores_of(self.launched_record(&name)?.as_ref()));
                all.push(words_of_left(&name, left));
            }
        }
        Ok((all, stores))
    }

    /// Forgets the containers of no lab that were to be forgotten with their end, and could not see to that themselves; and those
    /// that were never wholly started, by a command that was killed. Gives back what they were.
    ///
    /// # Errors
    /// As [`Nslab::remove_launched`].
    ///
    /// # Cancel safety
    /// As [`Nslab::remove_launched`].
    pub(super) async fn forget_left(&self) -> Result<(Vec<String>, BTreeSet<PathBuf>), Error> {
        let (mut forgotten, mut stores) = (Vec::new(), self.stores_of(None));
        for name in self.root().launched_names()? {
            let record = self.launched_record(&name)?;
            if let Some(left) = self.forget_if_left(&name).await? {
                stores.extend(self.stores_of(record.as_ref()));
                forgotten.push(words_of_left(&name, left));
            }
        }
        Ok((forgotten, stores))
    }

    /// The same of one; says what it was.
    async fn forget_if_left(&self, name: &ContainerName) -> Result<Option<&'static str>, Error> {
        if self.left(name)?.is_none() {
            return Ok(None);
        }
        // Nobody gives the name to another one meanwhile.
        let locked = self.root().launched_home().lock().await?;
        let left = self.left(name)?;
        if left.is_some() {
            apply::remove_cgroup(self.cgroup_of(name)).await?;
            locked.remove_launched(name)?;
        }
        locked.remove_if_empty()?;
        Ok(left.map(|(words, _)| words))
    }

    /// Whether a container is to be forgotten that nobody has forgotten; in words, and so that nobody starts it meanwhile.
    fn left(&self, name: &ContainerName) -> Result<Option<(&'static str, OwnedFd)>, Error> {
        // Whoever starts it may write down more until he is done.
        let Some(claimed) = launcher::claim(&self.root().launched(name))? else { return Ok(None) };
        Ok(match self.launched_record(name)? {
            Some(record) if record.running.is_some() => {
                let removes = matches!(record.launch.output, Output::Detached { remove: true, .. });
                (removes && !record.is_alive()).then_some(("has ended", claimed))
            }
            Some(_) | None => Some(("was never started", claimed)),
        })
    }

    /// Those that have ended by themselves, and have a cgroup yet.
    ///
    /// # Errors
    /// When what is written down can't be read.
    pub(super) fn launched_with_left_cgroups(&self) -> Result<Vec<ContainerName>, Error> {
        let mut all = Vec::new();
        for name in self.root().launched_names()? {
            if has_left_cgroup(self.launched_record(&name)?.as_ref())? {
                all.push(name);
            }
        }
        Ok(all)
    }

    /// Removes the cgroups of those that have ended by themselves: nobody was there to do so then. Gives back whose they were.
    ///
    /// # Errors
    /// When one can't be removed, or what is written down can't be read.
    ///
    /// # Cancel safety
    /// What was begun is done to its end.
    pub(super) async fn remove_cgroups_of_ended_launched(&self) -> Result<Vec<ContainerName>, Error> {
        let mut removed = Vec::new();
        for name in self.launched_with_left_cgroups()? {
            // Nobody gives the name to another one meanwhile.
            let _locked = self.root().launched_home().lock().await?;
            if has_left_cgroup(self.launched_record(&name)?.as_ref())? {
                apply::remove_cgroup(self.cgroup_of(&name)).await?;
                removed.push(name);
            }
        }
        Ok(removed)
    }

    fn cgroup_of(&self, name: &ContainerName) -> PathBuf {
        model::cgroup_of(self.root().launched_home().path(), model::OF_NO_LAB, name.as_str())
    }

    fn launched_record(&self, name: &ContainerName) -> Result<Option<Record>, Error> {
        Ok(Record::read(&self.root().launched(name))?)
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
async fn start(launch: &Launch) -> Result<(), Failure> {
    let (Sealed { mut command, executable }, text) = launcher::starting(launch)?;
    if !launch.container.environment.inherited {
        // Process 1 keeps what it was executed with, and who may look into that one is inside.
        command.env_clear().envs(launcher::environment()).envs(fault::variables());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let child = Command::from(command).spawn().map_err(|error| apply::failure_of_launcher("start", &error))?;
    drop(executable);
    apply::answer_of_launcher(child, text).await
}

/// A container that is to be forgotten, and why.
fn words_of_left(name: &ContainerName, left: &str) -> String {
    format!("the container {name}, which {left}")
}
