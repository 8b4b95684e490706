//! Following a lab: what has changed of what `show` shows, as it changes.
//!
//! Whoever hears of a change first (a netlink socket in each namespace, the monitor of Open vSwitch's database, inotify on
//! the lab's journal and on the names of namespaces) only says where. It is looked there again, and what is told is the
//! difference of what was seen before. So nothing is told twice or in a wrong order, and messages that got lost don't
//! matter as long as it is known that some were.

mod signs;

use super::changes::{changes, remember};
use super::context::condition;
use super::{Nslab, show};
use crate::Error;
use crate::desired::Resources;
use crate::host::{self, DirectoryWatch, FILES_OF_A_WATCH, Host, HostError, NetnsWatch};
use crate::model::ovs::{OvsRows, OvsdbServer};
use crate::model::{Instance, LabName, NetnsName};
use crate::observed::{Observed, ObservedNetns, OvsView, Pin};
use crate::report::{Change, LabCondition, LabReport};
use crate::spec::Spec;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use signs::{Follower, Place, Signs};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// How long is waited for more once there is a first sign: what is done in one go is then told in one.
const BURST: Duration = Duration::from_millis(5);

/// How many namespaces are looked into at once.
const AT_ONCE: usize = 16;

/// The files that are open besides those of the namespaces.
const OTHER_FILES: u64 = 64;

/// What a watched lab does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// Something of it has changed.
    Changed(Vec<Change>),
    /// It is no more. Nothing comes after that.
    Gone,
}

/// A lab that is watched.
pub struct LabWatch {
    nslab: Nslab,
    name: LabName,
    signs: Signs,
    /// Where still has to be looked.
    todo: BTreeSet<Place>,
    lab: Recorded,
    namespaces: BTreeMap<NetnsName, (NetnsWatch, Follower)>,
    ovs: Option<(OvsdbServer, Follower)>,
    names: Option<Follower>,
    _journal: Follower,
    observed: Observed,
    report: LabReport,
}

/// What the journal says of the lab, and what that means.
struct Recorded {
    instance: Option<Instance>,
    spec: Spec,
    condition: LabCondition,
    desired: Resources,
}

impl Nslab {
    /// Begins to watch a lab. The process's limit of open files is raised where the lab has many nodes.
    ///
    /// Until it is dropped, the sockets in the lab's namespaces keep those alive, though without their names, for the
    /// moment that it takes to see that a name is gone.
    ///
    /// # Errors
    /// When there is no such lab, it can't be looked at, or is too large for the files that may be open.
    pub async fn watch(&self, name: &LabName) -> Result<LabWatch, Error> {
        super::context::require_privilege()?;
        let signs = Signs::default();
        // Heard from before it is read.
        let Some(journal) = directory(&signs, Place::Journal, self.root().lab(name).directory())? else {
            return Err(Error::NoSuchLab { lab: name.clone(), up: self.root().lab_names()? });
        };
        let Some(lab) = recorded(self, name).await? else { return Err(Error::HalfMade { lab: name.clone() }) };
        let observed = Observed::default();
        let mut watch = LabWatch {
            nslab: self.clone(),
            name: name.clone(),
            todo: BTreeSet::from([Place::Journal]),
            namespaces: BTreeMap::new(),
            ovs: None,
            names: None,
            _journal: journal,
            report: show::report(&lab.spec, lab.condition, &lab.desired, &observed),
            signs,
            lab,
            observed,
        };
        if watch.look().await?.is_gone {
            return Err(Error::NoSuchLab { lab: name.clone(), up: self.root().lab_names()? });
        }
        watch.report = watch.seen();
        Ok(watch)
    }
}

/// Whether the lab is still there.
struct Looked {
    is_gone: bool,
}

impl LabWatch {
    /// The lab as it was last seen; what is not as it should be is not looked for.
    pub fn report(&self) -> &LabReport {
        &self.report
    }

    /// Waits for what happens next.
    ///
    /// # Errors
    /// When the lab can't be looked at any more.
    ///
    /// # Cancel safety
    /// Nothing is lost: where has not been looked is looked by the next call.
    pub async fn next(&mut self) -> Result<WatchEvent, Error> {
        loop {
            if self.todo.is_empty() {
                self.signs.wait().await;
                tokio::time::sleep(BURST).await;
                self.signs.take(&mut self.todo)?;
            }
            if self.look().await?.is_gone {
                return Ok(WatchEvent::Gone);
            }
            let mut now = self.seen();
            remember(&self.report, &mut now);
            let changes = changes(&self.report, &now);
            self.report = now;
            if !changes.is_empty() {
                return Ok(WatchEvent::Changed(changes));
            }
        }
    }

    fn seen(&self) -> LabReport {
        let Recorded { instance: _, spec, condition, desired } = &self.lab;
        show::report(spec, *condition, desired, &self.observed)
    }

    /// Looks wherever something has changed. A place is done when it was looked at, not before.
    async fn look(&mut self) -> Result<Looked, Error> {
        if self.todo.contains(&Place::Journal) {
            match recorded(&self.nslab, &self.name).await? {
                Some(lab) if lab.instance == self.lab.instance || self.lab.instance.is_none() => self.take_over(lab)?,
                _ => return Ok(Looked { is_gone: true }),
            }
            self.todo.remove(&Place::Journal);
        }
        if self.todo.contains(&Place::Names) {
            for (name, (watch, _)) in &self.namespaces {
                if !watch.has_its_name()? {
                    self.todo.insert(Place::Netns(name.clone()));
                }
            }
            // One that came without a name that was known is not among them.
            let unseen = wanted(&self.lab.desired).into_iter().filter(|name| !self.namespaces.contains_key(name));
            self.todo.extend(unseen.map(Place::Netns));
            self.todo.remove(&Place::Names);
        }
        self.look_into_namespaces().await?;
        if self.todo.contains(&Place::Ovs) {
            if let Some(OvsRows { server, lab, rows: _ }) = &self.lab.desired.ovs {
                self.observed.ovs = match self.nslab.host().observe_ovs(server, lab).await {
                    // Nobody tells when ovs-vswitchd is back, so that it is away is no news either.
                    OvsView::Seen(seen) => OvsView::Seen(crate::observed::ObservedOvs { switch_lives: true, ..seen }),
                    other => other,
                };
            }
            self.todo.remove(&Place::Ovs);
        }
        Ok(Looked { is_gone: false })
    }

    /// Follows what the journal says now. All of it is looked at: what changed before it was listened to is news too.
    fn take_over(&mut self, lab: Recorded) -> Result<(), Error> {
        let wanted = wanted(&lab.desired);
        self.require_open_files(wanted.len())?;
        self.namespaces.retain(|name, _| wanted.contains(name));
        self.observed.namespaces.retain(|name, _| wanted.contains(name));
        match &lab.desired.ovs {
            None => (self.ovs, self.observed.ovs) = (None, OvsView::NotAsked),
            Some(rows) if self.ovs.as_ref().is_none_or(|(server, _)| *server != rows.server) => {
                let watch = self.nslab.host().watch_ovs(&rows.server)?;
                let changes = stream::unfold(watch, |mut watch| async move {
                    watch.changed().await;
                    Some((Ok(()), watch))
                });
                self.ovs = Some((rows.server.clone(), self.signs.follow(Place::Ovs, changes)));
            }
            Some(_) => {}
        }
        // It may be another directory by now, mounted over the first.
        self.names = directory(&self.signs, Place::Names, Path::new(host::PIN_DIRECTORY))?;
        self.todo.extend(wanted.into_iter().map(Place::Netns));
        self.todo.insert(Place::Ovs);
        self.lab = lab;
        Ok(())
    }

    fn require_open_files(&self, namespaces: usize) -> Result<(), Error> {
        let needed = FILES_OF_A_WATCH * namespaces as u64 + OTHER_FILES;
        let limit = host::raise_open_files_limit(needed);
        if limit < needed { Err(Error::OpenFiles { lab: self.name.clone(), needed, limit }) } else { Ok(()) }
    }

    async fn look_into_namespaces(&mut self) -> Result<(), Error> {
        let vlans = !self.lab.desired.port_vlans.is_empty();
        let wanted = wanted(&self.lab.desired);
        let in_todo = self.todo.iter().filter_map(|place| match place {
            Place::Netns(name) if wanted.contains(name) => Some(name.clone()),
            _ => None,
        });
        let known = in_todo.map(|name| {
            let watch = self.namespaces.get(&name).map(|(watch, _)| watch.clone());
            (name, watch)
        });
        let known: Vec<_> = known.collect();
        let host = self.nslab.host();
        let looked: Vec<(NetnsName, Inside)> = stream::iter(known)
            .map(|(name, watch)| async move {
                let inside = look_into(host, &name, watch, vlans).await?;
                Ok::<_, HostError>((name, inside))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        self.todo.retain(|place| !matches!(place, Place::Netns(_)));
        for (name, inside) in looked {
            match inside {
                Inside::Absent => {
                    self.namespaces.remove(&name);
                    self.observed.namespaces.remove(&name);
                }
                Inside::Restless => self.signs.give(Place::Netns(name)),
                Inside::Seen(watch, mut inside) => {
                    if name == NetnsName::Host {
                        let devices = host_devices(&self.lab.desired);
                        inside.links.retain(|link, _| devices.contains(link.as_str()));
                    }
                    self.observed.namespaces.insert(name.clone(), Pin::Namespace(*inside));
                    let is_followed = self.namespaces.get(&name).is_some_and(|(known, _)| known.is(&watch));
                    if !is_followed {
                        let changes = stream::unfold(watch.clone(), |watch| async move {
                            let change = watch.changed().await;
                            Some((change, watch))
                        });
                        let follower = self.signs.follow(Place::Netns(name.clone()), changes);
                        self.namespaces.insert(name, (watch, follower));
                    }
                }
            }
        }
        Ok(())
    }
}

/// What was found of a namespace.
enum Inside {
    /// There is none.
    Absent,
    /// It changes too fast to be looked at.
    Restless,
    /// This is in it.
    Seen(NetnsWatch, Box<ObservedNetns>),
}

async fn look_into(host: &Host, name: &NetnsName, known: Option<NetnsWatch>, vlans: bool) -> Result<Inside, HostError> {
    let known = match known {
        Some(watch) if watch.has_its_name()? => Some(watch),
        _ => host.watch_netns(name).await?,
    };
    let Some(watch) = known else { return Ok(Inside::Absent) };
    match watch.observe(host, vlans).await {
        Ok(inside) => Ok(Inside::Seen(watch, Box::new(inside))),
        Err(error) if error.is_retryable() => Ok(Inside::Restless),
        Err(error) => Err(error),
    }
}

/// What the journal says; `None` where the lab is no more.
async fn recorded(nslab: &Nslab, name: &LabName) -> Result<Option<Recorded>, Error> {
    let state = match nslab.state(name) {
        Err(Error::NoSuchLab { .. }) => return Ok(None),
        other => other?,
    };
    // Without a topology it has nothing yet, or its directory went while it was read.
    let Some(spec) = state.spec().cloned() else { return Ok(None) };
    let desired = nslab.desired(&state, &spec).await?;
    Ok(Some(Recorded { condition: condition(&state), instance: state.instance, spec, desired }))
}

/// The namespaces that something of the lab is in.
fn wanted(desired: &Resources) -> BTreeSet<NetnsName> {
    let mut wanted: BTreeSet<NetnsName> =
        desired.netns.iter().map(|netns| NetnsName::from(netns.name.clone())).collect();
    if !host_devices(desired).is_empty() {
        wanted.insert(NetnsName::Host);
    }
    wanted
}

/// The lab's interfaces in the host's namespace.
fn host_devices(desired: &Resources) -> BTreeSet<&str> {
    let ends = desired.veths.iter().flat_map(|veth| [&veth.a, &veth.b]);
    ends.filter(|end| end.interface.netns == NetnsName::Host).map(|end| end.interface.name.as_str()).collect()
}

fn directory(signs: &Signs, place: Place, path: &Path) -> Result<Option<Follower>, HostError> {
    let Some(watch) = DirectoryWatch::new(path)? else { return Ok(None) };
    let changes = stream::unfold(watch, |watch| async move {
        let change = watch.changed().await;
        Some((change, watch))
    });
    Ok(Some(signs.follow(place, changes)))
}
