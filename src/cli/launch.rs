//! `launch`: the process itself becomes the launcher of a container, so that nobody stands between it and its caller.

use super::args::Global;
use super::args_launch::{IdMaps, LaunchArguments, Shared};
use super::{exec, render, select};
use crate::Error;
use crate::host::{NAMES_DIRECTORY, PIN_DIRECTORY};
use crate::image::Claim;
use crate::lab::Nslab;
use crate::launcher::{self, Launch, Output};
use crate::model::container::{
    Capability, Container, Environment, Limits, Mount, MountKind, Namespaces, NetworkOf, Rights, Root, RootFileSystem,
    RootSource, User, UserMaps, Writes,
};
use crate::model::{ImageName, PinName};
use crate::state::StateRoot;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Becomes the launcher, and returns what to exit with.
pub(super) fn launch(global: &Global, arguments: LaunchArguments) -> ExitCode {
    match asked_for(global, arguments) {
        Ok(Asked { launch, .. }) => launcher::become_launcher(&launch).unwrap_or_else(|failure| {
            // It has not come to that.
            let _ = launcher::remove_written(&launch.container.root);
            failed(&failure.into())
        }),
        Err(error) => failed(&error),
    }
}

/// Starts it, and prints what it is called.
pub(super) async fn detach(nslab: &Nslab, global: &Global, arguments: LaunchArguments) -> ExitCode {
    let (name, remove) = (arguments.name.clone(), arguments.rm);
    let started = match asked_for(global, arguments) {
        Ok(Asked { launch, .. }) if !launch.container.namespaces.pid => Err(Error::Usage(
            "--detach wants a PID namespace, with which all of the container ends: add -p, or --rootfs".to_owned(),
        )),
        Ok(Asked { launch, claim }) => nslab.launch(launch, name, remove, claim).await,
        Err(error) => Err(error),
    };
    match started {
        Ok(name) => {
            render::launched(&name);
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> ExitCode {
    render::error(error);
    ExitCode::from(match error {
        Error::Usage(_) | Error::NoSuchNode { .. } | Error::WhichLab { .. } => 2,
        Error::Image(error) if error.is_usage() => 2,
        Error::Launcher(failure) => failure.exit_code(),
        _ => exec::OWN_FAILURE,
    })
}

/// What is asked for.
struct Asked {
    launch: Launch,
    /// The image that it stands on, in whose store it is called so.
    claim: Option<(String, Claim)>,
}

fn asked_for(global: &Global, mut arguments: LaunchArguments) -> Result<Asked, Error> {
    let is_waited_for = !arguments.detach;
    let standing = arguments.image.clone().map(|image| stand(global, &mut arguments, &image)).transpose()?;
    let namespaces = namespaces(global, &arguments)?;
    let rights = rights(&arguments);
    let name = arguments.hostname.clone().unwrap_or_else(|| program(&arguments.command));
    let limits = Limits {
        memory: arguments.memory,
        swap: arguments.swap,
        cpus: arguments.cpus,
        pids: arguments.pids,
        io_read: arguments.io_read,
        io_write: arguments.io_write,
    };
    let cgroup = if limits.is_none() { None } else { Some(launcher::cgroup_of_caller()?) };
    let (root, claim) = match standing {
        Some(Standing { source, writes, name, claim }) => {
            let mounts = mounts(&arguments, &namespaces.network);
            (Root::Own(RootFileSystem { source, writes, mounts }), Some((name, claim)))
        }
        None => (root(&arguments, &namespaces.network)?, None),
    };
    let container = Container {
        environment: Environment { inherited: root == Root::Callers, variables: arguments.env.into_iter().collect() },
        command: arguments.command,
        namespaces,
        root,
        hostname: arguments.hostname,
        working_directory: arguments.workdir,
        user: arguments.user.unwrap_or(User::Callers),
        rights,
        limits,
    };
    let launch = Launch { name, container, cgroup, output: Output::Callers, verbose: global.verbose > 0 };
    // When nothing of what was asked for can be wrong any more: nobody would give it back. One that nobody waits for claims its image
    // when it has a name.
    if let Some((name, claim)) = claim.as_ref().filter(|_| is_waited_for) {
        super::image::store(global)?.claim(name, claim, launch.container.root.layers())?;
    }
    Ok(Asked { launch, claim })
}

/// What a container stands on that is one of an image.
struct Standing {
    source: RootSource,
    writes: Writes,
    name: String,
    claim: Claim,
}

/// Looks the image up, and takes from it what the arguments do not say.
fn stand(global: &Global, arguments: &mut LaunchArguments, image: &ImageName) -> Result<Standing, Error> {
    if arguments.share.contains(&Shared::Pid) && !arguments.pid {
        return Err(Error::Usage(
            "--image wants a PID namespace, with which all of the container ends before what it has written goes: \
             leave out --share pid"
                .to_owned(),
        ));
    }
    let own = [rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()];
    let is_root = |maps: &Option<IdMaps>, own| {
        maps.as_ref().is_none_or(|maps| maps.0.iter().any(|map| map.inside == 0 && map.outside == own))
    };
    if !(is_root(&arguments.uid_map, own[0]) && is_root(&arguments.gid_map, own[1])) {
        return Err(Error::Usage(
            "the files of --image are the caller's, who is nobody inside with these maps: have 0 be the caller, by `0 UID 1` \
             in front or without -M and -G, or give --rootfs with files of whoever is 0 there"
                .to_owned(),
        ));
    }
    let store = super::image::store(global)?;
    // What others have left is no reason not to start.
    match store.sweep() {
        _ if global.quiet => {}
        Ok(swept) => swept.failed.iter().for_each(|why| render::line(render::Stream::Error, &format!("nslab: {why}"))),
        Err(error) => render::warning(&error),
    }
    let record = store.image(image)?;
    let run = store.run_of(&record, &arguments.command, arguments.user.unwrap_or(User::Callers))?;
    // A node's begins with the name of its lab, and none of those is empty.
    let name = match arguments.name.as_ref().filter(|_| arguments.keep) {
        Some(name) => format!("@launched@{name}"),
        None => format!("@container@{:016x}", u64::from_ne_bytes(crate::host::random_bytes()?)),
    };
    let claim = Claim {
        owner: format!("process {} (nslab launch)", std::process::id()),
        image: image.clone(),
        is_kept: arguments.keep,
        record: None,
    };
    // Of one that nobody waits for, whoever forgets it takes away what there is.
    let footing = store.footing(&name, image)?;
    let upper = if arguments.detach { footing.upper_that_stays() } else { footing.upper_that_goes() };
    let (writes, source) = (Writes::Above(upper), RootSource::Layers(footing.layers));
    arguments.command = run.command;
    arguments.workdir = arguments.workdir.take().or(run.working_directory);
    arguments.user = Some(run.user);
    // What is said later wins.
    arguments.env.splice(0..0, run.environment);
    Ok(Standing { source, writes, name, claim })
}

fn mounts(arguments: &LaunchArguments, network: &NetworkOf) -> Vec<Mount> {
    let names = if let NetworkOf::File(file) = network { name_files(file) } else { Vec::new() };
    names.into_iter().chain(arguments.bind.iter().chain(&arguments.tmpfs).cloned()).collect()
}

/// What a container without a host name is called in messages.
fn program(command: &[String]) -> String {
    let program = command.first().map(Path::new).and_then(Path::file_name);
    program.map_or_else(|| "container".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn namespaces(global: &Global, arguments: &LaunchArguments) -> Result<Namespaces, Error> {
    let network = match &arguments.netns {
        Some(text) => Some(NetworkOf::File(network(global, text)?)),
        None if arguments.network => Some(NetworkOf::Own),
        None => None,
    };
    let shares = |one: Shared| arguments.share.contains(&one);
    let has_own_root = arguments.rootfs.is_some() || arguments.image.is_some();
    let user = arguments.user_namespace.then(|| match (&arguments.uid_map, &arguments.gid_map) {
        (None, None) => UserMaps::CallerIsRoot,
        (users, groups) => UserMaps::Records {
            users: users.clone().map(|map| map.0).unwrap_or_default(),
            groups: groups.clone().map(|map| map.0).unwrap_or_default(),
        },
    });
    let default_network = if has_own_root && !shares(Shared::Net) { NetworkOf::Own } else { NetworkOf::Caller };
    Ok(Namespaces {
        ipc: arguments.ipc || has_own_root && !shares(Shared::Ipc),
        mount: arguments.mount || has_own_root,
        pid: arguments.pid || has_own_root && !shares(Shared::Pid),
        uts: arguments.uts || arguments.hostname.is_some() || has_own_root && !shares(Shared::Uts),
        cgroup: arguments.cgroup || has_own_root && !shares(Shared::Cgroup),
        time: arguments.time || has_own_root && !shares(Shared::Time),
        network: network.unwrap_or(default_network),
        user,
    })
}

/// The file of the network namespace that is meant: a path, a process's, a node's, or one that somebody else has pinned.
fn network(global: &Global, text: &str) -> Result<PathBuf, Error> {
    if let Some(pid) = text.strip_prefix("pid:") {
        let pid: u32 =
            pid.parse().map_err(|_| Error::Usage(format!("`{text}`: write pid:N with a process's number")))?;
        return Ok(format!("/proc/{pid}/ns/net").into());
    }
    if text.starts_with(['/', '.']) {
        return std::path::absolute(text).map_err(|source| Error::Io { action: format!("find {text}"), source });
    }
    let pinned = |name: &str| Path::new(PIN_DIRECTORY).join(name);
    let root = StateRoot::new(&global.state_dir)?;
    let found = select::node(&root, global, text);
    if let Ok((lab, node)) = &found {
        let of_node = pinned(PinName::of_node(lab, node).as_str());
        if of_node.exists() {
            return Ok(of_node);
        }
    }
    // Where no such node is known, it may be a name that ip-netns(8) knows.
    if !text.contains('/') && pinned(text).exists() {
        return Ok(pinned(text));
    }
    let error = match found {
        Ok((lab, node)) => exec::why_not(&root, &lab, &node),
        Err(Error::Usage(_)) if !text.contains('/') => Error::NoLab, // no node is called so
        Err(error) => error,
    };
    Err(match error {
        // Nobody has said that a lab's node is meant.
        Error::NoLab | Error::NoSuchLab { .. } | Error::NoSuchNode { .. } if !text.contains('/') => {
            Error::Usage(nowhere(text))
        }
        error => error,
    })
}

/// What there is in place of a network namespace that there is not.
fn nowhere(text: &str) -> String {
    let entries = std::fs::read_dir(PIN_DIRECTORY).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let there = match names.len() {
        0 => "is none".to_owned(),
        count if count > SHOWN => format!("are {}, and {} more", names[..SHOWN].join(", "), count - SHOWN),
        _ => format!("is {}", names.join(", ")),
    };
    format!("{text:?} is neither a node nor a network namespace in {PIN_DIRECTORY}, where there {there}")
}

/// How many names a message lists.
const SHOWN: usize = 20;

fn root(arguments: &LaunchArguments, network: &NetworkOf) -> Result<Root, Error> {
    let Some(directory) = &arguments.rootfs else { return Ok(Root::Callers) };
    let is_host = directory == Path::new("host");
    let source = if is_host {
        RootSource::Host
    } else {
        let absolute = std::path::absolute(directory);
        let absolute =
            absolute.map_err(|source| Error::Io { action: format!("find {}", directory.display()), source })?;
        RootSource::Directory(absolute)
    };
    let writes = if is_host || arguments.read_only { Writes::Layer } else { Writes::Through };
    Ok(Root::Own(RootFileSystem { source, writes, mounts: mounts(arguments, network) }))
}

/// The files that ip-netns(8) has stand in for those in /etc, where the network has a name in /run/netns: a node's have its
/// neighbours' names.
fn name_files(network: &Path) -> Vec<Mount> {
    if network.parent() != Some(Path::new(PIN_DIRECTORY)) {
        return Vec::new();
    }
    let Some(name) = network.file_name() else { return Vec::new() };
    let bind = |file: &str| {
        let source = Path::new(NAMES_DIRECTORY).join(name).join(file);
        let target = Path::new("/etc").join(file);
        let is_there = source.is_file();
        let kind = MountKind::Bind { source, read_only: true, if_target_exists: true };
        is_there.then_some(Mount { target, kind })
    };
    ["hosts", "resolv.conf"].into_iter().filter_map(bind).collect()
}

fn rights(arguments: &LaunchArguments) -> Rights {
    if arguments.rootfs.is_none() && arguments.image.is_none() {
        return Rights::Callers;
    }
    if arguments.privileged {
        return Rights::Privileged;
    }
    let all = |lists: &[super::args_launch::Capabilities]| -> BTreeSet<Capability> {
        lists.iter().flat_map(|list| list.0.iter().copied()).collect()
    };
    let (added, dropped) = (all(&arguments.cap_add), all(&arguments.cap_drop));
    // As Docker has it: `--cap-drop all --cap-add X` leaves X, and one that is both is added.
    let kept = Capability::default_set().into_iter().filter(|one| !dropped.contains(one));
    Rights::Confined { capabilities: kept.chain(added).collect() }
}
