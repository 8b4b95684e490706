//! What every verb stands on: the state directory and the machine.

use super::images;
use crate::Error;
use crate::apply::{self, Context, Gap, Outcome, OvsdbOptions, Planned, Progress, Stop};
use crate::desired::Resources;
use crate::host::ovsdb::Target;
use crate::host::{self, Host};
use crate::image::Store;
use crate::model::ovs::OvsdbServer;
use crate::model::{self, LabName, Netns, NodeName, PinName};
use crate::observe::{self, Privilege, Scope};
use crate::observed::{Observed, OvsView};
use crate::plan::{self, Plan, PlanError, Reason};
use crate::process;
use crate::report::{
    DownReport, GapReport, LabCondition, LabReport, LabSummary, PlanReport, StepReport, UpReport, UpResult,
};
use crate::spec::Spec;
use crate::state::{self, LabState, LockedHostNetwork, LockedLab, Record, StateRoot, Verb, read_instance};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a verb is watched and stopped.
#[derive(Clone)]
pub struct Options {
    /// The wish to stop.
    pub stop: Stop,
    /// Told how many steps are done, and of how many.
    pub progress: Progress,
}

impl Default for Options {
    /// Not stopped, not watched.
    fn default() -> Self {
        Self { stop: Stop::never(), progress: Arc::new(|_, _| {}) }
    }
}

/// Where root's images are.
pub(crate) const IMAGES: &str = "/var/lib/nslab/images";

/// The labs of a machine.
#[derive(Clone)]
pub struct Nslab {
    root: StateRoot,
    host: Host,
    ovsdb: OvsdbOptions,
    images: Store,
}

impl Nslab {
    /// The labs whose state is in `root`. To be called inside a multi-threaded tokio runtime.
    pub fn new(root: StateRoot) -> Self {
        let default = OvsdbServer { target: Target::local(None).to_string(), tls: None };
        Self { root, host: Host::new(), ovsdb: OvsdbOptions { named: None, default }, images: Store::new(IMAGES) }
    }

    /// The same, with Open vSwitch's database elsewhere.
    #[must_use]
    pub fn with_ovsdb(mut self, ovsdb: OvsdbOptions) -> Self {
        self.ovsdb = ovsdb;
        self
    }

    /// The same, with another store of images.
    #[must_use]
    pub fn with_images(mut self, images: Store) -> Self {
        self.images = images;
        self
    }

    /// The images that containers stand on.
    pub fn images(&self) -> &Store {
        &self.images
    }

    /// Where Open vSwitch's database is where neither the caller nor a lab's journal says so.
    pub(super) fn default_ovsdb(&self) -> &OvsdbServer {
        self.ovsdb.named.as_ref().unwrap_or(&self.ovsdb.default)
    }

    /// The machine.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The state directory.
    pub fn root(&self) -> &StateRoot {
        &self.root
    }

    pub(super) fn context(&self, options: &Options) -> Context {
        Context {
            host: self.host.clone(),
            stop: options.stop.clone(),
            progress: Arc::clone(&options.progress),
            ovsdb: self.ovsdb.clone(),
        }
    }

    /// Brings a lab up, or a running one to what `spec` says; on failure it is as it was.
    ///
    /// # Errors
    /// When the caller is not root, something stands in the way, or a step fails.
    ///
    /// # Cancel safety
    /// Not to be dropped half-way: use [`Options::stop`]. If it is, the next `up` or `down` finds what was done.
    #[tracing::instrument(name = "lab", skip_all, fields(lab = %spec.name))]
    pub async fn up(&self, spec: &Spec, options: &Options) -> Result<UpReport, Error> {
        require_place()?;
        let spec = self.on_images(spec)?;
        let lab = options.stop.unless(self.lock_for_up(&spec.name)).await.unwrap_or(Err(Error::Interrupted))?;
        Box::pin(self.up_locked(lab, &spec, options)).await
    }

    /// As [`Nslab::up`], of a lab that is locked already.
    pub(super) async fn up_locked(&self, lab: LockedLab, spec: &Spec, options: &Options) -> Result<UpReport, Error> {
        let started = Instant::now();
        let _host = lock_host_network(&lab, Some(spec)).await?;
        let result = match images::claim(&lab, spec) {
            Ok(()) => Box::pin(apply::up(&self.context(options), &lab, spec)).await.map_err(Error::from),
            Err(error) => Err(error),
        };
        if result.is_ok()
            && let Err(error) = images::claim_anew(&lab, spec)
        {
            // It is up, and holds more than it needs.
            tracing::warn!("{}", crate::error::chain(&error));
        }
        let state = lab.read()?;
        let is_nothing = result.is_err() && is_nothing(&state, result.as_ref().err());
        // While the lab is locked: afterwards, another one may come up in its place.
        let left = self.leave_images(&lab, (!is_nothing).then_some(&state));
        if is_nothing {
            forget(lab).await?;
        }
        let outcome = result?;
        left?;
        Ok(report(&spec.name, Some(spec), outcome, started))
    }

    async fn lock_for_up(&self, lab: &LabName) -> Result<LockedLab, Error> {
        loop {
            self.root.lock().await?.add_lab(lab)?;
            // None: a `down` that held the lab ended meanwhile, and took the directory away.
            if let Some(locked) = self.root.lock_lab(lab, || waiting_for(lab)).await? {
                return Ok(locked);
            }
        }
    }

    /// Takes a lab away.
    ///
    /// # Errors
    /// When there is none of that name, or something of it is left.
    ///
    /// # Cancel safety
    /// As [`Nslab::up`].
    pub async fn down(&self, name: &LabName, options: &Options) -> Result<DownReport, Error> {
        let started = Instant::now();
        require_place()?;
        let lab = self.lock_existing(name, options).await?;
        self.down_locked(lab, options, started).await
    }

    /// Locks a lab that there is.
    pub(super) async fn lock_existing(&self, name: &LabName, options: &Options) -> Result<LockedLab, Error> {
        let lock = options.stop.unless(self.root.lock_lab(name, || waiting_for(name))).await;
        if let Some(lab) = lock.ok_or(Error::Interrupted)?? {
            return Ok(lab);
        }
        apply::tidy(&self.root).await?;
        Err(Error::NoSuchLab { lab: name.clone(), up: self.root.lab_names()? })
    }

    /// Takes a lab away if a command left it half-made; says whether it was.
    pub(super) async fn down_if_half_made(&self, name: &LabName, options: &Options) -> Result<bool, Error> {
        let started = Instant::now();
        let Some(lab) = self.root.lock_lab(name, || waiting_for(name)).await? else { return Ok(false) };
        if condition(&lab.read()?) != LabCondition::HalfMade {
            return Ok(false);
        }
        self.down_locked(lab, options, started).await?;
        Ok(true)
    }

    #[tracing::instrument(name = "lab", skip_all, fields(lab = %lab.name()))]
    async fn down_locked(&self, lab: LockedLab, options: &Options, started: Instant) -> Result<DownReport, Error> {
        let name = lab.name().clone();
        // Until the journal is gone: it says to others what the lab has set of the host's.
        let _host = lock_host_network(&lab, None).await?;
        let Outcome { plan, ended, left_alone, notes: _, gaps: _, was_up: _ } =
            apply::down(&self.context(options), &lab).await?;
        self.leave_images(&lab, None)?;
        forget(lab).await?;
        let removed = |op: &plan::Op| if let plan::Op::DeleteNetns(all) = op { all.len() } else { 0 };
        let namespaces = plan.steps.iter().map(|step| removed(&step.op)).sum();
        Ok(DownReport {
            lab: name,
            namespaces,
            ended: ended.iter().map(ToString::to_string).collect(),
            left_alone,
            took_ms: millis(started),
        })
    }

    /// Removes what a stopped command may have left of the state directory when no lab is in it.
    ///
    /// # Errors
    /// When something can't be removed.
    pub async fn tidy(&self) -> Result<(), Error> {
        Ok(apply::tidy(&self.root).await?)
    }

    /// What `up` would do.
    ///
    /// # Errors
    /// When something stands in the way, or a running lab can't be looked at without root.
    pub async fn plan(&self, spec: &Spec) -> Result<PlanReport, Error> {
        let planned = self.planned(&self.on_images(spec)?, &self.root.lab(&spec.name).names_root()).await?;
        Ok(PlanReport { lab: spec.name.clone(), steps: steps(&planned.plan), notes: planned.notes })
    }

    /// What `up` would do, as a script for sh(1). What it makes of a new lab is its own: nslab won't touch that.
    ///
    /// # Errors
    /// As [`Nslab::plan`].
    pub async fn script(&self, spec: &Spec) -> Result<String, Error> {
        let paths = self.root.lab(&spec.name);
        let is_new = LabState::read(&paths)? == LabState::default();
        let names_root = if is_new { apply::script_names_root(&spec.name) } else { paths.names_root() };
        Ok(plan::shell(&self.planned(&self.on_images(spec)?, &names_root).await?.plan))
    }

    async fn planned(&self, spec: &Spec, names_root: &Path) -> Result<Planned, Error> {
        let privilege = if host::is_privileged() { Privilege::Full } else { Privilege::None };
        let lab = self.root.lab(&spec.name);
        let state = LabState::read(&lab)?;
        Ok(apply::plan_up(&self.host, state, spec, &lab, names_root, &self.ovsdb, privilege).await?)
    }

    /// The labs, in alphabetical order.
    ///
    /// # Errors
    /// When the state directory can't be read.
    pub fn labs(&self) -> Result<Vec<LabSummary>, Error> {
        let mut summaries = Vec::new();
        for lab in self.root.lab_names()? {
            let state = LabState::read(&self.root.lab(&lab))?;
            let spec = state.spec();
            summaries.push(LabSummary {
                state: condition(&state),
                nodes: spec.map_or(0, |spec| spec.nodes.len()),
                switches: spec.map_or(0, |spec| spec.switches.len()),
                links: spec.map_or(0, |spec| spec.links.len()),
                description: spec.and_then(|spec| spec.description.clone()),
                lab,
            });
        }
        Ok(summaries)
    }

    /// A lab as it is, beside what it should be.
    ///
    /// # Errors
    /// When there is no such lab, or it can't be looked at.
    pub async fn show(&self, name: &LabName) -> Result<LabReport, Error> {
        require_privilege()?;
        let state = self.state(name)?;
        let Some(spec) = state.spec().cloned() else { return Err(Error::HalfMade { lab: name.clone() }) };
        let condition = condition(&state);
        let desired = self.desired(&state, &spec).await?;
        let made = state.made();
        let scope = Scope::of(&[&desired, &made.resources]).with_statistics_of(&PinName::of_fabric(name));
        let mut observed = observe::gather(&self.host, &scope, Privilege::Full).await?;
        observed.claimed_sysctls = state::sysctls_of_others(&self.root.lab(name))?;
        let report = super::show::report(&spec, condition, &desired, &observed);
        let drift = match plan::diff(&desired, &made, &without_unreachable(observed)) {
            Ok(plan) => plan.steps.iter().map(|step| step.op.to_string()).collect(),
            // It is what is not as it should be, too; that `up` would not touch it, is said with it.
            Err(PlanError::NotOurs(all)) => all.iter().map(|one| format!("stop before {one}")).collect(),
            Err(error) => return Err(apply::ApplyError::from(error).into()),
        };
        Ok(LabReport { drift, ..report })
    }

    /// What a lab that was brought up is to consist of.
    pub(super) async fn desired(&self, state: &LabState, spec: &Spec) -> Result<Resources, Error> {
        Ok(apply::desired_of(&self.host, state, spec, &self.root.lab(&spec.name), &self.ovsdb).await?)
    }

    /// The namespace of a node of a lab that is up, or half-made: its name and its mark.
    ///
    /// # Errors
    /// When there is no such lab.
    pub fn netns_of(&self, lab: &LabName, node: &NodeName) -> Result<Netns, Error> {
        netns_of(&self.root, lab, node)
    }

    /// What the journal says of a lab.
    ///
    /// # Errors
    /// When there is no such lab, or its journal can't be read.
    pub fn state(&self, name: &LabName) -> Result<LabState, Error> {
        let paths = self.root.lab(name);
        if !paths.directory().exists() {
            return Err(Error::NoSuchLab { lab: name.clone(), up: self.root.lab_names()? });
        }
        Ok(LabState::read(&paths)?)
    }

    /// A lab that is up.
    ///
    /// # Errors
    /// When there is no such lab, or it is half-made.
    pub fn record(&self, name: &LabName) -> Result<Record, Error> {
        self.state(name)?.record.ok_or_else(|| Error::HalfMade { lab: name.clone() })
    }
}

/// What was done to a lab.
pub(super) fn report(lab: &LabName, spec: Option<&Spec>, outcome: Outcome, started: Instant) -> UpReport {
    let Outcome { plan, ended, left_alone: _, notes, gaps, was_up } = outcome;
    let result = match (was_up, plan.steps.is_empty()) {
        (false, _) => UpResult::Created,
        (true, false) => UpResult::Changed,
        (true, true) => UpResult::Unchanged,
    };
    UpReport {
        lab: lab.clone(),
        result,
        nodes: spec.map_or(0, |spec| spec.nodes.len()),
        switches: spec.map_or(0, |spec| spec.switches.len()),
        links: spec.map_or(0, |spec| spec.links.len()),
        steps: steps(&plan),
        ended: ended.iter().map(ToString::to_string).collect(),
        notes,
        gaps: gaps.into_iter().map(|Gap { nic, longest }| GapReport { nic, longest_ms: as_ms(longest) }).collect(),
        took_ms: millis(started),
    }
}

fn as_ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// What was seen, for a plan of all but what is in a database that can't be reached: the report says so of its switches.
fn without_unreachable(observed: Observed) -> Observed {
    match observed.ovs {
        OvsView::Unreachable(_) => Observed { ovs: OvsView::NotAsked, ..observed },
        _ => observed,
    }
}

/// As [`Nslab::netns_of`], for who has no need of all the rest.
pub(crate) fn netns_of(root: &StateRoot, lab: &LabName, node: &NodeName) -> Result<Netns, Error> {
    let Some(instance) = read_instance(&root.lab(lab))? else {
        return Err(Error::NoSuchLab { lab: lab.clone(), up: root.lab_names()? });
    };
    Ok(Netns { name: PinName::of_node(lab, node), mark: model::mark(lab, node.as_str(), Some(&instance)) })
}

/// What it takes to change anything.
pub(super) fn require_place() -> Result<(), Error> {
    require_privilege()?;
    Ok(host::require_pins_seen_outside()?)
}

pub(super) fn require_privilege() -> Result<(), Error> {
    if !host::is_privileged() {
        return Err(Error::NotRoot);
    }
    // Others' processes would be taken for those of a lab, and ended.
    if process::shows_others() { Err(Error::OtherProc) } else { Ok(()) }
}

/// Keeps other labs from changing the host's own network stack, where this one does or did.
async fn lock_host_network(lab: &LockedLab, spec: Option<&Spec>) -> Result<Option<LockedHostNetwork>, Error> {
    let wants = spec.is_some_and(|spec| spec.uplink.is_some());
    if !wants && lab.read()?.made().resources.nat_tables.is_empty() {
        return Ok(None);
    }
    let waiting = || tracing::warn!("another nslab is changing the machine's own network: waiting for it");
    Ok(Some(LockedHostNetwork::lock(waiting).await?))
}

fn waiting_for(lab: &LabName) {
    tracing::warn!("another nslab is changing {lab}: waiting for it");
}

/// Removes what is written down of a lab that is no more.
async fn forget(lab: LockedLab) -> Result<(), Error> {
    // Before: until then, another `down` finds the lab. Where it is refused, `gc` says so again, and the lab is gone all the same.
    if let Err(error) = apply::give_controllers_back().await {
        tracing::warn!("{}", crate::error::chain(&error));
    }
    Ok(apply::forget(lab).await?)
}

/// Whether a failed `up` left nothing, so that the lab's directory is to go too.
fn is_nothing(state: &LabState, error: Option<&Error>) -> bool {
    let nothing_was = state.record.is_none() && state.pending.is_none();
    let is_undone = |error: &Error| matches!(error, Error::Apply(error) if error.is_undone());
    let all_undone = state.record.is_none() && error.is_some_and(is_undone);
    nothing_was || all_undone
}

pub(super) fn condition(state: &LabState) -> LabCondition {
    match (&state.record, state.pending.as_ref().map(|pending| pending.verb)) {
        (Some(_), None) => LabCondition::Up,
        (Some(_), Some(Verb::Up)) => LabCondition::HalfChanged,
        (Some(_), Some(Verb::Down)) | (None, _) => LabCondition::HalfMade,
    }
}

pub(super) fn steps(plan: &Plan) -> Vec<StepReport> {
    plan.steps
        .iter()
        .map(|step| {
            let reason: Reason = step.reason;
            StepReport { reason, what: step.op.to_string() }
        })
        .collect()
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
