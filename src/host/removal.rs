//! [`Host`]'s removal of namespaces, with the processes that are in them.

use super::facade::Host;
use super::netns::{self, Held};
use super::processes::{self, EndedProcess, Processes};
use super::{HostError, netns::PinFile};
use crate::model::{Netns, PinName};
use crate::process;
use futures_util::stream::{self, StreamExt, TryStreamExt};

/// How many namespaces are looked into at once.
const AT_ONCE: usize = 16;

/// How many are emptied of processes at once: each process is held open too.
const EMPTIED_AT_ONCE: usize = 8;

/// How many are held open at once, below what a process may have open where nobody raised that (1024).
const HELD: usize = 256;

/// How often processes are looked for anew, because one may start another while it is being ended.
const ROUNDS: usize = 8;

impl Host {
    /// Ends the processes in namespaces and unpins these. Returns whom it ended. That one of them isn't there is fine. The
    /// kernel cleans up in the background: [`Host::wait_for_namespaces_gone`].
    ///
    /// All at once, because every look at all the machine's processes takes its time, and so does every process that
    /// does not end when it is told to.
    ///
    /// # Errors
    /// [`HostError::NotOurs`] where a namespace does not carry its mark; [`HostError::CallerInside`] where nslab, or the
    /// shell it was called from, is inside; [`HostError::Process`] and [`HostError::ProcessesReturn`] where processes
    /// can't be ended; what the kernel refuses.
    ///
    /// # Cancel safety
    /// Processes may have been ended and namespaces still be there; called again, it goes on.
    pub async fn remove_netns(&self, all: &[Netns]) -> Result<Vec<EndedProcess>, HostError> {
        let mut ended = Vec::new();
        for batch in all.chunks(HELD) {
            ended.extend(self.remove_batch(batch).await?);
        }
        Ok(ended)
    }

    async fn remove_batch(&self, all: &[Netns]) -> Result<Vec<EndedProcess>, HostError> {
        let held: Vec<Held> = stream::iter(all.iter().cloned())
            .map(|netns| self.job(move || netns::hold(&netns)))
            .buffer_unordered(AT_ONCE)
            .try_filter_map(|held| async { Ok(held) })
            .try_collect()
            .await?;
        let mut ended = self.empty(&held).await?;
        // From here on nobody comes in by name any more. Who opened the file before may still.
        stream::iter(all.iter().cloned())
            .map(|netns| self.job(move || netns::unpin(&netns)))
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        ended.extend(self.empty(&held).await?);
        let connections: Vec<Result<(), HostError>> = stream::iter(held)
            .map(|held| self.job(move || netns::destroy_connections(held)))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        connections.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(ended)
    }

    /// Ends everybody in namespaces that are held.
    async fn empty(&self, held: &[Held]) -> Result<Vec<EndedProcess>, HostError> {
        let mut ended = Vec::new();
        for _ in 0..ROUNDS {
            let scan =
                || Processes::scan().map_err(|source| HostError::File { action: "read", path: "/proc".into(), source });
            let running = self.job(scan).await?;
            let inhabited: Vec<(PinName, u64, Vec<i32>)> = held
                .iter()
                .map(|held| (held.name.clone(), held.inode, running.in_netns(held.inode).to_vec()))
                .filter(|(_, _, pids)| !pids.is_empty())
                .collect();
            if inhabited.is_empty() {
                return Ok(ended);
            }
            let all: Vec<Vec<EndedProcess>> = stream::iter(inhabited)
                .map(|(name, inode, pids)| async move { processes::end(&name, inode, &pids).await })
                .buffer_unordered(EMPTIED_AT_ONCE)
                .try_collect()
                .await?;
            ended.extend(all.into_iter().flatten());
        }
        let stubborn = held.first().map(|held| held.name.clone());
        stubborn.map_or(Ok(ended), |name| Err(HostError::ProcessesReturn(name)))
    }

    /// Ends the processes in a namespace that have a variable of this value in the environment that they were started with.
    ///
    /// # Errors
    /// When /proc can't be read, or a process not be ended.
    ///
    /// # Cancel safety
    /// Signals that were sent stay sent.
    pub async fn end_with_environment(&self, name: &PinName, variable: &str, value: &str) -> Result<(), HostError> {
        let (name, entry) = (name.clone(), format!("{variable}={value}"));
        let find = move || {
            let PinFile::Netns { inode, .. } = netns::look(&name)? else { return Ok(None) };
            let running =
                Processes::scan().map_err(|source| HostError::File { action: "read", path: "/proc".into(), source })?;
            let found = running.in_netns(inode).iter().copied();
            let found: Vec<i32> = found.filter(|pid| process::has_environment(*pid, &entry)).collect();
            Ok(Some((name, inode, found)))
        };
        if let Some((name, inode, pids)) = self.job(find).await? {
            processes::end(&name, inode, &pids).await?;
        }
        Ok(())
    }

    /// Sees to it that neither nslab itself nor who called it is in one of these namespaces, to be ended with it.
    ///
    /// # Errors
    /// [`HostError::CallerInside`] where one is; when a namespace can't be looked at.
    pub async fn require_caller_outside(&self, names: Vec<PinName>) -> Result<(), HostError> {
        self.job(move || {
            let own = process::own_line();
            for name in names {
                if let PinFile::Netns { inode, .. } = netns::look(&name)?
                    && let Some(&pid) = own.iter().find(|pid| processes::is_in_netns(**pid, inode))
                {
                    return Err(HostError::CallerInside { netns: name, pid });
                }
            }
            Ok(())
        })
        .await
    }
}
