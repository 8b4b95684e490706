//! What there is to do for a lab: looking at the machine, and making the plan. Touches nothing.

use super::{ApplyError, containers};
use crate::desired::nat::{self, Nat};
use crate::desired::{self, Backends, FoundNic, Resources};
use crate::host::{Host, NAMES_DIRECTORY};
use crate::model::ovs::{Datapath, OvsRows, OvsTable, OvsdbServer, text_of};
use crate::model::{self, Address, Identity, LabName, SwitchName};
use crate::observe::{self, Privilege, Scope};
use crate::observed::{Observed, OvsState};
use crate::plan::{self, Made, Plan, PlanError};
use crate::spec::{Spec, Uplink};
use crate::state::{LabPaths, LabState, sysctls_of_others};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

/// What there is to do for a lab to become `spec`, and everything that was looked at to know it.
pub struct Planned {
    /// What the journal says.
    pub state: LabState,
    /// The lab's resources.
    pub desired: Resources,
    /// What is there.
    pub observed: Observed,
    /// The plan.
    pub plan: Plan,
    /// What is good to know about it.
    pub notes: Vec<String>,
}

/// Where Open vSwitch's database is.
#[derive(Debug, Clone)]
pub struct OvsdbOptions {
    /// Where the caller says it is.
    pub named: Option<OvsdbServer>,
    /// Where it is otherwise, unless the lab's journal knows better.
    pub default: OvsdbServer,
}

impl OvsdbOptions {
    fn server(&self, made: &Made) -> OvsdbServer {
        let made = made.resources.ovs.as_ref().map(|rows| &rows.server);
        self.named.as_ref().or(made).unwrap_or(&self.default).clone()
    }
}

/// The directory that the hosts files of a lab get directories in that a script makes: nothing of such a lab is in
/// /run/nslab, and no namespace has a name that begins with a dot.
pub fn script_names_root(lab: &LabName) -> PathBuf {
    Path::new(NAMES_DIRECTORY).join(format!(".{lab}"))
}

/// Makes the plan for a lab, whose state is in `lab`, to become `spec`, its hosts files in directories below `names_root`;
/// touches nothing.
///
/// # Errors
/// When the machine can't be looked at, or something stands in the way.
pub async fn plan_up(
    host: &Host,
    state: LabState,
    spec: &Spec,
    lab: &LabPaths,
    names_root: &Path,
    ovsdb: &OvsdbOptions,
    privilege: Privilege,
) -> Result<Planned, ApplyError> {
    let made = state.made();
    let backends = choose_backends(host, spec, &made, ovsdb, Absence::Fails).await?;
    if backends.has_ovs() {
        // It may still be taking away what a stopped command, or a former lab, had there: what is seen before that does
        // not stay so. Where it does not come to it, carrying the plan out says so.
        let _ = told_when_slow(host.let_ovs_catch_up(&backends.server)).await;
    }
    let nat = choose_nat(host, spec, lab, &made, privilege, nat::Missing::Fails).await?;
    let nic = nic_of(host, spec, &made).await?;
    let machine = Machine { backends, nat, nic };
    let desired = resolve(host, &state, spec, names_root, &machine)?;
    let mut observed = look(host, &spec.name, &[&desired, &made.resources], privilege).await?;
    observed.claimed_sysctls = sysctls_of_others(lab)?;
    let plan = plan::diff(&desired, &made, &observed)?;
    let notes = machine.backends.notes.into_iter().chain(machine.nat.into_iter().flat_map(|nat| nat.notes));
    let notes = notes.chain(containers::without_names(&plan)).collect();
    Ok(Planned { state, desired, observed, plan, notes })
}

/// Waits for ovs-vswitchd, and says so where it takes long: after the `down` of a thousand ports it does.
async fn told_when_slow<T>(catching_up: impl Future<Output = T>) -> T {
    const SLOW: Duration = Duration::from_secs(1);
    let mut catching_up = pin!(catching_up);
    if let Ok(done) = tokio::time::timeout(SLOW, &mut catching_up).await {
        return done;
    }
    tracing::warn!("ovs-vswitchd is still busy with what came before: waiting for it");
    catching_up.await
}

/// What a lab that was brought up is to consist of. Where its Open vSwitch is away, its switches stay what they are.
///
/// # Errors
/// When that can't be known.
pub async fn desired_of(
    host: &Host,
    state: &LabState,
    spec: &Spec,
    lab: &LabPaths,
    ovsdb: &OvsdbOptions,
) -> Result<Resources, ApplyError> {
    let made = state.made();
    let backends = choose_backends(host, spec, &made, ovsdb, Absence::IsBorne).await?;
    let nat = choose_nat(host, spec, lab, &made, Privilege::Full, nat::Missing::IsBorne).await?;
    let machine = Machine { backends, nat, nic: made.resources.uplink.map(found) };
    resolve(host, state, spec, &lab.names_root(), &machine)
}

/// What the machine decides of a lab.
struct Machine {
    /// What its switches are made of.
    backends: Backends,
    /// How it reaches the world by NAT, where it is to.
    nat: Option<Nat>,
    /// The NIC that is to be its uplink, where one is.
    nic: Option<FoundNic>,
}

/// The machine's NIC that is to be the uplink, as it was before it was one: the journal knows that of one that is.
async fn nic_of(host: &Host, spec: &Spec, made: &Made) -> Result<Option<FoundNic>, ApplyError> {
    let Some(Uplink::Nic(wanted)) = &spec.uplink else { return Ok(None) };
    match &made.resources.uplink {
        Some(uplink) if uplink.nic.name == wanted.nic => Ok(Some(found(uplink.clone()))),
        _ => {
            let cant = |source| ApplyError::Nic { lab: spec.name.clone(), source };
            let nic = host.look_at_nic(&wanted.nic).await.map_err(cant)?;
            let holders = host.find_holders(&wanted.nic).await.map_err(cant)?;
            let client_id = host.former_client_id(&nic, &holders).await.map_err(cant)?;
            Ok(Some(FoundNic { nic, holders, client_id }))
        }
    }
}

fn found(uplink: model::Uplink) -> FoundNic {
    FoundNic { nic: uplink.nic, holders: uplink.holders, client_id: uplink.client_id }
}

/// How the lab reaches the world by NAT, where it is to.
async fn choose_nat(
    host: &Host,
    spec: &Spec,
    lab: &LabPaths,
    made: &Made,
    privilege: Privilege,
    missing: nat::Missing,
) -> Result<Option<Nat>, ApplyError> {
    if nat::nat_uplink(spec).is_none() {
        return Ok(None);
    }
    let looked_at = host.survey_network(privilege == Privilege::Full).await;
    let mut network = looked_at.map_err(|source| ApplyError::Observe { lab: spec.name.clone(), source })?;
    network.claimed_sysctls = sysctls_of_others(lab)?;
    let chosen = nat::choose(spec, &network, &made.resources, missing);
    Ok(chosen.map_err(PlanError::from)?)
}

fn resolve(
    host: &Host,
    state: &LabState,
    spec: &Spec,
    names_root: &Path,
    machine: &Machine,
) -> Result<Resources, ApplyError> {
    let boot = host.boot_id().map_err(|source| ApplyError::Observe { lab: spec.name.clone(), source })?;
    let instance = state.instance.clone();
    let identity = Identity { instance, boot };
    let Machine { backends, nat, nic } = machine;
    let mut desired = desired::resolve(spec, names_root, &identity, backends, nat.as_ref(), nic.as_ref());
    if !host.has_ipv6() {
        let moot = |addresses: Vec<Address>| addresses.into_iter().map(|address| address.address).collect();
        desired = desired.without_ipv6().map_err(|addresses| PlanError::NoIpv6(moot(addresses)))?;
    }
    Ok(desired)
}

/// What becomes of switches of Open vSwitch that is away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absence {
    /// There can't be any.
    Fails,
    /// Those that were made are what they were.
    IsBorne,
}

async fn choose_backends(
    host: &Host,
    spec: &Spec,
    made: &Made,
    ovsdb: &OvsdbOptions,
    absence: Absence,
) -> Result<Backends, ApplyError> {
    let server = ovsdb.server(made);
    let rows = made.resources.ovs.as_ref();
    let state = if desired::asks_for_ovs(spec, rows) {
        host.ovs_state(&server).await
    } else {
        OvsState::Absent("no switch asks for it".to_owned())
    };
    let state = match (state, rows.and_then(datapath)) {
        (OvsState::Absent(_), Some(datapath)) if absence == Absence::IsBorne => {
            OvsState::Alive { version: String::new(), datapath }
        }
        (state, _) => state,
    };
    let is_linux = |switch: &SwitchName| {
        made.resources.bridges.iter().any(|bridge| bridge.interface.name.as_str() == switch.as_str())
    };
    desired::choose(spec, &state, server, rows, is_linux).map_err(|error| PlanError::from(error).into())
}

/// The datapath that a lab's switches were made with.
fn datapath(rows: &OvsRows) -> Option<Datapath> {
    let bridge = rows.rows.iter().find(|row| row.id.table == OvsTable::Bridge)?;
    let name = text_of(&bridge.columns, "datapath_type");
    Some(if name == Some(Datapath::System.as_str()) { Datapath::System } else { Datapath::Netdev })
}

pub(super) async fn look(
    host: &Host,
    lab: &LabName,
    resources: &[&Resources],
    privilege: Privilege,
) -> Result<Observed, ApplyError> {
    let scope = Scope::of(resources);
    observe::gather(host, &scope, privilege).await.map_err(|source| ApplyError::Observe { lab: lab.clone(), source })
}
