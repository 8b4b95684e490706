//! What containers that run may use, changed.

use super::EffectError;
use crate::fault;
use crate::launcher::{self, CgroupError, Failure, Step};
use crate::model::container::Limits;
use crate::model::{LimitedGroup, NodeContainer};
use nix::errno::Errno;
use std::path::PathBuf;

/// Holds a node's container to its limits, and writes them down.
///
/// # Errors
/// When it does not run, the kernel refuses, or more is in use than is to be. Nothing has changed then.
///
/// # Cancel safety
/// What was begun is done to its end.
pub async fn limit_container(of: &NodeContainer) -> Result<(), EffectError> {
    let failed = |source| EffectError::Container { node: of.node.to_string(), action: "limit", source };
    fault::point(|| "before limiting the container".into());
    limit_launched(of.directory.clone(), of.container.limits.clone()).await.map_err(failed)?;
    fault::point(|| "after limiting the container".into());
    Ok(fault::chance()?)
}

/// Makes a cgroup of a lab's or a node's, or changes its limits.
///
/// # Errors
/// When the machine has no cgroups for that, more is in use than is to be, or the kernel refuses.
///
/// # Cancel safety
/// What was begun is done to its end.
pub(super) async fn set_group(group: &LimitedGroup) -> Result<(), EffectError> {
    let LimitedGroup { node: _, cgroup, limits } = group.clone();
    fault::point(|| "before limiting a group".into());
    on_group(group, move || launcher::set_group(&cgroup, &limits)).await?;
    fault::point(|| "after limiting a group".into());
    Ok(fault::chance()?)
}

/// Removes it.
///
/// # Errors
/// When the kernel refuses.
///
/// # Cancel safety
/// What was begun is done to its end.
pub(super) async fn remove_group(group: &LimitedGroup) -> Result<(), EffectError> {
    let cgroup = group.cgroup.clone();
    on_group(group, move || launcher::remove_group(&cgroup)).await?;
    fault::point(|| "after removing a group".into());
    Ok(())
}

async fn on_group(
    group: &LimitedGroup,
    action: impl FnOnce() -> Result<(), CgroupError> + Send + 'static,
) -> Result<(), EffectError> {
    let done = tokio::task::spawn_blocking(move || action().map_err(Failure::from)).await;
    let done = done.unwrap_or_else(|_| Err(Step::of("change the cgroup").failed()(Errno::ECHILD)));
    let what =
        || group.node.as_ref().map_or_else(|| "the lab as a whole".to_owned(), |node| format!("the node {node}"));
    done.map_err(|source| EffectError::Limits { what: what(), source })
}

/// The same of a container with this record.
///
/// # Errors
/// As [`limit_container`].
///
/// # Cancel safety
/// What was begun is done to its end.
pub async fn limit_launched(directory: PathBuf, limits: Limits) -> Result<(), Failure> {
    let changed = tokio::task::spawn_blocking(move || launcher::limit(&directory, &limits));
    changed.await.unwrap_or_else(|_| Err(Step::of("limit the container").failed()(Errno::ECHILD)))
}
