//! Hosts files, and the links in /etc/netns by which namespaces come to them.

use super::world::World;
use super::{different, missing};
use crate::model::{HostsFile, NameDirectory, PinName};
use crate::observed::{NameEntry, ObservedNames};
use crate::plan::steps::Steps;
use crate::plan::types::{Op, Reason, Stage};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

pub(super) fn steps(world: &World<'_>, steps: &mut Steps) {
    hosts_files(world, steps);
    name_directories(world, steps);
}

fn hosts_files(world: &World<'_>, steps: &mut Steps) {
    let there = &world.observed.hosts_files;
    let mut made: HashMap<&Path, HashSet<Files<'_>>> = HashMap::new();
    for file in &world.made.resources.hosts_files {
        made.entry(&file.directory).or_default().insert(files(file));
    }
    let mut seen: HashSet<&Path> = HashSet::new();
    for file in &world.desired.hosts_files {
        seen.insert(&file.directory);
        let made = made.get(file.directory.as_path());
        let write = Op::WriteHosts(file.clone());
        match there.get(&file.directory) {
            None => {
                let undo = vec![Op::RemoveHosts(file.clone())];
                steps.push(Stage::Namespaces, missing(made.is_some()), write, undo);
            }
            Some(there) if observed(file, there) != files(file) => {
                let reason = different(made.is_some_and(|made| made.contains(&files(file))));
                let undo = match as_it_was(file, there) {
                    Some(before) => Op::WriteHosts(before),
                    None => Op::RemoveHosts(file.clone()),
                };
                steps.push(Stage::Namespaces, reason, write, vec![undo]);
            }
            Some(_) => {}
        }
    }
    for file in world.made.resources.hosts_files.iter().filter(|file| seen.insert(&file.directory)) {
        if let Some(there) = there.get(&file.directory) {
            let before = as_it_was(file, there);
            let undo = before.iter().cloned().map(Op::WriteHosts).collect();
            let gone = before.unwrap_or_else(|| file.clone());
            steps.push(Stage::RemoveNamespaces, Reason::Gone, Op::RemoveHosts(gone), undo);
        }
    }
}

/// What the files of a directory say.
type Files<'a> = (Option<&'a str>, Option<&'a str>);

fn files(file: &HostsFile) -> Files<'_> {
    (Some(&file.content), file.resolv_conf.as_deref())
}

/// The same, as they are there; what a lease says is not the lab's.
fn observed<'a>(file: &HostsFile, there: &'a ObservedNames) -> Files<'a> {
    (there.hosts.as_deref(), there.resolv_conf.as_deref().filter(|_| !file.leased))
}

/// The files as they are there; `None` where the hosts file, which always is, was taken away.
fn as_it_was(file: &HostsFile, ObservedNames { hosts, resolv_conf }: &ObservedNames) -> Option<HostsFile> {
    let HostsFile { directory, leased, .. } = file.clone();
    let resolv_conf = resolv_conf.clone().filter(|_| !leased);
    hosts.clone().map(|content| HostsFile { directory, content, resolv_conf, leased })
}

fn name_directories(world: &World<'_>, steps: &mut Steps) {
    let there = |netns: &PinName| match world.observed.name_directories.get(netns) {
        Some(NameEntry::Link(target)) => Some(target),
        Some(NameEntry::Other) | None => None,
    };
    let mut made: HashMap<&PinName, HashSet<&PathBuf>> = HashMap::new();
    for link in &world.made.resources.name_directories {
        made.entry(&link.netns).or_default().insert(&link.directory);
    }
    let mut seen: HashSet<&PinName> = HashSet::new();
    for link in &world.desired.name_directories {
        seen.insert(&link.netns);
        let target = there(&link.netns);
        if target == Some(&link.directory) {
            continue;
        }
        let made = made.get(&link.netns);
        // What is there is ours, or there would be no plan.
        let reason = match target {
            None => missing(made.is_some()),
            Some(_) => different(made.is_some_and(|made| made.contains(&link.directory))),
        };
        if let Some(target) = target {
            let old = NameDirectory { directory: target.clone(), ..link.clone() };
            let undo = vec![Op::AddNameDirectory(old.clone())];
            steps.push(Stage::RemoveLinks, reason, Op::RemoveNameDirectory(old), undo);
        }
        let undo = vec![Op::RemoveNameDirectory(link.clone())];
        steps.push(Stage::Namespaces, reason, Op::AddNameDirectory(link.clone()), undo);
    }
    for link in &world.made.resources.name_directories {
        if there(&link.netns) == Some(&link.directory) && seen.insert(&link.netns) {
            let undo = vec![Op::AddNameDirectory(link.clone())];
            steps.push(Stage::RemoveNamespaces, Reason::Gone, Op::RemoveNameDirectory(link.clone()), undo);
        }
    }
}
