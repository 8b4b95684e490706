//! The containers that nodes are: started inside the node's namespace, stopped, and known by what is written down of them.

use super::effects::{Effects as _, HostEffects};
use super::{Context, EffectError};
use crate::launcher::{self, Answer, Cgroup, Failure, Launch, Output, Record, Sealed, Step};
use crate::model::container::{Root, RootFileSystem, RootSource, Writes};
use crate::model::{Exec, NodeContainer, NodeName};
use crate::plan::{Op, Plan};
use crate::state::LockedLab;
use crate::{directory, fault};
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

/// How long a container may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(10);

/// How long the launcher may take to say that the container's command runs, or why not. What it waits for itself, a systemd that
/// makes a scope, has less.
const PATIENCE: Duration = Duration::from_mins(1);

/// The longest answer of the launcher's, in bytes: what a pipe takes at once.
const LONGEST_ANSWER: usize = 4096;

/// What becomes of the slice of systemd's that a lab's scopes are in, where the last has ended.
#[derive(Debug, Clone, Copy)]
enum Slice {
    /// It goes.
    Goes,
    /// Others of the lab are started meanwhile, and systemd starts nothing in a slice that it stops.
    Stays,
}

/// What is to be launched for a node.
pub(super) fn launch_of(of: &NodeContainer) -> Launch {
    Launch {
        name: of.node.to_string(),
        container: of.container.clone(),
        cgroup: Some(of.cgroup.clone()),
        output: Output::Detached { directory: of.directory.clone(), terminal: of.terminal, remove: false },
        verbose: false,
    }
}

impl HostEffects {
    /// Starts a container in place of what is left of one, and returns when its command runs.
    ///
    /// # Cancel safety
    /// What was begun goes on; it is ended by who starts or stops the container next.
    pub(super) async fn start_container(&self, of: &NodeContainer) -> Result<(), EffectError> {
        self.clear_container(of, Slice::Stays).await?;
        let failed = |source| EffectError::Container { node: of.node.to_string(), action: "start", source };
        let io = |source: std::io::Error| failed(failure("make what is written down of it", &source));
        directory::make_all(&of.directory).map_err(io)?;
        fault::point(|| "after making the container's directory".into());
        fault::chance()?;
        let (Sealed { command, executable }, text) = launcher::starting(&launch_of(of)).map_err(failed)?;
        let mut command = Command::from(command);
        let (name, value) = self.container_step(&of.node);
        command.env_clear().envs(launcher::environment()).envs(fault::of_helpers()).env(name, value).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let netns = self.host().open_netns(&of.netns).await?;
        // A child is born in the namespace that the thread is in.
        let spawned = self.host().pool().run_in(netns, move || command.spawn()).await;
        let child = spawned.map_err(crate::host::HostError::from)?;
        drop(executable);
        fault::point(|| "while the container's launcher starts".into());
        match child {
            Ok(child) => answer_of_launcher(child, text).await.map_err(failed),
            Err(error) => Err(failed(failure_of_launcher("start", &error))),
        }
    }

    /// Stops a container, whatever there is of it, and forgets it.
    ///
    /// # Cancel safety
    /// Done again, it goes on.
    pub(super) async fn stop_container(&self, of: &NodeContainer) -> Result<(), EffectError> {
        self.clear_container(of, Slice::Goes).await
    }

    async fn clear_container(&self, of: &NodeContainer, slice: Slice) -> Result<(), EffectError> {
        let failed = |source| EffectError::Container { node: of.node.to_string(), action: "stop", source };
        let record = Record::read(&of.directory).ok().flatten();
        if let Some(running) = record.and_then(|record| record.running) {
            end(running, of.cgroup.clone(), GRACE).await.map_err(failed)?;
        }
        fault::point(|| "after stopping the container".into());
        // A launcher that was left to itself may not have come to writing down what it started.
        let (name, value) = self.container_step(&of.node);
        self.host().end_with_environment(&of.netns.name, name, &value).await?;
        fault::chance()?;
        // Before it is forgotten: who is killed in between comes back for what is written down.
        match slice {
            Slice::Goes => remove_cgroup(of.cgroup.clone()).await.map_err(failed)?,
            Slice::Stays => remove_only_cgroup(of.cgroup.clone()).await.map_err(failed)?,
        }
        remove_written(of.container.root.clone()).await.map_err(failed)?;
        forget(&of.directory).map_err(|error| failed(failure("remove what is written down of it", &error)))?;
        fault::point(|| "after forgetting the container".into());
        Ok(())
    }
}

/// What to say of the roots in which containers are to be started that will know no node by its name: their files are shown at
/// those of the root, and nothing is made in somebody's directory.
pub(super) fn without_names(plan: &Plan) -> Vec<String> {
    let roots = plan.steps.iter().filter_map(|step| match &step.op {
        Op::StartContainer(of) => directory_of(&of.container.root),
        _ => None,
    });
    let is_absent = |root: &&Path| {
        let names = std::fs::symlink_metadata(root.join("etc/hosts"));
        names.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    };
    let roots: BTreeSet<&Path> = roots.collect();
    let roots = roots.into_iter().filter(|root| root.is_dir()).filter(is_absent);
    let said = roots.map(Path::display).map(|root| {
        format!(
            "containers with the root {root} know no node by its name: it has no /etc/hosts, and nothing is made in it \
             unasked; `mkdir -p {root}/etc && touch {root}/etc/hosts` makes room for the lab's"
        )
    });
    said.collect()
}

/// The directory that a root's files are in and go to.
fn directory_of(root: &Root) -> Option<&Path> {
    match root {
        Root::Own(RootFileSystem { source: RootSource::Directory(directory), writes: Writes::Through, mounts: _ }) => {
            Some(directory)
        }
        _ => None,
    }
}

/// Ends what runs; others go on meanwhile.
async fn end(running: launcher::Running, cgroup: PathBuf, grace: Duration) -> Result<(), Failure> {
    let stopped = tokio::task::spawn_blocking(move || launcher::stop(&running, Some(&cgroup), grace)).await;
    stopped.unwrap_or_else(|_| Err(ended("stop the container")))
}

/// Removes the cgroup of a container that has ended; fine where there is none.
///
/// # Errors
/// When somebody is in it, or the kernel refuses.
///
/// # Cancel safety
/// What was begun is done to its end.
pub async fn remove_cgroup(name: PathBuf) -> Result<(), Failure> {
    remove_only_cgroup(name.clone()).await?;
    remove_left_slice(name).await
}

async fn remove_left_slice(name: PathBuf) -> Result<(), Failure> {
    let removed = tokio::task::spawn_blocking(move || Ok(launcher::remove_left_slice(&name)?));
    removed.await.unwrap_or_else(|_| Err(ended("remove the slice of the container's lab")))
}

async fn remove_only_cgroup(name: PathBuf) -> Result<(), Failure> {
    let removed = tokio::task::spawn_blocking(move || match Cgroup::find(&name)? {
        Some(cgroup) => Ok(cgroup.remove_when_empty(GRACE)?),
        None => Ok(()),
    });
    removed.await.unwrap_or_else(|_| Err(ended("remove the container's cgroup")))
}

/// Gives back the controllers of cgroups that a lab's had been enabled for, where whoever removed the last was killed before he did.
///
/// # Errors
/// When the kernel refuses.
///
/// # Cancel safety
/// What was begun is done to its end.
pub async fn give_controllers_back() -> Result<(), Failure> {
    let given = tokio::task::spawn_blocking(|| Ok(launcher::give_controllers_back().map(|_| ())?));
    given.await.unwrap_or_else(|_| Err(ended("give back the controllers of cgroups")))
}

/// Removes what a container has written that is to go with it.
async fn remove_written(root: Root) -> Result<(), Failure> {
    let removed = tokio::task::spawn_blocking(move || launcher::remove_written(&root)).await;
    removed.unwrap_or_else(|_| Err(ended("remove what the container has written")))
}

/// Hands the launcher what it is to start, and waits for what it says. One that says nothing in time is killed, with what it has
/// started.
///
/// # Errors
/// What it says, where it did not start the container; when it was ended, or says nothing.
///
/// # Cancel safety
/// What was begun goes on.
pub async fn answer_of_launcher(mut child: Child, text: String) -> Result<(), Failure> {
    let patience = fault::patience(PATIENCE);
    if let Ok(answer) = tokio::time::timeout(patience, converse(&mut child, &text)).await {
        return answer;
    }
    let step = format!("hear from the launcher, which was killed after {} s", patience.as_secs());
    let failure = Step::of(step).failed()(Errno::ETIMEDOUT);
    let killed = child.id().map_or(Ok(()), |pid| launcher::kill_launcher(pid.cast_signed()));
    // The kernel may have hold of it.
    let _ = tokio::time::timeout(GRACE, child.wait()).await;
    Err(failure.after(killed))
}

async fn converse(child: &mut Child, text: &str) -> Result<(), Failure> {
    let speak = |error: std::io::Error| failure_of_launcher("speak to", &error);
    if let Some(mut input) = child.stdin.take() {
        match input.write_all(text.as_bytes()).await {
            // It has ended, and says why.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            result => result.map_err(speak)?,
        }
    }
    // Not read to the end: what it has started may hold its output, too.
    let status = child.wait().await.map_err(speak)?;
    let mut said = vec![0; LONGEST_ANSWER];
    let bytes = match &mut child.stdout {
        Some(output) if status.success() => output.read(&mut said).await.map_err(speak)?,
        _ => 0,
    };
    match serde_json::from_slice(&said[..bytes]) {
        Ok(Answer::Started(_)) => Ok(()),
        Ok(Answer::Failed(failure)) => Err(failure),
        Err(_) => Err(ended("start the container: the launcher was ended")),
    }
}

/// What to tell where nslab's own process that launches can't be started, or spoken to.
pub fn failure_of_launcher(action: &str, error: &std::io::Error) -> Failure {
    failure(&format!("{action} the launcher"), error)
}

fn failure(what: &str, error: &std::io::Error) -> Failure {
    Step::of(what).failed()(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
}

fn ended(what: &str) -> Failure {
    Step::of(what).failed()(Errno::ECHILD)
}

fn forget(path: &Path) -> std::io::Result<()> {
    match directory::remove_all(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// A command of a container's node, to be run in the container.
pub(super) fn entering(
    exec: &Exec,
    record: &Path,
    variable: (&str, &str),
) -> Result<(Command, std::os::fd::OwnedFd), Failure> {
    let entry = Record::read(record)?.and_then(|record| launcher::Entry::new(&record, exec.argv.clone(), &[variable]));
    let entry = entry.ok_or_else(|| ended("enter the container: it has ended"))?;
    let Sealed { command, executable } = launcher::entering(&entry)?;
    Ok((Command::from(command), executable))
}

/// Starts a container of a lab that has ended, and then runs its node's commands in it; one that runs stays as it is.
///
/// # Errors
/// When it can't be started, or a command fails: then the container goes on.
///
/// # Cancel safety
/// What was begun goes on; whoever stops the lab ends it.
pub async fn start_container(context: &Context, lab: &LockedLab, node: &NodeName) -> Result<(), EffectError> {
    let state = lab.read().map_err(EffectError::Journal)?;
    let resources = state.made().resources;
    let Some(of) = resources.containers.iter().find(|of| of.node == *node) else { return Ok(()) };
    let record = Record::read(&of.directory).ok().flatten();
    if record.is_some_and(|record| record.is_alive()) {
        return Ok(());
    }
    let effects = HostEffects::new(context.host.clone(), lab.paths().clone(), lab.name(), state.instance.clone());
    effects.perform(&Op::StartContainer(Box::new(of.clone())), &context.stop).await?;
    for exec in resources.execs.iter().filter(|exec| exec.node == *node) {
        effects.perform(&Op::Run(exec.clone()), &context.stop).await?;
    }
    Ok(())
}

/// Asks a container to end, and kills it after ten seconds; what is written down of it stays.
///
/// # Errors
/// When the kernel does not end it.
///
/// # Cancel safety
/// A signal that was sent stays sent.
pub async fn end_container(running: launcher::Running, cgroup: PathBuf) -> Result<(), Failure> {
    end(running, cgroup, GRACE).await
}
