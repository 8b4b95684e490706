//! A node's `container`, as text: as `raw`, of which this is a part.

use super::field::{Entries, Field};
use super::raw::RawCommand;
use super::raw_volume::RawMount;
use super::values::NumberText;
use crate::model::ImageName;
use crate::model::container::{Capability, CapabilityError, Cpus, IoRate, MemorySize, User};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// The container that a node is: a command with a root, a host name, rights and limits of its own, in the node's network.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawContainer {
    /// The directory that is its root, from the topology's file on; or `host`: the machine's own, with a layer in memory for
    /// what is written.
    pub(super) rootfs: Option<Field<Rootfs>>,
    /// The image that it stands on (`nslab image`), in place of `rootfs`.
    pub(super) image: Option<Field<ImageName>>,
    /// With `image`: whether what is written is still there after `down` and `up`.
    pub(super) keep: Option<Field<bool>>,
    /// What runs in it; when that ends, so does the container. What an image says without it.
    pub(super) command: Option<Field<RawCommand>>,
    /// Its host name; the node's without it.
    pub(super) hostname: Option<Field<Hostname>>,
    /// Variables of its environment.
    pub(super) env: Option<Field<Entries<Variable, RawVariable>>>,
    /// The directory that the command starts in; `/` without it.
    pub(super) workdir: Option<Field<InsidePath>>,
    /// Who runs the command, by numbers; root without it.
    pub(super) user: Option<Field<UserText>>,
    /// Whether it has a user namespace of its own, in which root is nobody else's root.
    pub(super) user_namespace: Option<Field<bool>>,
    /// Whether the root's directory stays as it is: what is written goes with the container.
    pub(super) read_only: Option<Field<bool>>,
    /// Files and directories of the machine's that it sees.
    pub(super) binds: Option<Field<Vec<Field<BindText>>>>,
    /// Where it has an empty file system in memory.
    pub(super) tmpfs: Option<Field<Vec<Field<InsidePath>>>>,
    /// The lab's volumes that it has.
    pub(super) mounts: Option<Field<Vec<Field<RawMount>>>>,
    /// Capabilities beside Docker's default ones, or `all`.
    pub(super) cap_add: Option<Field<Vec<Field<Capabilities>>>>,
    /// Capabilities that it does not have, or `all`.
    pub(super) cap_drop: Option<Field<Vec<Field<Capabilities>>>>,
    /// Whether it has all capabilities and all system calls, and nothing is hidden from it.
    pub(super) privileged: Option<Field<bool>>,
    /// What it may use; nothing is limited without it.
    pub(super) limits: Option<Field<RawLimits>>,
    /// Whether it has a terminal, for `nslab attach`.
    pub(super) terminal: Option<Field<bool>>,
}

/// What a container may use.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    /// Memory.
    pub(super) memory: Option<Field<MemorySize>>,
    /// Swap beside it.
    pub(super) swap: Option<Field<MemorySize>>,
    /// Processors.
    pub(super) cpus: Option<Field<Cpus>>,
    /// Processes and threads.
    #[schemars(range(min = 1))]
    pub(super) pids: Option<Field<u32>>,
    /// How fast each disk may be read and written.
    pub(super) io: Option<Field<RawIo>>,
}

/// How fast each disk may be read and written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIo {
    /// What is read in a second.
    pub(super) read: Option<Field<IoRate>>,
    /// What is written in a second.
    pub(super) write: Option<Field<IoRate>>,
}

/// A variable's value, as it is spelt.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(untagged)]
pub(super) enum RawVariable {
    Boolean(bool),
    Number(NumberText),
    Text(String),
}

/// Why a text can't be one of those below.
#[derive(Debug, thiserror::Error)]
pub(super) enum ContainerTextError {
    #[error("the root is empty: write a directory, or `host` for the machine's own")]
    Rootfs,
    #[error("a host name has 1 to 64 bytes and no NUL, and this has {0}: write another one")]
    Hostname(usize),
    #[error("`{0}` is no path in the container: write an absolute one, as in /srv/data")]
    InsidePath(String),
    #[error("`{0}` does not say what is seen where: write SOURCE:TARGET, or SOURCE:TARGET:ro")]
    Bind(String),
    #[error("`{0}` is no user: write a number, or two for user and group, as in 1000:1000")]
    User(String),
}

/// Where a root is.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum Rootfs {
    Host,
    Directory(PathBuf),
}

impl TryFrom<String> for Rootfs {
    type Error = ContainerTextError;
    fn try_from(text: String) -> Result<Self, ContainerTextError> {
        match text.as_str() {
            "" => Err(ContainerTextError::Rootfs),
            "host" => Ok(Self::Host),
            _ => Ok(Self::Directory(text.into())),
        }
    }
}

/// A host name: at most __NEW_UTS_LEN bytes (linux/utsname.h).
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Hostname(pub(super) String);

impl TryFrom<String> for Hostname {
    type Error = ContainerTextError;
    fn try_from(text: String) -> Result<Self, ContainerTextError> {
        let is_right = (1..=64).contains(&text.len()) && !text.contains('\0');
        if is_right { Ok(Self(text)) } else { Err(ContainerTextError::Hostname(text.len())) }
    }
}

/// The name of a variable, which `validate` looks at: here for the schema.
#[derive(Debug)]
pub(super) struct Variable;

/// An absolute path.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct InsidePath(pub(super) PathBuf);

impl TryFrom<String> for InsidePath {
    type Error = ContainerTextError;
    fn try_from(text: String) -> Result<Self, ContainerTextError> {
        if text.starts_with('/') { Ok(Self(text.into())) } else { Err(ContainerTextError::InsidePath(text)) }
    }
}

/// What is bound where.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct BindText {
    pub(super) source: PathBuf,
    pub(super) target: PathBuf,
    pub(super) read_only: bool,
}

impl TryFrom<String> for BindText {
    type Error = ContainerTextError;
    fn try_from(text: String) -> Result<Self, ContainerTextError> {
        let fields: Vec<&str> = text.split(':').collect();
        let (source, target, read_only) = match fields[..] {
            [source, target] | [source, target, "rw"] => (source, target, false),
            [source, target, "ro"] => (source, target, true),
            _ => return Err(ContainerTextError::Bind(text)),
        };
        if source.is_empty() {
            return Err(ContainerTextError::Bind(text));
        }
        let InsidePath(target) = InsidePath::try_from(target.to_owned())?;
        Ok(Self { source: source.into(), target, read_only })
    }
}

/// A user, and a group: the same number where none is said.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct UserText(pub(super) User);

impl TryFrom<String> for UserText {
    type Error = ContainerTextError;
    fn try_from(text: String) -> Result<Self, ContainerTextError> {
        let (uid, gid) = text.split_once(':').unwrap_or((&text, &text));
        // The very last number, (uid_t) -1, is nobody's.
        let number = |text: &str| text.parse().ok().filter(|number| *number != u32::MAX);
        match (number(uid), number(gid)) {
            (Some(uid), Some(gid)) => Ok(Self(User::Ids { uid, gid })),
            _ => Err(ContainerTextError::User(text)),
        }
    }
}

/// A capability, or all.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Capabilities(pub(super) Vec<Capability>);

impl TryFrom<String> for Capabilities {
    type Error = CapabilityError;
    fn try_from(text: String) -> Result<Self, CapabilityError> {
        if text.eq_ignore_ascii_case("all") {
            return Ok(Self(Capability::ALL.to_vec()));
        }
        Ok(Self(vec![text.parse()?]))
    }
}
