//! What `doctor` looks at: whether the kernel can do what labs need, and which namespaces carry nslab's mark.

use super::error::{FileContext, NetlinkContext};
use super::facade::Host;
use super::netlink::{self, Connection};
use super::netns::{self, PinFile};
use super::{HostError, PIN_DIRECTORY};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use crate::model::{Netns, PinName};

impl Host {
    /// Opens a namespace of a lab's.
    ///
    /// # Errors
    /// When there is none of its name, or it does not carry the mark.
    pub async fn open_netns(&self, netns: &Netns) -> Result<Arc<OwnedFd>, HostError> {
        let netns = netns.clone();
        self.job(move || {
            let file = netns::open_pin(&netns.name)?;
            netns::enter(&netns.name.clone().into(), &file)?;
            netns::require_own(&netns)?;
            Ok(Arc::new(file.into()))
        })
        .await
    }

    /// Whether the kernel knows IPv6: one that was started with `ipv6.disable=1` does not.
    pub fn has_ipv6(&self) -> bool {
        Path::new("/proc/sys/net/ipv6/conf").exists()
    }

    /// Whether namespaces can be made: one is, without a name, and is gone right after.
    ///
    /// # Errors
    /// Why not.
    pub async fn probe_namespaces(&self) -> Result<(), HostError> {
        self.job(|| netns::in_scratch(|| Ok(()))).await
    }

    /// The names in /run/netns whose namespace carries nslab's mark, with that mark.
    ///
    /// # Errors
    /// When one can't be looked into.
    pub async fn marked_namespaces(&self) -> Result<Vec<(String, String)>, HostError> {
        self.job(|| {
            let directory = Path::new(PIN_DIRECTORY);
            let entries = match std::fs::read_dir(directory) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
                other => other.on_file("read", directory)?,
            };
            let mut marked = Vec::new();
            for entry in entries {
                let Ok(name) = entry.on_file("read", directory)?.file_name().into_string() else { continue };
                let netns = PinName::existing(&name);
                let PinFile::Netns { file, .. } = netns::look(&netns)? else { continue };
                // A namespace of another kind can be pinned there too.
                if netns::enter(&netns.clone().into(), &file).is_err() {
                    continue;
                }
                let mut connection = Connection::open().when("look into", &netns)?;
                let (mark, _) = netlink::loopback(&mut connection).when("look at lo of", &netns)?;
                if let Some(mark) = mark.filter(|mark| mark.starts_with("nslab:")) {
                    marked.push((name, mark));
                }
            }
            marked.sort();
            Ok(marked)
        })
        .await
    }
}
