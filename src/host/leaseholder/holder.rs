//! The process that holds a lease.

use super::{KIND, resolver};
use crate::host::HostError;
use crate::host::dhcp::{self, DhcpError, LeaseEvent, LeaseOptions};
use crate::host::helper::{self, Ending, HelperError};
use crate::model::{Leased, ParseLeasedError, PinName};
use nix::errno::Errno;
use rustix::thread::CapabilitySet;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// What it takes to change the interface, to speak before it has an address, and to speak from port 68 (capabilities(7)).
const NEEDED: CapabilitySet =
    CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW).union(CapabilitySet::NET_BIND_SERVICE);

/// Why a holder can't begin, or go on.
#[derive(Debug, thiserror::Error)]
pub(in crate::host) enum HolderError {
    #[error(transparent)]
    Leased(#[from] ParseLeasedError),
    #[error("there is no interface {0}")]
    Interface(crate::model::IfName, #[source] Errno),
    #[error(transparent)]
    Helper(#[from] HelperError),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Dhcp(#[from] DhcpError),
}

/// Takes a lease and holds it until it is told to end, or has nothing to hold it for any more.
pub(in crate::host) fn run(arguments: &[String]) -> Result<(), HolderError> {
    let [netns, leased] = arguments else { return Err(HelperError::Arguments.into()) };
    let (netns, leased): (PinName, Leased) = (PinName::existing(netns), leased.parse()?);
    helper::leave_what_was_inherited()?;
    helper::keep_capabilities(NEEDED)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| HelperError::Process("begin a runtime", source))?.block_on(hold(netns, leased))
}

async fn hold(netns: PinName, leased: Leased) -> Result<(), HolderError> {
    let cant_listen = |source| HelperError::Process("listen to signals", source);
    let mut terminate = signal(SignalKind::terminate()).map_err(cant_listen)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cant_listen)?;
    let _hangup = signal(SignalKind::hangup()).map_err(cant_listen)?; // is not for a process without a terminal

    let Leased { interface, mac, host_name, patience_s, resolver } = leased;
    let index = nix::net::if_::if_nametoindex(interface.as_str())
        .map_err(|errno| HolderError::Interface(interface.clone(), errno))?;
    let ending = Ending::watch(netns, vec![(interface.clone(), index)])?;
    let mut options = LeaseOptions::new(interface.clone(), mac);
    options.host_name = Some(host_name.to_string());
    options.deadline = Some(Duration::from_secs(patience_s.into()));

    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let mut holding = std::pin::pin!(dhcp::hold(&options, move |event| {
        let _ = tell.send(event); // it is listened to for as long as this is polled
    }));
    let mut ended = std::pin::pin!(ending.wait());
    let mut has_begun = false;
    loop {
        tokio::select! {
            result = &mut holding => result.map(drop)?,
            event = told.recv() => {
                if let (Some(event), Some(directory)) = (&event, &resolver) {
                    write_resolver(directory, event)?;
                }
                if !std::mem::replace(&mut has_begun, true)
                    && let Err(error) = helper::said_ready(KIND)
                {
                    dhcp::let_go(&interface)?; // nobody waits for it any more
                    return Err(error.into());
                }
            }
            result = &mut ended => {
                return Ok(result.map_err(|source| HelperError::Process("watch the namespace", source))?);
            }
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

fn write_resolver(directory: &std::path::Path, event: &LeaseEvent) -> Result<(), HostError> {
    match event {
        LeaseEvent::Obtained(lease) | LeaseEvent::Renewed(lease) => resolver::write(directory, lease),
        LeaseEvent::Expired(_) => resolver::remove(directory),
        LeaseEvent::Unanswered(_) | LeaseEvent::Refused(_) => Ok(()),
    }
}
