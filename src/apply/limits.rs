//! What containers that run may use, changed.

use super::EffectError;
use crate::fault;
use crate::launcher::{self, Failure, Step};
use crate::model::NodeContainer;
use crate::model::container::Limits;
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
