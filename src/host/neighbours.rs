//! [`Host`]'s neighbour caches: what a check of many nodes has to clean up after itself.

use super::HostError;
use super::error::NetlinkContext;
use super::facade::Host;
use super::netlink::{self, Neighbour};
use crate::model::NetnsName;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};

/// How many namespaces are looked into at once.
const AT_ONCE: usize = 16;

/// The neighbours that the kernel had resolved in some namespaces at one moment.
#[derive(Debug, Default)]
pub struct Neighbours(BTreeMap<NetnsName, BTreeSet<Neighbour>>);

impl Host {
    /// The neighbours that are resolved in these namespaces.
    ///
    /// # Errors
    /// When one can't be looked into.
    pub async fn neighbours(&self, names: &BTreeSet<NetnsName>) -> Result<Neighbours, HostError> {
        let known = stream::iter(names)
            .map(|name| async move {
                let object = name.clone();
                let neighbours = self
                    .connected(name, move |connection| {
                        netlink::resolved_neighbours(connection).when("read the neighbours of", object)
                    })
                    .await?;
                Ok::<_, HostError>((name.clone(), neighbours))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(Neighbours(known))
    }

    /// Removes the neighbours that were resolved since `known` was taken, in the same namespaces.
    ///
    /// # Errors
    /// When one can't be looked into, or the kernel refuses.
    ///
    /// # Cancel safety
    /// A neighbour that stays is only resolved already.
    pub async fn forget_neighbours_but(&self, known: Neighbours) -> Result<(), HostError> {
        stream::iter(known.0)
            .map(|(name, known)| async move {
                let object = name.clone();
                self.connected(&name, move |connection| {
                    let now = netlink::resolved_neighbours(connection).when("read the neighbours of", &object)?;
                    let new = &now - &known;
                    netlink::forget_neighbours(connection, &new).when("clean the neighbours of", &object)
                })
                .await
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }
}
