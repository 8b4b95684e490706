//! A node of a lab that is up: running things in it.

use super::Nslab;
use crate::Error;
use crate::host::{HostError, enter};
use crate::launcher;
use crate::model::{LabName, Netns, NodeName, cgroup_of};
use std::ffi::OsStr;
use std::process::Output;
use tokio::process::{Child, Command};

/// A node.
#[derive(Clone)]
pub struct Node {
    nslab: Nslab,
    lab: LabName,
    name: NodeName,
}

impl Node {
    pub(super) fn new(nslab: Nslab, lab: &LabName, name: &NodeName) -> Self {
        Self { nslab, lab: lab.clone(), name: name.clone() }
    }

    /// Its name.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// Its namespace: the name in /run/netns, and the mark by which it is known.
    ///
    /// # Errors
    /// When the lab is not up.
    pub fn netns(&self) -> Result<Netns, Error> {
        self.nslab.netns_of(&self.lab, &self.name)
    }

    /// Starts a command in it: in its network namespace, with its /sys and its hosts file, and under the limits of a node that is
    /// no container, as `nslab exec` does. (Of a node that is one, it is in the network, and not in the container.)
    ///
    /// # Errors
    /// When the lab is not up, or the command can't be started.
    ///
    /// # Cancel safety
    /// A command that was started runs on.
    pub async fn spawn(&self, mut command: Command) -> Result<Child, Error> {
        let state = self.nslab.root().lab(&self.lab);
        let cgroup = cgroup_of(state.state_directory(), self.lab.as_str(), self.name.as_str());
        launcher::start_in_group(&cgroup, command.as_std_mut())?;
        Ok(enter::spawn(self.netns()?, command).await?)
    }

    /// Runs a program in it to its end, and gives back its exit status and what it printed.
    ///
    /// # Errors
    /// As [`Node::spawn`]. That the program fails is no error.
    ///
    /// # Cancel safety
    /// The program is killed when the future is dropped.
    pub async fn run<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Output, Error> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true);
        let child = self.spawn(command).await?;
        child
            .wait_with_output()
            .await
            .map_err(|source| Error::Io { action: format!("wait for {program} in {}", self.name), source })
    }

    /// Runs a closure on a thread inside its network namespace: sockets opened there belong to the node, also when
    /// they are used elsewhere afterwards. The thread serves others too, so it must not be kept long.
    ///
    /// # Errors
    /// When the lab is not up, or the closure panics.
    ///
    /// # Cancel safety
    /// A closure that was handed over runs to its end.
    pub async fn enter<T: Send + 'static>(&self, closure: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let host = self.nslab.host();
        let netns = host.open_netns(&self.netns()?).await?;
        Ok(host.pool().run_in(netns, closure).await.map_err(HostError::from)?)
    }
}
