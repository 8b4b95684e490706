//! From a plan's words to the machine's: each [`Op`] is one call.

use super::{ApplyError, Stop, containers, limits};
use crate::host::enter::{self, EnterError};
use crate::host::{EndedProcess, Host, HostError};
use crate::launcher::{self, Failure};
use crate::model::{self, Exec, IfName, Instance, LabName, Netns, NodeName};
use crate::plan::{LinkChange, Master, Op};
use crate::state::{LabPaths, StateError};
use crate::{directory, fault};
use std::future::Future;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::process::Command;

/// Why one operation could not be done.
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// The kernel, or a file, refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A container could not be started or stopped.
    /// A cgroup can't be had.
    #[error("can't limit {what}")]
    Limits {
        /// Whom.
        what: String,
        /// Why not.
        #[source]
        source: Failure,
    },
    /// A container can't be started, stopped, or entered.
    #[error("can't {action} the container {node}")]
    Container {
        /// The node.
        node: String,
        /// What was tried.
        action: &'static str,
        /// Why not.
        #[source]
        source: Failure,
    },
    /// A node's command could not be started.
    #[error("can't start `{command}` in {node}")]
    Start {
        /// The node.
        node: String,
        /// The command.
        command: String,
        /// Why not.
        #[source]
        source: EnterError,
    },
    /// A node's command ended badly.
    #[error("`{command}` in {node} {}{}", how(*status), printed(said))]
    Command {
        /// The node.
        node: String,
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it printed.
        said: String,
    },
    /// The file for what a node's command prints could not be made, or the command not be waited for.
    #[error("can't run `{command}` in {node}")]
    Io {
        /// The node.
        node: String,
        /// The command.
        command: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The journal could not be written.
    #[error(transparent)]
    Journal(StateError),
    /// The lab as a whole could not be looked at.
    #[error(transparent)]
    Whole(Box<ApplyError>),
    /// Open vSwitch's database can't be looked at.
    #[error("{0}")]
    Unreachable(String),
    /// A test made it fail.
    #[error(transparent)]
    Injected(#[from] fault::Injected),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".into(),
    }
}

fn printed(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!("; it said:\n{said}") }
}

/// Something that operations can be done to: the machine, or a model of it in tests.
pub trait Effects: Clone + Send + Sync + 'static {
    /// Does one operation. Idempotent.
    ///
    /// # Cancel safety
    /// Must be awaited to its end: a dropped future leaves the operation half-done, to be finished by doing it again
    /// or taken back by its undo.
    fn perform(&self, op: &Op, stop: &Stop) -> impl Future<Output = Result<(), EffectError>> + Send;
}

/// The machine.
#[derive(Clone)]
pub struct HostEffects {
    host: Host,
    paths: LabPaths,
    lab: LabName,
    instance: Option<Instance>,
    ended: Arc<Mutex<Vec<EndedProcess>>>,
    gaps: Arc<Mutex<Vec<Gap>>>,
    notes: Arc<Mutex<Vec<String>>>,
}

/// How long a gateway did not answer while the machine's address moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The NIC.
    pub nic: IfName,
    /// The longest time without an answer.
    pub longest: Duration,
}

impl HostEffects {
    /// The machine; the output of the nodes' commands goes to files in the lab's directory.
    pub fn new(host: Host, paths: LabPaths, lab: &LabName, instance: Option<Instance>) -> Self {
        Self {
            host,
            paths,
            lab: lab.clone(),
            instance,
            ended: Arc::default(),
            gaps: Arc::default(),
            notes: Arc::default(),
        }
    }

    fn note_ended(&self, processes: Vec<EndedProcess>) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).extend(processes);
    }

    fn note_gap(&self, nic: &IfName, longest: Option<Duration>) {
        let gap = longest.map(|longest| Gap { nic: nic.clone(), longest });
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner).extend(gap);
    }

    fn note(&self, notes: Vec<String>) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).extend(notes);
    }

    /// What is good to know about what was done.
    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long gateways did not answer while addresses moved.
    pub fn gaps(&self) -> Vec<Gap> {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The environment variable by which the processes of a node's command are known, and those that they started.
    fn step(&self, exec: &Exec) -> (&'static str, String) {
        let instance = self.instance.as_ref().map(Instance::as_str).unwrap_or_default();
        (STEP, format!("{instance}/{}/{}", exec.node, exec.index))
    }

    /// The same of a container's launcher, and its process 1.
    pub(super) fn container_step(&self, node: &NodeName) -> (&'static str, String) {
        let instance = self.instance.as_ref().map(Instance::as_str).unwrap_or_default();
        (STEP, format!("{instance}/{node}/container"))
    }

    /// The cgroup of a node's that is no container, where it has one.
    fn cgroup_of(&self, node: &NodeName) -> PathBuf {
        model::cgroup_of(self.paths.state_directory(), self.lab.as_str(), node.as_str())
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// The processes that were ended so far, because their namespace went.
    pub fn ended(&self) -> Vec<EndedProcess> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Effects for HostEffects {
    async fn perform(&self, op: &Op, stop: &Stop) -> Result<(), EffectError> {
        let host = &self.host;
        match op {
            Op::AddNetns(netns) => host.ensure_netns(netns).await?,
            Op::DeleteNetns(all) => self.note_ended(host.remove_netns(all).await?),
            Op::SetLoopbackUp(netns) => host.set_loopback_up(netns).await?,
            Op::SetSysctl(sysctl) => host.set_sysctl(sysctl).await?,
            Op::SetBridge(bridge) => host.ensure_bridge(bridge).await?,
            Op::AddVeth(veth) => host.ensure_veth(veth).await?,
            Op::DeleteLink(interface) => host.remove_link(interface).await?,
            Op::DeleteLinks(netns, names) => host.remove_links(netns, names).await?,
            Op::SetLink(LinkChange { interface, mac, mtu, up, master, software_checksums }) => {
                let master = master.as_ref().map(|master| match master {
                    Master::Nothing => None,
                    Master::Bridge(name) => Some(name),
                });
                host.set_link(interface, *mac, *mtu, *up, master, *software_checksums).await?;
            }
            Op::SetPortVlans(vlans) => host.set_port_vlans(vlans).await?,
            Op::SetQdiscs(qdiscs) => host.set_qdiscs(qdiscs).await?,
            Op::SetPortFwdMask(mask) => host.set_port_fwd_mask(mask).await?,
            Op::AddAddress(address) => host.ensure_address(address).await?,
            Op::DeleteAddress(address) => host.remove_address(address).await?,
            Op::StartAdvertiser(of) => host.ensure_advertiser(of).await?,
            Op::StopAdvertiser(of) => host.remove_advertiser(&of.netns).await?,
            // That may take as long as a spanning tree.
            Op::Autoconfigure(of) => {
                stop.unless(host.autoconfigure(of)).await.ok_or(EffectError::Interrupted)??;
            }
            Op::Deconfigure(of) => host.deconfigure(of).await?,
            Op::StartDhcpClient(of) => {
                stop.unless(host.ensure_dhcp_client(of)).await.ok_or(EffectError::Interrupted)??;
            }
            Op::StopDhcpClient(of) => host.remove_dhcp_client(of).await?,
            Op::AddRoute(route) => host.ensure_route(route).await?,
            Op::DeleteRoute(route) => host.remove_route(route).await?,
            Op::WriteHosts(file) => host.write_hosts(file).await?,
            Op::RemoveHosts(file) => host.remove_hosts(file).await?,
            Op::AddNameDirectory(directory) => host.ensure_name_directory(directory).await?,
            Op::RemoveNameDirectory(directory) => host.remove_name_directory(directory).await?,
            Op::SetHostBridge(bridge) => host.ensure_host_bridge(bridge).await?,
            Op::RemoveHostBridge(bridge) => host.remove_host_bridge(bridge).await?,
            Op::StartKeeper(of) => host.ensure_keeper(of).await?,
            Op::StopKeeper(of) => host.remove_keeper(of).await?,
            Op::ReleaseNic(of) => host.release_nics(of, std::slice::from_ref(&of.onto)).await?,
            Op::TakeBackNic(of) => self.note(host.take_back_nics(of).await?),
            // Not left half-way: what still moved would come after it is undone, and the machine lose its address.
            Op::AttachUplink(of) => {
                let gap = host.attach_uplink(of).await?;
                self.note_gap(&of.nic.name, gap);
            }
            Op::TakeLease(of) => stop.unless(host.take_lease(of)).await.ok_or(EffectError::Interrupted)??,
            Op::DetachUplink(of) => {
                let gap = host.detach_uplink(of).await?;
                self.note_gap(&of.nic.name, gap);
            }
            Op::ChangeOvs(change) => host.change_ovs(change).await?,
            Op::SetNatTable(table) => host.set_nat_table(table).await?,
            Op::RemoveNatTable(table) => host.remove_nat_table(&table.name).await?,
            Op::AddForwardPass(pass) => host.ensure_forward_pass(pass).await?,
            Op::RemoveForwardPass(pass) => host.remove_forward_pass(pass.family, &pass.mark).await?,
            Op::StartContainer(of) => {
                stop.unless(self.start_container(of)).await.ok_or(EffectError::Interrupted)??;
            }
            Op::StopContainer(of) => self.stop_container(of).await?,
            Op::SetGroup(group) => limits::set_group(group).await?,
            Op::RemoveGroup(group) => limits::remove_group(group).await?,
            Op::LimitContainer(of) => limits::limit_container(of).await?,
            Op::AddVolume(of) => host.ensure_volume(of).await?,
            Op::RemoveVolume(of) => host.remove_volume(of).await?,
            Op::Run(exec) => self.run(exec, stop).await?,
            Op::EndRun(exec) => self.end_run(exec).await?,
        }
        Ok(())
    }
}

/// Tells the processes of a node's command from others in the node.
const STEP: &str = "NSLAB_STEP";

/// How much of what a failed command printed is shown, in bytes.
const SHOWN_BYTES: usize = 2000;

impl HostEffects {
    /// Runs a node's command to its end. What it prints goes to a file rather than a pipe: a server that it leaves
    /// behind in the node keeps the file open and nobody waits for that.
    async fn run(&self, exec: &Exec, stop: &Stop) -> Result<(), EffectError> {
        let node = exec.node.to_string();
        let command = exec.argv.join(" ");
        let io = |source| EffectError::Io { node: node.clone(), command: command.clone(), source };
        let start = |source| EffectError::Start { node: node.clone(), command: command.clone(), source };

        // A run that was stopped may have left some of it going.
        self.end_run(exec).await?;
        let logs = self.paths.logs();
        directory::make_all(&logs).map_err(io)?;
        let log = logs.join(format!("{}.{}", exec.node, exec.index));
        let output = std::fs::File::create(&log).map_err(io)?;
        let in_group = |source| EffectError::Limits { what: format!("what runs in {node}"), source };
        let (name, value) = self.step(exec);
        let into = |mut process: Command| -> Result<Command, EffectError> {
            process
                .stdin(Stdio::null())
                .stdout(output.try_clone().map_err(io)?)
                .stderr(output.try_clone().map_err(io)?);
            Ok(process)
        };
        let mut child = if let Some(record) = &exec.container {
            let in_container =
                |source| EffectError::Container { node: node.clone(), action: "run a command in", source };
            let entering = containers::entering(exec, record, (name, &value)).map_err(in_container)?;
            into(entering.0)?.spawn().map_err(io)?
        } else {
            let inside = launcher::in_group(&self.cgroup_of(&exec.node), &exec.argv).map_err(in_group)?;
            let [program, arguments @ ..] = inside.as_slice() else { return Ok(()) };
            let mut process = Command::new(program);
            process.args(arguments).env(name, value);
            let mark = model::mark(&self.lab, exec.node.as_str(), self.instance.as_ref());
            let netns = Netns { name: exec.netns.clone(), mark };
            enter::spawn(netns, into(process)?).await.map_err(start)?
        };
        let status = tokio::select! {
            status = child.wait() => status.map_err(io)?,
            () = stop.wait() => {
                child.kill().await.map_err(io)?;
                return Err(EffectError::Interrupted);
            }
        };
        if status.success() {
            return Ok(());
        }
        let text = std::fs::read(&log).map_err(io)?;
        let end = &text[text.len().saturating_sub(SHOWN_BYTES)..];
        Err(EffectError::Command { node, command, status, said: String::from_utf8_lossy(end).trim_end().to_owned() })
    }

    /// Ends what a node's command left running.
    async fn end_run(&self, exec: &Exec) -> Result<(), EffectError> {
        let (name, value) = self.step(exec);
        self.host.end_with_environment(&exec.netns, name, &value).await?;
        Ok(())
    }
}
