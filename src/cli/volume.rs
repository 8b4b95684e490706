//! `volume`: file systems that a lab's containers share, while they run.

use super::args::Global;
use super::args_volume::VolumeVerb;
use super::render::{self, table};
use super::select::{self, Called};
use crate::Error;
use crate::lab::not_running;
use crate::launcher::{self, Record};
use crate::model::{LabName, Volume};
use crate::state::{LabState, StateRoot};
use std::path::Path;
use std::process::ExitCode;

/// Runs in a process with one thread: it makes another one that goes into the container.
pub(super) fn volume(global: &Global, verb: VolumeVerb) -> Result<ExitCode, Error> {
    let root = StateRoot::new(&global.state_dir)?;
    match verb {
        VolumeVerb::Attach { volume, at, ro } => {
            let (record, lab, path) = container(&root, global, &at)?;
            let volumes = volumes(&root, &lab)?;
            let found = volumes.iter().find(|known| known.name == volume);
            let found = found.ok_or_else(|| {
                let names: Vec<&str> = volumes.iter().map(|known| known.name.as_str()).collect();
                let known =
                    if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
                Error::Usage(format!("{lab} has no volume {volume}: {known}"))
            })?;
            launcher::attach_volume(&record, found, Path::new(path), ro)?;
        }
        VolumeVerb::Detach { at } => {
            let (record, lab, path) = container(&root, global, &at)?;
            launcher::detach_volume(&record, &volumes(&root, &lab)?, Path::new(path))?;
        }
        VolumeVerb::Ls { lab } => list(&root, global, &select::lab(&root, global, lab)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(root: &StateRoot, global: &Global, lab: &LabName) -> Result<(), Error> {
    let state = LabState::read(&root.lab(lab))?;
    let all: Vec<Volume> = state.made().resources.volumes;
    let nodes = state.spec().into_iter().flat_map(|spec| &spec.nodes);
    let mut mounts = Vec::new();
    for node in nodes.filter(|node| node.container.is_some()) {
        let record = Record::read(&Called::Node(lab.clone(), node.name.clone()).record(root))?;
        // Where none runs, nothing is mounted; it may end while it is looked at.
        let there = record.filter(Record::is_alive).and_then(|it| launcher::mounted_volumes(&it, &all).ok());
        mounts.extend(there.unwrap_or_default().into_iter().map(|(volume, at)| (volume, &node.name, at)));
    }
    let by = |name: &str| {
        let named = mounts.iter().filter(|(volume, ..)| volume == name);
        named.map(|(_, node, at)| format!("{node}:{}", at.display())).collect::<Vec<_>>()
    };
    if global.json {
        let rows = all.iter().map(|of| serde_json::json!({ "name": of.name, "kind": of.kind, "mounts": by(&of.name) }));
        render::json(&rows.collect::<Vec<_>>());
        return Ok(());
    }
    let rows = all.iter().map(|of| vec![of.name.clone(), of.kind.to_string(), by(&of.name).join(" ")]);
    render::text(&table(&["NAME", "WHAT", "MOUNTS"], &rows.collect::<Vec<_>>()));
    Ok(())
}

fn volumes(root: &StateRoot, lab: &LabName) -> Result<Vec<Volume>, Error> {
    Ok(LabState::read(&root.lab(lab))?.made().resources.volumes)
}

/// A container that runs, its lab, and the path in it.
fn container<'a>(root: &StateRoot, global: &Global, at: &'a str) -> Result<(Record, LabName, &'a str), Error> {
    let split = at.split_once(':').filter(|(_, path)| path.starts_with('/'));
    let wrong = || Error::Usage(format!("`{at}` names no directory of a container: write NODE:/PATH"));
    let (name, path) = split.ok_or_else(wrong)?;
    let called = select::container(root, global, name)?;
    let record = Record::read(&called.record(root))?.filter(Record::is_alive);
    match (called, record) {
        (Called::Node(lab, _), Some(record)) => Ok((record, lab, path)),
        (Called::Alone(name), _) => {
            Err(Error::Usage(format!("{name} belongs to no lab, and volumes are a lab's: name one of its nodes")))
        }
        (called, None) => Err(Error::Usage(not_running(called))),
    }
}
