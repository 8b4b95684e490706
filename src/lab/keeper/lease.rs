//! The lease that a keeper holds.

use super::{Keeper, lease_six};
use crate::host::dhcp::{self, DhcpError, LeaseEvent, LeaseOptions};
use crate::host::{LeaseState, SeenLease};
use crate::model::{Uplink, UplinkAddress};
use crate::state::LabState;
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::watch;

/// How long the first lease may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long until what failed is tried again.
const AGAIN: Duration = Duration::from_secs(3);

/// The wish for a lease, and whether there is one.
#[derive(Clone)]
pub(super) struct Lease {
    is_wanted: watch::Sender<bool>,
    is_settled: watch::Sender<bool>,
    /// Whether a command has asked for it.
    has_asker: watch::Sender<bool>,
}

impl Default for Lease {
    fn default() -> Self {
        let no = || watch::Sender::new(false);
        Self { is_wanted: no(), is_settled: no(), has_asker: no() }
    }
}

impl Lease {
    /// Wants a lease, and waits until there is one or it is known that there is none.
    pub(super) async fn wanted(&self) {
        self.has_asker.send_replace(true);
        self.is_wanted.send_replace(true);
        let _ = self.is_settled.subscribe().wait_for(|is_settled| *is_settled).await; // the sender is `self`'s
    }

    /// Wants a lease, of an uplink that was attached before.
    pub(super) fn want(&self) {
        self.is_wanted.send_replace(true);
    }

    /// Lets go of the wish: what is on the interface stays.
    pub(super) fn forgo(&self) {
        self.is_wanted.send_replace(false);
    }

    /// Holds a lease whenever it is wanted.
    pub(super) async fn hold(&self, keeper: &Keeper) {
        let mut wish = self.is_wanted.subscribe();
        let mut forgone = self.is_wanted.subscribe();
        loop {
            let _ = wish.wait_for(|is_wanted| *is_wanted).await;
            let paths = keeper.nslab.root().lab(&keeper.lab);
            let Ok(state) = LabState::read(&paths) else {
                tokio::time::sleep(AGAIN).await; // it can't be read now
                continue;
            };
            let uplink = state.made().resources.uplink;
            let Some(uplink) = uplink.filter(|uplink| uplink.address == UplinkAddress::Dhcp) else {
                self.is_settled.send_replace(true);
                self.is_wanted.send_replace(false);
                continue;
            };
            let ended = tokio::select! {
                error = self.hold_one(keeper, &uplink) => Some(error),
                _ = forgone.wait_for(|is_wanted| !*is_wanted) => None,
            };
            if let Some(error) = ended {
                tell(keeper, |lease| lease.state = LeaseState::Failed(crate::error::chain(&error))).await;
                let is_first = !self.is_settled.send_replace(true);
                if is_first && *self.has_asker.borrow() {
                    // The command that waits for it undoes what it did.
                    self.is_wanted.send_replace(false);
                } else {
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// Once a lease brings its own default route, it is the only one of IPv4.
    async fn routes_follow(&self, keeper: &Keeper, uplink: &Uplink, event: &LeaseEvent) {
        if let LeaseEvent::Obtained(lease) | LeaseEvent::Renewed(lease) = event
            && has_default(lease)
        {
            // Where that fails, the machine has one route more, and the next turn tries again.
            let _ = keeper.nslab.host().leave_routes_to_lease(uplink).await;
        }
    }

    async fn hold_one(&self, keeper: &Keeper, uplink: &Uplink) -> DhcpError {
        let mut options = LeaseOptions::new(uplink.onto.clone(), uplink.nic.mac);
        options.wanted = uplink.nic.addresses.iter().find(|address| address.is_leased()).and_then(|known| match known
            .address
            .ip()
        {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        });
        options.port = Some(uplink.nic.name.clone());
        options.client_id.clone_from(&uplink.client_id);
        options.metric = uplink.nic.default_metric();
        options.deadline = (!*self.is_settled.borrow()).then_some(PATIENCE);
        keeper.sight.lock().await.lease = Some(SeenLease {
            interface: uplink.onto.clone(),
            address: None,
            routers: Vec::new(),
            dns_servers: Vec::new(),
            search_domains: Vec::new(),
            ntp_servers: Vec::new(),
            mtu_bytes: None,
            ends_at_ms: 0,
            renewals: 0,
            state: LeaseState::Asked,
        });
        let (tell_event, mut events) = tokio::sync::mpsc::unbounded_channel();
        let holding = dhcp::hold(&options, move |event| {
            let _ = tell_event.send(event); // it is listened to for as long as this is polled
        });
        let telling = async {
            while let Some(event) = events.recv().await {
                self.routes_follow(keeper, uplink, &event).await;
                told(keeper, &event).await;
                self.is_settled.send_replace(true);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            result = holding => match result {
                Err(error) => error,
            },
            () = telling => unreachable!("it waits for ever"),
            () = lease_six::hold(keeper, uplink) => unreachable!("so does this"),
        }
    }
}

/// The default route of a lease, where it has one.
fn has_default(lease: &dhcp::Lease) -> bool {
    lease.effective_routes().iter().any(|route| route.to.prefix() == 0)
}

async fn tell(keeper: &Keeper, change: impl FnOnce(&mut SeenLease)) {
    if let Some(lease) = &mut keeper.sight.lock().await.lease {
        change(lease);
    }
}

async fn told(keeper: &Keeper, event: &LeaseEvent) {
    let (lease, state) = match event {
        LeaseEvent::Obtained(lease) | LeaseEvent::Renewed(lease) => (lease, LeaseState::Held),
        LeaseEvent::Unanswered(lease) => (lease, LeaseState::Unanswered),
        LeaseEvent::Refused(lease) => (lease, LeaseState::Refused),
        LeaseEvent::Expired(lease) => (lease, LeaseState::Expired),
    };
    tell(keeper, |seen| {
        seen.address = (state != LeaseState::Expired).then(|| lease.address.to_string());
        seen.routers = lease.routers.iter().map(|router| IpAddr::from(*router)).collect();
        seen.dns_servers = lease.dns_servers.iter().map(|server| IpAddr::from(*server)).collect();
        seen.search_domains.clone_from(&lease.search_domains);
        seen.ntp_servers = lease.ntp_servers.iter().map(|server| IpAddr::from(*server)).collect();
        seen.mtu_bytes = lease.mtu_bytes;
        seen.ends_at_ms = lease.ends_at_ms();
        seen.renewals += u32::from(matches!(event, LeaseEvent::Renewed(_)));
        seen.state = state;
    })
    .await;
}
