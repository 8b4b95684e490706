//! Runs a check: everything at once, within bounds.

use super::report::{self, CheckReport, Found, ProbeReport};
use super::tcp::{Deadlines, Server};
use super::{Expected, Probe, Protocol, icmp, rounds, tcp, what};
use crate::host::{Host, HostError, PoolError};
use crate::model::{NetnsName, NodeName};
use crate::spec::Spec;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use surge_ping::Client;

/// How many probes are under way at once. As many as keep two cores busy; more would only wait in queues, and be late.
const IN_FLIGHT: usize = 128;

/// Requests, or connections, until a node counts as silent.
const ATTEMPTS: u16 = 2;

/// Why a check could not be made. That a probe finds nothing is no error.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A socket could not be opened inside a node.
    #[error("can't open an {what} socket inside a node")]
    Socket {
        /// Of which sort.
        what: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A node could not be entered.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A node's neighbour table could not be read or cleaned.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The lab's namespaces are not what its topology says.
    #[error("{0} has lost its namespace: `nslab up` makes it anew")]
    NoNamespace(NodeName),
}

/// How a check is made.
#[derive(Clone)]
pub struct CheckOptions {
    /// What is sent.
    pub protocols: Vec<Protocol>,
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// Told how many probes are done, and of how many.
    pub progress: Arc<dyn Fn(usize, usize) + Send + Sync>,
}

impl Default for CheckOptions {
    /// ICMP and TCP, a second for each, not watched.
    fn default() -> Self {
        Self {
            protocols: vec![Protocol::Icmp, Protocol::Tcp],
            timeout: Duration::from_secs(1),
            progress: Arc::new(|_, _| {}),
        }
    }
}

/// How long answers are waited for.
#[derive(Clone, Copy)]
struct Timing {
    icmp: Duration,
    tcp: Deadlines,
}

/// A node with the sockets that it needs for what it is asked and asks.
struct Station {
    name: NetnsName,
    netns: Arc<OwnedFd>,
    clients: [Option<Client>; 2],
    servers: [Option<Server>; 2],
}

/// Probes what `spec` expects, or all pairs. `namespaces` has those of its nodes, opened.
///
/// # Errors
/// When a node can't be entered, or a socket not be opened in it.
///
/// # Cancel safety
/// Changes nothing but the kernel's neighbour caches.
pub async fn run(
    spec: &Spec,
    namespaces: &BTreeMap<NodeName, Arc<OwnedFd>>,
    host: &Host,
    options: &CheckOptions,
) -> Result<CheckReport, CheckError> {
    let started = Instant::now();
    let probes = what::probes(spec, &options.protocols);
    let all = probes.len();
    let stations = stations(spec, namespaces, host, &probes).await?;
    let timing = Timing { icmp: options.timeout, tcp: Deadlines::of(spec, options.timeout) };
    let mut found = Vec::with_capacity(all);
    let batches = rounds::batches(probes, spec.nodes.len());
    let last = batches.len().saturating_sub(1);
    for (number, batch) in batches.into_iter().enumerate() {
        let names: BTreeSet<NetnsName> =
            batch.iter().flat_map(|probe| [probe.from, probe.to]).map(|n| stations[n].name.clone()).collect();
        // One batch alone can't fill the table, and then the nodes may keep what they learned.
        let known = if last == 0 { None } else { Some(host.neighbours(&names).await?) };
        let done = found.len();
        let mut running = stream::iter(batch.into_iter().enumerate())
            .map(|(identifier, probe)| probe_one(&stations, host, timing, probe, identifier))
            .buffer_unordered(IN_FLIGHT);
        while let Some(result) = running.try_next().await? {
            found.push(result);
            if found.len() % 64 == 0 {
                (options.progress)(found.len(), all);
            }
        }
        drop(running);
        tracing::debug!(batch = number, probes = found.len() - done, "probed");
        if let Some(known) = known {
            host.forget_neighbours_but(known).await?;
        }
    }
    found.sort_by_key(|(probe, _)| (probe.from, probe.to, probe.address, probe.protocol));
    let name = |n: usize| spec.nodes[n].name.clone();
    Ok(CheckReport {
        lab: spec.name.clone(),
        nodes: spec.nodes.iter().map(|node| node.name.clone()).collect(),
        probes: found
            .into_iter()
            .map(|(Probe { from, to, address, protocol, expected }, found)| ProbeReport {
                from: name(from),
                to: name(to),
                address,
                protocol,
                expected,
                holds: report::holds(expected, protocol, &found),
                found,
            })
            .collect(),
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// Opens the sockets that the probes need, and no others.
async fn stations(
    spec: &Spec,
    namespaces: &BTreeMap<NodeName, Arc<OwnedFd>>,
    host: &Host,
    probes: &[Probe],
) -> Result<Vec<Station>, CheckError> {
    let mut asks = BTreeSet::new();
    let mut serves = BTreeSet::new();
    for probe in probes {
        let Some(address) = probe.address else { continue };
        match probe.protocol {
            Protocol::Icmp => asks.insert((probe.from, address.is_ipv6())),
            Protocol::Tcp => serves.insert((probe.to, address.is_ipv6())),
        };
    }
    let pool = host.pool();
    let mut stations = Vec::with_capacity(spec.nodes.len());
    for (number, node) in spec.nodes.iter().enumerate() {
        let netns = namespaces.get(&node.name).ok_or_else(|| CheckError::NoNamespace(node.name.clone()))?;
        let mut station = Station {
            name: NetnsName::of_node(&spec.name, &node.name),
            netns: Arc::clone(netns),
            clients: [None, None],
            servers: [None, None],
        };
        for ipv6 in [false, true] {
            if asks.contains(&(number, ipv6)) {
                station.clients[usize::from(ipv6)] = Some(icmp::client(pool, netns, ipv6).await?);
            }
            if serves.contains(&(number, ipv6)) {
                station.servers[usize::from(ipv6)] = Some(Server::start(pool, netns, ipv6).await?);
            }
        }
        stations.push(station);
    }
    Ok(stations)
}

async fn probe_one(
    stations: &[Station],
    host: &Host,
    timing: Timing,
    probe: Probe,
    identifier: usize,
) -> Result<(Probe, Found), CheckError> {
    let Some(address) = probe.address else { return Ok((probe, not_asked("no address to ask at"))) };
    let family = usize::from(address.is_ipv6());
    let (from, to) = (&stations[probe.from], &stations[probe.to]);
    // Batches are far smaller than the 65,536 identifiers there are.
    let identifier = u16::try_from(identifier).unwrap_or(u16::MAX);
    let attempts = if probe.expected == Expected::Unreachable { 1 } else { ATTEMPTS };
    let found = match probe.protocol {
        Protocol::Icmp => {
            let Some(client) = &from.clients[family] else { return Ok((probe, not_asked(NO_SOCKET))) };
            let first = icmp::echo(client, address, identifier, attempts, timing.icmp).await;
            // The first round trip has the neighbours' resolution in it: only a second one is the network's own.
            if report::holds(probe.expected, probe.protocol, &first) || matches!(first, Found::NoAnswer { .. }) {
                first
            } else {
                icmp::echo(client, address, identifier, 1, timing.icmp).await
            }
        }
        Protocol::Tcp => {
            let Some(server) = &to.servers[family] else { return Ok((probe, not_asked(NO_SOCKET))) };
            let mut found = not_asked(NO_SOCKET);
            for _ in 0..attempts {
                found = tcp::exchange(host.pool(), &from.netns, address, server, timing.tcp).await?;
                if matches!(found, Found::Answer { .. }) {
                    break;
                }
            }
            found
        }
    };
    Ok((probe, found))
}

/// Can't be: [`stations`] opens a socket for every probe.
const NO_SOCKET: &str = "no socket was opened for it";

fn not_asked(reason: &str) -> Found {
    Found::NoAnswer { reason: reason.to_owned() }
}
