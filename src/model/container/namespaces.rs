//! Which namespaces a container gets.

use super::UserMaps;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The namespaces (namespaces(7)) that are new; all others are the caller's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a namespace of its own, to have or not to have")]
pub struct Namespaces {
    /// System V IPC and POSIX message queues (CLONE_NEWIPC).
    pub ipc: bool,
    /// Mounts (CLONE_NEWNS).
    pub mount: bool,
    /// Process IDs (CLONE_NEWPID). The launcher's own init is process 1, and the command its child.
    pub pid: bool,
    /// The host name (CLONE_NEWUTS).
    pub uts: bool,
    /// The root of cgroups (CLONE_NEWCGROUP).
    pub cgroup: bool,
    /// The clocks that count from boot (CLONE_NEWTIME).
    pub time: bool,
    /// The network.
    pub network: NetworkOf,
    /// Users and groups (CLONE_NEWUSER), with their maps.
    pub user: Option<UserMaps>,
}

/// Whose network a container is in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum NetworkOf {
    /// The caller's.
    #[default]
    Caller,
    /// Nobody else's (CLONE_NEWNET); its loopback interface is up.
    Own,
    /// The one that this file stands for, as one in /run/netns or /proc/PID/ns/net does.
    File(PathBuf),
}

impl Namespaces {
    /// All but the user namespace.
    pub fn all(network: NetworkOf) -> Self {
        Self { ipc: true, mount: true, pid: true, uts: true, cgroup: true, time: true, network, user: None }
    }
}
