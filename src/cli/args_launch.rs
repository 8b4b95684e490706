//! The arguments of `launch`.

use crate::model::container::{Capability, Cpus, IdMap, IoRate, MemorySize, Mount, MountKind, User};
use crate::model::{ContainerName, ImageName};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What `launch` takes; the short options are those of well-known teaching programs, and mean the same.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct LaunchArguments {
    /// A new IPC namespace
    #[arg(short = 'i', help_heading = NAMESPACES)]
    pub(crate) ipc: bool,
    /// A new mount namespace
    #[arg(short = 'm', help_heading = NAMESPACES)]
    pub(crate) mount: bool,
    /// A new network namespace
    #[arg(short = 'n', help_heading = NAMESPACES)]
    pub(crate) network: bool,
    /// A new PID namespace
    #[arg(short = 'p', help_heading = NAMESPACES)]
    pub(crate) pid: bool,
    /// A new UTS namespace
    #[arg(short = 'u', help_heading = NAMESPACES)]
    pub(crate) uts: bool,
    /// A new user namespace; without maps, root inside is the caller
    #[arg(short = 'U', help_heading = NAMESPACES)]
    pub(crate) user_namespace: bool,
    /// A new cgroup namespace
    #[arg(short = 'C', help_heading = NAMESPACES)]
    pub(crate) cgroup: bool,
    /// A new time namespace
    #[arg(short = 'T', help_heading = NAMESPACES)]
    pub(crate) time: bool,
    /// How users inside are numbered outside: `inside outside length`, several separated by commas
    #[arg(short = 'M', value_name = "UID_MAP", requires = "user_namespace", value_parser = id_map, help_heading = NAMESPACES)]
    pub(crate) uid_map: Option<IdMaps>,
    /// The same of groups
    #[arg(short = 'G', value_name = "GID_MAP", requires = "user_namespace", value_parser = id_map, help_heading = NAMESPACES)]
    pub(crate) gid_map: Option<IdMaps>,
    /// An existing network namespace: NODE, LAB/NODE, a name in /run/netns, a path or pid:N; wins over -n
    #[arg(short = 'N', value_name = "NETNS", help_heading = NAMESPACES)]
    pub(crate) netns: Option<String>,
    /// With --rootfs or --image: namespaces that are the caller's all the same
    #[arg(long, value_name = "NS", value_enum, value_delimiter = ',', requires = "own_root", help_heading = NAMESPACES)]
    pub(crate) share: Vec<Shared>,
    /// The host name, in a new UTS namespace
    #[arg(short = 'H', value_name = "HOSTNAME", value_parser = hostname)]
    pub(crate) hostname: Option<String>,
    /// The directory that is its root, or `host`: the machine's own, with a layer for what is written
    #[arg(long, value_name = "DIR", group = "own_root", help_heading = ROOT)]
    pub(crate) rootfs: Option<PathBuf>,
    /// The image that it stands on (`nslab image`); a command, variables, directory and user that are not given are the image's
    #[arg(long, value_name = "NAME", group = "own_root", help_heading = ROOT)]
    pub(crate) image: Option<ImageName>,
    /// With --image and --name: keep what it writes, for the next one of that name
    #[arg(long, requires = "image", requires = "name", help_heading = ROOT)]
    pub(crate) keep: bool,
    /// Leave the root's directory as it is: what is written goes with the container
    #[arg(long, requires = "rootfs", help_heading = ROOT)]
    pub(crate) read_only: bool,
    /// Show a file or directory of the machine's in it
    #[arg(long, value_name = "SRC:DST[:ro]", value_parser = bind, requires = "own_root", help_heading = ROOT)]
    pub(crate) bind: Vec<Mount>,
    /// An empty file system in memory in it
    #[arg(long, value_name = "DST", value_parser = tmpfs, requires = "own_root", help_heading = ROOT)]
    pub(crate) tmpfs: Vec<Mount>,
    /// How much memory it may use, as in 100M
    #[arg(long, value_name = "SIZE", help_heading = LIMITS)]
    pub(crate) memory: Option<MemorySize>,
    /// How much swap beside it
    #[arg(long, value_name = "SIZE", help_heading = LIMITS)]
    pub(crate) swap: Option<MemorySize>,
    /// How much of the processors' time, as in 0.5
    #[arg(long, value_name = "N", help_heading = LIMITS)]
    pub(crate) cpus: Option<Cpus>,
    /// How many processes and threads
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = LIMITS)]
    pub(crate) pids: Option<u32>,
    /// How much it may read of each disk in a second, as in 10MB/s
    #[arg(long, value_name = "RATE", help_heading = LIMITS)]
    pub(crate) io_read: Option<IoRate>,
    /// How much it may write to each disk in a second
    #[arg(long, value_name = "RATE", help_heading = LIMITS)]
    pub(crate) io_write: Option<IoRate>,
    /// With --rootfs or --image: a capability beside Docker's default ones, or `all`
    #[arg(long, value_name = "X", value_parser = capabilities, requires = "own_root", help_heading = RIGHTS)]
    pub(crate) cap_add: Vec<Capabilities>,
    /// With --rootfs or --image: a capability less, or `all`
    #[arg(long, value_name = "X", value_parser = capabilities, requires = "own_root", help_heading = RIGHTS)]
    pub(crate) cap_drop: Vec<Capabilities>,
    /// With --rootfs or --image: all capabilities, all system calls, nothing hidden
    #[arg(long, requires = "own_root", conflicts_with_all = ["cap_add", "cap_drop"], help_heading = RIGHTS)]
    pub(crate) privileged: bool,
    /// Who runs the command, by numbers
    #[arg(long, value_name = "UID[:GID]", value_parser = user, help_heading = RIGHTS)]
    pub(crate) user: Option<User>,
    /// A variable of its environment
    #[arg(long, value_name = "K=V", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,
    /// The directory that it starts in
    #[arg(long, value_name = "DIR")]
    pub(crate) workdir: Option<PathBuf>,
    /// Do not wait for it: it goes on by itself, and its output is logged. What is written down of an ordinary user's is in
    /// `$XDG_RUNTIME_DIR/nslab`, where --state-dir does not say otherwise
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// With --detach: what it is called by `ps`, `logs`, `stop` and the like
    #[arg(long, value_name = "NAME", requires = "detach")]
    pub(crate) name: Option<ContainerName>,
    /// With --detach: forget it when it has ended. One that is waited for leaves nothing anyway
    #[arg(long)]
    pub(crate) rm: bool,
    /// The command and its arguments
    #[arg(required_unless_present = "image", trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

const NAMESPACES: &str = "Namespaces";
const ROOT: &str = "Root file system";
const LIMITS: &str = "Limits";
const RIGHTS: &str = "Rights";

const EXAMPLES: &str = "\
Examples:
  nslab launch -N net1 -H zion --rootfs /opt/container/rootfs /bin/bash    a shell in a container in a node
  nslab launch --rootfs host --memory 100M python3                         the machine's own files, and no harm to them
  nslab launch --image debian                                              what an image has to run
  nslab launch -U --rootfs ~/rootfs /bin/sh                                the same without root
  nslab launch -n -u -i -m -p -N net1 -H zion chroot /opt/container/rootfs /bin/bash    as in old notes

Without --rootfs or --image, nothing but the namespaces asked for is new, and the command may do what the caller may. With it,
everything but the user namespace is new, and the command may do what Docker's containers may by default. Exit codes:
the command's own; 125, 126, 127 as env(1); 2 bad usage.";

/// A namespace that a container with a root of its own shares with its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shared {
    /// IPC
    Ipc,
    /// Network
    Net,
    /// Process IDs
    Pid,
    /// Host name
    Uts,
    /// Cgroups
    Cgroup,
    /// Clocks
    Time,
}

/// The records of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdMaps(pub(crate) Vec<IdMap>);

/// One capability, or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Capabilities(pub(crate) Vec<Capability>);

fn id_map(text: &str) -> Result<IdMaps, String> {
    IdMap::parse_records(text).map(IdMaps).map_err(|error| error.to_string())
}

fn capabilities(text: &str) -> Result<Capabilities, String> {
    if text.eq_ignore_ascii_case("all") {
        return Ok(Capabilities(Capability::ALL.to_vec()));
    }
    text.parse()
        .map(|one| Capabilities(vec![one]))
        .map_err(|error: crate::model::container::CapabilityError| error.to_string())
}

/// A host name is at most __NEW_UTS_LEN bytes (linux/utsname.h).
fn hostname(text: &str) -> Result<String, String> {
    match text.len() {
        1..=64 => Ok(text.to_owned()),
        length => Err(format!("a host name has 1 to 64 bytes, and this has {length}")),
    }
}

fn target(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err(format!("`{text}` is to be an absolute path in the container")) }
}

fn bind(text: &str) -> Result<Mount, String> {
    let fields: Vec<&str> = text.split(':').collect();
    let (source, at, read_only) = match fields[..] {
        [source, at] | [source, at, "rw"] => (source, at, false),
        [source, at, "ro"] => (source, at, true),
        _ => return Err("write SOURCE:TARGET or SOURCE:TARGET:ro".to_owned()),
    };
    let source = std::path::absolute(source).map_err(|error| format!("`{source}`: {error}"))?;
    Ok(Mount { target: target(at)?, kind: MountKind::Bind { source, read_only, if_target_exists: false } })
}

fn tmpfs(text: &str) -> Result<Mount, String> {
    Ok(Mount { target: target(text)?, kind: MountKind::Tmpfs })
}

fn user(text: &str) -> Result<User, String> {
    let wrong = |_| format!("`{text}` is no UID or UID:GID: write numbers, as in 1000:1000");
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    Ok(User::Ids { uid: user.parse().map_err(wrong)?, gid: group.parse().map_err(wrong)? })
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}
