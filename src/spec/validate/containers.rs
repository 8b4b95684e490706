//! The containers that nodes are.

use super::names::NodeDef;
use super::nodes::command;
use super::{items, value, volumes};
use crate::model::container::{
    Capability, Limits, MemorySize, Mount, MountKind, Rights, RootFileSystem, RootSource, User, Writes,
};
use crate::spec::error::Problems;
use crate::spec::field::Field;
use crate::spec::raw_container::{Capabilities, RawContainer, RawIo, RawLimits, RawVariable, Rootfs};
use crate::spec::{FromImage, NodeContainer, VolumeMount};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What is wrong with a node's container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContainerProblem {
    /// No program could read a variable of this name.
    #[error(
        "`{name}` can't be a variable's name, which is neither empty nor has a `=` or a NUL in it: write another one"
    )]
    Variable {
        /// What is there.
        name: String,
    },
    /// A NUL byte would end the value.
    #[error("the value of `{name}` has a NUL character in it, which no variable can have: remove it")]
    Value {
        /// The variable.
        name: String,
    },
    /// `privileged` says all that the others say.
    #[error("a container that is privileged has all capabilities: remove `privileged`, or `cap_add` and `cap_drop`")]
    Privileged,
    /// The machine's root can't be written to.
    #[error("with `rootfs: host` nothing is written to the machine's files anyway: remove `read_only`")]
    HostIsWritable,
    /// Nothing says what the root is.
    #[error("`rootfs` or `image` is missing: add one")]
    NoRoot,
    /// Two things say what the root is.
    #[error("a container has one root: remove `rootfs` or `image`")]
    TwoRoots,
    /// Nothing says what runs.
    #[error("`command` is missing: add it")]
    NoCommand,
    /// An image is never written to.
    #[error("nothing is written to an image anyway: remove `read_only`")]
    ImageIsReadOnly,
    /// Nothing else is kept.
    #[error("what is written to a `rootfs` stays there, or is in memory: remove `keep`, which is for an `image`")]
    KeepWithoutImage,
    /// Two mounts at one place.
    #[error("`{target}` is there already: something else can't be mounted at the same place, remove one")]
    Target {
        /// Where.
        target: String,
    },
    /// The root can't be covered.
    #[error("`/` is the container's root: name a directory in it")]
    Root,
    /// Nothing could run.
    #[error("a container with this can run nothing: write at least {least}")]
    TooLittle {
        /// The least that is of use.
        least: &'static str,
    },
    /// A node and its container are one.
    #[error("this node is a container, whose limits are its own: write them in `container`")]
    LimitsBeside,
    /// Swap is for memory that is limited.
    #[error("swap is limited beside memory: say how much `memory` it may use, too")]
    SwapAlone,
}

/// The least memory that a process can begin with.
const LEAST_MEMORY_BYTES: u64 = 1 << 20;

/// Checks a node's; `None` where it is none, or not all of it is known.
pub(super) fn check(def: &NodeDef<'_>, volumes: &[String], problems: &mut Problems) -> Option<NodeContainer> {
    let raw = value(def.raw.container.as_ref())?;
    let RawContainer {
        rootfs: _,
        image,
        keep,
        command: argv,
        hostname,
        env,
        workdir,
        user,
        user_namespace,
        read_only: _,
        binds: _,
        tmpfs: _,
        mounts: _,
        cap_add: _,
        cap_drop: _,
        privileged: _,
        limits,
        terminal,
    } = raw;
    let mut variables = BTreeMap::new();
    for (name, raw) in value(env.as_ref()).map_or(&[][..], |env| &env.entries) {
        variables.extend(variable(name, raw, problems));
    }
    let (mounts, volumes) = mounts(raw, volumes, problems);
    let rights = rights(raw, problems);
    let limits = limits.as_ref().map(|limits| check_limits(limits, problems)).unwrap_or_default();
    let at = def.raw.container.as_ref()?.at;
    let command = match (argv, image) {
        (Some(argv), _) => command(argv, problems),
        (None, Some(_)) => Some(Vec::new()),
        (None, None) => {
            problems.add(at, ContainerProblem::NoCommand);
            None
        }
    };
    if raw.rootfs.is_none() && image.is_none() {
        problems.add(at, ContainerProblem::NoRoot);
    }
    let (source, writes) = root(raw, problems)?;
    Some(NodeContainer {
        root: RootFileSystem { source, writes, mounts },
        image: value(image.as_ref()).map(|name| FromImage { name: name.clone(), keep: is_on(keep.as_ref()) }),
        volumes,
        command: command?,
        hostname: value(hostname.as_ref()).map(|hostname| hostname.0.clone()),
        env: variables,
        workdir: value(workdir.as_ref()).map(|path| path.0.clone()),
        user: value(user.as_ref()).map_or(User::Callers, |user| user.0),
        user_namespace: is_on(user_namespace.as_ref()),
        rights,
        limits,
        terminal: is_on(terminal.as_ref()),
    })
}

fn is_on(field: Option<&Field<bool>>) -> bool {
    value(field).copied().unwrap_or_default()
}

fn variable(name: &Field<String>, raw: &Field<RawVariable>, problems: &mut Problems) -> Option<(String, String)> {
    let text = name.value.clone()?;
    if text.is_empty() || text.contains(['=', '\0']) {
        problems.add(name.at, ContainerProblem::Variable { name: text });
        return None;
    }
    let value = match raw.value.as_ref()? {
        RawVariable::Boolean(on) => on.to_string(),
        RawVariable::Number(number) => number.0.clone(),
        RawVariable::Text(text) => text.clone(),
    };
    if value.contains('\0') {
        problems.add(raw.at, ContainerProblem::Value { name: text });
        return None;
    }
    Some((text, value))
}

fn root(raw: &RawContainer, problems: &mut Problems) -> Option<(RootSource, Writes)> {
    let is_read_only = is_on(raw.read_only.as_ref());
    if let Some(image) = &raw.image {
        if raw.rootfs.is_some() {
            problems.add(image.at, ContainerProblem::TwoRoots);
        }
        if let Some(field) = raw.read_only.as_ref().filter(|_| is_read_only) {
            problems.add(field.at, ContainerProblem::ImageIsReadOnly);
        }
        // Which layers, is known where the images are.
        return Some((RootSource::Layers(Vec::new()), Writes::Layer));
    }
    if let Some(field) = raw.keep.as_ref().filter(|_| is_on(raw.keep.as_ref())) {
        problems.add(field.at, ContainerProblem::KeepWithoutImage);
    }
    Some(match raw.rootfs.as_ref()?.value.as_ref()? {
        Rootfs::Host => {
            if let Some(field) = raw.read_only.as_ref().filter(|_| is_read_only) {
                problems.add(field.at, ContainerProblem::HostIsWritable);
            }
            (RootSource::Host, Writes::Layer)
        }
        Rootfs::Directory(path) => {
            (RootSource::Directory(path.clone()), if is_read_only { Writes::Layer } else { Writes::Through })
        }
    })
}

/// The binds in their order, then the file systems in memory; and the volumes.
fn mounts(raw: &RawContainer, known: &[String], problems: &mut Problems) -> (Vec<Mount>, Vec<VolumeMount>) {
    let binds = items(raw.binds.as_ref()).iter().filter_map(|field| {
        let bind = field.value.as_ref()?;
        let kind = MountKind::Bind { source: bind.source.clone(), read_only: bind.read_only, if_target_exists: false };
        Some((field.at, Mount { target: bind.target.clone(), kind }))
    });
    let tmpfs = items(raw.tmpfs.as_ref()).iter().filter_map(|field| {
        let target = field.value.as_ref()?.0.clone();
        Some((field.at, Mount { target, kind: MountKind::Tmpfs }))
    });
    let mut seen: BTreeSet<PathBuf> = BTreeSet::new();
    let volumes = volumes::mounts(raw, known, problems);
    let mut is_free = |at, target: &Path| {
        // Without `.` and slashes that are there twice.
        let plain: PathBuf = target.components().collect();
        if plain == Path::new("/") {
            problems.add(at, ContainerProblem::Root);
            false
        } else if !seen.insert(plain) {
            problems.add(at, ContainerProblem::Target { target: target.display().to_string() });
            false
        } else {
            true
        }
    };
    let mounts = binds.chain(tmpfs).filter(|(at, mount)| is_free(*at, &mount.target)).map(|(_, mount)| mount).collect();
    let volumes = volumes.into_iter().filter(|(at, mount)| is_free(*at, &mount.at)).map(|(_, mount)| mount).collect();
    (mounts, volumes)
}

fn rights(raw: &RawContainer, problems: &mut Problems) -> Rights {
    if is_on(raw.privileged.as_ref()) {
        if let Some(field) = raw.cap_add.as_ref().or(raw.cap_drop.as_ref()) {
            problems.add(field.at, ContainerProblem::Privileged);
        }
        return Rights::Privileged;
    }
    let named = |field: Option<&Field<Vec<Field<Capabilities>>>>| -> BTreeSet<Capability> {
        items(field).iter().filter_map(|field| field.value.as_ref()).flat_map(|all| all.0.iter().copied()).collect()
    };
    let (added, dropped) = (named(raw.cap_add.as_ref()), named(raw.cap_drop.as_ref()));
    // As Docker has it: one that is both is added.
    let kept = Capability::default_set().into_iter().filter(|one| !dropped.contains(one));
    Rights::Confined { capabilities: kept.chain(added).collect() }
}

/// What runs in a node that is no container may use.
pub(super) fn check_bare(def: &NodeDef<'_>, problems: &mut Problems) -> Limits {
    let Some(field) = &def.raw.limits else { return Limits::default() };
    if def.raw.container.is_some() {
        problems.add(field.at, ContainerProblem::LimitsBeside);
        return Limits::default();
    }
    check_limits(field, problems)
}

pub(super) fn check_limits(field: &Field<RawLimits>, problems: &mut Problems) -> Limits {
    let Some(RawLimits { memory, swap, cpus, pids, io }) = &field.value else { return Limits::default() };
    let (read, write) = match value(io.as_ref()) {
        Some(RawIo { read, write }) => (read.as_ref(), write.as_ref()),
        None => (None, None),
    };
    let limits = Limits {
        memory: value(memory.as_ref()).copied(),
        swap: value(swap.as_ref()).copied(),
        cpus: value(cpus.as_ref()).copied(),
        pids: value(pids.as_ref()).copied(),
        io_read: value(read).copied(),
        io_write: value(write).copied(),
    };
    if let (Some(field), Some(memory)) = (memory, limits.memory)
        && MemorySize::bytes(memory) < LEAST_MEMORY_BYTES
    {
        problems.add(field.at, ContainerProblem::TooLittle { least: "1M" });
    }
    if let (Some(field), Some(0)) = (pids, limits.pids) {
        problems.add(field.at, ContainerProblem::TooLittle { least: "1" });
    }
    if let (Some(field), None) = (swap, memory) {
        problems.add(field.at, ContainerProblem::SwapAlone);
    }
    limits
}
