//! [`Host`]'s collectors: what there is, as data.

use super::error::NetlinkContext;
use super::facade::Host;
use super::netlink::{self, Connection};
use super::netns::{self, PinFile};
use super::{HostError, sysctl};
use crate::model::{IfName, PinName, SysctlKey};
use crate::observed::{Kernel, ObservedNetns, Pin, QdiscKinds};
use std::collections::{BTreeMap, BTreeSet};

/// What is to be told of a namespace, beyond what costs nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// The parameters whose values are wanted.
    pub sysctls: Vec<SysctlKey>,
    /// Whether the VLANs of bridge ports are.
    pub vlans: bool,
    /// The interfaces of which it is wanted whether the kernel makes their checksums.
    pub checksums: BTreeSet<IfName>,
    /// Whether it is wanted what went through its interfaces. The kernel adds that up over all processors, so it costs.
    pub statistics: bool,
}

impl Host {
    /// What stands at /run/netns/NAME, with the inside of a namespace; `None` where nothing does.
    ///
    /// # Errors
    /// When the kernel does not answer, other than that the caller may not look: that is [`Pin::Closed`].
    pub async fn observe_pin(&self, name: &PinName, look: &Look) -> Result<Option<Pin>, HostError> {
        let (name, look) = (name.clone(), look.clone());
        self.job(move || {
            let (file, inode) = match netns::look(&name)? {
                PinFile::Absent => return Ok(None),
                PinFile::Empty => return Ok(Some(Pin::Empty)),
                PinFile::Other(_) => return Ok(Some(Pin::Other)),
                PinFile::Netns { file, inode } => (file, inode),
            };
            match netns::enter(&name.clone().into(), &file) {
                Err(error) if error.is_forbidden() => return Ok(Some(Pin::Closed)),
                // A pinned namespace of another type.
                Err(error) if error.errno() == Some(nix::errno::Errno::EINVAL) => return Ok(Some(Pin::Other)),
                result => result?,
            }
            let mut connection = Connection::open().when("look into", &name)?;
            let mut observed = netlink::observe(&mut connection, &look).when("look into", &name)?;
            observed.inode = inode;
            observed.sysctls = sysctl::read_all(&look.sysctls, name.as_str())?;
            Ok(Some(Pin::Namespace(observed)))
        })
        .await
    }

    /// The host's own namespace, of its interfaces only those of these names, of its parameters only these; and of these interfaces
    /// whether the kernel makes their checksums.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn observe_host(
        &self,
        links: &BTreeSet<IfName>,
        sysctls: &BTreeSet<SysctlKey>,
        checksums: &BTreeSet<IfName>,
    ) -> Result<ObservedNetns, HostError> {
        let look = Look { checksums: checksums.clone(), ..Look::default() };
        let sysctls: Vec<SysctlKey> = sysctls.iter().cloned().collect();
        let wanted: BTreeSet<String> = links.iter().map(ToString::to_string).collect();
        self.job(move || {
            let mut connection = Connection::open().when("look into", "the host's namespace")?;
            let mut observed = netlink::observe(&mut connection, &look).when("look into", "the host's namespace")?;
            observed.links.retain(|name, _| wanted.contains(name));
            observed.routes.retain(|route| wanted.contains(&route.dev));
            observed.sysctls = sysctl::read_all(&sysctls, "the host's namespace")?;
            Ok(observed)
        })
        .await
    }

    /// What the kernel's bridges can do. Tried out in a namespace of its own that is gone right after.
    ///
    /// # Errors
    /// When the kernel makes no namespace or no bridge.
    ///
    /// # Cancel safety
    /// Leaves nothing.
    pub async fn probe_bridges(&self) -> Result<Kernel, HostError> {
        self.job(|| {
            netns::in_scratch(|| {
                let mut connection = Connection::open().when("look into", "a new namespace")?;
                netlink::probe_bridges(&mut connection).when("make a bridge in", "a new namespace")
            })
        })
        .await
    }

    /// Which queueing disciplines the kernel has for links' conditions. Tried out in a namespace of its own that is gone
    /// right after.
    ///
    /// # Errors
    /// When the kernel makes no namespace.
    ///
    /// # Cancel safety
    /// Leaves nothing.
    pub async fn probe_qdiscs(&self) -> Result<QdiscKinds, HostError> {
        self.job(|| {
            netns::in_scratch(|| netlink::probe_qdiscs().when("try queueing disciplines in", "a new namespace"))
        })
        .await
    }

    /// The values that parameters have in a namespace just made; those of an interface are its `default` entry's.
    /// What the kernel doesn't have is not among them.
    ///
    /// # Errors
    /// When the kernel makes no namespace, or a parameter can't be read.
    ///
    /// # Cancel safety
    /// Leaves nothing.
    pub async fn pristine_sysctls(&self, keys: &[SysctlKey]) -> Result<BTreeMap<SysctlKey, String>, HostError> {
        let keys = keys.to_vec();
        self.job(move || netns::in_scratch(|| sysctl::read_pristine(&keys))).await
    }
}
